#include "learn/train_model.h"
#include "base/memory.h"
#include "base/text.h"
#include "data/cache.h"
#include "learn/noises.h"
#include "model/moments.h"
#include "model/pooled.h"

#include <string.h>

enum { N_NOISES = 420 };

/* How far on the side of the voice (in logits) sound must be. Speech of unseen speakers lies above 5, noises
 * of kinds that were left out of the training below 0. */
static const float voice_margin = 2;

void ser_training_release(ser_training *t)
{
    ser_model_data_release(&t->model);
    ser_learned_release(&t->learned);
    ser_head_fit_release(&t->baseline);
    *t = (ser_training){0};
}

/* ---- heads beside what ser_learn gives ---- */

/* pooled (N_NOISES, dims of the store): once for each kind of features. */
static ser_status pool_noises(float *pooled, const ser_store *store, const ser_extractor *e,
                              const ser_learn_settings *s, ser_error *err)
{
    ser_text parameters = {0};
    ser_safetensors *file = NULL;
    const ser_tensor *values;
    size_t n = N_NOISES * store->dims;
    ser_text_appendf(&parameters, "%s seed %llu", store->recipe, (unsigned long long)s->seed);
    char *path = parameters.failed ? NULL : ser_cache_path(store->folder, "noises", "", parameters.s);
    bool there = ser_cache_open(&file, &values, path, SER_F32, n) &&
                 ser_tensor_to_f32(pooled, values, 0, n, NULL) == SER_OK;
    ser_status st = there ? SER_OK : ser_noises_pool(pooled, N_NOISES, e, s->seed, s->n_threads, err);
    if (st == SER_OK && !there)
        ser_cache_write(path, SER_F32, pooled, n, NULL, 0);
    ser_safetensors_close(&file);
    ser_text_release(&parameters);
    ser_free(path);
    return st;
}

ser_status ser_learn_voice(ser_head_fit *out, const ser_store *store, const ser_extractor *e,
                           const ser_learn_settings *s, uint64_t blocks, ser_error *err)
{
    size_t n_store = store->n * store->n_rows, n = n_store + N_NOISES;
    const ser_candidate candidate = {.blocks = blocks, .spread_weight = 1, .c = 10};
    const ser_fit_settings settings = {.candidates = &candidate,
                                       .n_candidates = 1,
                                       .n_inner_folds = s->n_inner_folds,
                                       .seed = s->seed,
                                       .engine = s->engine,
                                       .n_threads = s->n_threads,
                                       .progress = s->progress,
                                       .what = "voice"};
    float *noises = ser_alloc(N_NOISES * store->dims, sizeof *noises);
    const float **x = ser_alloc(n, sizeof *x);
    int *label = ser_alloc(n, sizeof *label);
    unsigned char *is_copy = ser_alloc(n, 1);
    ser_status st =
        noises && x && label && is_copy ? pool_noises(noises, store, e, s, err) : ser_fail_nomem(err);
    if (st == SER_OK) {
        ser_rows rows = {
            .x = x, .label = label, .is_copy = is_copy, .n = n, .dims = store->dims, .n_labels = 2};
        ser_rows_set_blocks(&rows, e);
        for (size_t i = 0; i < n; i++) {
            x[i] = i < n_store ? store->pooled + i * store->dims : noises + (i - n_store) * store->dims;
            label[i] = i < n_store;
            is_copy[i] = i < n_store && i % store->n_rows > 0;
        }
        st = ser_fit_head(out, &rows, &settings, err);
    }
    if (st == SER_OK) {
        out->head.temperature = 1;
        out->head.bias[0] += voice_margin / 2;
        out->head.bias[1] -= voice_margin / 2;
    }
    ser_free(noises);
    ser_free(x);
    ser_free(label);
    ser_free(is_copy);
    return st;
}

/* ---- from heads over everything that was computed to a model of what is used ---- */

static void keep_layers(ser_feature_spec *spec, uint64_t blocks)
{
    size_t block = 0;
    for (size_t i = 0; i < spec->n_parts; i++) {
        ser_feature_part *p = &spec->parts[i];
        if (!ser_feature_kind_is_encoder(p->kind)) {
            block++;
            continue;
        }
        size_t n_kept = 0;
        for (size_t l = 0; l < p->n_layers; l++, block++)
            if (blocks >> block & 1)
                p->layers[n_kept++] = p->layers[l];
        p->n_layers = n_kept;
    }
}

