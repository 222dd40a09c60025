/* ser evaluate: train and test by a stated protocol, report the figures. */
#include "base/memory.h"
#include "cli/commands.h"
#include "cli/network_options.h"
#include "cli/progress.h"
#include "cli/run_folder.h"
#include "cli/settings.h"
#include "cli/workbench.h"
#include "learn/evaluate.h"
#include "report/html.h"
#include "report/pictures.h"
#include "report/text.h"
#include "run/report_json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static ser_workbench_options bench = SER_WORKBENCH_DEFAULTS;
static ser_network_options network = SER_NETWORK_DEFAULTS;
static const char *protocol_text, *folds_path, *model_type = "linear", *condition_name = "none";
static const char *json_path, *html_path, *picture_path, *reliability_path, *reproduce_path;
static long n_seeds = 1, n_inner_folds = 5;

static const ser_option options[] = {
    {SER_OPTION_GROUP, .help = "Protocol"},
    {SER_OPTION_STRING, 0, "protocol", &protocol_text, "PROTOCOL",
     "emobox (fold lists), loso (leave one speaker out), loco (leave one of the joined corpora out), kfold=K "
     "(random, stratified), group-kfold=K (speaker-disjoint), text-kfold=K (sentence-disjoint)"},
    {SER_OPTION_STRING, 0, "folds", &folds_path, "FILE",
     "CSV with utterance,test_fold (default: the corpus's fold column)"},
    {SER_OPTION_CHOICE, 0, "model-type", &model_type, SER_MODEL_TYPES, SER_MODEL_TYPES_HELP},
    {SER_OPTION_CHOICE, 0, "test-condition", &condition_name, SER_CONDITION_WORDS,
     "alter the test recordings"},
    {SER_OPTION_INT, 0, "inner-folds", &n_inner_folds, "N",
     "folds of the choices made inside each training part", 2, 20},
    {SER_OPTION_INT, 0, "seeds", &n_seeds, "N", "run seed ... seed+N-1, report mean and spread", 1, 100},
    SER_DATA_OPTIONS(bench),
    SER_TRAINING_OPTIONS(bench),
    SER_NORMALIZE_OPTION(bench),
    SER_LINEAR_OPTIONS(bench),
    SER_NETWORK_OPTIONS(network),
    SER_ENGINE_OPTIONS(bench.engine),
    {SER_OPTION_GROUP, .help = SER_OUTPUT_GROUP},
    {SER_OPTION_STRING, 0, "json", &json_path, "FILE", "the whole report as JSON"},
    {SER_OPTION_STRING, 0, "html", &html_path, "FILE", "the report as a web page"},
    {SER_OPTION_STRING, 'p', "picture", &picture_path, "FILE", "the confusion matrix (.png or .svg)"},
    {SER_OPTION_STRING, 0, "reliability", &reliability_path, "FILE",
     "the reliability diagram (.png or .svg)"},
    {SER_OPTION_STRING, 0, "reproduce", &reproduce_path, "REPORT.json",
     "run a report again and compare; options given besides replace the report's"},
    {SER_OPTION_END},
};

static int run(int argc, char **argv);

const ser_command ser_command_evaluate = {
    .name = "evaluate",
    .run = run,
    .summary = "train and test by a protocol, report the figures",
    .usage = "",
    .description =
        "For every fold a model is trained on the training part alone, where layers, penalty and "
        "calibration are chosen as well "
        "by inner cross-validation, and answers for the test part. UA is the mean recall of the "
        "emotions, WA the share of right "
        "answers; intervals are over speakers.\n"
        "--layers weighted sums all hidden states of each encoder with one weight per layer, learned in "
        "each training part together with a softmax layer (Yang et al. 2021, SUPERB) and told for each "
        "fold.\n"
        "Before it begins, the program looks for what training and test parts share: speakers, "
        "texts, recordings.",
    .examples = "ser evaluate --data EMODB --feature-type WHISPER --protocol loso\n"
                "ser evaluate --data EMODB --feature-type WHISPER --protocol emobox --folds "
                "emodb_test_folds.csv --html report.html\n"
                "ser evaluate --reproduce report.json",
    .options = options,
};

/* ---- what the terminal shows ---- */

