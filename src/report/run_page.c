#include "report/run_page.h"
#include "base/memory.h"
#include "io/file.h"
#include "report/escape.h"
#include "report/formats.h"
#include "report/html_parts.h"
#include "report/pictures.h"
#include "report/setup.h"
#include "report/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct page {
    ser_text *t;
    const ser_run_report *r;
} page;

static void append_fact(ser_text *t, const char *name, const char *value)
{
    if (!value || !*value)
        return;
    ser_text_appendf(t, "<span>%s <b>", name);
    ser_append_xml(t, value);
    ser_text_append(t, "</b></span>\n");
}

static void append_head(page *p)
{
    const ser_run_report *r = p->r;
    char n[24], program[SER_RUN_PROGRAM];
    snprintf(n, sizeof n, "%zu", ser_run_n(r));
    const char *title = r->title ? r->title : r->corpus ? r->corpus : "Run";
    ser_html_begin(p->t, title);
    ser_text_append(p->t, "<p class=\"facts\">");
    if (r->corpus && strcmp(r->corpus, title) != 0)
        append_fact(p->t, "Corpus", r->corpus);
    append_fact(p->t, "Protocol", r->protocol);
    append_fact(p->t, "Features", r->features);
    append_fact(p->t, "Model", r->model_type);
    append_fact(p->t, "Recordings", n);
    append_fact(p->t, "Version", ser_run_program(program, r));
    append_fact(p->t, "Made", r->date);
    ser_text_append(p->t, "</p>\n</header>\n");
}

static void append_figure(ser_text *t, const ser_run_figure *f)
{
    bool percent = f->unit && f->unit[0] == '%';
    bool has_interval = isfinite(f->interval[0]) && isfinite(f->interval[1]);
    if (isfinite(f->value))
        ser_html_card(t, f->name, f->meaning ? f->meaning : "", percent ? " %" : "", f->value,
                      has_interval ? f->interval : NULL);
}

static void append_figures(page *p)
{
    ser_run_figure figures[SER_N_HEADLINES];
    ser_run_headlines(figures, p->r);
    ser_text_append(p->t, "<section class=\"cards\">\n");
    for (size_t i = 0; i < SER_N_HEADLINES; i++)
        append_figure(p->t, &figures[i]);
    ser_run_figure extras[SER_MAX_EXTRAS];
    size_t n = ser_run_extras(extras, p->r);
    for (size_t i = 0; i < n; i++)
        append_figure(p->t, &extras[i]);
    ser_text_append(p->t, "</section>\n");
    if (!ser_run_resampled(p->r))
        return;
    ser_text_append(p->t, "<p class=\"note\">Bands of UA and WA: 95 % intervals by resampling ");
    ser_append_xml(p->t, ser_run_resampled(p->r));
    ser_text_append(p->t, p->r->corpora_left_out
                              ? "; of means over corpora left out, of each corpus by itself.</p>\n"
                              : ".</p>\n");
}

static void append_notes(page *p, bool serious)
{
    size_t n = 0;
    for (size_t i = 0; i < p->r->n_notes; i++)
        n += p->r->notes[i].serious == serious;
    if (!n)
        return;
    ser_text_appendf(p->t, "<section class=\"box%s\"><h2>%s</h2>\n<ul>\n", serious ? " bad" : "",
                     serious ? "Read this first" : "Notes");
    for (size_t i = 0; i < p->r->n_notes; i++)
        if (p->r->notes[i].serious == serious)
            ser_html_element(p->t, "li", p->r->notes[i].text);
    ser_text_append(p->t, "</ul></section>\n");
}

static void append_shared(page *p)
{
    ser_shared_count counts[SER_N_SHARED];
    for (size_t i = 0; i < SER_N_SHARED; i++)
        counts[i] = ser_run_count_shared(p->r, i);
    ser_html_shared(p->t, counts);
}

/* ---- pictures ---- */

/* Appends and frees what was drawn. */
static ser_status finish_chart(page *p, ser_chart **c, ser_status drawn, ser_error *err)
{
    ser_status st = drawn == SER_OK ? ser_html_chart(p->t, *c, NULL, err) : drawn;
    ser_chart_free(c);
    return st;
}

