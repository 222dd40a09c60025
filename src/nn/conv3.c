#include "nn/trainable.h"

enum { TAPS = 3 };

static const char *row(const void *x, ptrdiff_t t, size_t n, ser_dtype type)
{
    return (const char *)x + t * (ptrdiff_t)(n * ser_dtype_size(type));
}

/* Tap by tap, because the rows that a kernel sees overlap, which engines do not take as a matrix. */
ser_status ser_nn_conv3_forward(ser_nn_work *work, float *y, const void *x, const void *w,
                                const ser_nn_conv3 *s, ser_error *err)
{
    ser_gemm g = {.n_batch = 1, .m = s->n_rows, .n = s->n_out, .k = s->n_in, .b_transposed = true};
    g.lda = s->stride * s->n_in, g.ldb = s->n_in, g.ldc = s->n_out;
    g.ab_type = s->type;
    ser_status status = SER_OK;
    for (int j = 0; j < TAPS && status == SER_OK; j++) {
        g.beta = j > 0;
        status = ser_nn_gemm(work, y, row(x, j - 1, s->n_in, s->type), row(w, j, s->n_out * s->n_in, s->type),
                             &g, err);
    }
    return status;
}

/* Row stride u + r of dx gets dy[t] w[j] from all t and j with stride t + j - 1 = stride u + r. */
ser_status ser_nn_conv3_backward(ser_nn_work *work, float *dx, const void *dy, const void *w,
                                 const ser_nn_conv3 *s, ser_error *err)
{
    int stride = (int)s->stride;
    ser_gemm g = {.n_batch = 1, .m = s->n_rows, .n = s->n_in, .k = s->n_out, .ab_type = s->type};
    g.lda = s->n_out, g.ldb = s->n_in, g.ldc = s->stride * s->n_in;
    ser_status status = SER_OK;
    for (int r = 0; r < stride; r++) {
        g.beta = 0;
        for (int j = 0; j < TAPS && status == SER_OK; j++) {
            if ((r + 1 - j) % stride != 0)
                continue;
            status =
                ser_nn_gemm(work, dx + (size_t)r * s->n_in, row(dy, (r + 1 - j) / stride, s->n_out, s->type),
                            row(w, j, s->n_out * s->n_in, s->type), &g, err);
            g.beta = 1;
        }
    }
    return status;
}

ser_status ser_nn_conv3_backward_weights(ser_nn_work *work, float *dw, const void *dy, const void *x,
                                         const ser_nn_conv3 *s, int tap, ser_error *err)
{
    ser_gemm g = {.n_batch = 1, .m = s->n_out, .n = s->n_in, .k = s->n_rows, .a_transposed = true};
    g.lda = s->n_out, g.ldb = s->stride * s->n_in, g.ldc = s->n_in;
    g.ab_type = s->type;
    return ser_nn_gemm(work, dw + (size_t)tap * s->n_out * s->n_in, dy, row(x, tap - 1, s->n_in, s->type), &g,
                       err);
}
