#include "tune/fine_tune.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/threads.h"
#include "tune/fine_parts.h"
#include "tune/loss.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

ser_tune_settings ser_tune_default_settings(void)
{
    return (ser_tune_settings){.n_epochs = 10,
                               .batch_size = 16,
                               .max_samples = 48000,
                               .rate = 1.5e-4,
                               .layer_decay = 0.8,
                               .head_rate = 1e-3,
                               .warmup = 0.1,
                               .floor = 0.02,
                               .beta1 = 0.9,
                               .beta2 = 0.98,
                               .epsilon = 1e-8,
                               .decay = 0.05,
                               .clip = 1,
                               .average = 0.99,
                               .label_smoothing = 0.05,
                               .n_band_stripes = 2,
                               .n_time_stripes = 2,
                               .band_stripe_share = 0.15,
                               .time_stripe_share = 0.2,
                               .stripe_s = 0.3,
                               .lora_alpha = 16,
                               .memory = (size_t)3 << 29,
                               .seed = 46};
}

void ser_tune_fit_release(ser_tune_fit *f)
{
    ser_free(f->history);
    *f = (ser_tune_fit){0};
}

/* What a part of a batch tells besides its gradients. */
enum { TOLD_LOSS, TOLD_RIGHT, TOLD_FRAMES, TOLD_STOP, N_TOLD };

/* One training under way. */
typedef struct training {
    ser_tune_net *net;
    const ser_tune_rows *rows;
    const ser_tune_settings *settings;
    size_t n_draws, n_batches; /* of an epoch */
    uint64_t n_steps;          /* of all */
    int n_threads;
    ser_nn_work *nn;
    ser_tune_work *work;
    tune_examples examples;
    tune_learned learned;
    tune_progress progress;
    ser_state_identity identity;
    tune_draw *draws;                           /* (n_draws): of this epoch */
    float *pooled, *dropout, *logits, *dlogits; /* (batch_size, ...) */
    double *losses;                             /* (batch_size) */
    ser_sum sum;                                /* with micro_batch: of the parts of a batch, */
    float *total;                               /* and what they come to */
    bool stop, told_stop;                       /* this rank wants to; some rank did before the step */
} training;

/* ---- setting up ---- */

static ser_status check_rows(const ser_tune_rows *rows, const ser_tune_net *net, ser_error *err)
{
    char name[128];
    if (!rows->n || rows->n_labels != net->shape.n_labels)
        return ser_fail(err, SER_E_ARG, "fine-tuning needs recordings, and the labels that the net has");
    if (rows->read_hidden && net->shape.from < 1)
        return ser_fail(err, SER_E_ARG, "hidden states can only be learned from above layer 0");
    double total = 0;
    for (size_t r = 0; r < rows->n; r++) {
        double sum = 0, weight = rows->weight ? rows->weight[r] : 1;
        size_t n_possible = 0;
        for (size_t i = 0; i < rows->n_labels; i++) {
            double q = (double)rows->target[r * rows->n_labels + i];
            bool possible = !rows->mask || rows->mask[r * rows->n_labels + i];
            n_possible += possible;
            sum += q;
            if (!(q >= 0) || (q > 0 && !possible)) {
                ser_tune_name_row(name, rows, r);
                return ser_fail(err, SER_E_ARG, "%s has a target that its corpus could not have", name);
            }
        }
        if (fabs(sum - 1) > 1e-3 || n_possible < 1 || !(weight >= 0) || !isfinite(weight)) {
            ser_tune_name_row(name, rows, r);
            return ser_fail(err, SER_E_ARG, "%s has targets that do not add up to 1, or an impossible weight",
                            name);
        }
        total += weight;
    }
    return total > 0 ? SER_OK
                     : ser_fail(err, SER_E_ARG, "all recordings have the weight 0: nothing is drawn");
}

static bool is_share(double x)
{
    return x >= 0 && x <= 1;
}

