#include "nn/rows.h"
#include "nn/trainable.h"

SER_FAST(void, ser_nn_gelu_forward, (float *x, size_t n), (x, n))
{
    size_t n_whole = n - n % SER_N_LANES;
    for (size_t i = 0; i < n_whole; i += SER_N_LANES)
        ser_lanes_store(x + i, ser_lanes_gelu(ser_lanes_load(x + i)));
    for (size_t i = n_whole; i < n; i++)
        x[i] = ser_lanes_gelu(ser_lanes_of(x[i]))[0];
}

SER_INLINE void bias_gelu(void *y, bool half_y, void *h, bool half_h, const float *x, const float *bias,
                          size_t n_rows, size_t n)
{
    for (size_t t = 0; t < n_rows; t++)
        for (size_t i = 0; i < n; i += SER_N_LANES) {
            size_t at = t * n + i;
            ser_lanes v = ser_row_load(x, at, n - i) + ser_row_load(bias, i, n - i);
            ser_row_store_as(h, half_h, at, n - i, v);
            ser_row_store_as(y, half_y, at, n - i, ser_lanes_gelu(v));
        }
}

SER_FAST_STATIC(void, bias_gelu_f32,
                (float *y, void *h, bool half_h, const float *x, const float *bias, size_t n_rows, size_t n),
                (y, h, half_h, x, bias, n_rows, n))
{
    bias_gelu(y, false, h, half_h, x, bias, n_rows, n);
}

SER_FAST_STATIC(void, bias_gelu_bf16,
                (uint16_t * y, uint16_t *h, const float *x, const float *bias, size_t n_rows, size_t n),
                (y, h, x, bias, n_rows, n))
{
    bias_gelu(y, true, h, true, x, bias, n_rows, n);
}

void ser_nn_bias_gelu_forward(void *y, ser_dtype y_type, void *h, ser_dtype h_type, const float *x,
                              const float *bias, size_t n_rows, size_t n)
{
    if (y_type == SER_F32)
        bias_gelu_f32(y, h, h_type != SER_F32, x, bias, n_rows, n);
    else
        bias_gelu_bf16(y, h, x, bias, n_rows, n);
}

/* d gelu(h) / dh = Phi(h) + h phi(h), with the normal distribution's Phi and phi; Phi by the same series as
 * ser_lanes_erf, whose exponential is phi's. */
SER_INLINE ser_lanes gelu_slope(ser_lanes h)
{
    ser_int_lanes sign = (ser_int_lanes)h & INT32_MIN;
    ser_lanes magnitude = (ser_lanes)((ser_int_lanes)h ^ sign) * 0.707106781f;
    ser_lanes e = ser_lanes_exp(-magnitude * magnitude), t = 1 / (1 + 0.3275911f * magnitude);
    ser_lanes p = ser_lanes_of(1.061405429f);
    p = p * t - 1.453152027f;
    p = p * t + 1.421413741f;
    p = p * t - 0.284496736f;
    p = p * t + 0.254829592f;
    ser_lanes erf = (ser_lanes)((ser_int_lanes)(1 - p * t * e) | sign);
    return 0.5f + 0.5f * erf + h * e * 0.398942280f;
}

SER_INLINE void gelu_backward(void *dh, bool half, float *dbias, const float *dy, const void *h,
                              size_t n_rows, size_t n)
{
    for (size_t t = 0; t < n_rows; t++)
        for (size_t i = 0; i < n; i += SER_N_LANES) {
            size_t at = t * n + i;
            ser_lanes d = ser_row_load(dy, at, n - i) * gelu_slope(ser_row_load_as(h, half, at, n - i));
            ser_row_store_as(dh, half, at, n - i, d);
            ser_row_store(dbias, i, n - i, ser_row_load(dbias, i, n - i) + d);
        }
}

SER_FAST_STATIC(void, gelu_backward_f32,
                (float *dh, float *dbias, const float *dy, const float *h, size_t n_rows, size_t n),
                (dh, dbias, dy, h, n_rows, n))
{
    gelu_backward(dh, false, dbias, dy, h, n_rows, n);
}

SER_FAST_STATIC(void, gelu_backward_bf16,
                (uint16_t * dh, float *dbias, const float *dy, const uint16_t *h, size_t n_rows, size_t n),
                (dh, dbias, dy, h, n_rows, n))
{
    gelu_backward(dh, true, dbias, dy, h, n_rows, n);
}

void ser_nn_bias_gelu_backward(void *dh, ser_dtype type, float *dbias, const float *dy, const void *h,
                               size_t n_rows, size_t n)
{
    if (type == SER_F32)
        gelu_backward_f32(dh, dbias, dy, h, n_rows, n);
    else
        gelu_backward_bf16(dh, dbias, dy, h, n_rows, n);
}
