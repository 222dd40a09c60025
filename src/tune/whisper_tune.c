#include "base/memory.h"
#include "base/threads.h"
#include "encoder/encoder.h"
#include "tune/parts.h"

#include <math.h>
#include <string.h>

enum { ALIGNMENT = 64, HOP_SAMPLES = 160, ROUND_ROWS = 8 };

/* ---- places ---- */

static size_t place(const ser_tune_net *net, const char *prefix, const char *name)
{
    char full[2 * SER_TUNE_NAME_BYTES];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    const ser_tune_tensor *t = ser_tune_net_find(net, full);
    return t ? t->at : 0;
}

bool ser_tune_has_last_norm(const ser_tune_net *net)
{
    return net->shape.last == net->shape.n_layers;
}

static ser_status init_places(tune_places *p, const ser_tune_net *net, ser_error *err)
{
    p->conv1 = place(net, "", "conv1.weight"), p->conv1_bias = place(net, "", "conv1.bias");
    p->conv2 = place(net, "", "conv2.weight"), p->conv2_bias = place(net, "", "conv2.bias");
    p->positions = place(net, "", "embed_positions.weight");
    p->last_norm = place(net, "", "layer_norm.weight"),
    p->last_norm_shift = place(net, "", "layer_norm.bias");
    p->head = place(net, "", "head.weight"), p->head_bias = place(net, "", "head.bias");
    p->layers = ser_alloc((size_t)net->shape.last, sizeof *p->layers);
    if (!p->layers)
        return ser_fail_nomem(err);
    for (int i = 0; i < net->shape.last; i++) {
        tune_layer *l = &p->layers[i];
        const struct {
            size_t *at;
            const char *name;
        } all[] = {{&l->norm1, "self_attn_layer_norm.weight"},
                   {&l->norm1_shift, "self_attn_layer_norm.bias"},
                   {&l->q, "self_attn.q_proj.weight"},
                   {&l->q_bias, "self_attn.q_proj.bias"},
                   {&l->k, "self_attn.k_proj.weight"},
                   {&l->v, "self_attn.v_proj.weight"},
                   {&l->v_bias, "self_attn.v_proj.bias"},
                   {&l->out, "self_attn.out_proj.weight"},
                   {&l->out_bias, "self_attn.out_proj.bias"},
                   {&l->norm2, "final_layer_norm.weight"},
                   {&l->norm2_shift, "final_layer_norm.bias"},
                   {&l->fc1, "fc1.weight"},
                   {&l->fc1_bias, "fc1.bias"},
                   {&l->fc2, "fc2.weight"},
                   {&l->fc2_bias, "fc2.bias"}};
        char prefix[32];
        snprintf(prefix, sizeof prefix, "layers.%d.", i);
        for (size_t j = 0; j < sizeof all / sizeof *all; j++)
            *all[j].at = place(net, prefix, all[j].name);
    }
    return SER_OK;
}

const void *ser_tune_typed(const ser_tune_work *w, size_t at)
{
    return w->typed ? (const char *)w->typed + at * w->size : (const void *)(w->net->values + at);
}

float *ser_tune_gradient(const ser_tune_work *w, size_t at)
{
    return w->grads + (at - w->net->n_frozen);
}

/* layer -1: the stem. */
static bool layer_learns(const ser_tune_work *w, int layer)
{
    int from = w->net->shape.from;
    return layer >= from || from == 0;
}

void *ser_tune_offset(const ser_tune_work *w, void *matrix, size_t row, size_t n_columns)
{
    return (char *)matrix + row * n_columns * w->size;
}

size_t ser_tune_n_below(const ser_tune_shape *shape)
{
    size_t n = 0;
    while (n < shape->n_pooled && shape->pooled[n] < shape->from)
        n++;
    return 2 * n;
}

const float *ser_tune_hidden(const ser_tune_work *w, int i)
{
    return i == w->net->shape.last ? w->final : w->layers[i].x;
}

const float *ser_tune_hidden_of(const ser_tune_work *w, int i, size_t r)
{
    return ser_tune_hidden(w, i) + w->utterances[r].first * w->net->shape.dims;
}

