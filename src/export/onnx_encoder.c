/* Transformer layers (encoder/transformer.h), and an encoder as a whole. */
#include "export/onnx_encoder.h"
#include "base/memory.h"
#include "encoder/transformer.h"
#include "export/onnx_parts.h"

#include <math.h>
#include <string.h>

/* ---- modules ---- */

const ser_module_spec *ser_onnx_module(const ser_onnx_encoder *e, const char *name)
{
    for (size_t i = 0; i < e->plan->n_specs; i++)
        if (strcmp(e->plan->specs[i].name, name) == 0)
            return &e->plan->specs[i];
    return NULL;
}

/* Rows of a tensor; turned: as columns. */
static void read_rows(ser_onnx_encoder *e, float *to, const ser_tensor *t, bool turned)
{
    size_t n_rows = t->dims[0], n_row = t->n_elements / n_rows;
    float *row = ser_alloc(n_row, sizeof *row);
    if (!row)
        e->st = ser_fail_nomem(e->err);
    for (size_t r = 0; r < n_rows && e->st == SER_OK; r++) {
        e->st = ser_weights_read(row, &e->weights, t, r * n_row, n_row, e->err);
        for (size_t i = 0; i < n_row; i++)
            to[turned ? i * n_rows + r : r * n_row + i] = row[i];
    }
    ser_free(row);
}

static void read_positional(ser_onnx_encoder *e, float *to, const ser_module_spec *module, size_t n)
{
    float *w = NULL;
    e->st = ser_weights_read_positional(&w, &e->weights, module, e->err);
    if (e->st == SER_OK)
        memcpy(to, w, n * sizeof *to);
    ser_free(w);
}

ser_onnx_value ser_onnx_tensor(ser_onnx_encoder *e, const ser_module_spec *module, int which)
{
    ser_onnx_value value;
    const ser_tensor *t = ser_weights_find(&e->weights, module, which);
    if (!t || e->st != SER_OK)
        return "";
    bool turned = module->kind == SER_MODULE_LINEAR && which == 0;
    const size_t turned_dims[] = {t->n_dims > 1 ? t->dims[1] : 1, t->dims[0]};
    float *to = ser_onnx_floats(e->g, &value, (size_t)t->n_dims, turned ? turned_dims : t->dims);
    if (!to)
        e->st = ser_fail_nomem(e->err);
    else if (module->kind == SER_MODULE_POSITIONAL && which == 0)
        read_positional(e, to, module, t->n_elements);
    else
        read_rows(e, to, t, turned);
    return value;
}

ser_onnx_value ser_onnx_apply(ser_onnx_encoder *e, ser_onnx_value x, const ser_module_spec *linear)
{
    ser_onnx_value bias = ser_onnx_tensor(e, linear, 1);
    x = SER_ONNX(e->g, "MatMul", x, ser_onnx_tensor(e, linear, 0));
    return *bias ? SER_ONNX(e->g, "Add", x, bias) : x;
}

ser_onnx_value ser_onnx_norm(ser_onnx_encoder *e, ser_onnx_value x, const ser_module_spec *module,
                             size_t dims, float epsilon)
{
    ser_onnx_value scale, shift;
    if (module) {
        scale = ser_onnx_tensor(e, module, 0);
        shift = ser_onnx_tensor(e, module, 1);
    } else {
        float *ones = ser_onnx_floats(e->g, &scale, 1, &dims);
        for (size_t i = 0; ones && i < dims; i++)
            ones[i] = 1;
        ser_onnx_floats(e->g, &shift, 1, &dims);
    }
    x = SER_ONNX(e->g, "LayerNormalization", x, scale, shift);
    ser_onnx_int(e->g, "axis", -1);
    ser_onnx_float(e->g, "epsilon", epsilon);
    return x;
}

ser_onnx_value ser_onnx_gelu(ser_onnx *g, ser_onnx_value x)
{
    ser_onnx_value erf = SER_ONNX(g, "Erf", SER_ONNX(g, "Mul", x, ser_onnx_scalar(g, (float)sqrt(0.5))));
    erf = SER_ONNX(g, "Add", erf, ser_onnx_scalar(g, 1));
    return SER_ONNX(g, "Mul", SER_ONNX(g, "Mul", x, erf), ser_onnx_scalar(g, 0.5f));
}

ser_onnx_value ser_onnx_turn(ser_onnx *g, ser_onnx_value x)
{
    const int64_t order[] = {0, 2, 1};
    x = SER_ONNX(g, "Transpose", x);
    ser_onnx_ints(g, "perm", 3, order);
    return x;
}

/* ---- layers ---- */

