#include "protocol/train_linear.h"
#include "base/memory.h"
#include "model/pooled.h"
#include "protocol/noises.h"

#include <string.h>

enum { N_NOISES = 420 };

/* How far on the side of the voice (in logits) sound must be. Speech of unseen speakers lies above 5, noises
 * of kinds that were left out of the training below 0. */
static const float voice_margin = 2;

void ser_training_release(ser_training *t)
{
    ser_model_data_release(&t->model);
    ser_head_fit_release(&t->plain);
    ser_head_fit_release(&t->baseline);
    *t = (ser_training){0};
}

static ser_status fit_all(ser_head_fit *out, const ser_store *store, const ser_corpus *corpus,
                          const ser_extractor *e, const ser_train_settings *s, bool baseline,
                          const char *what, ser_error *err)
{
    ser_rows rows = {0};
    const ser_fit_settings settings = {.candidates = baseline ? s->baseline_candidates : s->candidates,
                                       .n_candidates = baseline ? s->n_baseline_candidates : s->n_candidates,
                                       .n_inner_folds = s->n_inner_folds,
                                       .seed = s->seed,
                                       .n_threads = s->n_threads,
                                       .progress = &s->progress,
                                       .what = what};
    int *fold = ser_alloc(store->n, sizeof *fold);
    ser_status st =
        fold ? ser_dataset_rows(&rows, store, corpus, e, fold, -1, true, err) : ser_fail_nomem(err);
    if (st == SER_OK)
        st = ser_fit_head(out, &rows, &settings, err);
    ser_dataset_rows_release(&rows);
    ser_free(fold);
    return st;
}

/* Recordings and their copies against noises. */
static ser_status fit_voice(ser_head_fit *out, const ser_store *store, const ser_extractor *e,
                            const ser_train_settings *s, uint64_t blocks, ser_error *err)
{
    size_t n_store = store->n * store->n_rows, n = n_store + N_NOISES;
    const ser_candidate candidate = {.blocks = blocks, .spread_weight = 1, .c = 10};
    const ser_fit_settings settings = {.candidates = &candidate,
                                       .n_candidates = 1,
                                       .n_inner_folds = s->n_inner_folds,
                                       .seed = s->seed,
                                       .n_threads = s->n_threads,
                                       .progress = &s->progress,
                                       .what = "voice"};
    float *noises = ser_alloc(N_NOISES * store->dims, sizeof *noises);
    const float **x = ser_alloc(n, sizeof *x);
    int *label = ser_alloc(n, sizeof *label);
    unsigned char *is_copy = ser_alloc(n, 1);
    ser_status st = noises && x && label && is_copy
                        ? ser_noises_pool(noises, N_NOISES, e, s->seed, s->n_threads, err)
                        : ser_fail_nomem(err);
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

static ser_status assemble(ser_training *t, const ser_linear *voice, const float *spread,
                           const ser_corpus *corpus, const ser_extractor *e, ser_error *err)
{
    ser_model_data *m = &t->model;
    uint64_t blocks =
        blocks_to_keep(ser_extractor_spec(e), t->plain.chosen.blocks | t->baseline.chosen.blocks);
    size_t n_in = 0;
    for (size_t b = 0; b < ser_extractor_n_blocks(e); b++) {
        size_t offset, dims;
        ser_extractor_block(e, b, &offset, &dims);
        n_in += blocks >> b & 1 ? SER_N_STATISTICS * dims : 0;
    }
    m->spec = *ser_extractor_spec(e);
    keep_layers(&m->spec, blocks);
    ser_status st = copy_labels(m, corpus, err);
    if (st == SER_OK)
        st = compress_head(&m->plain, &t->plain.head, e, blocks, n_in, err);
    if (st == SER_OK)
        st = compress_head(&m->voice, voice, e, blocks, n_in, err);
    if (st == SER_OK && t->baseline.head.n_in) {
        st = compress_head(&m->baseline, &t->baseline.head, e, blocks, n_in, err);
        if (st == SER_OK && !(m->baseline_spread = ser_alloc(n_in, sizeof *m->baseline_spread)))
            st = ser_fail_nomem(err);
        if (st == SER_OK)
            compress(m->baseline_spread, spread, e, blocks);
    }
    return st;
}

ser_status ser_train_linear(ser_training *out, const ser_corpus *corpus, ser_store *store,
                            const ser_extractor *e, const ser_train_settings *settings, ser_error *err)
{
    *out = (ser_training){0};
    ser_head_fit voice = {0};
    bool has_speakers = corpus->n_speakers > 1;
    for (size_t u = 0; u < corpus->n_utterances; u++)
        has_speakers = has_speakers && corpus->utterances[u].speaker >= 0;
    float *spread = ser_alloc(store->dims, sizeof *spread);
    ser_status st = spread ? fit_all(&out->plain, store, corpus, e, settings, false, "plain head", err)
                           : ser_fail_nomem(err);
    if (st == SER_OK)
        st = fit_voice(&voice, store, e, settings, out->plain.chosen.blocks, err);
    if (st == SER_OK && has_speakers) {
        st = ser_dataset_normalize(store, corpus, SER_NORMALIZE_SPEAKER, spread, err);
        if (st == SER_OK)
            st = fit_all(&out->baseline, store, corpus, e, settings, true, "baseline head", err);
    }
    if (st == SER_OK)
        st = assemble(out, &voice.head, spread, corpus, e, err);
    out->voice_inner_ua = voice.inner_ua;
    ser_head_fit_release(&voice);
    ser_free(spread);
    if (st != SER_OK)
        ser_training_release(out);
    return st;
}
