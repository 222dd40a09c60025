#include "train/standardise.h"
#include "base/memory.h"
#include "base/vector.h"

#include <math.h>

static const double rounding = 3e-7; /* of fp32 numbers, relative: a few units in the last place */

SER_FAST static void add(double *sum, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sum[i] += (double)x[i];
}

SER_FAST static void add_squares(double *sum, const float *x, const double *mean, size_t n)
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

ser_status ser_standardise(float *mean, float *scale, const float *const *x, size_t n, size_t n_in,
                           ser_error *err)
{
    if (!n)
        return ser_fail(err, SER_E_ARG, "no recordings to learn from");
    double *means = ser_alloc(n_in, sizeof *means), *squares = ser_alloc(n_in, sizeof *squares);
    ser_status st = means && squares ? SER_OK : ser_fail_nomem(err);
    for (size_t r = 0; r < n && st == SER_OK; r++)
        add(means, x[r], n_in);
    for (size_t i = 0; i < n_in && st == SER_OK; i++) {
        if (!isfinite(means[i]))
            st = refuse(x, n, i, err);
        means[i] /= (double)n;
    }
    for (size_t r = 0; r < n && st == SER_OK; r++)
        add_squares(squares, x[r], means, n_in);
    for (size_t i = 0; i < n_in && st == SER_OK; i++) {
        double deviation = sqrt(squares[i] / (double)n);
        mean[i] = (float)means[i];
        scale[i] = deviation > rounding * fabs(means[i]) ? (float)(1 / deviation) : 0;
    }
    ser_free(means);
    ser_free(squares);
    return st;
}
