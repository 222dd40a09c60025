/* A convolution is a product with the unfolded input, which has one group of columns per tap. Where the
 * dilation is large, the first frames have no past for the earlier taps to read: they go as products of their
 * own that leave those taps out. With 96 frames and dilations up to 128 that is a quarter of all work. */
#include "nn/pieces.h"
#include "nn/rows.h"
#include "nn/trainable.h"

/* Below, a product of so few rows is slower than multiplying by zeros. */
enum { MIN_OWN_ROWS = 16 };

/* Rows first ... end-1 of the forward pass read the taps from tap on; of the backward pass, which goes from
 * the end, counted from the last row. */
typedef struct span {
    size_t first, end, tap;
} span;

static bool next_span(span *s, size_t n_rows, const ser_nn_causal_conv *c)
{
    s->first = s->end;
    if (s->first >= n_rows)
        return false;
    size_t n_past = c->dilation < MIN_OWN_ROWS ? c->kernel - 1 : s->first / c->dilation;
    if (n_past >= c->kernel - 1) {
        s->tap = 0;
        s->end = n_rows;
    } else {
        s->tap = c->kernel - 1 - n_past;
        s->end = (n_past + 1) * c->dilation < n_rows ? (n_past + 1) * c->dilation : n_rows;
    }
    return true;
}

/* Fills the earlier taps' columns from the last tap's. backwards: from the rows after instead of before. */
static void unfold(void *unfolded, size_t n_columns, const ser_nn_causal_conv *c, ser_dtype type,
                   bool backwards)
{
    size_t n_rows = ser_nn_padded_rows(c->n_frames), size = n_columns * ser_dtype_size(type);
    char *last = (char *)unfolded + (c->kernel - 1) * size;
    size_t row = c->kernel * size;
    for (size_t k = 0; k + 1 < c->kernel; k++) {
        char *columns = (char *)unfolded + k * size;
        size_t away = (c->kernel - 1 - k) * c->dilation, n_missing = away < n_rows ? away : n_rows;
        for (size_t t = 0; t < n_rows - n_missing; t++) {
            size_t to = backwards ? t : t + away, from = backwards ? t + away : t;
            memcpy(columns + to * row, last + from * row, size);
        }
        if (c->dilation >= MIN_OWN_ROWS)
            continue; /* no product reads the missing ones */
        for (size_t t = 0; t < n_missing; t++)
            memset(columns + (backwards ? n_rows - 1 - t : t) * row, 0, size);
    }
}

ser_status ser_nn_causal_conv1d_forward(ser_nn_work *work, float *y, void *unfolded, const void *w,
                                        const ser_nn_causal_conv *c, ser_error *err)
{
    ser_dtype type = ser_nn_work_type(work);
    size_t size = ser_dtype_size(type), row = c->kernel * c->n_in;
    unfold(unfolded, c->n_in, c, type, false);
    ser_status status = SER_OK;
    span s = {0};
    while (status == SER_OK && next_span(&s, ser_nn_padded_rows(c->n_frames), c)) {
        size_t skipped = s.tap * c->n_in;
        const char *a = (const char *)unfolded + (s.first * row + skipped) * size;
        const char *b = (const char *)w + skipped * c->n_out * size;
        ser_gemm g = {.n_batch = 1, .m = s.end - s.first, .n = c->n_out, .k = row - skipped};
        g.lda = row, g.ldb = c->n_out, g.ldc = c->n_out;
        g.ab_type = type;
        status = ser_nn_gemm_by_rows(work, y + s.first * c->n_out, a, b, &g, err);
    }
    return status;
}

/* forward was: y[t + away of k] += w[k] x[t], so: dx[t] += w[k]^T dy[t + away], dw[k] += x[t] dy[t + away]^T.
 */
ser_status ser_nn_causal_conv1d_backward(ser_nn_work *work, float *dx, bool add_dx, float *dw_by_input,
                                         void *unfolded, const void *x, size_t x_stride,
                                         const void *w_by_input, const ser_nn_causal_conv *c, ser_error *err)
{
    ser_dtype type = ser_nn_work_type(work);
    size_t size = ser_dtype_size(type), row = c->kernel * c->n_out, n_rows = ser_nn_padded_rows(c->n_frames);
    unfold(unfolded, c->n_out, c, type, true);
    ser_status status = SER_OK;
    span s = {0};
    while (status == SER_OK && next_span(&s, n_rows, c)) {
        size_t first = n_rows - s.end, n = s.end - s.first, skipped = s.tap * c->n_out;
        const char *dy = (const char *)unfolded + (first * row + skipped) * size;
        ser_gemm to_x = {.n_batch = 1, .m = n, .n = c->n_in, .k = row - skipped, .b_transposed = true};
        to_x.lda = row, to_x.ldb = row, to_x.ldc = c->n_in;
        to_x.beta = add_dx ? 1 : 0;
        to_x.ab_type = type;
        status = ser_nn_gemm_by_rows(work, dx + first * c->n_in, dy,
                                     (const char *)w_by_input + skipped * size, &to_x, err);
        ser_gemm to_w = {.n_batch = 1, .m = c->n_in, .n = row - skipped, .k = n, .a_transposed = true};
        to_w.lda = x_stride, to_w.ldb = row, to_w.ldc = row;
        to_w.beta = 1;
        to_w.ab_type = type;
        if (status == SER_OK)
            status = ser_nn_gemm_by_terms(work, dw_by_input + skipped,
                                          (const char *)x + first * x_stride * size, dy, &to_w, err);
    }
    return status;
}

void ser_nn_kernel_by_input(void *by_input, ser_dtype type, const float *w, const ser_nn_causal_conv *c)
{
    size_t size = ser_dtype_size(type);
    for (size_t k = 0; k < c->kernel; k++)
        for (size_t i = 0; i < c->n_in; i++)
            ser_nn_convert((char *)by_input + (i * c->kernel + k) * c->n_out * size, type,
                           w + (k * c->n_in + i) * c->n_out, c->n_out);
}

void ser_nn_kernel_add_by_input(float *dw, const float *dw_by_input, const ser_nn_causal_conv *c)
{
    for (size_t k = 0; k < c->kernel; k++)
        for (size_t i = 0; i < c->n_in; i++)
            ser_nn_add_rows(dw + (k * c->n_in + i) * c->n_out, dw_by_input + (i * c->kernel + k) * c->n_out,
                            1, c->n_out);
}
