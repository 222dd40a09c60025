#include "model/timeline.h"
#include "base/memory.h"

#include <string.h>

ser_status ser_timeline_init(ser_timeline *t, size_t dims, size_t n_labels, double frames_per_s,
                             ser_timeline_shape shape, ser_judge_fn judge, void *judge_context,
                             ser_error *err)
{
    *t = (ser_timeline){.shape = shape,
                        .judge = judge,
                        .judge_context = judge_context,
                        .dims = dims,
                        .n_labels = n_labels,
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
    ser_free(t->segments);
    *t = (ser_timeline){0};
}

static ser_status append_cell(ser_timeline *t, int label, const float *scores, ser_error *err)
{
    double start = (double)(t->n_judged * t->frames_per_cell) / t->frames_per_s;
    double end = (double)((t->n_judged + 1) * t->frames_per_cell) / t->frames_per_s;
    ser_segment *last = t->n_segments ? &t->segments[t->n_segments - 1] : NULL;
    if (!last || last->label != label) {
        if (!ser_grow(&t->segments, &t->capacity, t->n_segments + 1, sizeof *t->segments))
            return ser_fail_nomem(err);
        last = &t->segments[t->n_segments++];
        *last = (ser_segment){.start_s = start, .label = label};
    }
    last->end_s = end;
    if (label < 0)
        return SER_OK;
    t->n_voiced++;
    for (size_t i = 0; i < t->n_labels; i++) {
        last->scores[i] += scores[i];
        t->score_sums[i] += scores[i];
    }
    return SER_OK;
}

/* The first cell of the stretch around the next cell to judge: where the kept frames begin. */
static size_t first_cell(const ser_timeline *t)
{
    return t->n_judged > t->shape.radius ? t->n_judged - t->shape.radius : 0;
}

/* Judges cell n_judged by the cells around it that exist. */
static ser_status judge_next_cell(ser_timeline *t, size_t n_available, ser_error *err)
{
    size_t from = first_cell(t), to = t->n_judged + t->shape.radius + 1;
    if (to > n_available)
        to = n_available;
    ser_pooling_clear(&t->stretch);
    for (size_t i = from; i < to; i++)
        ser_pooling_merge(&t->stretch, &t->cells[i % t->n_ring]);
    const ser_stretch stretch = {.pooled = &t->stretch,
                                 .frames = {t->frames, t->active, t->stretch.all.n_frames},
                                 .start_s = (double)(t->n_judged * t->frames_per_cell) / t->frames_per_s,
                                 .end_s = (double)((t->n_judged + 1) * t->frames_per_cell) / t->frames_per_s};
    float scores[SER_MAX_LABELS];
    int label = -1;
    ser_status st = SER_OK;
    if (t->stretch.active.n_frames)
        st = t->judge(t->judge_context, &stretch, scores, &label, err);
    if (st == SER_OK)
        st = append_cell(t, label, scores, err);
    t->n_judged++;
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
        if (t->n_cells > t->n_judged + t->shape.radius) {
            ser_status st = judge_next_cell(t, t->n_cells, err);
            if (st != SER_OK)
                return st;
        }
        ser_pooling_clear(&t->cells[t->n_cells % t->n_ring]); /* the oldest, judged by now */
    }
    return SER_OK;
}

ser_status ser_timeline_finish(ser_timeline *t, double duration_s, ser_error *err)
{
    /* A last cell of less than half a cell's frames joins the one before it. */
    size_t n_rest = t->n_in_cell, n_available = t->n_cells + (n_rest ? 1 : 0);
    size_t n_to_judge = t->n_cells + (2 * n_rest >= t->frames_per_cell || (!t->n_cells && n_rest) ? 1 : 0);
    ser_status st = SER_OK;
    while (t->n_judged < n_to_judge && st == SER_OK)
        st = judge_next_cell(t, n_available, err);
    for (size_t i = 0; i < t->n_segments; i++) {
        ser_segment *s = &t->segments[i];
        float sum = 0;
        for (size_t l = 0; l < t->n_labels; l++)
            sum += s->scores[l];
        for (size_t l = 0; l < t->n_labels && sum > 0; l++)
            s->scores[l] /= sum;
    }
    if (t->n_segments)
        t->segments[t->n_segments - 1].end_s = duration_s;
    return st;
}
