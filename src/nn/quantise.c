#include "nn/quantise.h"
#include "nn/rows.h"

#include <math.h>

enum { WEIGHT_MAX = 127, ACTIVATION_MAX = 255 };

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

SER_INLINE ser_lanes load_as(const void *x, bool half, size_t i)
{
    if (!half)
        return ser_lanes_load((const float *)x + i);
    ser_half_lanes v;
    memcpy(&v, (const uint16_t *)x + i, sizeof v);
    return (ser_lanes)(__builtin_convertvector(v, ser_int_lanes) << 16);
}

SER_INLINE float value_as(const void *x, bool half, size_t i)
{
    if (!half)
        return ((const float *)x)[i];
    uint32_t bits = (uint32_t)((const uint16_t *)x)[i] << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

SER_INLINE void find_range(float *low, float *high, const void *x, bool half, size_t n)
{
    ser_lanes highest = ser_lanes_of(-INFINITY), lowest = highest; /* of x and of -x */
    size_t n_whole = n - n % SER_N_LANES;
    for (size_t i = 0; i < n_whole; i += SER_N_LANES) {
        ser_lanes v = load_as(x, half, i);
        highest = ser_lanes_max(highest, v);
        lowest = ser_lanes_max(lowest, -v);
    }
    *high = ser_lanes_highest(highest);
    *low = -ser_lanes_highest(lowest);
    for (size_t i = n_whole; i < n; i++) {
        float v = value_as(x, half, i);
        *high = v > *high ? v : *high;
        *low = v < *low ? v : *low;
    }
}

SER_INLINE void quantise(uint8_t *restrict q, size_t ld, float *lows, float *steps, const void *x, bool half,
                         size_t n_rows, size_t n)
{
    size_t size = half ? sizeof(uint16_t) : sizeof(float);
    for (size_t t = 0; t < n_rows; t++, q += ld) {
        const unsigned char *restrict row = (const unsigned char *)x + t * n * size;
        float low, high;
        find_range(&low, &high, row, half, n);
        float step = high - low > 1e-30f ? (high - low) / ACTIVATION_MAX : 1, inverse = 1 / step;
        lows[t] = low;
        steps[t] = step;
        for (size_t i = 0; i < n; i++) /* 0.5 to 255.5: truncated */
            q[i] = (uint8_t)(int32_t)((value_as(row, half, i) - low) * inverse + 0.5f);
        memset(q + n, 0, ld - n);
    }
}

SER_FAST_STATIC(void, quantise_f32,
                (uint8_t * q, size_t ld, float *lows, float *steps, const float *x, size_t n_rows, size_t n),
                (q, ld, lows, steps, x, n_rows, n))
{
    quantise(q, ld, lows, steps, x, false, n_rows, n);
}

SER_FAST_STATIC(void, quantise_bf16,
                (uint8_t * q, size_t ld, float *lows, float *steps, const uint16_t *x, size_t n_rows,
                 size_t n),
                (q, ld, lows, steps, x, n_rows, n))
{
    quantise(q, ld, lows, steps, x, true, n_rows, n);
}

void ser_nn_quantise_rows(uint8_t *q, size_t ld, float *lows, float *steps, const void *x, ser_dtype x_type,
                          size_t n_rows, size_t n)
{
    if (x_type == SER_BF16)
        quantise_bf16(q, ld, lows, steps, x, n_rows, n);
    else
        quantise_f32(q, ld, lows, steps, x, n_rows, n);
}

/* As a loop, because gcc 12 converts 16 numbers one by one where a register holds fewer. */
SER_INLINE ser_lanes load_sums(const int32_t *sums, size_t i, size_t n_left)
{
    float part[SER_N_LANES] = {0};
    if (n_left >= SER_N_LANES)
        for (size_t k = 0; k < SER_N_LANES; k++)
            part[k] = (float)sums[i + k];
    else
        for (size_t k = 0; k < n_left; k++)
            part[k] = (float)sums[i + k];
    return ser_lanes_load(part);
}

SER_INLINE void dequantise(void *y, bool half, const int32_t *sums, const ser_nn_quantised *q, bool add)
{
    size_t n = q->n_out;
    for (size_t t = 0; t < q->n_rows; t++)
        for (size_t i = 0; i < n; i += SER_N_LANES) {
            size_t left = n - i;
            ser_lanes v =
                load_sums(sums + t * q->sums_row, i, left) * ser_row_load(q->scales, i, left) * q->steps[t] +
                ser_row_load(q->weight_sums, i, left) * q->lows[t] + ser_row_load(q->bias, i, left);
            if (q->act == SER_ACT_GELU)
                v = ser_lanes_gelu(v);
            if (add)
                v += ser_row_load((const float *)y + t * q->y_row, i, left);
            ser_row_store_as(y, half, t * q->y_row + i, left, v);
        }
}

SER_FAST_STATIC(void, dequantise_f32, (float *y, const int32_t *sums, const ser_nn_quantised *q, bool add),
                (y, sums, q, add))
{
    dequantise(y, false, sums, q, add);
}

SER_FAST_STATIC(void, dequantise_bf16, (uint16_t * y, const int32_t *sums, const ser_nn_quantised *q),
                (y, sums, q))
{
    dequantise(y, true, sums, q, false);
}

void ser_nn_dequantise(void *y, ser_dtype y_type, const int32_t *sums, const ser_nn_quantised *q, bool add)
{
    if (y_type == SER_BF16)
        dequantise_bf16(y, sums, q);
    else
        dequantise_f32(y, sums, q, add);
}
