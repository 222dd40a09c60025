#include "protocol/fit.h"
#include "base/memory.h"
#include "base/threads.h"
#include "corpus/folds.h"
#include "metrics/metrics.h"
#include "model/linear.h"
#include "nn/ops.h"
#include "train/softmax_regression.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

/* What the inner cross-validation shares. */
typedef struct selection {
    const ser_rows *rows;
    const ser_fit_settings *settings;
    float *mean, *scale; /* (dims) of the training part */
    int *inner_fold;     /* (n) of each row */
    int n_inner_folds;
    float *weight; /* (n): a recording and its copies count as one together */
    const ser_nn_ops *ops;
    float **logits;       /* per candidate (n, n_labels): out of fold, rows that are no copies */
    pthread_mutex_t lock; /* guards n_done and the progress callback */
    size_t n_done;
    size_t n_variants;
    size_t variant_first[SER_MAX_CANDIDATES + 1]; /* candidates of one variant lie together and differ in c */
} selection;

void ser_rows_set_blocks(ser_rows *rows, const ser_extractor *e)
{
    rows->n_blocks = ser_extractor_n_blocks(e);
    for (size_t b = 0; b < rows->n_blocks; b++)
        ser_extractor_block(e, b, &rows->block_offset[b], &rows->block_dims[b]);
}

void ser_head_fit_release(ser_head_fit *f)
{
    ser_linear_release(&f->head);
    *f = (ser_head_fit){0};
}

/* ---- columns: which features a candidate uses, and how they are scaled ---- */

typedef struct columns {
    size_t n;
    size_t *index; /* (n) into a row */
    float *weight; /* (n): what the standardised feature is multiplied by */
} columns;

static void columns_release(columns *c)
{
    ser_free(c->index);
    ser_free(c->weight);
    *c = (columns){0};
}

static ser_status columns_init(columns *c, const ser_rows *rows, const ser_candidate *candidate,
                               ser_error *err)
{
    *c = (columns){.index = ser_alloc(rows->dims, sizeof *c->index),
                   .weight = ser_alloc(rows->dims, sizeof *c->weight)};
    if (!c->index || !c->weight) {
        columns_release(c);
        return ser_fail_nomem(err);
    }
    double sum_of_squares = 0;
    for (size_t b = 0; b < rows->n_blocks; b++) {
        if (!(candidate->blocks >> b & 1))
            continue;
        size_t at = 2 * rows->block_offset[b], dims = rows->block_dims[b];
        for (size_t i = 0; i < 2 * dims; i++) {
            double weight = i < dims ? 1 : candidate->spread_weight;
            if (weight == 0)
                continue;
            c->index[c->n] = at + i;
            c->weight[c->n++] = (float)weight;
            sum_of_squares += weight * weight;
        }
    }
    float norm = sum_of_squares > 0 ? (float)(1 / sqrt(sum_of_squares)) : 0;
    for (size_t i = 0; i < c->n; i++)
        c->weight[i] *= norm;
    return SER_OK;
}

static void gather(float *z, const selection *s, const columns *c, size_t row)
{
    const float *x = s->rows->x[row];
    for (size_t i = 0; i < c->n; i++) {
        size_t j = c->index[i];
        z[i] = (x[j] - s->mean[j]) * s->scale[j] * c->weight[i];
    }
}

/* ---- the training part as a whole ---- */

static ser_status standardise(selection *s, ser_error *err)
{
    size_t dims = s->rows->dims, n = s->rows->n;
    double *sum = ser_alloc(dims, sizeof *sum), *sum_of_squares = ser_alloc(dims, sizeof *sum_of_squares);
    if (!sum || !sum_of_squares) {
        ser_free(sum);
        ser_free(sum_of_squares);
        return ser_fail_nomem(err);
    }
    for (size_t r = 0; r < n; r++)
        for (size_t i = 0; i < dims; i++) {
            double x = s->rows->x[r][i];
            sum[i] += x;
            sum_of_squares[i] += x * x;
        }
    for (size_t i = 0; i < dims; i++) {
        double mean = sum[i] / (double)n, variance = sum_of_squares[i] / (double)n - mean * mean;
        s->mean[i] = (float)mean;
        s->scale[i] =
            variance > 1e-10 ? (float)(1 / sqrt(variance)) : 0; /* a constant feature says nothing */
    }
    ser_free(sum);
    ser_free(sum_of_squares);
    return SER_OK;
}

