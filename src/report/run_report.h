/* What a run of training or testing has to tell: one struct behind report.json, the page, the spreadsheet,
 * the text of a terminal, and the pictures. Everything in it is borrowed for the call. Names, labels and
 * texts may be any bytes. Numbers that are NAN are shown as missing, parts that are NULL or empty are left
 * out; figures and labels must be there. */
#ifndef SER_REPORT_RUN_REPORT_H
#define SER_REPORT_RUN_REPORT_H

#include "base/text.h"
#include "io/json.h"
#include "metrics/metrics.h"
#include "report/matrix.h"

#include <stdint.h>

typedef struct ser_run_epoch {
    size_t epoch; /* from 1 */
    double train_loss, validation_loss;
    double train_accuracy, validation_accuracy; /* percent */
    double rate, seconds;
} ser_run_epoch;

/* What a fold's training and test parts share: counts; -1: not known. */
typedef struct ser_run_shared {
    long speakers, texts, duplicates, takes;
} ser_run_shared;

/* A part of the features that a model may use or not: a hidden state of an encoder, log-mel, MFCC. */
typedef struct ser_run_block {
    const char *encoder; /* "WHISPER"; NULL: no encoder's */
    int layer;
} ser_run_block;

/* What was chosen inside a training part. */
typedef struct ser_run_choice {
    bool active;
    double spread_weight, c, temperature;
    double inner_ua, inner_loss; /* out of the inner folds */
    const float *layer_weights;  /* one for each of the run's blocks; NULL: there are none */
} ser_run_choice;

/* Some recordings of a corpus left out: of a speaker, of a sex. n 0: there are none. */
typedef struct ser_run_voice {
    const char *name, *sex; /* "EMODB/03"; "female", "male", or NULL: it is not known */
    size_t n;
    double ua_restricted, ua_open; /* percent */
} ser_run_voice;

/* Of a corpus left out, or means over all: percent. */
typedef struct ser_run_left_out {
    double ua_restricted, ua_open, ece; /* answers among the tested corpus's emotions; among all */
    /* Of one corpus alone: recordings of each label that are not scored; of means NULL. */
    const size_t *excluded;
    size_t n;                                /* recordings that are scored; 0: the rest is not there */
    double restricted_ci95[2], open_ci95[2]; /* resampled as intervals_over says */
    const char *intervals_over;
    ser_run_voice female, male;
    const ser_run_voice *voices; /* each speaker who is known */
    size_t n_voices;
} ser_run_left_out;

/* One model of the run. */
typedef struct ser_run_fold {
    const char *name;                     /* "1", "03", "average" */
    bool is_model;                        /* of no fold: it goes by its name alone */
    bool combined;                        /* no fold's model, but several together: left out of means */
    size_t n_train, n_validation, n_test; /* recordings; 0: none */
    double ua, wa, f1, loss;              /* of its test part; percent but for the loss */
    double lenient;                       /* across corpora: accuracy by the mapping, percent */
    double seconds;                       /* of training */
    uint64_t blocks;                      /* that it uses, a bit for each of the run's */
    const ser_run_choice *choice;         /* NULL: nothing was chosen */
    ser_run_left_out left_out;            /* where the run's corpora_left_out */
    ser_run_shared shared;
    size_t kept_epoch; /* whose weights were kept; 0: not known */
    const ser_run_epoch *epochs;
    size_t n_epochs;
} ser_run_fold;

/* A figure beside UA, WA, F1 and ECE: of several seeds, of the emotions two corpora share, of the recordings
 * that no model was trained on. */
typedef struct ser_run_figure {
    const char *name, *meaning; /* "UA, 3 seeds", "mean over seeds, and its standard deviation" */
    const char *unit;           /* "%" or "" */
    double value;
    double interval[2]; /* NAN: none */
} ser_run_figure;

typedef struct ser_run_note {
    const char *text;
    bool serious; /* a warning that nobody may miss */
} ser_run_note;

