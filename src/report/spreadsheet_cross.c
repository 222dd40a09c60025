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
