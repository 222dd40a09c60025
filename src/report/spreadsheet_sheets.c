/* The workbook's sheets for a reader of figures: summary, folds, emotions, confusion, recordings. */
#include "report/setup.h"
#include "report/spreadsheet_cells.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { SUMMARY_COLUMNS = 5, SUMMARY_WIDTH = 118 /* characters, of all columns */ };

/* "a · b · c" of those that are there. */
static void append_part(ser_text *t, const char *part)
{
    if (!part || !*part)
        return;
    ser_text_append(t, t->n ? " · " : "");
    ser_text_append(t, part);
}

static lxw_row_t add_heading(ser_book *b, lxw_worksheet *s)
{
    const ser_run_report *r = b->report;
    ser_text line = {0};
    char n[48], program[SER_RUN_PROGRAM];
    snprintf(n, sizeof n, "%zu recordings", ser_run_n(r));
    ser_book_text(b, s, 0, 0, r->title ? r->title : r->corpus, SER_CELL_TITLE);
    ser_book_check(b, worksheet_set_row(s, 0, 28, NULL));
    const char *parts[] = {r->corpus, r->protocol, r->features, r->model_type, n, ser_run_program(program, r),
                           r->date};
    bool title_is_corpus = !r->title || (r->corpus && strcmp(r->title, r->corpus) == 0);
    for (size_t i = title_is_corpus; i < sizeof parts / sizeof *parts; i++)
        append_part(&line, parts[i]);
    b->no_memory |= line.failed;
    ser_book_text(b, s, 1, 0, line.failed ? "" : line.s, SER_CELL_MUTED);
    ser_text_release(&line);
    return 3;
}

static void add_figure(ser_book *b, lxw_worksheet *s, lxw_row_t row, const ser_run_figure *f)
{
    bool percent = f->unit && f->unit[0] == '%';
    ser_cell_look look = percent ? SER_CELL_PERCENT : SER_CELL_DECIMALS;
    double scale = percent ? 100 : 1;
    ser_book_text(b, s, row, 0, f->name, SER_CELL_TEXT);
    ser_book_number(b, s, row, 1, f->value / scale, look);
    ser_book_number(b, s, row, 2, f->interval[0] / scale, look);
    ser_book_number(b, s, row, 3, f->interval[1] / scale, look);
    ser_book_text(b, s, row, 4, f->meaning, SER_CELL_MUTED);
}

static lxw_row_t add_figures(ser_book *b, lxw_worksheet *s, lxw_row_t row)
{
    static const ser_column columns[SUMMARY_COLUMNS] = {{"Figure", 34, true},
                                                        {"Value", 12, false},
                                                        {"95 % from", 12, false},
                                                        {"to", 12, false},
                                                        {"What it is", 62, true}};
    const ser_run_report *r = b->report;
    ser_run_figure figures[SER_N_HEADLINES];
    ser_run_headlines(figures, r);
    ser_book_headings(b, s, row++, columns, SUMMARY_COLUMNS);
    for (size_t i = 0; i < SER_N_HEADLINES; i++)
        add_figure(b, s, row++, &figures[i]);
    ser_run_figure extras[SER_MAX_EXTRAS];
    size_t n = ser_run_extras(extras, r);
    for (size_t i = 0; i < n; i++)
        add_figure(b, s, row++, &extras[i]);
    if (ser_run_resampled(r)) {
        char text[200];
        snprintf(text, sizeof text, "95 %% intervals by resampling %.60s.", ser_run_resampled(r));
        ser_book_text(b, s, row++, 0, text, SER_CELL_MUTED);
    }
    return row + 1;
}

static void add_paragraph(ser_book *b, lxw_worksheet *s, lxw_row_t *row, const char *text, ser_cell_look look)
{
    ser_book_paragraph(b, s, (*row)++, SUMMARY_COLUMNS - 1, SUMMARY_WIDTH, text, look);
}

