#include "learn/fit.h"
#include "base/memory.h"
#include "corpus/folds.h"
#include "model/moments.h"
#include "model/pooled.h"
#include "train/select.h"
#include "train/softmax_regression.h"

#include <math.h>
#include <string.h>

void ser_rows_set_blocks(ser_rows *rows, const ser_extractor *e)
{
    const ser_feature_spec *spec = ser_extractor_spec(e);
    rows->n_blocks = 0;
    for (size_t p = 0; p < spec->n_parts; p++) {
        bool has_layers = ser_feature_kind_is_encoder(spec->parts[p].kind);
        for (size_t i = 0; i < (has_layers ? spec->parts[p].n_layers : 1); i++) {
            size_t b = rows->n_blocks++;
            ser_extractor_block(e, b, &rows->block_offset[b], &rows->block_dims[b]);
            rows->block_part[b] = p;
        }
    }
}

void ser_head_fit_release(ser_head_fit *f)
{
    ser_linear_release(&f->head);
    *f = (ser_head_fit){0};
}

/* What the steps share. */
typedef struct fitting {
    const ser_rows *rows;
    const ser_fit_settings *settings;
    float *mean, *scale;                 /* (dims) of the training part */
    int *inner_fold;                     /* (n) of each row */
    float *weight;                       /* (n): a recording and its copies count as one together */
    float *offset;                       /* (n, n_labels): what rows->origin says of each row; or NULL */
    float *emphasis[SER_MAX_CANDIDATES]; /* (dims) of each variant: candidates that differ in c alone share
                                            one */
    size_t n_variants;
    size_t variant_of[SER_MAX_CANDIDATES];
    ser_nn_ops *ops;
} fitting;

ser_status ser_candidate_emphasis(float **out, const ser_rows *rows, const ser_candidate *candidate,
                                  ser_error *err)
{
    float *emphasis = ser_alloc(rows->dims, sizeof *emphasis);
    double sum_of_squares = 0;
    *out = emphasis;
    if (!emphasis)
        return ser_fail_nomem(err);
    for (size_t b = 0; b < rows->n_blocks; b++) {
        if (!(candidate->blocks >> b & 1))
            continue;
        size_t at = SER_N_STATISTICS * rows->block_offset[b], dims = rows->block_dims[b];
        for (size_t i = 0; i < SER_N_STATISTICS * dims; i++) {
            size_t statistic = i / dims;
            double weight = ser_statistic_is_spread(statistic) ? candidate->spread_weight : 1;
            if (ser_statistic_is_active(statistic) && !candidate->active)
                weight = 0;
            emphasis[at + i] = (float)weight;
            sum_of_squares += weight * weight;
        }
    }
    for (size_t i = 0; i < rows->dims && sum_of_squares > 0; i++)
        emphasis[i] = (float)((double)emphasis[i] / sqrt(sum_of_squares));
    return SER_OK;
}

static ser_status list_variants(fitting *f, ser_error *err)
{
    const ser_candidate *c = f->settings->candidates;
    for (size_t k = 0; k < f->settings->n_candidates; k++) {
        if (!k || c[k].blocks != c[k - 1].blocks || c[k].spread_weight != c[k - 1].spread_weight ||
            c[k].active != c[k - 1].active) {
            ser_status st = ser_candidate_emphasis(&f->emphasis[f->n_variants], f->rows, &c[k], err);
            f->n_variants++;
            if (st != SER_OK)
                return st;
        }
        f->variant_of[k] = f->n_variants - 1;
    }
    return SER_OK;
}

/* Inner folds are made of recordings; copies go with theirs. */
static ser_status split(fitting *f, ser_error *err)
{
    const ser_rows *rows = f->rows;
    int *label = ser_alloc(rows->n, sizeof *label), *group = ser_alloc(rows->n, sizeof *group);
    int *fold = ser_alloc(rows->n, sizeof *fold), n_folds;
    size_t n = 0;
    ser_status st = label && group && fold ? SER_OK : ser_fail_nomem(err);
    for (size_t r = 0; r < rows->n && st == SER_OK; r++) {
        if (rows->is_copy[r])
            continue;
        label[n] = rows->label[r];
        group[n++] = rows->group ? rows->group[r] : 0;
    }
    if (st == SER_OK)
        st = ser_folds_split(fold, &n_folds, label, rows->group ? group : NULL, n,
                             rows->n_left_out ? (int)rows->n_left_out : f->settings->n_inner_folds,
                             f->settings->seed, err);
    size_t recording = 0;
    for (size_t from = 0, to; from < rows->n && st == SER_OK; from = to, recording++) {
        for (to = from + 1; to < rows->n && rows->is_copy[to]; to++)
            ;
        for (size_t r = from; r < to; r++) {
            f->inner_fold[r] = fold[recording];
            f->weight[r] = 1 / (float)(to - from);
        }
    }
    ser_free(label);
    ser_free(group);
    ser_free(fold);
    return st;
}

