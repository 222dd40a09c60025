/* Tables and bars for a terminal, plain text elsewhere. */
#ifndef SER_REPORT_TEXT_H
#define SER_REPORT_TEXT_H

#include "base/text.h"
#include "metrics/metrics.h"
#include "report/run_report.h"
#include <stdio.h>

/* How text should look where it is going. */
typedef struct ser_style {
    size_t width;  /* columns */
    bool terminal; /* a person is watching: progress bars make sense */
    bool colour;   /* bold and colours may be used */
    bool utf8;     /* blocks and dots may be used; else ASCII */
} ser_style;

/* Terminal: isatty. Width: the terminal's, at least 40, else 80. Colour: on a terminal that is not "dumb",
 * unless NO_COLOR is set (no-color.org). utf8: by the locale (setlocale(LC_CTYPE, "") must have been called).
 */
ser_style ser_style_of(FILE *stream);

/* Between ser_append_bold and ser_append_plain text is bold, where colour allows. */
void ser_append_bold(ser_text *t, ser_style style);
void ser_append_plain(ser_text *t, ser_style style);
/* text in a field of width columns, cut where it is longer, without control characters. */
void ser_append_left(ser_text *t, const char *text, size_t width, ser_style style);

/* Text whose lines wider than a terminal go on, between words and further in, on the next one; elsewhere as
 * it is, so that what reads lines finds them whole. */
void ser_append_fitted(ser_text *t, const char *text, ser_style style);

/* share (0 ... 1) of width columns, in eighths where utf8 allows; filled up with spaces, or with dots in
 * ASCII. */
void ser_append_bar(ser_text *t, double share, size_t width, ser_style style);

/* Rows: truth; the last column is the share that was right. labels and counts as in ser_figures. */
void ser_append_confusion(ser_text *t, const char *const *labels, const size_t *counts, size_t n_labels,
                          ser_style style);
void ser_append_matrix(ser_text *t, const ser_matrix *m, ser_style style);
/* Precision, recall, F1 and number of recordings of each emotion, as scikit-learn's classification_report
 * prints them: two decimals, then accuracy and the means over the emotions, plain and weighted by their
 * recordings. Across corpora the emotions are the target's, the figures and means those among the shared
 * ones, and a last column says which share of the answers counts as right by the mapping. */
void ser_append_classification(ser_text *t, const ser_run_report *r, ser_style style);
/* Each model and their average: UA and WA over the shared emotions, accuracy by the mapping. */
void ser_append_cross_models(ser_text *t, const ser_run_fold *models, size_t n_models, ser_style style);
/* "20.4 % (16.7 to 25.8)"; without an interval where it has no width, as one speaker's has none. */
void ser_append_with_interval(ser_text *t, double percent, const double interval[2]);
/* "UA 95.2 % (93.1–96.9)   WA ..." in one line, which 80 columns have room for. */
void ser_append_headline(ser_text *t, const ser_figures *f, ser_style style);

#endif
