#include "nn/rows.h"
#include "nn/trainable.h"

enum { PRODUCT_SLOT = 0 };

SER_INLINE void add_bias(void *y, bool half, const float *x, const float *bias, size_t n_rows, size_t n)
{
    for (size_t t = 0; t < n_rows; t++)
        for (size_t i = 0; i < n; i += SER_N_LANES) {
            ser_lanes v = ser_row_load(x, t * n + i, n - i);
            ser_row_store_as(y, half, t * n + i, n - i, bias ? v + ser_row_load(bias, i, n - i) : v);
        }
}

SER_FAST_STATIC(void, add_bias_f32, (float *y, const float *x, const float *bias, size_t n_rows, size_t n),
                (y, x, bias, n_rows, n))
{
    add_bias(y, false, x, bias, n_rows, n);
}

SER_FAST_STATIC(void, add_bias_bf16,
                (uint16_t * y, const float *x, const float *bias, size_t n_rows, size_t n),
                (y, x, bias, n_rows, n))
{
    add_bias(y, true, x, bias, n_rows, n);
}

ser_status ser_nn_affine_forward(ser_nn_work *work, void *y, ser_dtype y_type, const void *x, const void *w,
                                 const float *bias, const ser_nn_affine *s, bool add, ser_error *err)
{
    ser_gemm g = {.n_batch = 1, .m = s->n_rows, .n = s->n_out, .k = s->n_in, .b_transposed = true};
    g.lda = g.ldb = s->n_in, g.ldc = s->n_out;
    g.ab_type = s->type;
    g.beta = add;
    bool direct = y_type == SER_F32;
    float *product = direct ? y : ser_nn_scratch(work, PRODUCT_SLOT, s->n_rows * s->n_out * sizeof *product);
    if (!product)
        return ser_fail_nomem(err);
    ser_status status = ser_nn_gemm(work, product, x, w, &g, err);
    if (status != SER_OK)
        return status;
    if (direct && bias)
        add_bias_f32(y, y, bias, s->n_rows, s->n_out);
    else if (!direct)
        add_bias_bf16(y, product, bias, s->n_rows, s->n_out);
    return SER_OK;
}

ser_status ser_nn_affine_backward(ser_nn_work *work, float *dx, const void *dy, const void *w,
                                  const ser_nn_affine *s, bool add, ser_error *err)
{
    ser_gemm g = {.n_batch = 1, .m = s->n_rows, .n = s->n_in, .k = s->n_out, .ab_type = s->type};
    g.lda = s->n_out, g.ldb = g.ldc = s->n_in;
    g.beta = add;
    return ser_nn_gemm(work, dx, dy, w, &g, err);
}

/* In terms of so many rows, whose products with matrices of a few hundred columns stay in the second cache.
 */
ser_status ser_nn_affine_backward_weights(ser_nn_work *work, float *dw, const void *dy, const void *x,
                                          const ser_nn_affine *s, ser_error *err)
{
    enum { TERMS = 512 };
    size_t size = ser_dtype_size(s->type);
    ser_gemm g = {.n_batch = 1, .m = s->n_out, .n = s->n_in, .a_transposed = true, .ab_type = s->type};
    g.lda = s->n_out, g.ldb = g.ldc = s->n_in;
    ser_status status = SER_OK;
    for (size_t t = 0; t < s->n_rows && status == SER_OK; t += TERMS) {
        g.k = s->n_rows - t < TERMS ? s->n_rows - t : TERMS;
        g.beta = t > 0;
        status = ser_nn_gemm(work, dw, (const char *)dy + t * s->n_out * size,
                             (const char *)x + t * s->n_in * size, &g, err);
    }
    return status;
}
