#include "learn/train_model.h"
#include "base/memory.h"
#include "learn/kind.h"
#include "model/moments.h"

#include <string.h>

void ser_training_release(ser_training *t)
{
    ser_model_data_release(&t->model);
    ser_learned_release(&t->learned);
    ser_head_fit_release(&t->baseline);
    *t = (ser_training){0};
}

/* ---- a model of what is used ---- */

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

/* What a model is put together from; baseline may be NULL. */
typedef struct parts {
    ser_learned *learned;
    const ser_head_fit *baseline;
    const float *spread;      /* of the baseline's features */
    const ser_unlike *unlike; /* may be NULL */
} parts;

static ser_kept what_is_kept(const parts *p, const ser_extractor *e)
{
    const ser_learned *l = p->learned;
    uint64_t used = p->baseline ? p->baseline->chosen.blocks : 0;
    for (size_t i = 0; i < l->n_kinds; i++)
        used |= l->kinds[i]->blocks(l, l->own[i], e);
    return ser_kept_of(e, used);
}

/* Of the blocks that are kept. */
static ser_status keep_unlike(ser_model_data *m, const ser_unlike *u, const ser_kept *kept, ser_error *err)
{
    ser_status st = ser_unlike_init(&m->unlike, kept->n_in, err);
    if (st != SER_OK)
        return st;
    ser_kept_compress(m->unlike.mean, u->mean, kept);
    ser_kept_compress(m->unlike.scale, u->scale, kept);
    m->unlike.reach = u->reach;
    return SER_OK;
}

static ser_status assemble(ser_model_data *m, const parts *p, const ser_learn_data *data, ser_error *err)
{
    const ser_kept kept = what_is_kept(p, data->extractor);
    ser_learned *l = p->learned;
    m->spec = ser_kept_spec(&kept);
    ser_status st = copy_labels(m, data->corpus, err);
    for (size_t i = 0; i < l->n_kinds && st == SER_OK; i++)
        st = l->kinds[i]->save(m, l, l->own[i], &kept, err);
    if (st == SER_OK && p->baseline) {
        st = ser_kept_head(&m->baseline, &p->baseline->head, &kept, err);
        if (st == SER_OK && !(m->baseline_spread = ser_alloc(kept.n_in, sizeof *m->baseline_spread)))
            st = ser_fail_nomem(err);
        if (st == SER_OK)
            ser_kept_compress(m->baseline_spread, p->spread, &kept);
    }
    if (st == SER_OK && p->unlike)
        st = keep_unlike(m, p->unlike, &kept, err);
    return st;
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
                                 ser_normalize how, const ser_target_statistics *t, ser_error *err)
{
    const parts p = {.learned = learned};
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

/* Learned elsewhere: the linear kind's, as if it had been fitted here. */
static ser_status take_head(ser_learned *out, const ser_linear *head, const ser_candidate *blocks,
                            ser_error *err)
{
    *out = (ser_learned){
        .kinds = {&ser_kind_linear}, .n_kinds = 1, .has_linear = true, .linear = {.chosen = *blocks}};
    return ser_linear_copy(&out->linear.head, head, err);
}

ser_status ser_train_model(ser_training *out, const ser_learn_data *data, ser_store *store,
                           const ser_train_settings *settings, ser_error *err)
{
    *out = (ser_training){0};
    ser_learn_settings of_baseline = settings->learn;
    of_baseline.candidates = settings->baseline_candidates;
    of_baseline.n_candidates = settings->n_baseline_candidates;
    of_baseline.speaker_disjoint = true;
    of_baseline.origin = NULL; /* it reads features as they are */
    const ser_learn_settings *learn = &settings->learn;
    bool first = ser_team_is_first(learn->team);
    bool with_baseline =
        settings->learn.linear && ser_corpus_has_speakers(data->corpus) && data->corpus->n_speakers > 1;
    int *fold = ser_alloc(store->n, sizeof *fold);
    float *spread = ser_alloc(store->dims, sizeof *spread);
    ser_status st = fold && spread ? SER_OK : ser_fail_nomem(err);
    if (st == SER_OK && settings->head)
        st = take_head(&out->learned, settings->head, &settings->learn.candidates[0], err);
    else if (st == SER_OK)
        st = ser_learn(&out->learned, data, fold, -1, &settings->learn, "final model", settings->state, err);
    if (st == SER_OK && with_baseline) {
        st = ser_normalize_apply(store, NULL, data->corpus, SER_NORMALIZE_SPEAKER, settings->learn.n_threads,
                                 spread, err);
        if (st == SER_OK)
            st = ser_learn_head(&out->baseline, data, fold, -1, &of_baseline, "baseline head", err);
    }
    const parts p = {.learned = &out->learned,
                     .baseline = with_baseline ? &out->baseline : NULL,
                     .spread = spread,
                     .unlike = settings->unlike};
    if (st == SER_OK && first)
        st = assemble(&out->model, &p, data, err);
    ser_free(fold);
    ser_free(spread);
    if (st != SER_OK || !first)
        ser_training_release(out);
    return st;
}
