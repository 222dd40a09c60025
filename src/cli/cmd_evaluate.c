/* ser evaluate: train and test by a stated protocol, report the figures. */
#include "base/cpu.h"
#include "cli/commands.h"
#include "cli/job.h"
#include "cli/outputs.h"
#include "cli/progress.h"
#include "cli/together.h"
#include "corpus/known.h"
#include "io/file.h"
#include "io/json.h"
#include "report/formats.h"
#include "report/pictures.h"

#include <math.h>
#include <string.h>

static ser_run_evaluate_settings settings;
static const char *html_path, *picture_path, *reliability_path, *reproduce_path;

static const ser_option options[] = {
    {SER_OPTION_GROUP, .help = "Protocol"},
    SER_JOB_OPTION(
        ser_job_evaluate, settings, 0, "protocol", "PROTOCOL",
        "emobox (fold lists), loso (leave one speaker out), loco (leave one of the joined corpora out), "
        "kfold=K (random, stratified), group-kfold=K (speaker-disjoint), text-kfold=K (sentence-disjoint)",
        .suggested = SER_PROTOCOL_WORDS),
    SER_JOB_OPTION(ser_job_evaluate, settings, 0, "folds", "FILE",
                   "CSV with utterance,test_fold (default: the corpus's fold column)"),
    SER_JOB_OPTION(ser_job_evaluate, settings, 0, "honest", NULL,
                   "random folds, speakers, sentences and corpora left out besides (default protocol: "
                   "group-kfold=5)"),
    SER_JOB_OPTION(ser_job_evaluate, settings, 0, "test-condition", NULL, "alter the test recordings"),
    SER_JOB_OPTION(ser_job_evaluate, settings, 0, "seeds", "N",
                   "run seed ... seed+N-1, report mean and spread"),
    SER_JOB_PLACE(
        ser_job_evaluate, settings, 0, "fold", "I",
        "only the Ith fold, on whatever machine, into a run folder that 'ser merge' joins with the others"),
    SER_JOB_TUNING(ser_job_evaluate, settings),
    SER_JOB_DATA(ser_job_evaluate, settings),
    SER_JOB_TRAINING(ser_job_evaluate, settings),
    SER_JOB_NORMALIZE(ser_job_evaluate, settings),
    SER_JOB_LINEAR(ser_job_evaluate, settings),
    SER_JOB_NETWORK(ser_job_evaluate, settings),
    SER_JOB_OPTION(
        ser_job_evaluate, settings, 0, "micro-batch", "N",
        "recordings of a batch that are normalised and learned from together, the parts' gradients added; "
        "several ranks share them, to the same bits for any number (default: the whole batch)"),
    SER_JOB_ENCODER(ser_job_evaluate, settings),
    {SER_OPTION_GROUP, .help = "Output"},
    SER_JOB_JSON(),
    {SER_OPTION_STRING, 0, "html", &html_path, "FILE", "the report as a web page"},
    {SER_OPTION_STRING, 'p', "picture", &picture_path, "FILE", "the confusion matrix (.png or .svg)"},
    {SER_OPTION_STRING, 0, "reliability", &reliability_path, "FILE",
     "the reliability diagram (.png or .svg)"},
    SER_JOB_PLACE(ser_job_evaluate, settings, 0, "run", "DIR",
                  "run folder (default: runs/evaluate-CORPUS-FEATURES-DATE-TIME)"),
    SER_JOB_RESUME(),
    {SER_OPTION_STRING, 0, "reproduce", &reproduce_path, "REPORT.json",
     "run a report again and compare; options given besides replace the report's"},
    {SER_OPTION_END},
};

static const ser_job_command job;
static int run(int argc, char **argv);