static ser_status choose(ser_head_fit *out, size_t *variant, const fitting *f, ser_error *err)
{
    ser_selection selection = {0};
    ser_select_candidate candidates[SER_MAX_CANDIDATES];
    const ser_rows *rows = f->rows;
    const ser_select_data data = {.x = rows->x,
                                  .mean = f->mean,
                                  .scale = f->scale,
                                  .label = rows->label,
                                  .weight = f->weight,
                                  .mask = rows->mask,
                                  .fold = f->inner_fold,
                                  .is_copy = rows->is_copy,
                                  .offset = f->offset,
                                  .n = rows->n,
                                  .n_in = rows->dims,
                                  .n_labels = rows->n_labels};
    const ser_select_settings settings = {.ops = f->ops,
                                          .n_threads = f->settings->n_threads,
                                          .progress = f->settings->progress,
                                          .what = f->settings->what,
                                          .team = f->settings->team};
    for (size_t k = 0; k < f->settings->n_candidates; k++)
        candidates[k] = (ser_select_candidate){.emphasis = f->emphasis[f->variant_of[k]],
                                               .c = f->settings->candidates[k].c};
    ser_status st = ser_select(&selection, &data, candidates, f->settings->n_candidates, &settings, err);
    if (st == SER_OK) {
        const ser_select_verdict *verdict = &selection.verdicts[selection.best];
        out->chosen = f->settings->candidates[selection.best];
        out->temperature = verdict->temperature;
        out->inner_ua = verdict->ua;
        out->inner_loss = verdict->loss;
        *variant = f->variant_of[selection.best];
    }
    ser_selection_release(&selection);
    return st;
}

/* Labels that compete for no row would keep a logit of 0 and be answered. */
static void silence(ser_linear *l, const ser_rows *rows)
{
    static const float never = -1e4f;
    uint64_t competing = 0;
    for (size_t r = 0; r < rows->n && rows->mask; r++)
        competing |= rows->mask[r];
    for (size_t k = 0; k < rows->n_labels && rows->mask; k++)
        if (!(competing >> k & 1))
            l->bias[k] = never;
}

/* Behind the choice, which was told of up to here: nothing more is counted. */
static bool go_on(void *context)
{
    const fitting *f = context;
    const ser_fit_settings *s = f->settings;
    size_t n = s->n_candidates * (f->rows->n_left_out ? f->rows->n_left_out : (size_t)s->n_inner_folds);
    return ser_progress_report(s->progress, s->what, n, n);
}

/* head + origin, which are linear both: one head that reads as head does. Where head reads nothing it reads
 * as origin. */
static void add_origin(ser_linear *head, const ser_linear *origin)
{
    for (size_t i = 0; i < head->n_in; i++)
        if (head->scale[i] == 0) {
            head->scale[i] = origin->scale[i];
            head->mean[i] = origin->mean[i];
        }
    for (size_t label = 0; label < head->n_labels; label++) {
        const float *from = origin->w + label * origin->n_in;
        float *to = head->w + label * head->n_in;
        double bias = (double)head->bias[label] + (double)origin->bias[label];
        for (size_t i = 0; i < head->n_in; i++) {
            double slope = (double)from[i] * (double)origin->scale[i];
            if (head->scale[i] == 0)
                continue;
            to[i] += (float)(slope / (double)head->scale[i]);
            bias += slope * ((double)head->mean[i] - (double)origin->mean[i]);
        }
        head->bias[label] = (float)bias;
    }
}

/* The chosen candidate on the whole training part. Features that it leaves out are left out of the products
 * too. */