static lxw_row_t add_notes(ser_book *b, lxw_worksheet *s, lxw_row_t row)
{
    const ser_run_report *r = b->report;
    ser_shared_count counts[SER_N_SHARED];
    for (size_t kind = 0; kind < SER_N_SHARED; kind++)
        counts[kind] = ser_run_count_shared(r, kind);
    const ser_verdict verdict = ser_shared_verdict(counts);
    bool known = verdict != SER_VERDICT_NONE && !r->cross; /* across corpora it is told in notes */
    if (known)
        add_paragraph(b, s, &row, ser_verdict_text(verdict),
                      verdict == SER_VERDICT_BAD    ? SER_CELL_SERIOUS
                      : verdict == SER_VERDICT_GOOD ? SER_CELL_GOOD
                                                    : SER_CELL_NOTE);
    for (size_t kind = 0; kind < SER_N_SHARED; kind++) {
        ser_text line = {0};
        ser_text_appendf(&line, "%s ", ser_shared_kinds[kind].what);
        ser_append_shared(&line, kind, counts[kind]);
        b->no_memory |= line.failed;
        if (known && counts[kind].n_folds && !line.failed)
            add_paragraph(b, s, &row, line.s, SER_CELL_NOTE);
        ser_text_release(&line);
    }
    for (size_t i = 0; i < r->n_notes; i++)
        add_paragraph(b, s, &row, r->notes[i].text, r->notes[i].serious ? SER_CELL_SERIOUS : SER_CELL_NOTE);
    return known || r->n_notes ? row + 1 : row;
}

static void add_configuration(ser_book *b, lxw_worksheet *s, lxw_row_t row)
{
    static const ser_column columns[] = {
        {"Option", 0, true}, {"Value", 0, true}, {"", 0, true}, {"", 0, true}, {"", 0, true}};
    const char *name;
    json_t *value;
    ser_book_text(b, s, row++, 0, "Configuration", SER_CELL_SECTION);
    ser_book_headings(b, s, row++, columns, SUMMARY_COLUMNS);
    json_object_foreach((json_t *)b->report->config, name, value)
    {
        ser_text text = {0};
        if (json_is_null(value))
            continue;
        ser_append_setting(&text, value);
        ser_book_text(b, s, row, 0, name, SER_CELL_TEXT);
        ser_book_text(b, s, row++, 1, text.s ? text.s : "", SER_CELL_TEXT);
        b->no_memory |= text.failed;
        ser_text_release(&text);
    }
}

void ser_sheet_summary(ser_book *b)
{
    const ser_run_report *r = b->report;
    lxw_worksheet *s = ser_book_sheet(b, "Summary");
    if (!s)
        return;
    worksheet_gridlines(s, LXW_HIDE_ALL_GRIDLINES);
    lxw_row_t row = add_heading(b, s);
    row = add_figures(b, s, row);
    row = add_notes(b, s, row);
    if (json_object_size(r->config))
        add_configuration(b, s, row);
}

/* ---- folds ---- */

static double or_none(size_t n)
{
    return n ? (double)n : NAN;
}

static void add_fold(ser_book *b, lxw_worksheet *s, lxw_row_t row, const ser_run_fold *f)
{
    const double counts[] = {or_none(f->n_train), or_none(f->n_validation), or_none(f->n_test)};
    const long shared[] = {f->shared.speakers, f->shared.duplicates, f->shared.takes, f->shared.texts};
    ser_book_text(b, s, row, 0, f->name, SER_CELL_TEXT);
    for (lxw_col_t i = 0; i < 3; i++)
        ser_book_number(b, s, row, 1 + i, counts[i], SER_CELL_INTEGER);
    ser_book_percent(b, s, row, 4, f->ua, SER_CELL_PERCENT);
    ser_book_percent(b, s, row, 5, f->wa, SER_CELL_PERCENT);
    ser_book_percent(b, s, row, 6, f->f1, SER_CELL_PERCENT);
    ser_book_number(b, s, row, 7, f->loss, SER_CELL_DECIMALS);
    ser_book_number(b, s, row, 8, or_none(f->n_epochs), SER_CELL_INTEGER);
    ser_book_number(b, s, row, 9, or_none(f->kept_epoch), SER_CELL_INTEGER);
    ser_book_number(b, s, row, 10, f->seconds, SER_CELL_INTEGER);
    for (lxw_col_t i = 0; i < 4; i++)
        ser_book_number(b, s, row, 11 + i, shared[i] < 0 ? NAN : (double)shared[i], SER_CELL_INTEGER);
}

/* A formula with its result, for programs that compute nothing. */
static void add_formula(ser_book *b, lxw_worksheet *s, lxw_row_t row, lxw_col_t column, const char *function,
                        lxw_row_t first, lxw_row_t last, double result, ser_cell_look look)
{
    char from[LXW_MAX_CELL_NAME_LENGTH], to[LXW_MAX_CELL_NAME_LENGTH], formula[64];
    lxw_rowcol_to_cell(from, first, column);
    lxw_rowcol_to_cell(to, last, column);
    snprintf(formula, sizeof formula, "=%s(%s:%s)", function, from, to);
    ser_book_check(b, worksheet_write_formula_num(s, row, column, formula, b->looks[look], result));
}

