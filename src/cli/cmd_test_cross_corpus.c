/* ser test-cross-corpus: every model of a run, and their average, on another corpus than theirs. */
#include "base/memory.h"
#include "cli/answers.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "cli/run_folder.h"
#include "cli/run_material.h"
#include "cli/settings.h"
#include "run/report_json.h"

#include <string.h>
#include <strings.h>

enum { N_RESAMPLES = 10000 };

static ser_workbench_options bench = SER_WORKBENCH_DEFAULTS;
static ser_network_options network = SER_NETWORK_DEFAULTS;
static const char *test_path, *target_spec, *mapping_path, *run_path, *json_path;
static bool visualize;

static const ser_option options[] = {
    {SER_OPTION_STRING, 0, "test-path", &test_path, "DIR",
     "a run folder of 'ser train', a model file, or Keras weights (.h5) of this network"},
    {SER_OPTION_STRING, 't', "target", &target_spec, "CORPUS",
     "corpus to test on (default: the usual counterpart of the one trained on, where it has one)"},
    {SER_OPTION_STRING, 0, "mapping", &mapping_path, "FILE",
     "CSV with the columns emotion,counts_as (default: the table built in for the two corpora, else the "
     "emotions that both corpora have)"},
    SER_NORMALIZE_OPTION(bench),
    SER_TESTED_OPTIONS(bench, network),
    SER_ENGINE_OPTIONS(bench.engine),
    {SER_OPTION_GROUP, .help = SER_OUTPUT_GROUP},
    {SER_OPTION_FLAG, 0, "visualize", &visualize, NULL,
     "confusion matrices of each model and of the shared emotions, beside that of the average"},
    {SER_OPTION_STRING, 0, "json", &json_path, "FILE", "the whole report as JSON"},
    {SER_OPTION_STRING, 0, "run", &run_path, "DIR",
     "run folder (default: runs/test-cross-corpus-SOURCE-TARGET-FEATURES-DATE-TIME)"},
    {SER_OPTION_END},
};

static int run(int argc, char **argv);

const ser_command ser_command_test_cross_corpus = {
    .name = "test-cross-corpus",
    .run = run,
    .summary = "test the models of a run on another corpus",
    .usage = "",
    .description =
        "Models trained on --data answer for every recording of the target, each and on average. Two "
        "accuracies "
        "are told: UA over the emotions that both corpora have, with the models asked for these alone; and "
        "the "
        "accuracy by a mapping, where an answer is right when the truth is among the emotions it counts as. "
        "Recordings whose emotion nothing counts as are left out, and told.\n"
        "--normalize speaker (corpus) puts the mean and deviation of each of the target's speakers (of the "
        "target) in the place of the models' own; no label of the target is looked at.\n"
        "Keras weights of a network with other layers are loaded as far as they fit, and what does not is "
        "told.",
    .examples = "ser test-cross-corpus --data EMODB --feature-type FUSION --test-path runs/train-emodb-... "
                "--visualize\n"
                "ser test-cross-corpus --data EMODB --test-path runs/train-emodb-... --normalize speaker\n"
                "ser test-cross-corpus --data EMODB --test-path runs/train-... --target mine.csv --mapping "
                "mine-counts.csv",
    .options = options,
};

/* One test under way. */
typedef struct work {
    char *source; /* what its corpus is called */
    ser_answers a;
    ser_mapping mapping;
    ser_evaluation e;    /* scores of the average; figures are cross's */
    ser_cross *of_model; /* a.models.n */
    ser_cross cross;     /* of the average */
    ser_cross honest;    /* of those who had not heard the recording; n 0: there are none */
    ser_run_material material;
    ser_run_folder folder;
    json_t *report;
} work;

/* ---- figures ---- */

static ser_status open_mapping(work *k, ser_error *err)
{
    const ser_corpus *corpus = k->a.w.corpus;
    const ser_emotion_list source = {k->source, k->a.labels, k->a.n_labels},
                           target = {corpus->name, corpus->labels, corpus->n_labels};
    return ser_mapping_new(&k->mapping, mapping_path, &source, &target, err);
}

