#include "train/timnet_fit.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/random.h"
#include "metrics/metrics.h"
#include "model/moments.h"
#include "nn/unlabelled.h"
#include "train/lmmd.h"
#include "train/softmax_regression.h"
#include "train/timnet_parts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

ser_timnet_settings ser_timnet_default_settings(void)
{
    return (ser_timnet_settings){.shape = ser_timnet_default_shape(0, 0),
                                 .n_epochs = 50,
                                 .batch_size = 32,
                                 .rate = 3e-4,
                                 .beta1 = 0.93,
                                 .beta2 = 0.98,
                                 .label_smoothing = 0.1,
                                 .validation_share = 0.1,
                                 .patience = 10,
                                 .time_mask_share = 0.1,
                                 .feature_mask_share = 0.1,
                                 .max_frames = 500,
                                 .seed = 46};
}

void ser_timnet_fit_release(ser_timnet_fit *f)
{
    ser_timnet_member_release(&f->member);
    ser_free(f->history);
    *f = (ser_timnet_fit){0};
}

/* What a part of a batch tells besides its gradients and normalisation's averages. */
enum { TOLD_LOSS, TOLD_RIGHT, TOLD_STOP, N_TOLD };

/* One training under way. */
typedef struct training {
    const ser_timnet_rows *rows;
    const ser_timnet_settings *settings;
    ser_timnet_fit *out;
    timnet_split split;
    timnet_source source;
    timnet_examples examples;
    timnet_progress progress;
    ser_state_identity identity;
    ser_nn_work *nn;
    ser_timnet_work *work;
    ser_timnet_scorer *scorer;
    size_t n_batches;                    /* of an epoch */
    size_t *order;                       /* (n_train): of this epoch */
    size_t *target_order;                /* (n_unlabelled): of this epoch, as numbers of rows */
    size_t *rows_of_batch;               /* (n_batch) */
    ser_sum sum;                         /* of the parts of a batch, with micro_batch */
    float *running;                      /* normalisation's averages before the batch, with micro_batch */
    bool stop;                           /* this rank wants to: all do it in the same step */
    size_t n_batch;                      /* recordings in a batch, unlabelled ones too, at most */
    float *gradients, *logits, *dlogits; /* (n_trained); (n_batch, n_labels) */
    float *dfeatures;                    /* (n_batch, SER_TIMNET_DENSE_2) */
    ser_lmmd lmmd;
    const float **validation_frames; /* (n_validation), and so on */
    size_t *validation_n_frames;
    int *validation_label;
    float *validation_logits; /* (n_validation, n_labels) */
} training;

/* ---- setting up ---- */

/* Over the frames of the training part's recordings, without altered copies. */
static ser_status fit_scaling(training *t, ser_error *err)
{
    const ser_timnet_rows *rows = t->rows;
    const timnet_split *s = &t->split;
    size_t n = 0;
    for (size_t i = 0; i < s->n_train; i++)
        n += rows->n_frames[s->train[i]];
    const float **frames = ser_alloc(n, sizeof *frames);
    if (!frames)
        return ser_fail_nomem(err);
    n = 0;
    for (size_t i = 0; i < s->n_train; i++) {
        size_t r = s->train[i];
        for (size_t f = 0; f < rows->n_frames[r] && (!rows->copy_of || rows->copy_of[r] == r); f++)
            frames[n++] = rows->frames[r] + f * rows->n_in;
    }
    ser_status st = ser_standardise(t->out->member.mean, t->out->member.scale, frames, n, rows->n_in, err);
    ser_free(frames);
    return st;
}

