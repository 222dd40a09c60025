#include "train/adapt.h"
#include "base/memory.h"
#include "base/random.h"
#include "metrics/metrics.h"
#include "nn/adam.h"
#include "nn/trainable.h"
#include "nn/unlabelled.h"
#include "train/lmmd.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Batches are drawn at random, class by class, so that no number of them goes through a corpus just once. */
enum { STEPS_PER_EPOCH = 15 };

ser_adapt_settings ser_adapt_default_settings(void)
{
    return (ser_adapt_settings){.n_hidden = 128,
                                .n_epochs = 40,
                                .batch_size = 96,
                                .rate = 1e-3,
                                .beta1 = 0.9,
                                .beta2 = 0.999,
                                .input_scale = 12,
                                .seed = 46};
}

void ser_adapted_release(ser_adapted *a)
{
    ser_linear_release(&a->head);
    ser_free(a->projection);
    ser_free(a->hidden_bias);
    ser_free(a->history);
    *a = (ser_adapted){0};
}

/* One training under way. Matrices of a batch have the source's rows first. */
typedef struct training {
    const ser_adapt_rows *rows;
    const ser_adapt_settings *settings;
    const float *mean, *scale;
    size_t *used, n_used;        /* features that are read */
    size_t *of_class, *n_before; /* rows of the source, class by class; (n_labels + 1): where classes begin */
    int classes[SER_MAX_LABELS]; /* those that the source has */
    size_t n_classes;
    size_t n, n_padded;
    ser_nn_work *nn;
    ser_adam adam;
    ser_lmmd lmmd;
    /* The layers' values, one behind the other, and their gradients. */
    float *values, *gradients;
    size_t n_values, bias_1, kernel_2, bias_2; /* where they begin; the first kernel is at 0 */
    float *x, *hidden, *dhidden, *factors, *dropped, *ddropped; /* (n_padded, n_used), (n_padded, n_hidden) */
    float *logits, *dlogits, *membership;                       /* (n_padded, n_labels) */
    size_t *row_of;                                             /* (n): of the source, then of the target */
} training;

/* ---- setting up ---- */

static ser_status check(const ser_adapt_rows *rows, const ser_adapt_settings *s, ser_error *err)
{
    if (!rows->n_source || !rows->n_target)
        return ser_fail(err, SER_E_ARG, "there are no %s recordings to adapt %s",
                        rows->n_source ? "target" : "source", rows->n_source ? "to" : "from");
    if (rows->n_labels < 2 || rows->n_labels > SER_MAX_LABELS)
        return ser_fail(err, SER_E_ARG, "%zu emotions: 2 to %d are possible", rows->n_labels, SER_MAX_LABELS);
    if (!s->n_hidden || s->n_hidden > 4096 || !s->n_epochs || s->n_epochs > 100000 || s->batch_size < 2 ||
        s->batch_size > 4096)
        return ser_fail(
            err, SER_E_ARG,
            "%zu hidden features, %zu epochs, batches of %zu: 1 to 4096, 1 to 100000, 2 to 4096 are possible",
            s->n_hidden, s->n_epochs, s->batch_size);
    if (!(s->rate > 0 && s->rate < 10) || !(s->dropout >= 0 && s->dropout < 1))
        return ser_fail(err, SER_E_ARG,
                        "learning rate %g, dropout %g: more than 0 and less than 10, 0 to 1 are possible",
                        s->rate, s->dropout);
    return SER_OK;
}

static ser_status check_finite(const training *t, const float *const *x, size_t n, const char *what,
                               ser_error *err)
{
    for (size_t r = 0; r < n; r++)
        for (size_t k = 0; k < t->n_used; k++)
            if (!isfinite(x[r][t->used[k]]))
                return ser_fail(err, SER_E_FORMAT, "a feature of %s recording %zu is not a finite number",
                                what, r + 1);
    return SER_OK;
}