/* One recording's answer: a row and a column of the run's matrix. */
#define SER_RUN_NO_TRUTH SIZE_MAX
typedef struct ser_run_prediction {
    const char *file;
    double start_s, end_s;   /* of a stretch of the file, 0: to its end; both 0: the file is one recording */
    const char *fold;        /* whose model answered; or NULL */
    size_t truth, predicted; /* labels; SER_RUN_NO_TRUTH: it is not known */
    const float *scores;     /* a probability for each column */
    bool excluded;           /* it is in no figure: no other corpus has its emotion */
} ser_run_prediction;

/* An emotion of the target across corpora. */
typedef struct ser_run_class {
    double lenient;                  /* 0 ... 1: answers that count as it; NAN: it is not scored */
    const ser_class_figures *shared; /* among the shared emotions; NULL: it is none */
} ser_run_class;

/* Figures across corpora, which are over the shared emotions. */
typedef struct ser_run_cross {
    const char *source, *target, *mapping; /* mapping: what the table is called */
    ser_matrix matrix;                     /* the target's emotions by the model's */
    const ser_run_class *classes;          /* matrix.n_truths */
    const char *const *shared;             /* n_shared names */
    size_t n_shared;
    const ser_figures *figures;
    const ser_reliability *reliability;
    size_t n, n_known,
        n_lenient; /* recordings: all, with a known emotion, behind the accuracy by the mapping */
    double lenient, lenient_ci95[2]; /* accuracy by the mapping, percent */
} ser_run_cross;

/* Of an adaptation: both models, and which was kept. */
typedef struct ser_run_adaptation {
    const ser_run_cross *before, *adapted;
    bool kept_adapted;
    const char *reason;
    double agreement; /* percent of recordings to which both give the same answer */
} ser_run_adaptation;

/* The same by another protocol. */
typedef struct ser_run_honest {
    const char *what, *protocol;
    const char *reason; /* why it could not be done; empty: it was, and the rest is there */
    const ser_figures *figures;
    bool corpora_left_out;
    ser_run_left_out left_out;
    double lost;         /* UA of the row before that could be done, less this one's; NAN: there is none */
    const char *meaning; /* the protocol and what is lost, in words */
} ser_run_honest;

/* Figures of the seeds seed, seed + 1, ...; the rest of the report is the first one's. */
typedef struct ser_run_seeds {
    const double *ua; /* n, percent */
    size_t n;
    double mean, deviation;
} ser_run_seeds;

typedef struct ser_run_report {
    const char *title; /* "EMODB" */
    const char *corpus, *protocol, *features, *model_type, *version, *date;
    const char *normalize, *precision, *encoder_sha256; /* the last two empty: no encoder */
    const char *encoder_learned_from; /* the corpora that a tuned encoder knows; NULL: it was not tuned */
    bool starts_from_head;            /* the linear part did, from the one that this encoder learned with */
    const char *cpu, *data_sha256, *split_sha256;
    uint64_t seed;
    int n_threads, n_ranks;    /* n_ranks 0: one process, and no rank */
    const char *of_what;       /* whose figures they are: "Average of all models"; NULL: of all answers */
    const char *const *labels; /* figures->n_labels */
    const ser_figures *figures;
    const ser_run_cross *cross; /* NULL: training and test are of one set of emotions; else figures are its */
    const char *intervals_over; /* what is resampled: "speakers", "recordings" */
    const ser_figures *unheard; /* over answers of models that had not heard the recording; NULL: all are */
    const ser_run_cross *unheard_across; /* the same across corpora */
    const ser_run_adaptation *adaptation;
    size_t n_encoder_heard; /* of the source's recordings, by a tuned encoder; 0: none */
    bool corpora_left_out;
    ser_run_left_out left_out;
    const ser_run_honest *honest;
    size_t n_honest;
    ser_run_seeds seeds; /* n 0: one seed */
    const ser_run_block *blocks;
    size_t n_blocks;
    const ser_run_fold *folds;
    size_t n_folds;
    const json_t *config; /* every option in force */
    const ser_run_note *notes;
    size_t n_notes;
    const ser_run_prediction *predictions;
    size_t n_predictions;
    const char *drawn; /* pictures that only the run could draw, as ser_picture_append leaves them; or NULL */
} ser_run_report;