/* ---- memory ---- */

typedef struct part {
    void **to;
    size_t margin, n_bytes; /* margin: zeros in front, and behind */
} part;

enum { MAX_PARTS = 32 + 12 * SER_ENCODER_MAX_LAYERS };

/* What belongs to one layer, or to all that do not learn. */
static size_t list_kept(part *parts, tune_kept *k, const ser_tune_work *w, size_t n)
{
    const ser_tune_shape *s = &w->net->shape;
    size_t n_row = n * s->dims * w->size, n_wide = n * s->n_ffn * w->size, i = 0;
    void **const narrow[] = {&k->normed, &k->q, &k->k, &k->v, &k->attended, &k->normed2};
    for (size_t j = 0; j < sizeof narrow / sizeof *narrow; j++)
        parts[i++] = (part){narrow[j], 0, n_row};
    parts[i++] = (part){(void **)&k->middle, 0, n * s->dims * sizeof(float)};
    parts[i++] = (part){&k->h, 0, n_wide};
    parts[i++] = (part){&k->g, 0, n_wide};
    return i;
}

static size_t list_stem(part *parts, ser_tune_work *w, size_t n)
{
    const ser_tune_shape *s = &w->net->shape;
    size_t mel = s->n_mels * w->size, row = s->dims * w->size, i = 0;
    parts[i++] = (part){&w->mel_rows, mel, 2 * n * mel};
    parts[i++] = (part){&w->h1, 0, 2 * n * row};
    parts[i++] = (part){&w->g1, row, 2 * n * row};
    parts[i++] = (part){&w->h2, 0, n * row};
    if (w->learns && layer_learns(w, -1)) {
        parts[i++] = (part){&w->dh1, 0, 2 * n * row};
        parts[i++] = (part){&w->dh2, row, n * row};
    }
    return i;
}

static size_t list_gradients(part *parts, ser_tune_work *w, size_t n)
{
    const ser_tune_shape *s = &w->net->shape;
    tune_gradients *g = &w->gradients;
    size_t row = s->dims * w->size, i = 0;
    void **const narrow[] = {&g->dout1, &g->dout2, &g->dattended, &g->dq, &g->dk, &g->dv};
    for (size_t j = 0; j < sizeof narrow / sizeof *narrow; j++)
        parts[i++] = (part){narrow[j], 0, n * row};
    parts[i++] = (part){&g->dh, 0, n * s->n_ffn * w->size};
    parts[i++] = (part){(void **)&g->dx, 0, n * s->dims * sizeof(float)};
    size_t n_blocks = (n + TUNE_BLOCK - 1) / TUNE_BLOCK;
    parts[i++] = (part){(void **)&g->sums, 0, n_blocks * w->n_sums * sizeof(float)};
    return i;
}

