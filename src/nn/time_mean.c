#include "nn/rows.h"
#include "nn/trainable.h"

SER_FAST void ser_nn_time_mean_forward(float *mean, const float *x, size_t n_rows, size_t n, size_t n_frames)
{
    for (size_t i = 0; i < n; i += SER_N_LANES) {
        ser_lanes sum = {0};
        for (size_t t = 0; t < n_rows; t++)
            sum += ser_row_load(x, t * n + i, n - i);
        ser_row_store(mean, i, n - i, ser_row_load(mean, i, n - i) + sum / (float)n_frames);
    }
}

SER_FAST void ser_nn_time_mean_backward(float *dx, const float *dmean, size_t n_rows, size_t n,
                                        size_t n_frames)
{
    for (size_t i = 0; i < n; i += SER_N_LANES) {
        ser_lanes d = ser_row_load(dmean, i, n - i) / (float)n_frames;
        for (size_t t = 0; t < n_rows; t++)
            ser_row_store(dx, t * n + i, n - i, d + ser_row_load(dx, t * n + i, n - i));
    }
}
