#include "nn/rows.h"
#include "nn/trainable.h"

SER_FAST void ser_nn_time_mean_forward(float *mean, const void *x, size_t n_frames, size_t n, ser_dtype type)
{
    for (size_t i = 0; i < n; i += SER_N_LANES) {
        ser_lanes sum = {0};
        for (size_t t = 0; t < n_frames; t++)
            sum += ser_row_load(x, t * n + i, n - i, type);
        ser_lanes before = ser_row_load(mean, i, n - i, SER_F32);
        ser_row_store(mean, i, n - i, SER_F32, before + sum / (float)n_frames);
    }
}

SER_FAST void ser_nn_time_mean_backward(float *dx, const float *dmean, size_t n_frames, size_t n)
{
    for (size_t t = 0; t < n_frames; t++, dx += n)
        for (size_t i = 0; i < n; i++)
            dx[i] += dmean[i] / (float)n_frames;
}
