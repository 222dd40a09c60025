#include "learn/weighted.h"
#include "base/memory.h"
#include "model/moments.h"
#include "model/pooled.h"
#include "train/layer_weights.h"

#include <string.h>

/* What the steps share. */
typedef struct weighting {
    const ser_rows *rows;
    const ser_fit_settings *settings;
    ser_layering layering;
    ser_rows sums;       /* the combined rows, one block for each part */
    float *mean, *scale; /* (dims) of the training part */
    float *read;         /* (dims): scale times the first candidate's emphasis */
    float *weight;       /* (n): a recording and its copies count as one together */
    float *z;            /* (n, dims of sums) */
    const float **x;     /* (n): its rows */
    ser_nn_ops *ops;
    ser_nn_work *work;
} weighting;

/* n_values: of each dim of a frame. */
static void lay_out(ser_layering *y, const ser_rows *rows, size_t n_values)
{
    *y = (ser_layering){.n_layers = rows->n_blocks, .n_in = rows->dims};
    for (size_t b = 0; b < rows->n_blocks; b++) {
        size_t s = rows->block_part[b];
        y->first[b] = n_values * rows->block_offset[b];
        y->sum[b] = s;
        if (s < y->n_sums)
            continue;
        y->width[s] = n_values * rows->block_dims[b];
        y->at[s] = y->n_combined;
        y->n_combined += y->width[s];
        y->n_sums++;
    }
}

static void lay_out_sums(ser_rows *sums, const ser_rows *rows, const ser_layering *y)
{
    *sums = *rows;
    sums->n_blocks = y->n_sums;
    sums->dims = y->n_combined;
    for (size_t s = 0; s < y->n_sums; s++) {
        sums->block_offset[s] = y->at[s] / SER_N_STATISTICS;
        sums->block_dims[s] = y->width[s] / SER_N_STATISTICS;
        sums->block_part[s] = s;
    }
}

static ser_status allocate(weighting *w, ser_error *err)
{
    size_t n = w->rows->n, n_values;
    w->mean = ser_alloc(w->rows->dims, sizeof *w->mean);
    w->scale = ser_alloc(w->rows->dims, sizeof *w->scale);
    w->read = ser_alloc(w->rows->dims, sizeof *w->read);
    w->weight = ser_alloc(n, sizeof *w->weight);
    w->x = ser_alloc(n, sizeof *w->x);
    if (ser_mul_size(&n_values, n, w->sums.dims))
        w->z = ser_alloc(n_values, sizeof *w->z);
    if (!w->mean || !w->scale || !w->read || !w->weight || !w->x || !w->z)
        return ser_fail_nomem(err);
    for (size_t r = 0; r < n; r++)
        w->x[r] = w->z + r * w->sums.dims;
    w->sums.x = w->x;
    ser_status st = ser_nn_ops_new(&w->ops, w->settings->engine, SER_PRECISION_FP32, err);
    return st == SER_OK ? ser_nn_work_new(&w->work, w->ops, w->settings->n_threads, err) : st;
}

static void release(weighting *w)
{
    ser_nn_work_free(&w->work);
    ser_nn_ops_free(&w->ops);
    ser_free(w->mean);
    ser_free(w->scale);
    ser_free(w->read);
    ser_free(w->weight);
    ser_free(w->x);
    ser_free(w->z);
}

static void weigh_rows(weighting *w)
{
    const ser_rows *rows = w->rows;
    for (size_t from = 0, to; from < rows->n; from = to) {
        for (to = from + 1; to < rows->n && rows->is_copy[to]; to++)
            ;
        for (size_t r = from; r < to; r++)
            w->weight[r] = 1 / (float)(to - from);
    }
}

/* candidate: the first, over the sums. */
static ser_status learn(weighting *w, float *layer_weight, const ser_candidate *candidate, ser_error *err)
{
    const ser_rows *rows = w->rows;
    const ser_layering *y = &w->layering;
    float *emphasis = NULL;
    ser_status st = ser_standardise(w->mean, w->scale, rows->x, rows->n, rows->dims, err);
    if (st == SER_OK)
        st = ser_candidate_emphasis(&emphasis, &w->sums, candidate, err);
    for (size_t l = 0; l < y->n_layers && st == SER_OK; l++)
        for (size_t i = 0; i < y->width[y->sum[l]]; i++)
            w->read[y->first[l] + i] = w->scale[y->first[l] + i] * emphasis[y->at[y->sum[l]] + i];
    ser_free(emphasis);
    weigh_rows(w);
    ser_layer_rows layers = {.layering = y,
                             .x = rows->x,
                             .mean = w->mean,
                             .scale = w->read,
                             .label = rows->label,
                             .weight = w->weight,
                             .n = rows->n,
                             .n_labels = rows->n_labels};
    const ser_layer_settings settings = {
        .c = candidate->c, .progress = w->settings->progress, .what = w->settings->what};
    if (st == SER_OK)
        st = ser_layer_weights_fit(layer_weight, &layers, &settings, w->work, err);
    layers.scale = w->scale;
    return st == SER_OK ? ser_layers_combine(w->z, &layers, layer_weight, w->work, err) : st;
}