static void append_leaks(ser_text *t, const ser_leaks *l, const ser_folds *folds)
{
    size_t n_speakers = 0, n_texts = 0, n_duplicates = 0;
    const char *example = "";
    for (size_t f = 0; f < l->n_folds; f++) {
        n_speakers += l->speakers[f] > 0;
        n_texts += l->texts[f] > 0;
        n_duplicates += (size_t)l->duplicates[f];
        if (!*example)
            example = l->examples[f];
    }
    ser_text_appendf(
        t,
        "Shared by training and test parts: speakers in %zu of %zu folds, texts in %zu, %zu recordings "
        "that are in both\n",
        n_speakers, folds->n_folds, n_texts, n_duplicates);
    if (n_speakers)
        ser_text_append(
            t, "  The test speakers were heard in training: for strangers' voices see --protocol loso or "
               "group-kfold\n");
    if (*example)
        ser_text_appendf(t, "  %s\n", example);
}

static void append_weights(ser_text *t, const float *weight, const ser_feature_spec *spec)
{
    json_t *weights = ser_layer_weights_json(spec, weight);
    char *list = json_dumps(weights, JSON_COMPACT | JSON_REAL_PRECISION(2));
    ser_text_appendf(t, "  weights %s", list ? list : "");
    free(list);
    json_decref(weights);
}

static void print_summary(const ser_workbench *w, const ser_folds *folds, const ser_leaks *leaks,
                          const ser_evaluation *e, const ser_learning *learning)
{
    ser_style style = ser_style_of(stdout);
    ser_text t = {0}, type = {0};
    const ser_figures *f = &e->figures;
    ser_feature_spec_type(&w->spec, &type);
    ser_text_appendf(&t, "%s, %s, %s, %s, normalize %s, %zu altered copies, precision %s, seed %ld\n",
                     w->corpus->name, protocol_text, type.s, model_type, bench.normalize, w->n_copies,
                     w->precision, bench.seed);
    ser_append_network_settings(&t, learning, &network, &bench);
    if (strcmp(bench.normalize, "none") != 0)
        ser_text_appendf(
            &t,
            "  --normalize %s: features are standardised by unlabelled recordings of the test side as well\n",
            bench.normalize);
    append_leaks(&t, leaks, folds);
    for (size_t i = 0; i < e->n_folds; i++) {
        const ser_fold_result *r = &e->folds[i];
        json_t *layers = ser_chosen_layers_json(&w->spec, r->chosen.blocks);
        char *list = json_dumps(layers, JSON_COMPACT);
        ser_text_appendf(&t, "fold %-4s %5zu train %4zu test   UA %6.2f   WA %6.2f   layers %s",
                         folds->names[i], r->n_train, r->n_test, r->ua, r->wa, list ? list : "");
        if (r->has_choice)
            ser_text_appendf(&t, "  spread %g  c %g", r->chosen.spread_weight, r->chosen.c);
        if (r->has_choice && r->chosen.weighted)
            append_weights(&t, r->layer_weight, &w->spec);
        ser_text_append(&t, "\n");
        free(list);
        json_decref(layers);
    }
    ser_text_append(&t, "\n");
    ser_append_per_class(&t, (const char *const *)w->corpus->labels, f->per_class, f->n_labels, style);
    ser_text_append(&t, "\n");
    ser_append_confusion(&t, (const char *const *)w->corpus->labels, f->confusion, f->n_labels, style);
    ser_text_append(&t, "\n");
    if (e->across)
        ser_text_appendf(
            &t,
            "Means over the corpora left out: UA %.2f among the tested corpus's emotions, %.2f among all, "
            "calibration error %.2f\n",
            e->ua_restricted, e->ua_open, e->ece);
    ser_append_headline(&t, f, style);
    if (!t.failed)
        fwrite(t.s, 1, t.n, stdout);
    ser_text_release(&t);
    ser_text_release(&type);
}

/* ---- what is written ---- */

static ser_status save_pictures(const ser_workbench *w, const ser_evaluation *e, ser_error *err)
{
    char subtitle[160];
    const ser_figures *f = &e->figures;
    ser_status st = SER_OK;
    snprintf(subtitle, sizeof subtitle, "%s, %s: UA %.1f %%, WA %.1f %%", w->corpus->name, protocol_text,
             f->ua, f->wa);
    if (picture_path) {
        const ser_confusion_picture picture = {.title = "Confusion matrix",
                                               .subtitle = subtitle,
                                               .labels = (const char *const *)w->corpus->labels,
                                               .n_labels = f->n_labels,
                                               .counts = f->confusion};
        st = ser_save_confusion(picture_path, &picture, err);
    }
    if (st == SER_OK && reliability_path) {
        ser_reliability reliability;
        int *truth = ser_alloc(e->n, sizeof *truth);
        if (!truth)
            return ser_fail_nomem(err);
        for (size_t u = 0; u < e->n; u++)
            truth[u] = w->corpus->utterances[u].label;
        ser_reliability_compute(&reliability, e->scores, truth, e->n, e->n_labels);
        ser_free(truth);
        const ser_reliability_picture picture = {
            .title = "Reliability", .subtitle = subtitle, .reliability = &reliability};
        st = ser_save_reliability(reliability_path, &picture, err);
    }
    return st;
}

