#include "base/vector.h"

SER_FAST(void, ser_add_scaled, (float *y, const float *x, float by, size_t n), (y, x, by, n))
{
    for (size_t i = 0; i < n; i++)
        y[i] += by * x[i];
}

SER_FAST(float, ser_dot_f32, (const float *a, const float *b, size_t n), (a, b, n))
{
    return ser_lanes_dot(a, b, n);
}