static ser_status allocate(training *t, ser_error *err)
{
    const ser_timnet_settings *s = t->settings;
    size_t n_labels = t->rows->n_labels, n_validation = t->split.n_validation;
    timnet_progress *p = &t->progress;
    t->n_batch = s->batch_size * (t->rows->n_unlabelled ? 2 : 1);
    t->order = ser_alloc(t->split.n_train, sizeof *t->order);
    t->target_order = ser_alloc(t->rows->n_unlabelled, sizeof *t->target_order);
    t->rows_of_batch = ser_alloc(t->n_batch, sizeof *t->rows_of_batch);
    t->sum.n_values = p->net->n_values + N_TOLD;
    t->gradients = ser_alloc(s->micro_batch ? t->sum.n_values : p->net->n_trained, sizeof *t->gradients);
    t->running = ser_alloc(p->net->n_values - p->net->n_trained, sizeof *t->running);
    t->logits = ser_alloc(t->n_batch * n_labels, sizeof *t->logits);
    t->dlogits = ser_alloc(t->n_batch * n_labels, sizeof *t->dlogits);
    t->dfeatures = ser_alloc(t->n_batch * SER_TIMNET_DENSE_2, sizeof *t->dfeatures);
    t->validation_frames = ser_alloc(n_validation, sizeof *t->validation_frames);
    t->validation_n_frames = ser_alloc(n_validation, sizeof *t->validation_n_frames);
    t->validation_label = ser_alloc(n_validation, sizeof *t->validation_label);
    t->validation_logits = ser_alloc(n_validation * n_labels, sizeof *t->validation_logits);
    p->history = ser_alloc(s->n_epochs, sizeof *p->history);
    bool ok = t->running && t->order && t->target_order && t->rows_of_batch && t->gradients && t->logits &&
              t->dlogits && t->dfeatures && t->validation_frames && t->validation_n_frames &&
              t->validation_label && t->validation_logits && p->history;
    if (s->patience && n_validation)
        ok = (p->best = ser_alloc(p->net->n_values, sizeof *p->best)) && ok;
    if (s->n_average)
        ok = (p->average = ser_alloc(p->net->n_trained, sizeof *p->average)) && ok;
    if (!ok)
        return ser_fail_nomem(err);
    for (size_t i = 0; i < n_validation; i++) {
        size_t r = t->split.validation[i];
        t->validation_frames[i] = t->rows->frames[r];
        t->validation_n_frames[i] = t->rows->n_frames[r];
        t->validation_label[i] = t->rows->label[r];
    }
    return t->rows->n_unlabelled ? ser_lmmd_init(&t->lmmd, t->n_batch, n_labels, err) : SER_OK;
}

static ser_status open_engine(training *t, ser_error *err)
{
    const ser_timnet_layout layout = {.dims = t->rows->n_in};
    ser_status st = ser_nn_work_new(&t->nn, t->settings->ops, t->settings->n_threads, err);
    if (st == SER_OK)
        st = ser_timnet_work_new(&t->work, &t->progress.net->shape, t->nn, true, err);
    if (st == SER_OK && t->split.n_validation)
        st = ser_timnet_scorer_new(&t->scorer, &t->out->member, 1, &layout, t->nn, err);
    return st;
}

/* Numbers the epochs that a state had, and tells of them. */
static void tell_again(training *t)
{
    const ser_timnet_settings *s = t->settings;
    t->progress.adam.step = (uint64_t)t->progress.n_done * t->n_batches;
    for (size_t i = 0; i < t->progress.n_done; i++) {
        ser_timnet_epoch *e = &t->progress.history[i];
        e->epoch = i + 1;
        e->n_epochs = s->n_epochs;
        e->restored = true;
        if (s->on_epoch)
            s->on_epoch(s->context, e);
    }
}

static ser_status start(training *t, ser_error *err)
{
    const ser_timnet_settings *s = t->settings;
    ser_timnet_shape shape = s->shape;
    shape.n_in = t->rows->n_in;
    shape.n_labels = t->rows->n_labels;
    ser_status st = ser_timnet_member_init(&t->out->member, &shape, err);
    if (st == SER_OK)
        st = timnet_check(t->rows, s, err);
    if (st == SER_OK)
        st = timnet_split_init(&t->split, t->rows, s, t->out->note, sizeof t->out->note, err);
    if (st != SER_OK)
        return st;
    const ser_timnet_member *member = &t->out->member;
    t->n_batches = (t->split.n_train + s->batch_size - 1) / s->batch_size;
    t->progress.net = member->net;
    t->source = (timnet_source){t->rows, s, &t->split, member->mean, member->scale};
    ser_timnet_randomise(member->net, ser_random_derive(s->seed, "weights"));
    st = fit_scaling(t, err);
    if (st == SER_OK)
        st = timnet_examples_init(&t->examples, &t->source, err);
    if (st == SER_OK)
        st = ser_adam_init(&t->progress.adam, member->net->n_trained, s->beta1, s->beta2, err);
    if (st == SER_OK)
        st = allocate(t, err);
    if (st == SER_OK)
        st = open_engine(t, err);
    if (st == SER_OK && s->state_path) {
        st = timnet_identity_init(&t->identity, t->rows, s, err);
        if (st == SER_OK && ser_team_is_first(s->team))
            st = timnet_state_read(&t->progress, s->state_path, &t->identity, s->n_epochs, err);
        if (st == SER_OK && s->team)
            st = timnet_progress_share(&t->progress, s->team, s->n_epochs, err);
    }
    if (st == SER_OK)
        tell_again(t);
    return st;
}

