/* Cross entropy over the labels that a recording could have. */
#ifndef SER_TUNE_LOSS_H
#define SER_TUNE_LOSS_H

#include <stdbool.h>
#include <stddef.h>

/* Softmax cross entropy, in nats, over the labels of mask (n_labels; NULL: all), the others' logits being
 * minus infinity. target (n_labels): probabilities, 0 outside the mask. */
typedef struct ser_tune_loss {
    double smoothing;  /* so much of the target is spread evenly over the mask */
    double open_share; /* so much of the loss is the same over all labels, whatever the mask */
} ser_tune_loss;

/* Returns weight times the loss; dlogits: its gradient, set. */
double ser_tune_cross_entropy(float *dlogits, const float *logits, const float *target, const bool *mask,
                              size_t n_labels, const ser_tune_loss *how, double weight);

#endif
