/* The parts of which report pages are made: each appends elements of a page, whatever its texts are. */
#ifndef SER_REPORT_HTML_PARTS_H
#define SER_REPORT_HTML_PARTS_H

#include "report/chart.h"
#include "report/run_report.h"

enum { SER_HTML_MISTAKES = 20 }; /* shown, at most */

/* Up to the heading, after which the header is still open; and the page's end. */
void ser_html_begin(ser_text *t, const char *title);
void ser_html_end(ser_text *t);

/* <TAG>text</TAG>; tag may have attributes; text NULL: none. */
void ser_html_element(ser_text *t, const char *tag, const char *text);
/* A figure with its interval (NULL: none), as a band on a scale from 0 to 100 and in words. */
void ser_html_card(ser_text *t, const char *name, const char *meaning, const char *unit, double value,
                   const double *interval);
/* A table up to its first row; the rows are the caller's. many: columns, so that on a narrow page a row
 * becomes a block in which each cell has its column's name above it. */
typedef struct ser_html_column {
    const char *name;
    bool left_out, is_text;
} ser_html_column;
void ser_html_table_begin(ser_text *t, const ser_html_column *columns, size_t n, bool many);
void ser_html_table_end(ser_text *t);
/* A cell; nothing where its column is left out. A share is in percent with a bar behind it; NAN: a dash. */
void ser_html_share(ser_text *t, double share, const ser_html_column *column);
void ser_html_number(ser_text *t, double x, int decimals, const ser_html_column *column);
void ser_html_word(ser_text *t, const char *text, const ser_html_column *column);
/* class: of the figure, or NULL. */
ser_status ser_html_chart(ser_text *t, ser_chart *c, const char *class, ser_error *err);

/* Sections. Nothing where there is nothing to show. */
void ser_html_shared(ser_text *t, const ser_shared_count counts[SER_N_SHARED]);
void ser_html_per_class(ser_text *t, const ser_run_report *r);
void ser_html_mistakes_begin(ser_text *t, size_t n_shown, size_t n);
void ser_html_mistake(ser_text *t, const char *file, const char *truth, const char *answer,
                      double confidence);
void ser_html_mistakes_end(ser_text *t, size_t n_shown);

#endif
