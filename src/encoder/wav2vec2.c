/* wav2vec 2.0 (Baevski et al. 2020, arXiv:2006.11477) and its relatives HuBERT (arXiv:2106.07447), WavLM
 * (arXiv:2110.13900) and data2vec (arXiv:2202.03555); transformers, modeling_wav2vec2.py and so on:
 * convolutions over the samples, a projection, positional convolutions that are added, then transformer
 * layers. */
#include "base/memory.h"
#include "encoder/transformer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { WINDOW_SAMPLES = 30 * SER_SAMPLE_RATE_HZ, BLOCK_ROWS = 128 };

static const float conv_epsilon = 1e-5f; /* PyTorch's default, whatever layer_norm_eps says */

/* Where the modules are in the plan. */
typedef struct places {
    size_t norms; /* of the convolutions, which come first */
    size_t projection_norm, projection, positional, norm;
    size_t embed, layers, n;
} places;

static places find_places(const ser_encoder_sizes *s, size_t n_layers)
{
    places p = {.norms = s->n_convs};
    p.projection_norm = p.norms + (s->conv_layer_norm ? s->n_convs : 1);
    p.projection = p.projection_norm + s->projection_norm;
    p.positional = p.projection + 1;
    p.norm = p.positional + s->n_positional;
    p.embed = p.norm + 1;
    p.layers = p.embed + (s->n_buckets > 0);
    p.n = p.layers + n_layers * ser_transformer_n_specs(s);
    return p;
}

static places places_of(const ser_encoder *e)
{
    return find_places(&e->plan.sizes, (size_t)e->plan.info.n_loaded);
}

/* ---- the plan ---- */

static void name_module(ser_module_spec *spec, const char *format, size_t i)
{
    snprintf(spec->name, sizeof spec->name, format, i);
}

static void name_convs(ser_module_spec *specs, const ser_encoder_sizes *s, const places *p)
{
    for (size_t i = 0; i < s->n_convs; i++) {
        specs[i] = (ser_module_spec){.kind = i ? SER_MODULE_CONV : SER_MODULE_TABLE,
                                     .n_out = s->conv_dims[i],
                                     .n_in = i ? s->conv_dims[i - 1] : 1,
                                     .kernel = s->conv_kernels[i],
                                     .stride = s->conv_strides[i],
                                     .has_bias = s->conv_bias,
                                     .act = s->conv_layer_norm ? SER_ACT_NONE : SER_ACT_GELU};
        name_module(&specs[i], "feature_extractor.conv_layers.%zu.conv", i);
    }
    for (size_t i = 0; p->norms + i < p->projection_norm; i++) {
        specs[p->norms + i] =
            (ser_module_spec){.kind = SER_MODULE_NORM, .n_out = s->conv_dims[i], .has_bias = true};
        name_module(&specs[p->norms + i], "feature_extractor.conv_layers.%zu.layer_norm", i);
    }
}

static void name_modules(ser_module_spec *specs, const ser_encoder_sizes *s, size_t n_layers)
{
    static const char *const names[SER_LAYER_MODULES] = {"layer_norm",
                                                         "attention.q_proj",
                                                         "attention.k_proj",
                                                         "attention.v_proj",
                                                         "attention.out_proj",
                                                         "final_layer_norm",
                                                         "feed_forward.intermediate_dense",
                                                         "feed_forward.output_dense",
                                                         "attention.gru_rel_pos_linear",
                                                         "attention.gru_rel_pos_const"};
    places p = find_places(s, n_layers);
    size_t n_last = s->conv_dims[s->n_convs - 1];
    name_convs(specs, s, &p);
    if (s->projection_norm)
        specs[p.projection_norm] =
            (ser_module_spec){"feature_projection.layer_norm", SER_MODULE_NORM, n_last, .has_bias = true};
    specs[p.projection] = (ser_module_spec){"feature_projection.projection", SER_MODULE_LINEAR, s->dims,
                                            n_last, .has_bias = true};
    for (size_t i = 0; i < s->n_positional; i++) {
        specs[p.positional + i] = (ser_module_spec){.kind = SER_MODULE_POSITIONAL,
                                                    .n_out = s->dims,
                                                    .n_in = s->dims / s->positional_groups,
                                                    .kernel = s->positional_kernel,
                                                    .has_bias = true,
                                                    .weight_norm = !s->plain_positional};
        name_module(&specs[p.positional + i],
                    s->plain_positional ? "encoder.pos_conv_embed.layers.%zu.conv"
                                        : "encoder.pos_conv_embed.conv",
                    i);
    }
    specs[p.norm] = (ser_module_spec){"encoder.layer_norm", SER_MODULE_NORM, s->dims, .has_bias = true};
    if (s->n_buckets)
        specs[p.embed] = (ser_module_spec){"encoder.layers.0.attention.rel_attn_embed", SER_MODULE_TABLE,
                                           s->n_buckets, s->n_heads};
    ser_transformer_specs(specs + p.layers, s, n_layers, "encoder.layers.", names, true);
}

