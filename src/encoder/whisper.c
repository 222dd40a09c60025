/* Whisper's encoder (Radford et al. 2022, arXiv:2212.04356; transformers, modeling_whisper.py,
 * WhisperEncoder): two convolutions over the log-mel spectrogram, positions added, then transformer layers
 * that normalise before each part. */
#include "base/memory.h"
#include "encoder/kind.h"
#include "features/mel.h"

#include <stdio.h>
#include <string.h>

enum {
    HOP_SAMPLES = 160,
    CONV_STRIDE = 2,
    MIN_BLOCK = 32,
    MAX_DIMS = 1 << 14,
    MAX_POSITIONS = 1 << 16,
    MAX_MELS = 512
};

static const float norm_epsilon = 1e-5f;

/* The modules, in the order of the plan: the stem, the layers, and where all layers are loaded the last norm.
 */
enum { CONV1, CONV2, POSITIONS, N_STEM };
enum { ATTENTION_NORM, Q, K, V, OUT, FFN_NORM, FC1, FC2, N_LAYER };

static void name_modules(ser_module_spec *specs, const ser_encoder_sizes *s, size_t n_layers)
{
    const size_t d = s->dims, f = s->n_ffn;
    const ser_module_spec stem[N_STEM] = {
        [CONV1] = {"conv1", SER_MODULE_CONV, d, s->n_mels, 1, true, SER_ACT_GELU},
        [CONV2] = {"conv2", SER_MODULE_CONV, d, d, CONV_STRIDE, true, SER_ACT_GELU},
        [POSITIONS] = {"embed_positions", SER_MODULE_TABLE, s->n_positions, d},
    };
    const ser_module_spec layer[N_LAYER] = {
        [ATTENTION_NORM] = {"self_attn_layer_norm", SER_MODULE_NORM, d, .has_bias = true},
        [Q] = {"self_attn.q_proj", SER_MODULE_LINEAR, d, d, .has_bias = true},
        [K] = {"self_attn.k_proj", SER_MODULE_LINEAR, d, d},
        [V] = {"self_attn.v_proj", SER_MODULE_LINEAR, d, d, .has_bias = true},
        [OUT] = {"self_attn.out_proj", SER_MODULE_LINEAR, d, d, .has_bias = true},
        [FFN_NORM] = {"final_layer_norm", SER_MODULE_NORM, d, .has_bias = true},
        [FC1] = {"fc1", SER_MODULE_LINEAR, f, d, .has_bias = true, .act = SER_ACT_GELU},
        [FC2] = {"fc2", SER_MODULE_LINEAR, d, f, .has_bias = true},
    };
    memcpy(specs, stem, sizeof stem);
    for (size_t i = 0; i < n_layers * N_LAYER; i++) {
        ser_module_spec *to = &specs[N_STEM + i];
        *to = layer[i % N_LAYER];
        snprintf(to->name, sizeof to->name, "layers.%zu.%s", i / N_LAYER, layer[i % N_LAYER].name);
    }
    if (n_layers == s->n_layers)
        specs[N_STEM + n_layers * N_LAYER] =
            (ser_module_spec){"layer_norm", SER_MODULE_NORM, d, .has_bias = true};
}

static ser_status read_sizes(ser_encoder_sizes *s, const json_t *config, ser_error *err)
{
    const struct {
        const char *key;
        size_t *to, maximum;
    } keys[] = {{"d_model", &s->dims, MAX_DIMS},
                {"encoder_attention_heads", &s->n_heads, MAX_DIMS},
                {"encoder_ffn_dim", &s->n_ffn, 4 * MAX_DIMS},
                {"encoder_layers", &s->n_layers, SER_ENCODER_MAX_LAYERS},
                {"num_mel_bins", &s->n_mels, MAX_MELS},
                {"max_source_positions", &s->n_positions, MAX_POSITIONS}};
    ser_status status = SER_OK;
    for (size_t i = 0; i < sizeof keys / sizeof *keys && status == SER_OK; i++)
        status = ser_config_size(keys[i].to, config, keys[i].key, 1, keys[i].maximum, err);
    if (status == SER_OK && s->dims % s->n_heads)
        status = ser_fail(err, SER_E_FORMAT, "d_model %zu cannot be divided among %zu heads: fetch it again",
                          s->dims, s->n_heads);
    const char *activation = json_string_value(json_object_get(config, "activation_function"));
    if (status == SER_OK && activation && strcmp(activation, "gelu") != 0)
        status = ser_fail(err, SER_E_UNSUPPORTED, "the activation function '%.40s': only gelu can be handled",
                          activation);
    return status;
}

