/* What a run of training or testing shows to people: one struct behind the spreadsheet, the curves and the
 * page. Everything in it is borrowed for the call. Names, labels and texts may be any bytes. Numbers that are
 * NAN are shown as missing, parts that are NULL or empty are left out; figures and labels must be there. */
#ifndef SER_REPORT_RUN_REPORT_H
#define SER_REPORT_RUN_REPORT_H

#include "base/text.h"
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

/* One model of the run. */
typedef struct ser_run_fold {
    const char *name;                     /* "1", "03", "average" */
    bool is_model;                        /* of no fold: it goes by its name alone */
    bool combined;                        /* no fold's model, but several together: left out of means */
    size_t n_train, n_validation, n_test; /* recordings; 0: none */
    double ua, wa, f1, loss;              /* of its test part; percent but for the loss */
    double lenient;                       /* across corpora: accuracy by the mapping, percent */
    double seconds;                       /* of training */
    const char *choice;                   /* what was chosen inside its training part, in words; or NULL */
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

typedef struct ser_run_fact {
    const char *name, *value;
} ser_run_fact;

typedef struct ser_run_note {
    const char *text;
    bool serious; /* a warning that nobody may miss */
} ser_run_note;

/* One recording's answer: a row and a column of the run's matrix. */
#define SER_RUN_NO_TRUTH SIZE_MAX
typedef struct ser_run_prediction {
    const char *file;
    const char *fold;        /* whose model answered; or NULL */
    size_t truth, predicted; /* labels; SER_RUN_NO_TRUTH: it is not known */
    const float *scores;     /* a probability for each column */
} ser_run_prediction;

/* An emotion of the target across corpora. */
typedef struct ser_run_class {
    double lenient;                  /* 0 ... 1: answers that count as it; NAN: it is not scored */
    const ser_class_figures *shared; /* among the shared emotions; NULL: it is none */
} ser_run_class;

/* A test across corpora: figures are over the shared emotions, whose names are the report's labels; n_labels
 * may be 0. */
typedef struct ser_run_cross {
    const char *source, *target;
    ser_matrix matrix;            /* the target's emotions by the model's */
    const ser_run_class *classes; /* matrix.n_truths */
    const ser_reliability *reliability;
    size_t n; /* recordings */
} ser_run_cross;

typedef struct ser_run_report {
    const char *title; /* "EMODB" */
    const char *corpus, *protocol, *features, *model_type, *version, *date;
    const char *setup;         /* the same and the options that matter most, in lines of text; or NULL */
    const char *of_what;       /* whose figures they are: "Average of all models"; NULL: of all answers */
    const char *const *labels; /* figures->n_labels */
    const ser_figures *figures;
    const ser_run_cross *cross; /* NULL: training and test are of one set of emotions */
    const char *intervals_over; /* what was resampled: "speakers", "recordings"; NULL: no intervals */
    const ser_run_figure *extra;
    size_t n_extra;
    const ser_run_fold *folds;
    size_t n_folds;
    const ser_run_fact *configuration; /* every option in force, and what else makes the run the same again */
    size_t n_configuration;
    const ser_run_note *notes;
    size_t n_notes;
    const ser_run_prediction *predictions;
    size_t n_predictions;
    const char *drawn; /* pictures that only the run could draw, as ser_picture_append leaves them; or NULL */
} ser_run_report;

/* UA, WA, F1, ECE and loss, as their names and meanings stand everywhere. */
enum { SER_N_HEADLINES = 5 };
void ser_run_headlines(ser_run_figure *out, const ser_run_report *r);

/* Truths and answers of the run, and how many recordings it tells of. */
ser_matrix ser_run_matrix(const ser_run_report *r);
size_t ser_run_n(const ser_run_report *r);
/* How far confidences are from the truth. */
ser_status ser_run_reliability(ser_reliability *out, const ser_run_report *r, ser_error *err);
/* Whether it can be said if an answer is right. */
bool ser_run_is_scored(const ser_matrix *m, const ser_run_prediction *p);

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
