/* 8 bits: activations row by row, asymmetric, when they come; weights row by row, symmetric, once. Nothing is
 * ever measured over a batch, so that a row's result does not depend on its neighbours. */
#ifndef SER_NN_QUANTISE_H
#define SER_NN_QUANTISE_H

#include "nn/ops.h"

/* w (n) -> q (n): w is about scale * q; returns the scale. sum: of w as q says it. */
float ser_nn_quantise_weights(int8_t *q, float *sum, const float *w, size_t n);

/* x (n_rows, n) -> q (n_rows, ld), zeros behind n: x is about lows[t] + steps[t] * q; q is at most highest.
 */
void ser_nn_quantise_rows(uint8_t *q, size_t ld, float *lows, float *steps, const void *x, ser_dtype x_type,
                          size_t n_rows, size_t n);

/* What the products q_x q_w say about x w: y[t,o] = act(steps[t] * scales[o] * sums[t,o] + lows[t] *
 * weight_sums[o] + bias[o]), y (n_rows, n_out); add: y += (fp32 only, no activation). */
typedef struct ser_nn_quantised {
    const float *scales, *weight_sums, *bias; /* (n_out) */
    const float *lows, *steps;                /* (n_rows) */
    size_t n_rows, n_out, sums_row, y_row;    /* the latter: from one row to the next */
    ser_activation act;
} ser_nn_quantised;
void ser_nn_dequantise(void *y, ser_dtype y_type, const int32_t *sums, const ser_nn_quantised *q, bool add);

#endif
