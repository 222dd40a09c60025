/* Local maximum mean discrepancy: how far apart two groups of recordings lie, class by class (Zhu et al.
 * 2021, "Deep Subdomain Adaptation Network for Image Classification", IEEE TNNLS 32(4), equations 5 to 7). */
#ifndef SER_TRAIN_LMMD_H
#define SER_TRAIN_LMMD_H

#include "base/status.h"
#include <stddef.h>

/* The source's recordings come first, then the target's. */
typedef struct ser_lmmd_batch {
    const float *x;          /* (n_source + n_target, dims) */
    const float *membership; /* (n_source + n_target, n_labels): 1 for the source's own class, else 0; the
                                model's present scores for the target */
    size_t n_source, n_target, dims, n_labels;
} ser_lmmd_batch;

/* Memory for batches of up to a number of recordings. A zeroed struct is none. */
typedef struct ser_lmmd {
    size_t n_max, n_labels;
    float *distances; /* (n_max, n_max), squared; then the pairs' share of the gradient */
    float *weights;   /* (n_max, n_labels) */
} ser_lmmd;

ser_status ser_lmmd_init(ser_lmmd *l, size_t n_max, size_t n_labels, ser_error *err);
void ser_lmmd_release(ser_lmmd *l);

/* Returns the discrepancy, 0 ... 10; dx (as x) or NULL += weight * its gradient by x. The kernel is a sum of
 * five Gaussians whose widths are 1/4, 1/2, 1, 2, 4 times the mean squared distance of the batch, which
 * counts as a constant, as memberships do. Only classes of which the batch has a source recording are
 * compared. */
double ser_lmmd_compute(ser_lmmd *l, float *dx, const ser_lmmd_batch *b, double weight);

/* The weight of step 0 ... n_steps-1 in the loss, 0 ... 1: 2 / (1 + exp(-10 p)) - 1, p being the share of the
 * training that is over (section IV-B there; Ganin et al. 2016). */
double ser_lmmd_schedule(size_t step, size_t n_steps);

#endif
