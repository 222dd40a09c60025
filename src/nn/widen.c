#include "base/vector.h"
#include "nn/trainable.h"

SER_FAST static void widen_bf16(float *restrict y, const uint16_t *restrict x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = (uint32_t)x[i] << 16;
        memcpy(&y[i], &bits, sizeof bits);
    }
}

void ser_nn_widen(float *y, const void *x, ser_dtype type, size_t n)
{
    if (type == SER_BF16)
        widen_bf16(y, x, n);
    else
        memcpy(y, x, n * sizeof *y);
}
