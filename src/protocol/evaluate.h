/* One evaluation: for every fold a head is fitted to the training part alone and answers for the test part.
 */
#ifndef SER_PROTOCOL_EVALUATE_H
#define SER_PROTOCOL_EVALUATE_H

#include "metrics/metrics.h"
#include "protocol/dataset.h"

typedef struct ser_fold_result {
    size_t n_train, n_test; /* recordings */
    double ua, wa;          /* percent */
    ser_candidate chosen;   /* inside the training part */
    double inner_ua, inner_loss;
    float temperature;
} ser_fold_result;

typedef struct ser_evaluation {
    float *scores; /* (n_utterances, n_labels): calibrated, each from the fold that tested it */
    size_t n, n_labels;
    ser_fold_result *folds;
    size_t n_folds;
    ser_figures figures; /* over the pooled predictions */
} ser_evaluation;

typedef struct ser_evaluate_settings {
    const ser_candidate *candidates;
    size_t n_candidates;
    int n_inner_folds;
    bool speaker_disjoint; /* inner folds keep speakers together, as the protocol does */
    uint64_t seed;
    int n_threads;
    ser_progress progress;
} ser_evaluate_settings;

/* The store is normalised already where that is wanted. */
ser_status ser_evaluate(ser_evaluation *out, const ser_corpus *corpus, const ser_folds *folds,
                        const ser_store *store, const ser_extractor *e, const ser_evaluate_settings *settings,
                        ser_error *err);
void ser_evaluation_release(ser_evaluation *e);

#endif