static ser_status append_curves(page *p, ser_error *err)
{
    static const struct {
        const char *title;
        ser_curve what;
    } curves[] = {{"Loss", SER_CURVE_LOSS}, {"Accuracy", SER_CURVE_ACCURACY}};
    ser_status st = SER_OK;
    bool any = false;
    for (size_t i = 0; i < p->r->n_folds; i++)
        any |= p->r->folds[i].n_epochs > 0;
    for (size_t i = 0; any && i < sizeof curves / sizeof *curves && st == SER_OK; i++) {
        const ser_curves_picture picture = {
            .title = curves[i].title, .what = curves[i].what, .folds = p->r->folds, .n_folds = p->r->n_folds};
        ser_text_append(p->t, "<section class=\"pictures\">\n");
        st = ser_picture_append(p->t, SER_PICTURE_CURVES, &picture, err);
        ser_text_append(p->t, "</section>\n");
    }
    return st;
}

static ser_status append_pictures(page *p, ser_error *err)
{
    const ser_run_report *r = p->r;
    ser_chart *c = NULL;
    const ser_matrix matrix = ser_run_matrix(r);
    ser_confusion_picture confusion = {
        .title = "Who is taken for whom",
        .subtitle = r->cross ? "Share and number of each row; framed: what counts as right"
                             : "Share and number of each row",
        .matrix = &matrix};
    if (!matrix.n_truths)
        return SER_OK;
    ser_text_append(p->t, "<section class=\"pictures\">\n");
    ser_status st = finish_chart(p, &c, ser_draw_confusion(&c, SER_CHART_HTML, &confusion, err), err);
    if (st == SER_OK && r->n_predictions && r->figures->n) {
        ser_reliability reliability;
        char subtitle[64];
        st = ser_run_reliability(&reliability, r, err);
        if (st != SER_OK)
            return st;
        snprintf(subtitle, sizeof subtitle, "Calibration error (ECE) %.1f %%%s", reliability.ece,
                 r->cross ? ", shared emotions" : "");
        ser_reliability_picture picture = {"Are the probabilities right?", subtitle, &reliability};
        st = finish_chart(p, &c, ser_draw_reliability(&c, SER_CHART_HTML, &picture, err), err);
    }
    ser_text_append(p->t, "</section>\n");
    return st;
}

/* ---- tables ---- */

static double or_none(size_t n)
{
    return n ? (double)n : NAN;
}

enum { FOLD, TRAINING, VALIDATION, TEST, UA, WA, F1, LENIENT, LOSS, KEPT_EPOCH, SECONDS, N_FOLD_COLUMNS };

static void append_fold(ser_text *t, const ser_run_fold *f, const ser_html_column columns[N_FOLD_COLUMNS])
{
    const double shares[] = {f->ua, f->wa, f->f1, f->lenient};
    ser_text_append(t, f->combined ? "<tr class=\"total\"><th scope=\"row\"" : "<tr><th scope=\"row\"");
    if (!f->combined && !f->is_model)
        ser_text_appendf(t, " data-name=\"%s\"", columns[FOLD].name);
    ser_text_append(t, ">");
    ser_append_xml(t, f->name);
    ser_text_append(t, "</th>");
    ser_html_number(t, or_none(f->n_train), 0, &columns[TRAINING]);
    ser_html_number(t, or_none(f->n_validation), 0, &columns[VALIDATION]);
    ser_html_number(t, or_none(f->n_test), 0, &columns[TEST]);
    for (size_t i = UA; i <= LENIENT; i++)
        ser_html_share(t, shares[i - UA] / 100, &columns[i]);
    ser_html_number(t, f->loss, 3, &columns[LOSS]);
    ser_html_number(t, or_none(f->kept_epoch), 0, &columns[KEPT_EPOCH]);
    ser_html_number(t, f->seconds, f->seconds < 10 ? 1 : 0, &columns[SECONDS]);
    ser_text_append(t, "</tr>\n");
}

