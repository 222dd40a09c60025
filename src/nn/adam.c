#include "nn/adam.h"
#include "base/memory.h"
#include "base/vector.h"

#include <math.h>

static const double epsilon = 1e-7; /* Keras's */

ser_status ser_adam_init(ser_adam *a, size_t n, double beta1, double beta2, ser_error *err)
{
    *a = (ser_adam){.n = n, .beta1 = beta1, .beta2 = beta2};
    a->mean = ser_alloc(n, sizeof *a->mean);
    a->square = ser_alloc(n, sizeof *a->square);
    if (a->mean && a->square)
        return SER_OK;
    ser_adam_release(a);
    return ser_fail_nomem(err);
}

void ser_adam_release(ser_adam *a)
{
    ser_free(a->mean);
    ser_free(a->square);
    *a = (ser_adam){0};
}

SER_FAST_STATIC(void, update,
                (float *restrict values, float *restrict mean, float *restrict square,
                 float *restrict gradients, size_t n, float rate, float beta1, float beta2, float eps),
                (values, mean, square, gradients, n, rate, beta1, beta2, eps))
{
    for (size_t i = 0; i < n; i++) {
        float g = gradients[i];
        mean[i] += (g - mean[i]) * (1 - beta1);
        square[i] += (g * g - square[i]) * (1 - beta2);
        values[i] -= rate * mean[i] / (__builtin_sqrtf(square[i]) + eps);
        gradients[i] = 0;
    }
}

void ser_adam_step(ser_adam *a, float *values, float *gradients, double rate)
{
    double t = (double)++a->step;
    rate *= sqrt(1 - pow(a->beta2, t)) / (1 - pow(a->beta1, t));
    update(values, a->mean, a->square, gradients, a->n, (float)rate, (float)a->beta1, (float)a->beta2,
           (float)epsilon);
}

SER_FAST_STATIC(void, update_decoupled,
                (const ser_adamw_arrays *a, float rate, float beta1, float beta2, float eps, float root,
                 float shrink, float by),
                (a, rate, beta1, beta2, eps, root, shrink, by))
{
    float *restrict values = a->values, *restrict mean = a->mean, *restrict square = a->square;
    const float *restrict gradients = a->gradients;
    for (size_t i = 0; i < a->n; i++) {
        float g = gradients[i] * by;
        mean[i] += (g - mean[i]) * (1 - beta1);
        square[i] = square[i] * beta2 + g * g * (1 - beta2);
        values[i] = values[i] * shrink - rate * mean[i] / (__builtin_sqrtf(square[i]) * root + eps);
    }
}

/* y += (x - y) * share. */
SER_FAST_STATIC(void, move_towards, (float *restrict y, const float *restrict x, size_t n, float share),
                (y, x, n, share))
{
    for (size_t i = 0; i < n; i++)
        y[i] += (x[i] - y[i]) * share;
}

void ser_adamw_step(const ser_adamw *s, const ser_adamw_arrays *a)
{
    double t = (double)s->step;
    double rate = s->rate / (1 - pow(s->beta1, t)), root = 1 / sqrt(1 - pow(s->beta2, t));
    if (a->origin && s->pull > 0)
        move_towards(a->values, a->origin, a->n, (float)fmin(1, s->rate * s->pull));
    update_decoupled(a, (float)rate, (float)s->beta1, (float)s->beta2, (float)s->epsilon, (float)root,
                     (float)(1 - s->rate * s->decay), (float)s->gradient_scale);
    if (a->average)
        move_towards(a->average, a->values, a->n, (float)s->average_share);
}

SER_FAST(double, ser_sum_of_squares, (const float *x, size_t n), (x, n))
{
    enum { N_SUMS = 16 };
    double sums[N_SUMS] = {0}, sum = 0;
    size_t n_whole = n - n % N_SUMS;
    for (size_t i = 0; i < n_whole; i += N_SUMS)
        for (size_t j = 0; j < N_SUMS; j++)
            sums[j] += (double)x[i + j] * (double)x[i + j];
    for (size_t j = 0; j < N_SUMS; j++)
        sum += sums[j];
    for (size_t i = n_whole; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    return sum;
}

double ser_schedule_rate(const ser_schedule *s, uint64_t step)
{
    if (step < s->n_warmup)
        return s->rate * (double)(step + 1) / (double)s->n_warmup;
    double done =
        s->n_steps > s->n_warmup ? (double)(step - s->n_warmup) / (double)(s->n_steps - s->n_warmup) : 1;
    done = done < 1 ? done : 1;
    return s->rate * (1 - s->decay * (1 - cos(3.141592653589793 * done)) / 2);
}

SER_FAST(void, ser_average_add, (float *average, const float *values, size_t n, size_t n_before),
         (average, values, n, n_before))
{
    float share = 1 / (float)(n_before + 1);
    for (size_t i = 0; i < n; i++)
        average[i] += (values[i] - average[i]) * share;
}
