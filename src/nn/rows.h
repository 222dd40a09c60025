/* Rows of numbers as lanes, also where fewer than SER_N_LANES are left. */
#ifndef SER_NN_ROWS_H
#define SER_NN_ROWS_H

#include "nn/lanes.h"
#include <stdbool.h>

/* x[i ...], of which n_left are there; the lanes beyond are 0. */
SER_INLINE ser_lanes ser_row_load(const float *x, size_t i, size_t n_left)
{
    if (n_left >= SER_N_LANES)
        return ser_lanes_load(x + i);
    float part[SER_N_LANES] = {0};
    memcpy(part, x + i, n_left * sizeof *part);
    return ser_lanes_load(part);
}

SER_INLINE void ser_row_store(float *y, size_t i, size_t n_left, ser_lanes v)
{
    if (n_left >= SER_N_LANES)
        ser_lanes_store(y + i, v);
    else
        memcpy(y + i, &v, n_left * sizeof *y);
}

/* x[i ...] of fp32 or, where half, bf16. */
SER_INLINE ser_lanes ser_row_load_as(const void *x, bool half, size_t i, size_t n_left)
{
    if (!half)
        return ser_row_load(x, i, n_left);
    if (n_left >= SER_N_LANES)
        return ser_lanes_load_bf16((const uint16_t *)x + i);
    uint16_t part[SER_N_LANES] = {0};
    memcpy(part, (const uint16_t *)x + i, n_left * sizeof *part);
    return ser_lanes_load_bf16(part);
}

/* y[i ...] as fp32 or, where half, bf16. */
SER_INLINE void ser_row_store_as(void *y, bool half, size_t i, size_t n_left, ser_lanes v)
{
    if (!half) {
        ser_row_store(y, i, n_left, v);
    } else if (n_left >= SER_N_LANES) {
        ser_lanes_store_bf16((uint16_t *)y + i, v);
    } else {
        uint16_t part[SER_N_LANES];
        ser_lanes_store_bf16(part, v);
        memcpy((uint16_t *)y + i, part, n_left * sizeof *part);
    }
}

/* 1 / (1 + exp(-x)). */
SER_INLINE ser_lanes ser_lanes_sigmoid(ser_lanes x)
{
    return 1 / (1 + ser_lanes_exp(-ser_lanes_max(x, ser_lanes_of(-87))));
}

#endif