const ser_command ser_command_evaluate = {
    .name = "evaluate",
    SER_JOB_RUNS(job),
    .run = run,
    .summary = "train and test by a protocol, report the figures",
    .usage = "",
    .description =
        "For every fold a model is trained on the training part alone, where layers, penalty and calibration "
        "are chosen as well by inner cross-validation, and answers for the test part. UA is the mean recall "
        "of the emotions, WA the share of right answers; intervals are over speakers.\n"
        "--layers weighted sums all hidden states of each encoder with one weight per layer, learned in each "
        "training part together with a softmax layer (Yang et al. 2021, SUPERB) and told for each fold.\n"
        "Before it begins, the program looks for what training and test parts share: speakers, texts, "
        "recordings. A tuned encoder that learned from recordings which would be tested is refused.",
    .examples = "ser evaluate --data EMODB --feature-type WHISPER --protocol loso\n"
                "ser evaluate --data EMODB --feature-type WHISPER --protocol emobox --folds "
                "emodb_test_folds.csv --html report.html\n"
                "ser evaluate --reproduce report.json",
    .options = options,
};

static const ser_job_command job = {
    .command = &ser_command_evaluate,
    .job = &ser_job_evaluate,
    .settings = &settings,
    .needs = {{"data", "no corpus is named: give --data"},
              {"protocol", "no protocol is named: give --protocol", "honest"}}};

/* ---- what is written besides ---- */

static ser_status within(ser_status st, const char *path, ser_error *err)
{
    return st == SER_OK ? st : ser_fail_within(err, st, "%s: ", path);
}

static ser_status save_pictures(const ser_run_report *r, ser_error *err)
{
    char subtitle[200];
    ser_status st = SER_OK;
    snprintf(subtitle, sizeof subtitle, "%.80s, %.40s: UA %.1f %%, WA %.1f %%", r->corpus, r->protocol,
             r->figures->ua, r->figures->wa);
    if (picture_path) {
        const ser_confusion_picture picture = {.title = "Confusion matrix",
                                               .subtitle = subtitle,
                                               .labels = r->labels,
                                               .n_labels = r->figures->n_labels,
                                               .counts = r->figures->confusion};
        st = within(ser_picture_save(picture_path, SER_PICTURE_CONFUSION, &picture, err), picture_path, err);
    }
    if (st == SER_OK && reliability_path) {
        ser_reliability reliability;
        const ser_reliability_picture picture = {
            .title = "Reliability", .subtitle = subtitle, .reliability = &reliability};
        st = ser_run_reliability(&reliability, r, err);
        if (st == SER_OK)
            st = within(ser_picture_save(reliability_path, SER_PICTURE_RELIABILITY, &picture, err),
                        reliability_path, err);
    }
    return st;
}

static ser_status save(const ser_run_result *r, ser_error *err)
{
    const ser_run_report *report = ser_run_result_report(r);
    const char *json = ser_run_result_json(r);
    ser_status st = report ? save_pictures(report, err) : SER_OK;
    if (st == SER_OK && ser_job_given.json && *json)
        st = within(ser_io_write(ser_job_given.json, json, strlen(json), err), ser_job_given.json, err);
    return st == SER_OK && html_path && report
               ? within(ser_run_page_save(html_path, report, err), html_path, err)
               : st;
}

/* ---- running a report again ---- */

/* The first version with the figures of this one: who computes others on purpose puts its own here. Where
 * there is AMX, or no AVX-512, and in 8 bits, 0.2.0 came with kernels of its own, whose last bits are
 * others; and it standardises each of the corpora joined by itself. */
static const int FIGURES_SINCE[3] = {0, 1, 0}, FIGURES_SINCE_0_2[3] = {0, 2, 0};

