#include "model/timnet_work.h"
#include "base/memory.h"

#include <string.h>

/* Of products, in batches of recordings of any length: six or so for each number of rows. */
enum { N_SHAPES = 256 };

/* ---- memory ---- */

static ser_status stream_init(timnet_stream *s, const ser_timnet_work *w, size_t direction, ser_error *err)
{
    s->direction = direction;
    size_t c = w->shape.n_filters;
    size_t n_prepared = ser_nn_causal_conv_most_prepared(&w->convs[0]);
    s->x = ser_alloc(w->n_blocks, sizeof *s->x);
    s->y = ser_alloc(2 * w->n_blocks, sizeof *s->y);
    s->norms = ser_alloc(2 * w->n_blocks, sizeof *s->norms);
    size_t n_input = w->shape.n_in * c;
    s->prepared = ser_alloc(n_prepared > n_input ? n_prepared : n_input, ser_dtype_size(w->type));
    s->dprepared = ser_alloc(n_prepared, sizeof *s->dprepared);
    bool ok = s->x && s->y && s->norms && s->prepared && s->dprepared;
    for (size_t i = 0; i < N_VECTORS; i++)
        ok = (s->vectors[i] = ser_alloc(c, sizeof(float))) && ok;
    ser_status status = ok ? SER_OK : ser_fail_nomem(err);
    for (size_t i = 0; i < 2 * w->n_blocks && status == SER_OK; i++)
        status = ser_nn_batch_norm_init(&s->norms[i], c, err);
    return status;
}

/* In training each block keeps what it read and computed; else they take turns. */
static size_t n_own(const ser_timnet_work *w, size_t n)
{
    return w->for_training || n < 2 ? n : 2;
}

/* Frees what depends on the batch's size. */
static void stream_clear(timnet_stream *s)
{
    float **floats[] = {&s->keep, &s->means, &s->result};
    for (size_t i = 0; i < sizeof floats / sizeof *floats; i++) {
        ser_free(*floats[i]);
        *floats[i] = NULL;
    }
    ser_free(s->matrices);
    ser_free(s->rows);
    ser_free(s->drows);
    ser_free(s->input);
    s->matrices = s->rows = s->drows = s->input = NULL;
}

static void stream_release(timnet_stream *s, const ser_timnet_work *w)
{
    stream_clear(s);
    for (size_t i = 0; s->norms && i < 2 * w->n_blocks; i++)
        ser_nn_batch_norm_release(&s->norms[i]);
    for (size_t i = 0; i < N_VECTORS; i++)
        ser_free(s->vectors[i]);
    ser_free(s->norms);
    ser_free(s->x);
    ser_free(s->y);
    ser_free(s->prepared);
    ser_free(s->dprepared);
}

ser_status ser_timnet_work_new(ser_timnet_work **out, const ser_timnet_shape *shape, ser_nn_work *nn,
                               bool for_training, ser_error *err)
{
    *out = NULL;
    ser_timnet_work *w = ser_alloc(1, sizeof *w);
    if (!w)
        return ser_fail_nomem(err);
    w->shape = *shape;
    w->nn = nn;
    w->for_training = for_training;
    w->type = ser_nn_work_type(nn);
    w->n_blocks = shape->n_dilations * shape->n_stacks;
    ser_status status = ser_nn_work_keep_shapes(nn, N_SHAPES, err);
    w->convs = ser_alloc(shape->n_dilations, sizeof *w->convs);
    if (status == SER_OK && !w->convs)
        status = ser_fail_nomem(err);
    for (size_t i = 0; i < shape->n_dilations && status == SER_OK; i++)
        w->convs[i] = (ser_nn_causal_conv){.n_in = shape->n_filters,
                                           .n_out = shape->n_filters,
                                           .kernel = shape->kernel_size,
                                           .dilation = (size_t)1 << i};
    for (size_t d = 0; d < 2 && status == SER_OK; d++)
        status = stream_init(&w->streams[d], w, d, err);
    if (status == SER_OK)
        *out = w;
    else
        ser_timnet_work_free(&w);
    return status;
}

static void work_clear(ser_timnet_work *w)
{
    float **floats[] = {&w->means,       &w->dmeans,        &w->sum,  &w->hidden,  &w->features,
                        &w->keep_hidden, &w->keep_features, &w->dsum, &w->dhidden, &w->dfeatures};
    for (size_t d = 0; d < 2; d++)
        stream_clear(&w->streams[d]);
    for (size_t i = 0; i < sizeof floats / sizeof *floats; i++) {
        ser_free(*floats[i]);
        *floats[i] = NULL;
    }
    ser_free(w->recordings);
    ser_free(w->n_frames);
    ser_free(w->groups);
    w->recordings = NULL;
    w->n_frames = NULL;
    w->groups = NULL;
    w->n_max = w->n_rows_max = w->n_longest_max = 0;
}

