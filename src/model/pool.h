/* From a recording's frames to one vector. */
#ifndef SER_MODEL_POOL_H
#define SER_MODEL_POOL_H

#include "base/status.h"
#include <stddef.h>

/* Running statistics over time of frames (n_frames, dims), in doubles so that the order of blocks does not
 * show. */
typedef struct ser_pool {
    size_t dims, n_frames;
    double *sum, *sum_of_squares; /* dims each */
} ser_pool;

ser_status ser_pool_init(ser_pool *p, size_t dims, ser_error *err);
void ser_pool_release(ser_pool *p);
void ser_pool_clear(ser_pool *p);
void ser_pool_merge(ser_pool *p, const ser_pool *other); /* adds what the other has seen */
void ser_pool_add(ser_pool *p, const float *frames, size_t n_frames, size_t row_stride);
/* pooled (2 * dims): means, then standard deviations over time (divided by n). n_frames must be > 0. */
void ser_pool_finish(const ser_pool *p, float *pooled);

#endif
