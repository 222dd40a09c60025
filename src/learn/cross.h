/* Figures across corpora: scores of a model of the source, recordings of the target. Truths are used here and
 * nowhere before. */
#ifndef SER_LEARN_CROSS_H
#define SER_LEARN_CROSS_H

#include "corpus/corpus.h"
#include "corpus/mapping.h"
#include "metrics/metrics.h"

/* Of the recordings whose truth is one of the target's emotions. */
typedef struct ser_cross_class {
    size_t support;
    bool excluded; /* no emotion of the source counts as it */
    double right; /* 0 ... 1: share of answers that count as it; NAN where it is excluded or has no support */
    int shared;   /* position among the shared emotions, and in figures.per_class; -1: none */
} ser_cross_class;

typedef struct ser_cross {
    size_t n;                            /* recordings with an answer */
    size_t n_known;                      /* whose truth is known; 0: there is nothing to score */
    size_t n_lenient;                    /* whose truth is the image of some emotion of the source */
    double acc_lenient, lenient_ci95[2]; /* percent of n_lenient by the mapping; NAN where that is 0 */
    size_t *
        confusion; /* (n_target, n_source) of the mapping; rows: truth; columns: the answer of all emotions */
    ser_cross_class *per_class; /* n_target */
    /* Over the recordings whose truth both corpora have (figures.n of them; 0: none, then all are NAN):
     * scores of the shared emotions alone, made to add up to 1. figures.n_labels is the mapping's n_shared.
     */
    ser_figures figures;
    ser_reliability reliability; /* likewise */
} ser_cross;

/* scores (n_utterances of target, n_source); of the recordings alone for which counted (n_utterances; NULL:
 * all). Labels of target are those of the mapping; -1 is an unknown truth. Intervals as in
 * ser_figures_compute, over speakers where all are known. */
ser_status ser_cross_compute(ser_cross *out, const float *scores, const bool *counted, const ser_mapping *m,
                             const ser_corpus *target, int n_resamples, uint64_t seed, ser_error *err);
void ser_cross_release(ser_cross *c);

#endif
