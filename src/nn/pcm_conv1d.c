#include "base/memory.h"
#include "nn/rows.h"
#include "nn/speech.h"

#include <math.h>

enum { K_MAX = SER_NN_PCM_KERNEL_MAX, TILE_ROWS = 4, TILE_COLUMNS = 2 * SER_N_LANES };

ser_status ser_nn_pcm_conv_init(ser_nn_pcm_conv *c, const float *w, const float *bias, size_t n_out,
                                size_t kernel, size_t stride, ser_error *err)
{
    *c = (ser_nn_pcm_conv){.n_out = n_out, .kernel = kernel, .stride = stride};
    c->n_columns = (n_out + TILE_COLUMNS - 1) / TILE_COLUMNS * TILE_COLUMNS;
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

/* Two lanes' width of up to TILE_ROWS rows; rows beyond n_rows repeat the last one. */
SER_INLINE void forward_tile(ser_lanes sums[TILE_ROWS][2], const float *weights, size_t ld,
                             const float *const rows[TILE_ROWS], size_t kernel)
{
    ser_lanes low = ser_lanes_load(weights + kernel * ld);
    ser_lanes high = ser_lanes_load(weights + kernel * ld + SER_N_LANES);
    for (int r = 0; r < TILE_ROWS; r++) {
        sums[r][0] = low;
        sums[r][1] = high;
    }
    for (size_t j = 0; j < kernel; j++, weights += ld) {
        low = ser_lanes_load(weights);
        high = ser_lanes_load(weights + SER_N_LANES);
        for (int r = 0; r < TILE_ROWS; r++) {
            sums[r][0] += low * rows[r][j];
            sums[r][1] += high * rows[r][j];
        }
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
        for (size_t o = 0; o < c->n_out; o += TILE_COLUMNS) {
            ser_lanes sums[TILE_ROWS][2];
            forward_tile(sums, weights + o, c->n_columns, rows, c->kernel);
            for (size_t r = 0; r < n; r++)
                for (size_t v = 0; v < 2 && o + v * SER_N_LANES < c->n_out; v++) {
                    size_t i = o + v * SER_N_LANES;
                    ser_row_store_as(y, half, (t + r) * c->n_out + i, c->n_out - i,
                                     gelu ? ser_lanes_gelu(sums[r][v]) : sums[r][v]);
                }
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
