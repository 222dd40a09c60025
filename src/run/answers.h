/* What the models of a run answer about a corpus: where tests within one corpus and across two begin. */
#ifndef SER_RUN_ANSWERS_H
#define SER_RUN_ANSWERS_H

#include "run/trained.h"

typedef struct ser_answers_settings {
    const char *path;   /* a run folder, a model file, a folder with Keras weights, or such a file */
    const char *corpus; /* that is asked about */
    const ser_run_data *data;
    ser_run_network network; /* of Keras weights; its -1 are preset's */
    ser_run_preset preset;
    ser_normalize normalize;
    uint64_t seed;
    /* Across corpora, what the models were trained on: they may tell other emotions apart than the corpus
     * has, which may be without any; NULL: within one corpus. */
    const char *source;
    const ser_run_host *host;
} ser_answers_settings;

typedef struct ser_answers {
    ser_trained_list models; /* in the order of their names */
    ser_corpus *source;      /* NULL: was not needed */
    ser_workbench w;         /* the corpus, with the features that the last model read */
    char *const *labels;     /* n_labels: what the models tell apart */
    size_t n, n_labels;      /* n: recordings of the corpus */
    float *scores;           /* (models.n, n, n_labels) */
    bool *heard;             /* (models.n, n): the model or its encoder learned from the recording */
    ser_folds folds;         /* a "fold" is a model here, and the last one their average */
    ser_leaks leaks;         /* likewise, without the last */
} ser_answers;

ser_status ser_answers_new(ser_answers *out, const ser_answers_settings *settings, ser_error *err);
void ser_answers_release(ser_answers *a);

/* Whose scores are judged. */
typedef enum ser_judged {
    SER_JUDGED_MODEL,  /* one model's */
    SER_JUDGED_ALL,    /* the means of all */
    SER_JUDGED_UNHEARD /* of each recording the mean of those models that had not heard it */
} ser_judged;
/* scores (n, n_labels) of the recordings for which answered (n). fold: SER_JUDGED_MODEL, to be filled with
 * the figures of model m. Intervals are of n_resamples, 0: none. */
typedef ser_status ser_judge(void *job, ser_judged which, size_t m, ser_fold_result *fold,
                             const float *scores, const bool *answered, int n_resamples, ser_error *err);

/* A test: each model, then all together, and where some had heard recordings those that had not. *e
 * (ser_evaluation_release) has the scores of all, and a fold for each model. */
ser_status ser_answers_judge(ser_evaluation *e, const ser_answers *a, ser_judge *judge, void *job,
                             ser_error *err);
/* What stands in front of the figures of those that had not heard recordings, where some had: "9 of 10 models
 * were trained on recordings of this test ...". */
void ser_answers_append_leaks(ser_text *t, const ser_answers *a);
/* What a report says of the corpus and the models; evaluation, protocol and config are the caller's to add.
 */
ser_report_facts ser_answers_facts(const ser_answers *a, ser_normalize how);

#endif
