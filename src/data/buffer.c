#include "data/buffer.h"
#include "base/memory.h"

#include <string.h>

ser_status ser_frame_buffer_resize(ser_frame_buffer *b, size_t n, ser_error *err)
{
    size_t n_values;
    if (!ser_mul_size(&n_values, n, b->dims) || !ser_grow(&b->x, &b->x_capacity, n_values, sizeof *b->x) ||
        !ser_grow(&b->active, &b->active_capacity, n, 1))
        return ser_fail_nomem(err);
    b->n = n;
    return SER_OK;
}

ser_status ser_frame_buffer_add(void *context, const ser_frames *frames, ser_error *err)
{
    ser_frame_buffer *b = context;
    size_t n_before = b->n;
    ser_status st = frames->n ? ser_frame_buffer_resize(b, n_before + frames->n, err) : SER_OK;
    if (st == SER_OK && frames->n) {
        memcpy(b->x + n_before * b->dims, frames->x, frames->n * b->dims * sizeof *b->x);
        memcpy(b->active + n_before, frames->active, frames->n);
    }
    return st;
}

void ser_frame_buffer_release(ser_frame_buffer *b)
{
    ser_free(b->x);
    ser_free(b->active);
    *b = (ser_frame_buffer){.dims = b->dims};
}
