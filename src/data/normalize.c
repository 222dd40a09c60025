#include "data/normalize.h"
#include "base/memory.h"
#include "base/threads.h"
#include "model/moments.h"

#include <math.h>
#include <string.h>

static const char *const normalize_names[] = {"none", "speaker", "corpus"};

const char *ser_normalize_name(ser_normalize n)
{
    return normalize_names[n];
}

static ser_status check_speakers(const ser_corpus *corpus, ser_normalize how, ser_error *err)
{
    return how != SER_NORMALIZE_SPEAKER || ser_corpus_has_speakers(corpus)
               ? SER_OK
               : ser_fail(err, SER_E_ARG,
                          "--normalize speaker, but %s has no speakers: use a CSV with a speaker column",
                          corpus->name);
}

/* Rows of features of each recording and of what was made of it: pooled ones, of which each has one, or
 * frames.
 */
typedef struct normalizing {
    ser_store *store; /* or NULL: frames */
    ser_frame_set *frames;
    const ser_corpus *corpus;
    ser_normalize how;
    size_t n, n_rows, dims;
    double *deviations; /* (groups, dims), or NULL: nobody wants them */
} normalizing;

static float *rows_of(const normalizing *n, size_t u, size_t row, size_t *n_lines)
{
    const ser_frame_row *own = n->store ? NULL : ser_frame_set_row(n->frames, u, row);
    *n_lines = own ? own->n_frames : 1;
    return own ? own->x : ser_store_row(n->store, u, row);
}

static bool is_member(const normalizing *n, size_t utterance, size_t group)
{
    const ser_utterance *u = &n->corpus->utterances[utterance];
    return (n->how == SER_NORMALIZE_CORPUS ? u->part : u->speaker) == (int)group;
}

/* *lines (of the unaltered recordings), free with ser_free. */
static ser_status list_lines(const float ***lines, size_t *n_all, const normalizing *n, size_t group,
                             ser_error *err)
{
    *lines = NULL;
    for (int counted = 0; counted < 2; counted++) {
        if (counted && !(*lines = ser_alloc(*n_all, sizeof **lines)))
            return ser_fail_nomem(err);
        *n_all = 0;
        for (size_t u = 0; u < n->n; u++) {
            size_t n_lines;
            const float *x = is_member(n, u, group) ? rows_of(n, u, 0, &n_lines) : NULL;
            for (size_t t = 0; x && t < n_lines; t++, ++*n_all)
                if (counted)
                    (*lines)[*n_all] = x + t * n->dims;
        }
    }
    return SER_OK;
}

static void standardise(float *x, size_t n_lines, size_t dims, const double *mean, const double *deviation)
{
    for (size_t t = 0; t < n_lines; t++, x += dims)
        for (size_t i = 0; i < dims; i++)
            x[i] = deviation[i] > 0 ? (float)((x[i] - mean[i]) / deviation[i]) : 0;
}

static ser_status normalize_group(void *context, size_t group, int worker, ser_error *err)
{
    (void)worker;
    const normalizing *n = context;
    const float **lines;
    size_t n_all = 0, n_lines;
    double *mean = ser_alloc(2 * n->dims, sizeof *mean), *deviation = mean + n->dims;
    ser_status st = mean ? list_lines(&lines, &n_all, n, group, err) : ser_fail_nomem(err);
    if (st == SER_OK && n_all)
        st = ser_moments(mean, deviation, lines, n_all, n->dims, err);
    for (size_t u = 0; u < n->n && st == SER_OK; u++)
        for (size_t row = 0; row < n->n_rows && is_member(n, u, group); row++) {
            float *x = rows_of(n, u, row, &n_lines);
            standardise(x, n_lines, n->dims, mean, deviation);
        }
    if (st == SER_OK && n->deviations)
        memcpy(n->deviations + group * n->dims, deviation, n->dims * sizeof *deviation);
    if (mean)
        ser_free(lines);
    ser_free(mean);
    return st;
}

static void find_spread(float *spread, const double *deviations, size_t n_groups, size_t dims)
{
    for (size_t i = 0; i < dims; i++) {
        double sum = 0;
        for (size_t g = 0; g < n_groups; g++)
            sum += deviations[g * dims + i] * deviations[g * dims + i];
        spread[i] = (float)sqrt(sum / (double)n_groups);
    }
}

static ser_status normalize_store(normalizing n, size_t n_groups, int n_threads, float *spread,
                                  ser_error *err)
{
    size_t n_values;
    if (spread && (!ser_mul_size(&n_values, n_groups, n.dims) ||
                   !(n.deviations = ser_alloc(n_values, sizeof *n.deviations))))
        return ser_fail_nomem(err);
    ser_status st = ser_parallel_for(n_threads, n_groups, normalize_group, &n, err);
    if (st == SER_OK && spread)
        find_spread(spread, n.deviations, n_groups, n.dims);
    ser_free(n.deviations);
    return st;
}

ser_status ser_normalize_apply(ser_store *store, ser_frame_set *frames, const ser_corpus *corpus,
                               ser_normalize how, int n_threads, float *spread, ser_error *err)
{
    size_t n_groups = how == SER_NORMALIZE_SPEAKER ? corpus->n_speakers : corpus->n_parts;
    normalizing n = {.corpus = corpus, .how = how};
    ser_status st = how == SER_NORMALIZE_NONE ? SER_OK : check_speakers(corpus, how, err);
    if (how == SER_NORMALIZE_NONE || st != SER_OK)
        return st;
    if (store) {
        n.store = store, n.n = store->n, n.n_rows = store->n_rows, n.dims = store->dims;
        st = normalize_store(n, n_groups, n_threads, spread, err);
    }
    if (st == SER_OK && frames) {
        n.store = NULL, n.frames = frames, n.n = frames->n, n.n_rows = frames->n_rows, n.dims = frames->dims;
        st = ser_parallel_for(n_threads, n_groups, normalize_group, &n, err);
    }
    return st;
}
