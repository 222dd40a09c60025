#include "protocol/evaluate.h"
#include "base/memory.h"

#include <stdio.h>

enum { N_RESAMPLES = 10000 };

void ser_evaluation_release(ser_evaluation *e)
{
    ser_free(e->scores);
    ser_free(e->folds);
    ser_figures_release(&e->figures);
    *e = (ser_evaluation){0};
}

static void test_fold(ser_evaluation *out, const ser_linear *head, const ser_folds *folds,
                      const ser_store *store, size_t f)
{
    for (size_t u = 0; u < out->n; u++) {
        if (folds->test_fold[u] != (int)f)
            continue;
        float *scores = out->scores + u * out->n_labels;
        ser_linear_logits(head, scores, ser_store_row(store, u, ser_store_test_row(store)));
        ser_softmax(scores, out->n_labels, head->temperature);
    }
}

static ser_status fold_figures(ser_evaluation *out, const ser_corpus *corpus, const ser_folds *folds,
                               size_t f, ser_error *err)
{
    ser_fold_result *r = &out->folds[f];
    size_t *confusion = ser_alloc(out->n_labels * out->n_labels, sizeof *confusion);
    if (!confusion)
        return ser_fail_nomem(err);
    for (size_t u = 0; u < out->n; u++) {
        if (folds->test_fold[u] != (int)f) {
            r->n_train++;
            continue;
        }
        r->n_test++;
        size_t truth = (size_t)corpus->utterances[u].label;
        confusion[truth * out->n_labels +
                  (size_t)ser_argmax(out->scores + u * out->n_labels, out->n_labels)]++;
    }
    r->ua = ser_ua(confusion, out->n_labels);
    r->wa = ser_wa(confusion, out->n_labels);
    ser_free(confusion);
    return SER_OK;
}

static ser_status run_fold(ser_evaluation *out, const ser_corpus *corpus, const ser_folds *folds,
                           const ser_store *store, const ser_extractor *e, const ser_evaluate_settings *s,
                           size_t f, ser_error *err)
{
    ser_rows rows = {0};
    ser_head_fit fit = {0};
    char what[48];
    snprintf(what, sizeof what, "fold %zu of %zu", f + 1, out->n_folds);
    const ser_fit_settings settings = {.candidates = s->candidates,
                                       .n_candidates = s->n_candidates,
                                       .n_inner_folds = s->n_inner_folds,
                                       .seed = s->seed,
                                       .n_threads = s->n_threads,
                                       .progress = &s->progress,
                                       .what = what};
    ser_status st =
        ser_dataset_rows(&rows, store, corpus, e, folds->test_fold, (int)f, s->speaker_disjoint, err);
    if (st == SER_OK)
        st = ser_fit_head(&fit, &rows, &settings, err);
    if (st == SER_OK) {
        out->folds[f] = (ser_fold_result){.chosen = fit.chosen,
                                          .inner_ua = fit.inner_ua,
                                          .inner_loss = fit.inner_loss,
                                          .temperature = fit.head.temperature};
        test_fold(out, &fit.head, folds, store, f);
        st = fold_figures(out, corpus, folds, f, err);
    }
    ser_head_fit_release(&fit);
    ser_dataset_rows_release(&rows);
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

ser_status ser_evaluate(ser_evaluation *out, const ser_corpus *corpus, const ser_folds *folds,
                        const ser_store *store, const ser_extractor *e, const ser_evaluate_settings *settings,
                        ser_error *err)
{
    *out =
        (ser_evaluation){.n = corpus->n_utterances, .n_labels = corpus->n_labels, .n_folds = folds->n_folds};
    out->scores = ser_alloc(out->n * out->n_labels, sizeof *out->scores);
    out->folds = ser_alloc(out->n_folds, sizeof *out->folds);
    ser_status st = out->scores && out->folds ? SER_OK : ser_fail_nomem(err);
    for (size_t f = 0; f < out->n_folds && st == SER_OK; f++)
        st = run_fold(out, corpus, folds, store, e, settings, f, err);
    if (st == SER_OK)
        st = pooled_figures(out, corpus, settings->seed, err);
    if (st != SER_OK)
        ser_evaluation_release(out);
    return st;
}
