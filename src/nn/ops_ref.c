/* The reference engine: plain C, one thread, fp32. */
#include "base/memory.h"
#include "base/vector.h"
#include "nn/engine.h"
#include "nn/layers.h"

#include <string.h>

static ser_status ref_ops_init(ser_nn_ops *ops, ser_precision wanted, ser_error *err)
{
    if (wanted != SER_PRECISION_AUTO && wanted != SER_PRECISION_FP32)
        return ser_fail(
            err, SER_E_UNSUPPORTED,
            "the reference engine computes in fp32 only: choose --precision fp32 or --engine onednn");
    ops->precision = SER_PRECISION_FP32;
    ops->type = SER_F32;
    return SER_OK;
}

static void ref_ops_release(ser_nn_ops *ops)
{
    (void)ops;
}

static ser_status ref_work_init(ser_nn_work *work, ser_error *err)
{
    (void)work;
    (void)err;
    return SER_OK;
}

static void ref_work_release(ser_nn_work *work)
{
    (void)work;
}

static ser_status ref_linear_init(ser_nn_linear *l, const ser_tensor *w, const float *scales, ser_error *err)
{
    float *copy = l->weights = ser_alloc(l->n_out * l->n_in, sizeof *copy);
    if (!copy)
        return ser_fail_nomem(err);
    ser_status status = SER_OK;
    for (size_t o = 0; o < l->n_out && status == SER_OK; o++)
        status = ser_nn_weight_row(copy + o * l->n_in, w, scales, o, l->n_in, err);
    return status;
}

static void ref_linear_release(ser_nn_linear *l)
{
    ser_free(l->weights);
}

enum { TILE = 4 };

/* sums[r][s] = a_r . b_s over k; whatever the tile's place in its matrix, the order of additions is the same.
 */
SER_FAST_STATIC(void, dot_tile,
                (float sums[TILE][TILE], const float *const a[TILE], const float *const b[TILE], size_t k),
                (sums, a, b, k))
{
    ser_lanes lanes[TILE][TILE] = {0};
    size_t n_whole = k - k % SER_N_LANES;
    for (size_t i = 0; i < n_whole; i += SER_N_LANES)
        for (int r = 0; r < TILE; r++)
            for (int s = 0; s < TILE; s++)
                lanes[r][s] += ser_lanes_load(a[r] + i) * ser_lanes_load(b[s] + i);
    for (int r = 0; r < TILE; r++)
        for (int s = 0; s < TILE; s++) {
            sums[r][s] = ser_lanes_sum(lanes[r][s]);
            for (size_t i = n_whole; i < k; i++)
                sums[r][s] += a[r][i] * b[s][i];
        }
}

/* A tile that reaches beyond the last row takes that row again; its results are not used. */
static void tile_rows(const float *rows[TILE], const float *x, size_t first, size_t n, size_t ld)
{
    for (size_t r = 0; r < TILE; r++)
        rows[r] = x + (first + r < n ? first + r : n - 1) * ld;
}

/* c (m, n) = start + a (m, k) b (n, k)^T, where start is beta c, or bias (n) where that is not NULL. */
static void product(float *c, const float *a, const float *b, const ser_gemm *g, const float *bias)
{
    const float *rows[TILE], *columns[TILE];
    float sums[TILE][TILE];
    for (size_t i = 0; i < g->m; i += TILE) {
        tile_rows(rows, a, i, g->m, g->lda);
        for (size_t j = 0; j < g->n; j += TILE) {
            tile_rows(columns, b, j, g->n, g->ldb);
            dot_tile(sums, rows, columns, g->k);
            for (size_t r = 0; r < TILE && i + r < g->m; r++)
                for (size_t s = 0; s < TILE && j + s < g->n; s++) {
                    float *out = &c[(i + r) * g->ldc + j + s];
                    *out = sums[r][s] + (bias ? bias[j + s] : 0) + (g->beta != 0 ? g->beta * *out : 0);
                }
        }
    }
}

static ser_status ref_linear_forward(const ser_nn_linear *l, ser_nn_work *work, void *y, ser_dtype y_type,
                                     const void *x, ser_dtype x_type, size_t x_row, size_t n_rows, bool add,
                                     ser_error *err)
{
    (void)work;
    (void)y_type;
    (void)x_type;
    (void)err;
    ser_gemm g = {.m = n_rows, .n = l->n_out, .k = l->n_in, .lda = x_row, .ldb = l->n_in, .ldc = l->n_out};
    g.beta = add ? 1 : 0;
    product(y, x, l->weights, &g, l->bias);
    if (l->act == SER_ACT_GELU)
        ser_nn_gelu_forward(y, n_rows * l->n_out);
    return SER_OK;
}

/* x (n, m) with row stride ld -> y (m, n). */
static const float *transpose(ser_nn_buffer *buffer, const float *x, size_t n, size_t m, size_t ld)
{
    size_t n_bytes;
    float *y = ser_mul_size(&n_bytes, n, m) && ser_mul_size(&n_bytes, n_bytes, sizeof *y)
                   ? ser_nn_buffer_reserve(buffer, n_bytes)
                   : NULL;
    for (size_t i = 0; y && i < n; i++)
        for (size_t j = 0; j < m; j++)
            y[j * n + i] = x[i * ld + j];
    return y;
}

static ser_status ref_work_reserve(ser_nn_work *work, size_t n_shapes, ser_error *err)
{
    (void)work;
    (void)n_shapes;
    (void)err;
    return SER_OK;
}

static ser_status one_gemm(ser_nn_work *work, float *c, const float *a, const float *b, const ser_gemm *g,
                           ser_error *err)
{
    ser_gemm rows = *g;
    const float *a_rows = a, *b_rows = b;
    if (g->a_transposed) {
        a_rows = transpose(&work->engine_slots[0], a, g->k, g->m, g->lda);
        rows.lda = g->k;
    }
    if (!g->b_transposed) {
        b_rows = transpose(&work->engine_slots[1], b, g->k, g->n, g->ldb);
        rows.ldb = g->k;
    }
    if (!a_rows || !b_rows)
        return ser_fail_nomem(err);
    product(c, a_rows, b_rows, &rows, NULL);
    return SER_OK;
}

static ser_status ref_gemm(ser_nn_work *work, float *c, const void *a, const void *b, const ser_gemm *g,
                           ser_error *err)
{
    ser_status status = SER_OK;
    for (size_t i = 0; i < g->n_batch && status == SER_OK; i++)
        status = one_gemm(work, c + i * g->stride_c, (const float *)a + i * g->stride_a,
                          (const float *)b + i * g->stride_b, g, err);
    return status;
}

const ser_nn_engine ser_nn_engine_ref = {
    .overlaps = true,
    .ops_init = ref_ops_init,
    .ops_release = ref_ops_release,
    .work_init = ref_work_init,
    .work_release = ref_work_release,
    .work_reserve = ref_work_reserve,
    .linear_init = ref_linear_init,
    .linear_release = ref_linear_release,
    .linear_forward = ref_linear_forward,
    .gemm = ref_gemm,
};
