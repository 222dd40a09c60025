/* The workbook's sheet of epochs, with native charts that a reader can change. */
#include "report/chart.h"
#include "report/escape.h"
#include "report/spreadsheet_cells.h"

#include <math.h>

enum {
    FOLD,
    EPOCH,
    TRAIN_LOSS,
    VALIDATION_LOSS,
    TRAIN_ACCURACY,
    VALIDATION_ACCURACY,
    RATE,
    SECONDS,
    KEPT,
    N_COLUMNS
};
enum {
    CHART_WIDTH = 760,
    CHART_HEIGHT = 400,
    CHART_ROWS = 21,
    N_SHOWN = 24 /* folds whose lines can still be told apart, barely */
};

static const char sheet_name[] = "History";

static void add_epoch(ser_book *b, lxw_worksheet *s, lxw_row_t row, const ser_run_fold *f,
                      const ser_run_epoch *e)
{
    ser_book_text(b, s, row, FOLD, f->name, SER_CELL_TEXT);
    ser_book_number(b, s, row, EPOCH, (double)e->epoch, SER_CELL_INTEGER);
    ser_book_number(b, s, row, TRAIN_LOSS, e->train_loss, SER_CELL_DECIMALS);
    ser_book_number(b, s, row, VALIDATION_LOSS, e->validation_loss, SER_CELL_DECIMALS);
    ser_book_percent(b, s, row, TRAIN_ACCURACY, e->train_accuracy, SER_CELL_PERCENT);
    ser_book_percent(b, s, row, VALIDATION_ACCURACY, e->validation_accuracy, SER_CELL_PERCENT);
    ser_book_number(b, s, row, RATE, e->rate, SER_CELL_RATE);
    ser_book_number(b, s, row, SECONDS, e->seconds, SER_CELL_DECIMALS);
    ser_book_text(b, s, row, KEPT, e->epoch == f->kept_epoch ? "kept" : "", SER_CELL_TEXT);
}

typedef struct fold_rows {
    const ser_run_fold *fold;
    lxw_row_t first, last;
    lxw_color_t colour;
} fold_rows;

/* A fold's rows as a line of the chart. Its name begins with a word of ours: libxlsxwriter takes one that
 * begins with '=' for a formula. */
static void add_series(ser_book *b, lxw_chart *chart, const fold_rows *rows, lxw_col_t column, bool bold)
{
    lxw_chart_series *series = chart_add_series(chart, NULL, NULL);
    ser_text_clear(&b->text);
    ser_text_append(&b->text, rows->fold->is_model ? "Model: " : "Fold ");
    ser_append_line(&b->text, rows->fold->name, 40, true);
    b->no_memory |= !series || b->text.failed;
    if (b->no_memory)
        return;
    lxw_chart_line line = {.color = rows->colour, .width = bold ? 2.25F : 0.75F};
    chart_series_set_categories(series, sheet_name, rows->first, EPOCH, rows->last, EPOCH);
    chart_series_set_values(series, sheet_name, rows->first, column, rows->last, column);
    chart_series_set_name(series, b->text.s);
    chart_series_set_line(series, &line);
    chart_series_set_marker_type(series, LXW_CHART_MARKER_NONE);
}