/* Blocks outside an encoder cannot be left out of a specification, so they stay. */
static uint64_t blocks_to_keep(const ser_feature_spec *spec, uint64_t used)
{
    size_t block = 0;
    for (size_t i = 0; i < spec->n_parts; i++) {
        const ser_feature_part *p = &spec->parts[i];
        if (ser_feature_kind_is_encoder(p->kind))
            block += p->n_layers;
        else
            used |= UINT64_C(1) << block++;
    }
    return used;
}

/* Copies the kept blocks' columns of a row of all features. */
static void compress(float *to, const float *from, const ser_extractor *e, uint64_t blocks)
{
    for (size_t b = 0; b < ser_extractor_n_blocks(e); b++) {
        size_t offset, dims;
        ser_extractor_block(e, b, &offset, &dims);
        if (!(blocks >> b & 1))
            continue;
        memcpy(to, from + SER_N_STATISTICS * offset, SER_N_STATISTICS * dims * sizeof *to);
        to += SER_N_STATISTICS * dims;
    }
}

static ser_status compress_head(ser_linear *out, const ser_linear *head, const ser_extractor *e,
                                uint64_t blocks, size_t n_in, ser_error *err)
{
    ser_status st = ser_linear_init(out, n_in, head->n_labels, err);
    if (st != SER_OK)
        return st;
    compress(out->mean, head->mean, e, blocks);
    compress(out->scale, head->scale, e, blocks);
    for (size_t k = 0; k < head->n_labels; k++)
        compress(out->w + k * n_in, head->w + k * head->n_in, e, blocks);
    memcpy(out->bias, head->bias, head->n_labels * sizeof *head->bias);
    out->temperature = head->temperature;
    return SER_OK;
}

static ser_status copy_labels(ser_model_data *m, const ser_corpus *corpus, ser_error *err)
{
    m->labels = ser_alloc(corpus->n_labels, sizeof *m->labels);
    for (size_t i = 0; m->labels && i < corpus->n_labels; i++) {
        if (!(m->labels[i] = ser_strdup(corpus->labels[i])))
            return ser_fail_nomem(err);
        m->n_labels = i + 1;
    }
    return m->labels ? SER_OK : ser_fail_nomem(err);
}

/* Bit b of the result: the b-th of the kept blocks. */
static uint64_t renumber(uint64_t blocks, uint64_t kept)
{
    uint64_t out = 0;
    for (size_t b = 0, to = 0; b < 64; b++)
        if (kept >> b & 1)
            out |= (blocks >> b & 1) << to++;
    return out;
}

/* What a model is put together from; baseline and voice may be NULL. */
typedef struct parts {
    ser_learned *learned;
    const ser_head_fit *baseline, *voice;
    const float *spread; /* of the baseline's features */
} parts;

static uint64_t blocks_used(const parts *p, const ser_extractor *e)
{
    uint64_t all = ser_all_blocks(ser_extractor_n_blocks(e)), used = 0;
    if (p->learned->has_linear)
        used |= p->learned->linear.chosen.blocks;
    if (p->baseline)
        used |= p->baseline->chosen.blocks;
    for (size_t i = 0; i < p->learned->n_networks; i++)
        used |= p->learned->members[i].blocks ? p->learned->members[i].blocks : all;
    return blocks_to_keep(ser_extractor_spec(e), used);
}

static ser_status move_networks(ser_model_data *m, ser_learned *learned, uint64_t kept, ser_error *err)
{
    if (!learned->n_networks)
        return SER_OK;
    if (!(m->networks = ser_alloc(learned->n_networks, sizeof *m->networks)))
        return ser_fail_nomem(err);
    m->n_networks = learned->n_networks;
    for (size_t i = 0; i < m->n_networks; i++) {
        m->networks[i] = learned->members[i];
        if (m->networks[i].blocks) /* else whole frames: then all blocks are kept */
            m->networks[i].blocks = renumber(m->networks[i].blocks, kept);
        learned->members[i] = (ser_timnet_member){0};
    }
    return SER_OK;
}