/* Rows of the source by class, so that a class can be drawn first. */
static void sort_by_class(training *t)
{
    size_t at = 0;
    for (size_t label = 0; label < t->rows->n_labels; label++) {
        t->n_before[label] = at;
        for (size_t i = 0; i < t->rows->n_source; i++)
            if (t->rows->label[i] == (int)label)
                t->of_class[at++] = i;
        if (at > t->n_before[label])
            t->classes[t->n_classes++] = (int)label;
    }
    t->n_before[t->rows->n_labels] = at;
}

static ser_status allocate(training *t, ser_error *err)
{
    const ser_adapt_settings *s = t->settings;
    size_t h = s->n_hidden, n_labels = t->rows->n_labels, n = t->n_padded, n_x;
    t->bias_1 = t->n_used * h;
    t->kernel_2 = t->bias_1 + h;
    t->bias_2 = t->kernel_2 + h * n_labels;
    t->n_values = t->bias_2 + n_labels;
    t->values = ser_alloc(t->n_values, sizeof *t->values);
    t->gradients = ser_alloc(t->n_values, sizeof *t->gradients);
    t->x = ser_mul_size(&n_x, n, t->n_used) ? ser_alloc(n_x, sizeof *t->x) : NULL;
    float **of_hidden[] = {&t->hidden, &t->dhidden, &t->factors, &t->dropped, &t->ddropped},
          **of_labels[] = {&t->logits, &t->dlogits, &t->membership};
    bool ok = t->values && t->gradients && t->x;
    for (size_t i = 0; i < sizeof of_hidden / sizeof *of_hidden; i++)
        ok = (*of_hidden[i] = ser_alloc(n * h, sizeof(float))) && ok;
    for (size_t i = 0; i < sizeof of_labels / sizeof *of_labels; i++)
        ok = (*of_labels[i] = ser_alloc(n * n_labels, sizeof(float))) && ok;
    t->row_of = ser_alloc(t->n, sizeof *t->row_of);
    t->of_class = ser_alloc(t->rows->n_source, sizeof *t->of_class);
    t->n_before = ser_alloc(n_labels + 1, sizeof *t->n_before);
    return ok && t->row_of && t->of_class && t->n_before ? SER_OK : ser_fail_nomem(err);
}

/* Uniform, as many deep-learning toolkits begin dense layers (LeCun et al. 1998, "Efficient BackProp"). */
static void randomise(training *t)
{
    const ser_adapt_settings *s = t->settings;
    ser_random r;
    ser_random_init(&r, ser_random_derive(s->seed, "weights"));
    double limit = 1 / sqrt((double)t->n_used);
    for (size_t i = 0; i < t->bias_1; i++)
        t->values[i] = (float)ser_random_between(&r, -limit, limit);
    limit = 1 / sqrt((double)s->n_hidden);
    for (size_t i = t->kernel_2; i < t->bias_2; i++)
        t->values[i] = (float)ser_random_between(&r, -limit, limit);
}

static ser_status start(training *t, ser_error *err)
{
    const ser_adapt_settings *s = t->settings;
    const ser_adapt_rows *rows = t->rows;
    ser_status st = check(rows, s, err);
    if (st != SER_OK)
        return st;
    t->used = ser_alloc(rows->n_in, sizeof *t->used);
    if (!t->used)
        return ser_fail_nomem(err);
    for (size_t i = 0; i < rows->n_in; i++)
        if (t->scale[i] != 0)
            t->used[t->n_used++] = i;
    if (!t->n_used)
        return ser_fail(err, SER_E_ARG, "no feature varies: there is nothing to learn from");
    st = check_finite(t, rows->source, rows->n_source, "source", err);
    if (st == SER_OK)
        st = check_finite(t, rows->target, rows->n_target, "target", err);
    if (st != SER_OK)
        return st;
    t->n = 2 * s->batch_size;
    t->n_padded = ser_nn_padded_rows(t->n);
    st = allocate(t, err);
    if (st == SER_OK)
        st = ser_nn_work_new(&t->nn, s->ops, s->n_threads, err);
    if (st == SER_OK)
        st = ser_adam_init(&t->adam, t->n_values, s->beta1, s->beta2, err);
    if (st == SER_OK)
        st = ser_lmmd_init(&t->lmmd, t->n, rows->n_labels, err);
    if (st == SER_OK) {
        sort_by_class(t);
        randomise(t);
    }
    return st;
}

