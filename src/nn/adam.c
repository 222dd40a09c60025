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

SER_FAST static void update(float *restrict values, float *restrict mean, float *restrict square,
                            float *restrict gradients, size_t n, float rate, float beta1, float beta2,
                            float eps)
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

double ser_schedule_rate(const ser_schedule *s, uint64_t step)
{
    if (step < s->n_warmup)
        return s->rate * (double)(step + 1) / (double)s->n_warmup;
    double done =
        s->n_steps > s->n_warmup ? (double)(step - s->n_warmup) / (double)(s->n_steps - s->n_warmup) : 1;
    done = done < 1 ? done : 1;
    return s->rate * (1 - s->decay * (1 - cos(3.141592653589793 * done)) / 2);
}

SER_FAST void ser_average_add(float *average, const float *values, size_t n, size_t n_before)
{
    float share = 1 / (float)(n_before + 1);
    for (size_t i = 0; i < n; i++)
        average[i] += (values[i] - average[i]) * share;
}