/* (1, frames, dims) to (1, heads, frames, dims of a head), or with the last two exchanged. */
static ser_onnx_value heads(ser_onnx_encoder *e, ser_onnx_value x, bool turned)
{
    size_t n_heads = e->plan->sizes.n_heads;
    const int64_t shape[] = {0, 0, (int64_t)n_heads, (int64_t)(e->plan->sizes.dims / n_heads)};
    const int64_t order[] = {0, 2, 1, 3}, turned_order[] = {0, 2, 3, 1};
    x = SER_ONNX(e->g, "Reshape", x, ser_onnx_i64(e->g, 4, shape));
    x = SER_ONNX(e->g, "Transpose", x);
    ser_onnx_ints(e->g, "perm", 4, turned ? turned_order : order);
    return x;
}

/* A gate's sum of four rows of its module, from `first` on. */
static ser_onnx_value gate_sum(ser_onnx_encoder *e, ser_onnx_value x, const ser_module_spec *module,
                               int64_t first)
{
    ser_onnx *g = e->g;
    const int64_t rows = 0, columns = 1;
    ser_onnx_value from = ser_onnx_integer(g, first), to = ser_onnx_integer(g, first + 4);
    ser_onnx_value w = ser_onnx_slice(g, ser_onnx_tensor(e, module, 0), from, to, 0);
    ser_onnx_value bias = ser_onnx_slice(g, ser_onnx_tensor(e, module, 1), from, to, 0);
    w = SER_ONNX(g, "ReduceSum", w, ser_onnx_i64(g, 1, &rows));
    ser_onnx_int(g, "keepdims", 0);
    w = SER_ONNX(g, "Unsqueeze", w, ser_onnx_i64(g, 1, &columns));
    bias = SER_ONNX(g, "ReduceSum", bias, ser_onnx_i64(g, 1, &rows));
    return SER_ONNX(g, "Sigmoid", SER_ONNX(g, "Add", SER_ONNX(g, "MatMul", x, w), bias));
}

/* The bias of relative positions, as much of it as each frame of x (1, frames, dims) wants: nn/speech.h. */
static ser_onnx_value gate_positions(ser_onnx_encoder *e, ser_onnx_value x, ser_onnx_value positions,
                                     const ser_module_spec *layer)
{
    ser_onnx *g = e->g;
    x = heads(e, x, false);
    ser_onnx_value a = gate_sum(e, x, &layer[SER_LAYER_GATE], 0),
                   b = gate_sum(e, x, &layer[SER_LAYER_GATE], 4);
    b = SER_ONNX(g, "Mul", b, ser_onnx_tensor(e, &layer[SER_LAYER_GATE_CONSTANTS], 0));
    b = SER_ONNX(g, "Mul", a, SER_ONNX(g, "Sub", b, ser_onnx_scalar(g, 1)));
    return SER_ONNX(g, "Mul", SER_ONNX(g, "Add", b, ser_onnx_scalar(g, 2)), positions);
}

static ser_onnx_value attention(ser_onnx_encoder *e, ser_onnx_value x, ser_onnx_value positions,
                                const ser_module_spec *layer)
{
    ser_onnx *g = e->g;
    const ser_encoder_sizes *s = &e->plan->sizes;
    const int64_t order[] = {0, 2, 1, 3}, shape[] = {0, 0, (int64_t)s->dims};
    float scale = (float)(1 / sqrt((double)(s->dims / s->n_heads)));
    ser_onnx_value q = heads(e, ser_onnx_apply(e, x, &layer[SER_LAYER_Q]), false);
    ser_onnx_value k = heads(e, ser_onnx_apply(e, x, &layer[SER_LAYER_K]), true);
    ser_onnx_value v = heads(e, ser_onnx_apply(e, x, &layer[SER_LAYER_V]), false);
    q = SER_ONNX(g, "MatMul", SER_ONNX(g, "Mul", q, ser_onnx_scalar(g, scale)), k);
    if (positions)
        q = SER_ONNX(g, "Add", q, gate_positions(e, x, positions, layer));
    x = SER_ONNX(g, "Softmax", q);
    ser_onnx_int(g, "axis", -1);
    x = SER_ONNX(g, "Transpose", SER_ONNX(g, "MatMul", x, v));
    ser_onnx_ints(g, "perm", 4, order);
    x = SER_ONNX(g, "Reshape", x, ser_onnx_i64(g, 3, shape));
    return ser_onnx_apply(e, x, &layer[SER_LAYER_OUT]);
}

static ser_onnx_value layer_norm(ser_onnx_encoder *e, ser_onnx_value x, const ser_module_spec *module,
                                 bool wanted)
{
    return wanted ? ser_onnx_norm(e, x, module, e->plan->sizes.dims, e->plan->sizes.epsilon) : x;
}

