#include "base/memory.h"
#include "nn/rows.h"
#include "nn/trainable.h"

#include <math.h>

/* Keras's defaults. */
static const double epsilon = 1e-3, momentum = 0.99;

enum { FRAMES_AT_ONCE = 256 }; /* so few that fp32 sums of them lose nothing that matters */

ser_status ser_nn_batch_norm_init(ser_nn_batch_norm *n, size_t n_channels, ser_error *err)
{
    *n = (ser_nn_batch_norm){.n_channels = n_channels};
    double **doubles[] = {&n->sum, &n->squares, &n->du, &n->du_x};
    float **floats[] = {&n->centre, &n->inverse, &n->scale, &n->shift, &n->pivot, &n->part, &n->part_x};
    bool ok = true;
    for (size_t i = 0; i < sizeof doubles / sizeof *doubles; i++)
        ok = (*doubles[i] = ser_alloc(n_channels, sizeof(double))) && ok;
    for (size_t i = 0; i < sizeof floats / sizeof *floats; i++)
        ok = (*floats[i] = ser_alloc(n_channels, sizeof(float))) && ok;
    if (ok)
        return SER_OK;
    ser_nn_batch_norm_release(n);
    return ser_fail_nomem(err);
}

void ser_nn_batch_norm_release(ser_nn_batch_norm *n)
{
    ser_free(n->sum);
    ser_free(n->squares);
    ser_free(n->du);
    ser_free(n->du_x);
    ser_free(n->centre);
    ser_free(n->inverse);
    ser_free(n->scale);
    ser_free(n->shift);
    ser_free(n->pivot);
    ser_free(n->part);
    ser_free(n->part_x);
    *n = (ser_nn_batch_norm){0};
}

void ser_nn_batch_norm_clear(ser_nn_batch_norm *n)
{
    n->n_frames = 0;
    for (size_t i = 0; i < n->n_channels; i++)
        n->sum[i] = n->squares[i] = n->du[i] = n->du_x[i] = 0;
}

/* part and part_x become sums of distances from the pivot, and of their squares. copy: NULL, or x typed. */
SER_INLINE void sum_distances(ser_nn_batch_norm *s, void *copy, bool half, const float *x, size_t n_frames)
{
    const float *pivot = s->pivot;
    float *part = s->part, *part_x = s->part_x;
    size_t n = s->n_channels;
    memset(part, 0, n * sizeof *part);
    memset(part_x, 0, n * sizeof *part_x);
    for (size_t t = 0; t < n_frames; t++)
        for (size_t i = 0; i < n; i += SER_N_LANES) {
            size_t left = n - i;
            ser_lanes v = ser_row_load(x, t * n + i, left), d = v - ser_row_load(pivot, i, left);
            ser_row_store(part, i, left, ser_row_load(part, i, left) + d);
            ser_row_store(part_x, i, left, ser_row_load(part_x, i, left) + d * d);
            if (copy)
                ser_row_store_as(copy, half, t * n + i, left, v);
        }
}

SER_FAST_STATIC(void, count_frames,
                (ser_nn_batch_norm * s, void *copy, ser_dtype type, const float *x, size_t n_frames),
                (s, copy, type, x, n_frames))
{
    if (type == SER_BF16)
        sum_distances(s, copy, true, x, n_frames);
    else
        sum_distances(s, copy, false, x, n_frames);
    for (size_t i = 0; i < s->n_channels; i++) {
        s->sum[i] += (double)s->part[i];
        s->squares[i] += (double)s->part_x[i];
    }
}

static void choose_pivot(ser_nn_batch_norm *n, const float *x, size_t n_frames)
{
    memset(n->pivot, 0, n->n_channels * sizeof *n->pivot);
    ser_nn_add_rows(n->pivot, x, n_frames, n->n_channels);
    for (size_t i = 0; i < n->n_channels; i++)
        n->pivot[i] /= (float)n_frames;
}