static void finish(training *t)
{
    ser_timnet_scorer_free(&t->scorer);
    ser_timnet_work_free(&t->work);
    ser_nn_work_free(&t->nn);
    ser_adam_release(&t->progress.adam);
    ser_state_identity_release(&t->identity);
    timnet_examples_release(&t->examples);
    timnet_split_release(&t->split);
    ser_free(t->progress.best);
    ser_free(t->progress.average);
    ser_free(t->progress.history);
    ser_lmmd_release(&t->lmmd);
    ser_free(t->order);
    ser_free(t->target_order);
    ser_free(t->rows_of_batch);
    ser_free(t->dfeatures);
    ser_sum_release(&t->sum);
    ser_free(t->running);
    ser_free(t->gradients);
    ser_free(t->logits);
    ser_free(t->dlogits);
    ser_free(t->validation_frames);
    ser_free(t->validation_n_frames);
    ser_free(t->validation_label);
    ser_free(t->validation_logits);
}

/* ---- an epoch ---- */

/* Loss of n rows of logits, divided by n_all; the classes' weights apply. dlogits may be NULL. */
static double loss_of(const training *t, float *dlogits, const float *logits, const float *target, size_t n,
                      size_t n_all)
{
    size_t n_labels = t->rows->n_labels;
    double loss = 0;
    for (size_t i = 0; i < n * n_labels; i += n_labels) {
        double weight = 0;
        for (size_t l = 0; l < n_labels; l++)
            weight += (double)target[i + l] * (double)t->split.weight[l];
        loss += ser_nn_softmax_cross_entropy(dlogits ? dlogits + i : NULL, logits + i, target + i, n_labels,
                                             t->settings->label_smoothing, weight / (double)n_all);
    }
    return loss;
}

static size_t n_right(const float *logits, const float *target, size_t n, size_t n_labels)
{
    size_t right = 0;
    for (size_t i = 0; i < n * n_labels; i += n_labels)
        right += ser_argmax(logits + i, n_labels) == ser_argmax(target + i, n_labels);
    return right;
}

static ser_status diverged(ser_error *err)
{
    return ser_fail(err, SER_E_ARG, "the loss is no longer finite: lower the learning rate");
}

/* The unlabelled recordings that go with batch b of an epoch: round and round in the epoch's order. Returns
 * how many recordings the batch has. */
static size_t fill_batch(training *t, size_t b, size_t n)
{
    size_t n_unlabelled = t->rows->n_unlabelled, n_batch = t->settings->batch_size;
    memcpy(t->rows_of_batch, t->order + b * n_batch, n * sizeof *t->order);
    for (size_t i = 0; n_unlabelled && i < n; i++)
        t->rows_of_batch[n + i] = t->target_order[(b * n_batch + i) % n_unlabelled];
    return n_unlabelled ? 2 * n : n;
}

