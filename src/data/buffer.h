/* The frames of one recording, all in memory. */
#ifndef SER_DATA_BUFFER_H
#define SER_DATA_BUFFER_H

#include "extract/extract.h"

/* A zeroed struct with dims set is an empty buffer. */
typedef struct ser_frame_buffer {
    float *x;              /* (n, dims) */
    unsigned char *active; /* (n) */
    size_t n, dims;
    size_t x_capacity, active_capacity;
} ser_frame_buffer;

/* A ser_frames_fn: context is the buffer. */
ser_status ser_frame_buffer_add(void *context, const ser_frames *frames, ser_error *err);
/* Makes room for n frames in all, whose values are the caller's to fill. */
ser_status ser_frame_buffer_resize(ser_frame_buffer *b, size_t n, ser_error *err);
void ser_frame_buffer_release(ser_frame_buffer *b); /* dims stay */

static inline ser_frames ser_frame_buffer_frames(const ser_frame_buffer *b)
{
    return (ser_frames){.x = b->x, .active = b->active, .n = b->n};
}

#endif
