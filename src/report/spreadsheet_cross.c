/* The workbook's sheets of a test across corpora. */
#include "report/spreadsheet_cells.h"

#include <math.h>

enum { N_MODEL_COLUMNS = 8 };

static void add_model(ser_book *b, lxw_worksheet *s, lxw_row_t row, const ser_run_fold *f)
{
    const double shares[] = {f->ua, f->wa, f->f1, f->lenient};
    ser_book_text(b, s, row, 0, f->name, f->combined ? SER_CELL_TOTAL : SER_CELL_TEXT);
    ser_book_number(b, s, row, 1, f->n_train ? (double)f->n_train : NAN,
                    f->combined ? SER_CELL_TOTAL_INTEGER : SER_CELL_INTEGER);
    ser_book_number(b, s, row, 2, (double)f->n_test, f->combined ? SER_CELL_TOTAL_INTEGER : SER_CELL_INTEGER);
    for (lxw_col_t i = 0; i < 4; i++)
        ser_book_percent(b, s, row, 3 + i, shares[i],
                         f->combined ? SER_CELL_TOTAL_PERCENT : SER_CELL_PERCENT);
    ser_book_number(b, s, row, 7, f->loss, f->combined ? SER_CELL_TOTAL_DECIMALS : SER_CELL_DECIMALS);
}

void ser_sheet_models(ser_book *b)
{
    static const ser_column columns[N_MODEL_COLUMNS] = {
        {"Model", 20, true},           {"Training", 12, false},   {"Tested", 12, false},
        {"UA, shared", 12, false},     {"WA, shared", 12, false}, {"F1, shared", 12, false},
        {"By the mapping", 16, false}, {"Loss", 12, false}};
    const ser_run_report *r = b->report;
    lxw_worksheet *s = r->n_folds ? ser_book_sheet(b, "Models") : NULL;
    if (!s)
        return;
    ser_book_headings(b, s, 0, columns, N_MODEL_COLUMNS);
    worksheet_freeze_panes(s, 1, 1);
    for (size_t i = 0; i < r->n_folds; i++)
        add_model(b, s, (lxw_row_t)i + 1, &r->folds[i]);
    ser_book_bars(b, s, 1, 3, (lxw_row_t)r->n_folds, 6);
}

/* "calm, neutral": the answers that count as a truth. */
static void append_answers(ser_text *t, const ser_matrix *m, size_t truth)
{
    for (size_t j = 0; j < m->n_answers; j++)
        if (ser_matrix_is_right(m, truth, j))
            ser_text_appendf(t, "%s%s", t->n ? ", " : "", m->answers[j]);
}

static void add_class(ser_book *b, lxw_worksheet *s, lxw_row_t row, size_t i)
{
    const ser_run_cross *cross = b->report->cross;
    const ser_class_figures *f = cross->classes[i].shared;
    ser_text answers = {0};
    append_answers(&answers, &cross->matrix, i);
    b->no_memory |= answers.failed;
    ser_book_text(b, s, row, 0, cross->matrix.truths[i], SER_CELL_TEXT);
    ser_book_text(b, s, row, 1, answers.n && !answers.failed ? answers.s : "none: not scored",
                  answers.n ? SER_CELL_TEXT : SER_CELL_MUTED);
    ser_book_number(b, s, row, 2, cross->classes[i].lenient, SER_CELL_PERCENT);
    ser_book_number(b, s, row, 3, f ? f->precision : NAN, SER_CELL_PERCENT);
    ser_book_number(b, s, row, 4, f ? f->recall : NAN, SER_CELL_PERCENT);
    ser_book_number(b, s, row, 5, f ? f->f1 : NAN, SER_CELL_PERCENT);
    ser_book_number(b, s, row, 6, (double)ser_matrix_row_sum(&cross->matrix, i), SER_CELL_INTEGER);
    ser_text_release(&answers);
}

void ser_sheet_cross_classes(ser_book *b)
{
    static const ser_column columns[] = {{"Truth", 20, true},
                                         {"Answers that count as it", 30, true},
                                         {"Counted as right", 18, false},
                                         {"Precision", 12, false},
                                         {"Recall", 12, false},
                                         {"F1", 12, false},
                                         {"Recordings", 12, false}};
    const ser_matrix *m = &b->report->cross->matrix;
    lxw_worksheet *s = m->n_truths ? ser_book_sheet(b, "Classes") : NULL;
    if (!s)
        return;
    ser_book_headings(b, s, 0, columns, sizeof columns / sizeof *columns);
    worksheet_freeze_panes(s, 1, 1);
    for (size_t i = 0; i < m->n_truths; i++)
        add_class(b, s, (lxw_row_t)i + 1, i);
    ser_book_bars(b, s, 1, 2, (lxw_row_t)m->n_truths, 5);
    ser_book_text(b, s, (lxw_row_t)m->n_truths + 2, 0,
                  "Precision, recall and F1 are those among the shared emotions.", SER_CELL_MUTED);
}
