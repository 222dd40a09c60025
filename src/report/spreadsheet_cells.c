#include "report/spreadsheet_cells.h"
#include "report/escape.h"

#include <math.h>

enum { LONGEST_TEXT = 2000 /* columns; a cell holds 32,767 characters */ };

void ser_book_check(ser_book *b, lxw_error error)
{
    if (b->error == LXW_NO_ERROR)
        b->error = error;
}

lxw_worksheet *ser_book_sheet(ser_book *b, const char *name)
{
    lxw_worksheet *s = workbook_add_worksheet(b->workbook, name);
    if (!s) {
        b->no_memory = true;
        return NULL;
    }
    worksheet_set_landscape(s);
    worksheet_set_paper(s, 9); /* A4 */
    worksheet_fit_to_pages(s, 1, 0);
    worksheet_set_footer(s, "&L&A&R&P / &N");
    return s;
}

void ser_book_headings(ser_book *b, lxw_worksheet *s, lxw_row_t row, const ser_column *columns, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        lxw_col_t column = (lxw_col_t)i;
        if (columns[i].width > 0)
            ser_book_check(b, worksheet_set_column(s, column, column, columns[i].width, NULL));
        ser_book_text(b, s, row, column, columns[i].name,
                      columns[i].is_text ? SER_CELL_HEAD : SER_CELL_HEAD_RIGHT);
    }
}

static const char *clean(ser_book *b, const char *text)
{
    ser_text_clear(&b->text);
    ser_append_line(&b->text, text, LONGEST_TEXT, true);
    b->no_memory |= b->text.failed;
    return b->text.n && !b->text.failed ? b->text.s : "";
}

void ser_book_text(ser_book *b, lxw_worksheet *s, lxw_row_t row, lxw_col_t column, const char *text,
                   ser_cell_look look)
{
    ser_book_check(b, worksheet_write_string(s, row, column, text ? clean(b, text) : "", b->looks[look]));
}

void ser_book_number(ser_book *b, lxw_worksheet *s, lxw_row_t row, lxw_col_t column, double x,
                     ser_cell_look look)
{
    ser_book_check(b, isfinite(x) ? worksheet_write_number(s, row, column, x, b->looks[look])
                                  : worksheet_write_blank(s, row, column, b->looks[look]));
}

void ser_book_percent(ser_book *b, lxw_worksheet *s, lxw_row_t row, lxw_col_t column, double percent,
                      ser_cell_look look)
{
    ser_book_number(b, s, row, column, percent / 100, look);
}

void ser_book_paragraph(ser_book *b, lxw_worksheet *s, lxw_row_t row, lxw_col_t last_column, double width,
                        const char *text, ser_cell_look look)
{
    enum { LINE = 15, AROUND = 5 }; /* points */
    const char *shown = clean(b, text);
    double n_lines = fmax(1, ceil((double)ser_columns(shown) / width));
    ser_book_check(b, worksheet_merge_range(s, row, 0, row, last_column, shown, b->looks[look]));
    ser_book_check(b, worksheet_set_row(s, row, n_lines * LINE + AROUND, NULL));
}

void ser_book_bars(ser_book *b, lxw_worksheet *s, lxw_row_t first_row, lxw_col_t first_column,
                   lxw_row_t last_row, lxw_col_t last_column)
{
    if (last_row < first_row || last_column < first_column)
        return;
    /* Of Excel 2007, which every reader knows: solid bars are an extension that some warn about. */
    lxw_conditional_format bars = {.type = LXW_CONDITIONAL_DATA_BAR,
                                   .bar_color = 0xB9D3EE,
                                   .min_rule_type = LXW_CONDITIONAL_RULE_TYPE_NUMBER,
                                   .max_rule_type = LXW_CONDITIONAL_RULE_TYPE_NUMBER,
                                   .min_value = 0,
                                   .max_value = 1};
    ser_book_check(
        b, worksheet_conditional_format_range(s, first_row, first_column, last_row, last_column, &bars));
}

void ser_book_scale(ser_book *b, lxw_worksheet *s, lxw_row_t first_row, lxw_col_t first_column,
                    lxw_row_t last_row, lxw_col_t last_column)
{
    lxw_conditional_format scale = {.type = LXW_CONDITIONAL_2_COLOR_SCALE,
                                    .min_rule_type = LXW_CONDITIONAL_RULE_TYPE_NUMBER,
                                    .max_rule_type = LXW_CONDITIONAL_RULE_TYPE_NUMBER,
                                    .min_value = 0,
                                    .max_value = 1,
                                    .min_color = 0xFFFFFF,
                                    .max_color = 0x4C93E8};
    ser_book_check(
        b, worksheet_conditional_format_range(s, first_row, first_column, last_row, last_column, &scale));
}
