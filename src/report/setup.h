/* How a run was made, in words. */
#ifndef SER_REPORT_SETUP_H
#define SER_REPORT_SETUP_H

#include "report/run_report.h"

/* The value of an option alone; of an object "linear 1 / timnet 0.3". */
void ser_append_setting(ser_text *t, const json_t *value);
/* "epoch 12, lr 0.002, ..." in lines of at most 80 letters, of what a person wants to see. */
void ser_append_settings(ser_text *t, const json_t *config);
/* What was done, and these, each in lines. */
void ser_append_setup(ser_text *t, const ser_run_report *r);
/* "layers [2,3]  spread 0.5  c 300": what was chosen inside a fold's training part. */
void ser_append_choice(ser_text *t, const ser_run_report *r, const ser_run_fold *f);

#endif
