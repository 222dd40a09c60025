#include "run/answers.h"
#include "base/memory.h"

#include <string.h>

enum { N_RESAMPLES = 10000 };

/* ---- models ---- */

static ser_workbench_settings bench_settings(const ser_answers_settings *s)
{
    return (ser_workbench_settings){.host = s->host,
                                    .data = s->data,
                                    .corpus = s->corpus,
                                    .is_target = s->source != NULL,
                                    .seed = s->seed};
}

/* Keras weights name neither features nor emotions: those are the settings' and the source's. */
static ser_status open_keras(ser_answers *a, const ser_answers_settings *s, ser_error *err)
{
    ser_workbench_settings bench = bench_settings(s);
    ser_run_network network = s->network;
    const char *type = s->data->feature_type ? s->data->feature_type : "WHISPER";
    ser_status st = ser_run_features_parse(&bench.features, s->data, type, err);
    if (st != SER_OK)
        return st;
    ser_run_resolve_network(&network, s->preset, &bench.features.spec);
    const ser_condense condense = ser_run_condense(&network);
    bench.frames = &condense;
    if (s->source)
        st = ser_corpus_open(&a->source, s->source, s->data->data_dir, err);
    if (st == SER_OK)
        st = ser_workbench_open(&a->w, &bench, err);
    if (st == SER_OK)
        st = ser_workbench_normalize(&a->w, s->normalize, NULL, err);
    return st == SER_OK ? ser_trained_open_keras(&a->models, s->path, &a->w, a->source, &network, err) : st;
}

/* The corpus with the features that the model reads, opened anew where they differ from those of the model
 * before. */
static ser_status open_features(ser_answers *a, size_t m, const ser_answers_settings *s, ser_error *err)
{
    ser_trained *model = &a->models.items[m];
    ser_status st = SER_OK;
    if (!model->data.n_labels)
        return SER_OK; /* Keras weights: the workbench is there */
    if (!m || !ser_trained_reads_the_same(model, model - 1)) {
        const ser_workbench_settings bench = bench_settings(s);
        ser_workbench_close(&a->w);
        st = ser_trained_workbench(&a->w, model, &bench, err);
        if (st == SER_OK)
            st = ser_workbench_normalize(&a->w, s->normalize, NULL, err);
    }
    return st == SER_OK && s->normalize != SER_NORMALIZE_NONE
               ? ser_trained_read_standardised(model, a->w.extractor, s->normalize == SER_NORMALIZE_SPEAKER,
                                               err)
               : st;
}

/* ---- answers ---- */

static ser_status reserve_folds(ser_answers *a, ser_error *err)
{
    size_t n_models = a->models.n;
    a->folds = (ser_folds){.n_folds = n_models, .n_utterances = a->n};
    a->folds.test_fold = ser_alloc(a->n, sizeof *a->folds.test_fold);
    a->folds.names = ser_alloc(n_models + 1, sizeof *a->folds.names);
    if (!a->folds.test_fold || !a->folds.names)
        return ser_fail_nomem(err);
    for (size_t u = 0; u < a->n; u++)
        a->folds.test_fold[u] = (int)n_models; /* all were answered by the average */
    for (size_t m = 0; m <= n_models; m++)
        a->folds.names[m] = m < n_models ? a->models.items[m].name : (char *)"average";
    return ser_leaks_unknown(&a->leaks, n_models, err);
}

static ser_status reserve(ser_answers *a, ser_error *err)
{
    const ser_model_data *first = &a->models.items[0].data;
    const ser_corpus *other = a->source ? a->source : a->w.corpus;
    a->labels = first->n_labels ? first->labels : other->labels;
    a->n_labels = first->n_labels ? first->n_labels : other->n_labels;
    a->n = a->w.corpus->n_utterances;
    a->scores = ser_alloc(a->models.n * a->n * a->n_labels, sizeof *a->scores);
    a->heard = ser_alloc(a->models.n * a->n, sizeof *a->heard);
    return a->scores && a->heard ? reserve_folds(a, err) : ser_fail_nomem(err);
}

static ser_status check_labels(const ser_answers *a, const ser_trained *model, bool across, ser_error *err)
{
    const ser_corpus *corpus = a->w.corpus;
    return across ? ser_trained_check_labels(model, a->labels, a->n_labels, a->models.items[0].name, err)
                  : ser_trained_check_labels(model, corpus->labels, corpus->n_labels, corpus->name, err);
}

static ser_status answer(ser_answers *a, size_t m, const ser_answers_settings *s, ser_error *err)
{
    const ser_trained *model = &a->models.items[m];
    ser_nn_ops *ops = NULL;
    int *all = NULL;
    ser_status st = open_features(a, m, s, err);
    if (st == SER_OK && !m)
        st = reserve(a, err);
    if (st == SER_OK)
        st = check_labels(a, model, s->source != NULL, err);
    if (st == SER_OK)
        st = ser_run_network_ops(&ops, s->data, err);
    if (st == SER_OK && !(all = ser_alloc(a->n, sizeof *all)))
        st = ser_fail_nomem(err);
    const ser_learn_data data = {
        .corpus = a->w.corpus, .extractor = a->w.extractor, .store = a->w.store, .frames = a->w.frames};
    if (st == SER_OK)
        st = ser_learned_score(&model->learned, a->scores + m * a->n * a->n_labels, &data, all, 0,
                               &(ser_asking){ops, a->w.n_threads, &s->host->progress}, err);
    for (size_t u = 0; st == SER_OK && u < a->n; u++)
        a->heard[m * a->n + u] = ser_heard_has(&model->heard, a->w.store->recordings[u].sha256) ||
                                 ser_heard_has(&a->w.heard, a->w.store->recordings[u].sha256);
    ser_free(all);
    ser_nn_ops_free(&ops);
    return st;
}

