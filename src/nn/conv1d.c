#include "base/memory.h"
#include "nn/layers.h"

#include <string.h>

enum { ROWS_SLOT = 0 };

/* w (n_out, n_in, kernel) -> out (n_out, kernel, n_in), times the scales. */
static ser_status put_kernel_first(float *out, const ser_tensor *w, const float *scales,
                                   const ser_nn_conv_shape *s, ser_error *err)
{
    size_t n_row = s->kernel * s->n_in;
    float *row = ser_alloc(n_row, sizeof *row);
    ser_status status = row ? SER_OK : ser_fail_nomem(err);
    for (size_t o = 0; o < s->n_out && status == SER_OK; o++) {
        status = ser_tensor_to_f32(row, w, o * n_row, n_row, err);
        float scale = scales ? scales[o] : 1;
        for (size_t j = 0; j < s->kernel; j++)
            for (size_t i = 0; i < s->n_in; i++)
                out[o * n_row + j * s->n_in + i] = row[i * s->kernel + j] * scale;
    }
    ser_free(row);
    return status;
}

ser_status ser_nn_conv1d_init(ser_nn_conv1d *c, const ser_nn_ops *ops, const ser_tensor *w,
                              const float *scales, const float *bias, const ser_nn_conv_shape *shape,
                              ser_activation act, ser_error *err)
{
    *c = (ser_nn_conv1d){.shape = *shape};
    size_t n_row, n;
    if (!ser_mul_size(&n_row, shape->n_in, shape->kernel) || !ser_mul_size(&n, n_row, shape->n_out) ||
        n != w->n_elements)
        return ser_fail(err, SER_E_ARG, "tensor '%s' has %zu elements and should have %zu x %zu x %zu",
                        w->name, w->n_elements, shape->n_out, shape->n_in, shape->kernel);
    float *copy = ser_alloc(n, sizeof *copy);
    if (!copy)
        return ser_fail_nomem(err);
    ser_status status = put_kernel_first(copy, w, scales, shape, err);
    ser_tensor t = {.name = w->name, .dtype = SER_F32, .n_elements = n, .data = copy};
    if (status == SER_OK)
        status = ser_nn_linear_new(&c->linear, ops, &t, NULL, bias, shape->n_out, n_row, act, err);
    ser_free(copy);
    return status;
}

void ser_nn_conv1d_release(ser_nn_conv1d *c)
{
    ser_nn_linear_free(&c->linear);
}

/* rows (n_rows, kernel, n_in): row t is x[at ... at + kernel - 1] where at = stride (first_row + t) -
 * padding, zeros beyond the ends. size: of an element. */
static void gather_rows(unsigned char *rows, const unsigned char *x, const ser_nn_conv_shape *s,
                        size_t n_frames, size_t first_row, size_t n_rows, size_t size)
{
    size_t n_bytes = s->n_in * size;
    for (size_t t = first_row; t < first_row + n_rows; t++, rows += s->kernel * n_bytes) {
        size_t at = s->stride * t, end = s->padding + n_frames; /* counted from the zero frames before x */
        size_t from = at < s->padding ? s->padding - at : 0, to = at < end ? end - at : 0;
        to = to < s->kernel ? to : s->kernel;
        from = from < to ? from : to;
        memset(rows, 0, from * n_bytes);
        if (from < to)
            memcpy(rows + from * n_bytes, x + (at + from - s->padding) * n_bytes, (to - from) * n_bytes);
        memset(rows + to * n_bytes, 0, (s->kernel - to) * n_bytes);
    }
}

ser_status ser_nn_conv1d_forward(const ser_nn_conv1d *c, ser_nn_work *work, void *y, ser_dtype y_type,
                                 const void *x, ser_dtype x_type, size_t n_frames, size_t first_row,
                                 size_t n_rows, ser_error *err)
{
    const ser_nn_conv_shape *s = &c->shape;
    size_t n_row = s->kernel * s->n_in * ser_dtype_size(x_type), n_bytes;
    /* Rows that neither overlap nor reach beyond x lie there already. */
    if (s->kernel == s->stride && !s->padding && (first_row + n_rows) * s->kernel <= n_frames)
        return ser_nn_linear_forward(c->linear, work, y, y_type, (const unsigned char *)x + first_row * n_row,
                                     x_type, n_rows, false, err);
    void *rows = ser_mul_size(&n_bytes, n_rows, n_row) ? ser_nn_scratch(work, ROWS_SLOT, n_bytes) : NULL;
    if (!rows)
        return ser_fail_nomem(err);
    gather_rows(rows, x, s, n_frames, first_row, n_rows, ser_dtype_size(x_type));
    return ser_nn_linear_forward(c->linear, work, y, y_type, rows, x_type, n_rows, false, err);
}
