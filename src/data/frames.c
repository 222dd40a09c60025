#include "data/frames.h"
#include "base/memory.h"
#include "base/threads.h"
#include "data/cache.h"
#include "data/intake.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- filling ---- */

static ser_status reserve(ser_frame_row *row, size_t n_frames, size_t dims, ser_error *err)
{
    size_t n_values;
    row->n_frames = n_frames;
    row->x = ser_mul_size(&n_values, n_frames, dims) ? ser_alloc(n_values, sizeof *row->x) : NULL;
    return row->x ? SER_OK : ser_fail_nomem(err);
}

static char *cache_path(const ser_frame_set *s, const ser_intake_item *it, size_t row, size_t block)
{
    char kind[40];
    snprintf(kind, sizeof kind, "frames-average-%zu%s", s->condense.n_averaged,
             s->condense.trim ? "-trim" : "");
    return ser_intake_cache_path(it, s->condense.n_averaged || s->condense.trim ? kind : "frames", row,
                                 block);
}

/* One block of a row in the cache into its columns; the first block says how many frames there are. */
static bool read_block(ser_frame_row *row, const ser_frame_set *s, const ser_intake_item *it,
                       size_t row_index, size_t block)
{
    size_t offset, dims;
    ser_safetensors *file;
    const ser_tensor *values;
    ser_extractor_block(it->settings->extractor, block, &offset, &dims);
    char *path = cache_path(s, it, row_index, block);
    bool ok = ser_cache_open(&file, &values, path, SER_F32, row->n_frames * dims);
    ok = ok && values->n_elements && values->n_elements % dims == 0;
    ok = ok && (row->x || reserve(row, values->n_elements / dims, s->dims, NULL) == SER_OK);
    for (size_t t = 0; ok && t < row->n_frames; t++)
        memcpy(row->x + t * s->dims + offset, (const float *)values->data + t * dims, dims * sizeof *row->x);
    ser_safetensors_close(&file);
    ser_free(path);
    return ok;
}

static bool read_row(ser_frame_row *row, const ser_frame_set *s, const ser_intake_item *it, size_t row_index)
{
    bool ok = true;
    for (size_t b = 0; b < ser_extractor_n_blocks(it->settings->extractor) && ok; b++)
        ok = read_block(row, s, it, row_index, b);
    if (!ok) {
        ser_free(row->x);
        *row = (ser_frame_row){0};
    }
    return ok;
}

/* What cannot be kept is computed again. */
static void write_row(const ser_frame_row *row, const ser_frame_set *s, const ser_intake_item *it,
                      size_t row_index)
{
    if (!it->settings->folder)
        return;
    for (size_t b = 0; b < ser_extractor_n_blocks(it->settings->extractor); b++) {
        size_t offset, dims;
        ser_extractor_block(it->settings->extractor, b, &offset, &dims);
        char *path = cache_path(s, it, row_index, b);
        float *values = ser_alloc(row->n_frames * dims, sizeof *values);
        for (size_t t = 0; values && t < row->n_frames; t++)
            memcpy(values + t * dims, row->x + t * s->dims + offset, dims * sizeof *values);
        if (values)
            ser_cache_write(path, SER_F32, values, row->n_frames * dims, NULL, 0);
        ser_free(values);
        ser_free(path);
    }
}

static void keep_pooled(const ser_intake_item *it, size_t row_index, ser_intake_worker *w)
{
    const ser_frames frames = ser_frame_buffer_frames(&w->frames);
    ser_pooling_clear(&w->pool);
    ser_pooling_add(&w->pool, &frames);
    ser_pooling_finish(it->settings->extractor, &w->pool, w->pooled, w->scratch);
    ser_intake_write_pooled(it, row_index, w->pooled);
}

static ser_status fill_row(void *context, ser_intake_item *it, size_t row_index, ser_intake_worker *w,
                           bool *computed, ser_error *err)
{
    ser_frame_set *s = context;
    ser_frame_row *row = &s->rows[it->utterance * s->n_rows + row_index];
    bool in_tree = row_index == 0 && it->in_tree;
    if (!in_tree && read_row(row, s, it, row_index))
        return SER_OK;
    w->frames.n = 0;
    ser_status st = ser_intake_frames(it, row_index, w, ser_frame_buffer_add, &w->frames, err);
    if (st != SER_OK)
        return st;
    *computed = !in_tree;
    if (!in_tree)
        keep_pooled(it, row_index, w);
    const ser_frames frames = ser_frame_buffer_frames(&w->frames);
    st = reserve(row, ser_condense_frames(w->frames.x, &s->condense, &frames, s->dims), s->dims, err);
    if (st != SER_OK)
        return st;
    memcpy(row->x, w->frames.x, row->n_frames * s->dims * sizeof *row->x);
    if (!in_tree)
        write_row(row, s, it, row_index);
    return SER_OK;
}

