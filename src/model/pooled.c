#include "model/pooled.h"

#include <string.h>

ser_status ser_pooling_init(ser_pooling *p, size_t dims, ser_error *err)
{
    *p = (ser_pooling){0};
    ser_status st = ser_pool_init(&p->all, dims, err);
    if (st == SER_OK)
        st = ser_pool_init(&p->active, dims, err);
    if (st != SER_OK)
        ser_pooling_release(p);
    return st;
}

void ser_pooling_release(ser_pooling *p)
{
    ser_pool_release(&p->all);
    ser_pool_release(&p->active);
}

void ser_pooling_clear(ser_pooling *p)
{
    ser_pool_clear(&p->all);
    ser_pool_clear(&p->active);
}

void ser_pooling_merge(ser_pooling *p, const ser_pooling *other)
{
    ser_pool_merge(&p->all, &other->all);
    ser_pool_merge(&p->active, &other->active);
}

void ser_pooling_add(ser_pooling *p, const ser_frames *frames)
{
    size_t dims = p->all.dims;
    ser_pool_add(&p->all, frames->x, frames->n, dims);
    for (size_t from = 0, to; from < frames->n; from = to) {
        for (to = from; to < frames->n && frames->active[to]; to++)
            ;
        ser_pool_add(&p->active, frames->x + from * dims, to - from, dims);
        for (; to < frames->n && !frames->active[to]; to++)
            ;
    }
}

void ser_pooling_finish(const ser_extractor *e, const ser_pooling *p, float *pooled, float *scratch)
{
    size_t all_dims = p->all.dims;
    ser_pool_finish(&p->all, scratch);
    ser_pool_finish(&p->active, scratch + 2 * all_dims);
    for (size_t b = 0; b < ser_extractor_n_blocks(e); b++) {
        size_t offset, dims;
        ser_extractor_block(e, b, &offset, &dims);
        for (size_t s = 0; s < SER_N_STATISTICS; s++)
            memcpy(pooled + SER_N_STATISTICS * offset + s * dims, scratch + s * all_dims + offset,
                   dims * sizeof *pooled);
    }
}