/* Folds are made of recordings; copies go with theirs. */
static ser_status split(selection *s, ser_error *err)
{
    const ser_rows *rows = s->rows;
    int *label = ser_alloc(rows->n, sizeof *label), *group = ser_alloc(rows->n, sizeof *group);
    int *fold = ser_alloc(rows->n, sizeof *fold);
    size_t n = 0;
    ser_status st = label && group && fold ? SER_OK : ser_fail_nomem(err);
    for (size_t r = 0; r < rows->n && st == SER_OK; r++) {
        if (rows->is_copy[r])
            continue;
        label[n] = rows->label[r];
        group[n++] = rows->group ? rows->group[r] : 0;
    }
    if (st == SER_OK)
        st = ser_folds_split(fold, &s->n_inner_folds, label, rows->group ? group : NULL, n,
                             s->settings->n_inner_folds, s->settings->seed, err);
    size_t recording = (size_t)-1;
    for (size_t r = 0; r < rows->n && st == SER_OK; r++) {
        recording += !rows->is_copy[r];
        s->inner_fold[r] = fold[recording];
    }
    for (size_t from = 0, to; from < rows->n && st == SER_OK; from = to) {
        for (to = from + 1; to < rows->n && rows->is_copy[to]; to++)
            ;
        for (size_t r = from; r < to; r++)
            s->weight[r] = 1 / (float)(to - from);
    }
    ser_free(label);
    ser_free(group);
    ser_free(fold);
    return st;
}

/* ---- inner cross-validation ---- */

typedef struct part {
    float *z; /* (n, columns) */
    int *label;
    float *weight;
    size_t n;
} part;

static void part_release(part *p)
{
    ser_free(p->z);
    ser_free(p->label);
    ser_free(p->weight);
    *p = (part){0};
}

/* The rows outside of an inner fold; left_out -1: all rows. */
static ser_status part_init(part *p, const selection *s, const columns *c, int left_out, ser_error *err)
{
    const ser_rows *rows = s->rows;
    size_t n_values;
    *p = (part){0};
    for (size_t r = 0; r < rows->n; r++)
        p->n += s->inner_fold[r] != left_out;
    if (ser_mul_size(&n_values, p->n, c->n))
        p->z = ser_alloc(n_values, sizeof *p->z);
    p->label = ser_alloc(p->n, sizeof *p->label);
    p->weight = ser_alloc(p->n, sizeof *p->weight);
    if (!p->z || !p->label || !p->weight) {
        part_release(p);
        return ser_fail_nomem(err);
    }
    for (size_t r = 0, at = 0; r < rows->n; r++) {
        if (s->inner_fold[r] == left_out)
            continue;
        gather(p->z + at * c->n, s, c, r);
        p->label[at] = rows->label[r];
        p->weight[at++] = s->weight[r];
    }
    return SER_OK;
}

static ser_status fit_part(ser_linear *l, const part *p, double c, ser_nn_work *work, ser_error *err)
{
    const ser_softmax_fit fit = ser_softmax_fit_default(c);
    return ser_linear_fit(l, p->z, p->label, p->weight, p->n, &fit, work, err);
}

static ser_status report_fit(selection *s, ser_error *err)
{
    pthread_mutex_lock(&s->lock);
    bool go_on = ser_progress_report(s->settings->progress, s->settings->what, ++s->n_done,
                                     s->n_variants * (size_t)s->n_inner_folds);
    pthread_mutex_unlock(&s->lock);
    return go_on ? SER_OK : ser_fail(err, SER_E_CANCELLED, "interrupted");
}