/* What the unlabelled half of a batch of 2 n adds to dlogits and, set, to dfeatures. by: the schedule's. */
static void add_unlabelled(training *t, size_t n, double by, ser_timnet_epoch *e)
{
    const ser_adapt_weights *w = &t->settings->weights;
    size_t n_labels = t->rows->n_labels;
    double share = (double)n / (double)t->split.n_train;
    float *membership = t->examples.target, *scores = membership + n * n_labels,
          *dlogits = t->dlogits + n * n_labels;
    memcpy(scores, t->logits + n * n_labels, n * n_labels * sizeof *scores);
    for (size_t i = 0; i < n; i++)
        ser_softmax(scores + i * n_labels, n_labels, 1);
    memset(dlogits, 0, n * n_labels * sizeof *dlogits);
    memset(t->dfeatures, 0, 2 * n * SER_TIMNET_DENSE_2 * sizeof *t->dfeatures);
    const ser_lmmd_batch batch = {ser_timnet_features(t->work), membership, n, n,
                                  SER_TIMNET_DENSE_2,           n_labels};
    e->lmmd += share * ser_lmmd_compute(&t->lmmd, t->dfeatures, &batch, by * w->lmmd);
    e->entropy += share * ser_mean_entropy(dlogits, scores, n, n_labels, by * w->entropy);
    e->balance += share * ser_entropy_of_mean(dlogits, scores, n, n_labels, -by * w->balance);
}

static ser_status forward(training *t, size_t n, size_t epoch, ser_error *err)
{
    char stream[48];
    snprintf(stream, sizeof stream, "dropout/%llu", (unsigned long long)t->progress.adam.step);
    const ser_timnet_batch batch = {n, t->examples.frames, t->examples.n_frames};
    ser_status st = timnet_examples_make(&t->examples, &t->source, t->rows_of_batch, n, epoch, err);
    return st == SER_OK ? ser_timnet_forward(t->progress.net, t->work, &batch,
                                             ser_random_derive(t->settings->seed, stream), t->logits, err)
                        : st;
}

static ser_schedule schedule_of(const training *t)
{
    const ser_timnet_settings *s = t->settings;
    return (ser_schedule){.rate = s->rate,
                          .decay = s->decay,
                          .n_warmup = (uint64_t)s->n_warmup_epochs * t->n_batches,
                          .n_steps = (uint64_t)s->n_epochs * t->n_batches};
}

/* Batch b of an epoch, n labelled recordings. */
static ser_status step(training *t, size_t b, size_t n, ser_timnet_epoch *e, ser_error *err)
{
    const ser_timnet_settings *s = t->settings;
    timnet_progress *p = &t->progress;
    const ser_schedule schedule = schedule_of(t);
    bool adapts = t->rows->n_unlabelled > 0;
    ser_status st = forward(t, fill_batch(t, b, n), e->epoch, err);
    if (st != SER_OK)
        return st;
    double loss = loss_of(t, t->dlogits, t->logits, t->examples.target, n, n);
    e->train_loss += loss * (double)n / (double)t->split.n_train;
    e->train_accuracy +=
        100 * (double)n_right(t->logits, t->examples.target, n, t->rows->n_labels) / (double)t->split.n_train;
    if (adapts)
        add_unlabelled(t, n, ser_lmmd_schedule((size_t)p->adam.step, s->n_epochs * t->n_batches), e);
    if (!isfinite(loss + e->lmmd))
        return diverged(err);
    e->rate = ser_schedule_rate(&schedule, p->adam.step);
    st = ser_timnet_backward(p->net, t->work, t->dlogits, adapts ? t->dfeatures : NULL, t->gradients, err);
    if (st == SER_OK)
        ser_adam_step(&p->adam, p->net->values, t->gradients, e->rate);
    return st;
}

/* ---- a batch in parts ---- */

static size_t n_frames_of(const training *t, const size_t *row, size_t n)
{
    size_t all = 0;
    for (size_t i = 0; i < n; i++) {
        size_t n_frames = t->rows->n_frames[row[i]];
        all += n_frames < t->settings->max_frames ? n_frames : t->settings->max_frames;
    }
    return all;
}

/* A batch of n recordings that is learned part by part. */
typedef struct parts {
    training *training;
    const size_t *row; /* (n) */
    size_t n, epoch;
} parts;

/* Part m of a batch of n recordings, row (n), into leaf: gradients of its share of the batch's loss, its
 * share of what the batch adds to normalisation's averages, and what it tells. */
