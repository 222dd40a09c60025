/* report.json: docs/report.md has its keys. */
#ifndef SER_REPORT_RUN_JSON_H
#define SER_REPORT_RUN_JSON_H

#include "report/run_report.h"

json_t *ser_run_report_json(const ser_run_report *r); /* NULL: out of memory */

/* The layers among these blocks: numbers in a list, of several encoders an object of lists by their names. */
json_t *ser_run_layers_json(const ser_run_block *blocks, size_t n, uint64_t used);
/* In the same order, weight (n): what each hidden state counts. */
json_t *ser_run_layer_weights_json(const ser_run_block *blocks, size_t n, const float *weight);

#endif