ser_status ser_frame_set_new(ser_frame_set **out, const ser_corpus *corpus,
                             const ser_store_settings *settings, const ser_condense *condense, ser_error *err)
{
    *out = NULL;
    ser_frame_set *s = ser_alloc(1, sizeof *s);
    if (!s)
        return ser_fail_nomem(err);
    s->condense = *condense;
    s->n = corpus->n_utterances;
    s->n_copies = settings->n_copies;
    s->n_rows = ser_intake_n_rows(settings);
    s->dims = ser_extractor_dims(settings->extractor);
    s->recordings = ser_alloc(s->n, sizeof *s->recordings);
    s->rows = ser_alloc(s->n * s->n_rows, sizeof *s->rows);
    ser_status st = s->recordings && s->rows
                        ? ser_intake_run(s->recordings, &s->n_computed, corpus, settings, fill_row, s, err)
                        : ser_fail_nomem(err);
    if (st != SER_OK)
        ser_frame_set_free(&s);
    *out = s;
    return st;
}

void ser_frame_set_free(ser_frame_set **s)
{
    if (!s || !*s)
        return;
    for (size_t i = 0; (*s)->recordings && i < (*s)->n; i++)
        ser_fingerprint_free(&(*s)->recordings[i].fingerprint);
    for (size_t i = 0; (*s)->rows && i < (*s)->n * (*s)->n_rows; i++)
        ser_free((*s)->rows[i].x);
    ser_free((*s)->recordings);
    ser_free((*s)->rows);
    ser_free(*s);
    *s = NULL;
}

/* ---- standardising ---- */

typedef struct normalizing {
    ser_frame_set *set;
    const ser_corpus *corpus;
    ser_normalize how;
} normalizing;

static bool is_member(const normalizing *n, size_t utterance, size_t group)
{
    return n->how == SER_NORMALIZE_CORPUS || n->corpus->utterances[utterance].speaker == (int)group;
}

/* deviation holds sums of squares while the rows are read. */
static void measure_group(const normalizing *n, size_t group, double *mean, double *deviation)
{
    size_t dims = n->set->dims, n_frames = 0;
    for (size_t u = 0; u < n->set->n; u++) {
        const ser_frame_row *row = ser_frame_set_row(n->set, u, 0);
        if (!is_member(n, u, group))
            continue;
        n_frames += row->n_frames;
        for (size_t t = 0; t < row->n_frames; t++)
            for (size_t i = 0; i < dims; i++) {
                double v = row->x[t * dims + i];
                mean[i] += v;
                deviation[i] += v * v;
            }
    }
    for (size_t i = 0; i < dims && n_frames; i++) {
        mean[i] /= (double)n_frames;
        deviation[i] = sqrt(fmax(deviation[i] / (double)n_frames - mean[i] * mean[i], 0));
    }
}

static void standardise_row(ser_frame_row *row, size_t dims, const double *mean, const double *deviation)
{
    static const double constant = 1e-6; /* what rounding leaves of a deviation of 0 */
    for (size_t t = 0; t < row->n_frames; t++) {
        float *x = row->x + t * dims;
        for (size_t i = 0; i < dims; i++)
            x[i] = deviation[i] > constant ? (float)((x[i] - mean[i]) / deviation[i]) : 0;
    }
}

static ser_status normalize_group(void *context, size_t group, int worker, ser_error *err)
{
    (void)worker;
    const normalizing *n = context;
    ser_frame_set *s = n->set;
    double *mean = ser_alloc(2 * s->dims, sizeof *mean), *deviation = mean + s->dims;
    if (!mean)
        return ser_fail_nomem(err);
    measure_group(n, group, mean, deviation);
    for (size_t u = 0; u < s->n; u++)
        for (size_t row = 0; row < s->n_rows && is_member(n, u, group); row++)
            standardise_row(&s->rows[u * s->n_rows + row], s->dims, mean, deviation);
    ser_free(mean);
    return SER_OK;
}

ser_status ser_frame_set_normalize(ser_frame_set *s, const ser_corpus *corpus, ser_normalize how,
                                   int n_threads, ser_error *err)
{
    normalizing n = {.set = s, .corpus = corpus, .how = how};
    if (how == SER_NORMALIZE_NONE)
        return SER_OK;
    ser_status st = ser_dataset_check_normalize(corpus, how, err);
    if (st != SER_OK)
        return st;
    return ser_parallel_for(n_threads, how == SER_NORMALIZE_SPEAKER ? corpus->n_speakers : 1, normalize_group,
                            &n, err);
}
