/* The emotion over time: the recording is cut into cells of half a second, each cell is judged by the frames
 * of the 3.5 s around it (about as long as the utterances that models learn from), and equal neighbours are
 * merged. Memory does not grow with the length, but for the segments themselves. */
#ifndef SER_MODEL_TIMELINE_H
#define SER_MODEL_TIMELINE_H

#include "model/pooled.h"

enum { SER_TIMELINE_RADIUS = 3 /* cells on each side */ };
#define SER_TIMELINE_CELL_S 0.5

/* Judges pooled statistics of a stretch: scores (n_labels), or label -1 when there is no voice. */
typedef ser_status (*ser_judge_fn)(void *context, const ser_pooling *stretch, float *scores, int *label,
                                   ser_error *err);

typedef struct ser_timeline {
    ser_judge_fn judge;
    void *judge_context;
    size_t n_labels, frames_per_cell;
    double frames_per_s;
    ser_pooling cells[2 * SER_TIMELINE_RADIUS + 1]; /* a ring: cell c lies at c modulo its size */
    ser_pooling stretch;
    size_t n_in_cell;         /* frames of the cell under way, active or not */
    size_t n_cells, n_judged; /* full cells so far, and how many of them have been judged */
    ser_segment *segments;    /* with sums of scores until finished */
    size_t n_segments, capacity;
    size_t n_voiced;                   /* cells with a voice */
    double score_sums[SER_MAX_LABELS]; /* over those */
} ser_timeline;

ser_status ser_timeline_init(ser_timeline *t, size_t dims, size_t n_labels, double frames_per_s,
                             ser_judge_fn judge, void *judge_context, ser_error *err);
void ser_timeline_release(ser_timeline *t);
ser_status ser_timeline_add(ser_timeline *t, const ser_frames *frames, ser_error *err);
/* Judges what is left and finishes the segments, the last of which ends at duration_s. */
ser_status ser_timeline_finish(ser_timeline *t, double duration_s, ser_error *err);

#endif