void ser_nn_batch_norm_count(ser_nn_batch_norm *n, void *copy, ser_dtype type, const float *x,
                             size_t n_frames)
{
    size_t row = n->n_channels * ser_dtype_size(type);
    for (size_t t = 0; t < n_frames; t += FRAMES_AT_ONCE) {
        size_t n_rows = n_frames - t < FRAMES_AT_ONCE ? n_frames - t : FRAMES_AT_ONCE;
        if (!n->n_frames)
            choose_pivot(n, x, n_rows);
        count_frames(n, copy ? (char *)copy + t * row : NULL, type, x + t * n->n_channels, n_rows);
        n->n_frames += n_rows;
    }
}

static void set_factors(ser_nn_batch_norm *n, size_t i, double mean, double variance, float gamma, float beta)
{
    double inverse = 1 / sqrt(variance + epsilon);
    n->centre[i] = (float)mean;
    n->inverse[i] = (float)inverse;
    n->scale[i] = (float)(inverse * (double)gamma);
    n->shift[i] = (float)((double)beta - mean * inverse * (double)gamma);
}

void ser_nn_batch_norm_finish(ser_nn_batch_norm *n, const float *gamma, const float *beta, const float *bias,
                              float *running_mean, float *running_variance)
{
    for (size_t i = 0; i < n->n_channels; i++) {
        double away = n->sum[i] / (double)n->n_frames, mean = (double)n->pivot[i] + away;
        double variance = n->squares[i] / (double)n->n_frames - away * away;
        set_factors(n, i, mean, variance, gamma[i], beta[i]);
        mean += (double)bias[i];
        running_mean[i] = (float)(momentum * (double)running_mean[i] + (1 - momentum) * mean);
        running_variance[i] = (float)(momentum * (double)running_variance[i] + (1 - momentum) * variance);
    }
}

void ser_nn_batch_norm_use_running(ser_nn_batch_norm *n, const float *gamma, const float *beta,
                                   const float *bias, const float *running_mean,
                                   const float *running_variance)
{
    for (size_t i = 0; i < n->n_channels; i++)
        set_factors(n, i, (double)running_mean[i] - (double)bias[i], (double)running_variance[i], gamma[i],
                    beta[i]);
}

/* forward was: x' = (x - mean) inverse, u = gamma x' + beta, where mean and inverse are sums over x too, so
 * (section 3 of the paper): dx = gamma inverse (du - mean(du) - x' mean(du x')). */
void ser_nn_batch_norm_backward_sums(const ser_nn_batch_norm *n, const float *gamma, float *dgamma,
                                     float *dbeta, float *a, float *b, float *c)
{
    for (size_t i = 0; i < n->n_channels; i++) {
        dbeta[i] += (float)n->du[i];
        dgamma[i] += (float)n->du_x[i];
        double inverse = (double)n->inverse[i], factor = (double)gamma[i] * inverse;
        double mean_du = n->du[i] / (double)n->n_frames, mean_du_x = n->du_x[i] / (double)n->n_frames;
        a[i] = (float)factor;
        b[i] = (float)(-factor * mean_du_x * inverse);
        c[i] = (float)(factor * (mean_du_x * inverse * (double)n->centre[i] - mean_du));
    }
}

SER_INLINE void backward(void *dx, const void *du, const void *x, bool half, const float *a, const float *b,
                         const float *c, size_t n_frames, size_t n)
{
    for (size_t t = 0; t < n_frames; t++)
        for (size_t i = 0; i < n; i += SER_N_LANES) {
            size_t at = t * n + i, left = n - i;
            ser_lanes d = ser_row_load(a, i, left) * ser_row_load_as(du, half, at, left) +
                          ser_row_load(b, i, left) * ser_row_load_as(x, half, at, left) +
                          ser_row_load(c, i, left);
            ser_row_store_as(dx, half, at, left, d);
        }
}

SER_FAST(void, ser_nn_batch_norm_backward,
         (void *dx, const void *du, const void *x, ser_dtype type, const float *a, const float *b,
          const float *c, size_t n_frames, size_t n),
         (dx, du, x, type, a, b, c, n_frames, n))
{
    if (type == SER_BF16)
        backward(dx, du, x, true, a, b, c, n_frames, n);
    else
        backward(dx, du, x, false, a, b, c, n_frames, n);
}