static size_t frames_of(const ser_encoder_sizes *s, size_t n_samples, size_t n_convs)
{
    size_t n = n_samples;
    for (size_t i = 0; i < n_convs; i++)
        n = n < s->conv_kernels[i] ? 0 : (n - s->conv_kernels[i]) / s->conv_strides[i] + 1;
    return n;
}

static ser_status wav2vec2_plan(ser_encoder_plan *p, const json_t *config, int last_layer, ser_error *err)
{
    ser_status status = ser_wav2vec2_config(&p->sizes, config, p->info.model_type, err);
    if (status != SER_OK)
        return status;
    int n_layers = (int)p->sizes.n_layers, n_loaded = last_layer < 0 ? n_layers : last_layer;
    if (n_loaded > n_layers)
        return ser_fail(err, SER_E_ARG, "layer %d does not exist: this encoder has hidden states 0 to %d",
                        last_layer, n_layers);
    p->info.n_layers = n_layers;
    p->info.n_loaded = n_loaded;
    p->info.dims = p->sizes.dims;
    p->info.max_samples = WINDOW_SAMPLES;
    p->first_layer = find_places(&p->sizes, (size_t)n_loaded).layers;
    p->n_specs = find_places(&p->sizes, (size_t)n_loaded).n;
    p->specs = ser_alloc(p->n_specs, sizeof *p->specs);
    if (!p->specs)
        return ser_fail_nomem(err);
    name_modules(p->specs, &p->sizes, (size_t)n_loaded);
    return SER_OK;
}

/* ---- what belongs to the encoder, and to one thread ---- */

static ser_status wav2vec2_init(ser_encoder *e, ser_error *err)
{
    const ser_encoder_sizes *s = &e->plan.sizes;
    ser_nn_pcm_conv *first = e->own = ser_alloc(1, sizeof *first);
    if (!first)
        return ser_fail_nomem(err);
    return ser_nn_pcm_conv_init(first, e->modules[0].weight, e->modules[0].bias, s->conv_dims[0],
                                s->conv_kernels[0], s->conv_strides[0], err);
}

static void wav2vec2_release(ser_encoder *e)
{
    if (e->own)
        ser_nn_pcm_conv_release(e->own);
    ser_free(e->own);
}

typedef struct buffers {
    ser_activations activations;
    float *folded; /* the first convolution's weights with the group norm in them */
    float *pcm;    /* (n_samples): normalised */
    float *table;  /* of relative positions, for n_table frames */
    size_t n_samples, n_table;
} buffers;

static ser_status wav2vec2_work_init(ser_encoder_work *w, ser_error *err)
{
    const ser_nn_pcm_conv *first = w->encoder->own;
    buffers *b = w->own = ser_alloc(1, sizeof *b);
    if (b)
        b->folded = ser_alloc((first->kernel + 1) * first->n_columns, sizeof *b->folded);
    return b && b->folded ? SER_OK : ser_fail_nomem(err);
}

static void wav2vec2_work_release(ser_encoder_work *w)
{
    buffers *b = w->own;
    if (!b)
        return;
    ser_activations_release(&b->activations);
    ser_free(b->folded);
    ser_free(b->pcm);
    ser_free(b->table);
    ser_free(b);
}

static size_t wav2vec2_n_frames(const ser_encoder *e, size_t n_samples)
{
    return frames_of(&e->plan.sizes, n_samples, e->plan.sizes.n_convs);
}

/* ---- one run ---- */

/* The convolutions take turns with two pieces of memory. The last one writes fp32; the projection then writes
 * where the last one read. */
typedef struct front {
    ser_pass pass;
    buffers *b;
    const float *pcm;
    size_t n_samples, conv; /* the convolution at work */
    void *turns[2];
} front;

static size_t rounded(size_t n_rows)
{
    return (n_rows + BLOCK_ROWS - 1) / BLOCK_ROWS * BLOCK_ROWS;
}

