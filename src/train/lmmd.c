#include "train/lmmd.h"
#include "base/memory.h"
#include "base/vector.h"

#include <math.h>
#include <stdbool.h>

ser_status ser_lmmd_init(ser_lmmd *l, size_t n_max, size_t n_labels, ser_error *err)
{
    *l = (ser_lmmd){.n_max = n_max, .n_labels = n_labels};
    size_t n_pairs, n_weights;
    if (ser_mul_size(&n_pairs, n_max, n_max) && ser_mul_size(&n_weights, n_max, n_labels)) {
        l->distances = ser_alloc(n_pairs, sizeof *l->distances);
        l->weights = ser_alloc(n_weights, sizeof *l->weights);
    }
    if (l->distances && l->weights)
        return SER_OK;
    ser_lmmd_release(l);
    return ser_fail_nomem(err);
}

void ser_lmmd_release(ser_lmmd *l)
{
    ser_free(l->distances);
    ser_free(l->weights);
    *l = (ser_lmmd){0};
}

SER_FAST_STATIC(float, squared_distance, (const float *a, const float *b, size_t n), (a, b, n))
{
    ser_lanes sum = {0};
    float rest = 0;
    size_t i = 0;
    for (; i + SER_N_LANES <= n; i += SER_N_LANES) {
        ser_lanes d = ser_lanes_load(a + i) - ser_lanes_load(b + i);
        sum += d * d;
    }
    for (; i < n; i++)
        rest += (a[i] - b[i]) * (a[i] - b[i]);
    return ser_lanes_sum(sum) + rest;
}

SER_FAST_STATIC(void, add_difference, (float *y, const float *a, const float *b, float by, size_t n),
                (y, a, b, by, n))
{
    for (size_t i = 0; i < n; i++)
        y[i] += by * (a[i] - b[i]);
}

/* The mean over all pairs of different recordings. */
static double measure_distances(ser_lmmd *l, const ser_lmmd_batch *b)
{
    size_t n = b->n_source + b->n_target;
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        l->distances[i * n + i] = 0;
        for (size_t j = 0; j < i; j++) {
            float d = squared_distance(b->x + i * b->dims, b->x + j * b->dims, b->dims);
            l->distances[i * n + j] = l->distances[j * n + i] = d;
            sum += 2 * (double)d;
        }
    }
    return n > 1 ? sum / (double)(n * n - n) : 0;
}

/* Each class's memberships add up to 1 in the source and to -1 in the target, divided by the root of the
 * number of classes that are compared: the product of two recordings' rows is then the weight of their
 * kernel. */
static void weigh(ser_lmmd *l, const ser_lmmd_batch *b)
{
    size_t n = b->n_source + b->n_target, n_labels = b->n_labels, n_compared = 0;
    for (size_t c = 0; c < n_labels; c++) {
        double source = 0, target = 0;
        for (size_t i = 0; i < n; i++)
            *(i < b->n_source ? &source : &target) += (double)b->membership[i * n_labels + c];
        bool compared = source > 0 && target > 0;
        n_compared += compared;
        for (size_t i = 0; i < n; i++) {
            double total = i < b->n_source ? source : -target;
            l->weights[i * n_labels + c] =
                compared ? (float)((double)b->membership[i * n_labels + c] / total) : 0;
        }
    }
    float by = n_compared ? 1 / sqrtf((float)n_compared) : 0;
    for (size_t i = 0; i < n * n_labels; i++)
        l->weights[i] *= by;
}

double ser_lmmd_compute(ser_lmmd *l, float *dx, const ser_lmmd_batch *b, double weight)
{
    size_t n = b->n_source + b->n_target, n_labels = b->n_labels;
    double mean = measure_distances(l, b), loss = 0;
    weigh(l, b);
    if (mean <= 0)
        return 0;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j <= i; j++) {
            double w = 0, kernel = 0, slope = 0, width = 4 * mean;
            for (size_t c = 0; c < n_labels; c++)
                w += (double)l->weights[i * n_labels + c] * (double)l->weights[j * n_labels + c];
            /* Half the width is the square of the Gaussian. */
            double gaussian = exp(-(double)l->distances[i * n + j] / width);
            for (int k = 0; k < 5; k++, gaussian *= gaussian, width /= 2) {
                kernel += gaussian;
                slope -= gaussian / width;
            }
            loss += (i == j ? 1 : 2) * w * kernel;
            l->distances[i * n + j] = l->distances[j * n + i] = (float)(4 * weight * w * slope);
        }
    for (size_t i = 0; i < n && dx; i++)
        for (size_t j = 0; j < n; j++)
            if (j != i)
                add_difference(dx + i * b->dims, b->x + i * b->dims, b->x + j * b->dims,
                               l->distances[i * n + j], b->dims);
    return loss;
}

double ser_lmmd_schedule(size_t step, size_t n_steps)
{
    return 2 / (1 + exp(-10 * (double)step / (double)n_steps)) - 1;
}
