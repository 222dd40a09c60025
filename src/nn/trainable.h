/* Layers with a backward pass, for one recording at a time: a matrix has one row per frame and is fp32 or,
 * where that is said, typed: of the engine's type (ser_nn_work_type). Products read and write recordings with
 * the number of rows rounded up (ser_nn_padded_rows), those beyond n_frames being zero on the way in and
 * meaning nothing on the way out. So recordings of any length share a batch without any padding that could
 * show in a sum. Gradients are added to what is there (+=) unless a comment says otherwise. */
#ifndef SER_NN_TRAINABLE_H
#define SER_NN_TRAINABLE_H

#include "nn/layers.h"
#include <stdint.h>

/* Few enough shapes that products of many lengths share compiled primitives, and few rows in vain. */
static inline size_t ser_nn_padded_rows(size_t n_frames)
{
    return (n_frames + 7) / 8 * 8;
}

/* y += x, which is of this type, fp32 or bf16; n elements. */
void ser_nn_add_typed(float *y, const void *x, ser_dtype type, size_t n);

/* ---- causal dilated convolution (Bai et al. 2018, arXiv:1803.01271) ---- */

/* y[t,o] = sum over k, i of w[k,i,o] x[t - (kernel-1-k) dilation, i], with x = 0 before the first frame.
 * Without a bias: batch normalisation follows, and takes off whatever a bias adds. */
typedef struct ser_nn_causal_conv {
    size_t n_in, n_out, kernel, dilation;
    size_t
        tile; /* of nn/winograd.h, or 0: one product per tap, also for recordings where that is less work */
} ser_nn_causal_conv;

/* The tile for results that must not depend on the recordings beside; it loses least to rounding. */
size_t ser_nn_causal_conv1d_smallest_tile(const ser_nn_causal_conv *c);
/* Sets the tile that takes the least work for recordings of these lengths. */
void ser_nn_causal_conv1d_choose(ser_nn_causal_conv *c, ser_dtype type, const size_t *n_frames,
                                 size_t n_recordings);

/* Kernels are prepared once per step: prepared holds ser_nn_causal_conv_n_prepared elements, typed, made from
 * w (kernel, n_in, n_out). The backward pass adds to dprepared, floats as many; finish makes the gradient of
 * it: dw +=. */
size_t ser_nn_causal_conv_n_prepared(const ser_nn_causal_conv *c);
size_t ser_nn_causal_conv_most_prepared(const ser_nn_causal_conv *c); /* with any tile */
void ser_nn_causal_conv1d_prepare(void *prepared, ser_dtype type, const float *w,
                                  const ser_nn_causal_conv *c);
void ser_nn_causal_conv1d_finish(float *dw, const float *dprepared, const ser_nn_causal_conv *c);

/* Of a few recordings, whose padded rows lie one behind the other: x (rows, n_in), typed -> y (rows, n_out).
 */
ser_status ser_nn_causal_conv1d_forward(ser_nn_work *work, float *y, const void *x, const void *prepared,
                                        const ser_nn_causal_conv *c, const size_t *n_frames,
                                        size_t n_recordings, ser_error *err);
/* dy (rows, n_out) and x (rows, n_in), typed -> dx (rows, n_in), set. */
ser_status ser_nn_causal_conv1d_backward(ser_nn_work *work, float *dx, float *dprepared, const void *dy,
                                         const void *x, const void *prepared, const ser_nn_causal_conv *c,
                                         const size_t *n_frames, size_t n_recordings, ser_error *err);

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
void ser_nn_add_typed_rows(float *sums, const void *x, ser_dtype type, size_t n_rows, size_t n);

/* ---- layer normalisation: see ser_nn_layernorm_forward ---- */

/* dx (n_rows, dims) +=, dscale and dshift (dims) +=; dy (n_rows, dims), and the same x that went forward. */
void ser_nn_layernorm_backward(float *dx, float *dscale, float *dshift, const float *dy, const float *x,
                               const float *scale, size_t n_rows, size_t dims, float epsilon);

/* ---- GELU behind a bias: see ser_nn_gelu_forward ---- */

