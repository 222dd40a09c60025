#include "nn/rows.h"
#include "nn/trainable.h"

SER_FAST(void, ser_nn_to_bf16, (uint16_t *restrict y, const float *restrict x, size_t n), (y, x, n))
{
    for (size_t i = 0; i < n; i++)
        y[i] = ser_bf16_of(x[i]);
}

void ser_nn_convert(void *y, ser_dtype y_type, const float *x, size_t n)
{
    if (y_type == SER_BF16)
        ser_nn_to_bf16(y, x, n);
    else
        memcpy(y, x, n * sizeof *x);
}

SER_FAST_STATIC(void, add_bf16, (float *restrict y, const uint16_t *restrict x, size_t n), (y, x, n))
{
    for (size_t i = 0; i < n; i += SER_N_LANES)
        ser_row_store(y, i, n - i, ser_row_load(y, i, n - i) + ser_row_load_as(x, true, i, n - i));
}

void ser_nn_add_typed(float *y, const void *x, ser_dtype type, size_t n)
{
    if (type == SER_BF16)
        add_bf16(y, x, n);
    else
        ser_nn_add_rows(y, x, 1, n);
}
