/* Whisper's encoder (Radford et al. 2022, arXiv:2212.04356; transformers, modeling_whisper.py,
 * WhisperEncoder): two convolutions over the log-mel spectrogram, positions added, then transformer layers
 * that normalise before each part. */
#include "base/memory.h"
#include "encoder/transformer.h"
#include "features/mel.h"

#include <string.h>

enum { HOP_SAMPLES = 160, CONV_STRIDE = 2, MAX_DIMS = 1 << 14, MAX_POSITIONS = 1 << 16, MAX_MELS = 512 };

/* The modules, in the order of the plan: the stem, the layers, and where all layers are loaded the last norm.
 */
enum { CONV1, CONV2, POSITIONS, N_STEM };

static void name_modules(ser_module_spec *specs, const ser_encoder_sizes *s, size_t n_layers)
{
    static const char *const names[SER_LAYER_MODULES] = {"self_attn_layer_norm",
                                                         "self_attn.q_proj",
                                                         "self_attn.k_proj",
                                                         "self_attn.v_proj",
                                                         "self_attn.out_proj",
                                                         "final_layer_norm",
                                                         "fc1",
                                                         "fc2"};
    const size_t d = s->dims;
    const ser_module_spec conv = {"conv1",      SER_MODULE_CONV,  d,
                                  s->n_mels,    .kernel = 3,      .stride = 1,
                                  .padding = 1, .has_bias = true, .act = SER_ACT_GELU};
    specs[CONV1] = specs[CONV2] = conv;
    strcpy(specs[CONV2].name, "conv2");
    specs[CONV2].n_in = d;
    specs[CONV2].stride = CONV_STRIDE;
    specs[POSITIONS] = (ser_module_spec){"embed_positions", SER_MODULE_TABLE, s->n_positions, d};
    size_t n = N_STEM + ser_transformer_specs(specs + N_STEM, s, n_layers, "layers.", names, false);
    if (n_layers == s->n_layers)
        specs[n] = (ser_module_spec){"layer_norm", SER_MODULE_NORM, d, .has_bias = true};
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
    s->norm_first = true;
    s->epsilon = 1e-5f; /* what PyTorch's layers have unless told otherwise */
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
    p->first_layer = N_STEM;
    p->n_specs = N_STEM + (size_t)n_loaded * ser_transformer_n_specs(&p->sizes) + (n_loaded == n_layers);
    p->specs = ser_alloc(p->n_specs, sizeof *p->specs);
    if (!p->specs)
        return ser_fail_nomem(err);
    name_modules(p->specs, &p->sizes, (size_t)n_loaded);
    return SER_OK;
}

static ser_status whisper_read_inputs(ser_encoder_plan *p, const json_t *preprocessor, ser_error *err)
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

typedef struct buffers {
    ser_mel_work *mel_work;
    ser_activations activations;
    size_t n_mel_rows;
    float *mel;        /* (2 n_rows + 1, n_mels) */
    void *mel_of_type; /* type (2 n_rows, n_mels) */
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
    ser_activations_release(&b->activations);
    ser_free(b->mel);
    ser_free(b->mel_of_type);
    ser_free(b);
}

/* Before the layers: type (2 n_rows, dims) behind the first convolution. */
static ser_status reserve(buffers *b, const ser_encoder *e, size_t n_rows, ser_error *err)
{
    const ser_encoder_sizes *s = &e->plan.sizes;
    size_t size = ser_dtype_size(ser_nn_ops_type(e->ops));
    if (n_rows > b->n_mel_rows) {
        b->n_mel_rows = 0;
        ser_free(b->mel);
        ser_free(b->mel_of_type);
        b->mel = ser_alloc((2 * n_rows + 1) * s->n_mels, sizeof *b->mel);
        b->mel_of_type = ser_alloc(2 * n_rows * s->n_mels, size);
        if (!b->mel || !b->mel_of_type)
            return ser_fail_nomem(err);
        b->n_mel_rows = n_rows;
    }
    return ser_activations_reserve(&b->activations, e, n_rows, 2 * n_rows * s->dims * size, err);
}