static ser_status learn_part(void *context, float *leaf, size_t m, ser_error *err)
{
    const parts *whole = context;
    training *t = whole->training;
    const size_t *row = whole->row;
    size_t n = whole->n, epoch = whole->epoch;
    const ser_timnet_settings *s = t->settings;
    ser_timnet *net = t->progress.net;
    size_t first = m * s->micro_batch, left = n - first,
           n_part = left < s->micro_batch ? left : s->micro_batch, n_running = net->n_values - net->n_trained;
    float *running = net->values + net->n_trained, *told = leaf + net->n_values;
    float share = (float)((double)n_frames_of(t, row + first, n_part) / (double)n_frames_of(t, row, n));
    char stream[64];
    snprintf(stream, sizeof stream, "dropout/%llu/%zu", (unsigned long long)t->progress.adam.step, m);
    const ser_timnet_batch batch = {n_part, t->examples.frames, t->examples.n_frames};
    memset(running, 0,
           n_running * sizeof *running); /* then they are the part's own statistics, times 1 - momentum */
    ser_status st = timnet_examples_make(&t->examples, &t->source, row + first, n_part, epoch, err);
    if (st == SER_OK)
        st = ser_timnet_forward(net, t->work, &batch, ser_random_derive(s->seed, stream), t->logits, err);
    if (st != SER_OK)
        return st;
    for (size_t i = 0; i < n_running; i++)
        leaf[net->n_trained + i] = running[i] * share;
    told[TOLD_LOSS] = (float)loss_of(t, t->dlogits, t->logits, t->examples.target, n_part, n);
    told[TOLD_RIGHT] = (float)n_right(t->logits, t->examples.target, n_part, t->rows->n_labels);
    told[TOLD_STOP] = t->stop;
    return ser_timnet_backward(net, t->work, t->dlogits, NULL, leaf, err);
}

static ser_status cancelled(const training *t, const ser_timnet_epoch *e, ser_error *err)
{
    return ser_fail(err, SER_E_CANCELLED, "interrupted in epoch %zu of %zu%s", e->epoch,
                    t->settings->n_epochs, t->settings->state_path ? ": the epochs before it are saved" : "");
}

/* As step. */
static ser_status step_in_parts(training *t, size_t b, size_t n, ser_timnet_epoch *e, ser_error *err)
{
    static const float momentum = 0.99f; /* of ser_nn_batch_norm_finish */
    const ser_timnet_settings *s = t->settings;
    ser_timnet *net = t->progress.net;
    const ser_schedule schedule = schedule_of(t);
    size_t n_running = net->n_values - net->n_trained;
    float *running = net->values + net->n_trained;
    const float *sums = t->gradients + net->n_trained, *told = t->gradients + net->n_values;
    memcpy(t->running, running, n_running * sizeof *running);
    parts batch = {t, t->order + b * s->batch_size, n, e->epoch};
    ser_status st = ser_team_sum(s->team, t->gradients, &t->sum, (n + s->micro_batch - 1) / s->micro_batch,
                                 learn_part, &batch, err);
    for (size_t i = 0; i < n_running; i++)
        running[i] = st == SER_OK ? momentum * t->running[i] + sums[i] : t->running[i];
    if (st != SER_OK)
        return st;
    if (told[TOLD_STOP] > 0)
        return cancelled(t, e, err);
    if (!isfinite(told[TOLD_LOSS]))
        return diverged(err);
    e->train_loss += (double)told[TOLD_LOSS] * (double)n / (double)t->split.n_train;
    e->train_accuracy += 100 * (double)told[TOLD_RIGHT] / (double)t->split.n_train;
    e->rate = ser_schedule_rate(&schedule, t->progress.adam.step);
    ser_adam_step(&t->progress.adam, net->values, t->gradients, e->rate);
    return SER_OK;
}

/* ---- all batches ---- */

static void shuffle(training *t, size_t epoch)
{
    char stream[48];
    ser_random random;
    snprintf(stream, sizeof stream, "order/%zu", epoch);
    ser_random_init(&random, ser_random_derive(t->settings->seed, stream));
    memcpy(t->order, t->split.train, t->split.n_train * sizeof *t->order);
    ser_random_shuffle(&random, t->order, t->split.n_train);
    for (size_t i = 0; i < t->rows->n_unlabelled; i++)
        t->target_order[i] = t->rows->n + i;
    ser_random_shuffle(&random, t->target_order, t->rows->n_unlabelled);
}

