/* ser test: every fold's model of a run, and their average, on a corpus. */
#include "base/memory.h"
#include "cli/commands.h"
#include "cli/network_options.h"
#include "cli/progress.h"
#include "cli/run_folder.h"
#include "cli/run_material.h"
#include "cli/settings.h"
#include "cli/trained.h"
#include "io/file.h"
#include "protocol/report_json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static ser_workbench_options bench = SER_WORKBENCH_DEFAULTS;
static ser_network_options network = SER_NETWORK_DEFAULTS;
static const char *test_path, *run_path, *json_path;

static const ser_option options[] = {
    {SER_OPTION_STRING, 0, "test-path", &test_path, "DIR",
     "a run folder of 'ser train', or a folder with Keras weights (.h5) of this network"},
    SER_WORKBENCH_OPTIONS(bench),
    SER_NETWORK_OPTIONS(network),
    SER_ENGINE_OPTIONS(bench.engine),
    {SER_OPTION_GROUP, .help = SER_OUTPUT_GROUP},
    {SER_OPTION_STRING, 0, "json", &json_path, "FILE", "the whole report as JSON"},
    {SER_OPTION_STRING, 0, "run", &run_path, "DIR",
     "run folder (default: runs/test-CORPUS-FEATURES-DATE-TIME)"},
    {SER_OPTION_END},
};

static int run(int argc, char **argv);

const ser_command ser_command_test = {
    .name = "test",
    .run = run,
    .summary = "test the models of a run on a corpus",
    .usage = "",
    .description =
        "Every fold's model answers for every recording of the corpus, and so does their average. Features, "
        "layers and scaling are those of the models; with Keras weights, which hold neither, they are what "
        "the "
        "options say. Recordings that a model was trained on are found by their content and told; the "
        "figures "
        "over answers of models that had not heard the recording stand beside.",
    .examples =
        "ser test --data EMODB --feature-type LOGMEL --test-path runs/train-emodb-logmel-20260131-235959\n"
        "ser test --data my-recordings/ --test-path runs/train-... --json test.json",
    .options = options,
};

/* One test under way. Models are those of the run in the order of their names. */
typedef struct work {
    ser_trained_list models;
    ser_workbench w;
    float *scores;      /* (n_models, n, n_labels) */
    bool *heard;        /* (n_models, n): the model was trained on the recording */
    ser_evaluation e;   /* of the average */
    ser_figures honest; /* of those who had not heard it; n 0: there are none */
    size_t n_honest;
    ser_folds folds; /* a "fold" is a model here */
    ser_leaks leaks;
    ser_run_material material;
    ser_run_folder folder;
    json_t *config, *report;
} work;

static size_t n_labels(const work *k)
{
    return k->w.corpus->n_labels;
}

/* ---- answers ---- */

static ser_status reserve(work *k, ser_error *err)
{
    size_t n = k->w.corpus->n_utterances, n_models = k->models.n;
    k->scores = ser_alloc(n_models * n * n_labels(k), sizeof *k->scores);
    k->heard = ser_alloc(n_models * n, sizeof *k->heard);
    k->e = (ser_evaluation){.n = n, .n_labels = n_labels(k), .n_folds = n_models};
    k->e.scores = ser_alloc(n * n_labels(k), sizeof *k->e.scores);
    k->e.folds = ser_alloc(n_models, sizeof *k->e.folds);
    k->folds = (ser_folds){.n_folds = n_models, .n_utterances = n};
    k->folds.test_fold = ser_alloc(n, sizeof *k->folds.test_fold);
    k->folds.names = ser_alloc(n_models + 1, sizeof *k->folds.names);
    k->leaks = (ser_leaks){.n_folds = n_models};
    int **counts[] = {&k->leaks.speakers, &k->leaks.texts, &k->leaks.duplicates, &k->leaks.takes};
    bool ok = true;
    for (size_t i = 0; i < 4; i++)
        ok = (*counts[i] = ser_alloc(n_models, sizeof **counts[i])) && ok;
    k->leaks.examples = ser_alloc(n_models, sizeof *k->leaks.examples);
    if (!ok || !k->scores || !k->heard || !k->e.scores || !k->e.folds || !k->folds.test_fold ||
        !k->folds.names || !k->leaks.examples)
        return ser_fail_nomem(err);
    for (size_t u = 0; u < n; u++)
        k->folds.test_fold[u] = (int)n_models; /* all were answered by the average */
    for (size_t m = 0; m <= n_models; m++)
        k->folds.names[m] = m < n_models ? k->models.items[m].name : (char *)"average";
    return SER_OK;
}

/* The corpus with the features that models read, opened anew where they differ from those of the model
 * before. */