static ser_dtype output_type(const front *f, size_t conv)
{
    return conv + 1 == f->pass.e->plan.sizes.n_convs ? SER_F32 : f->pass.type;
}

/* What the turns must hold: convolutions 1, 3, ... in the first, 2, 4, ... in the second; later each the
 * frames as fp32. */
static void turn_sizes(size_t n_bytes[2], const front *f)
{
    const ser_encoder_sizes *s = &f->pass.e->plan.sizes;
    n_bytes[0] = n_bytes[1] = f->pass.n_rows * s->dims * sizeof(float);
    for (size_t i = 1; i < s->n_convs; i++) {
        size_t n =
            rounded(frames_of(s, f->n_samples, i + 1)) * s->conv_dims[i] * ser_dtype_size(output_type(f, i));
        if (n > n_bytes[(i + 1) % 2])
            n_bytes[(i + 1) % 2] = n;
    }
}

static ser_status reserve(front *f, buffers *b, ser_error *err)
{
    size_t n_bytes[2];
    turn_sizes(n_bytes, f);
    ser_status status =
        ser_activations_reserve(&b->activations, f->pass.e, f->pass.n_rows, n_bytes[0] + n_bytes[1], err);
    f->pass.a = &b->activations;
    f->turns[0] = b->activations.front;
    f->turns[1] = (unsigned char *)b->activations.front + n_bytes[0];
    return status;
}

/* Wav2Vec2FeatureExtractor.zero_mean_unit_var_norm of the first n samples; behind them is only what they were
 * padded with. */
static ser_status normalise_input(front *f, size_t n, ser_error *err)
{
    buffers *b = f->b;
    if (f->n_samples > b->n_samples) {
        ser_free(b->pcm);
        b->n_samples = 0;
        b->pcm = ser_alloc(f->n_samples, sizeof *b->pcm);
        if (!b->pcm)
            return ser_fail_nomem(err);
        b->n_samples = f->n_samples;
    }
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)f->pcm[i];
    double mean = sum / (double)n;
    for (size_t i = 0; i < n; i++)
        squares += ((double)f->pcm[i] - mean) * ((double)f->pcm[i] - mean);
    double inverse = 1 / sqrt(squares / (double)n + 1e-7);
    for (size_t i = 0; i < n; i++)
        b->pcm[i] = (float)(((double)f->pcm[i] - mean) * inverse);
    memset(b->pcm + n, 0, (f->n_samples - n) * sizeof *b->pcm);
    f->pcm = b->pcm;
    return SER_OK;
}

static ser_status prepare_table(front *f, ser_error *err)
{
    const ser_encoder *e = f->pass.e;
    const ser_encoder_sizes *s = &e->plan.sizes;
    buffers *b = f->b;
    size_t n = f->pass.n_frames;
    if (n != b->n_table) {
        b->n_table = 0;
        ser_free(b->table);
        b->table = ser_alloc(s->n_heads, (2 * n - 1) * sizeof *b->table);
        if (!b->table)
            return ser_fail_nomem(err);
        ser_nn_position_table(b->table, e->modules[places_of(e).embed].weight, s->n_buckets, s->max_distance,
                              s->n_heads, n);
        b->n_table = n;
    }
    f->pass.table = b->table;
    return SER_OK;
}

/* Convolution f->conv, which normalises layer by layer, writes its fp32 result to raw first. */
static void finish_conv(const front *f, void *y, ser_dtype y_type, const float *raw, size_t n_rows,
                        size_t conv)
{
    const ser_encoder *e = f->pass.e;
    const ser_module *norm = &e->modules[places_of(e).norms + conv];
    ser_nn_layernorm_gelu_forward(y, y_type, raw, norm->weight, norm->bias, n_rows,
                                  e->plan.sizes.conv_dims[conv], conv_epsilon);
}

/* Rows first ... first + n - 1 of the first convolution -> y, typed; raw: room for them in fp32. */
static void convolve_samples(const front *f, void *y, float *raw, size_t first, size_t n)
{
    const ser_nn_pcm_conv *c = f->pass.e->own;
    if (!f->pass.e->plan.sizes.conv_layer_norm) {
        ser_nn_pcm_conv_forward(y, f->pass.type, c, f->b->folded, f->pcm, first, n, SER_ACT_GELU);
        return;
    }
    ser_nn_pcm_conv_forward(raw, SER_F32, c, c->weights, f->pcm, first, n, SER_ACT_NONE);
    finish_conv(f, y, f->pass.type, raw, n, 0);
}