static void finish(training *t)
{
    ser_lmmd_release(&t->lmmd);
    ser_adam_release(&t->adam);
    ser_nn_work_free(&t->nn);
    void *all[] = {t->used,     t->of_class, t->n_before, t->values,     t->gradients,
                   t->x,        t->hidden,   t->dhidden,  t->factors,    t->dropped,
                   t->ddropped, t->logits,   t->dlogits,  t->membership, t->row_of};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        ser_free(all[i]);
}

/* ---- a step ---- */

/* A class, then one of its recordings; and any of the target's. */
static void draw_batch(training *t, uint64_t step)
{
    const ser_adapt_rows *rows = t->rows;
    size_t half = t->settings->batch_size;
    char stream[48];
    ser_random r;
    snprintf(stream, sizeof stream, "batch/%llu", (unsigned long long)step);
    ser_random_init(&r, ser_random_derive(t->settings->seed, stream));
    for (size_t i = 0; i < t->n; i++) {
        bool is_source = i < half;
        if (is_source) {
            size_t label = (size_t)t->classes[ser_random_below(&r, t->n_classes)], first = t->n_before[label];
            t->row_of[i] = t->of_class[first + ser_random_below(&r, t->n_before[label + 1] - first)];
        } else {
            t->row_of[i] = ser_random_below(&r, rows->n_target);
        }
        const float *from = (is_source ? rows->source : rows->target)[t->row_of[i]];
        float *to = t->x + i * t->n_used, by = (float)t->settings->input_scale;
        for (size_t k = 0; k < t->n_used; k++) {
            size_t f = t->used[k];
            to[k] = (from[f] - t->mean[f]) * t->scale[f] * by;
        }
    }
}

static ser_status forward(training *t, uint64_t step, ser_error *err)
{
    const ser_adapt_settings *s = t->settings;
    size_t h = s->n_hidden;
    char stream[48];
    snprintf(stream, sizeof stream, "dropout/%llu", (unsigned long long)step);
    ser_status st = ser_nn_dense_forward(t->nn, t->hidden, t->x, t->values, t->values + t->bias_1,
                                         t->n_padded, t->n_used, h, SER_F32, err);
    if (st != SER_OK)
        return st;
    ser_nn_dropout_draw(t->factors, t->n * h, s->dropout, ser_random_derive(s->seed, stream));
    memcpy(t->dropped, t->hidden, t->n * h * sizeof *t->dropped);
    ser_nn_multiply(t->dropped, t->factors, t->n * h);
    return ser_nn_dense_forward(t->nn, t->logits, t->dropped, t->values + t->kernel_2, t->values + t->bias_2,
                                t->n_padded, h, t->rows->n_labels, SER_F32, err);
}

/* The mean cross-entropy of the source's rows. */
static double add_cross_entropy(training *t, size_t *n_right)
{
    size_t n_labels = t->rows->n_labels, n = t->settings->batch_size;
    double loss = 0;
    float dlogits[SER_MAX_LABELS], target[SER_MAX_LABELS];
    for (size_t i = 0; i < n; i++) {
        int own = t->rows->label[t->row_of[i]];
        memset(target, 0, sizeof target);
        target[own] = 1;
        const float *logits = t->logits + i * n_labels;
        loss += ser_nn_softmax_cross_entropy(dlogits, logits, target, n_labels, 0, 1 / (double)n);
        *n_right += (int)ser_argmax(logits, n_labels) == own;
        for (size_t k = 0; k < n_labels; k++)
            t->dlogits[i * n_labels + k] += dlogits[k];
    }
    return loss;
}

