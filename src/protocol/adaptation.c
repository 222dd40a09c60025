#include "protocol/adaptation.h"
#include "base/memory.h"
#include "base/text.h"
#include "metrics/metrics.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* How much worse, in points of reverse UA, an adapted model may be, and how uneven its answers: measured in
 * docs/cross-corpus.md. */
static const double reverse_margin = 5, least_balance = 0.75;

void ser_adaptation_release(ser_adaptation *a)
{
    ser_learned_release(&a->source);
    ser_learned_release(&a->adapted);
    ser_free(a->before.scores);
    ser_free(a->after.scores);
    *a = (ser_adaptation){0};
}

/* The penalty of the model that learns from answers: that of the linear model. */
static ser_status measure_reverse(double *ua, const ser_learn_data *source, const int *answer,
                                  const ser_learn_settings *s, const char *what, ser_error *err)
{
    const ser_learn_data *target = s->transfer->target;
    const ser_fit_settings settings = {.candidates = s->candidates,
                                       .n_candidates = 1,
                                       .n_inner_folds = 2,
                                       .seed = s->seed,
                                       .n_threads = s->n_threads,
                                       .progress = s->progress,
                                       .what = what};
    size_t n = source->store->n, n_labels = source->corpus->n_labels;
    int *fold = ser_alloc(target->store->n, sizeof *fold), *truth = ser_alloc(n, sizeof *truth);
    float *scores = ser_alloc(n * n_labels, sizeof *scores);
    ser_rows rows = {0};
    ser_head_fit fit = {0};
    ser_figures figures = {0};
    ser_status st = fold && truth && scores ? ser_dataset_rows(&rows, target->store, target->corpus,
                                                               target->extractor, fold, -1, false, err)
                                            : ser_fail_nomem(err);
    if (st == SER_OK) {
        for (size_t r = 0; r < rows.n; r++)
            ((int *)rows.label)[r] = answer[r / (1 + target->store->n_copies)];
        rows.n_labels = n_labels;
        st = ser_fit_head(&fit, &rows, &settings, err);
    }
    for (size_t u = 0; u < n && st == SER_OK; u++) {
        truth[u] = source->corpus->utterances[u].label;
        ser_linear_logits(&fit.head, scores + u * n_labels, ser_store_row(source->store, u, 0));
        ser_softmax(scores + u * n_labels, n_labels, 1);
    }
    if (st == SER_OK)
        st = ser_figures_compute(&figures, scores, truth, NULL, n, n_labels, 0, 0, err);
    *ua = figures.ua;
    ser_figures_release(&figures);
    ser_head_fit_release(&fit);
    ser_dataset_rows_release(&rows);
    ser_free(fold);
    ser_free(truth);
    ser_free(scores);
    return st;
}

static double measure_balance(const float *scores, size_t n, size_t n_labels)
{
    double entropy = 0;
    for (size_t k = 0; k < n_labels; k++) {
        double mean = 0;
        for (size_t i = 0; i < n; i++)
            mean += (double)scores[i * n_labels + k] / (double)n;
        entropy -= mean > 0 ? mean * log(mean) : 0;
    }
    return entropy / log((double)n_labels);
}

static ser_status view(ser_adaptation_view *v, int *answer, const ser_learned *model,
                       const ser_learn_data *source, const ser_learn_settings *s, const char *what,
                       ser_error *err)
{
    const ser_learn_data *target = s->transfer->target;
    size_t n = target->store->n, n_labels = source->corpus->n_labels;
    int *all = ser_alloc(n, sizeof *all);
    v->scores = ser_alloc(n * n_labels, sizeof *v->scores);
    ser_status st = all && v->scores ? ser_learned_score(model, v->scores, target, all, 0, s->timnet.ops, err)
                                     : ser_fail_nomem(err);
    ser_free(all);
    for (size_t i = 0; i < n && st == SER_OK; i++)
        answer[i] = ser_argmax(v->scores + i * n_labels, n_labels);
    if (st == SER_OK) {
        v->balance = measure_balance(v->scores, n, n_labels);
        st = measure_reverse(&v->reverse_ua, source, answer, s, what, err);
    }
    return st;
}

/* The adapted model is kept unless something speaks against it. */
static void decide(ser_adaptation *a, size_t n_target)
{
    enum { FEW = 20 };
    const ser_adaptation_view *before = &a->before, *after = &a->after;
    a->kept_adapted = false;
    if (n_target < FEW)
        snprintf(a->reason, sizeof a->reason,
                 "%zu recordings of the target are too few to adapt to: %d are needed", n_target, FEW);
    else if (after->reverse_ua < before->reverse_ua - reverse_margin)
        snprintf(a->reason, sizeof a->reason,
                 "learned from its answers, the source is recognised worse: UA %.1f %%, before %.1f %%",
                 after->reverse_ua, before->reverse_ua);
    else if (after->balance < least_balance && after->balance < before->balance)
        snprintf(a->reason, sizeof a->reason,
                 "its answers crowd in a few emotions: evenness %.2f, before %.2f", after->balance,
                 before->balance);
    else {
        a->kept_adapted = true;
        snprintf(
            a->reason, sizeof a->reason,
            "learned from its answers, the source is recognised with UA %.1f %%, before %.1f %%; evenness of "
            "answers %.2f, before %.2f",
            after->reverse_ua, before->reverse_ua, after->balance, before->balance);
    }
}

