#include "nn/lanes.h"
#include "nn/layers.h"

SER_FAST void ser_nn_to_bf16(uint16_t *restrict y, const float *restrict x, size_t n)
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
