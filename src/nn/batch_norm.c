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
    double **doubles[] = {&n->mean, &n->squares, &n->du, &n->du_x};
    float **floats[] = {&n->centre, &n->inverse, &n->scale, &n->shift};
    for (int i = 0; i < 4; i++)
        if (!(*doubles[i] = ser_alloc(n_channels, sizeof(double))) ||
            !(*floats[i] = ser_alloc(n_channels, sizeof(float)))) {
            ser_nn_batch_norm_release(n);
            return ser_fail_nomem(err);
        }
    return SER_OK;
}

void ser_nn_batch_norm_release(ser_nn_batch_norm *n)
{
    ser_free(n->mean);
    ser_free(n->squares);
    ser_free(n->du);
    ser_free(n->du_x);
    ser_free(n->centre);
    ser_free(n->inverse);
    ser_free(n->scale);
    ser_free(n->shift);
    *n = (ser_nn_batch_norm){0};
}

void ser_nn_batch_norm_clear(ser_nn_batch_norm *n)
{
    n->n_frames = 0;
    for (size_t i = 0; i < n->n_channels; i++)
        n->mean[i] = n->squares[i] = n->du[i] = n->du_x[i] = 0;
}

/* Of channels i ... i+15: their mean over the frames and the sum of squared distances from it. */
SER_INLINE void lanes_statistics(ser_lanes *mean, ser_lanes *squares, const float *x, size_t n_frames,
                                 size_t i, size_t n)
{
    ser_lanes sum = {0}, distances = {0};
    for (size_t t = 0; t < n_frames; t++)
        sum += ser_row_load(x + t * n, i, n - i, SER_F32);
    *mean = sum / (float)n_frames;
    for (size_t t = 0; t < n_frames; t++) {
        ser_lanes d = ser_row_load(x + t * n, i, n - i, SER_F32) - *mean;
        distances += d * d;
    }
    *squares = distances;
}

SER_FAST static void count(ser_nn_batch_norm *s, const float *x, size_t n_frames)
{
    double n_before = (double)s->n_frames, n_new = (double)n_frames, n_all = n_before + n_new;
    for (size_t i = 0; i < s->n_channels; i += SER_N_LANES) {
        ser_lanes mean, squares;
        lanes_statistics(&mean, &squares, x, n_frames, i, s->n_channels);
        for (size_t j = 0; j < SER_N_LANES && i + j < s->n_channels; j++) {
            double away = (double)mean[j] - s->mean[i + j];
            s->mean[i + j] += away * n_new / n_all;
            s->squares[i + j] += (double)squares[j] + away * away * n_before * n_new / n_all;
        }
    }
    s->n_frames += n_frames;
}

void ser_nn_batch_norm_count(ser_nn_batch_norm *n, const float *x, size_t n_frames)
{
    for (size_t t = 0; t < n_frames; t += FRAMES_AT_ONCE)
        count(n, x + t * n->n_channels, n_frames - t < FRAMES_AT_ONCE ? n_frames - t : FRAMES_AT_ONCE);
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
        double variance = n->squares[i] / (double)n->n_frames, mean = n->mean[i] + (double)bias[i];
        set_factors(n, i, n->mean[i], variance, gamma[i], beta[i]);
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

SER_FAST void ser_nn_batch_norm_backward(void *dx, size_t dx_stride, const float *du, const void *x,
                                         const float *a, const float *b, const float *c, size_t n_frames,
                                         size_t n_rows, size_t n, ser_dtype type)
{
    for (size_t i = 0; i < n; i += SER_N_LANES) {
        ser_lanes a_i = ser_row_load(a, i, n - i, SER_F32), b_i = ser_row_load(b, i, n - i, SER_F32);
        ser_lanes c_i = ser_row_load(c, i, n - i, SER_F32);
        for (size_t t = 0; t < n_frames; t++) {
            ser_lanes v = a_i * ser_row_load(du, t * n + i, n - i, SER_F32) +
                          b_i * ser_row_load(x, t * n + i, n - i, type) + c_i;
            ser_row_store(dx, t * dx_stride + i, n - i, type, v);
        }
        for (size_t t = n_frames; t < n_rows; t++)
            ser_row_store(dx, t * dx_stride + i, n - i, type, (ser_lanes){0});
    }
}
