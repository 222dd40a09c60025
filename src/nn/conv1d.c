#include "base/memory.h"
#include "base/vector.h"
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

/* One of the linear layers that stand for two results at once: weights (n_out, n, n_in) are taken from copy
 * (n_out, 3, n_in): kernel frames from[0], or also from[1] beside it; where summed, the two are one. */
static ser_status new_part(ser_nn_linear **out, const ser_nn_ops *ops, const float *copy, const float *bias,
                           const ser_nn_conv_shape *s, const size_t from[2], bool summed, ser_error *err)
{
    size_t n_in = s->n_in, n_row = (summed ? 1 : 2) * n_in;
    float *part = ser_alloc(s->n_out * n_row, sizeof *part);
    if (!part)
        return ser_fail_nomem(err);
    for (size_t o = 0; o < s->n_out; o++) {
        const float *a = copy + (o * s->kernel + from[0]) * n_in,
                    *b = copy + (o * s->kernel + from[1]) * n_in;
        for (size_t i = 0; i < n_in; i++)
            part[o * n_row + i] = summed ? a[i] + b[i] : a[i];
        if (!summed)
            memcpy(part + o * n_row + n_in, b, n_in * sizeof *b);
    }
    ser_tensor t = {.name = "convolution", .dtype = SER_F32, .n_elements = s->n_out * n_row, .data = part};
    ser_status status = ser_nn_linear_new(out, ops, &t, NULL, bias, s->n_out, n_row, SER_ACT_NONE, err);
    ser_free(part);
    return status;
}

static bool comes_in_pairs(const ser_nn_ops *ops, const ser_nn_conv_shape *s)
{
    return ser_nn_ops_precision(ops) == SER_PRECISION_FP32 && s->kernel == 3 && s->stride == 2 && !s->padding;
}

ser_status ser_nn_conv1d_init(ser_nn_conv1d *c, const ser_nn_ops *ops, const ser_tensor *w,
                              const float *scales, const float *bias, const ser_nn_conv_shape *shape,
                              ser_activation act, ser_error *err)
{
    *c = (ser_nn_conv1d){.shape = *shape, .act = act};
    size_t n_row, n;
    if (!ser_mul_size(&n_row, shape->n_in, shape->kernel) || !ser_mul_size(&n, n_row, shape->n_out) ||
        n != w->n_elements)
        return ser_fail(err, SER_E_ARG, "tensor '%s' has %zu elements and should have %zu x %zu x %zu",
                        w->name, w->n_elements, shape->n_out, shape->n_in, shape->kernel);
    float *copy = ser_alloc(n, sizeof *copy);
    if (!copy)
        return ser_fail_nomem(err);
    ser_status status = put_kernel_first(copy, w, scales, shape, err);
    if (status == SER_OK && comes_in_pairs(ops, shape)) {
        status = new_part(&c->shared, ops, copy, bias, shape, (const size_t[]){0, 2}, true, err);
        if (status == SER_OK)
            status = new_part(&c->first, ops, copy, NULL, shape, (const size_t[]){0, 1}, false, err);
        if (status == SER_OK)
            status = new_part(&c->second, ops, copy, NULL, shape, (const size_t[]){2, 1}, false, err);
    } else if (status == SER_OK) {
        ser_tensor t = {.name = w->name, .dtype = SER_F32, .n_elements = n, .data = copy};
        status = ser_nn_linear_new(&c->linear, ops, &t, NULL, bias, shape->n_out, n_row, act, err);
    }
    ser_free(copy);
    return status;
}

