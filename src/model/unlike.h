/* How unlike the recordings that a model learned from a recording is, in the space of its pooled features:
 * the mean over them of |x - mean| / deviation, both of the training recordings, in units of the reach, which
 * 99 of 100 recordings of corpora that were left out keep within. Novelty detection by the distance from what
 * is known (Pimentel et al. 2014, doi:10.1016/j.sigpro.2013.12.026), with absolute values in place of the
 * squares of Lee et al. 2018 (arXiv:1807.03888), so that no few features decide. Within the reach it tells
 * nothing of how right an answer is, and changes nothing; beyond it the scores are evened out, as by a higher
 * temperature. */
#ifndef SER_MODEL_UNLIKE_H
#define SER_MODEL_UNLIKE_H

#include "base/status.h"

#include <stddef.h>

typedef struct ser_unlike {
    size_t n_in;         /* pooled features; 0: the model does not measure it */
    float *mean, *scale; /* (n_in) of the training recordings; scale: 1 / deviation, 0 where not read */
    float reach;         /* at least SER_UNLIKE_LEAST_REACH */
} ser_unlike;

/* Of recordings that hardly differ: a reach is divided by, in other programs too. */
#define SER_UNLIKE_LEAST_REACH 1e-6f

ser_status ser_unlike_init(ser_unlike *u, size_t n_in, ser_error *err);
void ser_unlike_release(ser_unlike *u);

/* Of features x (n_in), not yet divided by the reach. 0 where nothing is read. */
double ser_unlike_distance(const ser_unlike *u, const float *x);

/* The same in reaches, 0 where it is not measured; at most 1e30, so that factors are numbers. */
float ser_unlike_times(const ser_unlike *u, const float *x);

/* By how much the temperature of an answer grows that is so many times the reach away: 1 within it. */
float ser_unlike_factor(float times);
/* scores (n), adding up to 1: what softmax(logits / (temperature * factor)) gives. Factor 1: not a bit. */
void ser_unlike_even_out(float *scores, size_t n, float factor);

#endif