static ser_status assemble(ser_model_data *m, const parts *p, const ser_learn_data *data, ser_error *err)
{
    const ser_extractor *e = data->extractor;
    uint64_t kept = blocks_used(p, e);
    size_t n_in = 0;
    for (size_t b = 0; b < ser_extractor_n_blocks(e); b++) {
        size_t offset, dims;
        ser_extractor_block(e, b, &offset, &dims);
        n_in += kept >> b & 1 ? SER_N_STATISTICS * dims : 0;
    }
    m->spec = *ser_extractor_spec(e);
    keep_layers(&m->spec, kept);
    ser_status st = copy_labels(m, data->corpus, err);
    if (st == SER_OK && p->learned->has_linear)
        st = compress_head(&m->plain, &p->learned->linear.head, e, kept, n_in, err);
    if (st == SER_OK && p->voice)
        st = compress_head(&m->voice, &p->voice->head, e, kept, n_in, err);
    if (st == SER_OK && p->baseline) {
        st = compress_head(&m->baseline, &p->baseline->head, e, kept, n_in, err);
        if (st == SER_OK && !(m->baseline_spread = ser_alloc(n_in, sizeof *m->baseline_spread)))
            st = ser_fail_nomem(err);
        if (st == SER_OK)
            compress(m->baseline_spread, p->spread, e, kept);
    }
    return st == SER_OK ? move_networks(m, p->learned, kept, err) : st;
}

ser_status ser_model_of_fold(ser_model_data *out, ser_learned *learned, const ser_learn_data *data,
                             ser_error *err)
{
    const parts p = {.learned = learned};
    *out = (ser_model_data){0};
    ser_status st = assemble(out, &p, data, err);
    if (st != SER_OK)
        ser_model_data_release(out);
    return st;
}

/* ---- for a target ---- */

void ser_target_statistics_release(ser_target_statistics *t)
{
    ser_free(t->mean);
    ser_free(t->scale);
    ser_free(t->spread);
    ser_free(t->frame_mean);
    ser_free(t->frame_scale);
    *t = (ser_target_statistics){0};
}

static ser_status measure_rows(ser_target_statistics *out, const ser_store *store, ser_error *err)
{
    out->mean = ser_alloc(store->dims, sizeof *out->mean);
    out->scale = ser_alloc(store->dims, sizeof *out->scale);
    out->spread = ser_alloc(store->dims, sizeof *out->spread);
    const float **rows = ser_alloc(store->n, sizeof *rows);
    bool ok = out->mean && out->scale && out->spread && rows;
    for (size_t u = 0; u < store->n && ok; u++)
        rows[u] = ser_store_row(store, u, 0);
    ser_status st =
        ok ? ser_standardise(out->mean, out->scale, rows, store->n, store->dims, err) : ser_fail_nomem(err);
    ser_free(rows);
    return st;
}

static ser_status measure_frames(ser_target_statistics *out, const ser_frame_set *set, ser_error *err)
{
    size_t n = 0;
    for (size_t u = 0; u < set->n; u++)
        n += ser_frame_set_row(set, u, 0)->n_frames;
    out->frame_mean = ser_alloc(set->dims, sizeof *out->frame_mean);
    out->frame_scale = ser_alloc(set->dims, sizeof *out->frame_scale);
    const float **frames = ser_alloc(n, sizeof *frames);
    bool ok = out->frame_mean && out->frame_scale && frames;
    n = 0;
    for (size_t u = 0; u < set->n && ok; u++) {
        const ser_frame_row *row = ser_frame_set_row(set, u, 0);
        for (size_t f = 0; f < row->n_frames; f++)
            frames[n++] = row->x + f * set->dims;
    }
    ser_status st = ok ? ser_standardise(out->frame_mean, out->frame_scale, frames, n, set->dims, err)
                       : ser_fail_nomem(err);
    ser_free(frames);
    return st;
}

ser_status ser_target_statistics_measure(ser_target_statistics *out, const ser_learn_data *target,
                                         ser_error *err)
{
    *out = (ser_target_statistics){0};
    ser_status st = measure_rows(out, target->store, err);
    if (st == SER_OK && target->frames)
        st = measure_frames(out, target->frames, err);
    if (st != SER_OK)
        ser_target_statistics_release(out);
    return st;
}