static ser_status answer(work *k, size_t m, const ser_progress *progress, ser_error *err)
{
    const ser_trained *model = &k->models.items[m];
    ser_learning learning = {0};
    ser_status st = SER_OK;
    if (!m || !ser_trained_reads_the_same(model, model - 1)) {
        ser_workbench_close(&k->w);
        st = ser_trained_workbench(&k->w, model, &bench, progress, err);
    }
    if (st == SER_OK && !m)
        st = reserve(k, err);
    if (st == SER_OK)
        st = ser_trained_check_labels(model, k->w.corpus, err);
    if (st == SER_OK)
        st = ser_learning_open(&learning, &k->w, &bench, &network, "timnet", progress, err);
    size_t n = k->w.corpus->n_utterances;
    int *all = st == SER_OK ? ser_alloc(n, sizeof *all) : NULL;
    if (st == SER_OK)
        st = all ? ser_learned_score(&model->learned, k->scores + m * n * n_labels(k), &learning.data, all, 0,
                                     learning.ops, err)
                 : ser_fail_nomem(err);
    for (size_t u = 0; st == SER_OK && u < n; u++)
        k->heard[m * n + u] = ser_trained_has_heard(model, k->w.store->recordings[u].sha256);
    ser_free(all);
    ser_learning_close(&learning);
    return st;
}

/* ---- figures ---- */

/* Figures of the mean of models' scores; unheard: of those that had not heard a recording, over the
 * recordings of which there are some. *scores (n, n_labels), or NULL, receives the means. */
static ser_status average(ser_figures *out, size_t *n_scored, float *scores, const work *k, size_t first,
                          size_t end, bool unheard, int n_resamples, ser_error *err)
{
    const ser_corpus *corpus = k->w.corpus;
    size_t n = corpus->n_utterances, n_emotions = n_labels(k), at = 0;
    float *mean = ser_alloc(n * n_emotions, sizeof *mean);
    int *truth = ser_alloc(n, sizeof *truth), *group = ser_alloc(n, sizeof *group);
    bool has_speakers = true;
    ser_status st = mean && truth && group ? SER_OK : ser_fail_nomem(err);
    for (size_t u = 0; u < n && st == SER_OK; u++) {
        float *own = mean + at * n_emotions;
        size_t n_models = 0;
        memset(own, 0, n_emotions * sizeof *own);
        for (size_t m = first; m < end; m++) {
            if (unheard && k->heard[m * n + u])
                continue;
            n_models++;
            for (size_t i = 0; i < n_emotions; i++)
                own[i] += k->scores[(m * n + u) * n_emotions + i];
        }
        if (!n_models)
            continue;
        for (size_t i = 0; i < n_emotions; i++)
            own[i] /= (float)n_models;
        truth[at] = corpus->utterances[u].label;
        group[at] = corpus->utterances[u].speaker;
        has_speakers = has_speakers && group[at] >= 0;
        at++;
    }
    *n_scored = at;
    if (st == SER_OK && at)
        st = ser_figures_compute(out, mean, truth, has_speakers ? group : NULL, at, n_emotions, n_resamples,
                                 (uint64_t)bench.seed, err);
    if (st == SER_OK && scores)
        memcpy(scores, mean, n * n_emotions * sizeof *scores);
    ser_free(mean);
    ser_free(truth);
    ser_free(group);
    return st;
}

static ser_status compute_figures(work *k, ser_error *err)
{
    enum { N_RESAMPLES = 10000 };
    size_t n = k->w.corpus->n_utterances, n_scored;
    ser_status st = SER_OK;
    bool any = false;
    for (size_t m = 0; m < k->models.n && st == SER_OK; m++) {
        ser_figures own = {0};
        ser_fold_result *r = &k->e.folds[m];
        st = average(&own, &n_scored, NULL, k, m, m + 1, false, 0, err);
        *r = (ser_fold_result){.n_train = k->models.items[m].n_heard,
                               .n_test = n,
                               .ua = own.ua,
                               .wa = own.wa,
                               .f1 = own.f1,
                               .loss = own.loss};
        ser_figures_release(&own);
        k->leaks.speakers[m] = k->leaks.texts[m] = k->leaks.takes[m] = -1; /* not known */
        for (size_t u = 0; u < n; u++)
            k->leaks.duplicates[m] += k->heard[m * n + u];
        any = any || k->leaks.duplicates[m];
    }
    if (st == SER_OK)
        st = average(&k->e.figures, &n_scored, k->e.scores, k, 0, k->models.n, false, N_RESAMPLES, err);
    if (st == SER_OK && any)
        st = average(&k->honest, &k->n_honest, NULL, k, 0, k->models.n, true, N_RESAMPLES, err);
    return st;
}

