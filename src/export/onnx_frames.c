/* Sound to frames: spectrograms and Whisper's encoder. */
#include "base/memory.h"
#include "base/vector.h"
#include "export/onnx_parts.h"
#include "features/filters.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- spectrograms ---- */

/* The Fourier transform as a convolution: rows of cosines, then of sines, in a Hann window. (2 n_bins, 1,
 * n_fft) */
static ser_onnx_value transform(ser_onnx *g, size_t n_fft)
{
    ser_onnx_value value;
    size_t n_bins = n_fft / 2 + 1;
    const double turn = 2 * acos(-1) / (double)n_fft;
    float *w = ser_onnx_floats(g, &value, 3, (const size_t[]){2 * n_bins, 1, n_fft});
    for (size_t k = 0; w && k < n_bins; k++)
        for (size_t i = 0; i < n_fft; i++) {
            double window = 0.5 - 0.5 * cos(turn * (double)i), angle = turn * (double)(k * i % n_fft);
            w[k * n_fft + i] = (float)(window * cos(angle));
            w[(n_bins + k) * n_fft + i] = (float)(window * -sin(angle));
        }
    return value;
}

/* The filters twice, side by side: for the squares of both parts. (n_mels, 2 n_bins) */
static ser_status filters(ser_onnx *g, ser_onnx_value *value, const ser_mel_settings *s, ser_error *err)
{
    ser_mel_filters f = {0};
    size_t n_bins = (size_t)s->n_fft / 2 + 1, n_mels = (size_t)s->n_mels;
    float *w = ser_onnx_floats(g, value, 2, (const size_t[]){n_mels, 2 * n_bins});
    ser_status st = ser_mel_filters_init(&f, s, err);
    for (size_t m = 0; w && m < n_mels && st == SER_OK; m++) {
        size_t first = (size_t)f.bands[m].first_bin, n = (size_t)f.bands[m].n_chunks * SER_N_LANES;
        for (size_t i = 0; i < n && first + i < n_bins; i++)
            w[m * 2 * n_bins + first + i] = w[(m * 2 + 1) * n_bins + first + i] =
                f.weights[f.bands[m].first_weight + i];
    }
    ser_mel_filters_release(&f);
    return st;
}

ser_status ser_onnx_mel(ser_onnx *g, ser_onnx_value *mel, ser_onnx_value waveform, const ser_mel_settings *s,
                        ser_error *err)
{
    const int64_t pads[] = {0, s->n_fft / 2, 0, s->n_fft / 2}, stride = s->hop_samples, one = 1;
    ser_onnx_value bank, x;
    ser_status st = filters(g, &bank, s, err);
    x = SER_ONNX(g, "Pad", waveform, ser_onnx_i64(g, 4, pads));
    ser_onnx_string(g, "mode", s->pad == SER_PAD_REFLECT ? "reflect" : "constant");
    x = SER_ONNX(g, "Unsqueeze", x, ser_onnx_i64(g, 1, &one));
    x = SER_ONNX(g, "Conv", x, transform(g, (size_t)s->n_fft));
    ser_onnx_ints(g, "strides", 1, &stride);
    x = SER_ONNX(g, "Mul", x, x);
    *mel = SER_ONNX(g, "MatMul", bank, x);
    return st;
}

ser_onnx_value ser_onnx_bounded_log(ser_onnx *g, ser_onnx_value x, float scale, float shift)
{
    x = SER_ONNX(g, "Log", SER_ONNX(g, "Max", x, ser_onnx_scalar(g, 1e-10f)));
    x = SER_ONNX(g, "Mul", x, ser_onnx_scalar(g, (float)(1 / log(10))));
    ser_onnx_value lowest = SER_ONNX(g, "ReduceMax", x);
    lowest = SER_ONNX(g, "Sub", lowest, ser_onnx_scalar(g, 8));
    x = SER_ONNX(g, "Mul", SER_ONNX(g, "Max", x, lowest), ser_onnx_scalar(g, scale));
    return SER_ONNX(g, "Add", x, ser_onnx_scalar(g, shift));
}

/* ---- Whisper ---- */

typedef struct network {
    ser_onnx *g;
    const ser_encoder_plan *plan;
    ser_weights weights;
    ser_status st;
    ser_error *err;
} network;

