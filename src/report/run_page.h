/* A run as one web page: no other files, no scripts, light and dark, fit for printing. */
#ifndef SER_REPORT_RUN_PAGE_H
#define SER_REPORT_RUN_PAGE_H

#include "base/text.h"
#include "report/run_report.h"

ser_status ser_run_page(ser_text *out, const ser_run_report *r, ser_error *err); /* appends the page */

#endif
