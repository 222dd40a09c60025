/* The front of wav2vec 2.0 and its relatives (encoder/wav2vec2.c). */
#include "base/memory.h"
#include "export/onnx_encoder.h"
#include "nn/speech.h"

#include <stdio.h>

static const float conv_epsilon = 1e-5f; /* as in encoder/wav2vec2.c */

static const ser_module_spec *numbered(const ser_onnx_encoder *e, const char *format, size_t i)
{
    char name[64];
    snprintf(name, sizeof name, format, i);
    return ser_onnx_module(e, name);
}

/* The first n samples (one integer) to mean 0 and deviation 1; those behind stay zeros. */
static ser_onnx_value normalise(ser_onnx *g, ser_onnx_value waveform, ser_onnx_value n)
{
    const int64_t time[] = {1};
    ser_onnx_value all = ser_onnx_length(g, waveform, 1), none = ser_onnx_integer(g, 0);
    ser_onnx_value sound = ser_onnx_slice(g, waveform, none, n, 1);
    ser_onnx_value mean = SER_ONNX(g, "ReduceMean", sound);
    ser_onnx_ints(g, "axes", 1, time);
    sound = SER_ONNX(g, "Sub", sound, mean);
    ser_onnx_value variance = SER_ONNX(g, "ReduceMean", SER_ONNX(g, "Mul", sound, sound));
    ser_onnx_ints(g, "axes", 1, time);
    variance = SER_ONNX(g, "Sqrt", SER_ONNX(g, "Add", variance, ser_onnx_scalar(g, 1e-7f)));
    sound = SER_ONNX(g, "Div", sound, variance);
    ser_onnx_value pads =
        SER_ONNX(g, "Concat", ser_onnx_i64(g, 3, (const int64_t[]){0, 0, 0}), SER_ONNX(g, "Sub", all, n));
    ser_onnx_int(g, "axis", 0);
    return SER_ONNX(g, "Pad", sound, pads);
}

/* x (1, channels, time) through convolution i with its norm. */
static ser_onnx_value convolve(ser_onnx_encoder *e, ser_onnx_value x, size_t i)
{
    ser_onnx *g = e->g;
    const ser_encoder_sizes *s = &e->plan->sizes;
    const ser_module_spec *module = numbered(e, "feature_extractor.conv_layers.%zu.conv", i);
    const ser_module_spec *norm = numbered(e, "feature_extractor.conv_layers.%zu.layer_norm", i);
    int64_t stride = (int64_t)s->conv_strides[i];
    ser_onnx_value bias = ser_onnx_tensor(e, module, 1), w = ser_onnx_tensor(e, module, 0);
    x = *bias ? SER_ONNX(g, "Conv", x, w, bias) : SER_ONNX(g, "Conv", x, w);
    ser_onnx_ints(g, "strides", 1, &stride);
    if (s->conv_layer_norm) {
        x = ser_onnx_norm(e, ser_onnx_turn(g, x), norm, s->conv_dims[i], conv_epsilon);
        x = ser_onnx_turn(g, x);
    } else if (i == 0) { /* one group a channel */
        x = SER_ONNX(g, "InstanceNormalization", x, ser_onnx_tensor(e, norm, 0), ser_onnx_tensor(e, norm, 1));
        ser_onnx_float(g, "epsilon", conv_epsilon);
    }
    return ser_onnx_gelu(g, x);
}

/* x (1, frames, dims) through a positional convolution, as long as x. */
static ser_onnx_value convolve_positions(ser_onnx_encoder *e, ser_onnx_value x, const ser_module_spec *module)
{
    ser_onnx *g = e->g;
    const ser_encoder_sizes *s = &e->plan->sizes;
    const int64_t before = (int64_t)s->positional_kernel / 2,
                  behind = ((int64_t)s->positional_kernel - 1) / 2;
    const int64_t pads[] = {before, behind};
    x = SER_ONNX(g, "Conv", ser_onnx_turn(g, x), ser_onnx_tensor(e, module, 0),
                 ser_onnx_tensor(e, module, 1));
    ser_onnx_int(g, "group", (int64_t)s->positional_groups);
    ser_onnx_ints(g, "pads", 2, pads);
    return ser_onnx_turn(g, x);
}