static ser_status save_all(const ser_workbench *w, const ser_evaluation *e, const json_t *report,
                           ser_error *err)
{
    ser_status st = save_pictures(w, e, err);
    if (st == SER_OK && json_path)
        st = ser_run_save_json("", json_path, report, err);
    if (st == SER_OK && html_path)
        st = ser_report_html_save(html_path, report, err);
    return st;
}

/* ---- one run ---- */

static ser_status make_report(json_t **report, const ser_workbench *w, const ser_folds *folds,
                              const ser_leaks *leaks, const ser_evaluation *e, const ser_learning *learning,
                              ser_error *err)
{
    ser_report_facts facts = ser_workbench_facts(w, &bench);
    json_t *given = ser_settings_to_json(&ser_command_evaluate);
    facts.folds = folds;
    facts.leaks = leaks;
    facts.evaluation = e;
    facts.protocol = protocol_text;
    facts.model_type = model_type;
    facts.config = ser_learning_config(given, learning, w, &network, &bench);
    ser_status st = facts.config ? ser_report_json(report, &facts, err) : ser_fail_nomem(err);
    json_decref(facts.config);
    json_decref(given);
    return st;
}

/* *report is the caller's. */
static ser_status evaluate_once(json_t **report, bool quiet, ser_error *err)
{
    ser_workbench w = {0};
    ser_protocol protocol = {0};
    ser_folds *folds = NULL;
    ser_leaks leaks = {0};
    ser_evaluation e = {0};
    ser_learning learning = {0};
    ser_condition condition = ser_condition_from_name(condition_name);
    ser_condense condense = ser_network_condense(&network, &bench);
    const ser_condense *frames = ser_model_type_has_networks(model_type) ? &condense : NULL;
    ser_progress progress = ser_progress_start();
    ser_status st = ser_protocol_parse(&protocol, protocol_text, err);
    protocol.folds_path = folds_path;
    if (st == SER_OK)
        st = ser_workbench_open(&w, &bench, condition, frames, &progress, err);
    if (st == SER_OK)
        st = ser_folds_new(&folds, w.corpus, &protocol, (uint64_t)bench.seed, err);
    if (st == SER_OK)
        st = ser_workbench_leaks(&leaks, &w, folds, err);
    if (st == SER_OK)
        st = ser_workbench_normalize(&w, ser_normalize_from_name(bench.normalize), NULL, err);
    if (st == SER_OK)
        st = ser_learning_open(&learning, &w, &bench, &network, model_type, &progress, err);
    learning.settings.n_inner_folds = (int)n_inner_folds;
    learning.settings.corpus_disjoint = protocol.kind == SER_PROTOCOL_LOCO;
    learning.settings.speaker_disjoint = !leaks.n_folds || leaks.speakers[0] == 0;
    const ser_evaluate_settings settings = {.learn = learning.settings, .seed = (uint64_t)bench.seed};
    if (st == SER_OK)
        st = ser_evaluate(&e, &learning.data, folds, &settings, err);
    ser_progress_clear();
    if (st == SER_OK)
        st = make_report(report, &w, folds, &leaks, &e, &learning, err);
    if (st == SER_OK && !quiet)
        print_summary(&w, folds, &leaks, &e, &learning);
    if (st == SER_OK && !quiet)
        st = save_all(&w, &e, *report, err);
    ser_evaluation_release(&e);
    ser_leaks_release(&leaks);
    ser_folds_free(&folds);
    ser_learning_close(&learning);
    ser_workbench_close(&w);
    return st;
}

/* The first seed's report, with the mean and the spread of all in it. */
static ser_status evaluate_seeds(json_t **report, ser_error *err)
{
    double sum = 0, sum_of_squares = 0;
    json_t *seeds = json_array();
    long first_seed = bench.seed;
    ser_status st = SER_OK;
    for (long i = 0; i < n_seeds && st == SER_OK; i++) {
        json_t *one = NULL;
        bench.seed = first_seed + i;
        st = evaluate_once(&one, i > 0, err);
        if (st != SER_OK)
            break;
        double ua = json_number_value(json_object_get(one, "ua"));
        sum += ua;
        sum_of_squares += ua * ua;
        json_array_append_new(seeds, json_pack("{s:I, s:f}", "seed", (json_int_t)bench.seed, "ua", ua));
        if (i == 0)
            *report = one;
        else
            json_decref(one);
    }
    bench.seed = first_seed;
    if (st == SER_OK && n_seeds > 1) {
        double mean = sum / (double)n_seeds;
        double variance = (sum_of_squares - mean * sum) / (double)(n_seeds - 1);
        json_object_set(*report, "seeds", seeds);
        json_object_set_new(*report, "ua_mean", json_real(mean));
        json_object_set_new(*report, "ua_sd", json_real(sqrt(fmax(variance, 0))));
        printf("UA over %ld seeds: %.2f, standard deviation %.2f\n", n_seeds, mean, sqrt(fmax(variance, 0)));
        if (json_path)
            st = ser_run_save_json("", json_path, *report, err);
    }
    json_decref(seeds);
    return st;
}