/* x (n_rows, n) -> h = x + bias, y = gelu(h), of these types: both fp32, both typed, or y fp32 and h typed.
 */
void ser_nn_bias_gelu_forward(void *y, ser_dtype y_type, void *h, ser_dtype h_type, const float *x,
                              const float *bias, size_t n_rows, size_t n);
/* dy (n_rows, n), h typed -> dh, typed, set; dbias (n) += its sums over the rows. dh may be h. */
void ser_nn_bias_gelu_backward(void *dh, ser_dtype type, float *dbias, const float *dy, const void *h,
                               size_t n_rows, size_t n);

/* ---- linear layer with the weights as checkpoints have them: y = x w^T + bias ---- */

/* x (n_rows, n_in), w (n_out, n_in), both typed; y (n_rows, n_out). In 16 bits, engines are fastest with
 * matrices of 256 to 512 rows and columns whose rows lie one behind the other: larger ones are better stored
 * in panels. */
typedef struct ser_nn_affine {
    size_t n_rows, n_in, n_out;
    ser_dtype type;
} ser_nn_affine;
/* y of y_type, fp32 or type; add: y +=, fp32 only. bias (n_out) or NULL. */
ser_status ser_nn_affine_forward(ser_nn_work *work, void *y, ser_dtype y_type, const void *x, const void *w,
                                 const float *bias, const ser_nn_affine *s, bool add, ser_error *err);
/* dx (n_rows, n_in) = dy w, or += with add; dy typed. */
ser_status ser_nn_affine_backward(ser_nn_work *work, float *dx, const void *dy, const void *w,
                                  const ser_nn_affine *s, bool add, ser_error *err);
/* dw (n_out, n_in) = dy^T x. The bias's gradient: ser_nn_add_rows. */
ser_status ser_nn_affine_backward_weights(ser_nn_work *work, float *dw, const void *dy, const void *x,
                                          const ser_nn_affine *s, ser_error *err);

/* ---- self-attention: see ser_nn_attention_forward; without position biases ---- */

/* dy, q, k, v -> dq, dk, dv, which are set; all (n_queries, n_heads * head_dims), typed, of a whole
 * recording: n_queries >= n_frames, rows beyond n_frames have dy zero and get zeros. Weights are computed
 * again. */
ser_status ser_nn_attention_backward(ser_nn_work *work, void *dq, void *dk, void *dv, const void *dy,
                                     const void *q, const void *k, const void *v,
                                     const ser_nn_attention *shape, ser_error *err);

/* ---- convolution with a kernel of 3 and a padding of 1: y[t] = sum over j of w[j] x[stride t + j - 1] ----
 */

/* x (stride n_rows, n_in) and w (3, n_out, n_in), typed; y (n_rows, n_out), without a bias. Row -1 of x is
 * read, and for dx rows -1 and n_rows of dy: silence, or the neighbours of a block of rows. */
typedef struct ser_nn_conv3 {
    size_t n_rows, n_in, n_out, stride; /* stride 1 or 2 */
    ser_dtype type;
} ser_nn_conv3;
ser_status ser_nn_conv3_forward(ser_nn_work *work, float *y, const void *x, const void *w,
                                const ser_nn_conv3 *s, ser_error *err);
/* dx (stride n_rows, n_in) is set. */
ser_status ser_nn_conv3_backward(ser_nn_work *work, float *dx, const void *dy, const void *w,
                                 const ser_nn_conv3 *s, ser_error *err);
/* dw[tap] of dw (3, n_out, n_in), set: taps may be computed side by side. */
ser_status ser_nn_conv3_backward_weights(ser_nn_work *work, float *dw, const void *dy, const void *x,
                                         const ser_nn_conv3 *s, int tap, ser_error *err);

/* ---- batch normalisation (Ioffe and Szegedy 2015, arXiv:1502.03167) over the valid frames of a batch ----
 */

