/* What is made of a run: curves, page, spreadsheet (its contents: test_spreadsheet.py), per-class table. */
#include "base/memory.h"
#include "failures/failing.h"
#include "report/formats.h"
#include "report/pictures.h"
#include "report/run_page.h"
#include "report/summary.h"
#include "report/text.h"
#include "run_example.h"
#include "scratch.h"

static run_example example;

static size_t count(const char *text, const char *words)
{
    size_t n = 0;
    while ((text = strstr(text, words)) != NULL) {
        n++;
        text++;
    }
    return n;
}

static ser_text svg_of(const ser_curves_picture *p)
{
    ser_error err = {0};
    ser_text t = {0};
    ser_chart *c;
    CHECK_OK(ser_draw_curves(&c, SER_CHART_SVG, p, &err), &err);
    CHECK_OK(ser_chart_append(c, &t, &err), &err);
    ser_chart_free(&c);
    return t;
}

static void test_curves(void)
{
    /* Epochs without a value leave a gap: two lines, then one dot. */
    ser_run_epoch epochs[] = {{1, 2.0, 2.0, 20, 20, 1, 1},  {2, 1.5, 1.6, 40, 30, 1, 1},
                              {3, 1.2, NAN, 50, NAN, 1, 1}, {4, 1.0, 1.2, 60, 55, 1, 1},
                              {5, 0.9, 1.3, 70, 50, 1, 1},  {6, 0.8, NAN, 80, NAN, 1, 1},
                              {7, 0.7, 1.4, 90, 45, 1, 1}};
    ser_run_fold folds[] = {{.name = "<a&b>", .kept_epoch = 4, .epochs = epochs, .n_epochs = 7},
                            {.name = "without epochs"}};
    ser_curves_picture p = {"Loss", NULL, SER_CURVE_LOSS, folds, 2};
    ser_text t = svg_of(&p);
    CHECK(count(t.s, "stroke-linejoin") == 3); /* training, and twice validation */
    CHECK(strstr(t.s, "Fold &lt;a&amp;b&gt;") && !strstr(t.s, "without epochs"));
    CHECK(strstr(t.s, "epoch 4: 1.200") && count(t.s, "#d84a3c") == 4); /* legend and panel: line and mark */
    ser_text_release(&t);
    p.what = SER_CURVE_ACCURACY;
    t = svg_of(&p);
    CHECK(strstr(t.s, "epoch 4: 55.0 %") && strstr(t.s, ">100 %<"));
    ser_text_release(&t);
    folds[0].kept_epoch = 3; /* where validation was not measured */
    t = svg_of(&p);
    CHECK(strstr(t.s, "epoch 3: 50.0 %"));
    ser_text_release(&t);
}

/* A chart as wide as a phone has two folds beside each other, and one under the other what has a longer name.
 */
static void test_narrow_curves(void)
{
    ser_run_epoch epochs[] = {{1, 2.0, 2.0, 20, 20, 1, 1}, {2, 1.5, 1.6, 40, 30, 1, 1}};
    ser_run_fold folds[4];
    for (size_t i = 0; i < 4; i++)
        folds[i] = (ser_run_fold){.name = "1", .epochs = epochs, .n_epochs = 2};
    ser_curves_picture p = {.what = SER_CURVE_LOSS, .folds = folds, .n_folds = 4, .narrow = true};
    for (int models = 0; models < 2; models++) {
        ser_text t = svg_of(&p);
        CHECK(strstr(t.s, models ? "viewBox=\"0 0 428 " : "viewBox=\"0 0 462 "));
        CHECK(count(t.s, ">2.0<") == (models ? 4 : 2)); /* numbers beside the first of each row */
        ser_text_release(&t);
        folds[3].is_model = true;
    }
}

static void test_odd_curves(void)
{
    ser_error err = {0};
    ser_chart *c;
    ser_run_epoch one = {1, 0.5, NAN, 50, NAN, 1, 1}, nothing = {1, NAN, NAN, NAN, NAN, NAN, NAN};
    ser_run_epoch wild[] = {{1, 1e30, 9, 0, 0, 1, 1}, {2, 1, 2, 10, 10, 1, 1}};
    ser_run_fold fold = {.name = "1"};
    ser_curves_picture p = {.what = SER_CURVE_LOSS, .folds = &fold, .n_folds = 1};
    CHECK_FAILS(ser_draw_curves(&c, SER_CHART_SVG, &p, &err), SER_E_ARG, &err, "no epoch");
    CHECK(c == NULL);
    fold.n_epochs = 1;
    fold.epochs = &one;
    ser_text t = svg_of(&p);
    CHECK(count(t.s, "stroke-linejoin") == 0);
    CHECK(strstr(t.s, ">training<") && !strstr(t.s, ">validation<")); /* the legend has what there is */
    ser_text_release(&t);
    fold.epochs = &nothing;
    t = svg_of(&p);
    CHECK(!strstr(t.s, "nan"));
    ser_text_release(&t);
    fold.epochs = wild;
    fold.n_epochs = 2;
    t = svg_of(&p); /* one giant first loss does not press the rest flat */
    CHECK(strstr(t.s, ">6<") && !strstr(t.s, "e+"));
    ser_text_release(&t);
}