void ser_timnet_work_free(ser_timnet_work **work)
{
    ser_timnet_work *w = *work;
    if (!w)
        return;
    work_clear(w);
    for (size_t d = 0; d < 2; d++)
        stream_release(&w->streams[d], w);
    ser_free(w->convs);
    ser_free(w);
    *work = NULL;
}

/* Matrices i of n_own lie in s->matrices, the others in the place of an earlier one. */
static void place_matrices(void **matrices, size_t n, char *memory, size_t n_bytes, const ser_timnet_work *w)
{
    for (size_t i = 0; i < n; i++)
        matrices[i] = memory + (i < n_own(w, n) ? i : i % 2) * n_bytes;
}

static bool reserve_matrices(timnet_stream *s, const ser_timnet_work *w)
{
    size_t n_x = n_own(w, w->n_blocks), n_y = n_own(w, 2 * w->n_blocks),
           n = n_x + n_y + (w->for_training ? 2 : 0);
    size_t n_bytes, n_all;
    if (!ser_mul_size(&n_bytes, w->n_rows_max, w->shape.n_filters * ser_dtype_size(w->type)) ||
        !ser_mul_size(&n_all, n, n_bytes))
        return false;
    char *memory = s->matrices = ser_alloc(n_all, 1);
    if (!memory)
        return false;
    place_matrices(s->x, w->n_blocks, memory, n_bytes, w);
    place_matrices(s->y, 2 * w->n_blocks, memory + n_x * n_bytes, n_bytes, w);
    s->gradient = memory + (n_x + n_y) * n_bytes;
    s->du = memory + (n_x + n_y + 1) * n_bytes;
    return true;
}

static bool reserve_stream(timnet_stream *s, const ser_timnet_work *w)
{
    size_t c = w->shape.n_filters, size = ser_dtype_size(w->type), n_longest = w->n_longest_max;
    s->keep = ser_alloc(2 * w->n_blocks * w->n_max * c, sizeof *s->keep);
    s->means = ser_alloc(w->n_max * w->n_blocks * c, sizeof *s->means);
    s->rows = ser_alloc(n_longest * c, size);
    s->drows = ser_alloc(n_longest * c, size);
    s->input = ser_alloc(n_longest * w->shape.n_in, size);
    s->result = ser_alloc(n_longest * c, sizeof *s->result);
    return s->keep && s->means && s->rows && s->drows && s->input && s->result && reserve_matrices(s, w);
}