static ser_onnx_value run_layer(ser_onnx_encoder *e, ser_onnx_value x, ser_onnx_value positions,
                                const ser_module_spec *layer)
{
    ser_onnx *g = e->g;
    bool first = e->plan->sizes.norm_first;
    ser_onnx_value y = layer_norm(e, x, &layer[SER_LAYER_ATTENTION_NORM], first);
    x = SER_ONNX(g, "Add", x, attention(e, y, positions, layer));
    x = layer_norm(e, x, &layer[SER_LAYER_ATTENTION_NORM], !first);
    y = layer_norm(e, x, &layer[SER_LAYER_FFN_NORM], first);
    y = ser_onnx_gelu(g, ser_onnx_apply(e, y, &layer[SER_LAYER_FC1]));
    x = SER_ONNX(g, "Add", x, ser_onnx_apply(e, y, &layer[SER_LAYER_FC2]));
    return layer_norm(e, x, &layer[SER_LAYER_FFN_NORM], !first);
}

/* ---- an encoder ---- */

/* Silence behind the sound, up to so many samples. */
static ser_onnx_value pad(ser_onnx *g, ser_onnx_value waveform, int64_t n_samples)
{
    ser_onnx_value rest = SER_ONNX(g, "Sub", ser_onnx_integer(g, n_samples), ser_onnx_length(g, waveform, 1));
    rest = SER_ONNX(g, "Max", rest, ser_onnx_integer(g, 0));
    rest = SER_ONNX(g, "Concat", ser_onnx_i64(g, 3, (const int64_t[]){0, 0, 0}), rest);
    ser_onnx_int(g, "axis", 0);
    return SER_ONNX(g, "Pad", waveform, rest);
}

static ser_onnx_value run(ser_onnx_encoder *e, ser_onnx_value waveform, ser_onnx_value n_sound,
                          const ser_feature_part *part, size_t max_samples)
{
    ser_onnx_value states[SER_ENCODER_MAX_LAYERS + 1], wanted[SER_ENCODER_MAX_LAYERS + 1] = {NULL};
    const ser_encoder_plan *plan = e->plan;
    bool is_whisper = plan->sizes.n_mels != 0;
    int last = plan->info.n_loaded;
    states[0] =
        is_whisper ? ser_onnx_whisper_stem(e, waveform) : ser_onnx_wav2vec2_stem(e, waveform, n_sound);
    ser_onnx_value positions =
        plan->sizes.n_buckets ? ser_onnx_positions(e, states[0], max_samples / SER_DEFAULT_HOP) : NULL;
    for (int i = 0; i < last && e->st == SER_OK; i++)
        states[i + 1] =
            run_layer(e, states[i], positions,
                      plan->specs + plan->first_layer + (size_t)i * ser_transformer_n_specs(&plan->sizes));
    if (last == plan->info.n_layers && plan->sizes.norm_first && e->st == SER_OK)
        states[last] = layer_norm(e, states[last],
                                  ser_onnx_module(e, is_whisper ? "layer_norm" : "encoder.layer_norm"), true);
    for (size_t i = 0; i < part->n_layers && e->st == SER_OK; i++)
        wanted[i] = states[part->layers[i]];
    ser_onnx_value frames = e->st == SER_OK ? ser_onnx_node(e->g, "Concat", wanted) : "";
    ser_onnx_int(e->g, "axis", -1);
    return frames;
}

ser_status ser_onnx_encode(ser_onnx *g, ser_onnx_value *frames, ser_onnx_value waveform,
                           const ser_onnx_source *from, const ser_feature_part *part, int pad_s,
                           ser_error *err)
{
    ser_onnx_encoder e = {.g = g, .plan = &from->plan, .err = err};
    ser_onnx_value n_sound = ser_onnx_length(g, waveform, 1);
    size_t n_padded = (size_t)pad_s * SER_SAMPLE_RATE_HZ,
           max_samples = n_padded > SER_LISTEN_UTTERANCE ? n_padded : SER_LISTEN_UTTERANCE;
    e.st = ser_weights_init(&e.weights, from->file, from->prefix, from->plan.specs, err);
    if (e.st == SER_OK)
        e.st = ser_modules_check(from->plan.specs, from->plan.n_specs, &e.weights, err);
    if (e.st == SER_OK && pad_s)
        waveform = pad(g, waveform, (int64_t)n_padded);
    if (e.st == SER_OK)
        *frames = run(&e, waveform, n_sound, part, max_samples);
    return e.st;
}