static void test_classification(void)
{
    /* As scikit-learn 1.9's classification_report has it, but for the names of the last two lines. */
    static const int truth[] = {0, 0, 0, 0, 1, 1, 2, 2, 2, 2, 2},
                     answer[] = {0, 0, 0, 1, 1, 1, 0, 2, 2, 2, 2};
    static const char *const names[] = {"angry", "fear", "sad"};
    float scores[11][3] = {0};
    for (size_t i = 0; i < 11; i++)
        scores[i][answer[i]] = 1;
    ser_error err = {0};
    ser_figures f;
    ser_text t = {0};
    CHECK_OK(ser_figures_compute(&f, scores[0], truth, NULL, 11, 3, 0, 46, &err), &err);
    const ser_run_report r = {.labels = names, .figures = &f};
    ser_append_classification(&t, &r, (ser_style){.width = 80, .utf8 = true});
    CHECK(strcmp(t.s, "emotion           precision  recall  f1-score  support\n"
                      "angry                  0.75    0.75      0.75        4\n"
                      "fear                   0.67    1.00      0.80        2\n"
                      "sad                    1.00    0.80      0.89        5\n"
                      "\n"
                      "accuracy                                 0.82       11\n"
                      "macro average          0.81    0.85      0.81       11\n"
                      "weighted average       0.85    0.82      0.82       11\n") == 0);
    ser_text_release(&t);
    ser_figures_release(&f);
}

static void test_page(void)
{
    ser_error err = {0};
    ser_text t = {0};
    ser_run_report r = example.report;
    CHECK_OK(ser_run_page(&t, &r, &err), &err);
    CHECK(count(t.s, "<svg") == 6 &&
          !strstr(t.s, "<script")); /* curves twice: for a wide page and a narrow one */
    CHECK(count(t.s, "<figure class=\"narrow\">") == 2 && count(t.s, "<figure class=\"wide\">") == 2);
    /* Where a row is a block, its cells say which column they are of. */
    CHECK(strstr(t.s, "<table class=\"many\"><thead><tr><th>Fold</th>"));
    CHECK(strstr(t.s, "<th scope=\"row\" data-name=\"Fold\">1</th><td data-name=\"Training\">434</td>"));
    CHECK(strstr(t.s, "share no speaker and no recording") && strstr(t.s, "UA over all seeds"));
    CHECK(strstr(t.s, "<th>Validation</th>") && strstr(t.s, "<th>Kept epoch</th>"));
    CHECK(strstr(t.s, "Fold 10<") && strstr(t.s, "batch_size") && strstr(t.s, "The most confident mistakes"));
    CHECK(strstr(t.s, "<tr class=\"total\"><th scope=\"row\">average of all</th>"));
    CHECK(!strstr(t.s, "nan") && strstr(t.s, "Version <b>ser 0.1.0</b>"));
    ser_text_release(&t);
    r = (ser_run_report){.labels = r.labels, .figures = r.figures}; /* what must be there, and nothing else */
    CHECK_OK(ser_run_page(&t, &r, &err), &err);
    CHECK(count(t.s, "<svg") == 1 && !strstr(t.s, "Folds") && !strstr(t.s, "(null)"));
    ser_text_release(&t);
    r.drawn = "<svg>what only the run could draw</svg>";
    CHECK_OK(ser_run_page(&t, &r, &err), &err);
    CHECK(count(t.s, "<svg") == 2 && strstr(t.s, "only the run") < strstr(t.s, "Who is taken for whom"));
    ser_text_release(&t);
}

static void test_leaks(void)
{
    ser_error err = {0};
    ser_text t = {0};
    ser_run_report r = example.report;
    ser_run_note notes[] = {{"12 recordings were in the model's <training> part", true}};
    ser_run_fold folds[] = {{.name = "1", .shared = {2, 9, 0, -1}},
                            {.name = "2", .shared = {0, 9, 0, -1}},
                            {.name = "average", .combined = true, .shared = {50, 50, 50, 50}}};
    r.folds = folds;
    r.n_folds = 3;
    r.notes = notes;
    r.n_notes = 1;
    CHECK_OK(ser_run_page(&t, &r, &err), &err);
    CHECK(strstr(t.s, "are not independent") &&
          strstr(t.s, "<b>speakers</b> shared in 1 of 2 folds, up to 2: "));
    CHECK(strstr(t.s, "<b>sentences</b> shared in 2 of 2 folds, up to 9: ") && !strstr(t.s, "<b>takes"));
    CHECK(strstr(t.s, "<li>12 recordings were in the model&#39;s &lt;training&gt; part</li>"));
    ser_text_release(&t);
    folds[0].shared = folds[1].shared =
        (ser_run_shared){-1, -1, 0, -1}; /* not independent for all that is known */
    CHECK_OK(ser_run_page(&t, &r, &err), &err);
    CHECK(strstr(t.s, "speakers cannot be told") && !strstr(t.s, "share no speaker") &&
          !strstr(t.s, "box good"));
    CHECK(strstr(t.s, "<h2>Folds") && !strstr(t.s, "<th>Validation</th>") && !strstr(t.s, "<th>Kept epoch"));
    ser_text_clear(&t);
    ser_append_run(&t, &r, (ser_style){.width = 80});
    CHECK(strstr(t.s, "speakers cannot be told"));
    ser_text_release(&t);
}

