#include "nn/quantise.h"
#include "nn/lanes.h"

#include <math.h>

enum { WEIGHT_MAX = 127 };

SER_FAST(float, ser_nn_quantise_weights, (int8_t *restrict q, float *sum, const float *restrict w, size_t n),
         (q, sum, w, n))
{
    ser_lanes lanes = {0};
    int32_t total = 0;
    size_t n_whole = n - n % SER_N_LANES;
    for (size_t i = 0; i < n_whole; i += SER_N_LANES)
        lanes = ser_lanes_max(lanes, ser_lanes_max(ser_lanes_load(w + i), -ser_lanes_load(w + i)));
    float largest = ser_lanes_highest(lanes);
    for (size_t i = n_whole; i < n; i++)
        largest = fabsf(w[i]) > largest ? fabsf(w[i]) : largest;
    float scale = largest > 1e-30f ? largest / WEIGHT_MAX : 1;
    for (size_t i = 0; i < n; i++) {
        int32_t rounded = (int32_t)rintf(w[i] / scale);
        q[i] = (int8_t)rounded;
        total += rounded;
    }
    *sum = scale * (float)total;
    return scale;
}

float ser_nn_quantise_words(int16_t *q, float *sum, const float *w, size_t n)
{
    double largest = 0, all = 0;
    for (size_t i = 0; i < n; i++) {
        double magnitude = fabs((double)w[i]);
        largest = magnitude > largest ? magnitude : largest;
        all += magnitude;
    }
    /* Rounded up, each by a half. */
    double most = (double)INT32_MAX / SER_WORD_ACTIVATION_MAX - (double)n / 2 - 1;
    double wanted = fmax(largest / INT16_MAX, all / most);
    float scale = wanted > 1e-30 ? (float)(wanted * 1.000001) : 1;
    int64_t total = 0;
    for (size_t i = 0; i < n; i++) {
        q[i] = (int16_t)rintf(w[i] / scale);
        total += q[i];
    }
    *sum = scale * (float)total;
    return scale;
}