static ser_onnx_value add_positions(ser_onnx_encoder *e, ser_onnx_value x)
{
    const ser_encoder_sizes *s = &e->plan->sizes;
    ser_onnx_value y = x;
    for (size_t i = 0; i < s->n_positional && e->st == SER_OK; i++) {
        y = convolve_positions(e, y,
                               numbered(e,
                                        s->plain_positional ? "encoder.pos_conv_embed.layers.%zu.conv"
                                                            : "encoder.pos_conv_embed.conv",
                                        i));
        if (s->plain_positional)
            y = ser_onnx_norm(e, y, NULL, s->dims, conv_epsilon);
        y = ser_onnx_gelu(e->g, y);
    }
    return SER_ONNX(e->g, "Add", x, y);
}

ser_onnx_value ser_onnx_wav2vec2_stem(ser_onnx_encoder *e, ser_onnx_value waveform, ser_onnx_value n_sound)
{
    ser_onnx *g = e->g;
    const ser_encoder_sizes *s = &e->plan->sizes;
    const ser_module_spec *projection_norm = ser_onnx_module(e, "feature_projection.layer_norm");
    const int64_t one = 1;
    if (s->normalise_input)
        waveform = normalise(g, waveform, n_sound);
    ser_onnx_value x = SER_ONNX(g, "Unsqueeze", waveform, ser_onnx_i64(g, 1, &one));
    for (size_t i = 0; i < s->n_convs && e->st == SER_OK; i++)
        x = convolve(e, x, i);
    x = ser_onnx_turn(g, x);
    if (s->projection_norm)
        x = ser_onnx_norm(e, x, projection_norm, s->conv_dims[s->n_convs - 1], s->epsilon);
    x = ser_onnx_apply(e, x, ser_onnx_module(e, "feature_projection.projection"));
    x = add_positions(e, x);
    return s->norm_first ? x
                         : ser_onnx_norm(e, x, ser_onnx_module(e, "encoder.layer_norm"), s->dims, s->epsilon);
}

/* ---- WavLM's relative positions ---- */

/* The table of all distances (heads, 2 max_frames - 1), as nn/position_bias.c fills it. */
static ser_onnx_value distances(ser_onnx_encoder *e, size_t max_frames)
{
    const ser_encoder_sizes *s = &e->plan->sizes;
    const ser_module_spec *module = ser_onnx_module(e, "encoder.layers.0.attention.rel_attn_embed");
    const ser_tensor *t = ser_weights_find(&e->weights, module, 0);
    ser_onnx_value value;
    float *to = ser_onnx_floats(e->g, &value, 2, (const size_t[]){s->n_heads, 2 * max_frames - 1});
    float *embed = ser_alloc(t->n_elements, sizeof *embed);
    if (!to || !embed)
        e->st = ser_fail_nomem(e->err);
    if (e->st == SER_OK)
        e->st = ser_weights_read(embed, &e->weights, t, 0, t->n_elements, e->err);
    if (e->st == SER_OK)
        ser_nn_position_table(to, embed, s->n_buckets, s->max_distance, s->n_heads, max_frames);
    ser_free(embed);
    return value;
}

ser_onnx_value ser_onnx_positions(ser_onnx_encoder *e, ser_onnx_value x, size_t max_frames)
{
    ser_onnx *g = e->g;
    const int64_t first = 0, scalar[] = {1};
    if (e->st != SER_OK)
        return "";
    ser_onnx_value n = SER_ONNX(g, "Squeeze", ser_onnx_length(g, x, 1));
    ser_onnx_value zero = SER_ONNX(g, "Squeeze", ser_onnx_integer(g, 0)),
                   one = SER_ONNX(g, "Squeeze", ser_onnx_integer(g, 1));
    ser_onnx_value keys = SER_ONNX(g, "Range", zero, n, one);
    ser_onnx_value queries = SER_ONNX(g, "Unsqueeze", keys, ser_onnx_i64(g, 1, scalar));
    keys = SER_ONNX(g, "Unsqueeze", keys, ser_onnx_i64(g, 1, &first));
    ser_onnx_value which = SER_ONNX(g, "Sub", keys, queries);
    which = SER_ONNX(g, "Add", which, ser_onnx_integer(g, (int64_t)max_frames - 1));
    x = SER_ONNX(g, "Gather", distances(e, max_frames), which);
    ser_onnx_int(g, "axis", 1);
    return x;
}
