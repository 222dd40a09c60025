#include "data/frames.h"
#include "base/memory.h"
#include "data/cache.h"

#include <stdio.h>
#include <string.h>

/* ---- rows ---- */

static ser_status reserve(ser_frame_row *row, size_t n_frames, size_t dims, ser_error *err)
{
    size_t n_values;
    row->n_frames = n_frames;
    row->x = ser_mul_size(&n_values, n_frames, dims) ? ser_alloc(n_values, sizeof *row->x) : NULL;
    return row->x ? SER_OK : ser_fail_nomem(err);
}

static char *cache_path(const ser_frame_set *s, const ser_recording_features *f, size_t row, size_t block)
{
    char kind[40];
    snprintf(kind, sizeof kind, "frames-average-%zu%s", s->condense.n_averaged,
             s->condense.trim ? "-trim" : "");
    return ser_features_cache_path(f, s->condense.n_averaged || s->condense.trim ? kind : "frames", row,
                                   block);
}

/* One block of a row in the cache into its columns; the first block says how many frames there are. */
static bool read_block(ser_frame_row *row, const ser_frame_set *s, const ser_recording_features *f,
                       size_t row_index, size_t block)
{
    size_t offset, dims;
    ser_safetensors *file;
    const ser_tensor *values;
    ser_extractor_block(f->settings->extractor, block, &offset, &dims);
    char *path = cache_path(s, f, row_index, block);
    bool ok = ser_cache_open(&file, &values, path, SER_F32, row->n_frames * dims);
    ok = ok && values->n_elements && values->n_elements % dims == 0;
    ok = ok && (row->x || reserve(row, values->n_elements / dims, s->dims, NULL) == SER_OK);
    for (size_t t = 0; ok && t < row->n_frames; t++)
        memcpy(row->x + t * s->dims + offset, (const float *)values->data + t * dims, dims * sizeof *row->x);
    ser_safetensors_close(&file);
    ser_free(path);
    return ok;
}

bool ser_frame_row_read(ser_frame_row *row, const ser_frame_set *s, const ser_recording_features *f,
                        size_t row_index)
{
    bool ok = true;
    for (size_t b = 0; b < ser_extractor_n_blocks(f->settings->extractor) && ok; b++)
        ok = read_block(row, s, f, row_index, b);
    if (!ok) {
        ser_free(row->x);
        *row = (ser_frame_row){0};
    }
    return ok;
}

/* What cannot be kept is computed again. */
void ser_frame_row_write(const ser_frame_row *row, const ser_frame_set *s, const ser_recording_features *f,
                         size_t row_index)
{
    if (!f->settings->folder)
        return;
    for (size_t b = 0; b < ser_extractor_n_blocks(f->settings->extractor); b++) {
        size_t offset, dims;
        ser_extractor_block(f->settings->extractor, b, &offset, &dims);
        char *path = cache_path(s, f, row_index, b);
        float *values = ser_alloc(row->n_frames * dims, sizeof *values);
        for (size_t t = 0; values && t < row->n_frames; t++)
            memcpy(values + t * dims, row->x + t * s->dims + offset, dims * sizeof *values);
        if (values)
            ser_cache_write(path, SER_F32, values, row->n_frames * dims, NULL, 0);
        ser_free(values);
        ser_free(path);
    }
}

ser_status ser_frame_row_fill(ser_frame_row *row, const ser_frame_set *s, ser_frame_buffer *buffer,
                              ser_error *err)
{
    const ser_frames frames = ser_frame_buffer_frames(buffer);
    ser_status st =
        reserve(row, ser_condense_frames(buffer->x, &s->condense, &frames, s->dims), s->dims, err);
    if (st == SER_OK)
        memcpy(row->x, buffer->x, row->n_frames * s->dims * sizeof *row->x);
    return st;
}

ser_status ser_frame_set_new(ser_frame_set **out, size_t n, size_t n_copies, size_t n_rows, size_t dims,
                             const ser_condense *condense, ser_error *err)
{
    size_t n_all;
    ser_frame_set *s = *out = ser_alloc(1, sizeof *s);
    if (!s)
        return ser_fail_nomem(err);
    *s = (ser_frame_set){.n = n, .n_copies = n_copies, .n_rows = n_rows, .dims = dims, .condense = *condense};
    if (ser_mul_size(&n_all, n, n_rows) && (s->rows = ser_alloc(n_all, sizeof *s->rows)))
        return SER_OK;
    ser_frame_set_free(out);
    return ser_fail_nomem(err);
}

void ser_frame_set_free(ser_frame_set **s)
{
    if (!s || !*s)
        return;
    for (size_t i = 0; (*s)->rows && i < (*s)->n * (*s)->n_rows; i++)
        ser_free((*s)->rows[i].x);
    ser_free((*s)->rows);
    ser_free(*s);
    *s = NULL;
}