/* Mean and deviation (of a sample) of what is known of the folds' own models; false: of fewer than two. */
static bool mean_of(double *mean, double *deviation, const ser_run_report *r, size_t column)
{
    double sum = 0, squares = 0;
    size_t n = 0;
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < r->n_folds; i++) {
            const ser_run_fold *f = &r->folds[i];
            const double values[] = {f->ua / 100, f->wa / 100, f->f1 / 100, f->loss};
            if (f->combined || !isfinite(values[column]))
                continue;
            n += pass == 0;
            sum += pass == 0 ? values[column] : 0;
            squares += pass == 1 ? pow(values[column] - sum / (double)n, 2) : 0;
        }
    *mean = n ? sum / (double)n : NAN;
    *deviation = n > 1 ? sqrt(squares / (double)(n - 1)) : NAN;
    return n > 1;
}

static void add_means(ser_book *b, lxw_worksheet *s, lxw_row_t first, lxw_row_t last)
{
    lxw_row_t row = last + 1;
    for (lxw_col_t c = 0; c < 15; c++) {
        ser_book_text(b, s, row, c, c == 0 ? "mean" : "", SER_CELL_TOTAL);
        if (c == 0)
            ser_book_text(b, s, row + 1, c, "standard deviation", SER_CELL_TEXT);
    }
    for (lxw_col_t c = 0; c < 4; c++) {
        double mean, deviation;
        if (!mean_of(&mean, &deviation, b->report, c))
            continue;
        add_formula(b, s, row, 4 + c, "AVERAGE", first, last, mean,
                    c < 3 ? SER_CELL_TOTAL_PERCENT : SER_CELL_TOTAL_DECIMALS);
        add_formula(b, s, row + 1, 4 + c, "STDEV", first, last, deviation,
                    c < 3 ? SER_CELL_PERCENT : SER_CELL_DECIMALS);
    }
}

void ser_sheet_folds(ser_book *b)
{
    static const ser_column columns[] = {{"Fold", 20, true},
                                         {"Training", 10, false},
                                         {"Validation", 12, false},
                                         {"Test", 10, false},
                                         {"UA", 10, false},
                                         {"WA", 10, false},
                                         {"F1", 10, false},
                                         {"Loss", 10, false},
                                         {"Epochs", 10, false},
                                         {"Kept epoch", 10, false},
                                         {"Seconds", 10, false},
                                         {"Shared speakers", 12, false},
                                         {"Shared recordings", 12, false},
                                         {"Shared takes", 12, false},
                                         {"Shared texts", 12, false}};
    const ser_run_report *r = b->report;
    lxw_worksheet *s = r->n_folds ? ser_book_sheet(b, "Folds") : NULL;
    if (!s)
        return;
    ser_book_headings(b, s, 0, columns, sizeof columns / sizeof *columns);
    ser_book_check(b, worksheet_set_row(s, 0, 32, NULL));
    worksheet_freeze_panes(s, 1, 1);
    lxw_row_t row = 1;
    for (size_t i = 0; i < r->n_folds; i++)
        if (!r->folds[i].combined)
            add_fold(b, s, row++, &r->folds[i]);
    if (row > 2) {
        add_means(b, s, 1, row - 1);
        ser_book_bars(b, s, 1, 4, row - 1, 6);
        row += 2;
    }
    for (size_t i = 0; i < r->n_folds; i++)
        if (r->folds[i].combined)
            add_fold(b, s, row++, &r->folds[i]);
}

/* ---- emotions ---- */

enum { N_CLASS_COLUMNS = 5, N_CROSS_CLASS_COLUMNS = 7 };

