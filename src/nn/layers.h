/* The layers that are no matrix products. Activations are fp32 or, where a type is given, of that type
 * (ser_nn_work_type). */
#ifndef SER_NN_LAYERS_H
#define SER_NN_LAYERS_H

#include "nn/ops.h"
#include <stdint.h>

/* y = bf16(x), rounded to nearest even; n elements. */
void ser_nn_to_bf16(uint16_t *y, const float *x, size_t n);
/* y = x as this type, fp32 or bf16. */
void ser_nn_convert(void *y, ser_dtype y_type, const float *x, size_t n);

/* Layer normalisation (Ba et al. 2016, arXiv:1607.06450): x (n_rows, dims) -> y (n_rows, dims):
 * y[t,i] = (x[t,i] - mean_t) / sqrt(var_t + epsilon) * scale[i] + shift[i], var_t divided by dims. y may be x
 * when its type is SER_F32. */
void ser_nn_layernorm_forward(void *y, ser_dtype y_type, const float *x, const float *scale,
                              const float *shift, size_t n_rows, size_t dims, float epsilon);

/* GELU (Hendrycks and Gimpel 2016, arXiv:1606.08415): x[i] = x[i] (1 + erf(x[i] / sqrt 2)) / 2, in place, to
 * 1e-6. Linear layers with SER_ACT_GELU do the same. */
void ser_nn_gelu_forward(float *x, size_t n);

/* Self-attention without a mask (Vaswani et al. 2017, arXiv:1706.03762, section 3.2), each head on its own
 * columns: y = softmax(q k^T / sqrt(head_dims) + bias) v. q, y (n_queries, n_heads * head_dims); k, v
 * (n_frames, the same), with room for ser_nn_round_rows(n_frames) rows, those beyond n_frames finite and
 * without effect. All are activations of the work's type; y may be q. */
typedef struct ser_nn_attention {
    size_t n_queries, n_frames, n_heads, head_dims;
    /* Position biases, where table is not NULL: gates[t, h] * table[h, s - t + n_frames - 1] for query t and
     * key s; gates (n_queries, n_heads), table (n_heads, 2 n_frames - 1). first_query: where in the recording
     * query 0 is. */
    const float *table, *gates;
    size_t first_query;
} ser_nn_attention;
ser_status ser_nn_attention_forward(ser_nn_work *work, void *y, const void *q, const void *k, const void *v,
                                    const ser_nn_attention *shape, ser_error *err);

/* Convolution over time with zero padding on both sides, then the activation: x (n_frames, n_in) ->
 * y[t,o] = act(bias[o] + sum over i,j of w[o,i,j] x[stride t + j - padding, i]). */
typedef struct ser_nn_conv_shape {
    size_t n_out, n_in, kernel, stride, padding;
} ser_nn_conv_shape;

typedef struct ser_nn_conv1d {
    ser_nn_linear *linear; /* of rows of kernel frames, which is what w becomes as (n_out, kernel, n_in) */
    /* Instead, in fp32, for a kernel of 3 and a stride of 2 without padding, two results y0 and y1 at once
     * from frames x0 ... x4, with 5 products for 6 (a fast FIR filter: Winograd 1980, Arithmetic complexity
     * of computations): y0 = (x0 - x2) w0 + x1 w1 + m, y1 = (x4 - x2) w2 + x3 w1 + m, where m = x2 (w0 + w2).
     */
    ser_nn_linear *shared, *first, *second; /* of m, of what is y0's and y1's alone */
    ser_activation act;
    ser_nn_conv_shape shape;
} ser_nn_conv1d;

/* w (n_out, n_in, kernel), scales and bias as for ser_nn_linear_new. */
ser_status ser_nn_conv1d_init(ser_nn_conv1d *c, const ser_nn_ops *ops, const ser_tensor *w,
                              const float *scales, const float *bias, const ser_nn_conv_shape *shape,
                              ser_activation act, ser_error *err);
void ser_nn_conv1d_release(ser_nn_conv1d *c);
/* Rows first_row ... first_row + n_rows - 1 of y, written to y; beyond the last, what silence after x gives.
 */
ser_status ser_nn_conv1d_forward(const ser_nn_conv1d *c, ser_nn_work *work, void *y, ser_dtype y_type,
                                 const void *x, ser_dtype x_type, size_t n_frames, size_t first_row,
                                 size_t n_rows, ser_error *err);

#endif
