/* Cross entropy over the labels that a recording could have. */
#ifndef SER_TUNE_LOSS_H
#define SER_TUNE_LOSS_H

#include <stdbool.h>
#include <stddef.h>

/* Softmax cross entropy, in nats, over the labels of mask (n_labels; NULL: all), the others' logits being
 * minus infinity. target (n_labels): probabilities, 0 outside the mask; smoothing is spread over the mask.
 * Returns weight times the loss; dlogits: its gradient, set, 0 outside the mask. */
double ser_tune_cross_entropy(float *dlogits, const float *logits, const float *target, const bool *mask,
                              size_t n_labels, double smoothing, double weight);

#endif