void ser_nn_conv1d_release(ser_nn_conv1d *c)
{
    ser_nn_linear_free(&c->linear);
    ser_nn_linear_free(&c->shared);
    ser_nn_linear_free(&c->first);
    ser_nn_linear_free(&c->second);
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

/* What pairs of results are made of: middle (n_pairs, n_in), first and second (n_pairs, 2 n_in). Frames
 * beyond the last are silent. */
SER_FAST_STATIC(void, gather_pairs,
                (float *restrict middle, float *restrict first, float *restrict second,
                 const float *restrict x, size_t n_in, size_t n_frames, size_t first_row, size_t n_pairs,
                 const float *restrict silence),
                (middle, first, second, x, n_in, n_frames, first_row, n_pairs, silence))
{
    for (size_t p = 0; p < n_pairs; p++, middle += n_in, first += 2 * n_in, second += 2 * n_in) {
        const float *f[5];
        for (size_t j = 0; j < 5; j++) {
            size_t at = 2 * (first_row + 2 * p) + j;
            f[j] = at < n_frames ? x + at * n_in : silence;
        }
        for (size_t i = 0; i < n_in; i++) {
            middle[i] = f[2][i];
            first[i] = f[0][i] - f[2][i];
            first[n_in + i] = f[1][i];
            second[i] = f[4][i] - f[2][i];
            second[n_in + i] = f[3][i];
        }
    }
}

/* y rows 2 p and 2 p + 1 (of which n_rows are asked for) from row p of each side. */
static void interleave(float *y, const float *const sides[2], size_t n_out, size_t n_rows, ser_activation act)
{
    for (size_t t = 0; t < n_rows; t++)
        memcpy(y + t * n_out, sides[t % 2] + t / 2 * n_out, n_out * sizeof *y);
    if (act == SER_ACT_GELU)
        ser_nn_gelu_forward(y, n_rows * n_out);
}

static ser_status forward_pairs(const ser_nn_conv1d *c, ser_nn_work *work, float *y, const float *x,
                                size_t n_frames, size_t first_row, size_t n_rows, ser_error *err)
{
    const ser_nn_conv_shape *s = &c->shape;
    size_t n_pairs = (n_rows + 1) / 2, n_side = n_pairs * s->n_out, n_floats;
    float *rows = ser_mul_size(&n_floats, 5 * n_pairs + 1, s->n_in)
                      ? ser_nn_scratch(work, ROWS_SLOT, (n_floats + 2 * n_side) * sizeof *rows)
                      : NULL;
    if (!rows)
        return ser_fail_nomem(err);
    float *first = rows + n_pairs * s->n_in, *second = first + 2 * n_pairs * s->n_in;
    float *silence = second + 2 * n_pairs * s->n_in,
          *sides[2] = {silence + s->n_in, silence + s->n_in + n_side};
    memset(silence, 0, s->n_in * sizeof *silence);
    gather_pairs(rows, first, second, x, s->n_in, n_frames, first_row, n_pairs, silence);
    ser_status status = ser_nn_linear_run(c->shared, work, sides[0], rows, n_pairs, false, err);
    memcpy(sides[1], sides[0], n_side * sizeof *rows);
    if (status == SER_OK)
        status = ser_nn_linear_run(c->first, work, sides[0], first, n_pairs, true, err);
    if (status == SER_OK)
        status = ser_nn_linear_run(c->second, work, sides[1], second, n_pairs, true, err);
    if (status == SER_OK)
        interleave(y, (const float *const *)sides, s->n_out, n_rows, c->act);
    return status;
}

ser_status ser_nn_conv1d_forward(const ser_nn_conv1d *c, ser_nn_work *work, void *y, ser_dtype y_type,
                                 const void *x, ser_dtype x_type, size_t n_frames, size_t first_row,
                                 size_t n_rows, ser_error *err)
{
    const ser_nn_conv_shape *s = &c->shape;
    size_t n_row = s->kernel * s->n_in * ser_dtype_size(x_type), n_bytes;
    if (c->shared)
        return forward_pairs(c, work, y, x, n_frames, first_row, n_rows, err);
    /* Rows that do not reach beyond x lie there already. */
    size_t x_row = s->stride * s->n_in;
    if (!s->padding && n_rows && (first_row + n_rows - 1) * s->stride + s->kernel <= n_frames)
        return ser_nn_linear_forward_rows(
            c->linear, work, y, y_type, (const unsigned char *)x + first_row * x_row * ser_dtype_size(x_type),
            x_type, x_row, n_rows, false, err);
    void *rows = ser_mul_size(&n_bytes, n_rows, n_row) ? ser_nn_scratch(work, ROWS_SLOT, n_bytes) : NULL;
    if (!rows)
        return ser_fail_nomem(err);
    gather_rows(rows, x, s, n_frames, first_row, n_rows, ser_dtype_size(x_type));
    return ser_nn_linear_forward(c->linear, work, y, y_type, rows, x_type, n_rows, false, err);
}
