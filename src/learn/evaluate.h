/* One evaluation: for every fold models are fitted to the training part alone and answer for the test part.
 */
#ifndef SER_LEARN_EVALUATE_H
#define SER_LEARN_EVALUATE_H

#include "learn/learn.h"
#include "metrics/metrics.h"

/* Of some recordings of a corpus left out: percent; NAN where there are none. */
typedef struct ser_group_result {
    int fold; /* whose corpus it is */
    size_t n; /* recordings that are scored */
    double ua_restricted, ua_open;
} ser_group_result;

enum { SER_N_SEXES = 3 }; /* ser_sex */

struct ser_fold_result {
    size_t n_train, n_test; /* recordings */
    double ua, wa, f1;      /* percent */
    double loss;            /* mean log loss of the test part, in nats */
    double acc_lenient;     /* percent; across corpora */
    /* Where corpora are left out, percent, and ua, wa, f1, loss are of the same recordings: those whose
     * emotion some recording of the training part has. Answers among the tested corpus's emotions; among all;
     * of all scores. */
    double ua_restricted, ua_open, ece;
    size_t excluded[SER_MAX_LABELS];         /* recordings that are not scored, of each emotion */
    double restricted_ci95[2], open_ci95[2]; /* where some are: of UA, over speakers, else over recordings */
    bool by_speakers;
    ser_group_result sexes[SER_N_SEXES]; /* by ser_sex */
    double seconds;                      /* of learning */
    bool has_choice;      /* whether the next three mean anything: a linear model, or a choice of layers */
    ser_candidate chosen; /* inside the training part */
    float layer_weight[SER_MAX_BLOCKS]; /* chosen.weighted: as in ser_head_fit */
    double inner_ua, inner_loss;
    float temperature;
};

typedef struct ser_evaluation {
    float *scores; /* (n_utterances, n_labels): calibrated, each from the fold that tested it */
    size_t n, n_labels;
    ser_fold_result *folds;
    size_t n_folds;
    ser_figures figures;                     /* over the pooled predictions */
    bool *scored;                            /* (n): figures are over these */
    bool across;                             /* corpora were left out: what follows is there */
    double ua_restricted, ua_open, ece;      /* means over the folds */
    double restricted_ci95[2], open_ci95[2]; /* of these means, each fold resampled by itself */
    ser_group_result *voices;                /* (n_voices): of the corpus's speakers */
    size_t n_voices;
} ser_evaluation;

typedef struct ser_evaluate_settings {
    ser_learn_settings learn;
    uint64_t seed;            /* of the intervals */
    const char *state;        /* NULL, or a folder below which the networks' states are kept: ser_fold_path */
    const char *state_prefix; /* before the folds' names there: several seeds share a folder; NULL: nothing */
    /* Gets each fold's models after they have answered, and may take them; NULL: nobody. */
    ser_status (*on_fold)(void *context, size_t fold, ser_learned *models, const ser_fold_result *result,
                          ser_error *err);
    void *context;
    /* 1 ...: this fold alone, of which on_block gets all that others need to go on without it; there are no
     * figures then. 0: all folds. */
    size_t only;
    ser_status (*on_block)(void *context, const ser_text *block, ser_error *err);
    /* The blocks of folds that were learned already, instead of learning; NULL: there are none. */
    ser_status (*block_of)(void *context, size_t fold, ser_text *block, ser_error *err);
} ser_evaluate_settings;

/* With learn.team the folds are dealt to its ranks, and rank 0 alone has figures and is told of them
 * (on_fold). Store and frames are normalised already where that is wanted. learn.corpus_disjoint: folds are
 * the corpora joined, in their order. */
ser_status ser_evaluate(ser_evaluation *out, const ser_learn_data *data, const ser_folds *folds,
                        const ser_evaluate_settings *settings, ser_error *err);
/* FOLDER/fold-NAME followed by end: where a fold's files lie; a '/' in the name becomes '-'. prefix stands
 * before NAME; NULL: nothing. NULL: out of memory. */
char *ser_fold_path(const char *folder, const char *prefix, const char *name, const char *end);

void ser_evaluation_release(ser_evaluation *e);
/* Where corpora were left out, once scores and scored are whole: voices, of each fold intervals and sexes,
 * and the intervals of the means. */
ser_status ser_evaluation_add_voices(ser_evaluation *e, const ser_corpus *corpus, const ser_folds *folds,
                                     int n_resamples, uint64_t seed, ser_error *err);

void ser_fold_result_set(ser_fold_result *r, const ser_figures *figures);
/* Of the recordings of corpus that are scored (n_utterances), as scores (n_utterances, n_labels) answer them;
 * n is 0 where none is. Intervals as in ser_figures_compute, over speakers where all are known. */
ser_status ser_figures_of(ser_figures *out, const float *scores, size_t n_labels, const bool *scored,
                          const ser_corpus *corpus, int n_resamples, uint64_t seed, ser_error *err);

#endif
