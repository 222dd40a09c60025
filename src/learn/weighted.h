/* Learning from the layers of each encoder summed with learned weights (train/layer_weights.h): a head of the
 * linear model, and what temporal networks read. */
#ifndef SER_LEARN_WEIGHTED_H
#define SER_LEARN_WEIGHTED_H

#include "learn/fit.h"
#include "model/timnet_model.h"

/* As ser_fit_head, for weighted candidates that use all blocks. The weights are learned from the whole of
 * rows, with the first candidate's emphasis and penalty; then the sums are fitted to like any features, and
 * the head is written out over all layers. The inner folds share the weights: a few numbers that have seen
 * all labels of rows. */
ser_status ser_fit_weighted_head(ser_head_fit *out, const ser_rows *rows, const ser_fit_settings *settings,
                                 ser_error *err);

/* Frames of a training part, their layers standardised over all of them and summed with the weights that a
 * head was learned with. Release also after a failure. */
typedef struct ser_weighted_frames {
    size_t n_in, n_combined; /* of a whole frame, of a sum */
    float *mean, *scale, *z; /* (n_in), (n_in), (all frames, n_combined) */
    float *weight;           /* (n_in): what each feature of a frame counts */
    size_t *sum;             /* (n_in): in which feature of the sum */
} ser_weighted_frames;

/* frames (n): recordings of n_frames[i] frames of e each; they become those of the sums. */
ser_status ser_weighted_frames_init(ser_weighted_frames *out, const float **frames, const size_t *n_frames,
                                    size_t n, const ser_extractor *e, const float *layer_weight,
                                    int n_threads, ser_error *err);
void ser_weighted_frames_release(ser_weighted_frames *f);
/* A network that learned from the sums then reads whole frames. */
ser_status ser_weighted_frames_expand(const ser_weighted_frames *f, ser_timnet_member *m, ser_error *err);

#endif