/* Of one layer and one batch; arrays of n_channels. */
typedef struct ser_nn_batch_norm {
    size_t n_channels, n_frames;
    double *sum, *squares;   /* of the distances from pivot, over the frames counted so far */
    float *centre, *inverse; /* the mean and 1 / sqrt(variance + epsilon) in force */
    float *scale, *shift;    /* the layer is x * scale + shift */
    double *du, *du_x;       /* backward: sums of du and of du * (x - centre) * inverse */
    float *pivot;            /* roughly the mean, so that nothing cancels: that of the first rows counted */
    float *part, *part_x;    /* sums over few enough rows for fp32 */
} ser_nn_batch_norm;

ser_status ser_nn_batch_norm_init(ser_nn_batch_norm *n, size_t n_channels, ser_error *err);
void ser_nn_batch_norm_release(ser_nn_batch_norm *n);
void ser_nn_batch_norm_clear(ser_nn_batch_norm *n);
/* Adds x (n_frames, n_channels) to the statistics. copy: becomes x, of this type; or NULL. */
void ser_nn_batch_norm_count(ser_nn_batch_norm *n, void *copy, ser_dtype type, const float *x,
                             size_t n_frames);
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
/* dx[t,i] = a[i] du[t,i] + b[i] x[t,i] + c[i]; all (n_frames, n_channels), of this type. dx may be du. */
void ser_nn_batch_norm_backward(void *dx, const void *du, const void *x, ser_dtype type, const float *a,
                                const float *b, const float *c, size_t n_frames, size_t n_channels);

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

/* z[t,i] = keep[i] f(x[t,i] scale[i] + shift[i]); x, z (n_frames, n_channels). z may be x where their types
 * are the same. */
void ser_nn_norm_act_forward(void *z, ser_dtype z_type, const void *x, ser_dtype x_type,
                             const ser_nn_norm_act *p, size_t n_frames);
/* du[t,i] = dz[t,i] keep[i] f'(x[t,i] scale[i] + shift[i]); sum, sum_x (n_channels): of du and of du (x -
 * centre) inverse, over n_frames rows and what was there. du and x are of this type; a du of floats may be
 * dz.
 */
void ser_nn_norm_act_backward(void *du, float *sum, float *sum_x, const float *dz, const void *x,
                              ser_dtype type, const ser_nn_norm_act *p, size_t n_frames);
/* f alone, in place: the dense layers'. The backward pass reads the forward pass's result, so RELU only. */
void ser_nn_relu_forward(float *x, size_t n);
void ser_nn_relu_backward(float *dx, const float *y, size_t n);

/* ---- the temporal block's end: out = x sigmoid(z), z as above, and the mean of out over time ---- */

/* Of one recording: x and y (n_frames, n_channels), of this type; y is what the normalisation reads. */
typedef struct ser_nn_gate {
    const ser_nn_norm_act *norm_act;
    ser_dtype type;
    const void *x, *y;
    size_t n_frames;
} ser_nn_gate;

/* out (n_frames, n_channels), typed, or NULL; mean (n_channels). Both are set. */
void ser_nn_gate_forward(void *out, float *mean, const ser_nn_gate *g);

/* dx and du (n_frames, n_channels), typed; all others of floats. */
typedef struct ser_nn_gate_gradient {
    void *dx;           /* by x; before, what is known of the gradient by out */
    const float *dout;  /* (n_frames, n_channels): is added to that; NULL: nothing is known of it at all */
    const float *dmean; /* (n_channels): by the mean */
    void *du;           /* by what the normalisation gave */
    float *sum, *sum_x; /* as those of ser_nn_norm_act_backward */
} ser_nn_gate_gradient;

void ser_nn_gate_backward(const ser_nn_gate_gradient *d, const ser_nn_gate *g);

/* ---- dropout (Srivastava et al. 2014), of whole channels of a recording (Tompson et al. 2015) ---- */

/* What n channels are multiplied with, from a stream of random numbers of its own: 0 with probability rate,
 * else 1 / (1 - rate). For ser_nn_norm_act and ser_nn_multiply. */
void ser_nn_dropout_draw(float *factors, size_t n, double rate, uint64_t seed);
void ser_nn_multiply(float *x, const float *factors, size_t n);

/* ---- weighted sum, loss ---- */

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
