#include "model/timeline.h"
#include "base/memory.h"

#include <string.h>

ser_status ser_timeline_init(ser_timeline *t, size_t dims, double frames_per_s, ser_timeline_shape shape,
                             ser_stretch_fn receive, void *context, ser_error *err)
{
    *t = (ser_timeline){.shape = shape,
                        .receive = receive,
                        .context = context,
                        .dims = dims,
                        .frames_per_s = frames_per_s,
                        .frames_per_cell = (size_t)(frames_per_s * shape.cell_s + 0.5),
                        .n_ring = 2 * shape.radius + 1};
    ser_status st = ser_pooling_init(&t->stretch, dims, err);
    for (size_t i = 0; i < t->n_ring && st == SER_OK; i++)
        st = ser_pooling_init(&t->cells[i], dims, err);
    if (st == SER_OK && shape.with_frames &&
        (!(t->frames = ser_alloc(t->n_ring * t->frames_per_cell * dims, sizeof *t->frames)) ||
         !(t->active = ser_alloc(t->n_ring * t->frames_per_cell, 1))))
        st = ser_fail_nomem(err);
    if (st != SER_OK)
        ser_timeline_release(t);
    return st;
}

void ser_timeline_release(ser_timeline *t)
{
    ser_pooling_release(&t->stretch);
    for (size_t i = 0; i < t->n_ring; i++)
        ser_pooling_release(&t->cells[i]);
    ser_free(t->frames);
    ser_free(t->active);
    *t = (ser_timeline){0};
}

void ser_timeline_start(ser_timeline *t)
{
    for (size_t i = 0; i < t->n_ring; i++)
        ser_pooling_clear(&t->cells[i]);
    t->n_in_cell = t->n_cells = t->n_given = 0;
}

/* The first cell of the stretch around the next cell: where the kept frames begin. */
static size_t first_cell(const ser_timeline *t)
{
    return t->n_given > t->shape.radius ? t->n_given - t->shape.radius : 0;
}

/* Cell n_given, with the cells around it that exist. */
static ser_status give_next_cell(ser_timeline *t, size_t n_available, ser_error *err)
{
    size_t from = first_cell(t), to = t->n_given + t->shape.radius + 1;
    if (to > n_available)
        to = n_available;
    ser_pooling_clear(&t->stretch);
    for (size_t i = from; i < to; i++)
        ser_pooling_merge(&t->stretch, &t->cells[i % t->n_ring]);
    const ser_stretch stretch = {.pooled = &t->stretch,
                                 .frames = {t->frames, t->active, t->stretch.all.n_frames},
                                 .start_s = (double)(t->n_given * t->frames_per_cell) / t->frames_per_s,
                                 .end_s = (double)((t->n_given + 1) * t->frames_per_cell) / t->frames_per_s};
    ser_status st = t->receive(t->context, &stretch, err);
    t->n_given++;
    if (t->frames && first_cell(t) > from) {
        size_t n_gone = t->frames_per_cell * t->dims, n_all = t->n_ring * n_gone;
        memmove(t->frames, t->frames + n_gone, (n_all - n_gone) * sizeof *t->frames);
        memmove(t->active, t->active + t->frames_per_cell, (t->n_ring - 1) * t->frames_per_cell);
    }
    return st;
}

/* Frames of the cell under way. */
static void add_to_cell(ser_timeline *t, const ser_frames *frames)
{
    ser_pooling_add(&t->cells[t->n_cells % t->n_ring], frames);
    size_t at = (t->n_cells - first_cell(t)) * t->frames_per_cell + t->n_in_cell;
    if (t->frames) {
        memcpy(t->frames + at * t->dims, frames->x, frames->n * t->dims * sizeof *frames->x);
        memcpy(t->active + at, frames->active, frames->n);
    }
    t->n_in_cell += frames->n;
}

ser_status ser_timeline_add(ser_timeline *t, const ser_frames *frames, ser_error *err)
{
    for (size_t at = 0; at < frames->n;) {
        size_t n = t->frames_per_cell - t->n_in_cell;
        if (n > frames->n - at)
            n = frames->n - at;
        add_to_cell(t, &(ser_frames){.x = frames->x + at * t->dims, .active = frames->active + at, .n = n});
        at += n;
        if (t->n_in_cell < t->frames_per_cell)
            continue;
        t->n_in_cell = 0;
        t->n_cells++;
        if (t->n_cells > t->n_given + t->shape.radius) {
            ser_status st = give_next_cell(t, t->n_cells, err);
            if (st != SER_OK)
                return st;
        }
        ser_pooling_clear(&t->cells[t->n_cells % t->n_ring]); /* the oldest, given by now */
    }
    return SER_OK;
}

ser_status ser_timeline_finish(ser_timeline *t, ser_error *err)
{
    size_t n_rest = t->n_in_cell, n_available = t->n_cells + (n_rest ? 1 : 0);
    size_t n_to_give = t->n_cells + (2 * n_rest >= t->frames_per_cell || (!t->n_cells && n_rest) ? 1 : 0);
    ser_status st = SER_OK;
    while (t->n_given < n_to_give && st == SER_OK)
        st = give_next_cell(t, n_available, err);
    return st;
}