static ser_status whisper_plan(ser_encoder_plan *p, const json_t *config, int last_layer, ser_error *err)
{
    ser_status status = read_sizes(&p->sizes, config, err);
    if (status != SER_OK)
        return status;
    int n_layers = (int)p->sizes.n_layers, n_loaded = last_layer < 0 ? n_layers : last_layer;
    if (n_loaded > n_layers)
        return ser_fail(err, SER_E_ARG, "layer %d does not exist: this encoder has hidden states 0 to %d",
                        last_layer, n_layers);
    p->info.n_layers = n_layers;
    p->info.n_loaded = n_loaded;
    p->info.dims = p->sizes.dims;
    p->info.max_samples = p->sizes.n_positions * CONV_STRIDE * HOP_SAMPLES;
    p->n_specs = N_STEM + (size_t)n_loaded * N_LAYER + (n_loaded == n_layers);
    p->specs = ser_alloc(p->n_specs, sizeof *p->specs);
    if (!p->specs)
        return ser_fail_nomem(err);
    name_modules(p->specs, &p->sizes, (size_t)n_loaded);
    return SER_OK;
}

static ser_status whisper_check_inputs(const ser_encoder_plan *p, const json_t *preprocessor, ser_error *err)
{
    const struct {
        const char *key;
        size_t value;
    } keys[] = {{"feature_size", p->sizes.n_mels},
                {"sampling_rate", SER_SAMPLE_RATE_HZ},
                {"n_fft", (size_t)ser_whisper_mel_settings(1).n_fft},
                {"hop_length", HOP_SAMPLES}};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const json_t *value = json_object_get(preprocessor, keys[i].key);
        if (value && (!json_is_integer(value) || json_integer_value(value) != (json_int_t)keys[i].value))
            return ser_fail(err, SER_E_UNSUPPORTED, "'%s' is not %zu: only that can be handled", keys[i].key,
                            keys[i].value);
    }
    return SER_OK;
}

static ser_status whisper_init(ser_encoder *e, ser_error *err)
{
    ser_mel_settings s = ser_whisper_mel_settings((int)e->plan.sizes.n_mels);
    ser_mel *mel = NULL;
    ser_status status = ser_mel_new(&mel, &s, err);
    e->own = mel;
    return status;
}

static void whisper_release(ser_encoder *e)
{
    ser_mel *mel = e->own;
    ser_mel_free(&mel);
}

/* Activations for n_rows frames; "type" is ser_nn_ops_type. */
typedef struct buffers {
    ser_mel_work *mel_work;
    size_t n_rows;
    void *memory;
    float *mel;        /* (2 n_rows + 1, n_mels) */
    void *mel_of_type; /* type (2 n_rows, n_mels) */
    float *x;          /* (n_rows, dims): the sum that runs through the layers */
    void *q;           /* type (n_rows, dims) */
    void *k[2], *v[2]; /* type (n_rows, dims): one layer's are read while the next one's are written */
    void *convolved; /* type (2 n_rows, dims): after the first convolution; where k[1] and v[1] come to lie */
} buffers;

static ser_status whisper_work_init(ser_encoder_work *w, ser_error *err)
{
    buffers *b = w->own = ser_alloc(1, sizeof *b);
    return b ? ser_mel_work_new(&b->mel_work, w->encoder->own, err) : ser_fail_nomem(err);
}

