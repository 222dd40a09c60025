/* 8 bits: activations row by row, asymmetric, when they come; weights row by row, symmetric, once. Nothing is
 * ever measured over a batch, so that a row's result does not depend on its neighbours. */
#ifndef SER_NN_QUANTISE_H
#define SER_NN_QUANTISE_H

#include "nn/ops.h"

/* w (n) -> q (n): w is about scale * q; returns the scale. sum: of w as q says it. */
float ser_nn_quantise_weights(int8_t *q, float *sum, const float *w, size_t n);

/* The same in 16 bits, of which so many are used that the sum of products with activations of 12 bits fits
 * into 32, whatever they are; n is at most SER_WORD_N_MAX. The more there are, the coarser they become: from
 * some 20,000 on, coarser than bytes. */
enum { SER_WORD_ACTIVATION_MAX = 4095, SER_WORD_N_MAX = 1 << 13 };
float ser_nn_quantise_words(int16_t *q, float *sum, const float *w, size_t n);

/* x (n_rows, n), rows x_row apart -> q (n_rows, ld), zeros behind n: x is about lows[t] + steps[t] * q; q is
 * at most highest, which is at most 255. A row with NaN or an infinity has NaN for lows[t], and zeros. */
void ser_nn_quantise_rows(uint8_t *q, size_t ld, float *lows, float *steps, const void *x, ser_dtype x_type,
                          size_t x_row, size_t n_rows, size_t n, int highest);
/* x in fp32, q at most SER_WORD_ACTIVATION_MAX. */
void ser_nn_quantise_rows_to_words(uint16_t *q, size_t ld, float *lows, float *steps, const float *x,
                                   size_t x_row, size_t n_rows, size_t n);

/* What the products q_x q_w say about x w, then, of row t and column o: steps[t] * scales[o] * sums[t,o] +
 * lows[t] * weight_sums[o]. */

#endif
