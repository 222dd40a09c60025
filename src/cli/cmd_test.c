/* ser test: every fold's model of a run, and their average, on a corpus. */
#include "base/memory.h"
#include "cli/answers.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "cli/run_folder.h"
#include "cli/run_material.h"
#include "cli/settings.h"
#include "run/report_json.h"

#include <string.h>

static ser_workbench_options bench = SER_WORKBENCH_DEFAULTS;
static ser_network_options network = SER_NETWORK_DEFAULTS;
static const char *test_path, *run_path, *json_path;

static const ser_option options[] = {
    {SER_OPTION_STRING, 0, "test-path", &test_path, "DIR",
     "a run folder of 'ser train', a model file, or Keras weights (.h5) of this network"},
    SER_TESTED_OPTIONS(bench, network),
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
    ser_answers a;
    ser_evaluation e;   /* of the average */
    ser_figures honest; /* of those who had not heard it; n 0: there are none */
    size_t n_honest;
    ser_run_material material;
    ser_run_folder folder;
    json_t *report;
} work;

/* ---- figures ---- */

/* Figures of the mean of models' scores; unheard: of those that had not heard a recording, over the
 * recordings of which there are some. *scores (n, n_labels), or NULL, receives the means. */
static ser_status average(ser_figures *out, size_t *n_scored, float *scores, const ser_answers *a,
                          size_t first, size_t end, bool unheard, int n_resamples, ser_error *err)
{
    const ser_corpus *corpus = a->w.corpus;
    size_t n = a->n, at = 0;
    float *mean = ser_alloc(n * a->n_labels, sizeof *mean);
    int *truth = ser_alloc(n, sizeof *truth), *group = ser_alloc(n, sizeof *group);
    bool *answered = ser_alloc(n, sizeof *answered), has_speakers = true;
    ser_status st = mean && truth && group && answered ? SER_OK : ser_fail_nomem(err);
    if (st == SER_OK)
        ser_answers_average(a, mean, answered, first, end, unheard);
    if (st == SER_OK && scores)
        memcpy(scores, mean, n * a->n_labels * sizeof *scores);
    for (size_t u = 0; u < n && st == SER_OK; u++) {
        if (!answered[u])
            continue;
        memmove(mean + at * a->n_labels, mean + u * a->n_labels, a->n_labels * sizeof *mean);
        truth[at] = corpus->utterances[u].label;
        group[at] = corpus->utterances[u].speaker;
        has_speakers = has_speakers && group[at] >= 0;
        at++;
    }
    *n_scored = at;
    if (st == SER_OK && at)
        st = ser_figures_compute(out, mean, truth, has_speakers ? group : NULL, at, a->n_labels, n_resamples,
                                 (uint64_t)bench.seed, err);
    ser_free(mean);
    ser_free(truth);
    ser_free(group);
    ser_free(answered);
    return st;
}

static ser_status compute_figures(work *k, ser_error *err)
{
    enum { N_RESAMPLES = 10000 };
    const ser_answers *a = &k->a;
    size_t n_models = a->models.n, n_scored;
    int most;
    k->e = (ser_evaluation){.n = a->n, .n_labels = a->n_labels, .n_folds = n_models};
    k->e.scores = ser_alloc(a->n * a->n_labels, sizeof *k->e.scores);
    k->e.folds = ser_alloc(n_models, sizeof *k->e.folds);
    ser_status st = k->e.scores && k->e.folds ? SER_OK : ser_fail_nomem(err);
    for (size_t m = 0; m < n_models && st == SER_OK; m++) {
        ser_figures own = {0};
        st = average(&own, &n_scored, NULL, a, m, m + 1, false, 0, err);
        k->e.folds[m] = (ser_fold_result){.n_train = a->models.items[m].n_heard,
                                          .n_test = a->n,
                                          .ua = own.ua,
                                          .wa = own.wa,
                                          .f1 = own.f1,
                                          .loss = own.loss};
        ser_figures_release(&own);
    }
    if (st == SER_OK)
        st = average(&k->e.figures, &n_scored, k->e.scores, a, 0, n_models, false, N_RESAMPLES, err);
    if (st == SER_OK && ser_answers_count_heard(a, &most))
        st = average(&k->honest, &k->n_honest, NULL, a, 0, n_models, true, N_RESAMPLES, err);
    return st;
}