static ser_status learn(training *t, ser_timnet_epoch *e, ser_error *err)
{
    const ser_timnet_settings *s = t->settings;
    ser_status st = SER_OK;
    shuffle(t, e->epoch);
    for (size_t b = 0; b < t->n_batches && st == SER_OK; b++) {
        size_t first = b * s->batch_size, left = t->split.n_train - first;
        size_t n = left < s->batch_size ? left : s->batch_size;
        st = s->micro_batch ? step_in_parts(t, b, n, e, err) : step(t, b, n, e, err);
        bool go_on =
            st != SER_OK || ser_progress_report(s->progress, s->what, (e->epoch - 1) * t->n_batches + b + 1,
                                                s->n_epochs * t->n_batches);
        t->stop = t->stop || !go_on;
        if (!go_on && !s->team)
            st = cancelled(t, e, err);
    }
    return st;
}

/* Fills validation_logits. The features are known to be finite. */
static ser_status ask_validation(training *t, ser_error *err)
{
    const ser_timnet_batch batch = {t->split.n_validation, t->validation_frames, t->validation_n_frames};
    ser_status st = ser_timnet_logits(t->scorer, 0, &batch, t->validation_logits, err);
    return st == SER_E_FORMAT ? diverged(err) : st;
}

static ser_status validate(training *t, ser_timnet_epoch *e, ser_error *err)
{
    size_t n = t->split.n_validation, n_labels = t->rows->n_labels;
    e->validation_loss = e->validation_accuracy = NAN;
    ser_status st = n ? ask_validation(t, err) : SER_OK;
    if (!n || st != SER_OK)
        return st;
    e->validation_loss = e->validation_accuracy = 0;
    for (size_t i = 0; i < n; i++) {
        const float *logits = t->validation_logits + i * n_labels;
        float target[SER_MAX_LABELS] = {0};
        target[t->validation_label[i]] = 1;
        e->validation_loss += loss_of(t, NULL, logits, target, 1, n);
        e->validation_accuracy += 100 * (double)n_right(logits, target, 1, n_labels) / (double)n;
    }
    return SER_OK;
}

/* The epoch with the lowest validation loss so far, 1 ...; the first of equals. */
static size_t best_epoch(const timnet_progress *p)
{
    size_t best = 0;
    for (size_t i = 1; i < p->n_done; i++)
        if (p->history[i].validation_loss < p->history[best].validation_loss)
            best = i;
    return best + 1;
}

static ser_status run_epoch(training *t, ser_error *err)
{
    const ser_timnet_settings *s = t->settings;
    timnet_progress *p = &t->progress;
    double start = ser_clock_s();
    ser_timnet_epoch *e = &p->history[p->n_done];
    *e = (ser_timnet_epoch){.epoch = p->n_done + 1, .n_epochs = s->n_epochs};
    ser_status st = learn(t, e, err);
    if (st == SER_OK)
        st = validate(t, e, err);
    if (st != SER_OK)
        return st;
    e->seconds = ser_clock_s() - start;
    p->n_done++;
    if (p->best && best_epoch(p) == p->n_done)
        memcpy(p->best, p->net->values, p->net->n_values * sizeof *p->best);
    if (p->average && p->n_done + s->n_average > s->n_epochs)
        ser_average_add(p->average, p->net->values, p->net->n_trained,
                        p->n_done + s->n_average - s->n_epochs - 1);
    if (s->state_path && ser_team_is_first(s->team))
        st = timnet_state_write(s->state_path, p, &t->identity, err);
    if (st == SER_OK && s->on_epoch)
        s->on_epoch(s->context, e);
    return st;
}

static bool is_over(const training *t)
{
    const timnet_progress *p = &t->progress;
    return p->n_done == t->settings->n_epochs ||
           (p->best && p->n_done && p->n_done - best_epoch(p) >= t->settings->patience);
}

/* ---- what is kept ---- */

/* Normalisation's statistics for values that no batch has been through: over the training part, unaltered and
 * without dropout, as the network will be asked. A batch's own are read off running averages that were 0. */
