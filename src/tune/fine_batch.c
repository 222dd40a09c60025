#include "base/memory.h"
#include "base/random.h"
#include "base/threads.h"
#include "tune/fine_parts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { FRAMES_PER_S = 100, HOP_SAMPLES = 160 };

static size_t max_frames(const tune_examples *e)
{
    return (e->max_samples / HOP_SAMPLES + 1) / 2;
}

ser_status ser_tune_examples_init(tune_examples *e, size_t capacity, size_t max_samples, size_t n_labels,
                                  const ser_tune_shape *shape, ser_error *err)
{
    *e = (tune_examples){.capacity = capacity, .max_samples = max_samples, .n_labels = n_labels};
    if (shape) {
        e->dims = shape->dims;
        e->n_below = ser_tune_n_below(shape);
    }
    size_t n;
    e->room = shape ? (max_frames(e) + e->n_below) * e->dims : max_samples;
    if (!ser_mul_size(&n, capacity, e->room))
        return ser_fail_nomem(err);
    e->pcm = ser_alloc(n, sizeof *e->pcm);
    e->pcm_of = ser_alloc(capacity, sizeof *e->pcm_of);
    e->n_samples = ser_alloc(capacity, sizeof *e->n_samples);
    e->n_frames = ser_alloc(capacity, sizeof *e->n_frames);
    e->target = ser_alloc(capacity * n_labels, sizeof *e->target);
    e->mask = ser_alloc(capacity * n_labels, sizeof *e->mask);
    e->stripes = ser_alloc(capacity, sizeof *e->stripes);
    bool ok = e->pcm && e->pcm_of && e->n_samples && e->n_frames && e->target && e->mask && e->stripes;
    return ok ? SER_OK : ser_fail_nomem(err);
}

ser_tune_batch ser_tune_examples_batch(const tune_examples *e, size_t n)
{
    ser_tune_batch batch = {.n = n, .n_samples = e->n_samples, .n_frames = e->n_frames};
    *(e->dims ? &batch.hidden : &batch.pcm) = e->pcm_of;
    return batch;
}

void ser_tune_examples_release(tune_examples *e)
{
    ser_free(e->pcm);
    ser_free(e->pcm_of);
    ser_free(e->n_samples);
    ser_free(e->n_frames);
    ser_free(e->target);
    ser_free(e->mask);
    ser_free(e->stripes);
    *e = (tune_examples){0};
}

void ser_tune_name_row(char text[128], const ser_tune_rows *rows, size_t row)
{
    if (rows->name && rows->name[row])
        snprintf(text, 128, "'%.120s'", rows->name[row]);
    else
        snprintf(text, 128, "recording %zu", row + 1);
}

static bool all_finite(const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i]))
            return false;
    return true;
}

typedef struct reading {
    tune_examples *e;
    const ser_tune_rows *rows;
    const tune_draw *draws;
} reading;

static ser_status read_one(void *context, size_t item, int worker, ser_error *err)
{
    const reading *r = context;
    const ser_tune_rows *rows = r->rows;
    tune_examples *e = r->e;
    size_t row = r->draws[item].row, n_labels = e->n_labels, *n_samples = &e->n_samples[item];
    size_t *n_frames = &e->n_frames[item];
    uint64_t draw = r->draws[item].number;
    float *x = e->pcm + item * e->room, *target = e->target + item * n_labels;
    bool *mask = e->mask + item * n_labels;
    memcpy(target, rows->target + row * n_labels, n_labels * sizeof *target);
    for (size_t i = 0; i < n_labels; i++)
        mask[i] = !rows->mask || rows->mask[row * n_labels + i];
    e->pcm_of[item] = x;
    *n_samples = *n_frames = 0;
    char name[128];
    ser_status st = e->dims ? rows->read_hidden(rows->context, row, draw, worker, x, max_frames(e), n_frames,
                                                target, mask, err)
                            : rows->read(rows->context, row, draw, worker, x, e->max_samples, n_samples,
                                         target, mask, err);
    if (st != SER_OK)
        return st;
    ser_tune_name_row(name, rows, row);
    bool fits = e->dims ? *n_frames >= 1 && *n_frames <= max_frames(e)
                        : *n_samples >= HOP_SAMPLES && *n_samples <= e->max_samples;
    if (!fits)
        return ser_fail(err, SER_E_FORMAT, "%s is too short to learn from, or longer than a crop", name);
    if (!e->dims)
        *n_frames = (*n_samples / HOP_SAMPLES + 1) / 2;
    if (!all_finite(x, e->dims ? (*n_frames + e->n_below) * e->dims : *n_samples))
        return ser_fail(err, SER_E_FORMAT, "%s has samples that are no numbers", name);
    return SER_OK;
}

ser_status ser_tune_examples_read(tune_examples *e, const ser_tune_rows *rows, const tune_draw *draws,
                                  size_t n, int n_threads, ser_error *err)
{
    reading r = {e, rows, draws};
    return ser_parallel_for(n_threads, n, read_one, &r, err);
}

/* n stripes more, each of up to widest of all frames or bands. */
static void add_stripes(ser_tune_stripes *to, ser_random *random, size_t n, bool in_time, size_t all,
                        double widest)
{
    for (size_t i = 0; i < n && to->n < SER_TUNE_MAX_STRIPES; i++) {
        size_t width = ser_random_below(random, (size_t)widest + 1);
        width = width < all ? width : all;
        to->stripe[to->n].in_time = in_time;
        to->stripe[to->n].n = width;
        to->stripe[to->n++].first = ser_random_below(random, all - width + 1);
    }
}

void ser_tune_draw_stripes(tune_examples *e, const ser_tune_settings *s, size_t n_mels,
                           const tune_draw *draws, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char name[48];
        ser_random random;
        size_t n_frames = e->n_samples[i] / HOP_SAMPLES;
        e->stripes[i].n = 0;
        snprintf(name, sizeof name, "stripes of draw %llu", (unsigned long long)draws[i].number);
        ser_random_init(&random, ser_random_derive(s->seed, name));
        if (!draws[i].number || ser_random_uniform(&random) >= s->stripe_probability)
            continue;
        double longest = s->time_stripe_share * (double)n_frames;
        add_stripes(&e->stripes[i], &random, s->n_band_stripes, false, n_mels,
                    s->band_stripe_share * (double)n_mels);
        add_stripes(&e->stripes[i], &random, s->n_time_stripes, true, n_frames,
                    longest < s->stripe_s * FRAMES_PER_S ? longest : s->stripe_s * FRAMES_PER_S);
    }
}