static void test_hostile_page(void)
{
    static const char *const labels[RUN_N_LABELS] = {
        "<script>alert(1)</script>", "\"><img src=x>", "\xff\xfe", "", "a\nb", "\x1b[2J",
        "\xE2\x80\xAE日本語"};
    ser_error err = {0};
    ser_text t = {0};
    ser_run_report r = example.report;
    r.labels = labels;
    r.title = r.corpus = r.features = labels[0];
    CHECK_OK(ser_run_page(&t, &r, &err), &err);
    CHECK(!strstr(t.s, "<script") && !strstr(t.s, "<img") && !strchr(t.s, 0x1b) && !strchr(t.s, '\xff'));
    CHECK(strstr(t.s, "&lt;script&gt;") && !strstr(t.s, "\xE2\x80\xAE") && strstr(t.s, "\xEF\xBF\xBD日本語"));
    /* And if some of it did get through, nothing runs and nothing is fetched. */
    CHECK(
        strstr(t.s, "\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "));
    CHECK(strstr(t.s, "Content-Security-Policy") < strstr(t.s, "<title>"));
    ser_text_release(&t);
}

typedef ser_status (*saver)(const char *path, const ser_run_report *r, ser_error *err);

static ser_status save_curves(const char *path, const ser_run_report *r, ser_error *err)
{
    ser_curves_picture p = {"Loss", NULL, SER_CURVE_LOSS, r->folds, r->n_folds};
    return ser_picture_save(path, SER_PICTURE_CURVES, &p, err);
}

static const struct {
    const char *name;
    saver save;
} files[] = {{"metrics.xlsx", ser_spreadsheet_save},
             {"report.html", ser_run_page_save},
             {"loss.svg", save_curves},
             {"loss.png", save_curves}};

static char *slurp(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    static char bytes[2][1 << 21];
    static int next;
    char *to = bytes[next++ % 2];
    *n = f ? fread(to, 1, sizeof bytes[0], f) : 0;
    CHECK(f && fclose(f) == 0);
    return to;
}

/* Whole files only, the same bytes each time, and one clear line where there is no room. */
static void test_files(void)
{
    scratch_make();
    ser_error err = {0};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        size_t n, m;
        CHECK_OK(files[i].save(scratch(files[i].name), &example.report, &err), &err);
        const char *first = slurp(scratch(files[i].name), &n);
        CHECK_OK(files[i].save(scratch(files[i].name), &example.report, &err), &err);
        const char *again = slurp(scratch(files[i].name), &m);
        CHECK(n > 1000 && n == m && memcmp(first, again, n) == 0);
        CHECK(remove(scratch(files[i].name)) == 0 && symlink("/dev/full", scratch(files[i].name)) == 0);
        CHECK_FAILS(files[i].save(scratch(files[i].name), &example.report, &err), SER_E_IO, &err,
                    "free some space");
        CHECK(remove(scratch(files[i].name)) == 0);
        char missing[64];
        snprintf(missing, sizeof missing, "none/%s", files[i].name);
        CHECK_FAILS(files[i].save(scratch(missing), &example.report, &err), SER_E_IO, &err, "folder");
    }
    CHECK(scratch_count("") == 0);
    scratch_remove();
}

/* Every allocation of ours fails once; nothing appears under the final name. */
static void test_out_of_memory(void)
{
    scratch_make();
    run_example small = example;
    small.report.n_predictions = 3;
    small.report.n_folds = 1;
    small.folds[0].n_epochs = 3;
    small.report.folds = small.folds;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        ser_status st = SER_E_NOMEM;
        long n;
        for (n = 0; st == SER_E_NOMEM && n < 100000; n++) {
            ser_error err = {0};
            failing_at(n);
            st = files[i].save(scratch(files[i].name), &small.report, &err);
            failing_at(-1);
            if (st == SER_E_NOMEM &&
                (access(scratch(files[i].name), F_OK) == 0 || !strstr(err.text, "memory")))
                break;
        }
        CHECK(st == SER_OK && n > 3);
    }
    scratch_remove();
}

int main(void)
{
    run_example_init(&example, 10);
    test_curves();
    test_narrow_curves();
    test_odd_curves();
    test_classification();
    test_page();
    test_leaks();
    test_hostile_page();
    test_files();
    test_out_of_memory();
    run_example_release(&example);
    return test_summary();
}
