/* The emotion over time: the recording is cut into cells, each cell is judged by the frames of the stretch
 * around it (about as long as the utterances that models learn from), and equal neighbours are merged. Memory
 * does not grow with the length, but for the segments themselves. */
#ifndef SER_MODEL_TIMELINE_H
#define SER_MODEL_TIMELINE_H

#include "model/pooled.h"

enum { SER_TIMELINE_MAX_RADIUS = 2 };

typedef struct ser_timeline_shape {
    double cell_s;
    size_t radius;    /* cells on each side that belong to the stretch */
    bool with_frames; /* the judge reads them */
} ser_timeline_shape;

/* Stretches of 2.5 s every half second: statistics cost next to nothing. */
static inline ser_timeline_shape ser_timeline_of_statistics(void)
{
    return (ser_timeline_shape){.cell_s = 0.5, .radius = 2};
}

/* Stretches of 3 s every second: networks read each frame three times over. */
static inline ser_timeline_shape ser_timeline_of_networks(void)
{
    return (ser_timeline_shape){.cell_s = 1, .radius = 1, .with_frames = true};
}

typedef struct ser_stretch {
    const ser_pooling *pooled;
    ser_frames frames;     /* x NULL without with_frames */
    double start_s, end_s; /* of the cell in it */
} ser_stretch;

/* Judges a stretch: scores (n_labels), or label -1 when there is no voice. */
typedef ser_status (*ser_judge_fn)(void *context, const ser_stretch *stretch, float *scores, int *label,
                                   ser_error *err);

typedef struct ser_timeline {
    ser_timeline_shape shape;
    ser_judge_fn judge;
    void *judge_context;
    size_t dims, n_labels, frames_per_cell;
    double frames_per_s;
    ser_pooling cells[2 * SER_TIMELINE_MAX_RADIUS + 1]; /* a ring: cell c lies at c modulo n_ring */
    size_t n_ring;
    ser_pooling stretch;
    float *frames; /* with_frames: those of the cells in the ring, one row of n_ring * frames_per_cell */
    unsigned char *active;    /* likewise */
    size_t n_in_cell;         /* frames of the cell under way, active or not */
    size_t n_cells, n_judged; /* full cells so far, and how many of them have been judged */
    ser_segment *segments;    /* with sums of scores until finished */
    size_t n_segments, capacity;
    size_t n_voiced;                   /* cells with a voice */
    double score_sums[SER_MAX_LABELS]; /* over those */
} ser_timeline;

ser_status ser_timeline_init(ser_timeline *t, size_t dims, size_t n_labels, double frames_per_s,
                             ser_timeline_shape shape, ser_judge_fn judge, void *judge_context,
                             ser_error *err);
void ser_timeline_release(ser_timeline *t);
ser_status ser_timeline_add(ser_timeline *t, const ser_frames *frames, ser_error *err);
/* Judges what is left and finishes the segments, the last of which ends at duration_s. */
ser_status ser_timeline_finish(ser_timeline *t, double duration_s, ser_error *err);

#endif