/* ((x - m) s - mean) scale, written as one mean and one scale. */
static void read_unstandardised(float *mean, float *scale, size_t n, const float *m, const float *s)
{
    for (size_t i = 0; i < n; i++) {
        mean[i] = s[i] != 0 ? m[i] + mean[i] / s[i] : m[i];
        scale[i] *= s[i];
    }
}

ser_status ser_model_of_transfer(ser_model_data *out, ser_learned *learned, const ser_learn_data *source,
                                 const ser_head_fit *voice, ser_normalize how, const ser_target_statistics *t,
                                 ser_error *err)
{
    parts p = {.learned = learned, .voice = voice};
    *out = (ser_model_data){0};
    ser_status st = assemble(out, &p, source, err);
    if (st == SER_OK && how == SER_NORMALIZE_SPEAKER && out->plain.n_in) {
        st = ser_linear_copy(&out->baseline, &out->plain, err);
        if (st == SER_OK &&
            !(out->baseline_spread = ser_alloc(out->plain.n_in, sizeof *out->baseline_spread)))
            st = ser_fail_nomem(err);
        if (st == SER_OK)
            memcpy(out->baseline_spread, t->spread, out->plain.n_in * sizeof *t->spread);
    }
    if (st == SER_OK && how != SER_NORMALIZE_NONE) {
        if (out->plain.n_in)
            read_unstandardised(out->plain.mean, out->plain.scale, out->plain.n_in, t->mean, t->scale);
        for (size_t i = 0; i < out->n_networks; i++)
            read_unstandardised(out->networks[i].mean, out->networks[i].scale,
                                out->networks[i].net->shape.n_in, t->frame_mean, t->frame_scale);
    }
    if (st != SER_OK)
        ser_model_data_release(out);
    return st;
}

/* ---- all of it ---- */

static bool has_speakers(const ser_corpus *corpus)
{
    for (size_t u = 0; u < corpus->n_utterances; u++)
        if (corpus->utterances[u].speaker < 0)
            return false;
    return corpus->n_speakers > 1;
}

ser_status ser_train_model(ser_training *out, const ser_learn_data *data, ser_store *store,
                           const ser_train_settings *settings, ser_error *err)
{
    *out = (ser_training){0};
    ser_head_fit voice = {0};
    ser_learn_settings of_baseline = settings->learn;
    of_baseline.candidates = settings->baseline_candidates;
    of_baseline.n_candidates = settings->n_baseline_candidates;
    of_baseline.speaker_disjoint = true;
    bool with_baseline = settings->learn.linear && has_speakers(data->corpus);
    int *fold = ser_alloc(store->n, sizeof *fold);
    float *spread = ser_alloc(store->dims, sizeof *spread);
    ser_status st = fold && spread ? ser_learn(&out->learned, data, fold, -1, &settings->learn, "final model",
                                               settings->state, err)
                                   : ser_fail_nomem(err);
    const ser_candidate *chosen =
        out->learned.linear.head.n_in ? &out->learned.linear.chosen : settings->learn.candidates;
    if (st == SER_OK)
        st = ser_learn_voice(&voice, store, data->extractor, &settings->learn, chosen->blocks, err);
    if (st == SER_OK && with_baseline) {
        st = ser_normalize_apply(store, NULL, data->corpus, SER_NORMALIZE_SPEAKER, settings->learn.n_threads,
                                 spread, err);
        if (st == SER_OK)
            st = ser_learn_head(&out->baseline, data, fold, -1, &of_baseline, "baseline head", err);
    }
    const parts p = {.learned = &out->learned,
                     .baseline = with_baseline ? &out->baseline : NULL,
                     .voice = &voice,
                     .spread = spread};
    if (st == SER_OK)
        st = assemble(&out->model, &p, data, err);
    out->voice_inner_ua = voice.inner_ua;
    ser_head_fit_release(&voice);
    ser_free(fold);
    ser_free(spread);
    if (st != SER_OK)
        ser_training_release(out);
    return st;
}
