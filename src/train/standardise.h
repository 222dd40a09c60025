/* Mean and deviation of pooled features over a training part. */
#ifndef SER_TRAIN_STANDARDISE_H
#define SER_TRAIN_STANDARDISE_H

#include "base/status.h"
#include <stddef.h>

/* x (n): rows of n_in features -> mean, scale (n_in), so that (x - mean) * scale has mean 0 and deviation 1
 * (divided by n). A feature that does not vary beyond fp32's rounding gets scale 0: it says nothing, and must
 * not speak when it happens to differ elsewhere. SER_E_ARG: no rows; SER_E_FORMAT: a feature that is not
 * finite. */
ser_status ser_standardise(float *mean, float *scale, const float *const *x, size_t n, size_t n_in,
                           ser_error *err);

#endif