/* Weight (0) or bias (1) of a module, a linear layer's weight as (n_in, n_out). "": it has none. */
static ser_onnx_value tensor(network *n, const char *module, int which)
{
    const ser_module_spec *s = n->plan->specs, *end = s + n->plan->n_specs;
    ser_onnx_value value;
    while (s < end && strcmp(s->name, module) != 0)
        s++;
    const ser_tensor *t = s < end ? ser_weights_find(&n->weights, s, which) : NULL;
    if (!t || n->st != SER_OK)
        return "";
    size_t n_rows = t->dims[0], n_row = t->n_elements / n_rows;
    bool turned = s->kind == SER_MODULE_LINEAR && which == 0;
    const size_t dims[] = {turned ? n_row : n_rows, turned ? n_rows : s->n_in, s->kernel};
    size_t n_dims = which ? 1 : t->n_dims >= 3 ? 3 : (size_t)t->n_dims;
    float *to = ser_onnx_floats(n->g, &value, n_dims, dims), *row = ser_alloc(n_row, sizeof *row);
    if (!to || !row)
        n->st = ser_fail_nomem(n->err);
    for (size_t r = 0; r < n_rows && n->st == SER_OK; r++) {
        n->st = ser_weights_read(row, &n->weights, t, r * n_row, n_row, n->err);
        for (size_t i = 0; i < n_row; i++)
            to[turned ? i * n_rows + r : r * n_row + i] = row[i];
    }
    ser_free(row);
    return value;
}

static const char *SER_PRINTF(2, 3) name(char out[96], const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(out, 96, format, args);
    va_end(args);
    return out;
}

static ser_onnx_value gelu(ser_onnx *g, ser_onnx_value x)
{
    ser_onnx_value e = SER_ONNX(g, "Erf", SER_ONNX(g, "Mul", x, ser_onnx_scalar(g, (float)sqrt(0.5))));
    e = SER_ONNX(g, "Add", e, ser_onnx_scalar(g, 1));
    return SER_ONNX(g, "Mul", SER_ONNX(g, "Mul", x, e), ser_onnx_scalar(g, 0.5f));
}

static ser_onnx_value conv(network *n, ser_onnx_value x, const char *module, int64_t stride)
{
    const int64_t pads[] = {1, 1};
    x = SER_ONNX(n->g, "Conv", x, tensor(n, module, 0), tensor(n, module, 1));
    ser_onnx_ints(n->g, "strides", 1, &stride);
    ser_onnx_ints(n->g, "pads", 2, pads);
    return gelu(n->g, x);
}

static ser_onnx_value linear(network *n, ser_onnx_value x, const char *module)
{
    ser_onnx_value bias = tensor(n, module, 1);
    x = SER_ONNX(n->g, "MatMul", x, tensor(n, module, 0));
    return *bias ? SER_ONNX(n->g, "Add", x, bias) : x;
}

static ser_onnx_value norm(network *n, ser_onnx_value x, const char *module)
{
    x = SER_ONNX(n->g, "LayerNormalization", x, tensor(n, module, 0), tensor(n, module, 1));
    ser_onnx_int(n->g, "axis", -1);
    ser_onnx_float(n->g, "epsilon", n->plan->sizes.epsilon);
    return x;
}

/* (1, frames, dims) to (1, heads, frames, dims of a head), or with the last two exchanged. */
static ser_onnx_value heads(network *n, ser_onnx_value x, bool turned)
{
    size_t n_heads = n->plan->sizes.n_heads;
    const int64_t shape[] = {0, 0, (int64_t)n_heads, (int64_t)(n->plan->sizes.dims / n_heads)};
    const int64_t order[] = {0, 2, 1, 3}, turned_order[] = {0, 2, 3, 1};
    x = SER_ONNX(n->g, "Reshape", x, ser_onnx_i64(n->g, 4, shape));
    x = SER_ONNX(n->g, "Transpose", x);
    ser_onnx_ints(n->g, "perm", 4, turned ? turned_order : order);
    return x;
}

