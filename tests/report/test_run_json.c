/* report.json from the struct of a run. */
#include "report/run_json.h"
#include "run_example.h"

static run_example example;

static const json_t *at(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    CHECK(value);
    return value;
}

static double number(const json_t *object, const char *key)
{
    return json_number_value(at(object, key));
}

static const char *word(const json_t *object, const char *key)
{
    const char *s = json_string_value(at(object, key));
    return s ? s : "";
}

static void test_one_corpus(void)
{
    json_t *json = ser_run_report_json(&example.report);
    const json_t *folds = at(json, "folds"), *all = at(json, "predictions"), *first = json_array_get(all, 0);
    CHECK(json_array_size(folds) == 10 && json_array_size(all) == RUN_N && number(json, "n") == RUN_N);
    CHECK(number(json, "ua") == example.figures.ua && number(json, "ece") == example.figures.ece);
    CHECK(number(json_array_get(folds, 0), "n_train") == RUN_N - RUN_N / 10);
    CHECK(json_array_size(at(at(json, "leaks"), "texts")) == 10); /* of models, not of their average */
    CHECK(strcmp(word(first, "label"), "angry") == 0 &&
          json_object_size(at(first, "scores")) == RUN_N_LABELS);
    CHECK(!json_object_get(first, "start") && !json_object_get(first, "right"));
    CHECK(number(json, "ua_mean") == 88.9 && json_array_size(at(json, "seeds")) == 3);
    CHECK(json_equal(at(json, "config"), example.config) && json_is_null(at(json, "cpu")));
    CHECK(!json_object_get(json, "honest") && !json_object_get(json, "ranks") &&
          !json_object_get(json, "unheard"));
    json_decref(json);
}

static void test_layers(void)
{
    const ser_run_block two[] = {{NULL, 0}, {"WHISPER", 2}, {"WHISPER", 3}, {"HUBERT", 9}};
    const float weights[] = {0.5F, 0.125F, 0.25F, 0.5F};
    json_t *one = ser_run_layers_json(two, 3, 5), *wanted = json_pack("[i]", 3);
    CHECK(json_equal(one, wanted));
    json_decref(one);
    json_decref(wanted);
    one = ser_run_layers_json(two, 4, 2); /* an encoder of which nothing is used is told, too */
    wanted = json_pack("{s:[i], s:[]}", "WHISPER", 2, "HUBERT");
    CHECK(json_equal(one, wanted));
    json_decref(one);
    json_decref(wanted);
    one = ser_run_layer_weights_json(two, 4, weights);
    wanted = json_pack("{s:[f, f], s:[f]}", "WHISPER", 0.125, 0.25, "HUBERT", 0.5);
    CHECK(json_equal(one, wanted));
    json_decref(one);
    json_decref(wanted);
}

static void test_corpora_left_out(void)
{
    static const size_t excluded[RUN_N_LABELS] = {0, 3};
    const ser_run_honest rows[] = {
        {.what = "corpora left out",
         .protocol = "loco",
         .reason = "",
         .figures = &example.figures,
         .corpora_left_out = true,
         .left_out = {.ua_restricted = 40, .ua_open = 30, .ece = 20},
         .lost = 5},
        {.what = "sentences left out", .protocol = "text-kfold=5", .reason = "no texts are known"}};
    ser_run_report r = example.report;
    ser_run_fold fold = example.folds[0];
    fold.left_out = (ser_run_left_out){.ua_restricted = 60, .ua_open = 50, .ece = 12, .excluded = excluded};
    r.folds = &fold;
    r.n_folds = 1;
    r.corpora_left_out = true;
    r.left_out = (ser_run_left_out){.ua_restricted = 61, .ua_open = 51, .ece = 13};
    r.honest = rows;
    r.n_honest = 2;
    json_t *json = ser_run_report_json(&r);
    const json_t *own = json_array_get(at(json, "folds"), 0), *list = at(json, "honest");
    CHECK(number(json, "ece") == 13 && number(json, "ua_open") == 51 && number(own, "ua_restricted") == 60);
    CHECK(json_object_size(at(own, "excluded")) == 1 && number(at(own, "excluded"), "boredom") == 3);
    CHECK(number(json_array_get(list, 0), "ua_open") == 30 && number(json_array_get(list, 0), "lost") == 5);
    CHECK(!json_object_get(own, "by_speaker")); /* nothing is scored */
    CHECK(strcmp(word(json_array_get(list, 1), "reason"), "no texts are known") == 0);
    json_decref(json);
    ser_run_figure extras[SER_MAX_EXTRAS]; /* those that the others show are the same */
    CHECK(ser_run_extras(extras, &r) == 5 && extras[1].value == 51 && extras[3].value == example.figures.ua);
}

