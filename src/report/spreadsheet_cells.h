/* Between the sheets of a workbook: looks of cells, and cells that cannot break the file. */
#ifndef SER_REPORT_SPREADSHEET_CELLS_H
#define SER_REPORT_SPREADSHEET_CELLS_H

#include "base/text.h"
#include "report/run_report.h"
#include <xlsxwriter.h>

typedef enum ser_cell_look {
    SER_CELL_TITLE,
    SER_CELL_MUTED,
    SER_CELL_SECTION,
    SER_CELL_HEAD,         /* of a column of text */
    SER_CELL_HEAD_RIGHT,   /* of a column of numbers */
    SER_CELL_HEAD_CENTRED, /* of a column of a matrix */
    SER_CELL_TEXT,
    SER_CELL_PERCENT,
    SER_CELL_DECIMALS, /* 0.123 */
    SER_CELL_INTEGER,
    SER_CELL_RATE,  /* 3.00E-04 */
    SER_CELL_TOTAL, /* the same three below a line */
    SER_CELL_TOTAL_PERCENT,
    SER_CELL_TOTAL_DECIMALS,
    SER_CELL_TOTAL_INTEGER,
    SER_CELL_SHARE, /* of a confusion matrix */
    SER_CELL_COUNT,
    SER_CELL_SHARE_FRAMED, /* the same where the answer counts as right, across corpora */
    SER_CELL_COUNT_FRAMED,
    SER_CELL_NOTE,
    SER_CELL_SERIOUS,
    SER_CELL_GOOD,
    SER_N_CELL_LOOKS
} ser_cell_look;

typedef struct ser_book {
    lxw_workbook *workbook;
    lxw_format *looks[SER_N_CELL_LOOKS];
    const ser_run_report *report;
    ser_text text;    /* the last cell's */
    lxw_error error;  /* the first */
    int error_number; /* errno, where there is one */
    bool no_memory;
} ser_book;

typedef struct ser_column {
    const char *name;
    double width; /* characters */
    bool is_text;
} ser_column;

lxw_worksheet *ser_book_sheet(ser_book *b, const char *name);
/* A row of headings from (row, 0) on; widths where width > 0. */
void ser_book_headings(ser_book *b, lxw_worksheet *s, lxw_row_t row, const ser_column *columns, size_t n);

/* Text from anywhere: valid, one line, never a formula. NULL: an empty cell. */
void ser_book_text(ser_book *b, lxw_worksheet *s, lxw_row_t row, lxw_col_t column, const char *text,
                   ser_cell_look look);
/* NAN: an empty cell. */
void ser_book_number(ser_book *b, lxw_worksheet *s, lxw_row_t row, lxw_col_t column, double x,
                     ser_cell_look look);
/* percent, 0 ... 100, kept as a share with a percent format, so that formulas on it work. */
void ser_book_percent(ser_book *b, lxw_worksheet *s, lxw_row_t row, lxw_col_t column, double percent,
                      ser_cell_look look);
/* One cell over several columns, as high as its text needs in width characters. */
void ser_book_paragraph(ser_book *b, lxw_worksheet *s, lxw_row_t row, lxw_col_t last_column, double width,
                        const char *text, ser_cell_look look);
/* Bars behind shares; a scale of blues. Nothing for empty ranges. */
void ser_book_bars(ser_book *b, lxw_worksheet *s, lxw_row_t first_row, lxw_col_t first_column,
                   lxw_row_t last_row, lxw_col_t last_column);
void ser_book_scale(ser_book *b, lxw_worksheet *s, lxw_row_t first_row, lxw_col_t first_column,
                    lxw_row_t last_row, lxw_col_t last_column);
void ser_book_check(ser_book *b, lxw_error error);

/* The sheets, each in a file of its kind. */
void ser_sheet_summary(ser_book *b);
void ser_sheet_folds(ser_book *b);
void ser_sheet_classes(ser_book *b);
void ser_sheet_confusion(ser_book *b);
void ser_sheet_history(ser_book *b);
void ser_sheet_recordings(ser_book *b);
/* Across corpora, in place of folds. */
void ser_sheet_models(ser_book *b);
/* Where corpora were left out, after the folds. */
void ser_sheet_left_out(ser_book *b);

#endif
