#include "nn/pieces.h"
#include "nn/rows.h"
#include "nn/trainable.h"

SER_FAST_STATIC(void, add_bias, (float *y, const float *bias, size_t n_rows, size_t n), (y, bias, n_rows, n))
{
    for (size_t t = 0; t < n_rows; t++, y += n)
        for (size_t i = 0; i < n; i++)
            y[i] += bias[i];
}

ser_status ser_nn_dense_forward(ser_nn_work *work, float *y, const void *x, const void *w, const float *bias,
                                size_t n_rows, size_t n_in, size_t n_out, ser_dtype type, ser_error *err)
{
    ser_gemm g = {.n_batch = 1, .m = n_rows, .n = n_out, .k = n_in, .ab_type = type};
    g.lda = n_in, g.ldb = n_out, g.ldc = n_out;
    ser_status status = ser_nn_gemm_by_rows(work, y, x, w, &g, err);
    if (status == SER_OK)
        add_bias(y, bias, n_rows, n_out);
    return status;
}

/* forward was: y[t,o] += x[t,i] w[i,o], so: dx[t,i] += dy[t,o] w[i,o], dw[i,o] += x[t,i] dy[t,o]. */
ser_status ser_nn_dense_backward(ser_nn_work *work, float *dx, float *dw, const void *dy, const void *x,
                                 const void *w, size_t n_rows, size_t n_in, size_t n_out, ser_dtype type,
                                 ser_error *err)
{
    ser_gemm to_w = {.n_batch = 1, .m = n_in, .n = n_out, .k = n_rows, .a_transposed = true, .beta = 1};
    to_w.lda = n_in, to_w.ldb = n_out, to_w.ldc = n_out;
    to_w.ab_type = type;
    ser_status status = ser_nn_gemm_by_terms(work, dw, x, dy, &to_w, err);
    if (status != SER_OK || !dx)
        return status;
    ser_gemm to_x = {.n_batch = 1, .m = n_rows, .n = n_in, .k = n_out, .b_transposed = true};
    to_x.lda = n_out, to_x.ldb = n_out, to_x.ldc = n_in;
    to_x.ab_type = type;
    return ser_nn_gemm_by_rows(work, dx, dy, w, &to_x, err);
}

SER_FAST(void, ser_nn_add_rows, (float *sums, const float *x, size_t n_rows, size_t n), (sums, x, n_rows, n))
{
    for (size_t t = 0; t < n_rows; t++, x += n)
        for (size_t i = 0; i < n; i++)
            sums[i] += x[i];
}

SER_FAST_STATIC(void, add_bf16_rows, (float *sums, const uint16_t *x, size_t n_rows, size_t n),
                (sums, x, n_rows, n))
{
    for (size_t t = 0; t < n_rows; t++, x += n)
        for (size_t i = 0; i < n; i += SER_N_LANES)
            ser_row_store(sums, i, n - i, ser_row_load(sums, i, n - i) + ser_row_load_as(x, true, i, n - i));
}

void ser_nn_add_typed_rows(float *sums, const void *x, ser_dtype type, size_t n_rows, size_t n)
{
    if (type == SER_F32)
        ser_nn_add_rows(sums, x, n_rows, n);
    else
        add_bf16_rows(sums, x, n_rows, n);
}
