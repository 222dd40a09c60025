#include "model/moments.h"
#include "base/memory.h"
#include "base/vector.h"

#include <string.h>

SER_FAST_STATIC(void, add, (double *sum, const float *x, size_t n), (sum, x, n))
{
    for (size_t i = 0; i < n; i++)
        sum[i] += (double)x[i];
}

SER_FAST_STATIC(void, add_squares, (double *sum, const float *x, const double *mean, size_t n),
                (sum, x, mean, n))
{
    for (size_t i = 0; i < n; i++) {
        double d = (double)x[i] - mean[i];
        sum[i] += d * d;
    }
}

/* A sum of finite floats is finite in double, so that one look at the sums suffices while all is well. */
static ser_status refuse(const float *const *x, size_t n, size_t feature, ser_error *err)
{
    size_t row = 0;
    while (row + 1 < n && isfinite(x[row][feature]))
        row++;
    return ser_fail(err, SER_E_FORMAT,
                    "feature %zu of row %zu is not a finite number: compute the features again", feature,
                    row);
}

ser_status ser_moments(double *mean, double *deviation, const float *const *x, size_t n, size_t n_in,
                       ser_error *err)
{
    if (!n)
        return ser_fail(err, SER_E_ARG, "no recordings to learn from");
    memset(mean, 0, n_in * sizeof *mean);
    memset(deviation, 0, n_in * sizeof *deviation);
    for (size_t r = 0; r < n; r++)
        add(mean, x[r], n_in);
    for (size_t i = 0; i < n_in; i++) {
        if (!isfinite(mean[i]))
            return refuse(x, n, i, err);
        mean[i] /= (double)n;
    }
    for (size_t r = 0; r < n; r++)
        add_squares(deviation, x[r], mean, n_in);
    for (size_t i = 0; i < n_in; i++) {
        double d = sqrt(deviation[i] / (double)n);
        deviation[i] = ser_varies(mean[i], d) ? d : 0;
    }
    return SER_OK;
}

ser_status ser_standardise(float *mean, float *scale, const float *const *x, size_t n, size_t n_in,
                           ser_error *err)
{
    double *means = ser_alloc(2 * n_in, sizeof *means), *deviations = means + n_in;
    ser_status st = means ? ser_moments(means, deviations, x, n, n_in, err) : ser_fail_nomem(err);
    for (size_t i = 0; i < n_in && st == SER_OK; i++) {
        mean[i] = (float)means[i];
        scale[i] = deviations[i] > 0 ? (float)(1 / deviations[i]) : 0;
    }
    ser_free(means);
    return st;
}
