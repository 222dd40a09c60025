/* Sound cut into cells, each heard with the stretch around it, which is about as long as the utterances that
 * models learn from. Memory does not grow with the length. */
#ifndef SER_MODEL_TIMELINE_H
#define SER_MODEL_TIMELINE_H

#include "model/pooled.h"

enum { SER_TIMELINE_MAX_RADIUS = 2 };

typedef struct ser_timeline_shape {
    double cell_s;
    size_t radius;    /* cells on each side that belong to the stretch */
    bool with_frames; /* they are read */
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

/* Receives a cell. There may be no active frame in the stretch around it. */
typedef ser_status (*ser_stretch_fn)(void *context, const ser_stretch *stretch, ser_error *err);

typedef struct ser_timeline {
    ser_timeline_shape shape;
    ser_stretch_fn receive;
    void *context;
    size_t dims, frames_per_cell;
    double frames_per_s;
    ser_pooling cells[2 * SER_TIMELINE_MAX_RADIUS + 1]; /* a ring: cell c lies at c modulo n_ring */
    size_t n_ring;
    ser_pooling stretch;
    float *frames; /* with_frames: those of the cells in the ring, one row of n_ring * frames_per_cell */
    unsigned char *active;   /* likewise */
    size_t n_in_cell;        /* frames of the cell under way, active or not */
    size_t n_cells, n_given; /* full cells so far, and how many of them have been received */
} ser_timeline;

ser_status ser_timeline_init(ser_timeline *t, size_t dims, double frames_per_s, ser_timeline_shape shape,
                             ser_stretch_fn receive, void *context, ser_error *err);
void ser_timeline_release(ser_timeline *t);
/* Another sound begins. */
void ser_timeline_start(ser_timeline *t);
ser_status ser_timeline_add(ser_timeline *t, const ser_frames *frames, ser_error *err);
/* What is left. A last cell of less than half a cell's frames belongs to the one before it. */
ser_status ser_timeline_finish(ser_timeline *t, ser_error *err);

#endif