/* One variant and one inner fold: every penalty in turn, each starting from the one before. */
static ser_status try_variant(void *context, size_t task, int worker, ser_error *err)
{
    (void)worker;
    selection *s = context;
    size_t variant = task / (size_t)s->n_inner_folds, first = s->variant_first[variant];
    int left_out = (int)(task % (size_t)s->n_inner_folds);
    size_t n_labels = s->rows->n_labels;
    columns c = {0};
    part p = {0};
    ser_linear l = {0};
    ser_nn_work *work = NULL;
    float *z = NULL;
    ser_status st = columns_init(&c, s->rows, &s->settings->candidates[first], err);
    if (st == SER_OK)
        st = part_init(&p, s, &c, left_out, err);
    if (st == SER_OK)
        st = ser_linear_init(&l, c.n, n_labels, err);
    if (st == SER_OK)
        st = ser_nn_work_new(&work, s->ops, 1, err);
    if (st == SER_OK && !(z = ser_alloc(c.n, sizeof *z)))
        st = ser_fail_nomem(err);
    for (size_t k = first; k < s->variant_first[variant + 1] && st == SER_OK; k++) {
        st = fit_part(&l, &p, s->settings->candidates[k].c, work, err);
        for (size_t r = 0; r < s->rows->n && st == SER_OK; r++) {
            if (s->inner_fold[r] != left_out || s->rows->is_copy[r])
                continue;
            gather(z, s, &c, r);
            ser_linear_logits(&l, s->logits[k] + r * n_labels, z);
        }
    }
    ser_free(z);
    ser_nn_work_free(&work);
    ser_linear_release(&l);
    part_release(&p);
    columns_release(&c);
    return st == SER_OK ? report_fit(s, err) : st;
}

/* UA and calibrated loss of a candidate's out-of-fold logits; the temperature goes to *temperature. */
static ser_status judge_candidate(const selection *s, size_t k, double *ua, double *loss, float *temperature,
                                  ser_error *err)
{
    size_t n_labels = s->rows->n_labels, n = 0;
    float *logits = ser_alloc(s->rows->n * n_labels, sizeof *logits);
    int *label = ser_alloc(s->rows->n, sizeof *label);
    size_t *confusion = ser_alloc(n_labels * n_labels, sizeof *confusion);
    if (!logits || !label || !confusion) {
        ser_free(logits);
        ser_free(label);
        ser_free(confusion);
        return ser_fail_nomem(err);
    }
    for (size_t r = 0; r < s->rows->n; r++) {
        if (s->rows->is_copy[r])
            continue;
        memcpy(logits + n * n_labels, s->logits[k] + r * n_labels, n_labels * sizeof *logits);
        label[n] = s->rows->label[r];
        confusion[(size_t)label[n] * n_labels + (size_t)ser_argmax(logits + n * n_labels, n_labels)]++;
        n++;
    }
    *ua = ser_ua(confusion, n_labels);
    *temperature = ser_temperature_fit(logits, label, n, n_labels);
    *loss = 0;
    for (size_t i = 0; i < n; i++) {
        ser_softmax(logits + i * n_labels, n_labels, *temperature);
        *loss -= log(fmax((double)logits[i * n_labels + (size_t)label[i]], 1e-12)) / (double)n;
    }
    ser_free(logits);
    ser_free(label);
    ser_free(confusion);
    return SER_OK;
}

static ser_status choose(ser_head_fit *out, float *temperature, const selection *s, ser_error *err)
{
    for (size_t k = 0; k < s->settings->n_candidates; k++) {
        double ua = 0, loss = 0;
        float t = 1;
        ser_status st = judge_candidate(s, k, &ua, &loss, &t, err);
        if (st != SER_OK)
            return st;
        if (k && loss >= out->inner_loss)
            continue;
        out->chosen = s->settings->candidates[k];
        out->inner_ua = ua;
        out->inner_loss = loss;
        *temperature = t;
    }
    return SER_OK;
}

/* ---- the fit on the whole training part ---- */

