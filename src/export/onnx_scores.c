/* Frames to scores. */
#include "export/onnx_parts.h"
#include "model/pooled.h"

#include <math.h>
#include <string.h>

/* ---- active frames ---- */

/* Sums of x (1, 1, samples) over the stretch of each frame: its hop and half a hop before. */
static ser_onnx_value sum_stretches(ser_onnx *g, ser_onnx_value x, int64_t hop)
{
    const int64_t pads[] = {hop / 2, 0};
    const size_t n = (size_t)(hop + hop / 2);
    ser_onnx_value ones;
    float *w = ser_onnx_floats(g, &ones, 3, (const size_t[]){1, 1, n});
    for (size_t i = 0; w && i < n; i++)
        w[i] = 1;
    x = SER_ONNX(g, "Conv", x, ones);
    ser_onnx_ints(g, "strides", 1, &hop);
    ser_onnx_ints(g, "pads", 2, pads);
    return x;
}

/* x (1, 1, samples) with zeros behind it, so that all frames have their stretch. */
static ser_onnx_value extend(ser_onnx *g, ser_onnx_value x, ser_onnx_value n_frames, int64_t hop)
{
    ser_onnx_value n = SER_ONNX(g, "Mul", n_frames, ser_onnx_integer(g, hop));
    n = SER_ONNX(g, "Sub", SER_ONNX(g, "Add", n, ser_onnx_integer(g, hop)), ser_onnx_length(g, x, 2));
    n = SER_ONNX(g, "Max", n, ser_onnx_integer(g, 0));
    n = SER_ONNX(g, "Concat", ser_onnx_i64(g, 5, (const int64_t[]){0, 0, 0, 0, 0}), n);
    ser_onnx_int(g, "axis", 0);
    return SER_ONNX(g, "Pad", x, n);
}

ser_onnx_value ser_onnx_active(ser_onnx *g, ser_onnx_value waveform, ser_onnx_value n_frames, int hop_samples)
{
    const int64_t one = 1, order[] = {0, 2, 1};
    ser_onnx_value x = SER_ONNX(g, "Unsqueeze", waveform, ser_onnx_i64(g, 1, &one));
    ser_onnx_value there = SER_ONNX(g, "Expand", ser_onnx_scalar(g, 1), SER_ONNX(g, "Shape", x));
    ser_onnx_value sums =
        sum_stretches(g, extend(g, SER_ONNX(g, "Mul", x, x), n_frames, hop_samples), hop_samples);
    ser_onnx_value counts = sum_stretches(g, extend(g, there, n_frames, hop_samples), hop_samples);
    ser_onnx_value level = SER_ONNX(g, "Div", sums, SER_ONNX(g, "Max", counts, ser_onnx_scalar(g, 1)));
    level = ser_onnx_slice(g, level, ser_onnx_integer(g, 0), n_frames, 2);
    ser_onnx_value least =
        SER_ONNX(g, "Mul", SER_ONNX(g, "ReduceMax", level), ser_onnx_scalar(g, 3.1623e-4f));
    ser_onnx_value active = SER_ONNX(g, "Cast", SER_ONNX(g, "GreaterOrEqual", level, least));
    ser_onnx_int(g, "to", SER_ONNX_FLOAT);
    active = SER_ONNX(g, "Transpose", active);
    ser_onnx_ints(g, "perm", 3, order);
    return active;
}

/* ---- the linear part ---- */

/* Over time, kept as an axis of one. */
static ser_onnx_value sum_over_time(ser_onnx *g, ser_onnx_value x)
{
    const int64_t time = 1;
    return SER_ONNX(g, "ReduceSum", x, ser_onnx_i64(g, 1, &time));
}

/* Mean and deviation (1, 1, dims) of the frames whose weight (1, frames, 1) is 1. What does not vary beyond
 * rounding has the deviation 0 (model/moments.h). */
static void moments(ser_onnx *g, ser_onnx_value out[2], ser_onnx_value frames, ser_onnx_value weight)
{
    ser_onnx_value n = sum_over_time(g, weight);
    ser_onnx_value mean = SER_ONNX(g, "Div", sum_over_time(g, SER_ONNX(g, "Mul", frames, weight)), n);
    ser_onnx_value away = SER_ONNX(g, "Sub", frames, mean);
    ser_onnx_value squares = SER_ONNX(g, "Mul", SER_ONNX(g, "Mul", away, away), weight);
    ser_onnx_value deviation = SER_ONNX(g, "Sqrt", SER_ONNX(g, "Div", sum_over_time(g, squares), n));
    ser_onnx_value least = SER_ONNX(g, "Mul", SER_ONNX(g, "Abs", mean), ser_onnx_scalar(g, 1e-6f));
    ser_onnx_value varies = SER_ONNX(g, "Greater", deviation, least);
    out[0] = mean;
    out[1] = SER_ONNX(g, "Where", varies, deviation, ser_onnx_scalar(g, 0));
}

