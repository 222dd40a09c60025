/* Temporal networks (model/timnet.h). */
#include "base/memory.h"
#include "export/network.h"
#include "export/onnx_parts.h"

#include <stdint.h>
#include <string.h>

/* ---- fewer frames: model/condense.c ---- */

/* Without what is silent before and after, but for a few frames. */
static ser_onnx_value trim(ser_onnx *g, ser_onnx_value frames, ser_onnx_value active)
{
    enum { MARGIN = 4 };
    const int64_t time = 1, flat = -1;
    ser_onnx_value places = SER_ONNX(g, "NonZero", SER_ONNX(g, "Reshape", active, ser_onnx_i64(g, 1, &flat)));
    ser_onnx_value first = SER_ONNX(g, "ReduceMin", places), last, from, to;
    ser_onnx_int(g, "keepdims", 0);
    last = SER_ONNX(g, "ReduceMax", places);
    ser_onnx_int(g, "keepdims", 0);
    from = SER_ONNX(g, "Max", SER_ONNX(g, "Sub", first, ser_onnx_integer(g, MARGIN)), ser_onnx_integer(g, 0));
    to = SER_ONNX(g, "Add", last, ser_onnx_integer(g, MARGIN + 1)); /* may be beyond the end, which is fine */
    return ser_onnx_slice(g, frames, from, to, time);
}

/* Sums of n neighbours of x (1, frames, dims); the last sum may be of fewer. */
static ser_onnx_value sum_neighbours(ser_onnx *g, ser_onnx_value x, int64_t n)
{
    const int64_t pads[] = {0, 0, 0, 0, n - 1, 0}, time = 1, groups = 2;
    ser_onnx_value n_groups = SER_ONNX(g, "Add", ser_onnx_length(g, x, 1), ser_onnx_integer(g, n - 1));
    n_groups = SER_ONNX(g, "Div", n_groups, ser_onnx_integer(g, n));
    ser_onnx_value n_all = SER_ONNX(g, "Mul", n_groups, ser_onnx_integer(g, n));
    ser_onnx_value shape = SER_ONNX(g, "Concat", ser_onnx_integer(g, 1), n_groups, ser_onnx_integer(g, n),
                                    ser_onnx_length(g, x, 2));
    ser_onnx_int(g, "axis", 0);
    x = SER_ONNX(g, "Pad", x, ser_onnx_i64(g, 6, pads));
    x = ser_onnx_slice(g, x, ser_onnx_integer(g, 0), n_all, time);
    x = SER_ONNX(g, "Reshape", x, shape);
    x = SER_ONNX(g, "ReduceSum", x, ser_onnx_i64(g, 1, &groups));
    ser_onnx_int(g, "keepdims", 0);
    return x;
}

static ser_onnx_value condense(ser_onnx *g, ser_onnx_value frames, ser_onnx_value active,
                               const ser_condense *c)
{
    if (c->trim)
        frames = trim(g, frames, active);
    if (c->n_averaged < 2)
        return frames;
    ser_onnx_value shape =
        SER_ONNX(g, "Concat", ser_onnx_integer(g, 1), ser_onnx_length(g, frames, 1), ser_onnx_integer(g, 1));
    ser_onnx_int(g, "axis", 0);
    ser_onnx_value ones = SER_ONNX(g, "Expand", ser_onnx_scalar(g, 1), shape);
    return SER_ONNX(g, "Div", sum_neighbours(g, frames, (int64_t)c->n_averaged),
                    sum_neighbours(g, ones, (int64_t)c->n_averaged));
}

/* ---- layers ---- */

static ser_onnx_value matrix(ser_onnx *g, const float *x, size_t n_rows, size_t n_columns)
{
    ser_onnx_value value;
    float *to = ser_onnx_floats(g, &value, 2, (const size_t[]){n_rows, n_columns});
    if (to)
        memcpy(to, x, n_rows * n_columns * sizeof *to);
    return value;
}

static ser_onnx_value dense(ser_onnx *g, ser_onnx_value x, const ser_timnet *net, const ser_timnet_dense *d,
                            size_t n_in, size_t n_out)
{
    x = SER_ONNX(g, "MatMul", x, matrix(g, net->values + d->kernel, n_in, n_out));
    return SER_ONNX(g, "Add", x, matrix(g, net->values + d->bias, 1, n_out));
}

static ser_onnx_value activate(ser_onnx *g, ser_onnx_value x, ser_nonlinearity f)
{
    switch (f) {
    case SER_ELU:
        return SER_ONNX(g, "Elu", x);
    case SER_SWISH:
        return SER_ONNX(g, "Mul", x, SER_ONNX(g, "Sigmoid", x));
    case SER_TANH:
        return SER_ONNX(g, "Tanh", x);
    default:
        return SER_ONNX(g, "Relu", x);
    }
}