static void add_class(ser_book *b, lxw_worksheet *s, lxw_row_t row, size_t i)
{
    const ser_class_row c = ser_run_class_row(b->report, i);
    const ser_run_cross *cross = b->report->cross;
    ser_book_text(b, s, row, 0, c.name, SER_CELL_TEXT);
    ser_book_number(b, s, row, 1, c.figures ? c.figures->precision : NAN, SER_CELL_PERCENT);
    ser_book_number(b, s, row, 2, c.figures ? c.figures->recall : NAN, SER_CELL_PERCENT);
    ser_book_number(b, s, row, 3, c.figures ? c.figures->f1 : NAN, SER_CELL_PERCENT);
    ser_book_number(b, s, row, 4, (double)c.n, SER_CELL_INTEGER);
    if (!cross)
        return;
    ser_text answers = {0};
    ser_append_answers(&answers, &cross->matrix, i);
    b->no_memory |= answers.failed;
    ser_book_number(b, s, row, 5, c.lenient, SER_CELL_PERCENT);
    ser_book_text(b, s, row, 6, answers.failed ? NULL : answers.s,
                  ser_matrix_can_be_right(&cross->matrix, i) ? SER_CELL_TEXT : SER_CELL_MUTED);
    ser_text_release(&answers);
}

/* Returns the row below. */
static lxw_row_t add_class_means(ser_book *b, lxw_worksheet *s, lxw_row_t row)
{
    const ser_figures *f = b->report->figures;
    ser_class_means means;
    ser_class_means_compute(&means, f);
    const struct {
        const char *name;
        double precision, recall, f1;
    } totals[] = {{"accuracy", NAN, NAN, means.accuracy},
                  {"macro average", means.macro.precision, means.macro.recall, means.macro.f1},
                  {"weighted average", means.weighted.precision, means.weighted.recall, means.weighted.f1}};
    for (size_t i = 0; i < sizeof totals / sizeof *totals; i++, row++) {
        bool first = i == 0;
        ser_cell_look look = first ? SER_CELL_TOTAL_PERCENT : SER_CELL_PERCENT;
        ser_book_text(b, s, row, 0, totals[i].name, first ? SER_CELL_TOTAL : SER_CELL_TEXT);
        ser_book_number(b, s, row, 1, totals[i].precision, look);
        ser_book_number(b, s, row, 2, totals[i].recall, look);
        ser_book_number(b, s, row, 3, totals[i].f1, look);
        ser_book_number(b, s, row, 4, (double)f->n, first ? SER_CELL_TOTAL_INTEGER : SER_CELL_INTEGER);
    }
    return row;
}

void ser_sheet_classes(ser_book *b)
{
    static const ser_column columns[N_CROSS_CLASS_COLUMNS] = {
        {"Emotion", 20, true},  {"Precision", 12, false},      {"Recall", 12, false},     {"F1", 12, false},
        {"Support", 12, false}, {"By the mapping", 16, false}, {"Counts as it", 30, true}};
    const ser_run_report *r = b->report;
    size_t n = ser_run_n_classes(r);
    lxw_worksheet *s = n || !r->cross ? ser_book_sheet(b, "Classes") : NULL;
    if (!s)
        return;
    ser_book_headings(b, s, 0, columns, r->cross ? N_CROSS_CLASS_COLUMNS : N_CLASS_COLUMNS);
    worksheet_freeze_panes(s, 1, 1);
    lxw_row_t row = 1;
    for (size_t i = 0; i < n; i++)
        add_class(b, s, row++, i);
    ser_book_bars(b, s, 1, 1, row - 1, 3);
    if (r->cross)
        ser_book_bars(b, s, 1, 5, row - 1, 5);
    if (r->figures->n || !r->cross)
        row = add_class_means(b, s, row);
    if (r->cross)
        ser_book_text(b, s, row + 1, 0, "Precision, recall and F1 are those among the shared emotions.",
                      SER_CELL_MUTED);
}

/* ---- confusion ---- */

/* Shares of each row, or counts; returns the row below. */
static lxw_row_t add_matrix(ser_book *b, lxw_worksheet *s, lxw_row_t row, const char *title, bool shares)
{
    const ser_matrix m = ser_run_matrix(b->report);
    lxw_col_t n = (lxw_col_t)m.n_answers;
    ser_book_text(b, s, row++, 0, title, SER_CELL_SECTION);
    ser_book_text(b, s, row, 0, "truth \\ answer", SER_CELL_HEAD);
    for (lxw_col_t j = 0; j < n; j++)
        ser_book_text(b, s, row, 1 + j, m.answers[j], SER_CELL_HEAD_CENTRED);
    ser_book_text(b, s, row, 1 + n, "recordings", SER_CELL_HEAD_RIGHT);
    for (size_t i = 0; i < m.n_truths; i++) {
        size_t sum = ser_matrix_row_sum(&m, i);
        ser_book_check(b, worksheet_set_row(s, ++row, 24, NULL));
        ser_book_text(b, s, row, 0, m.truths[i], SER_CELL_TEXT);
        for (lxw_col_t j = 0; j < n; j++) {
            double count = (double)m.counts[i * m.n_answers + j];
            bool framed = m.right && ser_matrix_is_right(&m, i, j);
            if (shares)
                ser_book_number(b, s, row, 1 + j, sum ? count / (double)sum : NAN,
                                framed ? SER_CELL_SHARE_FRAMED : SER_CELL_SHARE);
            else
                ser_book_number(b, s, row, 1 + j, count, framed ? SER_CELL_COUNT_FRAMED : SER_CELL_COUNT);
        }
        ser_book_number(b, s, row, 1 + n, (double)sum, SER_CELL_INTEGER);
    }
    if (shares)
        ser_book_scale(b, s, row + 1 - (lxw_row_t)m.n_truths, 1, row, n);
    return row + 2;
}