static ser_status measure_norms(training *t, ser_error *err)
{
    static const double share = 1 - 0.99; /* of a batch in the running averages: ser_nn_batch_norm_finish */
    ser_timnet *net = t->progress.net;
    size_t n = net->n_values - net->n_trained, n_all = 0, batch_size = t->settings->batch_size;
    float *running = net->values + net->n_trained;
    size_t n_rows = t->split.n_train;
    shuffle(t, 0);
    double *sums = ser_alloc(n, sizeof *sums), dropout = net->shape.dropout;
    ser_status st = sums ? SER_OK : ser_fail_nomem(err);
    net->shape.dropout = 0;
    for (size_t first = 0; first < n_rows && st == SER_OK; first += batch_size) {
        size_t n_batch = n_rows - first < batch_size ? n_rows - first : batch_size, n_frames = 0;
        const ser_timnet_batch batch = {n_batch, t->examples.frames, t->examples.n_frames};
        memset(running, 0, n * sizeof *running);
        st = timnet_examples_make(&t->examples, &t->source, t->order + first, n_batch, 0, err);
        if (st == SER_OK)
            st = ser_timnet_forward(net, t->work, &batch, 0, t->logits, err);
        for (size_t i = 0; i < n_batch && st == SER_OK; i++)
            n_frames += t->examples.n_frames[i];
        n_all += n_frames;
        for (size_t i = 0; i < n && st == SER_OK; i++)
            sums[i] += (double)running[i] / share * (double)n_frames;
    }
    for (size_t i = 0; i < n && st == SER_OK; i++)
        running[i] = (float)(sums[i] / (double)n_all);
    net->shape.dropout = dropout;
    ser_free(sums);
    return st;
}

static ser_status calibrate(training *t, ser_error *err)
{
    ser_timnet_fit *out = t->out;
    size_t n = t->split.n_validation, n_labels = t->rows->n_labels;
    ser_figures figures = {0};
    out->validation_loss = out->validation_accuracy = out->validation_ua = NAN;
    ser_status st = n ? ask_validation(t, err) : SER_OK;
    if (!n || st != SER_OK)
        return st;
    /* As the rule of succession has it, n right answers of n make the next one right in (n + 1) / (n + 2). */
    double smoothing = (double)n_labels / (double)(n_labels - 1) / (double)(n + 2);
    out->member.temperature =
        ser_temperature_fit_smooth(t->validation_logits, t->validation_label, n, n_labels, smoothing);
    for (size_t i = 0; i < n; i++)
        ser_softmax(t->validation_logits + i * n_labels, n_labels, out->member.temperature);
    st = ser_figures_compute(&figures, t->validation_logits, t->validation_label, NULL, n, n_labels, 0, 0,
                             err);
    if (st == SER_OK) {
        out->validation_loss = figures.loss;
        out->validation_accuracy = figures.wa;
        out->validation_ua = figures.ua;
    }
    ser_figures_release(&figures);
    return st;
}

static ser_status keep(training *t, ser_error *err)
{
    timnet_progress *p = &t->progress;
    ser_timnet_fit *out = t->out;
    ser_status st = SER_OK;
    out->n_epochs = out->epoch_kept = p->n_done;
    if (p->best) {
        out->epoch_kept = best_epoch(p);
        memcpy(p->net->values, p->best, p->net->n_values * sizeof *p->best);
    }
    if (p->average)
        memcpy(p->net->values, p->average, p->net->n_trained * sizeof *p->average);
    if (p->average)
        st = measure_norms(t, err);
    if (st == SER_OK)
        st = calibrate(t, err);
    out->n_train = t->split.n_train;
    out->n_validation = t->split.n_validation;
    out->history = p->history;
    p->history = NULL;
    return st;
}

ser_status ser_timnet_train(ser_timnet_fit *out, const ser_timnet_rows *rows,
                            const ser_timnet_settings *settings, ser_error *err)
{
    *out = (ser_timnet_fit){0};
    training t = {.rows = rows, .settings = settings, .out = out};
    ser_status st = start(&t, err);
    while (st == SER_OK && !is_over(&t))
        st = run_epoch(&t, err);
    if (st == SER_OK)
        st = keep(&t, err);
    finish(&t);
    if (st != SER_OK)
        ser_timnet_fit_release(out);
    return st;
}
