#include "nn/rows.h"
#include "nn/speech.h"
#include "nn/trainable.h"

#include <math.h>

/* Mean and 1 / sqrt(variance + epsilon) of a row. */
SER_INLINE void row_statistics(float *mean, float *inverse, const float *x, size_t dims, float epsilon)
{
    size_t n_whole = dims - dims % SER_N_LANES;
    ser_lanes lanes = {0};
    float rest = 0;
    for (size_t i = 0; i < n_whole; i += SER_N_LANES)
        lanes += ser_lanes_load(x + i);
    for (size_t i = n_whole; i < dims; i++)
        rest += x[i];
    float m = (ser_lanes_sum(lanes) + rest) / (float)dims;
    lanes = (ser_lanes){0};
    rest = 0;
    for (size_t i = 0; i < n_whole; i += SER_N_LANES) {
        ser_lanes d = ser_lanes_load(x + i) - m;
        lanes += d * d;
    }
    for (size_t i = n_whole; i < dims; i++)
        rest += (x[i] - m) * (x[i] - m);
    *mean = m;
    *inverse = 1 / sqrtf((ser_lanes_sum(lanes) + rest) / (float)dims + epsilon);
}

SER_FAST_STATIC(void, normalise_f32,
                (float *y, const float *x, const float *scale, const float *shift, size_t n_rows, size_t dims,
                 float epsilon),
                (y, x, scale, shift, n_rows, dims, epsilon))
{
    for (size_t t = 0; t < n_rows; t++, x += dims, y += dims) {
        float mean, inverse;
        row_statistics(&mean, &inverse, x, dims, epsilon);
        for (size_t i = 0; i < dims; i++)
            y[i] = (x[i] - mean) * inverse * scale[i] + shift[i];
    }
}

SER_FAST_STATIC(void, normalise_bf16,
                (uint16_t *restrict y, const float *restrict x, const float *restrict scale,
                 const float *restrict shift, size_t n_rows, size_t dims, float epsilon),
                (y, x, scale, shift, n_rows, dims, epsilon))
{
    for (size_t t = 0; t < n_rows; t++, x += dims, y += dims) {
        float mean, inverse;
        row_statistics(&mean, &inverse, x, dims, epsilon);
        for (size_t i = 0; i < dims; i++)
            y[i] = ser_bf16_of((x[i] - mean) * inverse * scale[i] + shift[i]);
    }
}

void ser_nn_layernorm_forward(void *y, ser_dtype y_type, const float *x, const float *scale,
                              const float *shift, size_t n_rows, size_t dims, float epsilon)
{
    if (y_type == SER_F32)
        normalise_f32(y, x, scale, shift, n_rows, dims, epsilon);
    else
        normalise_bf16(y, x, scale, shift, n_rows, dims, epsilon);
}

/* Lane by lane, so that the normalised row is not written before it goes through GELU. */
SER_INLINE void normalise_gelu(void *y, bool half, const float *x, const float *scale, const float *shift,
                               size_t n_rows, size_t dims, float epsilon)
{
    for (size_t t = 0; t < n_rows; t++, x += dims) {
        float mean, inverse;
        row_statistics(&mean, &inverse, x, dims, epsilon);
        for (size_t i = 0; i < dims; i += SER_N_LANES) {
            ser_lanes v = (ser_row_load(x, i, dims - i) - mean) * inverse;
            if (scale)
                v = v * ser_row_load(scale, i, dims - i) + ser_row_load(shift, i, dims - i);
            ser_row_store_as(y, half, t * dims + i, dims - i, ser_lanes_gelu(v));
        }
    }
}

SER_FAST_STATIC(void, normalise_gelu_f32,
                (float *y, const float *x, const float *scale, const float *shift, size_t n_rows, size_t dims,
                 float epsilon),
                (y, x, scale, shift, n_rows, dims, epsilon))
{
    normalise_gelu(y, false, x, scale, shift, n_rows, dims, epsilon);
}

SER_FAST_STATIC(void, normalise_gelu_bf16,
                (uint16_t * y, const float *x, const float *scale, const float *shift, size_t n_rows,
                 size_t dims, float epsilon),
                (y, x, scale, shift, n_rows, dims, epsilon))
{
    normalise_gelu(y, true, x, scale, shift, n_rows, dims, epsilon);
}

void ser_nn_layernorm_gelu_forward(void *y, ser_dtype y_type, const float *x, const float *scale,
                                   const float *shift, size_t n_rows, size_t dims, float epsilon)
{
    if (y_type == SER_F32)
        normalise_gelu_f32(y, x, scale, shift, n_rows, dims, epsilon);
    else
        normalise_gelu_bf16(y, x, scale, shift, n_rows, dims, epsilon);
}

/* What a row's gradient is made of: sums over the row of d = dy * scale, and of d times the normalised row.
 */
SER_INLINE void gradient_sums(float *sum, float *sum_x, const float *dy, const float *x, const float *scale,
                              size_t dims, float mean, float inverse)
{
    ser_lanes lanes = {0}, lanes_x = {0};
    for (size_t i = 0; i < dims; i += SER_N_LANES) {
        ser_lanes d = ser_row_load(dy, i, dims - i) * ser_row_load(scale, i, dims - i);
        lanes += d;
        lanes_x += d * ((ser_row_load(x, i, dims - i) - mean) * inverse);
    }
    *sum = ser_lanes_sum(lanes);
    *sum_x = ser_lanes_sum(lanes_x);
}

/* With n = (x - mean) * inverse and d = dy * scale: dx += inverse (d - mean(d) - n mean(d n)). */
SER_FAST(void, ser_nn_layernorm_backward,
         (float *dx, float *dscale, float *dshift, const float *dy, const float *x, const float *scale,
          size_t n_rows, size_t dims, float epsilon),
         (dx, dscale, dshift, dy, x, scale, n_rows, dims, epsilon))
{
    for (size_t t = 0; t < n_rows; t++, x += dims, dy += dims, dx += dims) {
        float mean, inverse, sum, sum_x;
        row_statistics(&mean, &inverse, x, dims, epsilon);
        gradient_sums(&sum, &sum_x, dy, x, scale, dims, mean, inverse);
        float mean_d = sum / (float)dims, mean_dn = sum_x / (float)dims;
        for (size_t i = 0; i < dims; i += SER_N_LANES) {
            size_t n = dims - i;
            ser_lanes g = ser_row_load(dy, i, n), normed = (ser_row_load(x, i, n) - mean) * inverse;
            ser_lanes d = g * ser_row_load(scale, i, n) - mean_d - normed * mean_dn;
            ser_row_store(dx, i, n, ser_row_load(dx, i, n) + d * inverse);
            ser_row_store(dscale, i, n, ser_row_load(dscale, i, n) + g * normed);
            ser_row_store(dshift, i, n, ser_row_load(dshift, i, n) + g);
        }
    }
}