/* ---- what is told ---- */

/* The loud line, and the honest figures as an extra of the report. */
static ser_status tell_leaks(work *k, ser_error *err)
{
    ser_text t = {0};
    int most;
    size_t n_models = ser_answers_count_heard(&k->a, &most);
    if (!n_models)
        return SER_OK;
    ser_text_appendf(
        &t,
        "%zu of %zu models were trained on recordings of this test, up to %d of %zu: the figures "
        "are of what was learned by heart. ",
        n_models, k->a.models.n, most, k->e.n);
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
    const char *meaning = "of models that had not heard the recording";
    ser_run_material_add_figure(&k->material,
                                &(ser_run_figure){.name = "UA, unheard",
                                                  .meaning = meaning,
                                                  .unit = "%",
                                                  .value = k->honest.ua,
                                                  .interval = {k->honest.ua_ci95[0], k->honest.ua_ci95[1]}});
    ser_run_material_add_figure(&k->material,
                                &(ser_run_figure){.name = "WA, unheard",
                                                  .meaning = meaning,
                                                  .unit = "%",
                                                  .value = k->honest.wa,
                                                  .interval = {k->honest.wa_ci95[0], k->honest.wa_ci95[1]}});
    return st;
}

static void print_summary(const work *k)
{
    ser_style style = ser_style_of(stdout);
    ser_text t = {0};
    const char *const *labels = (const char *const *)k->a.w.corpus->labels;
    for (size_t m = 0; m < k->a.models.n; m++) {
        const ser_fold_result *r = &k->e.folds[m];
        ser_text_appendf(&t, "%-12s UA %6.2f   WA %6.2f", k->a.folds.names[m], r->ua, r->wa);
        if (k->a.leaks.duplicates[m])
            ser_text_appendf(&t, "   trained on %d of these %zu recordings", k->a.leaks.duplicates[m],
                             k->e.n);
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
    ser_report_facts facts = ser_answers_facts(&k->a, &bench);
    facts.evaluation = &k->e;
    facts.protocol = "test";
    facts.config = k->folder.config;
    ser_status st = ser_report_json(&k->report, &facts, err);
    if (st == SER_OK && k->n_honest)
        json_object_set_new(k->report, "unheard", honest_json(k));
    if (st == SER_OK)
        st = ser_run_material_init(&k->material, &k->a.folds, err);
    if (st == SER_OK)
        st = ser_run_material_finish(&k->material, &facts, err);
    if (st == SER_OK)
        st = tell_leaks(k, err);
    return st == SER_OK ? ser_run_save(&k->folder, &k->material.report, k->report, json_path, err) : st;
}

/* ---- one test ---- */

static ser_status open_folder(work *k, ser_error *err)
{
    const ser_run_place place = {.path = run_path, .corpus = k->a.w.corpus->name, .spec = &k->a.w.spec};
    return ser_run_folder_open(&k->folder, &ser_command_test, &place, err);
}

static void release(work *k)
{
    json_decref(k->report);
    ser_run_material_release(&k->material);
    ser_run_folder_close(&k->folder);
    ser_evaluation_release(&k->e);
    ser_figures_release(&k->honest);
    ser_answers_release(&k->a);
}

static ser_status test(ser_error *err)
{
    work k = {.folder.lock = {-1}};
    ser_progress progress = ser_progress_start();
    const ser_answers_settings settings = {
        .path = test_path, .bench = &bench, .network = &network, .progress = &progress};
    ser_status st = ser_answers_new(&k.a, &settings, err);
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
    bench.feature_type = NULL; /* what the models read */
    if (!ser_options_start(&ser_command_test, argc, argv, &rest, &status))
        goto done;
    if (rest.n)
        status = ser_usage_error(&ser_command_test, "'%s' is not expected here", rest.items[0]);
    else if (!bench.data)
        status = ser_usage_error(&ser_command_test, "no corpus is named: give --data");
    else if (!test_path)
        status = ser_usage_error(&ser_command_test, "no models are named: give --test-path");
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