/* Of models first ... end-1; *scores (n, n_labels) receives their mean. */
static ser_status judge(ser_cross *out, float *scores, const work *k, size_t first, size_t end, bool unheard,
                        int n_resamples, ser_error *err)
{
    bool *answered = ser_alloc(k->a.n, sizeof *answered);
    if (!answered)
        return ser_fail_nomem(err);
    ser_answers_average(&k->a, scores, answered, first, end, unheard);
    ser_status st = ser_cross_compute_of(out, scores, answered, &k->mapping, k->a.w.corpus, n_resamples,
                                         (uint64_t)bench.seed, err);
    ser_free(answered);
    return st;
}

static ser_status judge_unheard(work *k, ser_error *err)
{
    float *scores = ser_alloc(k->a.n * k->a.n_labels, sizeof *scores);
    ser_status st =
        scores ? judge(&k->honest, scores, k, 0, k->a.models.n, true, N_RESAMPLES, err) : ser_fail_nomem(err);
    ser_free(scores);
    return st;
}

static ser_status compute_figures(work *k, ser_error *err)
{
    size_t n_models = k->a.models.n;
    int most;
    k->e = (ser_evaluation){.n = k->a.n, .n_labels = k->a.n_labels, .n_folds = n_models};
    k->e.scores = ser_alloc(k->a.n * k->a.n_labels, sizeof *k->e.scores);
    k->e.folds = ser_alloc(n_models, sizeof *k->e.folds);
    k->of_model = ser_alloc(n_models, sizeof *k->of_model);
    ser_status st = k->e.scores && k->e.folds && k->of_model ? SER_OK : ser_fail_nomem(err);
    for (size_t m = 0; m < n_models && st == SER_OK; m++) {
        ser_cross *own = &k->of_model[m];
        st = judge(own, k->e.scores, k, m, m + 1, false, 0, err);
        k->e.folds[m] = (ser_fold_result){.n_train = k->a.models.items[m].n_heard,
                                          .n_test = k->a.n,
                                          .ua = own->figures.ua,
                                          .wa = own->figures.wa,
                                          .f1 = own->figures.f1,
                                          .loss = own->figures.loss,
                                          .acc_lenient = own->acc_lenient};
    }
    if (st == SER_OK)
        st = judge(&k->cross, k->e.scores, k, 0, n_models, false, N_RESAMPLES, err);
    return st == SER_OK && ser_answers_count_heard(&k->a, &most) ? judge_unheard(k, err) : st;
}

/* ---- what is told ---- */

/* On standard error and in the report. */
static ser_status tell(work *k, bool serious, ser_text *text, ser_error *err)
{
    ser_status st =
        text->failed ? ser_fail_nomem(err) : ser_run_material_add_note(&k->material, serious, text->s, err);
    if (st == SER_OK)
        ser_say("%s", text->s);
    ser_text_release(text);
    return st;
}

static ser_status tell_of_models(work *k, ser_error *err)
{
    ser_status st = SER_OK;
    for (size_t m = 0; m < k->a.models.n && st == SER_OK; m++) {
        const ser_trained *model = &k->a.models.items[m];
        ser_text t = {0};
        if (model->misfit)
            ser_text_appendf(&t, "%s: %s", model->name, model->misfit);
        else if (model->corpus && strcasecmp(model->corpus, k->source) != 0 && !m)
            ser_text_appendf(&t, "%s was trained on %s, and --data says %s: is that right?", model->name,
                             model->corpus, k->source);
        if (t.n || t.failed)
            st = tell(k, true, &t, err);
    }
    return st;
}

