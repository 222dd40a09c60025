/* The workbook's sheets of a test across corpora, and of corpora left out. */
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

enum { LEFT_OUT_SHARES = 9, LEFT_OUT_SHARE = 2 /* the first */ };

static void add_left_out(ser_book *b, lxw_worksheet *s, lxw_row_t row, const ser_run_fold *f)
{
    const ser_run_left_out *c = &f->left_out;
    const ser_run_voice *worst = ser_run_worst_voice(c);
    const double shares[LEFT_OUT_SHARES] = {c->ua_restricted,
                                            c->restricted_ci95[0],
                                            c->restricted_ci95[1],
                                            c->ua_open,
                                            c->open_ci95[0],
                                            c->open_ci95[1],
                                            c->ece,
                                            c->female.n ? c->female.ua_restricted : NAN,
                                            c->male.n ? c->male.ua_restricted : NAN};
    lxw_col_t column = LEFT_OUT_SHARE;
    ser_book_text(b, s, row, 0, f->name, SER_CELL_TEXT);
    ser_book_number(b, s, row, 1, (double)c->n, SER_CELL_INTEGER);
    for (size_t i = 0; i < LEFT_OUT_SHARES; i++)
        ser_book_percent(b, s, row, column++, shares[i], SER_CELL_PERCENT);
    ser_book_text(b, s, row, column++, c->intervals_over, SER_CELL_TEXT);
    ser_book_text(b, s, row, column++, worst ? worst->name : "", SER_CELL_TEXT);
    ser_book_percent(b, s, row, column, worst ? worst->ua_restricted : NAN, SER_CELL_PERCENT);
}

void ser_sheet_left_out(ser_book *b)
{
    static const ser_column columns[] = {{"Corpus", 20, true},
                                         {"Scored", 10, false},
                                         {"UA, restricted", 12, false},
                                         {"restricted, 95 % from", 12, false},
                                         {"restricted, to", 12, false},
                                         {"UA, open", 12, false},
                                         {"open, 95 % from", 12, false},
                                         {"open, to", 12, false},
                                         {"ECE", 10, false},
                                         {"Women, restricted", 12, false},
                                         {"Men, restricted", 12, false},
                                         {"Intervals over", 14, true},
                                         {"Worst speaker", 24, true},
                                         {"UA of the worst, restricted", 12, false}};
    const ser_run_report *r = b->report;
    lxw_worksheet *s = r->n_folds ? ser_book_sheet(b, "Corpora left out") : NULL;
    lxw_row_t row = 1;
    if (!s)
        return;
    ser_book_headings(b, s, 0, columns, sizeof columns / sizeof *columns);
    worksheet_freeze_panes(s, 1, 1);
    for (size_t i = 0; i < r->n_folds; i++)
        if (r->folds[i].left_out.n)
            add_left_out(b, s, row++, &r->folds[i]);
}