static size_t round_bytes(size_t n)
{
    return (n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* Everything for n rows. Layers below `own` share what they keep. */
static size_t list_parts(part *parts, ser_tune_work *w, tune_kept *shared, int own, size_t n)
{
    const ser_tune_shape *s = &w->net->shape;
    size_t x_bytes = n * s->dims * sizeof(float), n_parts = list_stem(parts, w, n);
    if (w->learns)
        n_parts += list_gradients(parts + n_parts, w, n);
    if (own > 0)
        n_parts += list_kept(parts + n_parts, shared, w, n);
    for (int i = 0; i < s->last; i++) {
        parts[n_parts++] = (part){(void **)&w->layers[i].x, 0, x_bytes};
        if (i >= own)
            n_parts += list_kept(parts + n_parts, &w->layers[i], w, n);
    }
    parts[n_parts++] = (part){(void **)&w->last_x, 0, x_bytes};
    if (ser_tune_has_last_norm(w->net))
        parts[n_parts++] = (part){(void **)&w->final, 0, x_bytes};
    return n_parts;
}

static size_t bytes_of(const part *parts, size_t n_parts)
{
    size_t n_bytes = 0;
    for (size_t i = 0; i < n_parts; i++)
        n_bytes += round_bytes(parts[i].n_bytes) + 2 * round_bytes(parts[i].margin);
    return n_bytes;
}

static ser_status take_memory(ser_tune_work *w, const part *parts, size_t n_parts, ser_error *err)
{
    ser_free(w->memory);
    w->row_capacity = 0;
    w->memory = ser_alloc(bytes_of(parts, n_parts), 1);
    char *at = w->memory;
    for (size_t i = 0; i < n_parts && at; i++) {
        *parts[i].to = at + round_bytes(parts[i].margin);
        at += round_bytes(parts[i].n_bytes) + 2 * round_bytes(parts[i].margin);
    }
    return w->memory ? SER_OK : ser_fail_nomem(err);
}

static ser_status reserve(ser_tune_work *w, size_t n, ser_error *err)
{
    const ser_tune_shape *s = &w->net->shape;
    tune_kept shared = {0};
    if (n <= w->row_capacity)
        return SER_OK;
    part *parts = ser_alloc(MAX_PARTS, sizeof *parts);
    if (!parts)
        return ser_fail_nomem(err);
    int own = w->learns ? s->from : s->last;
    size_t n_parts = list_parts(parts, w, &shared, own, n);
    w->recomputes = w->learns && w->most_memory && bytes_of(parts, n_parts) > w->most_memory;
    if (w->recomputes) {
        own = s->last;
        n_parts = list_parts(parts, w, &shared, own, n);
    }
    ser_status st = take_memory(w, parts, n_parts, err);
    ser_free(parts);
    if (st != SER_OK)
        return st;
    for (int i = 0; i < own; i++) {
        shared.x = w->layers[i].x;
        w->layers[i] = shared;
    }
    if (!ser_tune_has_last_norm(w->net))
        w->final = w->last_x;
    w->row_capacity = n;
    return SER_OK;
}

static ser_status init_mel(ser_tune_work *w, ser_error *err)
{
    ser_mel_settings settings = ser_whisper_mel_settings((int)w->net->shape.n_mels);
    ser_status st = ser_mel_new(&w->mel, &settings, err);
    w->mel_works = ser_alloc((size_t)w->n_threads, sizeof *w->mel_works);
    w->mel_floats = ser_alloc((size_t)w->n_threads, sizeof *w->mel_floats);
    if (st == SER_OK && (!w->mel_works || !w->mel_floats))
        st = ser_fail_nomem(err);
    for (int i = 0; i < w->n_threads && st == SER_OK; i++) {
        st = ser_mel_work_new(&w->mel_works[i], w->mel, err);
        w->mel_floats[i] =
            ser_alloc((2 * w->net->shape.n_positions + 1) * w->net->shape.n_mels, sizeof(float));
        if (st == SER_OK && !w->mel_floats[i])
            st = ser_fail_nomem(err);
    }
    return st;
}

/* What does not depend on a batch. */
static void describe(ser_tune_work *w, const ser_tune_net *net, ser_dtype type, bool learns, size_t memory)
{
    *w = (ser_tune_work){
        .net = net, .type = type, .size = ser_dtype_size(type), .learns = learns, .most_memory = memory};
    w->n_panels = net->shape.n_ffn % net->shape.dims ? 1 : net->shape.n_ffn / net->shape.dims;
    w->width = net->shape.n_ffn / w->n_panels;
    w->n_sums = 8 * net->shape.dims + net->shape.n_ffn;
}

size_t ser_tune_memory(const ser_tune_net *net, const ser_nn_ops *ops, size_t n, size_t n_samples,
                       size_t memory)
{
    ser_tune_work w;
    tune_kept shared, layers[SER_ENCODER_MAX_LAYERS];
    part parts[MAX_PARTS];
    size_t n_frames = (n_samples / HOP_SAMPLES + 1) / 2;
    size_t n_rows = n * ((n_frames + ROUND_ROWS) / ROUND_ROWS * ROUND_ROWS);
    n_rows = (n_rows + TUNE_ROUND - 1) / TUNE_ROUND * TUNE_ROUND;
    describe(&w, net, ser_nn_ops_type(ops), true, memory);
    w.layers = layers;
    size_t n_bytes = bytes_of(parts, list_parts(parts, &w, &shared, net->shape.from, n_rows));
    if (memory && n_bytes > memory)
        n_bytes = bytes_of(parts, list_parts(parts, &w, &shared, net->shape.last, n_rows));
    return n_bytes;
}

ser_status ser_tune_work_new(ser_tune_work **out, const ser_tune_net *net, ser_nn_work *nn, bool learns,
                             size_t memory, ser_error *err)
{
    *out = NULL;
    ser_tune_work *w = ser_alloc(1, sizeof *w);
    if (!w)
        return ser_fail_nomem(err);
    describe(w, net, ser_nn_work_type(nn), learns, memory);
    w->nn = nn;
    w->n_threads = ser_nn_n_threads(nn);
    w->layers = ser_alloc((size_t)net->shape.last, sizeof *w->layers);
    if (w->type != SER_F32)
        w->typed = ser_alloc(net->n_values, w->size);
    ser_status st = w->layers && (w->typed || w->type == SER_F32) ? init_mel(w, err) : ser_fail_nomem(err);
    if (st == SER_OK)
        st = init_places(&w->at, net, err);
    if (st == SER_OK)
        st = ser_nn_work_keep_shapes(nn, TUNE_SHAPES, err);
    if (st == SER_OK)
        st = ser_tune_refresh(w, err);
    if (st == SER_OK)
        *out = w;
    else
        ser_tune_work_free(&w);
    return st;
}

void ser_tune_work_free(ser_tune_work **work)
{
    ser_tune_work *w = *work;
    if (!w)
        return;
    for (int i = 0; w->mel_works && i < w->n_threads; i++)
        ser_mel_work_free(&w->mel_works[i]);
    for (int i = 0; w->mel_floats && i < w->n_threads; i++)
        ser_free(w->mel_floats[i]);
    ser_free(w->mel_works);
    ser_free(w->mel_floats);
    ser_mel_free(&w->mel);
    ser_free(w->at.layers);
    ser_free(w->typed);
    ser_free(w->utterances);
    ser_free(w->layers);
    ser_free(w->memory);
    ser_free(w);
    *work = NULL;
}

/* ---- a batch ---- */

static ser_status check_length(const ser_tune_net *net, size_t i, size_t n_frames, bool too_long,
                               ser_error *err)
{
    if (!n_frames || too_long || n_frames > net->shape.n_positions)
        return ser_fail(err, SER_E_ARG, "recording %zu of a batch is too short or too long for the encoder",
                        i);
    return SER_OK;
}

static ser_status lay_out(ser_tune_work *w, const ser_tune_batch *b, ser_error *err)
{
    size_t at = 0;
    if (!b->n)
        return ser_fail(err, SER_E_ARG, "a batch without recordings");
    if (!ser_grow(&w->utterances, &w->utterance_capacity, b->n, sizeof *w->utterances))
        return ser_fail_nomem(err);
    for (size_t i = 0; i < b->n; i++) {
        tune_utterance *u = &w->utterances[i];
        u->first = at;
        u->n_mel = b->hidden ? 0 : b->n_samples[i] / HOP_SAMPLES;
        u->n_frames = b->hidden ? b->n_frames[i] : (u->n_mel + 1) / 2;
        u->n_rows = (u->n_frames + ROUND_ROWS) / ROUND_ROWS * ROUND_ROWS;
        ser_status st = check_length(w->net, i, u->n_frames,
                                     !b->hidden && b->n_samples[i] > w->net->shape.max_samples, err);
        if (st != SER_OK)
            return st;
        at += u->n_rows;
    }
    w->n = b->n;
    w->n_rows = (at + TUNE_ROUND - 1) / TUNE_ROUND * TUNE_ROUND;
    w->utterances[b->n - 1].n_rows += w->n_rows - at;
    w->n_blocks = (w->n_rows + TUNE_BLOCK - 1) / TUNE_BLOCK;
    w->from_hidden = b->hidden != NULL;
    return reserve(w, w->n_rows, err);
}

typedef struct filling {
    ser_tune_work *w;
    const ser_tune_batch *batch;
    float *pooled;
} filling;

/* mel (n_frames, n_mels). */
static void put_stripes(float *mel, size_t n_frames, size_t n_mels, const ser_tune_stripes *s)
{
    double sum = 0;
    for (size_t i = 0; i < n_frames * n_mels; i++)
        sum += (double)mel[i];
    float mean = (float)(sum / (double)(n_frames * n_mels));
    for (size_t k = 0; k < s->n; k++) {
        size_t all = s->stripe[k].in_time ? n_frames : n_mels, first = s->stripe[k].first;
        size_t end = first < all && s->stripe[k].n < all - first ? first + s->stripe[k].n : all;
        for (size_t i = first; i < end; i++)
            for (size_t j = 0; j < (s->stripe[k].in_time ? n_mels : n_frames); j++)
                mel[s->stripe[k].in_time ? i * n_mels + j : j * n_mels + i] = mean;
    }
}

/* An utterance's rows of what the batch begins with. */
static ser_status fill(void *context, size_t item, int worker, ser_error *err)
{
    (void)err;
    const filling *f = context;
    ser_tune_work *w = f->w;
    const ser_tune_shape *s = &w->net->shape;
    const tune_utterance *u = &w->utterances[item];
    if (f->batch->hidden) {
        float *to = w->layers[s->from].x + u->first * s->dims;
        const float *hidden = f->batch->hidden[item], *below = hidden + u->n_frames * s->dims;
        memcpy(to, hidden, u->n_frames * s->dims * sizeof *to);
        memcpy(f->pooled + item * w->net->n_in, below, ser_tune_n_below(s) * s->dims * sizeof *below);
        memset(to + u->n_frames * s->dims, 0, (u->n_rows - u->n_frames) * s->dims * sizeof *to);
        return SER_OK;
    }
    float *mel = w->mel_floats[worker];
    ser_features_whisper_mel(w->mel, w->mel_works[worker], mel, f->batch->pcm[item],
                             f->batch->n_samples[item]);
    if (f->batch->stripes)
        put_stripes(mel, u->n_mel, s->n_mels, &f->batch->stripes[item]);
    char *to = ser_tune_offset(w, w->mel_rows, 2 * u->first, s->n_mels);
    size_t n = u->n_mel * s->n_mels, n_all = 2 * u->n_rows * s->n_mels;
    ser_nn_convert(to, w->type, mel, n);
    memset(to + n * w->size, 0, (n_all - n) * w->size);
    return SER_OK;
}

ser_status ser_tune_forward(ser_tune_work *w, const ser_tune_batch *batch, float *pooled, ser_error *err)
{
    filling f = {w, batch, pooled};
    ser_status st = lay_out(w, batch, err);
    if (st == SER_OK)
        st = ser_parallel_for(w->n_threads, batch->n, fill, &f, err);
    if (st == SER_OK && !batch->hidden)
        st = ser_tune_stem_forward(w, err);
    if (st == SER_OK)
        st = ser_tune_layers_forward(w, err);
    if (st == SER_OK)
        st = ser_tune_pool(w, pooled, err);
    return st;
}

/* ---- values as products read them ---- */

void ser_tune_refresh_part(ser_tune_work *w, size_t at, size_t n)
{
    if (w->typed)
        ser_nn_convert((char *)w->typed + at * w->size, w->type, w->net->values + at, n);
}

static ser_status refresh_item(void *context, size_t item, ser_nn_work *nn, ser_error *err)
{
    enum { PART = 1 << 16 };
    (void)nn;
    (void)err;
    ser_tune_work *w = context;
    size_t at = item * PART, n = w->net->n_values - at;
    ser_tune_refresh_part(w, at, n < PART ? n : PART);
    return SER_OK;
}

ser_status ser_tune_refresh(ser_tune_work *w, ser_error *err)
{
    enum { PART = 1 << 16 };
    return ser_nn_parallel_for(w->nn, (w->net->n_values + PART - 1) / PART, refresh_item, w, err);
}