/* ---- running a report again ---- */

static double number(const json_t *report, const char *key)
{
    return json_number_value(json_object_get(report, key));
}

static bool same_text(const json_t *a, const json_t *b, const char *key)
{
    const char *x = json_string_value(json_object_get(a, key)),
               *y = json_string_value(json_object_get(b, key));
    return x && y && strcmp(x, y) == 0;
}

static ser_status compare_reports(const json_t *old, const json_t *new, ser_error *err)
{
    static const char *const keys[] = {"ua", "wa", "f1"};
    if (!same_text(old, new, "data_sha256"))
        return ser_fail(err, SER_E_FORMAT,
                        "the recordings are not the ones of the report (data_sha256 differs)");
    if (!same_text(old, new, "split_sha256"))
        return ser_fail(err, SER_E_FORMAT, "the folds are not the ones of the report (split_sha256 differs)");
    bool same_machine = same_text(old, new, "cpu") && same_text(old, new, "precision") &&
                        same_text(old, new, "version") && number(old, "jobs") == number(new, "jobs");
    double tolerance = same_machine ? 1e-7 : 0.5;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        double a = number(old, keys[i]), b = number(new, keys[i]);
        printf("%s: %.4f in the report, %.4f now\n", keys[i], a, b);
        if (!(fabs(a - b) <= tolerance))
            return ser_fail(err, SER_E_FORMAT, "%s differs by %.4f, more than %g", keys[i], fabs(a - b),
                            tolerance);
    }
    printf("Reproduced%s\n",
           same_machine ? "" : " (on another machine, version or number of threads: within 0.5 points)");
    return SER_OK;
}

static ser_status load_report(json_t **report, ser_error *err)
{
    json_error_t at;
    *report = json_load_file(reproduce_path, 0, &at);
    if (!*report)
        return ser_fail(err, SER_E_FORMAT, "%s: line %d: %s: name a report that 'ser evaluate --json' wrote",
                        reproduce_path, at.line, at.text);
    json_t *config = json_object_get(*report, "config");
    if (!json_is_object(config) || !json_is_string(json_object_get(*report, "data_sha256")))
        return ser_fail(err, SER_E_FORMAT, "%s: is no report of 'ser evaluate'", reproduce_path);
    ser_status st = ser_settings_from_json(&ser_command_evaluate, config, err);
    return st == SER_OK ? st : ser_fail_within(err, st, "%s: ", reproduce_path);
}

static int run(int argc, char **argv)
{
    ser_option_list rest = {0};
    ser_error err = {0};
    json_t *old = NULL, *report = NULL;
    int status;
    if (!ser_options_start(&ser_command_evaluate, argc, argv, &rest, &status))
        goto done;
    if (reproduce_path) {
        if (load_report(&old, &err) != SER_OK) {
            ser_say("%s", err.text);
            status = SER_EXIT_FAILED;
            goto done;
        }
        ser_option_list_release(
            &rest); /* once more, so that options on the command line replace the report's */
        if (!ser_options_start(&ser_command_evaluate, argc, argv, &rest, &status))
            goto done;
    }
    if (rest.n)
        status = ser_usage_error(&ser_command_evaluate, "'%s' is not expected here", rest.items[0]);
    else if (!bench.data)
        status = ser_usage_error(&ser_command_evaluate, "no corpus is named: give --data");
    else if (!protocol_text)
        status = ser_usage_error(&ser_command_evaluate, "no protocol is named: give --protocol");
    if (status != SER_EXIT_OK)
        goto done;
    ser_status st = evaluate_seeds(&report, &err);
    if (st == SER_OK && old)
        st = compare_reports(old, report, &err);
    if (st != SER_OK)
        ser_say("%s", err.text);
    status = ser_exit_status(st);
done:
    json_decref(report);
    json_decref(old);
    ser_option_list_release(&rest);
    return status;
}