static size_t whisper_n_frames(const ser_encoder *e, size_t n_samples)
{
    (void)e;
    return (n_samples / HOP_SAMPLES + CONV_STRIDE - 1) / CONV_STRIDE;
}

typedef struct front {
    ser_pass pass;
    const void *mel; /* type (n_mel, n_mels) */
    size_t n_mel;
} front;

static ser_status convolve_first(void *context, size_t item, ser_nn_work *work, ser_error *err)
{
    const front *f = context;
    const ser_pass *p = &f->pass;
    size_t first = CONV_STRIDE * item * p->n_block, n = CONV_STRIDE * p->n_block;
    n = CONV_STRIDE * p->n_rows - first < n ? CONV_STRIDE * p->n_rows - first : n;
    void *to = (unsigned char *)p->a->front + first * p->e->plan.sizes.dims * p->size;
    return ser_nn_conv1d_forward(&p->e->modules[CONV1].conv, work, to, p->type, f->mel, p->type, f->n_mel,
                                 first, n, err);
}

static ser_status convolve_second(void *context, size_t item, ser_nn_work *work, ser_error *err)
{
    const front *f = context;
    const ser_pass *p = &f->pass;
    ser_frame_block b;
    ser_status status = ser_pass_block(&b, p, item, work, err);
    float *x = ser_pass_x(p, &b);
    if (status == SER_OK)
        status = ser_nn_conv1d_forward(&p->e->modules[CONV2].conv, work, x, SER_F32, p->a->front, p->type,
                                       f->n_mel, b.first, b.n, err);
    if (status != SER_OK)
        return status;
    size_t dims = p->e->plan.sizes.dims, n = p->n_frames - b.first < b.n ? p->n_frames - b.first : b.n;
    const float *positions = p->e->modules[POSITIONS].weight + b.first * dims;
    for (size_t i = 0; i < n * dims; i++)
        x[i] += positions[i];
    return ser_pass_finish(p, &b, work, 0, err);
}

static ser_status whisper_run(const ser_encoder *e, ser_encoder_work *w, float *hidden, const float *pcm,
                              size_t n_samples, const int *wanted, size_t n_wanted, ser_error *err)
{
    buffers *b = w->own;
    front f;
    ser_pass_init(&f.pass, e, w, whisper_n_frames(e, n_samples), hidden, wanted, n_wanted);
    ser_status status = reserve(b, e, f.pass.n_rows, err);
    if (status != SER_OK)
        return status;
    f.pass.a = &b->activations;
    f.pass.layers = e->modules + N_STEM;
    if (e->plan.info.n_loaded == e->plan.info.n_layers)
        f.pass.last_norm = &e->modules[e->plan.n_specs - 1];
    f.n_mel = ser_features_whisper_mel(e->own, b->mel_work, b->mel, pcm, n_samples);
    f.mel = b->mel;
    if (f.pass.type == SER_BF16) {
        ser_nn_to_bf16(b->mel_of_type, b->mel, f.n_mel * e->plan.sizes.n_mels);
        f.mel = b->mel_of_type;
    }
    status = ser_nn_parallel_for(w->nn, f.pass.n_blocks, convolve_first, &f, err);
    if (status == SER_OK)
        status = ser_nn_parallel_for(w->nn, f.pass.n_blocks, convolve_second, &f, err);
    return status == SER_OK ? ser_pass_layers(&f.pass, w->nn, err) : status;
}

static const char *const model_types[] = {"whisper", NULL};

const ser_encoder_kind ser_encoder_whisper = {
    .model_types = model_types,
    .plan = whisper_plan,
    .read_inputs = whisper_read_inputs,
    .init = whisper_init,
    .release = whisper_release,
    .work_init = whisper_work_init,
    .work_release = whisper_work_release,
    .n_frames = whisper_n_frames,
    .run = whisper_run,
};
