#include "model/linear.h"
#include "base/memory.h"

#include <math.h>
#include <string.h>

ser_status ser_linear_init(ser_linear *l, size_t n_in, size_t n_labels, ser_error *err)
{
    size_t n_weights;
    *l = (ser_linear){.n_in = n_in, .n_labels = n_labels, .temperature = 1};
    if (ser_mul_size(&n_weights, n_in, n_labels)) {
        l->mean = ser_alloc(n_in, sizeof *l->mean);
        l->scale = ser_alloc(n_in, sizeof *l->scale);
        l->w = ser_alloc(n_weights, sizeof *l->w);
        l->bias = ser_alloc(n_labels, sizeof *l->bias);
    }
    if (!l->mean || !l->scale || !l->w || !l->bias) {
        ser_linear_release(l);
        return ser_fail_nomem(err);
    }
    for (size_t i = 0; i < n_in; i++)
        l->scale[i] = 1;
    return SER_OK;
}

void ser_linear_release(ser_linear *l)
{
    ser_free(l->mean);
    ser_free(l->scale);
    ser_free(l->w);
    ser_free(l->bias);
    *l = (ser_linear){0};
}

ser_status ser_linear_copy(ser_linear *to, const ser_linear *from, ser_error *err)
{
    ser_status st = ser_linear_init(to, from->n_in, from->n_labels, err);
    if (st != SER_OK)
        return st;
    memcpy(to->mean, from->mean, from->n_in * sizeof *from->mean);
    memcpy(to->scale, from->scale, from->n_in * sizeof *from->scale);
    memcpy(to->w, from->w, from->n_in * from->n_labels * sizeof *from->w);
    memcpy(to->bias, from->bias, from->n_labels * sizeof *from->bias);
    to->temperature = from->temperature;
    return SER_OK;
}

void ser_linear_logits(const ser_linear *l, float *logits, const float *x)
{
    for (size_t k = 0; k < l->n_labels; k++) {
        const float *w = l->w + k * l->n_in;
        double sum = l->bias[k];
        for (size_t i = 0; i < l->n_in; i++)
            sum += (double)(w[i] * ((x[i] - l->mean[i]) * l->scale[i]));
        logits[k] = (float)sum;
    }
}

void ser_softmax(float *logits, size_t n, float temperature)
{
    float max = logits[0];
    double sum = 0;
    for (size_t i = 1; i < n; i++)
        max = logits[i] > max ? logits[i] : max;
    for (size_t i = 0; i < n; i++) {
        logits[i] = expf((logits[i] - max) / temperature);
        sum += (double)logits[i];
    }
    for (size_t i = 0; i < n; i++)
        logits[i] = (float)((double)logits[i] / sum);
}
