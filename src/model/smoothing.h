/* From the emotion of each cell to segments that a person can follow: an emotion counts once it lasts for a
 * second, equal neighbours are one. */
#ifndef SER_MODEL_SMOOTHING_H
#define SER_MODEL_SMOOTHING_H

#include "base/status.h"
#include <stddef.h>

/* Cells that agree, and what lies between them. */
typedef struct ser_run {
    size_t first, n_cells; /* the first cell; how many agree, 0: none */
    int label;
    double sums[SER_MAX_LABELS]; /* of the scores of those that agree */
} ser_run;

/* A segment that will not change any more; its times are those of whole cells. */
typedef ser_status (*ser_segment_fn)(void *context, const ser_segment *segment, ser_error *err);

typedef struct ser_smoothing {
    size_t n_labels, n_lasting; /* so many cells that agree count */
    double start_s, cell_s;
    ser_segment_fn receive;
    void *context;
    size_t n_cells;
    ser_run now, other; /* other: has not lasted long enough */
} ser_smoothing;

void ser_smoothing_start(ser_smoothing *s, size_t n_labels, double start_s, double cell_s,
                         ser_segment_fn receive, void *context);
/* label -1: nothing can be said of this cell; it belongs to its neighbours. */
ser_status ser_smoothing_add(ser_smoothing *s, int label, const float *scores, ser_error *err);
ser_status ser_smoothing_finish(ser_smoothing *s, double end_s, ser_error *err);

#endif