static ser_status check_settings(const ser_tune_settings *s, const ser_tune_net *net, ser_error *err)
{
    if (!s->n_epochs || !s->batch_size || s->batch_size > 4096 || !(s->rate >= 0) || !(s->head_rate >= 0) ||
        !(s->layer_decay > 0 && s->layer_decay <= 1) || !is_share(s->warmup) || !is_share(s->floor) ||
        !(s->beta1 >= 0 && s->beta1 < 1) || !(s->beta2 >= 0 && s->beta2 < 1) || !(s->epsilon > 0) ||
        !(s->decay >= 0) || !(s->pull >= 0) || !(s->clip >= 0) || !(s->average >= 0 && s->average < 1) ||
        !(s->label_smoothing >= 0 && s->label_smoothing < 1) || !(s->dropout >= 0 && s->dropout < 1) ||
        !is_share(s->open_share) || !is_share(s->stripe_probability) || !is_share(s->band_stripe_share) ||
        !is_share(s->time_stripe_share) || !(s->stripe_s >= 0) ||
        s->n_band_stripes + s->n_time_stripes > SER_TUNE_MAX_STRIPES)
        return ser_fail(err, SER_E_ARG, "a setting of fine-tuning is out of range");
    if (s->team && !s->micro_batch)
        return ser_fail(err, SER_E_ARG, "one training on %d ranks takes a --micro-batch", s->team->n);
    if (s->lora_rank > 1024 || (s->lora_rank && (!(s->lora_alpha > 0) || s->pull > 0)))
        return ser_fail(err, SER_E_ARG, "LoRA takes a rank up to 1024, a positive alpha, and no pull");
    if (s->max_samples < 400 || s->max_samples > net->shape.max_samples)
        return ser_fail(err, SER_E_ARG, "crops of %zu samples: 400 to %zu can be had", s->max_samples,
                        net->shape.max_samples);
    return SER_OK;
}

static ser_status allocate(training *t, ser_error *err)
{
    size_t b = t->settings->batch_size, n_labels = t->rows->n_labels;
    t->draws = ser_alloc(t->n_draws, sizeof *t->draws);
    t->pooled = ser_alloc(b * t->net->n_in, sizeof *t->pooled);
    t->dropout = ser_alloc(b * t->net->n_in, sizeof *t->dropout);
    t->logits = ser_alloc(b * n_labels, sizeof *t->logits);
    t->dlogits = ser_alloc(b * n_labels, sizeof *t->dlogits);
    t->losses = ser_alloc(b, sizeof *t->losses);
    t->progress.history = ser_alloc(t->settings->n_epochs, sizeof *t->progress.history);
    if (t->settings->micro_batch) {
        t->sum.n_values = t->net->n_values - t->net->n_frozen + N_TOLD + b;
        t->total = ser_alloc(t->sum.n_values, sizeof *t->total);
    }
    if ((t->settings->micro_batch && !t->total) || !t->draws || !t->pooled || !t->dropout || !t->logits ||
        !t->dlogits || !t->losses || !t->progress.history)
        return ser_fail_nomem(err);
    return ser_tune_examples_init(&t->examples, b, t->settings->max_samples, n_labels,
                                  t->rows->read_hidden ? &t->net->shape : NULL, err);
}

/* Numbers the epochs that a state had, and tells of them. */
static void tell_again(training *t)
{
    const ser_tune_settings *s = t->settings;
    for (size_t i = 0; i < t->progress.n_done; i++) {
        ser_tune_epoch *e = &t->progress.history[i];
        e->epoch = i + 1;
        e->n_epochs = s->n_epochs;
        e->restored = true;
        if (s->on_epoch)
            s->on_epoch(s->context, e);
    }
}

