#include "report/escape.h"
#include "report/text.h"
#include "test.h"

static const ser_style plain = {.width = 80, .utf8 = true};
static const ser_style ascii = {.width = 80};
static const ser_style coloured = {.width = 80, .utf8 = true, .colour = true, .terminal = true};

static const char *const labels[] = {"angry", "happy", "sad"};
static const size_t counts[] = {8, 2, 0, 0, 10, 0, 0, 0, 0};

static void check_text(ser_text *t, const char *expected)
{
    CHECK(!t->failed && t->s && strcmp(t->s, expected) == 0);
    if (t->s && strcmp(t->s, expected) != 0)
        fprintf(stderr, "is:\n%s\nexpected:\n%s\n", t->s, expected);
    ser_text_release(t);
}

static void test_bars(void)
{
    ser_text t = {0};
    ser_append_bar(&t, 0.5, 4, plain);
    check_text(&t, "██  ");
    ser_append_bar(&t, 0.53125, 4, plain); /* 17 eighths */
    check_text(&t, "██▏ ");
    ser_append_bar(&t, 7, 3, plain);
    check_text(&t, "███");
    ser_append_bar(&t, NAN, 3, plain);
    check_text(&t, "   ");
    ser_append_bar(&t, 0.5, 4, ascii);
    check_text(&t, "##..");
}

static void test_fitted(void)
{
    ser_style narrow = coloured;
    ser_text t = {0};
    narrow.width = 12;
    ser_append_fitted(&t, "one two three four\n\n  a   table\n", narrow);
    check_text(&t, "one two\n  three four\n\n  a   table\n");
    ser_append_fitted(&t, "\033[1mUA 38.9 %\033[0m   \033[1mWA 7 %\033[0m   n 7\n",
                      narrow); /* colours take no room */
    check_text(&t, "\033[1mUA 38.9 %\033[0m\n  \033[1mWA 7 %\033[0m\n  n 7\n");
    ser_append_fitted(&t, "gefühlte Wörter", narrow); /* columns, not bytes */
    check_text(&t, "gefühlte\n  Wörter");
    ser_append_fitted(&t, "/a/long/folder/of/a/run\n", narrow);
    check_text(&t, "/a/long/folder/of/a/run\n");
    narrow.terminal = false;
    ser_append_fitted(&t, "one two three four\n", narrow);
    check_text(&t, "one two three four\n");
}

static void test_confusion(void)
{
    ser_text t = {0};
    ser_append_confusion(&t, labels, counts, 3, plain);
    check_text(&t, "truth  angry  happy    sad   right\n"
                   "angry      8      2      ·    80 %\n"
                   "happy      ·     10      ·   100 %\n"
                   "sad        ·      ·      ·       -\n");
    ser_append_confusion(&t, labels, counts, 3, ascii);
    CHECK(strstr(t.s, "angry      8      2      .    80 %\n"));
    ser_text_release(&t);
    ser_append_confusion(&t, labels, counts, 3, coloured);
    CHECK(strstr(t.s, "\033[48;5;25;38;5;231m\033[1m     8 \033[0m")); /* strong, and bold on the diagonal */
    CHECK(strstr(t.s, "\033[38;5;33m     2 \033[0m"));                 /* weaker, on a dark ground too */
    ser_text_release(&t);
}

/* Across corpora: rows and columns differ, what is right is said, and a row may be without. */
static void test_across_corpora(void)
{
    ser_text t = {0};
    static const char *const answers[] = {"angry", "bored"};
    static const size_t cells[] = {6, 2, 1, 4, 0, 3};
    static const bool right[] = {true, false, true, true, false, false};
    const ser_class_figures shared = {.precision = 0.5, .recall = 0.75, .f1 = 0.6, .support = 8};
    const ser_run_class classes[] = {{0.75, &shared}, {1, NULL}, {NAN, NULL}};
    ser_class_figures among_shared = shared;
    ser_figures figures = {.wa = 75, .n = 8, .n_labels = 1, .per_class = &among_shared};
    const ser_run_cross cross = {.matrix = {labels, answers, 3, 2, cells, right}, .classes = classes};
    const ser_run_report r = {.figures = &figures, .cross = &cross};
    ser_append_matrix(&t, &cross.matrix, plain);
    check_text(&t, "truth  angry  bored   right\n"
                   "angry      6      2    75 %\n"
                   "happy      1      4   100 %\n"
                   "sad        ·      3       -\n");
    ser_append_classification(&t, &r, plain);
    check_text(&t, "emotion           precision  recall  f1-score  support  by mapping\n"
                   "angry                  0.50    0.75      0.60        8        0.75\n"
                   "happy                     -       -         -        5        1.00\n"
                   "sad                       -       -         -        3           -\n"
                   "\n"
                   "accuracy                                 0.75        8\n"
                   "macro average          0.50    0.75      0.60        8\n"
                   "weighted average       0.50    0.75      0.60        8\n"
                   "Precision, recall and f1-score are those among the shared emotions.\n");
    figures = (ser_figures){0}; /* no emotion is shared: no means */
    ser_append_classification(&t, &r, plain);
    CHECK(!strstr(t.s, "average") && strstr(t.s, "by mapping"));
    ser_text_release(&t);
    const ser_run_fold models[] = {
        {.name = "fold-1", .ua = 50, .wa = 51.25, .lenient = 60},
        {.name = "fold-2", .ua = NAN, .wa = NAN, .lenient = NAN, .shared.duplicates = 3}};
    ser_append_cross_models(&t, models, 2, plain);
    check_text(&t, "model    UA shared   WA shared  by mapping\n"
                   "fold-1     50.0 %      51.2 %      60.0 %\n"
                   "fold-2          -           -           -  trained on 3 of these recordings\n");
}

/* Forty emotions with long names still give lines that stand under each other. */
static void test_many_labels(void)
{
    static size_t many[1600];
    const char *names[40];
    ser_text t = {0};
    for (size_t i = 0; i < 40; i++) {
        names[i] = i % 2 ? "a very long name of an emotion" : "日本語";
        many[i * 41] = 100 + i;
    }
    ser_append_confusion(&t, names, many, 40, plain);
    size_t n_lines = 0, width = 0;
    for (char *line = strtok(t.s, "\n"); line; line = strtok(NULL, "\n"), n_lines++) {
        CHECK(!width || ser_columns(line) == width);
        width = ser_columns(line);
    }
    CHECK(n_lines == 41);
    ser_text_release(&t);
}

static void test_headline(void)
{
    ser_figures f = {.ua = 95.23, .wa = 95.7, .f1 = 95.3, .ece = 2.3, .n = 535, .ua_ci95 = {92.9, 96.8}};
    ser_text t = {0};
    ser_append_headline(&t, &f, plain);
    check_text(&t, "UA 95.2 % (92.9–96.8)   WA 95.7 %   F1 95.3 %   ECE 2.3 %   n 535\n");
    ser_append_with_interval(&t, 50, (double[]){45, 60.5});
    check_text(&t, "50.0 % (45.0 to 60.5)");
    ser_append_with_interval(&t, 50, (double[]){50, 50}); /* of one speaker: it says nothing */
    check_text(&t, "50.0 %");
}

static void test_style(void)
{
    FILE *file = tmpfile();
    ser_style style = ser_style_of(file);
    CHECK(style.width == 80 && !style.terminal && !style.colour);
    fclose(file);
}

int main(void)
{
    test_bars();
    test_fitted();
    test_confusion();
    test_across_corpora();
    test_many_labels();
    test_headline();
    test_style();
    return test_summary();
}