static ser_status refit(ser_head_fit *out, const fitting *f, const float *emphasis, ser_error *err)
{
    const ser_rows *rows = f->rows;
    ser_softmax_fit fit = ser_softmax_fit_default(out->chosen.c);
    fit.go_on = go_on;
    fit.context = (void *)f;
    size_t *used = ser_alloc(rows->dims, sizeof *used), n_used = 0, n_values;
    float *z = NULL;
    ser_linear l = {0};
    ser_nn_work *work = NULL;
    ser_status st = used ? SER_OK : ser_fail_nomem(err);
    for (size_t i = 0; i < rows->dims && st == SER_OK; i++)
        if (emphasis[i] != 0)
            used[n_used++] = i;
    if (st == SER_OK && ser_mul_size(&n_values, rows->n, n_used))
        z = ser_alloc(n_values, sizeof *z);
    if (st == SER_OK && !z)
        st = ser_fail_nomem(err);
    for (size_t r = 0; r < rows->n && st == SER_OK; r++)
        for (size_t k = 0; k < n_used; k++) {
            size_t i = used[k];
            z[r * n_used + k] = (rows->x[r][i] - f->mean[i]) * f->scale[i] * emphasis[i];
        }
    const ser_softmax_data data = {.z = z,
                                   .n = rows->n,
                                   .width = n_used,
                                   .label = rows->label,
                                   .weight = f->weight,
                                   .mask = rows->mask,
                                   .offset = f->offset,
                                   .n_labels = rows->n_labels};
    if (st == SER_OK)
        st = ser_linear_init(&l, n_used, rows->n_labels, err);
    if (st == SER_OK)
        st = ser_nn_work_new(&work, f->ops, f->settings->n_threads, err);
    if (st == SER_OK)
        st = ser_nn_work_keep_shapes(work, SER_SOFTMAX_SHAPES, err);
    if (st == SER_OK)
        st = ser_softmax_minimise(l.w, l.bias, &data, &fit, work, NULL, err);
    if (st == SER_OK)
        st = ser_linear_init(&out->head, rows->dims, rows->n_labels, err);
    if (st == SER_OK) {
        silence(&l, rows);
        out->head.temperature = out->temperature;
        memcpy(out->head.mean, f->mean, rows->dims * sizeof *f->mean);
        memcpy(out->head.bias, l.bias, rows->n_labels * sizeof *l.bias);
        for (size_t i = 0; i < rows->dims; i++)
            out->head.scale[i] = f->scale[i] * emphasis[i];
        for (size_t label = 0; label < rows->n_labels; label++)
            for (size_t k = 0; k < n_used; k++)
                out->head.w[label * rows->dims + used[k]] = l.w[label * n_used + k];
        if (rows->origin)
            add_origin(&out->head, rows->origin);
    }
    ser_nn_work_free(&work);
    ser_linear_release(&l);
    ser_free(used);
    ser_free(z);
    return st;
}

static ser_status allocate(fitting *f, ser_error *err)
{
    f->mean = ser_alloc(f->rows->dims, sizeof *f->mean);
    f->scale = ser_alloc(f->rows->dims, sizeof *f->scale);
    f->inner_fold = ser_alloc(f->rows->n, sizeof *f->inner_fold);
    f->weight = ser_alloc(f->rows->n, sizeof *f->weight);
    if (!f->mean || !f->scale || !f->inner_fold || !f->weight)
        return ser_fail_nomem(err);
    if (f->rows->origin && !(f->offset = ser_alloc(f->rows->n, f->rows->n_labels * sizeof *f->offset)))
        return ser_fail_nomem(err);
    for (size_t r = 0; r < f->rows->n && f->offset; r++)
        ser_linear_logits(f->rows->origin, f->offset + r * f->rows->n_labels, f->rows->x[r]);
    return ser_nn_ops_new(&f->ops, f->settings->engine, SER_PRECISION_FP32, err);
}

ser_status ser_fit_head(ser_head_fit *out, const ser_rows *rows, const ser_fit_settings *settings,
                        ser_error *err)
{
    *out = (ser_head_fit){0};
    fitting f = {.rows = rows, .settings = settings};
    size_t variant = 0;
    if (!settings->n_candidates || settings->n_candidates > SER_MAX_CANDIDATES)
        return ser_fail(err, SER_E_ARG, "%zu candidates to choose from: 1 to %d are possible",
                        settings->n_candidates, SER_MAX_CANDIDATES);
    ser_status st = allocate(&f, err);
    if (st == SER_OK)
        st = ser_standardise(f.mean, f.scale, rows->x, rows->n, rows->dims, err);
    if (st == SER_OK)
        st = list_variants(&f, err);
    if (st == SER_OK)
        st = split(&f, err);
    if (st == SER_OK)
        st = choose(out, &variant, &f, err);
    if (st == SER_OK)
        st = refit(out, &f, f.emphasis[variant], err);
    for (size_t v = 0; v < f.n_variants; v++)
        ser_free(f.emphasis[v]);
    ser_free(f.mean);
    ser_free(f.scale);
    ser_free(f.inner_fold);
    ser_free(f.weight);
    ser_free(f.offset);
    ser_nn_ops_free(&f.ops);
    if (st != SER_OK)
        ser_head_fit_release(out);
    return st;
}
