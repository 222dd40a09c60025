/* Layers with a backward pass, for one recording at a time: a matrix has one row per frame and is fp32 unless
 * a type is given. Where a type is given it is the engine's (ser_nn_work_type), so that products read it as
 * it is; the number of rows of such matrices is rounded up (ser_nn_padded_rows) and the rows beyond n_frames
 * are zero on the way in and mean nothing on the way out. So recordings of any length share a batch without
 * any padding that could show in a sum. Gradients are added to what is there (+=) unless a comment says
 * otherwise. */
#ifndef SER_NN_TRAINABLE_H
#define SER_NN_TRAINABLE_H

#include "nn/layers.h"
#include <stdint.h>

/* Few enough shapes that products of many lengths share compiled primitives, and few rows in vain. */
static inline size_t ser_nn_padded_rows(size_t n_frames)
{
    return (n_frames + 7) / 8 * 8;
}

/* ---- causal dilated convolution (Bai et al. 2018, arXiv:1803.01271) ---- */

/* y[t,o] = sum over k, i of w[k,i,o] x[t - (kernel-1-k) dilation, i], with x = 0 before the first frame.
 * Without a bias: batch normalisation follows, and takes off whatever a bias adds. */
typedef struct ser_nn_causal_conv {
    size_t n_frames, n_in, n_out, kernel, dilation;
} ser_nn_causal_conv;

/* unfolded (rows, kernel * n_in), typed: the columns of the last tap hold x, those of the others are filled
 * here. w (kernel, n_in, n_out), typed. y (rows, n_out). */
ser_status ser_nn_causal_conv1d_forward(ser_nn_work *work, float *y, void *unfolded, const void *w,
                                        const ser_nn_causal_conv *s, ser_error *err);
/* unfolded (rows, kernel * n_out), typed: the columns of the last tap hold dy, those of the others are filled
 * here. x (rows, n_in), typed, row stride x_stride. w_by_input (n_in, kernel, n_out), typed. dx (rows, n_in):
 * added to where add_dx. dw_by_input (n_in, kernel, n_out). */
ser_status ser_nn_causal_conv1d_backward(ser_nn_work *work, float *dx, bool add_dx, float *dw_by_input,
                                         void *unfolded, const void *x, size_t x_stride,
                                         const void *w_by_input, const ser_nn_causal_conv *s, ser_error *err);
/* Between the kernel's two orders: by_input (n_in, kernel, n_out), typed, from w (kernel, n_in, n_out); and
 * the gradient back: dw += dw_by_input. */
void ser_nn_kernel_by_input(void *by_input, ser_dtype type, const float *w, const ser_nn_causal_conv *s);
void ser_nn_kernel_add_by_input(float *dw, const float *dw_by_input, const ser_nn_causal_conv *s);

/* ---- dense layer, or convolution with a kernel of 1 ---- */

/* y (rows, n_out) = x w + bias; x (rows, n_in), w (n_in, n_out), both typed; bias (n_out). */
ser_status ser_nn_dense_forward(ser_nn_work *work, float *y, const void *x, const void *w, const float *bias,
                                size_t n_rows, size_t n_in, size_t n_out, ser_dtype type, ser_error *err);
/* dx (rows, n_in) or NULL is set, not added to; dw (n_in, n_out). dy (rows, n_out), typed. The bias's
 * gradient: ser_nn_add_rows. */
ser_status ser_nn_dense_backward(ser_nn_work *work, float *dx, float *dw, const void *dy, const void *x,
                                 const void *w, size_t n_rows, size_t n_in, size_t n_out, ser_dtype type,
                                 ser_error *err);
/* sums (n) += sum over rows of x (n_rows, n). */
void ser_nn_add_rows(float *sums, const float *x, size_t n_rows, size_t n);

/* ---- batch normalisation (Ioffe and Szegedy 2015, arXiv:1502.03167) over the valid frames of a batch ----
 */

/* Of one layer and one batch; arrays of n_channels. */
typedef struct ser_nn_batch_norm {
    size_t n_channels, n_frames;
    double *mean, *squares;  /* of the frames counted so far; squares: of the distances from the mean */
    float *centre, *inverse; /* the mean and 1 / sqrt(variance + epsilon) in force */
    float *scale, *shift;    /* the layer is x * scale + shift */
    double *du, *du_x;       /* backward: sums of du and of du * (x - centre) * inverse */
} ser_nn_batch_norm;

ser_status ser_nn_batch_norm_init(ser_nn_batch_norm *n, size_t n_channels, ser_error *err);
void ser_nn_batch_norm_release(ser_nn_batch_norm *n);
void ser_nn_batch_norm_clear(ser_nn_batch_norm *n);
/* Adds x (n_frames, n_channels) to the statistics: in pairs (Chan et al. 1979), so that nothing cancels. */
void ser_nn_batch_norm_count(ser_nn_batch_norm *n, const float *x, size_t n_frames);
/* After the last frame: scale and shift from the batch, gamma and beta (n_channels). bias: what the layer
 * before would have added; it only shows in the running mean. Running averages as Keras computes them:
 * average = momentum * average + (1 - momentum) * batch, the variance divided by the number of frames. */
void ser_nn_batch_norm_finish(ser_nn_batch_norm *n, const float *gamma, const float *beta, const float *bias,
                              float *running_mean, float *running_variance);
/* For inference: scale and shift from the running averages. */
void ser_nn_batch_norm_use_running(ser_nn_batch_norm *n, const float *gamma, const float *beta,
                                   const float *bias, const float *running_mean,
                                   const float *running_variance);