/* A block of rows of convolution f->conv. Those of the first one that the second reads are computed along, so
 * that its output, the largest of all, never leaves the cache. */
static ser_status convolve(void *context, size_t item, ser_nn_work *work, ser_error *err)
{
    const front *f = context;
    const ser_encoder *e = f->pass.e;
    const ser_encoder_sizes *s = &e->plan.sizes;
    size_t i = f->conv, stride = s->conv_strides[i], first = item * BLOCK_ROWS;
    size_t n_before = frames_of(s, f->n_samples, i), from = i == 1 ? first * stride : 0;
    size_t n_needed = i == 1 ? (BLOCK_ROWS - 1) * stride + s->conv_kernels[i] : 0;
    size_t n_typed = n_needed * s->conv_dims[0] * f->pass.size;
    size_t n_rows = n_needed > BLOCK_ROWS ? n_needed : BLOCK_ROWS;
    size_t widest = s->conv_dims[0] > s->conv_dims[i] ? s->conv_dims[0] : s->conv_dims[i];
    size_t n_raw = s->conv_layer_norm ? n_rows * widest * sizeof(float) : 0;
    unsigned char *typed = ser_nn_scratch(work, SER_NN_FREE_SLOT, n_typed + n_raw);
    if (!typed)
        return ser_fail_nomem(err);
    float *raw = (float *)(typed + n_typed);
    const void *x = f->turns[i % 2];
    if (i == 1) {
        n_before = n_before - from < n_needed ? n_before - from : n_needed;
        convolve_samples(f, typed, raw, from, n_before);
        x = typed;
    }
    ser_dtype y_type = output_type(f, i);
    void *y = (unsigned char *)f->turns[(i + 1) % 2] + first * s->conv_dims[i] * ser_dtype_size(y_type);
    size_t first_row = i == 1 ? 0 : first;
    if (!s->conv_layer_norm)
        return ser_nn_conv1d_forward(&e->modules[i].conv, work, y, y_type, x, f->pass.type, n_before,
                                     first_row, BLOCK_ROWS, err);
    ser_status status = ser_nn_conv1d_forward(&e->modules[i].conv, work, raw, SER_F32, x, f->pass.type,
                                              n_before, first_row, BLOCK_ROWS, err);
    if (status == SER_OK)
        finish_conv(f, y, y_type, raw, BLOCK_ROWS, i);
    return status;
}

/* A block of frames, from the last convolution to what the transformer works with. */
static ser_status project(void *context, size_t item, ser_nn_work *work, ser_error *err)
{
    const front *f = context;
    const ser_pass *p = &f->pass;
    const ser_encoder_sizes *s = &p->e->plan.sizes;
    places at = places_of(p->e);
    size_t n_in = s->conv_dims[s->n_convs - 1], first = item * p->n_block;
    size_t n = p->n_rows - first < p->n_block ? p->n_rows - first : p->n_block;
    const float *x = (const float *)f->turns[s->n_convs % 2] + first * n_in;
    float *y = (float *)f->turns[(s->n_convs + 1) % 2] + first * s->dims;
    void *normed = ser_nn_scratch(work, SER_NN_FREE_SLOT, n * n_in * p->size);
    if (!normed)
        return ser_fail_nomem(err);
    const ser_module *norm = &p->e->modules[at.projection_norm];
    if (s->projection_norm)
        ser_nn_layernorm_forward(normed, p->type, x, norm->weight, norm->bias, n, n_in, s->epsilon);
    else
        ser_nn_convert(normed, p->type, x, n * n_in);
    return ser_nn_linear_forward(p->e->modules[at.projection].linear, work, y, SER_F32, normed, p->type, n,
                                 false, err);
}

/* data2vec: one positional convolution behind the other, each with norm and GELU; x = frames + the last one's
 * result. Where the convolutions over samples left theirs, nobody reads any more. */
