#include "base/random.h"
#include "nn/rows.h"
#include "nn/trainable.h"

size_t ser_nn_dropout_draw(uint16_t *channels, size_t n, double rate, uint64_t seed)
{
    ser_random random;
    ser_random_init(&random, seed);
    size_t n_kept = 0;
    for (size_t i = 0; i < n; i++)
        if (ser_random_uniform(&random) >= rate)
            channels[n_kept++] = (uint16_t)i;
    return n_kept;
}

void ser_nn_dropout_factors(float *keep, size_t n, const uint16_t *channels, size_t n_kept, double rate)
{
    memset(keep, 0, n * sizeof *keep);
    for (size_t j = 0; j < n_kept; j++)
        keep[channels[j]] = (float)(1 / (1 - rate));
}

SER_FAST void ser_nn_multiply(float *x, const float *factors, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] *= factors[i];
}

void ser_nn_channels_gather(float *y, size_t n_columns, const void *x, ser_dtype x_type, size_t n_channels,
                            const uint16_t *channels, size_t n_kept, size_t n_frames)
{
    for (size_t t = 0; t < n_frames; t++, y += n_columns) {
        const float *row = (const float *)x + t * n_channels;
        const uint16_t *half_row = (const uint16_t *)x + t * n_channels;
        if (x_type == SER_F32)
            for (size_t j = 0; j < n_kept; j++)
                y[j] = row[channels[j]];
        else
            for (size_t j = 0; j < n_kept; j++) {
                uint32_t bits = (uint32_t)half_row[channels[j]] << 16;
                memcpy(&y[j], &bits, sizeof bits);
            }
        memset(y + n_kept, 0, (n_columns - n_kept) * sizeof *y);
    }
}

void ser_nn_channels_scatter(float *x, size_t n_channels, const float *y, size_t n_columns,
                             const uint16_t *channels, size_t n_kept, size_t n_frames)
{
    memset(x, 0, n_frames * n_channels * sizeof *x);
    for (size_t t = 0; t < n_frames; t++, x += n_channels, y += n_columns)
        for (size_t j = 0; j < n_kept; j++)
            x[channels[j]] = y[j];
}