/* ---- what is told ---- */

/* The loud line, and the honest figures as an extra of the report. */
static ser_status tell_leaks(work *k, ser_run_figure extra[2], ser_error *err)
{
    ser_text t = {0};
    size_t n_models = 0;
    int most = 0;
    for (size_t m = 0; m < k->models.n; m++) {
        n_models += k->leaks.duplicates[m] > 0;
        most = k->leaks.duplicates[m] > most ? k->leaks.duplicates[m] : most;
    }
    if (!n_models)
        return SER_OK;
    ser_text_appendf(
        &t,
        "%zu of %zu models were trained on recordings of this test, up to %d of %zu: the figures "
        "are of what was learned by heart. ",
        n_models, k->models.n, most, k->e.n);
    if (k->n_honest)
        ser_text_appendf(&t,
                         "Answers of models that had not heard the recording, %zu recordings: UA %.1f %%, WA "
                         "%.1f %%",
                         k->n_honest, k->honest.ua, k->honest.wa);
    else
        ser_text_append(&t, "Every model had heard every recording: there is no honest figure");
    ser_status st = t.failed ? ser_fail_nomem(err) : ser_run_material_add_note(&k->material, true, t.s, err);
    if (st == SER_OK)
        ser_say("%s", t.s);
    ser_text_release(&t);
    if (!k->n_honest)
        return st;
    extra[0] = (ser_run_figure){.name = "UA, unheard",
                                .meaning = "of models that had not heard the recording",
                                .unit = "%",
                                .value = k->honest.ua,
                                .interval = {k->honest.ua_ci95[0], k->honest.ua_ci95[1]}};
    extra[1] = (ser_run_figure){.name = "WA, unheard",
                                .meaning = extra[0].meaning,
                                .unit = "%",
                                .value = k->honest.wa,
                                .interval = {k->honest.wa_ci95[0], k->honest.wa_ci95[1]}};
    k->material.report.extra = extra;
    k->material.report.n_extra = 2;
    return st;
}

static void print_summary(const work *k)
{
    ser_style style = ser_style_of(stdout);
    ser_text t = {0};
    const char *const *labels = (const char *const *)k->w.corpus->labels;
    for (size_t m = 0; m < k->models.n; m++) {
        const ser_fold_result *r = &k->e.folds[m];
        ser_text_appendf(&t, "%-12s UA %6.2f   WA %6.2f", k->folds.names[m], r->ua, r->wa);
        if (k->leaks.duplicates[m])
            ser_text_appendf(&t, "   trained on %d of these %zu recordings", k->leaks.duplicates[m], k->e.n);
        ser_text_append(&t, "\n");
    }
    ser_text_append(&t, "\nAverage of all models\n");
    ser_append_classification(&t, labels, &k->e.figures, style);
    ser_text_append(&t, "\n");
    ser_append_confusion(&t, labels, k->e.figures.confusion, k->e.figures.n_labels, style);
    ser_text_append(&t, "\n");
    ser_append_headline(&t, &k->e.figures, style);
    if (k->n_honest) {
        ser_text_append(&t, "Of models that had not heard the recording\n");
        ser_append_headline(&t, &k->honest, style);
    }
    if (!t.failed)
        fwrite(t.s, 1, t.n, stdout);
    ser_text_release(&t);
}

static json_t *honest_json(const work *k)
{
    const ser_figures *f = &k->honest;
    return json_pack("{s:I, s:f, s:f, s:f, s:f, s:f, s:[f, f], s:[f, f]}", "n", (json_int_t)k->n_honest, "ua",
                     f->ua, "wa", f->wa, "f1", f->f1, "loss", f->loss, "ece", f->ece, "ua_ci95",
                     f->ua_ci95[0], f->ua_ci95[1], "wa_ci95", f->wa_ci95[0], f->wa_ci95[1]);
}

