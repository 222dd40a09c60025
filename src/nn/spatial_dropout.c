#include "base/random.h"
#include "base/vector.h"
#include "nn/trainable.h"

void ser_nn_dropout_draw(float *factors, size_t n, double rate, uint64_t seed)
{
    ser_random random;
    ser_random_init(&random, seed);
    for (size_t i = 0; i < n; i++)
        factors[i] = ser_random_uniform(&random) >= rate ? (float)(1 / (1 - rate)) : 0;
}

SER_FAST(void, ser_nn_multiply, (float *x, const float *factors, size_t n), (x, factors, n))
{
    for (size_t i = 0; i < n; i++)
        x[i] *= factors[i];
}