/* Of the training part the recordings' hashes are known. */
static void count_leaks(ser_answers *a)
{
    for (size_t m = 0; m < a->models.n; m++)
        for (size_t u = 0; u < a->n; u++)
            a->leaks.duplicates[m] += a->heard[m * a->n + u];
}

ser_status ser_answers_new(ser_answers *out, const ser_answers_settings *s, ser_error *err)
{
    *out = (ser_answers){0};
    ser_status st = ser_trained_open(&out->models, s->path, err);
    if (st == SER_OK && !out->models.n)
        st = open_keras(out, s, err);
    for (size_t m = 0; m < out->models.n && st == SER_OK; m++)
        st = answer(out, m, s, err);
    if (st == SER_OK)
        count_leaks(out);
    else
        ser_answers_release(out);
    return st;
}

void ser_answers_release(ser_answers *a)
{
    ser_leaks_release(&a->leaks);
    ser_free(a->folds.test_fold);
    ser_free(a->folds.names);
    ser_free(a->scores);
    ser_free(a->heard);
    ser_workbench_close(&a->w);
    ser_corpus_free(&a->source);
    ser_trained_close(&a->models);
    *a = (ser_answers){0};
}

/* ---- reading ---- */

/* Means over the models first ... end-1, of those alone that have not heard the recording where unheard. */
static void average(float *scores, bool *answered, const ser_answers *a, size_t first, size_t end,
                    bool unheard)
{
    size_t n = a->n, n_labels = a->n_labels;
    memset(scores, 0, n * n_labels * sizeof *scores);
    for (size_t u = 0; u < n; u++) {
        float *mean = scores + u * n_labels;
        size_t n_models = 0;
        for (size_t m = first; m < end; m++) {
            if (unheard && a->heard[m * n + u])
                continue;
            n_models++;
            for (size_t i = 0; i < n_labels; i++)
                mean[i] += a->scores[(m * n + u) * n_labels + i];
        }
        answered[u] = n_models > 0;
        for (size_t i = 0; i < n_labels && n_models; i++)
            mean[i] /= (float)n_models;
    }
}

/* How many models had heard recordings, and how many recordings the one that knew most. */
static size_t count_heard(const ser_answers *a, int *most)
{
    size_t n_models = 0;
    *most = 0;
    for (size_t m = 0; m < a->models.n; m++) {
        n_models += a->leaks.duplicates[m] > 0;
        *most = a->leaks.duplicates[m] > *most ? a->leaks.duplicates[m] : *most;
    }
    return n_models;
}

static ser_status judge_unheard(const ser_answers *a, bool *answered, ser_judge *judge, void *job,
                                ser_error *err)
{
    float *scores = ser_alloc(a->n * a->n_labels, sizeof *scores);
    if (!scores)
        return ser_fail_nomem(err);
    average(scores, answered, a, 0, a->models.n, true);
    ser_status st = judge(job, SER_JUDGED_UNHEARD, 0, NULL, scores, answered, N_RESAMPLES, err);
    ser_free(scores);
    return st;
}

ser_status ser_answers_judge(ser_evaluation *e, const ser_answers *a, ser_judge *judge, void *job,
                             ser_error *err)
{
    size_t n_models = a->models.n;
    int most;
    bool *answered = ser_alloc(a->n, sizeof *answered);
    *e = (ser_evaluation){.n = a->n, .n_labels = a->n_labels, .n_folds = n_models};
    e->scores = ser_alloc(a->n * a->n_labels, sizeof *e->scores);
    e->folds = ser_alloc(n_models, sizeof *e->folds);
    ser_status st = answered && e->scores && e->folds ? SER_OK : ser_fail_nomem(err);
    for (size_t m = 0; m < n_models && st == SER_OK; m++) {
        e->folds[m] = (ser_fold_result){.n_train = a->models.items[m].heard.n, .n_test = a->n};
        average(e->scores, answered, a, m, m + 1, false);
        st = judge(job, SER_JUDGED_MODEL, m, &e->folds[m], e->scores, answered, 0, err);
    }
    if (st == SER_OK) {
        average(e->scores, answered, a, 0, n_models, false);
        st = judge(job, SER_JUDGED_ALL, 0, NULL, e->scores, answered, N_RESAMPLES, err);
    }
    if (st == SER_OK && count_heard(a, &most))
        st = judge_unheard(a, answered, judge, job, err);
    ser_free(answered);
    return st;
}

void ser_answers_append_leaks(ser_text *t, const ser_answers *a)
{
    int most;
    size_t n_models = count_heard(a, &most);
    if (n_models)
        ser_text_appendf(t,
                         "%zu of %zu models were trained on recordings of this test, up to %d of %zu: the "
                         "figures are of what was learned by heart. ",
                         n_models, a->models.n, most, a->n);
}

ser_report_facts ser_answers_facts(const ser_answers *a, ser_normalize how)
{
    ser_report_facts facts = ser_workbench_facts(&a->w, how);
    facts.folds = &a->folds;
    facts.leaks = &a->leaks;
    facts.model_type = ser_model_data_type(&a->models.items[0].data);
    return facts;
}
