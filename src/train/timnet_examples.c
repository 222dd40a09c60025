#include "base/memory.h"
#include "base/random.h"
#include "train/timnet_parts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

ser_status timnet_examples_init(timnet_examples *e, const timnet_source *from, ser_error *err)
{
    size_t n = from->settings->batch_size * (from->rows->n_unlabelled ? 2 : 1);
    *e = (timnet_examples){.frames = ser_alloc(n, sizeof *e->frames),
                           .n_frames = ser_alloc(n, sizeof *e->n_frames),
                           .target = ser_alloc(n * from->rows->n_labels, sizeof *e->target)};
    if (e->frames && e->n_frames && e->target)
        return SER_OK;
    timnet_examples_release(e);
    return ser_fail_nomem(err);
}

void timnet_examples_release(timnet_examples *e)
{
    ser_free(e->x);
    ser_free(e->frames);
    ser_free(e->n_frames);
    ser_free(e->target);
    *e = (timnet_examples){0};
}

static size_t n_frames_of(const timnet_source *from, size_t row)
{
    size_t n = from->rows->n_frames[row];
    return n < from->settings->max_frames ? n : from->settings->max_frames;
}

/* Scaled frames of a row, from frame first on, and from its beginning again where it ends: x (n, n_in) += by
 * times them. */
static void add_frames(float *x, const timnet_source *from, size_t row, size_t first, size_t n, float by)
{
    size_t n_in = from->rows->n_in, n_frames = from->rows->n_frames[row];
    for (size_t t = 0; t < n; t++, x += n_in) {
        const float *frame = from->rows->frames[row] + (first + t) % n_frames * n_in;
        for (size_t i = 0; i < n_in; i++)
            x[i] += by * ((frame[i] - from->mean[i]) * from->scale[i]);
    }
}

/* Recordings have no common length, so that the partner is read round and round from a random frame on: each
 * frame of the mixture has the shares that its target says. */
static void mix(float *x, float *target, const timnet_source *from, size_t row, size_t first, size_t n,
                ser_random *random)
{
    size_t partner = from->split->train[ser_random_below(random, from->split->n_train)];
    float share = (float)ser_random_share(random, from->settings->mixup);
    size_t start = ser_random_below(random, from->rows->n_frames[partner]);
    add_frames(x, from, row, first, n, share);
    add_frames(x, from, partner, start, n, 1 - share);
    target[from->rows->label[row]] += share;
    target[from->rows->label[partner]] += 1 - share;
}

/* A stretch of 0 ... n_all - 1, of a random width up to share. */
static size_t draw_stretch(size_t *first, size_t n_all, double share, ser_random *r)
{
    size_t width = ser_random_below(r, (size_t)(share * (double)n_all) + 1);
    *first = ser_random_below(r, n_all - width + 1);
    return width;
}

static void mask(float *x, size_t n, size_t n_in, const ser_timnet_settings *s, ser_random *random)
{
    size_t first, width;
    for (size_t i = 0; i < s->n_time_masks; i++) {
        width = draw_stretch(&first, n, s->time_mask_share, random);
        memset(x + first * n_in, 0, width * n_in * sizeof *x);
    }
    for (size_t i = 0; i < s->n_feature_masks; i++) {
        width = draw_stretch(&first, n_in, s->feature_mask_share, random);
        for (size_t t = 0; t < n; t++)
            memset(x + t * n_in + first, 0, width * sizeof *x);
    }
}

static void make(float *x, float *target, const timnet_source *from, size_t row, size_t n, size_t epoch)
{
    const ser_timnet_settings *s = from->settings;
    char stream[64];
    ser_random random;
    snprintf(stream, sizeof stream, "example/%zu/%zu", epoch, row);
    ser_random_init(&random, ser_random_derive(s->seed, stream));
    size_t spare = from->rows->n_frames[row] - n;
    size_t first = epoch && spare ? ser_random_below(&random, spare + 1) : 0;
    bool labelled = row < from->rows->n;
    if (epoch && s->mixup > 0 && labelled) {
        mix(x, target, from, row, first, n, &random);
    } else {
        add_frames(x, from, row, first, n, 1);
        if (labelled)
            target[from->rows->label[row]] = 1;
    }
    if (epoch)
        mask(x, n, from->rows->n_in, s, &random);
}

ser_status timnet_examples_make(timnet_examples *e, const timnet_source *from, const size_t *row, size_t n,
                                size_t epoch, ser_error *err)
{
    size_t n_in = from->rows->n_in, n_all = 0, n_values;
    for (size_t i = 0; i < n; i++)
        n_all += e->n_frames[i] = n_frames_of(from, row[i]);
    if (!ser_mul_size(&n_values, n_all, n_in))
        return ser_fail_nomem(err);
    if (n_values > e->capacity) {
        ser_free(e->x);
        e->x = ser_alloc(n_values, sizeof *e->x);
        e->capacity = e->x ? n_values : 0;
        if (!e->x)
            return ser_fail_nomem(err);
    }
    memset(e->x, 0, n_values * sizeof *e->x);
    memset(e->target, 0, n * from->rows->n_labels * sizeof *e->target);
    float *x = e->x;
    for (size_t i = 0; i < n; i++) {
        make(x, e->target + i * from->rows->n_labels, from, row[i], e->n_frames[i], epoch);
        e->frames[i] = x;
        x += e->n_frames[i] * n_in;
    }
    return SER_OK;
}
