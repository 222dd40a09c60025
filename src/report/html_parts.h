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
/* A cell with a share in percent and a bar behind it; NAN: a dash. */
void ser_html_share(ser_text *t, double share);
ser_status ser_html_chart(ser_text *t, ser_chart *c, ser_error *err);

/* Sections. Nothing where there is nothing to show. */
void ser_html_shared(ser_text *t, const ser_shared_count counts[SER_N_SHARED]);
void ser_html_per_class(ser_text *t, const char *const *labels, const ser_class_figures *figures,
                        size_t n_labels);
void ser_html_mistakes_begin(ser_text *t, size_t n_shown, size_t n);
void ser_html_mistake(ser_text *t, const char *file, const char *truth, const char *answer,
                      double confidence);
void ser_html_mistakes_end(ser_text *t, size_t n_shown);

#endif