/* All ranks have read it, and must have read the same. */
static ser_status compare_states(const training *t, ser_error *err)
{
    const tune_learned *l = &t->learned;
    const ser_team *team = t->settings->team;
    char text[64];
    uint64_t sum = ser_state_checksum(0, l->values, l->n * sizeof *l->values);
    sum = ser_state_checksum(sum, l->mean, l->n * sizeof *l->mean);
    snprintf(text, sizeof text, "%llu %016llx", (unsigned long long)l->step, (unsigned long long)sum);
    return team->compare(team->context, "states of a training", text, err);
}

static ser_status start(training *t, ser_error *err)
{
    const ser_tune_settings *s = t->settings;
    ser_status st = check_settings(s, t->net, err);
    if (st == SER_OK)
        st = check_rows(t->rows, t->net, err);
    if (st != SER_OK)
        return st;
    t->n_draws = s->n_per_epoch ? s->n_per_epoch : t->rows->n;
    t->n_batches = (t->n_draws + s->batch_size - 1) / s->batch_size;
    t->n_steps = (uint64_t)t->n_batches * s->n_epochs;
    t->n_threads = s->n_threads > 0 ? s->n_threads : ser_n_cores();
    if ((st = allocate(t, err)) != SER_OK ||
        (st = ser_tune_identity_init(&t->identity, t->net, t->rows, s, err)) != SER_OK ||
        (st = ser_tune_learned_init(&t->learned, t->net, s, err)) != SER_OK)
        return st;
    t->progress.learned = &t->learned;
    if ((st = ser_tune_check_room(t->net, &t->learned, s, err)) != SER_OK)
        return st;
    if (s->state_path)
        st = ser_tune_state_read(&t->progress, s->state_path, &t->identity, s->n_epochs, err);
    if (st == SER_OK &&
        (t->learned.step > t->n_steps || t->learned.step / t->n_batches != t->progress.n_done))
        st =
            ser_fail(err, SER_E_FORMAT, "%s: is damaged: remove it, and training begins anew", s->state_path);
    if (st == SER_OK)
        st = ser_nn_work_new(&t->nn, s->ops, t->n_threads, err);
    if (st == SER_OK)
        st = ser_tune_work_new(&t->work, t->net, t->nn, true, s->memory, err);
    if (st == SER_OK && t->learned.step > 0)
        st = ser_tune_learned_apply(&t->learned, t->net, t->work, t->nn, err);
    if (st == SER_OK && s->team)
        st = compare_states(t, err);
    if (st == SER_OK)
        tell_again(t);
    return st;
}

static void finish(training *t)
{
    ser_tune_work_free(&t->work);
    ser_nn_work_free(&t->nn);
    ser_tune_learned_release(&t->learned);
    ser_tune_examples_release(&t->examples);
    ser_state_identity_release(&t->identity);
    ser_free(t->progress.history);
    ser_free(t->draws);
    ser_free(t->pooled);
    ser_free(t->dropout);
    ser_free(t->logits);
    ser_free(t->dlogits);
    ser_free(t->losses);
    ser_free(t->total);
    ser_sum_release(&t->sum);
}

/* ---- one step ---- */

/* Factors of the head's inputs, from a stream for each draw; NULL: none. */
static const float *drop(training *t, const tune_draw *draws, size_t n)
{
    double rate = t->settings->dropout;
    if (rate <= 0)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        char name[48];
        ser_random random;
        snprintf(name, sizeof name, "dropout of draw %llu", (unsigned long long)draws[i].number);
        ser_random_init(&random, ser_random_derive(t->settings->seed, name));
        for (size_t k = 0; k < t->net->n_in; k++)
            t->dropout[i * t->net->n_in + k] =
                ser_random_uniform(&random) < rate ? 0 : (float)(1 / (1 - rate));
    }
    return t->dropout;
}

static size_t highest(const float *x, const bool *mask, size_t n)
{
    size_t best = n;
    for (size_t i = 0; i < n; i++)
        if (mask[i] && (best == n || x[i] > x[best]))
            best = i;
    return best;
}

