#include "base/memory.h"
#include "nn/rows.h"
#include "nn/speech.h"

#include <math.h>

/* Six rows: as many sums as the registers of AVX2 hold beside the weights. */
enum { K_MAX = SER_NN_PCM_KERNEL_MAX, TILE_ROWS = 6 };

ser_status ser_nn_pcm_conv_init(ser_nn_pcm_conv *c, const float *w, const float *bias, size_t n_out,
                                size_t kernel, size_t stride, ser_error *err)
{
    *c = (ser_nn_pcm_conv){.n_out = n_out, .kernel = kernel, .stride = stride};
    c->n_columns = (n_out + SER_N_LANES - 1) / SER_N_LANES * SER_N_LANES;
    c->weights = ser_alloc((kernel + 1) * c->n_columns, sizeof *c->weights);
    if (!c->weights)
        return ser_fail_nomem(err);
    for (size_t o = 0; o < n_out; o++) {
        for (size_t j = 0; j < kernel; j++)
            c->weights[j * c->n_columns + o] = w[o * kernel + j];
        c->weights[kernel * c->n_columns + o] = bias ? bias[o] : 0;
    }
    return SER_OK;
}

void ser_nn_pcm_conv_release(ser_nn_pcm_conv *c)
{
    ser_free(c->weights);
    c->weights = NULL;
}

/* Of what the kernel sees, n_frames windows stride apart: sums (kernel) and products (kernel, K_MAX). */
SER_FAST_STATIC(void, window_moments,
                (double *sums, double (*products)[K_MAX], const float *pcm, size_t kernel, size_t stride,
                 size_t n_frames),
                (sums, products, pcm, kernel, stride, n_frames))
{
    for (size_t t = 0; t < n_frames; t++, pcm += stride) {
        double x[K_MAX] = {0};
        for (size_t j = 0; j < kernel; j++)
            x[j] = (double)pcm[j];
        for (size_t j = 0; j < kernel; j++) {
            sums[j] += x[j];
            for (size_t k = 0; k < kernel; k++)
                products[j][k] += x[j] * x[k];
        }
    }
}

void ser_nn_pcm_conv_fold(float *folded, const ser_nn_pcm_conv *c, const float *scale, const float *shift,
                          float epsilon, const float *pcm, size_t n_frames)
{
    double sums[K_MAX] = {0}, products[K_MAX][K_MAX] = {{0}}, n = (double)n_frames;
    size_t kernel = c->kernel, ld = c->n_columns;
    window_moments(sums, products, pcm, kernel, c->stride, n_frames);
    memset(folded, 0, (kernel + 1) * ld * sizeof *folded);
    for (size_t o = 0; o < c->n_out; o++) {
        double mean = 0, variance = 0; /* the bias is in neither: the normalisation takes it away */
        for (size_t j = 0; j < kernel; j++) {
            double w = (double)c->weights[j * ld + o], row = 0;
            for (size_t k = 0; k < kernel; k++)
                row += (products[j][k] / n - sums[j] / n * (sums[k] / n)) * (double)c->weights[k * ld + o];
            mean += w * sums[j] / n;
            variance += w * row;
        }
        double factor = (double)scale[o] / sqrt(fmax(variance, 0) + (double)epsilon);
        for (size_t j = 0; j < kernel; j++)
            folded[j * ld + o] = (float)((double)c->weights[j * ld + o] * factor);
        folded[kernel * ld + o] = (float)((double)shift[o] - mean * factor);
    }
}

/* 16 columns of up to TILE_ROWS rows; rows beyond n_rows repeat the last one. */
SER_INLINE void forward_tile(ser_lanes sums[TILE_ROWS], const float *weights, size_t ld,
                             const float *const rows[TILE_ROWS], size_t kernel)
{
    ser_lanes bias = ser_lanes_load(weights + kernel * ld);
    for (int r = 0; r < TILE_ROWS; r++)
        sums[r] = bias;
    for (size_t j = 0; j < kernel; j++, weights += ld) {
        ser_lanes w = ser_lanes_load(weights);
        for (int r = 0; r < TILE_ROWS; r++)
            sums[r] += w * rows[r][j];
    }
}

SER_INLINE void forward(void *y, bool half, const ser_nn_pcm_conv *c, const float *weights, const float *pcm,
                        size_t n_rows, bool gelu)
{
    for (size_t t = 0; t < n_rows; t += TILE_ROWS) {
        const float *rows[TILE_ROWS];
        size_t n = n_rows - t < TILE_ROWS ? n_rows - t : TILE_ROWS;
        for (size_t r = 0; r < TILE_ROWS; r++)
            rows[r] = pcm + (t + (r < n ? r : n - 1)) * c->stride;
        for (size_t o = 0; o < c->n_out; o += SER_N_LANES) {
            ser_lanes sums[TILE_ROWS];
            forward_tile(sums, weights + o, c->n_columns, rows, c->kernel);
            for (size_t r = 0; r < n; r++)
                ser_row_store_as(y, half, (t + r) * c->n_out + o, c->n_out - o,
                                 gelu ? ser_lanes_gelu(sums[r]) : sums[r]);
        }
    }
}

SER_FAST_STATIC(void, forward_f32,
                (float *y, const ser_nn_pcm_conv *c, const float *weights, const float *pcm, size_t n_rows,
                 bool gelu),
                (y, c, weights, pcm, n_rows, gelu))
{
    forward(y, false, c, weights, pcm, n_rows, gelu);
}

SER_FAST_STATIC(void, forward_bf16,
                (uint16_t * y, const ser_nn_pcm_conv *c, const float *weights, const float *pcm,
                 size_t n_rows, bool gelu),
                (y, c, weights, pcm, n_rows, gelu))
{
    forward(y, true, c, weights, pcm, n_rows, gelu);
}

void ser_nn_pcm_conv_forward(void *y, ser_dtype y_type, const ser_nn_pcm_conv *c, const float *weights,
                             const float *pcm, size_t first_row, size_t n_rows, ser_activation act)
{
    pcm += first_row * c->stride;
    if (y_type == SER_F32)
        forward_f32(y, c, weights, pcm, n_rows, act == SER_ACT_GELU);
    else
        forward_bf16(y, c, weights, pcm, n_rows, act == SER_ACT_GELU);
}