/* Gradient of gamma and beta, and of x: dx = a du + b x + c, per channel. After du and du_x are complete. */
void ser_nn_batch_norm_backward_sums(const ser_nn_batch_norm *n, const float *gamma, float *dgamma,
                                     float *dbeta, float *a, float *b, float *c);
/* dx[t,i] = a[i] du[t,i] + b[i] x[t,i] + c[i], typed, row stride dx_stride, zero from n_frames to n_rows; x
 * (n_frames, n_channels), typed. */
void ser_nn_batch_norm_backward(void *dx, size_t dx_stride, const float *du, const void *x, const float *a,
                                const float *b, const float *c, size_t n_frames, size_t n_rows,
                                size_t n_channels, ser_dtype type);

/* ---- scale and shift, activation, dropout of channels: one pass over memory ---- */

typedef enum ser_nonlinearity { SER_RELU, SER_ELU, SER_SWISH, SER_TANH } ser_nonlinearity;
/* The names that Keras uses; false: unknown. */
bool ser_nonlinearity_parse(ser_nonlinearity *out, const char *name);
const char *ser_nonlinearity_name(ser_nonlinearity f);

/* Per channel; arrays of n_channels. */
typedef struct ser_nn_norm_act {
    size_t n_channels;
    ser_nonlinearity f;
    const float *scale, *shift, *keep; /* keep: 0 for dropped channels, else what the others are times */
    const float *centre, *inverse;     /* for the backward pass */
} ser_nn_norm_act;

/* z[t,i] = keep[i] f(x[t,i] scale[i] + shift[i]), z of type z_type and row stride z_stride, zero from
 * n_frames to n_rows; x (n_frames, n_channels) of x_type. */
void ser_nn_norm_act_forward(void *z, size_t z_stride, ser_dtype z_type, const void *x, ser_dtype x_type,
                             const ser_nn_norm_act *p, size_t n_frames, size_t n_rows);
/* du[t,i] = dz[t,i] keep[i] f'(x[t,i] scale[i] + shift[i]); sums (n_channels) of du and of du (x - centre)
 * inverse. du may be dz. */
void ser_nn_norm_act_backward(float *du, double *sum, double *sum_x, const float *dz, const void *x,
                              ser_dtype x_type, const ser_nn_norm_act *p, size_t n_frames);
/* f alone, in place: the dense layers'. The backward pass reads the forward pass's result, so RELU only. */
void ser_nn_relu_forward(float *x, size_t n);
void ser_nn_relu_backward(float *dx, const float *y, size_t n);

/* The temporal block's end: y = x sigmoid(z). x, y typed, z fp32, each n contiguous elements. */
void ser_nn_gate_forward(void *y, const void *x, const float *z, size_t n, ser_dtype type);
/* dz = dy x sigmoid'(z); dy becomes dx = dy sigmoid(z). z becomes dz. */
void ser_nn_gate_backward(float *dy, float *z, const void *x, size_t n, ser_dtype type);

/* ---- dropout (Srivastava et al. 2014), of whole channels of a recording (Tompson et al. 2015) ---- */

/* Which of n channels stay, from a stream of its own: keeps their indices in ascending order in channels and
 * returns how many. Each is dropped with probability rate; the rest are to be multiplied by 1 / (1 - rate).
 */
size_t ser_nn_dropout_draw(uint16_t *channels, size_t n, double rate, uint64_t seed);
/* keep (n) for ser_nn_norm_act and ser_nn_multiply: 0 or 1 / (1 - rate). */
void ser_nn_dropout_factors(float *keep, size_t n, const uint16_t *channels, size_t n_kept, double rate);
void ser_nn_multiply(float *x, const float *factors, size_t n);

/* The kept channels side by side: y[t,j] = x[t, channels[j]], j < n_kept, zero up to n_columns; and back: the
 * others are zero. x typed, y fp32. */
void ser_nn_channels_gather(float *y, size_t n_columns, const void *x, ser_dtype x_type, size_t n_channels,
                            const uint16_t *channels, size_t n_kept, size_t n_frames);
void ser_nn_channels_scatter(float *x, size_t n_channels, const float *y, size_t n_columns,
                             const uint16_t *channels, size_t n_kept, size_t n_frames);

/* ---- mean over time, weighted sum, loss ---- */

/* mean[i] += mean over t of x[t,i]; x (n_frames, n), typed. And back: dx[t,i] += dmean[i] / n_frames. */
void ser_nn_time_mean_forward(float *mean, const void *x, size_t n_frames, size_t n, ser_dtype type);
void ser_nn_time_mean_backward(float *dx, const float *dmean, size_t n_frames, size_t n);

/* y (n) = sum over j of w[j] x[j,i], x (n_parts, n). Backward: dx is set; dw (n_parts). */
void ser_nn_weighted_sum_forward(float *y, const float *x, const float *w, size_t n_parts, size_t n);
void ser_nn_weighted_sum_backward(float *dx, float *dw, const float *dy, const float *x, const float *w,
                                  size_t n_parts, size_t n);

/* Softmax and cross-entropy against target (n_labels), probabilities that add up to 1, mixed with the uniform
 * distribution by smoothing (Szegedy et al. 2016, arXiv:1512.00567): weight * -sum q log p is returned;
 * dlogits (n_labels) or NULL is set. */
double ser_nn_softmax_cross_entropy(float *dlogits, const float *logits, const float *target, size_t n_labels,
                                    double smoothing, double weight);

#endif