static ser_status fail_loss(const training *t, size_t row, ser_error *err)
{
    char name[128];
    ser_tune_name_row(name, t->rows, row);
    return ser_fail(
        err, SER_E_FORMAT,
        "the loss of %s is not finite in step %llu: the weights stay as they were before it; lower the "
        "rate, or leave the recording out",
        name, (unsigned long long)t->learned.step + 1);
}

/* Losses and their gradients, as shares of those of a batch of n_batch. Returns the first of the n recordings
 * whose loss is not finite; n: all are. */
static size_t judge(training *t, const tune_draw *draws, size_t n, size_t n_batch)
{
    const ser_tune_loss how = {t->settings->label_smoothing, t->settings->open_share};
    size_t n_labels = t->rows->n_labels;
    for (size_t i = 0; i < n; i++) {
        double weight = t->rows->loss_weight ? (double)t->rows->loss_weight[draws[i].row] : 1;
        size_t at = i * n_labels;
        t->losses[i] =
            ser_tune_cross_entropy(t->dlogits + at, t->logits + at, t->examples.target + at,
                                   t->examples.mask + at, n_labels, &how, weight / (double)n_batch);
        if (!isfinite(t->losses[i]))
            return i;
    }
    return n;
}

/* Whether the answer to recording i of those that went forward is right. */
static bool is_right(const training *t, size_t i)
{
    size_t n_labels = t->rows->n_labels, at = i * n_labels;
    const bool *mask = t->examples.mask + at;
    return highest(t->logits + at, mask, n_labels) == highest(t->examples.target + at, mask, n_labels);
}

/* n recordings of a batch of n_batch: gradients of their share of its loss are set, unless the loss of *bad
 * is not finite; n: all are. */
static ser_status learn_from(training *t, const tune_draw *draws, size_t n, size_t n_batch, float *gradients,
                             size_t *bad, ser_error *err)
{
    ser_status st = ser_tune_examples_read(&t->examples, t->rows, draws, n, t->n_threads, err);
    ser_tune_batch batch = ser_tune_examples_batch(&t->examples, n);
    *bad = n;
    if (st == SER_OK && t->settings->stripe_probability > 0 && !t->examples.dims) {
        ser_tune_draw_stripes(&t->examples, t->settings, t->net->shape.n_mels, draws, n);
        batch.stripes = t->examples.stripes;
    }
    if (st == SER_OK)
        st = ser_tune_forward(t->work, &batch, t->pooled, err);
    if (st != SER_OK)
        return st;
    const float *dropout = drop(t, draws, n);
    ser_tune_head_forward(t->net, t->logits, t->pooled, dropout, n);
    if ((*bad = judge(t, draws, n, n_batch)) < n)
        return SER_OK;
    return ser_tune_backward(t->work, t->dlogits, t->pooled, dropout, gradients, err);
}

static ser_status learn_whole(training *t, const tune_draw *draws, size_t n, ser_tune_step *told,
                              ser_error *err)
{
    tune_sums *sums = &t->progress.sums;
    size_t bad;
    ser_status st = learn_from(t, draws, n, n, ser_tune_learned_gradients(&t->learned), &bad, err);
    if (st == SER_OK && bad < n)
        st = fail_loss(t, draws[bad].row, err);
    for (size_t i = 0; i < n && st == SER_OK; i++) {
        told->loss += t->losses[i];
        told->n_frames += t->examples.n_frames[i];
        sums->loss += t->losses[i] * (double)n;
        sums->n_right += is_right(t, i);
    }
    return st;
}

/* ---- a batch in parts ---- */

/* A batch of n recordings that is learned part by part. */
typedef struct parts {
    training *training;
    const tune_draw *draws; /* (n) */
    size_t n;
} parts;

/* Part m of a batch of n recordings, into leaf: gradients, what it tells, and a mark for each recording whose
 * loss is not finite, so that all ranks know of it. */
