/* Long products in pieces: engines compile a primitive for each shape, and pieces keep shapes few. */
#ifndef SER_NN_PIECES_H
#define SER_NN_PIECES_H

#include "nn/ops.h"

/* ser_nn_gemm, its m split. */
static inline ser_status ser_nn_gemm_by_rows(ser_nn_work *work, float *c, const void *a, const void *b,
                                             const ser_gemm *g, ser_error *err)
{
    ser_status status = SER_OK;
    size_t a_step = (g->a_transposed ? 1 : g->lda) * ser_dtype_size(g->ab_type);
    for (size_t t = 0; t < g->m && status == SER_OK; t += SER_NN_PIECE) {
        ser_gemm piece = *g;
        piece.m = g->m - t < SER_NN_PIECE ? g->m - t : SER_NN_PIECE;
        status = ser_nn_gemm(work, c + t * g->ldc, (const char *)a + t * a_step, b, &piece, err);
    }
    return status;
}

/* ser_nn_gemm, its k split; beta must be 1, and b not transposed. */
static inline ser_status ser_nn_gemm_by_terms(ser_nn_work *work, float *c, const void *a, const void *b,
                                              const ser_gemm *g, ser_error *err)
{
    ser_status status = SER_OK;
    size_t size = ser_dtype_size(g->ab_type);
    for (size_t t = 0; t < g->k && status == SER_OK; t += SER_NN_PIECE) {
        ser_gemm piece = *g;
        piece.k = g->k - t < SER_NN_PIECE ? g->k - t : SER_NN_PIECE;
        status = ser_nn_gemm(work, c, (const char *)a + t * (g->a_transposed ? g->lda : 1) * size,
                             (const char *)b + t * g->ldb * size, &piece, err);
    }
    return status;
}

#endif