static ser_status refit(ser_head_fit *out, const selection *s, float temperature, ser_error *err)
{
    size_t n_labels = s->rows->n_labels;
    columns c = {0};
    part p = {0};
    ser_linear l = {0};
    ser_nn_work *work = NULL;
    ser_status st = columns_init(&c, s->rows, &out->chosen, err);
    if (st == SER_OK)
        st = part_init(&p, s, &c, -1, err);
    if (st == SER_OK)
        st = ser_linear_init(&l, c.n, n_labels, err);
    if (st == SER_OK)
        st = ser_nn_work_new(&work, s->ops, s->settings->n_threads, err);
    if (st == SER_OK)
        st = fit_part(&l, &p, out->chosen.c, work, err);
    if (st == SER_OK)
        st = ser_linear_init(&out->head, s->rows->dims, n_labels, err);
    if (st == SER_OK) {
        memcpy(out->head.mean, s->mean, s->rows->dims * sizeof *s->mean);
        memcpy(out->head.bias, l.bias, n_labels * sizeof *l.bias);
        out->head.temperature = out->temperature = temperature;
        for (size_t i = 0; i < s->rows->dims; i++)
            out->head.scale[i] = 0;
        for (size_t i = 0; i < c.n; i++) {
            size_t j = c.index[i];
            out->head.scale[j] = s->scale[j] * c.weight[i];
            for (size_t k = 0; k < n_labels; k++)
                out->head.w[k * s->rows->dims + j] = l.w[k * c.n + i];
        }
    }
    ser_nn_work_free(&work);
    ser_linear_release(&l);
    part_release(&p);
    columns_release(&c);
    return st;
}

static void group_variants(selection *s)
{
    const ser_candidate *c = s->settings->candidates;
    for (size_t k = 0; k < s->settings->n_candidates; k++)
        if (!k || c[k].blocks != c[k - 1].blocks || c[k].spread_weight != c[k - 1].spread_weight)
            s->variant_first[s->n_variants++] = k;
    s->variant_first[s->n_variants] = s->settings->n_candidates;
}

ser_status ser_fit_head(ser_head_fit *out, const ser_rows *rows, const ser_fit_settings *settings,
                        ser_error *err)
{
    *out = (ser_head_fit){0};
    selection s = {.rows = rows, .settings = settings};
    ser_nn_ops *ops = NULL;
    float temperature = 1;
    ser_status st = SER_OK;
    if (!settings->n_candidates || settings->n_candidates > SER_MAX_CANDIDATES)
        return ser_fail(err, SER_E_ARG, "%zu candidates to choose from: 1 to %d are possible",
                        settings->n_candidates, SER_MAX_CANDIDATES);
    s.mean = ser_alloc(rows->dims, sizeof *s.mean);
    s.scale = ser_alloc(rows->dims, sizeof *s.scale);
    s.inner_fold = ser_alloc(rows->n, sizeof *s.inner_fold);
    s.weight = ser_alloc(rows->n, sizeof *s.weight);
    s.logits = ser_alloc(settings->n_candidates, sizeof *s.logits);
    if (!s.mean || !s.scale || !s.inner_fold || !s.weight || !s.logits)
        st = ser_fail_nomem(err);
    for (size_t k = 0; k < settings->n_candidates && st == SER_OK; k++)
        if (!(s.logits[k] = ser_alloc(rows->n * rows->n_labels, sizeof **s.logits)))
            st = ser_fail_nomem(err);
    if (st == SER_OK)
        st = ser_nn_ops_new(&ops, SER_ENGINE_ONEDNN, SER_PRECISION_FP32, err);
    s.ops = ops;
    if (st == SER_OK)
        st = standardise(&s, err);
    if (st == SER_OK)
        st = split(&s, err);
    if (st == SER_OK) {
        group_variants(&s);
        st = ser_parallel_for(settings->n_threads, s.n_variants * (size_t)s.n_inner_folds, try_variant, &s,
                              err);
    }
    if (st == SER_OK)
        st = choose(out, &temperature, &s, err);
    if (st == SER_OK)
        st = refit(out, &s, temperature, err);
    for (size_t k = 0; s.logits && k < settings->n_candidates; k++)
        ser_free(s.logits[k]);
    ser_free(s.logits);
    ser_free(s.mean);
    ser_free(s.scale);
    ser_free(s.inner_fold);
    ser_free(s.weight);
    ser_nn_ops_free(&ops);
    if (st != SER_OK)
        ser_head_fit_release(out);
    return st;
}
