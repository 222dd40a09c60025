/* The layers that only wav2vec 2.0 and its relatives have (Baevski et al. 2020, arXiv:2006.11477). */
#ifndef SER_NN_SPEECH_H
#define SER_NN_SPEECH_H

#include "nn/layers.h"

/* ---- the first convolution, from samples to channels ---- */

enum { SER_NN_PCM_KERNEL_MAX = 32 };

typedef struct ser_nn_pcm_conv {
    size_t n_out, kernel, stride;
    size_t n_columns; /* n_out, rounded up to whole lanes */
    float *weights;   /* (kernel + 1, n_columns): the last row is the bias */
} ser_nn_pcm_conv;

/* w (n_out, kernel); bias (n_out) or NULL. */
ser_status ser_nn_pcm_conv_init(ser_nn_pcm_conv *c, const float *w, const float *bias, size_t n_out,
                                size_t kernel, size_t stride, ser_error *err);
void ser_nn_pcm_conv_release(ser_nn_pcm_conv *c);

/* The convolution of samples and the group normalisation behind it, one channel a group (Wu and He 2018,
 * arXiv:1803.08494), are one convolution whose weights depend on the recording: folded (kernel + 1,
 * n_columns). Mean and variance of a channel over time follow from those of the samples: with the mean m and
 * the covariance C of the windows that the kernel sees, w m and w^T C w. So no frame is computed twice. */
void ser_nn_pcm_conv_fold(float *folded, const ser_nn_pcm_conv *c, const float *scale, const float *shift,
                          float epsilon, const float *pcm, size_t n_frames);

/* Rows first_row ... of y (n_rows, n_out) = gelu or nothing of weights[kernel] + sum over j of weights[j] *
 * pcm[stride t + j]; weights as in the struct, or folded. */
void ser_nn_pcm_conv_forward(void *y, ser_dtype y_type, const ser_nn_pcm_conv *c, const float *weights,
                             const float *pcm, size_t first_row, size_t n_rows, ser_activation act);

/* ---- positional convolution ---- */

/* y[t,o] = bias[o] + sum over j, i of w[o,i,j] x[t + j - kernel / 2, i], i only in the group of o. */
typedef struct ser_nn_grouped_conv {
    size_t n_channels, n_groups, kernel;
    size_t n_columns; /* channels of a group, rounded up to whole lanes */
    float *weights;   /* (n_groups, kernel, channels of a group, n_columns) */
    float *bias;      /* (n_groups, n_columns) */
    ser_nn_linear *
        *linear; /* instead, in bf16 or 8 bits, where the engine reads overlapping rows: (n_groups) */
} ser_nn_grouped_conv;

/* w (n_channels, n_channels / n_groups, kernel), bias (n_channels). */
ser_status ser_nn_grouped_conv_init(ser_nn_grouped_conv *c, const ser_nn_ops *ops, const float *w,
                                    const float *bias, size_t n_channels, size_t n_groups, size_t kernel,
                                    ser_error *err);
void ser_nn_grouped_conv_release(ser_nn_grouped_conv *c);
/* x (n_frames, n_channels) -> y, the same; y may not be x. residual: y = x + gelu(...) instead. */
ser_status ser_nn_grouped_conv_forward(const ser_nn_grouped_conv *c, ser_nn_work *work, float *y,
                                       const float *x, size_t n_frames, bool residual, ser_error *err);

/* ---- layer normalisation, then GELU ---- */

/* As ser_nn_layernorm_forward; scale and shift NULL: ones and zeros. */
void ser_nn_layernorm_gelu_forward(void *y, ser_dtype y_type, const float *x, const float *scale,
                                   const float *shift, size_t n_rows, size_t dims, float epsilon);

/* ---- WavLM's gated relative position bias (Chen et al. 2021, arXiv:2110.13900, section 2.1) ---- */

/* table (n_heads, 2 n_frames - 1): what the distance from query to key, -(n_frames - 1) ..., adds to the
 * scores; embed (n_buckets, n_heads), one row for each range of distances. */
void ser_nn_position_table(float *table, const float *embed, size_t n_buckets, size_t max_distance,
                           size_t n_heads, size_t n_frames);

/* gates (n_rows, n_heads) of x (n_rows, n_heads * head_dims): with a and b the sigmoids of the sums over rows
 * 0 to 3 and 4 to 7 of w x + bias, a (b constants[h] - 1) + 2. w (8, head_dims), bias (8), constants
 * (n_heads). */
void ser_nn_position_gates(float *gates, const void *x, ser_dtype x_type, const float *w, const float *bias,
                           const float *constants, size_t n_rows, size_t n_heads, size_t head_dims);

#endif