/* Across corpora models, of which each is tested on everything. */
static void append_folds(page *p)
{
    const ser_run_report *r = p->r;
    bool cross = r->cross, validation = false, kept_epoch = false;
    if (!r->n_folds && !cross)
        return;
    for (size_t i = 0; i < r->n_folds && !cross; i++) {
        validation |= r->folds[i].n_validation > 0;
        kept_epoch |= r->folds[i].kept_epoch > 0;
    }
    const ser_html_column columns[N_FOLD_COLUMNS] = {
        [FOLD] = {.name = cross ? "Model" : "Fold"},
        [TRAINING] = {.name = "Training"},
        [VALIDATION] = {.name = "Validation", .left_out = !validation},
        [TEST] = {.name = cross ? "Tested" : "Test"},
        [UA] = {.name = cross ? "UA, shared" : "UA"},
        [WA] = {.name = cross ? "WA, shared" : "WA"},
        [F1] = {.name = cross ? "F1, shared" : "F1"},
        [LENIENT] = {.name = "By the mapping", .left_out = !cross},
        [LOSS] = {.name = "Loss"},
        [KEPT_EPOCH] = {.name = "Kept epoch", .left_out = !kept_epoch},
        [SECONDS] = {.name = "Seconds", .left_out = cross}};
    ser_text_appendf(p->t, "<section><h2>%s</h2>\n", cross ? "Models" : "Folds");
    if (cross)
        ser_text_append(p->t,
                        "<p class=\"note\">UA, WA and F1 over the shared emotions; by the mapping: answers "
                        "that count as the truth.</p>\n");
    ser_html_table_begin(p->t, columns, N_FOLD_COLUMNS, true);
    for (int combined = 0; combined < 2; combined++)
        for (size_t i = 0; i < r->n_folds; i++)
            if (r->folds[i].combined == combined)
                append_fold(p->t, &r->folds[i], columns);
    ser_html_table_end(p->t);
}

/* ---- corpora left out ---- */

static void append_with_interval(ser_text *t, double percent, const double interval[2],
                                 const ser_html_column *column)
{
    ser_text text = {0};
    ser_append_with_interval(&text, percent, interval);
    ser_html_word(t, text.s, column);
    t->failed |= text.failed;
    ser_text_release(&text);
}

static void append_left_out(page *p)
{
    enum { CORPUS, SCORED, RESTRICTED, OPEN, ECE, WOMEN, MEN, WORST, OF_WORST, N };
    static const ser_html_column columns[N] = {[CORPUS] = {.name = "Corpus"},
                                               [SCORED] = {.name = "Scored"},
                                               [RESTRICTED] = {.name = "UA, restricted", .is_text = true},
                                               [OPEN] = {.name = "UA, open", .is_text = true},
                                               [ECE] = {.name = "ECE"},
                                               [WOMEN] = {.name = "Women"},
                                               [MEN] = {.name = "Men"},
                                               [WORST] = {.name = "Worst speaker", .is_text = true},
                                               [OF_WORST] = {.name = "UA"}};
    const ser_run_report *r = p->r;
    ser_text *t = p->t;
    if (!r->corpora_left_out)
        return;
    ser_text_append(t, "<section><h2>Corpora left out</h2>\n<p class=\"note\">UA among the emotions of the "
                       "corpus left out; open: among all. In brackets 95 % intervals, over the corpus's "
                       "speakers, or over its recordings where some speaker is not known.</p>\n");
    ser_html_table_begin(t, columns, N, true);
    for (size_t i = 0; i < r->n_folds; i++) {
        const ser_run_left_out *c = &r->folds[i].left_out;
        const ser_run_voice *worst = ser_run_worst_voice(c);
        if (!c->n)
            continue;
        ser_text_appendf(t, "<tr><th scope=\"row\" data-name=\"%s\">", columns[CORPUS].name);
        ser_append_xml(t, r->folds[i].name);
        ser_text_append(t, "</th>");
        ser_html_number(t, (double)c->n, 0, &columns[SCORED]);
        append_with_interval(t, c->ua_restricted, c->restricted_ci95, &columns[RESTRICTED]);
        append_with_interval(t, c->ua_open, c->open_ci95, &columns[OPEN]);
        ser_html_share(t, c->ece / 100, &columns[ECE]);
        ser_html_share(t, c->female.n ? c->female.ua_restricted / 100 : NAN, &columns[WOMEN]);
        ser_html_share(t, c->male.n ? c->male.ua_restricted / 100 : NAN, &columns[MEN]);
        ser_html_word(t, worst ? worst->name : "–", &columns[WORST]);
        ser_html_share(t, worst ? worst->ua_restricted / 100 : NAN, &columns[OF_WORST]);
        ser_text_append(t, "</tr>\n");
    }
    ser_html_table_end(t);
}