/* Lines by position, not by category: folds stop at different epochs. */
static void add_chart(ser_book *b, lxw_worksheet *s, lxw_row_t row, const fold_rows *rows, size_t n_rows,
                      const char *name, lxw_col_t train, lxw_col_t validation)
{
    int16_t hidden[2 * N_SHOWN + 1];
    size_t n_hidden = 0;
    lxw_chart *chart = workbook_add_chart(b->workbook, LXW_CHART_SCATTER_STRAIGHT);
    if (!chart) {
        b->no_memory = true;
        return;
    }
    double n_epochs = 1;
    for (size_t i = 0; i < n_rows; i++) {
        const ser_run_fold *f = rows[i].fold;
        n_epochs = fmax(n_epochs, (double)f->epochs[f->n_epochs - 1].epoch);
        add_series(b, chart, &rows[i], train, false);
        add_series(b, chart, &rows[i], validation, true);
        hidden[n_hidden++] = (int16_t)(2 * i); /* one name a fold: the bold line's */
    }
    if (b->no_memory) /* libxlsxwriter would complain aloud about lines without values */
        return;
    hidden[n_hidden] = -1;
    lxw_chart_font font = {.size = 12};
    lxw_chart_line grid = {.color = 0xD5D9E0, .width = 0.5F};
    chart_title_set_name(chart, name);
    chart_title_set_name_font(chart, &font);
    chart_axis_set_name(chart->x_axis, "Epoch");
    chart_axis_set_min(chart->x_axis, 0);
    chart_axis_set_max(chart->x_axis, n_epochs);
    chart_axis_major_gridlines_set_line(chart->y_axis, &grid);
    if (train == TRAIN_ACCURACY) {
        chart_axis_set_max(chart->y_axis, 1);
        chart_axis_set_num_format(chart->y_axis, "0%");
    } else {
        chart_axis_set_num_format(chart->y_axis, "General"); /* neighbours never alike */
    }
    chart_legend_set_position(chart, LXW_CHART_LEGEND_RIGHT);
    ser_book_check(b, chart_legend_delete_series(chart, hidden));
    lxw_chart_options options = {.x_scale = CHART_WIDTH / 480.0, .y_scale = CHART_HEIGHT / 288.0};
    ser_book_check(b, worksheet_insert_chart_opt(s, row, N_COLUMNS + 1, chart, &options));
}

/* Rows of the folds that have epochs; the number of folds that the charts show. */
static size_t add_epochs(ser_book *b, lxw_worksheet *s, fold_rows *rows)
{
    const ser_run_report *r = b->report;
    lxw_row_t row = 1;
    size_t n_rows = 0;
    for (size_t i = 0; i < r->n_folds; i++) {
        const ser_run_fold *f = &r->folds[i];
        lxw_row_t first = row;
        for (size_t k = 0; k < f->n_epochs && row < LXW_ROW_MAX; k++)
            add_epoch(b, s, row++, f, &f->epochs[k]);
        ser_colour c = ser_colour_of_label("", n_rows);
        if (row > first && n_rows < N_SHOWN)
            rows[n_rows++] =
                (fold_rows){f, first, row - 1, (lxw_color_t)(c.red << 16 | c.green << 8 | c.blue)};
    }
    if (row > 1)
        ser_book_check(b, worksheet_autofilter(s, 0, 0, row - 1, N_COLUMNS - 1));
    return n_rows;
}

void ser_sheet_history(ser_book *b)
{
    static const ser_column columns[N_COLUMNS] = {
        [FOLD] = {"Fold", 12, true},
        [EPOCH] = {"Epoch", 8, false},
        [TRAIN_LOSS] = {"Training loss", 11, false},
        [VALIDATION_LOSS] = {"Validation loss", 11, false},
        [TRAIN_ACCURACY] = {"Training accuracy", 11, false},
        [VALIDATION_ACCURACY] = {"Validation accuracy", 11, false},
        [RATE] = {"Learning rate", 11, false},
        [SECONDS] = {"Seconds", 10, false},
        [KEPT] = {"Weights", 9, true},
    };
    const ser_run_report *r = b->report;
    fold_rows rows[N_SHOWN];
    bool any = false;
    for (size_t i = 0; i < r->n_folds; i++)
        any |= r->folds[i].n_epochs > 0;
    lxw_worksheet *s = any ? ser_book_sheet(b, sheet_name) : NULL;
    if (!s)
        return;
    ser_book_headings(b, s, 0, columns, N_COLUMNS);
    ser_book_check(b, worksheet_set_row(s, 0, 32, NULL));
    worksheet_freeze_panes(s, 1, 2);
    ser_book_check(b, worksheet_repeat_rows(s, 0, 0));
    size_t n = add_epochs(b, s, rows);
    add_chart(b, s, 1, rows, n, "Loss (thin: training, bold: validation)", TRAIN_LOSS, VALIDATION_LOSS);
    add_chart(b, s, 1 + CHART_ROWS, rows, n, "Accuracy (thin: training, bold: validation)", TRAIN_ACCURACY,
              VALIDATION_ACCURACY);
}
