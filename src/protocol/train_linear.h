/* Training a linear model on a whole corpus: the plain head, the head for a voice's baseline, the voice
 * detector. */
#ifndef SER_PROTOCOL_TRAIN_LINEAR_H
#define SER_PROTOCOL_TRAIN_LINEAR_H

#include "model/model_file.h"
#include "protocol/dataset.h"

typedef struct ser_train_settings {
    const ser_candidate *candidates;
    size_t n_candidates;
    const ser_candidate *baseline_candidates;
    size_t n_baseline_candidates;
    int n_inner_folds;
    uint64_t seed;
    int n_threads;
    ser_progress progress;
} ser_train_settings;

typedef struct ser_training {
    ser_model_data model;
    ser_head_fit plain, baseline; /* what was chosen; their heads have moved into the model */
    double voice_inner_ua;        /* percent */
} ser_training;

/* The store is left standardised by speaker where speakers are known. The model's specification keeps only
 * the layers that some head uses. */
ser_status ser_train_linear(ser_training *out, const ser_corpus *corpus, ser_store *store,
                            const ser_extractor *e, const ser_train_settings *settings, ser_error *err);
void ser_training_release(ser_training *t);

#endif
