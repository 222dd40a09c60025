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

/* Means over the models first ... end-1, of those alone that have not heard the recording where unheard:
 * scores (n, n_labels); answered (n): whether there are some. */
void ser_answers_average(const ser_answers *a, float *scores, bool *answered, size_t first, size_t end,
                         bool unheard);
/* How many models had heard recordings, and how many recordings the one that knew most. */
size_t ser_answers_count_heard(const ser_answers *a, int *most);
/* What a report says of the corpus and the models; evaluation, protocol and config are the caller's to add.
 */
ser_report_facts ser_answers_facts(const ser_answers *a, ser_normalize how);

#endif