static ser_status learn_part(void *context, float *leaf, size_t m, ser_error *err)
{
    const parts *batch = context;
    training *t = batch->training;
    const tune_draw *draws = batch->draws;
    size_t n = batch->n;
    size_t size = t->settings->micro_batch, first = m * size, n_part = n - first < size ? n - first : size,
           bad;
    float *told = leaf + t->sum.n_values - N_TOLD - t->settings->batch_size, *marks = told + N_TOLD;
    double loss = 0;
    ser_status st = learn_from(t, draws + first, n_part, n, leaf, &bad, err);
    told[TOLD_STOP] = t->stop;
    if (st == SER_OK && bad < n_part)
        marks[first + bad] = 1;
    for (size_t i = 0; i < n_part && st == SER_OK && bad == n_part; i++) {
        loss += t->losses[i];
        told[TOLD_FRAMES] += (float)t->examples.n_frames[i];
        told[TOLD_RIGHT] += is_right(t, i);
    }
    told[TOLD_LOSS] = (float)loss;
    return st;
}

static ser_status learn_in_parts(training *t, const tune_draw *draws, size_t n, ser_tune_step *told,
                                 ser_error *err)
{
    size_t n_gradients = t->net->n_values - t->net->n_frozen;
    const float *heard = t->total + n_gradients, *marks = heard + N_TOLD;
    size_t size = t->settings->micro_batch;
    parts batch = {t, draws, n};
    ser_status st =
        ser_team_sum(t->settings->team, t->total, &t->sum, (n + size - 1) / size, learn_part, &batch, err);
    for (size_t i = 0; i < n && st == SER_OK; i++)
        if (marks[i] > 0)
            st = fail_loss(t, draws[i].row, err);
    if (st != SER_OK)
        return st;
    memcpy(ser_tune_learned_gradients(&t->learned), t->total, n_gradients * sizeof *t->total);
    told->loss = (double)heard[TOLD_LOSS];
    told->n_frames = (size_t)heard[TOLD_FRAMES];
    t->told_stop = heard[TOLD_STOP] > 0;
    t->progress.sums.loss += (double)heard[TOLD_LOSS] * (double)n;
    t->progress.sums.n_right += (double)heard[TOLD_RIGHT];
    return SER_OK;
}

static ser_status learn(training *t, const tune_draw *draws, size_t n, ser_tune_step *told, ser_error *err)
{
    double norm = 0;
    ser_status st = (t->settings->micro_batch ? learn_in_parts : learn_whole)(t, draws, n, told, err);
    if (st != SER_OK)
        return st;
    told->rate = t->settings->rate * ser_tune_rate_at(t->settings, t->learned.step, t->n_steps);
    st = ser_tune_update(&t->learned, t->net, t->work, t->nn, t->settings, t->n_steps, &norm, err);
    if (st == SER_OK && !isfinite(norm)) {
        char name[128];
        ser_tune_name_row(name, t->rows, draws[0].row);
        st = ser_fail(
            err, SER_E_FORMAT,
            "the gradient is not finite in step %llu, whose batch begins with %s: the weights stay as "
            "they were before it; lower the rate",
            (unsigned long long)t->learned.step + 1, name);
    }
    told->gradient_norm = norm;
    told->n = n;
    t->progress.sums.n += (double)n;
    return st;
}

/* Whoever of several ranks wants to stop says so in the next step, so that all stop in the same one. */
static bool goes_on(training *t)
{
    const ser_tune_settings *s = t->settings;
    bool wanted = ser_progress_report(s->progress, s->what ? s->what : "fine-tuning", (size_t)t->learned.step,
                                      (size_t)t->n_steps);
    t->stop = t->stop || !wanted;
    return s->team ? !t->told_stop : wanted;
}

static ser_status save_state(training *t, ser_error *err)
{
    const char *path = ser_team_is_first(t->settings->team) ? t->settings->state_path : NULL;
    return path ? ser_tune_state_write(path, &t->progress, &t->identity, err) : SER_OK;
}

