#include "base/memory.h"
#include "nn/layers.h"

#include <string.h>

enum { K = SER_NN_CONV_KERNEL, ROWS_SLOT = 0 };

/* w (n_out, n_in, 3) -> out (n_out, 3, n_in), times the scales. */
static ser_status put_kernel_first(float *out, const ser_tensor *w, const float *scales, size_t n_out,
                                   size_t n_in, ser_error *err)
{
    float *row = ser_alloc(K * n_in, sizeof *row);
    ser_status status = row ? SER_OK : ser_fail_nomem(err);
    for (size_t o = 0; o < n_out && status == SER_OK; o++) {
        status = ser_tensor_to_f32(row, w, o * K * n_in, K * n_in, err);
        float scale = scales ? scales[o] : 1;
        for (size_t j = 0; j < K; j++)
            for (size_t i = 0; i < n_in; i++)
                out[(o * K + j) * n_in + i] = row[i * K + j] * scale;
    }
    ser_free(row);
    return status;
}

ser_status ser_nn_conv1d_init(ser_nn_conv1d *c, const ser_nn_ops *ops, const ser_tensor *w,
                              const float *scales, const float *bias, size_t n_out, size_t n_in,
                              size_t stride, ser_activation act, ser_error *err)
{
    *c = (ser_nn_conv1d){.n_in = n_in, .n_out = n_out, .stride = stride};
    size_t n_row, n;
    if (!ser_mul_size(&n_row, n_in, K) || !ser_mul_size(&n, n_row, n_out) || n != w->n_elements)
        return ser_fail(err, SER_E_ARG, "tensor '%s' has %zu elements and should have %zu x %zu x %d",
                        w->name, w->n_elements, n_out, n_in, (int)K);
    float *copy = ser_alloc(n, sizeof *copy);
    if (!copy)
        return ser_fail_nomem(err);
    ser_status status = put_kernel_first(copy, w, scales, n_out, n_in, err);
    ser_tensor t = {.name = w->name, .dtype = SER_F32, .n_elements = n, .data = copy};
    if (status == SER_OK)
        status = ser_nn_linear_new(&c->linear, ops, &t, NULL, bias, n_out, n_row, act, err);
    ser_free(copy);
    return status;
}

void ser_nn_conv1d_release(ser_nn_conv1d *c)
{
    ser_nn_linear_free(&c->linear);
}

/* rows (n_rows, 3, n_in): row t is x[at - 1 ... at + 1] where at = stride (first_row + t), zeros beyond the
 * ends. size: of an element. */
static void gather_rows(unsigned char *rows, const unsigned char *x, const ser_nn_conv1d *c, size_t n_frames,
                        size_t first_row, size_t n_rows, size_t size)
{
    size_t n_bytes = c->n_in * size;
    for (size_t t = first_row; t < first_row + n_rows; t++)
        for (size_t j = 0; j < K; j++, rows += n_bytes) {
            size_t at = c->stride * t + j; /* counted from the zero frame before x */
            if (at >= 1 && at <= n_frames)
                memcpy(rows, x + (at - 1) * n_bytes, n_bytes);
            else
                memset(rows, 0, n_bytes);
        }
}

ser_status ser_nn_conv1d_forward(const ser_nn_conv1d *c, ser_nn_work *work, void *y, ser_dtype y_type,
                                 const void *x, ser_dtype x_type, size_t n_frames, size_t first_row,
                                 size_t n_rows, ser_error *err)
{
    size_t size = ser_dtype_size(x_type), n_bytes;
    void *rows =
        ser_mul_size(&n_bytes, n_rows, K * c->n_in * size) ? ser_nn_scratch(work, ROWS_SLOT, n_bytes) : NULL;
    if (!rows)
        return ser_fail_nomem(err);
    gather_rows(rows, x, c, n_frames, first_row, n_rows, size);
    return ser_nn_linear_forward(c->linear, work, y, y_type, rows, x_type, n_rows, false, err);
}