static void whisper_work_release(ser_encoder_work *w)
{
    buffers *b = w->own;
    if (!b)
        return;
    ser_mel_work_free(&b->mel_work);
    ser_free(b->memory);
    ser_free(b);
}

/* All in one piece of memory, which grows with the longest recording so far. */
static ser_status reserve(buffers *b, const ser_encoder *e, size_t n_rows, ser_error *err)
{
    if (n_rows <= b->n_rows)
        return SER_OK;
    const ser_encoder_sizes *s = &e->plan.sizes;
    size_t size = ser_dtype_size(ser_nn_ops_type(e->ops)), n_row = s->dims * size;
    const struct {
        void **to;
        size_t n_bytes;
    } parts[] = {{(void **)&b->mel, (2 * n_rows + 1) * s->n_mels * sizeof(float)},
                 {&b->mel_of_type, 2 * n_rows * s->n_mels * size},
                 {(void **)&b->x, n_rows * s->dims * sizeof(float)},
                 {&b->q, n_rows * n_row},
                 {&b->k[0], n_rows * n_row},
                 {&b->v[0], n_rows * n_row},
                 {&b->convolved, 2 * n_rows * n_row}};
    enum { N_PARTS = sizeof parts / sizeof *parts, ALIGNMENT = 64 };
    size_t at[N_PARTS], n_bytes = 0;
    for (int i = 0; i < N_PARTS; i++) {
        at[i] = n_bytes;
        n_bytes += (parts[i].n_bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }
    ser_free(b->memory);
    b->n_rows = 0;
    b->memory = ser_alloc(n_bytes, 1);
    if (!b->memory)
        return ser_fail_nomem(err);
    for (int i = 0; i < N_PARTS; i++)
        *parts[i].to = (unsigned char *)b->memory + at[i];
    b->k[1] = b->convolved;
    b->v[1] = (unsigned char *)b->convolved + n_rows * n_row;
    b->n_rows = n_rows;
    return SER_OK;
}

static size_t whisper_n_frames(size_t n_samples)
{
    return (n_samples / HOP_SAMPLES + CONV_STRIDE - 1) / CONV_STRIDE;
}

/* One run. Frames are computed in blocks, one thread each: everything but attention and the convolutions
 * stays within a frame, so that the threads meet once in a layer, and a block's activations in the cache. */
typedef struct pass {
    const ser_encoder *e;
    buffers *b;
    ser_dtype type;
    size_t size; /* of an element of type */
    size_t n_mel, n_frames;
    size_t n_rows; /* n_frames, rounded up: what comes behind is computed along, and means nothing */
    size_t n_block;
    int layer, last; /* the layer at work; the last hidden state to compute */
    float *hidden;
    const int *wanted;
    size_t n_wanted;
} pass;

/* A block of frames, and memory for what it alone needs. */
typedef struct block {
    size_t first, n;
    void *normed; /* type (n, dims): what a part of a layer reads; what attention gives */
    void *wide;   /* type (n, n_ffn) */
} block;

static ser_status find_block(block *b, const pass *p, size_t item, ser_nn_work *work, ser_error *err)
{
    const ser_encoder_sizes *s = &p->e->plan.sizes;
    size_t n_normed = p->n_block * s->dims * p->size;
    b->first = item * p->n_block;
    b->n = p->n_rows - b->first < p->n_block ? p->n_rows - b->first : p->n_block;
    b->normed = ser_nn_scratch(work, SER_NN_FREE_SLOT, n_normed + p->n_block * s->n_ffn * p->size);
    if (!b->normed)
        return ser_fail_nomem(err);
    b->wide = (unsigned char *)b->normed + n_normed;
    return SER_OK;
}

/* The block's rows of a matrix of dims columns. */
static void *rows_of(const pass *p, const block *b, void *matrix)
{
    return (unsigned char *)matrix + b->first * p->e->plan.sizes.dims * p->size;
}

static float *rows_of_x(const pass *p, const block *b)
{
    return p->b->x + b->first * p->e->plan.sizes.dims;
}

static void norm(const pass *p, const block *b, const ser_module *m, void *y, ser_dtype y_type)
{
    ser_nn_layernorm_forward(y, y_type, rows_of_x(p, b), m->weight, m->bias, b->n, p->e->plan.sizes.dims,
                             norm_epsilon);
}

/* hidden (n_frames, n_wanted, dims) receives the block's rows of x wherever hidden state i is wanted. */
static void give(const pass *p, const block *b, int i)
{
    size_t dims = p->e->plan.sizes.dims, end = b->first + b->n < p->n_frames ? b->first + b->n : p->n_frames;
    for (size_t j = 0; j < p->n_wanted; j++)
        for (size_t t = b->first; p->wanted[j] == i && t < end; t++)
            memcpy(p->hidden + (t * p->n_wanted + j) * dims, p->b->x + t * dims, dims * sizeof *p->hidden);
}

/* Hidden state i is complete: hands it out, and computes what layer i attends to. */
static ser_status finish(const pass *p, const block *b, ser_nn_work *work, int i, ser_error *err)
{
    const ser_module *m = &p->e->modules[N_STEM + i * N_LAYER];
    if (i == p->e->plan.info.n_layers)
        norm(p, b, m, rows_of_x(p, b), SER_F32);
    give(p, b, i);
    if (i == p->last)
        return SER_OK;
    norm(p, b, &m[ATTENTION_NORM], b->normed, p->type);
    void *const to[] = {p->b->q, p->b->k[i % 2], p->b->v[i % 2]};
    ser_status status = SER_OK;
    for (int j = 0; j < 3 && status == SER_OK; j++)
        status = ser_nn_linear_forward(m[Q + j].linear, work, rows_of(p, b, to[j]), p->type, b->normed,
                                       p->type, b->n, false, err);
    return status;
}

static ser_status convolve_first(void *context, size_t item, ser_nn_work *work, ser_error *err)
{
    const pass *p = context;
    size_t first = CONV_STRIDE * item * p->n_block, n = CONV_STRIDE * p->n_block;
    n = CONV_STRIDE * p->n_rows - first < n ? CONV_STRIDE * p->n_rows - first : n;
    void *to = (unsigned char *)p->b->convolved + first * p->e->plan.sizes.dims * p->size;
    const void *mel = p->type == SER_F32 ? p->b->mel : p->b->mel_of_type;
    return ser_nn_conv1d_forward(&p->e->modules[CONV1].conv, work, to, p->type, mel, p->type, p->n_mel, first,
                                 n, err);
}

static ser_status convolve_second(void *context, size_t item, ser_nn_work *work, ser_error *err)
{
    const pass *p = context;
    block b;
    ser_status status = find_block(&b, p, item, work, err);
    float *x = rows_of_x(p, &b);
    if (status == SER_OK)
        status = ser_nn_conv1d_forward(&p->e->modules[CONV2].conv, work, x, SER_F32, p->b->convolved, p->type,
                                       p->n_mel, b.first, b.n, err);
    if (status != SER_OK)
        return status;
    size_t dims = p->e->plan.sizes.dims, n = p->n_frames - b.first < b.n ? p->n_frames - b.first : b.n;
    const float *positions = p->e->modules[POSITIONS].weight + b.first * dims;
    for (size_t i = 0; i < n * dims; i++)
        x[i] += positions[i];
    return finish(p, &b, work, 0, err);
}

/* x += out(attention(norm(x))); x += fc2(gelu(fc1(norm(x)))); the first norm and what attention reads were
 * computed when x was complete. */
static ser_status run_layer(void *context, size_t item, ser_nn_work *work, ser_error *err)
{
    const pass *p = context;
    const ser_encoder_sizes *s = &p->e->plan.sizes;
    const ser_module *m = &p->e->modules[N_STEM + p->layer * N_LAYER];
    block b;
    ser_status status = find_block(&b, p, item, work, err);
    if (status != SER_OK)
        return status;
    float *x = rows_of_x(p, &b);
    ser_nn_attention shape = {b.n, p->n_frames, s->n_heads, s->dims / s->n_heads};
    const void *k = p->b->k[p->layer % 2], *v = p->b->v[p->layer % 2];
    if ((status = ser_nn_attention_forward(work, b.normed, rows_of(p, &b, p->b->q), k, v, &shape, err)) !=
            SER_OK ||
        (status = ser_nn_linear_forward(m[OUT].linear, work, x, SER_F32, b.normed, p->type, b.n, true,
                                        err)) != SER_OK)
        return status;
    norm(p, &b, &m[FFN_NORM], b.normed, p->type);
    if ((status = ser_nn_linear_forward(m[FC1].linear, work, b.wide, p->type, b.normed, p->type, b.n, false,
                                        err)) != SER_OK ||
        (status = ser_nn_linear_forward(m[FC2].linear, work, x, SER_F32, b.wide, p->type, b.n, true, err)) !=
            SER_OK)
        return status;
    return finish(p, &b, work, p->layer + 1, err);
}

/* Equal blocks for the threads, neither too small to be fast nor larger than what linear layers take at once.
 */
static size_t block_size(size_t n_rows, size_t n_threads)
{
    size_t n_blocks = (n_rows + SER_NN_PIECE - 1) / SER_NN_PIECE;
    if (n_blocks < n_threads)
        n_blocks = n_threads;
    size_t n = ser_nn_round_rows((n_rows + n_blocks - 1) / n_blocks);
    return n < MIN_BLOCK ? MIN_BLOCK : n;
}

static ser_status run_blocks(pass *p, ser_nn_work *nn, ser_error *err)
{
    size_t n_blocks = (p->n_rows + p->n_block - 1) / p->n_block;
    ser_status status = ser_nn_parallel_for(nn, n_blocks, convolve_first, p, err);
    if (status == SER_OK)
        status = ser_nn_parallel_for(nn, n_blocks, convolve_second, p, err);
    for (p->layer = 0; p->layer < p->last && status == SER_OK; p->layer++)
        status = ser_nn_parallel_for(nn, n_blocks, run_layer, p, err);
    return status;
}

static ser_status whisper_run(const ser_encoder *e, ser_encoder_work *w, float *hidden, const float *pcm,
                              size_t n_samples, const int *wanted, size_t n_wanted, ser_error *err)
{
    buffers *b = w->own;
    pass p = {.e = e, .b = b, .hidden = hidden, .wanted = wanted, .n_wanted = n_wanted};
    p.type = ser_nn_ops_type(e->ops);
    p.size = ser_dtype_size(p.type);
    p.n_frames = whisper_n_frames(n_samples);
    p.n_rows = ser_nn_round_rows(p.n_frames);
    p.n_block = block_size(p.n_rows, (size_t)ser_nn_n_threads(w->nn));
    for (size_t j = 0; j < n_wanted; j++)
        p.last = wanted[j] > p.last ? wanted[j] : p.last;
    ser_status status = reserve(b, e, p.n_rows, err);
    if (status != SER_OK)
        return status;
    p.n_mel = ser_features_whisper_mel(e->own, b->mel_work, b->mel, pcm, n_samples);
    if (p.type == SER_BF16)
        ser_nn_to_bf16(b->mel_of_type, b->mel, p.n_mel * e->plan.sizes.n_mels);
    return run_blocks(&p, w->nn, err);
}

const ser_encoder_kind ser_encoder_whisper = {
    .model_type = "whisper",
    .plan = whisper_plan,
    .check_inputs = whisper_check_inputs,
    .init = whisper_init,
    .release = whisper_release,
    .work_init = whisper_work_init,
    .work_release = whisper_work_release,
    .n_frames = whisper_n_frames,
    .run = whisper_run,
};
