#include "nn/trainable.h"

void ser_nn_weighted_sum_forward(float *y, const float *x, const float *w, size_t n_parts, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = 0;
    for (size_t j = 0; j < n_parts; j++)
        for (size_t i = 0; i < n; i++)
            y[i] += w[j] * x[j * n + i];
}

/* forward was: y[i] += w[j] x[j,i], so: dx[j,i] = w[j] dy[i], dw[j] += sum over i of x[j,i] dy[i]. */
void ser_nn_weighted_sum_backward(float *dx, float *dw, const float *dy, const float *x, const float *w,
                                  size_t n_parts, size_t n)
{
    for (size_t j = 0; j < n_parts; j++) {
        double sum = 0;
        for (size_t i = 0; i < n; i++) {
            dx[j * n + i] = w[j] * dy[i];
            sum += (double)x[j * n + i] * (double)dy[i];
        }
        dw[j] += (float)sum;
    }
}