/* ---- mistakes ---- */

static double confidence_of(const ser_run_prediction *p)
{
    return (double)p->scores[p->predicted];
}

/* Falling confidence; equal ones by file name, so that the order depends on nothing else. */
static int compare_mistakes(const void *a, const void *b)
{
    const ser_run_prediction *p = *(const ser_run_prediction *const *)a,
                             *q = *(const ser_run_prediction *const *)b;
    double x = confidence_of(p), y = confidence_of(q);
    if (x != y)
        return x < y ? 1 : -1;
    return strcmp(p->file, q->file);
}

static ser_status append_mistakes(page *p, ser_error *err)
{
    const ser_run_report *r = p->r;
    const ser_matrix matrix = ser_run_matrix(r);
    const ser_run_prediction **mistakes = ser_alloc(r->n_predictions, sizeof *mistakes);
    size_t n = 0;
    if (!mistakes)
        return ser_fail_nomem(err);
    for (size_t i = 0; i < r->n_predictions; i++) {
        const ser_run_prediction *own = &r->predictions[i];
        if (ser_run_is_scored(&matrix, own) && !ser_matrix_is_right(&matrix, own->truth, own->predicted))
            mistakes[n++] = own;
    }
    qsort(mistakes, n, sizeof *mistakes, compare_mistakes);
    size_t n_shown = n < SER_HTML_MISTAKES ? n : SER_HTML_MISTAKES;
    ser_html_mistakes_begin(p->t, n_shown, n);
    for (size_t i = 0; i < n_shown; i++)
        ser_html_mistake(p->t, mistakes[i]->file, matrix.truths[mistakes[i]->truth],
                         matrix.answers[mistakes[i]->predicted], confidence_of(mistakes[i]));
    ser_html_mistakes_end(p->t, n_shown);
    ser_free(mistakes);
    return SER_OK;
}

static void append_configuration(page *p)
{
    const char *name;
    json_t *value;
    if (!json_object_size(p->r->config))
        return;
    ser_text_append(p->t, "<section><h2>How it was made</h2>\n<table class=\"facts\">\n");
    json_object_foreach((json_t *)p->r->config, name, value)
    {
        ser_text text = {0};
        if (json_is_null(value))
            continue;
        ser_append_setting(&text, value);
        ser_text_append(p->t, "<tr>");
        ser_html_element(p->t, "th scope=\"row\"", name);
        ser_html_element(p->t, "td", text.s ? text.s : "");
        ser_text_append(p->t, "</tr>\n");
        p->t->failed |= text.failed;
        ser_text_release(&text);
    }
    ser_text_append(p->t, "</table></section>\n");
}

ser_status ser_run_page(ser_text *out, const ser_run_report *r, ser_error *err)
{
    page p = {.t = out, .r = r};
    append_head(&p);
    append_notes(&p, true);
    append_figures(&p);
    if (r->cross) { /* there are no parts of one corpus; what was kept, and why, is a note */
        append_notes(&p, false);
        append_folds(&p);
    } else {
        append_shared(&p);
    }
    if (r->drawn) {
        ser_text_append(out, "<section class=\"pictures\">\n");
        ser_text_append(out, r->drawn);
        ser_text_append(out, "</section>\n");
    }
    ser_status st = append_curves(&p, err);
    if (st == SER_OK)
        st = append_pictures(&p, err);
    ser_html_per_class(out, r);
    if (!r->cross) {
        append_folds(&p);
        append_left_out(&p);
    }
    if (st == SER_OK)
        st = append_mistakes(&p, err);
    if (!r->cross)
        append_notes(&p, false);
    append_configuration(&p);
    ser_html_end(out);
    return st == SER_OK && out->failed ? ser_fail_nomem(err) : st;
}

ser_status ser_run_page_save(const char *path, const ser_run_report *r, ser_error *err)
{
    ser_text t = {0};
    ser_status st = ser_run_page(&t, r, err);
    if (st == SER_OK)
        st = ser_io_write(path, t.s, t.n, err);
    ser_text_release(&t);
    return st;
}
