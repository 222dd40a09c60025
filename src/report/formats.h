/* The files that tell of a run, besides its report.json and its pictures: each is one file of code, and one
 * row here. A file appears only when whole. */
#ifndef SER_REPORT_FORMATS_H
#define SER_REPORT_FORMATS_H

#include "report/run_report.h"

/* The file's name in a run folder, and who writes it from the report. */
#define SER_RUN_FORMATS(ROW)                                                                                 \
    ROW("metrics.xlsx", ser_spreadsheet_save)                                                                \
    ROW("report.html", ser_run_page_save)

#define SER_RUN_FORMAT_DECLARE_(file, save)                                                                  \
    ser_status save(const char *path, const ser_run_report *r, ser_error *err);
SER_RUN_FORMATS(SER_RUN_FORMAT_DECLARE_)

#endif
