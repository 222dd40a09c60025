#include "learn/evaluate.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "io/file.h"

#include <stdio.h>
#include <string.h>

enum { N_RESAMPLES = 10000 };

void ser_evaluation_release(ser_evaluation *e)
{
    ser_free(e->scores);
    ser_free(e->folds);
    ser_figures_release(&e->figures);
    *e = (ser_evaluation){0};
}

/* Of the recordings that fold f tests. */
static ser_status fold_figures(ser_evaluation *out, const ser_corpus *corpus, const ser_folds *folds,
                               size_t f, ser_error *err)
{
    ser_fold_result *r = &out->folds[f];
    ser_figures figures = {0};
    float *scores = ser_alloc(out->n * out->n_labels, sizeof *scores);
    int *truth = ser_alloc(out->n, sizeof *truth);
    ser_status st = scores && truth ? SER_OK : ser_fail_nomem(err);
    for (size_t u = 0; u < out->n && st == SER_OK; u++) {
        if (folds->test_fold[u] != (int)f)
            continue;
        memcpy(scores + r->n_test * out->n_labels, out->scores + u * out->n_labels,
               out->n_labels * sizeof *scores);
        truth[r->n_test++] = corpus->utterances[u].label;
    }
    r->n_train = out->n - r->n_test;
    if (st == SER_OK)
        st = ser_figures_compute(&figures, scores, truth, NULL, r->n_test, out->n_labels, 0, 0, err);
    r->ua = figures.ua;
    r->wa = figures.wa;
    r->f1 = figures.f1;
    r->loss = figures.loss;
    ser_figures_release(&figures);
    ser_free(scores);
    ser_free(truth);
    return st;
}

char *ser_fold_path(const char *folder, const char *name, const char *end)
{
    ser_text path = {0};
    ser_text_appendf(&path, "%s/fold-", folder);
    size_t start = path.n;
    ser_text_append(&path, name);
    for (size_t i = start; i < path.n && !path.failed; i++)
        if (path.s[i] == '/')
            path.s[i] = '-';
    ser_text_append(&path, end);
    if (path.failed)
        ser_text_release(&path);
    return path.s;
}

/* Makes the folder; *out is NULL where no state is kept. */
static ser_status fold_state(char **out, const char *folder, const char *name, ser_error *err)
{
    *out = NULL;
    if (!folder)
        return SER_OK;
    char *own = ser_fold_path(folder, name, "");
    ser_status st = own ? ser_io_make_folder(own, err) : ser_fail_nomem(err);
    ser_free(own);
    if (st == SER_OK && !(*out = ser_fold_path(folder, name, "/state")))
        st = ser_fail_nomem(err);
    return st;
}

static ser_status run_fold(ser_evaluation *out, const ser_learn_data *data, const ser_folds *folds,
                           const ser_evaluate_settings *s, size_t f, ser_error *err)
{
    ser_learned models = {0};
    ser_fold_result *r = &out->folds[f];
    char *state = NULL;
    ser_text what = {0};
    ser_text_appendf(&what, "fold %s", folds->names[f]);
    double start = ser_clock_s();
    ser_status st = what.failed ? ser_fail_nomem(err) : fold_state(&state, s->state, folds->names[f], err);
    if (st == SER_OK)
        st = ser_learn(&models, data, folds->test_fold, (int)f, &s->learn, what.s, state, err);
    r->seconds = ser_clock_s() - start;
    if (st == SER_OK)
        st = ser_learned_score(&models, out->scores, data, folds->test_fold, (int)f, s->learn.timnet.ops,
                               s->learn.n_threads, err);
    if (st == SER_OK) {
        r->has_choice = models.linear.head.n_in > 0;
        r->chosen = r->has_choice ? models.linear.chosen : s->learn.candidates[0];
        memcpy(r->layer_weight, models.linear.layer_weight, sizeof r->layer_weight);
        r->inner_ua = models.linear.inner_ua;
        r->inner_loss = models.linear.inner_loss;
        r->temperature = models.linear.temperature;
        st = fold_figures(out, data->corpus, folds, f, err);
    }
    if (st == SER_OK && s->on_fold)
        st = s->on_fold(s->context, f, &models, r, err);
    ser_learned_release(&models);
    ser_text_release(&what);
    ser_free(state);
    return st == SER_OK ? st : ser_fail_within(err, st, "fold %s: ", folds->names[f]);
}

static ser_status pooled_figures(ser_evaluation *out, const ser_corpus *corpus, uint64_t seed, ser_error *err)
{
    int *truth = ser_alloc(out->n, sizeof *truth), *group = ser_alloc(out->n, sizeof *group);
    ser_status st = truth && group ? SER_OK : ser_fail_nomem(err);
    bool has_speakers = true;
    for (size_t u = 0; u < out->n && st == SER_OK; u++) {
        truth[u] = corpus->utterances[u].label;
        group[u] = corpus->utterances[u].speaker;
        has_speakers = has_speakers && group[u] >= 0;
    }
    if (st == SER_OK)
        st = ser_figures_compute(&out->figures, out->scores, truth, has_speakers ? group : NULL, out->n,
                                 out->n_labels, N_RESAMPLES, seed, err);
    ser_free(truth);
    ser_free(group);
    return st;
}

ser_status ser_evaluate(ser_evaluation *out, const ser_learn_data *data, const ser_folds *folds,
                        const ser_evaluate_settings *settings, ser_error *err)
{
    const ser_corpus *corpus = data->corpus;
    *out =
        (ser_evaluation){.n = corpus->n_utterances, .n_labels = corpus->n_labels, .n_folds = folds->n_folds};
    out->scores = ser_alloc(out->n * out->n_labels, sizeof *out->scores);
    out->folds = ser_alloc(out->n_folds, sizeof *out->folds);
    ser_status st = out->scores && out->folds ? SER_OK : ser_fail_nomem(err);
    for (size_t f = 0; f < out->n_folds && st == SER_OK; f++)
        st = run_fold(out, data, folds, settings, f, err);
    if (st == SER_OK)
        st = pooled_figures(out, corpus, settings->seed, err);
    if (st != SER_OK)
        ser_evaluation_release(out);
    return st;
}
