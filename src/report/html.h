/* A report as one web page: no other files, no scripts, light and dark, fit for printing. */
#ifndef SER_REPORT_HTML_H
#define SER_REPORT_HTML_H

#include "base/text.h"
#include <jansson.h>

/* report: the object of 'ser evaluate --json'; labels and confusion are
 * required (SER_E_FORMAT), parts whose data are missing are left out. Appends the page. */
ser_status ser_report_html(ser_text *out, const json_t *report, ser_error *err);
ser_status ser_report_html_save(const char *path, const json_t *report, ser_error *err);

#endif
