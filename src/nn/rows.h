/* Rows of fp32 or bf16 numbers as lanes, also where fewer than SER_N_LANES are left. */
#ifndef SER_NN_ROWS_H
#define SER_NN_ROWS_H

#include "io/safetensors.h"
#include "nn/lanes.h"

SER_INLINE ser_lanes ser_lanes_load_bf16(const uint16_t *x)
{
    ser_half_lanes half;
    memcpy(&half, x, sizeof half);
    return (ser_lanes)(__builtin_convertvector(half, ser_int_lanes) << 16);
}

/* x[i ...], of which n_left are there; the lanes beyond are 0. */
SER_INLINE ser_lanes ser_row_load(const void *x, size_t i, size_t n_left, ser_dtype type)
{
    if (type == SER_F32) {
        const float *from = (const float *)x + i;
        if (n_left >= SER_N_LANES)
            return ser_lanes_load(from);
        float part[SER_N_LANES] = {0};
        memcpy(part, from, n_left * sizeof *part);
        return ser_lanes_load(part);
    }
    const uint16_t *from = (const uint16_t *)x + i;
    if (n_left >= SER_N_LANES)
        return ser_lanes_load_bf16(from);
    uint16_t part[SER_N_LANES] = {0};
    memcpy(part, from, n_left * sizeof *part);
    return ser_lanes_load_bf16(part);
}

SER_INLINE void ser_row_store(void *y, size_t i, size_t n_left, ser_dtype type, ser_lanes v)
{
    size_t n = n_left < SER_N_LANES ? n_left : SER_N_LANES;
    if (type == SER_F32) {
        float *to = (float *)y + i;
        if (n == SER_N_LANES)
            ser_lanes_store(to, v);
        else
            memcpy(to, &v, n * sizeof *to);
        return;
    }
    uint16_t *to = (uint16_t *)y + i;
    if (n == SER_N_LANES) {
        ser_lanes_store_bf16(to, v);
    } else {
        uint16_t part[SER_N_LANES];
        ser_lanes_store_bf16(part, v);
        memcpy(to, part, n * sizeof *to);
    }
}

/* 1 / (1 + exp(-x)), without overflow on either side. */
SER_INLINE ser_lanes ser_lanes_sigmoid(ser_lanes x)
{
    ser_int_lanes negative = x < 0;
    ser_lanes e = ser_lanes_exp(ser_lanes_select(negative, x, -x));
    return ser_lanes_select(negative, e, ser_lanes_of(1)) / (1 + e);
}

#endif