static ser_onnx_value attention(network *n, ser_onnx_value x, int layer)
{
    char m[96];
    const ser_encoder_sizes *s = &n->plan->sizes;
    const int64_t order[] = {0, 2, 1, 3}, shape[] = {0, 0, (int64_t)s->dims};
    float scale = (float)(1 / sqrt((double)(s->dims / s->n_heads)));
    ser_onnx_value q = heads(n, linear(n, x, name(m, "layers.%d.self_attn.q_proj", layer)), false);
    ser_onnx_value k = heads(n, linear(n, x, name(m, "layers.%d.self_attn.k_proj", layer)), true);
    ser_onnx_value v = heads(n, linear(n, x, name(m, "layers.%d.self_attn.v_proj", layer)), false);
    q = SER_ONNX(n->g, "Mul", q, ser_onnx_scalar(n->g, scale));
    x = SER_ONNX(n->g, "Softmax", SER_ONNX(n->g, "MatMul", q, k));
    ser_onnx_int(n->g, "axis", -1);
    x = SER_ONNX(n->g, "Transpose", SER_ONNX(n->g, "MatMul", x, v));
    ser_onnx_ints(n->g, "perm", 4, order);
    x = SER_ONNX(n->g, "Reshape", x, ser_onnx_i64(n->g, 3, shape));
    return linear(n, x, name(m, "layers.%d.self_attn.out_proj", layer));
}

static ser_onnx_value run_layer(network *n, ser_onnx_value x, int layer)
{
    char m[96];
    ser_onnx_value y = norm(n, x, name(m, "layers.%d.self_attn_layer_norm", layer));
    x = SER_ONNX(n->g, "Add", x, attention(n, y, layer));
    y = norm(n, x, name(m, "layers.%d.final_layer_norm", layer));
    y = gelu(n->g, linear(n, y, name(m, "layers.%d.fc1", layer)));
    return SER_ONNX(n->g, "Add", x, linear(n, y, name(m, "layers.%d.fc2", layer)));
}

/* Hidden state 0. */
static ser_onnx_value stem(network *n, ser_onnx_value waveform)
{
    const ser_mel_settings s = ser_whisper_mel_settings((int)n->plan->sizes.n_mels);
    const int64_t order[] = {0, 2, 1}, zero = 0, last = -1;
    ser_onnx_value x = "";
    n->st = ser_onnx_mel(n->g, &x, waveform, &s, n->err);
    x = ser_onnx_slice(n->g, x, ser_onnx_i64(n->g, 1, &zero), ser_onnx_i64(n->g, 1, &last), 2);
    x = ser_onnx_bounded_log(n->g, x, 0.25f, 1);
    x = conv(n, conv(n, x, "conv1", 1), "conv2", 2);
    x = SER_ONNX(n->g, "Transpose", x);
    ser_onnx_ints(n->g, "perm", 3, order);
    ser_onnx_value positions = ser_onnx_slice(n->g, tensor(n, "embed_positions", 0),
                                              ser_onnx_i64(n->g, 1, &zero), ser_onnx_length(n->g, x, 1), 0);
    return SER_ONNX(n->g, "Add", x, positions);
}

static ser_onnx_value run_whisper(network *n, ser_onnx_value waveform, const ser_feature_part *part)
{
    ser_onnx_value states[SER_ENCODER_MAX_LAYERS + 1] = {NULL}, wanted[SER_ENCODER_MAX_LAYERS + 1] = {NULL};
    int last = ser_feature_part_last_layer(part);
    states[0] = stem(n, waveform);
    for (int i = 0; i < last && n->st == SER_OK; i++)
        states[i + 1] = run_layer(n, states[i], i);
    if (last == n->plan->info.n_layers && n->st == SER_OK)
        states[last] = norm(n, states[last], "layer_norm");
    for (size_t i = 0; i < part->n_layers && n->st == SER_OK; i++)
        wanted[i] = states[part->layers[i]];
    ser_onnx_value frames = n->st == SER_OK ? ser_onnx_node(n->g, "Concat", wanted) : "";
    ser_onnx_int(n->g, "axis", -1);
    return frames;
}

ser_status ser_onnx_whisper(ser_onnx *g, ser_onnx_value *frames, ser_onnx_value waveform,
                            const ser_encoder_plan *plan, const ser_safetensors *file, const char *prefix,
                            const ser_feature_part *part, ser_error *err)
{
    network n = {.g = g, .plan = plan, .err = err};
    n.st = ser_weights_init(&n.weights, file, prefix, plan->specs, err);
    if (n.st == SER_OK)
        n.st = ser_modules_check(plan->specs, plan->n_specs, &n.weights, err);
    if (n.st == SER_OK)
        *frames = run_whisper(&n, waveform, part);
    return n.st;
}
