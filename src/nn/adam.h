/* The optimiser: Adam (Kingma and Ba 2015, arXiv:1412.6980), a learning rate that warms up and decays, and an
 * average of weights. */
#ifndef SER_NN_ADAM_H
#define SER_NN_ADAM_H

#include "base/status.h"
#include <stddef.h>
#include <stdint.h>

/* A zeroed struct is none; what a resumed run needs to go on is step, mean and square. */
typedef struct ser_adam {
    size_t n;
    double beta1, beta2;
    uint64_t step;        /* how many were made */
    float *mean, *square; /* n each: running averages of the gradient and of its square */
} ser_adam;

ser_status ser_adam_init(ser_adam *a, size_t n, double beta1, double beta2, ser_error *err);
void ser_adam_release(ser_adam *a);

/* values (n) move against gradients (n), as in Keras: epsilon 1e-7 is added to the root of the square before
 * the correction for the first steps. Then the gradients are set to 0, ready for the next backward pass. */
void ser_adam_step(ser_adam *a, float *values, float *gradients, double rate);

/* One step of AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101) as in PyTorch, for a part of the values.
 */
typedef struct ser_adamw {
    double rate, beta1, beta2, epsilon;
    double decay;          /* values shrink by rate * decay of themselves */
    double pull;           /* and move by rate * pull of the way to origin */
    double gradient_scale; /* gradients are taken times this: clipping */
    double average_share;  /* average moves so far towards the values: 1 - the decay of an EMA */
    uint64_t step;         /* 1 for the first one */
} ser_adamw;
/* All arrays n long; origin may be NULL where there is no pull, average where there is none. */
typedef struct ser_adamw_arrays {
    float *values, *mean, *square, *average;
    const float *gradients, *origin;
    size_t n;
} ser_adamw_arrays;
void ser_adamw_step(const ser_adamw *s, const ser_adamw_arrays *a);

/* The sum of squares, added up in doubles in a fixed order. */
double ser_sum_of_squares(const float *x, size_t n);

/* The learning rate of step 0 ... n_steps-1: rises in a straight line to rate over n_warmup steps, then,
 * where decay is not 0, falls as half a cosine wave to rate * (1 - decay) (Loshchilov and Hutter 2017,
 * arXiv:1608.03983). */
typedef struct ser_schedule {
    double rate, decay;
    uint64_t n_warmup, n_steps;
} ser_schedule;
double ser_schedule_rate(const ser_schedule *s, uint64_t step);

/* average (n) becomes the mean of n_before + 1 sets of values, of which it was the mean of n_before
 * (Izmailov et al. 2018, arXiv:1803.05407). */
void ser_average_add(float *average, const float *values, size_t n, size_t n_before);

#endif