/* Step number at of the epoch under way. */
static ser_status make_step(training *t, size_t at, ser_error *err)
{
    const ser_tune_settings *s = t->settings;
    tune_sums *sums = &t->progress.sums;
    size_t first = at * s->batch_size,
           n = t->n_draws - first < s->batch_size ? t->n_draws - first : s->batch_size;
    ser_tune_step told = {.n_steps = t->n_steps, .epoch = t->progress.n_done + 1};
    double started = ser_clock_s();
    ser_status st = learn(t, t->draws + first, n, &told, err);
    if (st != SER_OK)
        return st;
    told.step = t->learned.step;
    told.seconds = ser_clock_s() - started;
    sums->seconds += told.seconds;
    sums->norm += told.gradient_norm;
    sums->n_steps++;
    sums->seconds_of_sound += (double)told.n_frames / 50;
    bool last = at + 1 == t->n_batches;
    bool go_on = goes_on(t);
    if (!last && (!go_on || (s->state_every && told.step % s->state_every == 0)))
        st = save_state(t, err);
    if (s->on_step)
        s->on_step(s->context, &told);
    if (st == SER_OK && !go_on && !last)
        st = ser_fail(err, SER_E_CANCELLED, "cancelled");
    return st;
}

static ser_status end_epoch(training *t, ser_error *err)
{
    const ser_tune_settings *s = t->settings;
    const tune_sums *sums = &t->progress.sums;
    ser_tune_epoch *e = &t->progress.history[t->progress.n_done++];
    *e = (ser_tune_epoch){.epoch = t->progress.n_done,
                          .n_epochs = s->n_epochs,
                          .loss = sums->loss / sums->n,
                          .accuracy = 100 * sums->n_right / sums->n,
                          .gradient_norm = sums->norm / sums->n_steps,
                          .rate = s->rate * ser_tune_rate_at(s, t->learned.step - 1, t->n_steps),
                          .seconds = sums->seconds,
                          .seconds_of_sound = sums->seconds_of_sound};
    t->progress.sums = (tune_sums){0};
    ser_status st = save_state(t, err);
    if (st == SER_OK && s->on_epoch)
        s->on_epoch(s->context, e);
    return st != SER_OK || goes_on(t) ? st : ser_fail(err, SER_E_CANCELLED, "cancelled");
}

static ser_status run(training *t, ser_error *err)
{
    ser_status st = SER_OK;
    while (t->progress.n_done < t->settings->n_epochs && st == SER_OK) {
        size_t at = (size_t)(t->learned.step - (uint64_t)t->progress.n_done * t->n_batches);
        st = ser_tune_order(t->draws, t->n_draws, t->rows, t->settings, t->progress.n_done, err);
        for (; at < t->n_batches && st == SER_OK; at++)
            st = make_step(t, at, err);
        if (st == SER_OK)
            st = end_epoch(t, err);
    }
    return st;
}

ser_status ser_tune_train(ser_tune_fit *out, ser_tune_net *net, const ser_tune_rows *rows,
                          const ser_tune_settings *settings, ser_error *err)
{
    *out = (ser_tune_fit){0};
    training t = {.net = net, .rows = rows, .settings = settings};
    ser_status st = start(&t, err);
    if (st == SER_OK)
        st = run(&t, err);
    if (t.learned.average && t.learned.step > 0) {
        memcpy(t.learned.values, t.learned.average, t.learned.n * sizeof *t.learned.values);
        ser_status applied = t.nn ? ser_tune_learned_apply(&t.learned, net, NULL, t.nn, err) : SER_OK;
        st = st == SER_OK ? applied : st;
    }
    if (st == SER_OK) {
        *out = (ser_tune_fit){t.progress.history, t.progress.n_done, t.learned.step};
        t.progress.history = NULL;
    }
    finish(&t);
    return st;
}