void ser_sheet_confusion(ser_book *b)
{
    const ser_matrix m = ser_run_matrix(b->report);
    lxw_worksheet *s = m.n_truths ? ser_book_sheet(b, "Confusion") : NULL;
    if (!s)
        return;
    lxw_col_t n = (lxw_col_t)m.n_answers;
    worksheet_gridlines(s, LXW_HIDE_ALL_GRIDLINES);
    ser_book_check(b, worksheet_set_column(s, 0, 0, 18, NULL));
    ser_book_check(b, worksheet_set_column(s, 1, n, 11, NULL));
    ser_book_check(b, worksheet_set_column(s, n + 1, n + 1, 12, NULL));
    worksheet_freeze_panes(s, 0, 1);
    lxw_row_t row = add_matrix(b, s, 0, "Share of each row", true);
    row = add_matrix(b, s, row, "Recordings", false);
    if (m.right)
        ser_book_text(b, s, row, 0, "Framed: answers that count as right.", SER_CELL_MUTED);
}

/* ---- recordings ---- */

void ser_sheet_recordings(ser_book *b)
{
    static const ser_column columns[] = {{"Recording", 40, true},   {"Truth", 14, true},
                                         {"Answer", 14, true},      {"Right", 8, false},
                                         {"Confidence", 12, false}, {"Fold", 12, true}};
    enum { N_COLUMNS = sizeof columns / sizeof *columns };
    const ser_run_report *r = b->report;
    lxw_worksheet *s = r->n_predictions ? ser_book_sheet(b, "Recordings") : NULL;
    if (!s)
        return;
    const ser_matrix m = ser_run_matrix(r);
    lxw_col_t n = (lxw_col_t)m.n_answers;
    lxw_row_t last = (lxw_row_t)r->n_predictions;
    ser_book_headings(b, s, 0, columns, N_COLUMNS);
    for (lxw_col_t j = 0; j < n; j++)
        ser_book_text(b, s, 0, N_COLUMNS + j, m.answers[j], SER_CELL_HEAD_RIGHT);
    ser_book_check(b, worksheet_set_column(s, N_COLUMNS, N_COLUMNS + n - 1, 11, NULL));
    for (size_t i = 0; i < r->n_predictions; i++) {
        const ser_run_prediction *p = &r->predictions[i];
        lxw_row_t row = (lxw_row_t)i + 1;
        ser_book_text(b, s, row, 0, p->file, SER_CELL_TEXT);
        ser_book_text(b, s, row, 1, p->truth == SER_RUN_NO_TRUTH ? NULL : m.truths[p->truth], SER_CELL_TEXT);
        ser_book_text(b, s, row, 2, m.answers[p->predicted], SER_CELL_TEXT);
        ser_book_number(b, s, row, 3,
                        ser_run_is_scored(&m, p) ? ser_matrix_is_right(&m, p->truth, p->predicted) : NAN,
                        SER_CELL_INTEGER);
        ser_book_number(b, s, row, 4, (double)p->scores[p->predicted], SER_CELL_PERCENT);
        ser_book_text(b, s, row, 5, p->fold, SER_CELL_TEXT);
        for (lxw_col_t j = 0; j < n; j++)
            ser_book_number(b, s, row, N_COLUMNS + j, (double)p->scores[j], SER_CELL_PERCENT);
    }
    ser_book_bars(b, s, 1, 4, last, 4);
    ser_book_check(b, worksheet_autofilter(s, 0, 0, last, N_COLUMNS + n - 1));
    worksheet_freeze_panes(s, 1, 1);
    ser_book_check(b, worksheet_repeat_rows(s, 0, 0));
}