static ser_status convolve_positions(const front *f, ser_nn_work *nn, float *frames, ser_error *err)
{
    const ser_pass *p = &f->pass;
    const ser_encoder_sizes *s = &p->e->plan.sizes;
    const ser_module *m = &p->e->modules[places_of(p->e).positional];
    float *const turns[2] = {p->a->x, f->turns[s->n_convs % 2]};
    const float *from = frames;
    ser_status status = SER_OK;
    for (size_t i = 0; i < s->n_positional && status == SER_OK; i++) {
        float *to = turns[i % 2];
        status = ser_nn_grouped_conv_forward(&m[i].grouped, nn, to, from, p->n_frames, false, err);
        if (status == SER_OK)
            ser_nn_layernorm_gelu_forward(to, SER_F32, to, NULL, NULL, p->n_frames, s->dims, conv_epsilon);
        from = to;
    }
    for (size_t i = 0; status == SER_OK && i < p->n_frames * s->dims; i++)
        p->a->x[i] = frames[i] + from[i];
    return status;
}

static ser_status start_layers(void *context, size_t item, ser_nn_work *work, ser_error *err)
{
    const front *f = context;
    const ser_pass *p = &f->pass;
    ser_frame_block b;
    ser_status status = ser_pass_block(&b, p, item, work, err);
    if (status != SER_OK)
        return status;
    if (!p->e->plan.sizes.norm_first)
        ser_pass_norm(p, &b, &p->e->modules[places_of(p->e).norm], ser_pass_x(p, &b), SER_F32);
    return ser_pass_finish(p, &b, work, 0, err);
}

static ser_status run_front(front *f, ser_nn_work *nn, ser_error *err)
{
    const ser_pass *p = &f->pass;
    const ser_encoder *e = p->e;
    const ser_encoder_sizes *s = &e->plan.sizes;
    ser_status status = SER_OK;
    places at = places_of(e);
    const ser_module *norm = &e->modules[at.norms];
    if (!s->conv_layer_norm)
        ser_nn_pcm_conv_fold(f->b->folded, e->own, norm->weight, norm->bias, conv_epsilon, f->pcm,
                             frames_of(s, f->n_samples, 1));
    for (f->conv = 1; f->conv < s->n_convs && status == SER_OK; f->conv++)
        status = ser_nn_parallel_for(nn, rounded(frames_of(s, f->n_samples, f->conv + 1)) / BLOCK_ROWS,
                                     convolve, f, err);
    if (status == SER_OK)
        status = ser_nn_parallel_for(nn, p->n_blocks, project, f, err);
    if (status != SER_OK)
        return status;
    float *frames = f->turns[(s->n_convs + 1) % 2];
    memset(p->a->x + p->n_frames * s->dims, 0, (p->n_rows - p->n_frames) * s->dims * sizeof *p->a->x);
    return s->plain_positional ? convolve_positions(f, nn, frames, err)
                               : ser_nn_grouped_conv_forward(&e->modules[at.positional].grouped, nn, p->a->x,
                                                             frames, p->n_frames, true, err);
}

static ser_status wav2vec2_run(const ser_encoder *e, ser_encoder_work *w, float *hidden, const float *pcm,
                               size_t n_samples, const int *wanted, size_t n_wanted, ser_error *err)
{
    front f = {.b = w->own, .pcm = pcm, .n_samples = n_samples};
    ser_pass_init(&f.pass, e, w, wav2vec2_n_frames(e, n_samples), hidden, wanted, n_wanted);
    places at = places_of(e);
    f.pass.layers = e->modules + at.layers;
    f.pass.last_norm = e->plan.sizes.norm_first ? &e->modules[at.norm] : NULL;
    ser_status status = reserve(&f, w->own, err);
    if (status == SER_OK && e->plan.sizes.normalise_input)
        status = normalise_input(&f, w->n_sound, err);
    if (status == SER_OK && e->plan.sizes.n_buckets)
        status = prepare_table(&f, err);
    if (status == SER_OK)
        status = run_front(&f, w->nn, err);
    if (status == SER_OK)
        status = ser_nn_parallel_for(w->nn, f.pass.n_blocks, start_layers, &f, err);
    return status == SER_OK ? ser_pass_layers(&f.pass, w->nn, err) : status;
}

static const char *const model_types[] = {"hubert", "wav2vec2", "wavlm", "data2vec-audio", NULL};

const ser_encoder_kind ser_encoder_wav2vec2 = {
    .model_types = model_types,
    .plan = wav2vec2_plan,
    .read_inputs = ser_wav2vec2_inputs,
    .init = wav2vec2_init,
    .release = wav2vec2_release,
    .work_init = wav2vec2_work_init,
    .work_release = wav2vec2_work_release,
    .n_frames = wav2vec2_n_frames,
    .run = wav2vec2_run,
};