static ser_status learn_both(ser_adaptation *a, const ser_learn_data *source,
                             const ser_learn_settings *settings, const char *state, ser_error *err)
{
    ser_learn_settings plain = *settings;
    ser_learn_transfer transfer = *settings->transfer;
    ser_text path = {0};
    int *fold = ser_alloc(source->corpus->n_utterances, sizeof *fold);
    transfer.linear.weights = (ser_adapt_weights){0};
    transfer.n_rounds = 0;
    plain.timnet.weights = (ser_adapt_weights){0};
    plain.timnet.adapt_norms = false;
    plain.transfer = &transfer;
    if (state)
        ser_text_appendf(&path, "%s-source", state);
    ser_status st = fold && !path.failed
                        ? ser_learn(&a->source, source, fold, -1, &plain, "source", path.s, err)
                        : ser_fail_nomem(err);
    ser_text_clear(&path);
    if (state)
        ser_text_appendf(&path, "%s-adapted", state);
    if (st == SER_OK)
        st = path.failed ? ser_fail_nomem(err)
                         : ser_learn(&a->adapted, source, fold, -1, settings, "adapted", path.s, err);
    ser_text_release(&path);
    ser_free(fold);
    return st;
}

ser_status ser_adaptation_run(ser_adaptation *out, const ser_learn_data *source,
                              const ser_learn_settings *settings, const char *state, ser_error *err)
{
    *out = (ser_adaptation){0};
    size_t n = settings->transfer->target->store->n, n_same = 0;
    int *before = ser_alloc(n, sizeof *before), *after = ser_alloc(n, sizeof *after);
    ser_status st = before && after ? learn_both(out, source, settings, state, err) : ser_fail_nomem(err);
    if (st == SER_OK)
        st = view(&out->before, before, &out->source, source, settings, "reverse validation, source", err);
    if (st == SER_OK)
        st = view(&out->after, after, &out->adapted, source, settings, "reverse validation, adapted", err);
    for (size_t i = 0; i < n && st == SER_OK; i++)
        n_same += before[i] == after[i];
    if (st == SER_OK) {
        out->agreement = 100 * (double)n_same / (double)n;
        decide(out, n);
    } else {
        ser_adaptation_release(out);
    }
    ser_free(before);
    ser_free(after);
    return st;
}

/* ---- maps ---- */

static ser_status embed_frames(float *out, const ser_learned *model, const ser_learn_data *data,
                               const ser_nn_ops *ops, ser_error *err)
{
    const ser_timnet_layout layout = ser_timnet_layout_of(data->extractor);
    size_t n_labels = model->members[0].net->shape.n_labels;
    ser_timnet_scorer *scorer = NULL;
    ser_nn_work *nn = NULL;
    ser_status st = ser_nn_work_new(&nn, ops, 2, err);
    if (st == SER_OK)
        st = ser_timnet_scorer_new(&scorer, model->members, 1, &layout, nn, err);
    for (size_t u = 0; u < data->frames->n && st == SER_OK; u++) {
        const ser_frame_row *row = ser_frame_set_row(data->frames, u, 0);
        const float *frames = row->x;
        const ser_timnet_batch batch = {.n = 1, .frames = &frames, .n_frames = &row->n_frames};
        st = ser_timnet_logits(scorer, 0, &batch, out + u * n_labels, err);
    }
    ser_timnet_scorer_free(&scorer);
    ser_nn_work_free(&nn);
    return st;
}

ser_status ser_adaptation_embed(float **out, size_t *dims, const ser_learned *model,
                                const ser_learn_data *data, const ser_nn_ops *ops, ser_error *err)
{
    const ser_adapted *a = &model->adapted;
    size_t n = data->store->n;
    *dims = a->n_hidden ? a->n_hidden : model->members[0].net->shape.n_labels;
    *out = ser_alloc(n * *dims, sizeof **out);
    if (!*out)
        return ser_fail_nomem(err);
    for (size_t u = 0; u < n && a->n_hidden; u++)
        ser_adapted_project(a, *out + u * *dims, ser_store_row(data->store, u, 0), data->store->dims);
    ser_status st = a->n_hidden ? SER_OK : embed_frames(*out, model, data, ops, err);
    if (st != SER_OK) {
        ser_free(*out);
        *out = NULL;
    }
    return st;
}
