#include "model/pooled.h"

#include <string.h>

void ser_pooled_add(ser_pool *pool, const ser_frames *frames)
{
    for (size_t from = 0, to; from < frames->n; from = to) {
        for (to = from; to < frames->n && frames->active[to]; to++)
            ;
        ser_pool_add(pool, frames->x + from * pool->dims, to - from, pool->dims);
        for (; to < frames->n && !frames->active[to]; to++)
            ;
    }
}

void ser_pooled_finish(const ser_extractor *e, const ser_pool *pool, float *pooled, float *scratch)
{
    ser_pool_finish(pool, scratch);
    for (size_t b = 0; b < ser_extractor_n_blocks(e); b++) {
        size_t offset, dims;
        ser_extractor_block(e, b, &offset, &dims);
        memcpy(pooled + 2 * offset, scratch + offset, dims * sizeof *pooled);
        memcpy(pooled + 2 * offset + dims, scratch + pool->dims + offset, dims * sizeof *pooled);
    }
}