/* Who belongs to which class: source rows by their label, target rows by their scores. */
static void fill_membership(training *t)
{
    size_t n_labels = t->rows->n_labels;
    memcpy(t->membership, t->logits, t->n * n_labels * sizeof *t->membership);
    for (size_t i = 0; i < t->n; i++) {
        float *own = t->membership + i * n_labels;
        ser_softmax(own, n_labels, 1);
        if (i >= t->settings->batch_size)
            continue;
        memset(own, 0, n_labels * sizeof *own);
        own[t->rows->label[t->row_of[i]]] = 1;
    }
}

/* Fills dlogits and dhidden (its part that does not come through the logits). */
static void losses(training *t, ser_adapt_epoch *e, double by)
{
    const ser_adapt_settings *s = t->settings;
    const ser_adapt_weights *w = &s->weights;
    size_t h = s->n_hidden, n_labels = t->rows->n_labels, half = s->batch_size, n_right = 0;
    double share = 1 / (double)STEPS_PER_EPOCH;
    memset(t->dlogits, 0, t->n_padded * n_labels * sizeof *t->dlogits);
    memset(t->dhidden, 0, t->n_padded * h * sizeof *t->dhidden);
    fill_membership(t);
    const ser_lmmd_batch batch = {t->hidden, t->membership, half, half, h, n_labels};
    const float *scores = t->membership + half * n_labels;
    float *dlogits = t->dlogits + half * n_labels;
    e->source_loss += share * add_cross_entropy(t, &n_right);
    e->source_accuracy += share * 100 * (double)n_right / (double)half;
    e->lmmd += share * ser_lmmd_compute(&t->lmmd, w->lmmd > 0 ? t->dhidden : NULL, &batch, by * w->lmmd);
    e->entropy += share * ser_mean_entropy(dlogits, scores, half, n_labels, by * w->entropy);
    e->balance += share * ser_entropy_of_mean(dlogits, scores, half, n_labels, -by * w->balance);
}

static ser_status backward(training *t, ser_error *err)
{
    size_t h = t->settings->n_hidden, n_labels = t->rows->n_labels;
    ser_status st =
        ser_nn_dense_backward(t->nn, t->ddropped, t->gradients + t->kernel_2, t->dlogits, t->dropped,
                              t->values + t->kernel_2, t->n_padded, h, n_labels, SER_F32, err);
    if (st != SER_OK)
        return st;
    ser_nn_add_rows(t->gradients + t->bias_2, t->dlogits, t->n, n_labels);
    ser_nn_multiply(t->ddropped, t->factors, t->n * h);
    for (size_t i = 0; i < t->n * h; i++)
        t->dhidden[i] += t->ddropped[i];
    ser_nn_add_rows(t->gradients + t->bias_1, t->dhidden, t->n, h);
    return ser_nn_dense_backward(t->nn, NULL, t->gradients, t->dhidden, t->x, t->values, t->n_padded,
                                 t->n_used, h, SER_F32, err);
}

static ser_status run_epoch(training *t, ser_adapt_epoch *e, ser_error *err)
{
    const ser_adapt_settings *s = t->settings;
    ser_status st = SER_OK;
    size_t n_all = STEPS_PER_EPOCH * s->n_epochs;
    for (size_t i = 0; i < STEPS_PER_EPOCH && st == SER_OK; i++) {
        uint64_t step = t->adam.step;
        draw_batch(t, step);
        st = forward(t, step, err);
        if (st != SER_OK)
            return st;
        losses(t, e, ser_lmmd_schedule((size_t)step, n_all));
        if (!isfinite(e->source_loss + e->lmmd))
            return ser_fail(err, SER_E_ARG, "the loss is no longer finite: lower the learning rate");
        st = backward(t, err);
        e->rate = s->rate * (1 - (double)step / (double)n_all);
        if (st == SER_OK)
            ser_adam_step(&t->adam, t->values, t->gradients, e->rate);
    }
    return st;
}