static bool reserve_all(ser_timnet_work *w)
{
    size_t n = w->n_max, c = w->shape.n_filters, n_means = n * w->n_blocks * c;
    const struct {
        float **to;
        size_t n;
    } floats[] = {{&w->means, n_means},
                  {&w->dmeans, n_means},
                  {&w->sum, n * c},
                  {&w->dsum, n * c},
                  {&w->hidden, n * SER_TIMNET_DENSE_1},
                  {&w->dhidden, n * SER_TIMNET_DENSE_1},
                  {&w->keep_hidden, n * SER_TIMNET_DENSE_1},
                  {&w->features, n * SER_TIMNET_DENSE_2},
                  {&w->dfeatures, n * SER_TIMNET_DENSE_2},
                  {&w->keep_features, n * SER_TIMNET_DENSE_2}};
    bool ok = (w->recordings = ser_alloc(n, sizeof *w->recordings)) != NULL;
    ok = (w->n_frames = ser_alloc(n, sizeof *w->n_frames)) && ok;
    ok = (w->groups = ser_alloc(n, sizeof *w->groups)) && ok;
    for (size_t i = 0; i < sizeof floats / sizeof *floats; i++)
        ok = (*floats[i].to = ser_alloc(floats[i].n, sizeof(float))) && ok;
    for (size_t d = 0; d < 2 && ok; d++)
        ok = reserve_stream(&w->streams[d], w);
    return ok;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static ser_status reserve(ser_timnet_work *w, size_t n, size_t n_rows, size_t n_longest, ser_error *err)
{
    if (n <= w->n_max && n_rows <= w->n_rows_max && n_longest <= w->n_longest_max)
        return SER_OK;
    n = larger(n, w->n_max), n_rows = larger(n_rows, w->n_rows_max),
    n_longest = larger(n_longest, w->n_longest_max);
    work_clear(w);
    w->n_max = n, w->n_rows_max = n_rows, w->n_longest_max = n_longest;
    if (reserve_all(w))
        return SER_OK;
    work_clear(w);
    return ser_fail_nomem(err);
}

/* How many rows a group has, unless one recording has more: what the nearer caches hold several times. */
static size_t group_rows(const ser_timnet_work *w)
{
    return (48 << 10) / w->shape.n_filters;
}

static void lay_out(ser_timnet_work *w, const ser_timnet_batch *batch)
{
    size_t n_rows_before = 0;
    w->n = batch->n;
    w->n_groups = 0;
    for (size_t b = 0; b < batch->n; b++) {
        size_t n_rows = ser_nn_padded_rows(batch->n_frames[b]);
        w->recordings[b] = (timnet_recording){batch->frames[b], batch->n_frames[b], n_rows, n_rows_before};
        w->n_frames[b] = batch->n_frames[b];
        n_rows_before += n_rows;
        timnet_group *last = w->n_groups ? &w->groups[w->n_groups - 1] : NULL;
        if (last && n_rows_before - last->first_row <= group_rows(w))
            last->n++;
        else
            w->groups[w->n_groups++] = (timnet_group){b, 1, w->recordings[b].first_row};
    }
}

/* In training what is fastest for the whole batch. Answers must not depend on the other recordings. */
static void choose_tiles(ser_timnet_work *w, bool trains)
{
    for (size_t i = 0; i < w->shape.n_dilations; i++)
        if (trains)
            ser_nn_causal_conv1d_choose(&w->convs[i], w->type, w->n_frames, w->n);
        else
            w->convs[i].tile = ser_nn_causal_conv1d_smallest_tile(&w->convs[i]);
}

ser_status timnet_work_begin(ser_timnet_work *w, const ser_timnet_batch *batch, bool trains, ser_error *err)
{
    size_t n_rows = 0, n_longest = group_rows(w);
    if (!batch->n)
        return ser_fail(err, SER_E_ARG, "a batch without recordings");
    for (size_t b = 0; b < batch->n; b++) {
        size_t n = ser_nn_padded_rows(batch->n_frames[b]);
        if (!n)
            return ser_fail(err, SER_E_ARG, "recording %zu of the batch has no frames", b);
        n_rows += n;
        n_longest = larger(n, n_longest);
    }
    ser_status status = reserve(w, batch->n, n_rows, n_longest, err);
    if (status != SER_OK)
        return status;
    lay_out(w, batch);
    choose_tiles(w, trains);
    return SER_OK;
}

/* ---- what both passes compute ---- */

void timnet_clear_padding(const ser_timnet_work *w, void *rows, size_t n_columns, size_t b)
{
    const timnet_recording *r = &w->recordings[b];
    size_t row = n_columns * ser_dtype_size(w->type);
    memset((char *)rows + r->n_frames * row, 0, (r->n_rows - r->n_frames) * row);
}

ser_nn_norm_act timnet_norm_act(const ser_timnet_work *w, const timnet_stream *s, size_t block, size_t which,
                                size_t b)
{
    const ser_nn_batch_norm *n = &s->norms[2 * block + which];
    return (ser_nn_norm_act){.n_channels = w->shape.n_filters,
                             .f = w->shape.activation,
                             .scale = n->scale,
                             .shift = n->shift,
                             .keep = timnet_keep(w, s, block, which, b),
                             .centre = n->centre,
                             .inverse = n->inverse};
}

void timnet_read_frames(const ser_timnet_work *w, timnet_stream *s, size_t b)
{
    const timnet_recording *r = &w->recordings[b];
    size_t n_in = w->shape.n_in, row = n_in * ser_dtype_size(w->type);
    for (size_t t = 0; t < r->n_frames; t++) {
        size_t from = s->direction ? r->n_frames - 1 - t : t;
        ser_nn_convert((char *)s->input + t * row, w->type, r->frames + from * n_in, n_in);
    }
    timnet_clear_padding(w, s->input, n_in, b);
}

void timnet_read_between(const ser_timnet_work *w, timnet_stream *s, size_t block, size_t b, void *rows)
{
    const timnet_recording *r = &w->recordings[b];
    ser_nn_norm_act norm_act = timnet_norm_act(w, s, block, 0, b);
    ser_nn_norm_act_forward(rows, w->type, timnet_row(w, s->y[2 * block], b, 0), w->type, &norm_act,
                            r->n_frames);
    timnet_clear_padding(w, rows, w->shape.n_filters, b);
}