static bool has_these_figures(const json_t *report)
{
    int v[3] = {0, 0, 0};
    const char *precision = json_string_value(json_object_get(report, "precision")),
               *normalize = json_string_value(json_object_get(report, "normalize")),
               *corpus = json_string_value(json_object_get(report, "corpus"));
    const bool apart = normalize && strcmp(normalize, "corpus") == 0 && corpus && strchr(corpus, '+');
    const bool own_kernels = ser_cpu() & SER_CPU_AMX || !(ser_cpu() & SER_CPU_AVX512) ||
                             (precision && strcmp(precision, "int8") == 0);
    const int *since = own_kernels || apart ? FIGURES_SINCE_0_2 : FIGURES_SINCE;
    const char *text = json_string_value(json_object_get(report, "version"));
    if (!text || sscanf(text, "%d.%d.%d", &v[0], &v[1], &v[2]) != 3)
        return false;
    for (size_t i = 0; i < 3; i++)
        if (v[i] != since[i])
            return v[i] > since[i];
    return true;
}

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
    bool had_head = json_is_true(json_object_get(old, "starts_from_head"));
    if (had_head != json_is_true(json_object_get(new, "starts_from_head")))
        return ser_fail(err, SER_E_FORMAT,
                        had_head
                            ? "the report's linear model started from its encoder's head, and beside this "
                              "encoder lies none: copy head.safetensors, too"
                            : "the report's linear model started from nothing, and this one from the "
                              "head.safetensors beside its encoder: move that away");
    bool same_machine = same_text(old, new, "cpu") && same_text(old, new, "precision") &&
                        has_these_figures(old) && number(old, "jobs") == number(new, "jobs");
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
    ser_status st = ser_json_read(report, reproduce_path, 0, 0, err);
    if (st != SER_OK)
        return ser_fail_within(
            err, st,
            st == SER_E_FORMAT ? "%s: it is no report of 'ser evaluate --json': " : "%s: ", reproduce_path);
    json_t *config = json_object_get(*report, "config");
    if (!json_is_object(config) || !json_is_string(json_object_get(*report, "data_sha256")))
        return ser_fail(
            err, SER_E_FORMAT,
            "%s: it is no report of 'ser evaluate': name one that --json wrote, or a run's report.json",
            reproduce_path);
    ser_job_init(&job);
    st = ser_run_settings_from_json(&ser_job_evaluate, &settings, config, &ser_job_given.kept.listed, NULL,
                                    err);
    return st == SER_OK ? st : ser_fail_within(err, st, "%s: ", reproduce_path);
}

/* The settings of the report, with those on the command line in their place. */
static bool start_again(json_t **old, int argc, char **argv, int *status)
{
    ser_error err = {0};
    if (load_report(old, &err) != SER_OK) {
        ser_say("%s", err.text);
        *status = SER_EXIT_FAILED;
        return false;
    }
    settings.place.without = 1; /* only the comparison is asked for */
    if (!ser_job_parse(&job, argc, argv, NULL, status))
        return false;
    settings.place.without = !settings.place.folder;
    return ser_job_check_needs(&job, status);
}

static ser_status evaluate(const json_t *old, ser_error *err)
{
    ser_run_result *r = NULL;
    ser_status st = ser_job_run(&r, &job, err);
    if (st == SER_OK)
        ser_job_print(r);
    if (st == SER_OK && ser_together_is_first())
        st = save(r, err);
    if (st == SER_OK && old && ser_together_is_first()) {
        json_t *new = NULL;
        const char *text = ser_run_result_json(r);
        bool loaded = text && ser_json_load(&new, text, strlen(text), 0, NULL) == SER_OK;
        st = loaded ? compare_reports(old, new, err) : ser_fail_nomem(err);
        json_decref(new);
    }
    ser_run_result_free(&r);
    return st;
}

static bool outputs_fit(int *status)
{
    const ser_command *c = &ser_command_evaluate;
    const char *made = ser_job_folder(&job);
    return !ser_together_is_first() || (ser_output_fits(c, "json", ser_job_given.json, made, status) &&
                                        ser_output_fits(c, "html", html_path, made, status) &&
                                        ser_picture_fits(c, "picture", picture_path, made, status) &&
                                        ser_picture_fits(c, "reliability", reliability_path, made, status));
}

static int run(int argc, char **argv)
{
    ser_error err = {0};
    json_t *old = NULL;
    int status;
    bool go_on = ser_job_parse(&job, argc, argv, NULL, &status);
    if (go_on && reproduce_path)
        go_on = start_again(&old, argc, argv, &status);
    else if (go_on)
        go_on = ser_job_start(&job, argc, argv, &status);
    if (go_on && outputs_fit(&status)) {
        ser_status st = evaluate(old, &err);
        if (st != SER_OK)
            ser_say("%s", err.text);
        status = ser_exit_status(st);
    }
    json_decref(old);
    ser_job_release();
    return status;
}
