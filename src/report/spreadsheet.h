/* metrics.xlsx: a run as a workbook, with sheets for the summary, folds, emotions, confusion, history and
 * answers. Text from anywhere stays text: nothing becomes a formula or a link. */
#ifndef SER_REPORT_SPREADSHEET_H
#define SER_REPORT_SPREADSHEET_H

#include "report/run_report.h"

/* The file appears only when whole. */
ser_status ser_spreadsheet_save(const char *path, const ser_run_report *r, ser_error *err);

#endif
