/* What a report page computes from a report object of 'ser evaluate --json'. */
#ifndef SER_REPORT_REPORT_DATA_H
#define SER_REPORT_REPORT_DATA_H

#include "metrics/metrics.h"
#include <jansson.h>
#include <stdbool.h>

typedef struct ser_report_data {
    const char **labels; /* n_labels, owned by the report */
    size_t n_labels;
    size_t *counts;               /* (n_labels, n_labels), rows: truth */
    ser_class_figures *per_class; /* n_labels */
    bool has_reliability;         /* every prediction has its scores */
    ser_reliability reliability;
    const json_t **mistakes; /* the most confident wrong predictions first */
    size_t n_mistakes;
} ser_report_data;

/* The report must outlive *out. SER_E_FORMAT where labels or confusion are missing or do not fit. */
ser_status ser_report_data_init(ser_report_data *out, const json_t *report, ser_error *err);
void ser_report_data_release(ser_report_data *d);

/* The score of the predicted label, 0 ... 1; 0 where there is none. */
double ser_report_confidence(const json_t *prediction);

#endif
