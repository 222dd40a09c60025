/* A run as a terminal shows it: what it was, each fold or model, the emotions, the figures. */
#ifndef SER_REPORT_SUMMARY_H
#define SER_REPORT_SUMMARY_H

#include "report/run_report.h"
#include "report/text.h"

void ser_append_run(ser_text *t, const ser_run_report *r, ser_style style);

#endif