static ser_status save(work *k, ser_error *err)
{
    ser_text type = {0};
    ser_run_figure extra[2];
    ser_feature_spec_type(&k->w.spec, &type);
    const char *model_type = ser_model_data_type(&k->models.items[0].data);
    const ser_report_facts facts = {.corpus = k->w.corpus,
                                    .folds = &k->folds,
                                    .store = k->w.store,
                                    .leaks = &k->leaks,
                                    .evaluation = &k->e,
                                    .spec = &k->w.spec,
                                    .protocol = "test",
                                    .feature_type = type.s ? type.s : "",
                                    .model_type = model_type,
                                    .normalize = bench.normalize,
                                    .precision = k->w.precision,
                                    .encoder_sha256 = k->w.encoder_sha256,
                                    .seed = (uint64_t)bench.seed,
                                    .jobs = k->w.n_threads,
                                    .config = k->config};
    ser_status st = type.failed ? ser_fail_nomem(err) : ser_report_json(&k->report, &facts, err);
    if (st == SER_OK && k->n_honest)
        json_object_set_new(k->report, "unheard", honest_json(k));
    if (st == SER_OK)
        st = ser_run_material_init(&k->material, &k->folds, err);
    if (st == SER_OK)
        st = ser_run_material_finish(&k->material, &k->w, &k->folds, &k->leaks, &k->e, "test", model_type,
                                     k->config, err);
    if (st == SER_OK)
        st = tell_leaks(k, extra, err);
    if (st == SER_OK)
        st = ser_run_save(k->folder.path, &k->material.report, err);
    if (st == SER_OK)
        st = ser_run_save_json(k->folder.path, "report.json", k->report, err);
    if (st == SER_OK && json_path)
        st = ser_run_save_json("", json_path, k->report, err);
    ser_text_release(&type);
    return st;
}

/* ---- one test ---- */

static ser_status open_models(work *k, const ser_progress *progress, ser_error *err)
{
    ser_status st = ser_trained_open(&k->models, test_path, err);
    if (st != SER_OK || k->models.n)
        return st;
    const ser_condense condense = ser_network_condense(&network, &bench);
    st = ser_workbench_open(&k->w, &bench, SER_CONDITION_NONE, &condense, progress, err);
    if (st == SER_OK)
        st = ser_trained_open_keras(&k->models, test_path, &k->w, &network, &bench, err);
    if (st == SER_OK && !k->models.n)
        st = ser_fail(
            err, SER_E_IO,
            "%s: it holds no models: name a run folder of 'ser train', or one with Keras weights (.h5)",
            test_path);
    return st;
}

static ser_status open_folder(work *k, ser_error *err)
{
    ser_text type = {0};
    ser_feature_spec_type(&k->w.spec, &type);
    k->config = ser_settings_to_json(&ser_command_test);
    char *own = run_path ? NULL : ser_run_folder_default("test", k->w.corpus->name, type.s ? type.s : "");
    const char *path = run_path ? run_path : own;
    ser_status st = k->config && path ? ser_run_folder_open(&k->folder, path, k->config, false, err)
                                      : ser_fail_nomem(err);
    ser_free(own);
    ser_text_release(&type);
    return st;
}

static void release(work *k)
{
    json_decref(k->report);
    json_decref(k->config);
    ser_run_material_release(&k->material);
    ser_run_folder_close(&k->folder);
    ser_evaluation_release(&k->e);
    ser_figures_release(&k->honest);
    ser_leaks_release(&k->leaks);
    ser_free(k->folds.test_fold);
    ser_free(k->folds.names);
    ser_free(k->scores);
    ser_free(k->heard);
    ser_workbench_close(&k->w);
    ser_trained_close(&k->models);
}

static ser_status test(ser_error *err)
{
    work k = {.folder.lock = -1};
    ser_progress progress = ser_progress_start();
    ser_status st = open_models(&k, &progress, err);
    for (size_t m = 0; m < k.models.n && st == SER_OK; m++)
        st = answer(&k, m, &progress, err);
    ser_progress_clear();
    if (st == SER_OK)
        st = compute_figures(&k, err);
    if (st == SER_OK)
        st = open_folder(&k, err);
    if (st == SER_OK)
        st = save(&k, err);
    if (st == SER_OK) {
        print_summary(&k);
        printf("%s\n", k.folder.path);
    }
    release(&k);
    return st;
}

static int run(int argc, char **argv)
{
    ser_option_list rest = {0};
    ser_error err = {0};
    int status;
    bench.preset = "original";
    if (!ser_options_start(&ser_command_test, argc, argv, &rest, &status))
        goto done;
    if (rest.n)
        status = ser_usage_error(&ser_command_test, "'%s' is not expected here", rest.items[0]);
    else if (!bench.data)
        status = ser_usage_error(&ser_command_test, "no corpus is named: give --data");
    else if (!test_path)
        status = ser_usage_error(&ser_command_test, "no models are named: give --test-path");
    else if (strcmp(bench.normalize, "none") != 0)
        status = ser_usage_error(&ser_command_test, "--normalize is for 'ser evaluate'");
    if (status != SER_EXIT_OK)
        goto done;
    ser_status st = test(&err);
    if (st != SER_OK)
        ser_say("%s", err.text);
    status = ser_exit_status(st);
done:
    ser_option_list_release(&rest);
    return status;
}
