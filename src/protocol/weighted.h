/* Fitting a head of the linear model where the layers of each encoder are summed with learned weights
 * (train/layer_weights.h). */
#ifndef SER_PROTOCOL_WEIGHTED_H
#define SER_PROTOCOL_WEIGHTED_H

#include "protocol/fit.h"

/* As ser_fit_head, for weighted candidates that use all blocks. The weights are learned from the whole of
 * rows, with the first candidate's emphasis and penalty; then the sums are fitted to like any features, and
 * the head is written out over all layers. The inner folds share the weights: a few numbers that have seen
 * all labels of rows. */
ser_status ser_fit_weighted_head(ser_head_fit *out, const ser_rows *rows, const ser_fit_settings *settings,
                                 ser_error *err);

#endif
