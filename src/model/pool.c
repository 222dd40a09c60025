#include "model/pool.h"
#include "base/memory.h"
#include "model/moments.h"

#include <math.h>
#include <string.h>

ser_status ser_pool_init(ser_pool *p, size_t dims, ser_error *err)
{
    *p = (ser_pool){.dims = dims};
    p->sum = ser_alloc(dims, sizeof *p->sum);
    p->sum_of_squares = ser_alloc(dims, sizeof *p->sum_of_squares);
    if (p->sum && p->sum_of_squares)
        return SER_OK;
    ser_pool_release(p);
    return ser_fail_nomem(err);
}

void ser_pool_release(ser_pool *p)
{
    ser_free(p->sum);
    ser_free(p->sum_of_squares);
    *p = (ser_pool){0};
}

void ser_pool_clear(ser_pool *p)
{
    p->n_frames = 0;
    memset(p->sum, 0, p->dims * sizeof *p->sum);
    memset(p->sum_of_squares, 0, p->dims * sizeof *p->sum_of_squares);
}

void ser_pool_merge(ser_pool *p, const ser_pool *other)
{
    p->n_frames += other->n_frames;
    for (size_t i = 0; i < p->dims; i++) {
        p->sum[i] += other->sum[i];
        p->sum_of_squares[i] += other->sum_of_squares[i];
    }
}

void ser_pool_add(ser_pool *p, const float *frames, size_t n_frames, size_t row_stride)
{
    for (size_t t = 0; t < n_frames; t++) {
        const float *x = frames + t * row_stride;
        for (size_t i = 0; i < p->dims; i++) {
            double v = x[i];
            p->sum[i] += v;
            p->sum_of_squares[i] += v * v;
        }
    }
    p->n_frames += n_frames;
}

void ser_pool_finish(const ser_pool *p, float *pooled)
{
    double n = (double)p->n_frames;
    for (size_t i = 0; i < p->dims; i++) {
        double mean = p->sum[i] / n, mean_square = p->sum_of_squares[i] / n;
        double deviation = sqrt(fmax(mean_square - mean * mean, 0));
        pooled[i] = (float)mean;
        pooled[p->dims + i] = ser_varies(mean, deviation) ? (float)deviation : 0;
    }
}