/* Boredom of the source counts as calm; of the target nothing counts as neutral. */
static void test_across(void)
{
    static const char *const truths[] = {"angry", "calm", "neutral"}, *const answers[] = {"angry", "boredom"};
    static const size_t counts[] = {5, 1, 2, 2, 0, 1};
    static const bool right[] = {true, false, false, true, false, false};
    const ser_class_figures shared = {.precision = 0.5, .recall = 0.75, .f1 = 0.6};
    const ser_run_class classes[] = {{0.8, &shared}, {0.5, NULL}, {NAN, NULL}};
    ser_figures none = {.ua = NAN, .ua_ci95 = {NAN, NAN}, .wa_ci95 = {NAN, NAN}};
    const ser_run_cross cross = {.source = "ours",
                                 .target = "theirs",
                                 .mapping = "table",
                                 .matrix = {truths, answers, 3, 2, counts, right},
                                 .classes = classes,
                                 .shared = truths,
                                 .n_shared = 1,
                                 .figures = &none,
                                 .lenient = 70,
                                 .lenient_ci95 = {60, NAN}};
    const float scores[] = {0.25F, 0.75F};
    const ser_run_prediction heard[] = {
        {.file = "a.wav", .truth = 1, .predicted = 1, .scores = scores},
        {.file = "b.wav", .truth = 2, .predicted = 1, .scores = scores, .start_s = 1.5},
        {.file = "c.wav", .truth = SER_RUN_NO_TRUTH, .predicted = 1, .scores = scores, .end_s = 2}};
    ser_run_report r = {.corpus = "theirs",
                        .cross = &cross,
                        .figures = &none,
                        .labels = truths,
                        .intervals_over = "speakers",
                        .predictions = heard,
                        .n_predictions = 3};
    json_t *json = ser_run_report_json(&r);
    const json_t *all = at(json, "predictions"), *second = json_array_get(all, 1);
    CHECK(json_is_null(at(json, "ua_shared")) && json_is_null(at(json, "acc_lenient_ci95")));
    CHECK(json_array_size(at(json, "ua_ci95")) == 2 && strcmp(word(json, "ci95_over"), "speakers") == 0);
    CHECK(number(at(json, "excluded"), "neutral") == 1 && json_object_size(at(json, "excluded")) == 1);
    CHECK(number(json_array_get(at(json, "per_class"), 0), "recall") == 75);
    CHECK(!json_object_get(json_array_get(at(json, "per_class"), 1), "recall"));
    CHECK(strcmp(json_string_value(json_array_get(at(at(at(json, "mapping"), "counts_as"), "boredom"), 0)),
                 "calm") == 0);
    CHECK(json_is_true(at(json_array_get(all, 0), "right")) && json_is_null(at(second, "right")));
    CHECK(number(second, "start") == 1.5 && json_is_null(at(second, "end")));
    CHECK(json_is_null(at(json_array_get(all, 2), "label")) && number(json_array_get(all, 2), "end") == 2);
    json_decref(json);
    const ser_run_adaptation both = {&cross, &cross, true, "it is nearer", 90};
    r.adaptation = &both;
    r.unheard_across = &cross;
    json = ser_run_report_json(&r);
    CHECK(number(at(json, "before"), "acc_lenient") == 70 &&
          number(at(json, "unheard"), "acc_lenient") == 70);
    CHECK(strcmp(word(json, "kept"), "adapted") == 0 && number(json, "agreement") == 90);
    json_decref(json);
}

/* Any bytes are names; nothing but the least is there. */
static void test_hostile(void)
{
    static const char *const labels[RUN_N_LABELS] = {"\xff", "\"", "\n", "d", "e", "f", "g"};
    ser_run_report r = {.labels = labels, .figures = &example.figures, .corpus = "\xff\xfe"};
    json_t *json = ser_run_report_json(&r);
    CHECK(json && strcmp(json_string_value(json_array_get(at(json, "labels"), 0)), "\xEF\xBF\xBD") == 0);
    json_decref(json);
}

int main(void)
{
    run_example_init(&example, 10);
    test_one_corpus();
    test_layers();
    test_corpora_left_out();
    test_across();
    test_hostile();
    run_example_release(&example);
    return test_summary();
}