/* UA, WA, F1, ECE and loss, as their names and meanings stand everywhere. */
enum { SER_N_HEADLINES = 5 };
void ser_run_headlines(ser_run_figure *out, const ser_run_report *r);
/* The figures beside them; how many there are. */
enum { SER_MAX_EXTRAS = 16 };
size_t ser_run_extras(ser_run_figure out[SER_MAX_EXTRAS], const ser_run_report *r);
/* What was resampled for the intervals; NULL: there is nothing to have one. */
const char *ser_run_resampled(const ser_run_report *r);

/* Of a corpus left out: the speaker with the lowest UA among its emotions, the first of equals; NULL: none is
 * known. */
const ser_run_voice *ser_run_worst_voice(const ser_run_left_out *c);

/* "ser 0.2.0", as people read what made it; "": not known. */
enum { SER_RUN_PROGRAM = 48 };
const char *ser_run_program(char text[SER_RUN_PROGRAM], const ser_run_report *r);

/* Truths and answers of the run, and how many recordings it tells of. */
ser_matrix ser_run_matrix(const ser_run_report *r);
size_t ser_run_n(const ser_run_report *r);
/* How far confidences are from the truth. */
ser_status ser_run_reliability(ser_reliability *out, const ser_run_report *r, ser_error *err);
/* Whether it can be said if an answer is right. */
bool ser_run_is_scored(const ser_matrix *m, const ser_run_prediction *p);

/* A row of the table of emotions: of the run's, or, across corpora, of the target's. */
typedef struct ser_class_row {
    const char *name;
    const ser_class_figures *figures; /* across corpora among the shared emotions; NULL: it is none of them */
    size_t n;                         /* recordings */
    double lenient;                   /* as in ser_run_class; NAN within one corpus */
} ser_class_row;
size_t ser_run_n_classes(const ser_run_report *r);
ser_class_row ser_run_class_row(const ser_run_report *r, size_t i);
/* "calm, neutral": the answers that count as a truth; "none: not scored". */
void ser_append_answers(ser_text *t, const ser_matrix *m, size_t truth);

/* Means over the emotions that occur, plain and weighted by their recordings; 0 ... 1. */
typedef struct ser_class_means {
    double accuracy;
    ser_class_figures macro, weighted;
} ser_class_means;
void ser_class_means_compute(ser_class_means *out, const ser_figures *f);

/* What training and test parts can share, in the order in which people should hear of it. */
enum { SER_N_SHARED = 4 };
typedef struct ser_shared_kind {
    const char *key, *what, *meaning; /* key: in report.json */
    bool serious;                     /* the figures say less than they seem to */
} ser_shared_kind;
extern const ser_shared_kind ser_shared_kinds[SER_N_SHARED];

typedef struct ser_shared_count {
    bool known;         /* of some fold */
    size_t n_folds, of; /* folds where something is shared, of how many */
    long most;          /* the largest count */
} ser_shared_count;
ser_shared_count ser_run_count_shared(const ser_run_report *r, size_t kind);

/* Whether the parts are independent. */
typedef enum ser_verdict {
    SER_VERDICT_NONE, /* nothing was looked for */
    SER_VERDICT_GOOD,
    SER_VERDICT_UNKNOWN, /* nothing was found, but not all speakers are known */
    SER_VERDICT_BAD
} ser_verdict;
ser_verdict ser_shared_verdict(const ser_shared_count counts[SER_N_SHARED]);
/* The same in one line. */
const char *ser_verdict_text(ser_verdict verdict);
/* "shared in 3 of 10 folds, up to 2: ..."; nothing where nothing is shared. */
void ser_append_shared(ser_text *t, size_t kind, ser_shared_count count);

#endif