ser_status ser_fit_weighted_head(ser_head_fit *out, const ser_rows *rows, const ser_fit_settings *settings,
                                 ser_error *err)
{
    weighting w = {.rows = rows, .settings = settings};
    ser_candidate candidates[SER_MAX_CANDIDATES];
    float layer_weight[SER_MAX_BLOCKS];
    ser_fit_settings of_sums = *settings;
    ser_linear head = {0};
    *out = (ser_head_fit){0};
    lay_out(&w.layering, rows, SER_N_STATISTICS);
    lay_out_sums(&w.sums, rows, &w.layering);
    for (size_t i = 0; i < settings->n_candidates && i < SER_MAX_CANDIDATES; i++) {
        candidates[i] = settings->candidates[i];
        candidates[i].blocks = ser_all_blocks(w.sums.n_blocks);
    }
    of_sums.candidates = candidates;
    ser_status st = allocate(&w, err);
    if (st == SER_OK)
        st = learn(&w, layer_weight, candidates, err);
    if (st == SER_OK)
        st = ser_fit_head(out, &w.sums, &of_sums, err);
    if (st == SER_OK)
        st = ser_layers_expand(&head, &out->head, layer_weight, &w.layering, w.mean, w.scale, err);
    if (st == SER_OK) {
        ser_linear_release(&out->head);
        out->head = head;
        out->chosen.blocks = ser_all_blocks(rows->n_blocks);
        memcpy(out->layer_weight, layer_weight, sizeof layer_weight);
    } else {
        ser_head_fit_release(out);
    }
    release(&w);
    return st;
}

/* ---- frames ---- */

void ser_weighted_frames_release(ser_weighted_frames *f)
{
    ser_free(f->mean);
    ser_free(f->scale);
    ser_free(f->z);
    ser_free(f->weight);
    ser_free(f->sum);
    *f = (ser_weighted_frames){0};
}

static ser_status lay_out_frames(ser_weighted_frames *f, ser_layering *y, const ser_extractor *e,
                                 const float *layer_weight, ser_error *err)
{
    ser_rows rows = {.dims = ser_extractor_dims(e)};
    ser_rows_set_blocks(&rows, e);
    lay_out(y, &rows, 1);
    f->n_in = y->n_in;
    f->n_combined = y->n_combined;
    f->mean = ser_alloc(f->n_in, sizeof *f->mean);
    f->scale = ser_alloc(f->n_in, sizeof *f->scale);
    f->weight = ser_alloc(f->n_in, sizeof *f->weight);
    f->sum = ser_alloc(f->n_in, sizeof *f->sum);
    if (!f->mean || !f->scale || !f->weight || !f->sum)
        return ser_fail_nomem(err);
    for (size_t l = 0; l < y->n_layers; l++)
        for (size_t i = 0; i < y->width[y->sum[l]]; i++) {
            f->weight[y->first[l] + i] = layer_weight[l];
            f->sum[y->first[l] + i] = y->at[y->sum[l]] + i;
        }
    return SER_OK;
}

/* x (n): all frames, whole. */
static ser_status sum_frames(ser_weighted_frames *f, const float **x, size_t n, const ser_layering *y,
                             const float *layer_weight, int n_threads, ser_error *err)
{
    const ser_layer_rows rows = {.layering = y, .x = x, .mean = f->mean, .scale = f->scale, .n = n};
    ser_nn_ops *ops = NULL;
    ser_nn_work *work = NULL;
    ser_status st = ser_standardise(f->mean, f->scale, x, n, f->n_in, err);
    if (st == SER_OK)
        st = ser_nn_ops_new(&ops, SER_ENGINE_REF, SER_PRECISION_FP32, err);
    if (st == SER_OK)
        st = ser_nn_work_new(&work, ops, n_threads, err);
    if (st == SER_OK)
        st = ser_layers_combine(f->z, &rows, layer_weight, work, err);
    ser_nn_work_free(&work);
    ser_nn_ops_free(&ops);
    return st;
}

ser_status ser_weighted_frames_init(ser_weighted_frames *out, const float **frames, const size_t *n_frames,
                                    size_t n, const ser_extractor *e, const float *layer_weight,
                                    int n_threads, ser_error *err)
{
    ser_layering y;
    size_t n_all = 0, n_values, at = 0;
    *out = (ser_weighted_frames){0};
    ser_status st = lay_out_frames(out, &y, e, layer_weight, err);
    if (st != SER_OK)
        return st;
    for (size_t i = 0; i < n; i++)
        n_all += n_frames[i];
    const float **x = ser_alloc(n_all, sizeof *x);
    if (ser_mul_size(&n_values, n_all, y.n_combined))
        out->z = ser_alloc(n_values, sizeof *out->z);
    if (!x || !out->z) {
        ser_free(x);
        return ser_fail_nomem(err);
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t t = 0; t < n_frames[i]; t++)
            x[at + t] = frames[i] + t * y.n_in;
        frames[i] = out->z + at * y.n_combined;
        at += n_frames[i];
    }
    st = sum_frames(out, x, n_all, &y, layer_weight, n_threads, err);
    ser_free(x);
    return st;
}

ser_status ser_weighted_frames_expand(const ser_weighted_frames *f, ser_timnet_member *m, ser_error *err)
{
    const ser_timnet_sums sums = {
        .n_in = f->n_in, .mean = f->mean, .scale = f->scale, .weight = f->weight, .sum = f->sum};
    return ser_timnet_member_expand(m, &sums, err);
}
