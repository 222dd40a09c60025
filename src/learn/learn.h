/* Learning from a training part: a model of one or more kinds (learn/kind.h), whose calibrated scores are
 * averaged. Everything that is chosen is chosen inside the training part. */
#ifndef SER_LEARN_LEARN_H
#define SER_LEARN_LEARN_H

#include "base/team.h"
#include "data/condition.h"
#include "data/frames.h"
#include "data/normalize.h"
#include "learn/fit.h"
#include "model/unlike.h"
#include "train/adapt.h"
#include "train/timnet_fit.h"

/* What is learned from. Borrowed. store and frames are standardised already where that is wanted. */
typedef struct ser_learn_data {
    const ser_corpus *corpus;
    const ser_extractor *extractor;
    const ser_store *store;      /* NULL: neither a linear model nor a choice of layers */
    const ser_frame_set *frames; /* NULL: no temporal network */
} ser_learn_data;

enum { SER_MAX_SETS = 2 };

/* Domain adaptation: unlabelled recordings of a target are learned from besides, all of them. The linear
 * model is then a projection (train/adapt.h) that reads what the first candidate says, but for its blocks. */
typedef struct ser_learn_transfer {
    const ser_learn_data *target; /* its labels are not looked at; standardised like the source */
    ser_adapt_settings linear;    /* seed, threads, listeners are those of ser_learn_settings */
    size_t n_projections;         /* of seed, seed + 1, ...: the head is the mean of theirs */
    uint64_t sets[SER_MAX_SETS];  /* of blocks; of several, that in which both corpora end up closest */
    size_t n_sets;
} ser_learn_transfer;

typedef struct ser_model_kind ser_model_kind;
typedef struct ser_fold_result ser_fold_result;
enum { SER_MAX_MODEL_KINDS = 8 };

/* A part of a kind that the table does not have, with settings of its own. */
typedef struct ser_more_kind {
    const ser_model_kind *kind;
    const void *own;
} ser_more_kind;

typedef struct ser_learn_settings {
    bool linear;
    const ser_candidate *candidates; /* at least one; with more than one set of blocks, networks read the set
                                        that the linear model's inner folds are for */
    size_t n_candidates;
    int n_inner_folds;
    size_t n_networks; /* temporal networks, of seed, seed + 1, ... */
    ser_timnet_settings timnet;
    /* After each epoch of a network, 1 ... n_networks; NULL: nobody listens. */
    void (*on_epoch)(void *context, const char *what, size_t network, const ser_timnet_epoch *e);
    void *context;
    const ser_learn_transfer *transfer; /* NULL: from the source alone */
    /* After each epoch of the projection, as on_epoch. */
    void (*on_adapt)(void *context, const char *what, const ser_adapt_epoch *e);
    bool speaker_disjoint;    /* inner folds and validation parts keep speakers together */
    bool corpus_disjoint;     /* the corpora joined are left out one by one: by the linear model's inner folds
                                 too, and it learns each recording from among the emotions that its corpus could
                                 have said */
    const ser_linear *origin; /* of linear models: see ser_rows; (features of the extractor) to the corpus's
                                 labels. NULL: none */
    uint64_t seed;
    ser_engine engine; /* of linear models; networks have theirs in timnet.ops */
    int n_threads;
    const ser_progress *progress;
    /* Whose ranks share what is learned; all of them learn the same things in the same order. NULL: no
     * others. */
    const ser_team *team;
    const ser_more_kind *more; /* (n_more): parts besides the linear one and the networks */
    size_t n_more;
} ser_learn_settings;

/* Whether all ranks work on each network together, instead of each on some. */
static inline bool ser_learns_in_step(const ser_learn_settings *s)
{
    return s->team && s->n_networks && s->timnet.micro_batch;
}

/* The models of one training part. */
typedef struct ser_learned {
    const ser_model_kind *kinds[SER_MAX_MODEL_KINDS]; /* its parts */
    void *own[SER_MAX_MODEL_KINDS];                   /* of each part: what its kind alone knows */
    size_t n_kinds;
    /* What is known of the two kinds that come with the program. */
    bool has_linear;
    ser_head_fit linear;           /* without has_linear, only what was chosen, if anything was */
    ser_adapted adapted;           /* with a transfer: the last projection; its own head is empty */
    double distance[SER_MAX_SETS]; /* with a transfer: LMMD between both corpora, for each set of blocks */
    ser_timnet_fit *networks;
    ser_timnet_member *members; /* of the networks, moved out of them */
    size_t n_networks;
    /* Of a model file, borrowed: beyond its reach scores are evened out, as in ser_judge_voice. NULL: of a
     * training, which does not measure it. */
    const ser_unlike *unlike;
} ser_learned;

/* A head of the linear model alone. */
ser_status ser_learn_head(ser_head_fit *out, const ser_learn_data *data, const int *fold, int test_fold,
                          const ser_learn_settings *settings, const char *what, ser_error *err);

/* The training part: utterances whose fold is not test_fold (-1: all). what: for progress. state: NULL, or a
 * path to which "-N.safetensors" is added for each network's state. */
ser_status ser_learn(ser_learned *out, const ser_learn_data *data, const int *fold, int test_fold,
                     const ser_learn_settings *settings, const char *what, const char *state, ser_error *err);
void ser_learned_release(ser_learned *l);

/* How a model is asked. */
typedef struct ser_asking {
    const ser_nn_ops *ops;        /* of networks */
    int n_threads;                /* one recording each; the same bits for any number */
    const ser_progress *progress; /* of networks, "answers": NULL: nobody listens */
} ser_asking;

/* Calibrated scores (n_labels each) of the utterances whose fold is test_fold, written to scores + u *
 * n_labels for utterance u. data may be that of another corpus with the same labels. n_threads: one recording
 * each; the same bits for any number. */
ser_status ser_learned_score(const ser_learned *l, float *scores, const ser_learn_data *data, const int *fold,
                             int test_fold, const ser_asking *how, ser_error *err);
/* logits (n of data, n_labels) of the first network for the recordings themselves. */
ser_status ser_learned_logits(const ser_learned *l, float *logits, const ser_learn_data *data,
                              const ser_nn_ops *ops, int n_threads, ser_error *err);

#endif