/* ---- what is kept ---- */

/* One linear head of the two layers: w = kernel_2^T kernel_1^T. */
static ser_status keep(ser_adapted *out, const training *t, ser_error *err)
{
    size_t h = t->settings->n_hidden, n_in = t->rows->n_in, n_labels = t->rows->n_labels;
    const float *kernel_2 = t->values + t->kernel_2, *bias_1 = t->values + t->bias_1;
    out->n_hidden = h;
    out->projection = ser_alloc(n_in * h, sizeof *out->projection);
    out->hidden_bias = ser_alloc(h, sizeof *out->hidden_bias);
    if (!out->projection || !out->hidden_bias)
        return ser_fail_nomem(err);
    ser_status st = ser_linear_init(&out->head, n_in, n_labels, err);
    if (st != SER_OK)
        return st;
    ser_linear *l = &out->head;
    memcpy(out->hidden_bias, bias_1, h * sizeof *bias_1);
    l->temperature = 1;
    memcpy(l->mean, t->mean, n_in * sizeof *l->mean);
    for (size_t i = 0; i < n_in; i++)
        l->scale[i] = t->scale[i] * (float)t->settings->input_scale;
    for (size_t k = 0; k < t->n_used; k++)
        for (size_t j = 0; j < h; j++) {
            size_t i = t->used[k];
            float by = l->scale[i] * t->values[k * h + j];
            out->projection[i * h + j] = by;
            out->hidden_bias[j] -= by * t->mean[i];
        }
    for (size_t label = 0; label < n_labels; label++) {
        double bias = (double)t->values[t->bias_2 + label];
        for (size_t j = 0; j < h; j++)
            bias += (double)bias_1[j] * (double)kernel_2[j * n_labels + label];
        l->bias[label] = (float)bias;
        for (size_t k = 0; k < t->n_used; k++) {
            double sum = 0;
            for (size_t j = 0; j < h; j++)
                sum += (double)t->values[k * h + j] * (double)kernel_2[j * n_labels + label];
            l->w[label * n_in + t->used[k]] = (float)sum;
        }
    }
    return SER_OK;
}

void ser_adapted_project(const ser_adapted *a, float *hidden, const float *x, size_t n_in)
{
    memcpy(hidden, a->hidden_bias, a->n_hidden * sizeof *hidden);
    for (size_t i = 0; i < n_in; i++)
        for (size_t j = 0; j < a->n_hidden; j++)
            hidden[j] += x[i] * a->projection[i * a->n_hidden + j];
}

ser_status ser_adapt(ser_adapted *out, const ser_adapt_rows *rows, const float *mean, const float *scale,
                     const ser_adapt_settings *settings, ser_error *err)
{
    *out = (ser_adapted){0};
    training t = {.rows = rows, .settings = settings, .mean = mean, .scale = scale};
    ser_status st = start(&t, err);
    if (st == SER_OK && !(out->history = ser_alloc(settings->n_epochs, sizeof *out->history)))
        st = ser_fail_nomem(err);
    for (; st == SER_OK && out->n_epochs < settings->n_epochs; out->n_epochs++) {
        ser_adapt_epoch *e = &out->history[out->n_epochs];
        *e = (ser_adapt_epoch){.epoch = out->n_epochs + 1, .n_epochs = settings->n_epochs};
        st = run_epoch(&t, e, err);
        if (st == SER_OK && settings->on_epoch)
            settings->on_epoch(settings->context, e);
        if (st == SER_OK && !ser_progress_report(settings->progress, settings->what, e->epoch, e->n_epochs))
            st = ser_fail(err, SER_E_CANCELLED, "interrupted in epoch %zu of %zu", e->epoch, e->n_epochs);
    }
    if (st == SER_OK)
        st = keep(out, &t, err);
    finish(&t);
    if (st != SER_OK)
        ser_adapted_release(out);
    return st;
}