/* A causal convolution of x (1, filters, frames), its normalisation, the nonlinearity. */
static ser_onnx_value convolve(ser_onnx *g, ser_onnx_value x, const ser_timnet *net, const ser_timnet_conv *c,
                               int64_t dilation)
{
    size_t n = net->shape.n_filters, size = net->shape.kernel_size;
    const int64_t pads[] = {((int64_t)size - 1) * dilation, 0};
    ser_onnx_value kernel, bias;
    float *w = ser_onnx_floats(g, &kernel, 3, (const size_t[]){n, n, size}),
          *b = ser_onnx_floats(g, &bias, 1, &n);
    float *folded = ser_alloc(size * n * n, sizeof *folded);
    if (w && b && folded) {
        ser_export_fold_conv(folded, b, net, c);
        for (size_t k = 0; k < size; k++)
            for (size_t i = 0; i < n; i++)
                for (size_t o = 0; o < n; o++)
                    w[(o * n + i) * size + k] = folded[(k * n + i) * n + o];
    } else {
        ser_onnx_fail(g);
    }
    ser_free(folded);
    x = SER_ONNX(g, "Conv", x, kernel, bias);
    ser_onnx_ints(g, "dilations", 1, &dilation);
    ser_onnx_ints(g, "pads", 2, pads);
    return activate(g, x, net->shape.activation);
}

/* Of frames (1, frames, dims), standardised: what the blocks of a stream say, weighted and added up:
 * (1, filters, 1). */
static ser_onnx_value run_stream(ser_onnx *g, ser_onnx_value frames, const ser_timnet_member *m,
                                 const ser_timnet_layout *l, size_t stream)
{
    const ser_timnet *net = m->net;
    size_t n = net->shape.n_filters, n_blocks = ser_timnet_n_blocks(net);
    const int64_t order[] = {0, 2, 1}, time = 2;
    ser_onnx_value kernel, x, sum = NULL;
    float *w = ser_onnx_floats(g, &kernel, 2, (const size_t[]){l->dims, n});
    if (w)
        ser_export_place_blocks(w, l, m, net->values + net->input[stream].kernel, n);
    x = SER_ONNX(g, "MatMul", frames, kernel);
    x = SER_ONNX(g, "Add", x, matrix(g, net->values + net->input[stream].bias, 1, n));
    x = SER_ONNX(g, "Transpose", x);
    ser_onnx_ints(g, "perm", 3, order);
    for (size_t b = 0; b < n_blocks; b++) {
        const ser_timnet_conv *c = &net->convs[(stream * n_blocks + b) * 2];
        int64_t dilation = INT64_C(1) << b % net->shape.n_dilations;
        ser_onnx_value z = convolve(g, convolve(g, x, net, c, dilation), net, c + 1, dilation);
        x = SER_ONNX(g, "Mul", x, SER_ONNX(g, "Sigmoid", z));
        z = SER_ONNX(g, "ReduceMean", x);
        ser_onnx_ints(g, "axes", 1, &time);
        z = SER_ONNX(g, "Mul", z, ser_onnx_scalar(g, net->values[net->weighting + b]));
        sum = sum ? SER_ONNX(g, "Add", sum, z) : z;
    }
    return sum;
}

static ser_onnx_value score(ser_onnx *g, ser_onnx_value frames, const ser_timnet_member *m,
                            const ser_timnet_layout *l)
{
    const ser_timnet *net = m->net;
    size_t n = net->shape.n_filters;
    const int64_t time = 1, last = 2;
    ser_onnx_value mean, scale, backwards, x;
    float *mean_to = ser_onnx_floats(g, &mean, 1, &l->dims),
          *scale_to = ser_onnx_floats(g, &scale, 1, &l->dims);
    if (mean_to && scale_to) {
        ser_export_place_blocks(mean_to, l, m, m->mean, 1);
        ser_export_place_blocks(scale_to, l, m, m->scale, 1);
    }
    frames = SER_ONNX(g, "Mul", SER_ONNX(g, "Sub", frames, mean), scale);
    backwards = SER_ONNX(g, "Slice", frames, ser_onnx_integer(g, -1), ser_onnx_integer(g, INT32_MIN),
                         ser_onnx_i64(g, 1, &time), ser_onnx_integer(g, -1));
    x = run_stream(g, frames, m, l, 0);
    x = SER_ONNX(g, "Add", x, run_stream(g, backwards, m, l, 1));
    x = SER_ONNX(g, "Squeeze", x, ser_onnx_i64(g, 1, &last));
    x = SER_ONNX(g, "Relu", dense(g, x, net, &net->dense[0], n, SER_TIMNET_DENSE_1));
    x = SER_ONNX(g, "Relu", dense(g, x, net, &net->dense[1], SER_TIMNET_DENSE_1, SER_TIMNET_DENSE_2));
    x = dense(g, x, net, &net->dense[2], SER_TIMNET_DENSE_2, net->shape.n_labels);
    x = SER_ONNX(g, "Div", x, ser_onnx_scalar(g, m->temperature));
    x = SER_ONNX(g, "Softmax", x);
    ser_onnx_int(g, "axis", -1);
    return x;
}

ser_onnx_value ser_onnx_networks(ser_onnx *g, ser_onnx_value frames, ser_onnx_value active,
                                 const ser_timnet_member *members, size_t n, const ser_timnet_layout *l)
{
    ser_onnx_value sum = NULL;
    frames = condense(g, frames, active, &members[0].condense);
    for (size_t m = 0; m < n; m++) {
        ser_onnx_value one = score(g, frames, &members[m], l);
        sum = sum ? SER_ONNX(g, "Add", sum, one) : one;
    }
    return SER_ONNX(g, "Div", sum, ser_onnx_scalar(g, (float)n));
}