ser_onnx_value ser_onnx_pool(ser_onnx *g, ser_onnx_value frames, ser_onnx_value active, const size_t *dims,
                             size_t n_blocks)
{
    const int64_t one = 1;
    ser_onnx_value all = SER_ONNX(g, "Expand", ser_onnx_scalar(g, 1), SER_ONNX(g, "Shape", active));
    ser_onnx_value statistics[SER_N_STATISTICS],
        parts[SER_MAX_PARTS * SER_ENCODER_MAX_LAYERS * SER_N_STATISTICS + 1];
    size_t n = 0;
    moments(g, statistics, frames, all);
    moments(g, statistics + 2, frames, active);
    int64_t from = 0;
    for (size_t b = 0; b < n_blocks; b++) {
        int64_t to = from + (int64_t)dims[b];
        for (size_t s = 0; s < SER_N_STATISTICS; s++)
            parts[n++] =
                ser_onnx_slice(g, statistics[s], ser_onnx_i64(g, 1, &from), ser_onnx_i64(g, 1, &to), 2);
        from = to;
    }
    parts[n] = NULL;
    ser_onnx_value pooled = ser_onnx_node(g, "Concat", parts);
    ser_onnx_int(g, "axis", 2);
    return SER_ONNX(g, "Squeeze", pooled, ser_onnx_i64(g, 1, &one));
}

static ser_onnx_value vector(ser_onnx *g, const float *x, size_t n)
{
    ser_onnx_value value;
    float *to = ser_onnx_floats(g, &value, 1, &n);
    if (to)
        memcpy(to, x, n * sizeof *to);
    return value;
}

ser_onnx_value ser_onnx_linear(ser_onnx *g, ser_onnx_value x, const ser_linear *l)
{
    ser_onnx_value w;
    float *turned = ser_onnx_floats(g, &w, 2, (const size_t[]){l->n_in, l->n_labels});
    for (size_t i = 0; turned && i < l->n_in; i++)
        for (size_t k = 0; k < l->n_labels; k++)
            turned[i * l->n_labels + k] = l->w[k * l->n_in + i];
    x = SER_ONNX(g, "Sub", x, vector(g, l->mean, l->n_in));
    x = SER_ONNX(g, "Mul", x, vector(g, l->scale, l->n_in));
    x = SER_ONNX(g, "Add", SER_ONNX(g, "MatMul", x, w), vector(g, l->bias, l->n_labels));
    x = SER_ONNX(g, "Div", x, ser_onnx_scalar(g, l->temperature));
    x = SER_ONNX(g, "Softmax", x);
    ser_onnx_int(g, "axis", -1);
    return x;
}

ser_onnx_value ser_onnx_even_out(ser_onnx *g, ser_onnx_value scores, ser_onnx_value x, const ser_unlike *u)
{
    const int64_t features = 1;
    const float first = ser_unlike_factor(1), per_reach = ser_unlike_factor(2) - first;
    double n = 0;
    for (size_t i = 0; i < u->n_in; i++)
        n += u->scale[i] != 0;
    x = SER_ONNX(g, "Mul", SER_ONNX(g, "Sub", x, vector(g, u->mean, u->n_in)), vector(g, u->scale, u->n_in));
    ser_onnx_value away = SER_ONNX(g, "ReduceSum", SER_ONNX(g, "Abs", x), ser_onnx_i64(g, 1, &features));
    away = SER_ONNX(g, "Div", away, ser_onnx_scalar(g, (float)(fmax(n, 1) * (double)u->reach)));
    away = SER_ONNX(g, "Sub", SER_ONNX(g, "Max", away, ser_onnx_scalar(g, 1)), ser_onnx_scalar(g, 1));
    ser_onnx_value factor = SER_ONNX(g, "Add", SER_ONNX(g, "Mul", away, ser_onnx_scalar(g, per_reach)),
                                     ser_onnx_scalar(g, first));
    scores = SER_ONNX(g, "Log", SER_ONNX(g, "Max", scores, ser_onnx_scalar(g, 1e-30f)));
    scores = SER_ONNX(g, "Softmax", SER_ONNX(g, "Div", scores, factor));
    ser_onnx_int(g, "axis", -1);
    return scores;
}