static ser_status tell_leaks(work *k, ser_error *err)
{
    ser_text t = {0};
    int most;
    size_t n_models = ser_answers_count_heard(&k->a, &most);
    if (!n_models)
        return SER_OK;
    ser_text_appendf(
        &t,
        "%zu of %zu models were trained on recordings of this test, up to %d of %zu: the figures are "
        "of what was learned by heart. ",
        n_models, k->a.models.n, most, k->a.n);
    if (k->honest.figures.n)
        ser_text_appendf(
            &t,
            "Answers of models that had not heard the recording, %zu recordings: UA %.1f %% over the "
            "shared emotions, %.1f %% by the mapping",
            k->honest.n, k->honest.figures.ua, k->honest.acc_lenient);
    else
        ser_text_append(&t, "There is no honest figure");
    return tell(k, true, &t, err);
}

/* Standardised by itself, one recording is nothing but zeros. */
static ser_status tell_lonely(work *k, ser_error *err)
{
    const ser_corpus *corpus = k->a.w.corpus;
    size_t n_lonely = 0;
    ser_text t = {0};
    ser_normalize how = ser_normalize_from_name(bench.normalize);
    if (how == SER_NORMALIZE_CORPUS)
        n_lonely = corpus->n_utterances == 1;
    for (size_t i = 0; how == SER_NORMALIZE_SPEAKER && i < corpus->n_speakers; i++) {
        size_t n = 0;
        for (size_t u = 0; u < corpus->n_utterances; u++)
            n += corpus->utterances[u].speaker == (int)i;
        n_lonely += n == 1;
    }
    if (!n_lonely)
        return SER_OK;
    ser_text_appendf(
        &t,
        "%zu recording%s alone of %s and cannot be standardised by it: the answer means nothing; use "
        "--normalize none, or more recordings",
        n_lonely, n_lonely == 1 ? " is" : "s are",
        how == SER_NORMALIZE_CORPUS ? "its corpus" : "its speaker");
    return tell(k, true, &t, err);
}

/* ---- pictures ---- */

static ser_status save_matrix(const work *k, const char *name, const char *title, const ser_matrix *matrix,
                              const ser_cross *c, ser_error *err)
{
    char subtitle[200];
    snprintf(subtitle, sizeof subtitle, "%.60s to %.60s: UA %.1f %%, WA %.1f %% (shared emotions)%s",
             k->mapping.source, k->mapping.target, c->figures.ua, c->figures.wa,
             matrix->right ? "; framed: counts as right" : "");
    const ser_confusion_picture picture = {.title = title, .subtitle = subtitle, .matrix = matrix};
    return ser_run_save_confusion(k->folder.path, name, &picture, err);
}

static ser_status save_of_model(const work *k, size_t m, ser_error *err)
{
    ser_text name = {0}, title = {0};
    ser_matrix matrix = k->material.cross.matrix;
    matrix.counts = k->of_model[m].confusion;
    ser_text_appendf(&name, "confusion-%s", k->a.models.items[m].name);
    ser_text_appendf(&title, "Confusion matrix, %s", k->a.models.items[m].name);
    for (size_t i = 0; i < name.n && !name.failed; i++)
        name.s[i] = name.s[i] == '/' ? '-' : name.s[i];
    ser_status st = name.failed || title.failed
                        ? ser_fail_nomem(err)
                        : save_matrix(k, name.s, title.s, &matrix, &k->of_model[m], err);
    ser_text_release(&name);
    ser_text_release(&title);
    return st;
}

static ser_status save_pictures(const work *k, ser_error *err)
{
    const ser_run_report *r = &k->material.report;
    ser_status st = SER_OK;
    if (!visualize || !k->cross.figures.n)
        return SER_OK;
    const ser_matrix shared = ser_matrix_square(r->labels, r->figures->confusion, r->figures->n_labels);
    st = save_matrix(k, "confusion-shared", "Confusion matrix, shared emotions", &shared, &k->cross, err);
    for (size_t m = 0; m < k->a.models.n && k->a.models.n > 1 && st == SER_OK; m++)
        st = save_of_model(k, m, err);
    return st;
}

/* ---- the run folder ---- */

