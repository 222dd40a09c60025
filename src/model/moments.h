/* Means and deviations of features, and when a feature counts as constant: for every part of the program that
 * standardises. */
#ifndef SER_MODEL_MOMENTS_H
#define SER_MODEL_MOMENTS_H

#include "base/status.h"
#include <math.h>
#include <stdbool.h>
#include <stddef.h>

/* What does not vary beyond the rounding of fp32 features, or of sums of their squares in double, says
 * nothing, and must not speak when it happens to differ elsewhere. */
static inline bool ser_varies(double mean, double deviation)
{
    return deviation > 1e-6 * fabs(mean);
}

/* x (n): rows of n_in features -> mean, deviation (n_in), divided by n; 0 where a feature does not vary.
 * SER_E_ARG: no rows; SER_E_FORMAT: a feature that is not finite. */
ser_status ser_moments(double *mean, double *deviation, const float *const *x, size_t n, size_t n_in,
                       ser_error *err);

/* The same as mean and scale, so that (x - mean) * scale has mean 0 and deviation 1; scale is 0 where a
 * feature does not vary. */
ser_status ser_standardise(float *mean, float *scale, const float *const *x, size_t n, size_t n_in,
                           ser_error *err);

#endif