static ser_status open_folder(work *k, ser_error *err)
{
    const ser_run_place place = {
        .path = run_path, .corpus = k->source, .target = k->a.w.corpus->name, .spec = &k->a.w.spec};
    return ser_run_folder_open(&k->folder, &ser_command_test_cross_corpus, &place, err);
}

static ser_status make_material(work *k, const ser_report_facts *facts, ser_error *err)
{
    ser_status st = ser_run_material_init(&k->material, &k->a.folds, err);
    if (st == SER_OK)
        st = tell_of_models(k, err);
    if (st == SER_OK)
        st = tell_leaks(k, err);
    if (st == SER_OK)
        st = tell_lonely(k, err);
    if (st == SER_OK)
        st = ser_run_material_finish(&k->material, facts, err);
    if (st == SER_OK)
        ser_run_material_add_average(&k->material, &k->cross);
    return st;
}

static ser_status save(work *k, ser_error *err)
{
    ser_report_facts facts = ser_answers_facts(&k->a, &bench);
    facts.evaluation = &k->e;
    facts.protocol = "test-cross-corpus";
    facts.config = k->folder.config;
    facts.cross = &k->cross;
    facts.mapping = &k->mapping;
    ser_status st = ser_report_json(&k->report, &facts, err);
    if (st == SER_OK && k->honest.n)
        json_object_set_new(k->report, "unheard", ser_cross_json(&k->honest, &k->mapping));
    if (st == SER_OK)
        st = make_material(k, &facts, err);
    if (st == SER_OK)
        st = save_pictures(k, err);
    return st == SER_OK ? ser_run_save(&k->folder, &k->material.report, k->report, json_path, err) : st;
}

/* ---- one test ---- */

static void release(work *k)
{
    json_decref(k->report);
    ser_run_material_release(&k->material);
    ser_run_folder_close(&k->folder);
    ser_evaluation_release(&k->e);
    for (size_t m = 0; k->of_model && m < k->a.models.n; m++)
        ser_cross_release(&k->of_model[m]);
    ser_free(k->of_model);
    ser_cross_release(&k->cross);
    ser_cross_release(&k->honest);
    ser_mapping_release(&k->mapping);
    ser_answers_release(&k->a);
    ser_free(k->source);
}

static ser_status answer(work *k, ser_error *err)
{
    ser_workbench_options own = bench;
    ser_progress progress = ser_progress_start();
    const ser_answers_settings settings = {
        .path = test_path, .bench = &own, .network = &network, .source = bench.data, .progress = &progress};
    ser_status st = ser_corpus_name(&k->source, bench.data, err);
    if (st != SER_OK)
        return st;
    if ((st = ser_choose_target(&own.data, target_spec, k->source, err)) != SER_OK)
        return st;
    st = ser_answers_new(&k->a, &settings, err);
    ser_progress_clear();
    return st;
}

static ser_status test(ser_error *err)
{
    work k = {.folder.lock = {-1}};
    ser_status st = answer(&k, err);
    if (st == SER_OK)
        st = open_mapping(&k, err);
    if (st == SER_OK)
        st = compute_figures(&k, err);
    if (st == SER_OK)
        st = open_folder(&k, err);
    if (st == SER_OK)
        st = save(&k, err);
    if (st == SER_OK) {
        ser_run_material_print_cross(&k.material, &k.mapping, &k.cross,
                                     k.a.models.n > 1 ? "Average of all models" : NULL);
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
    if (!ser_options_start(&ser_command_test_cross_corpus, argc, argv, &rest, &status))
        goto done;
    if (rest.n)
        status = ser_usage_error(&ser_command_test_cross_corpus, "'%s' is not expected here", rest.items[0]);
    else if (!bench.data)
        status = ser_usage_error(&ser_command_test_cross_corpus,
                                 "no corpus is named that the models were trained on: give --data");
    else if (!test_path)
        status = ser_usage_error(&ser_command_test_cross_corpus, "no models are named: give --test-path");
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
