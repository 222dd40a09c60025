#include "learn/copies.h"
#include "audio/audio.h"
#include "base/memory.h"

#include <stdio.h>
#include <string.h>

static const char WHAT[] = "the frozen layers' frames";

/* ser_tune_read_hidden: one of the recording's copies. */
static ser_status read_copy(void *context, size_t row, uint64_t draw, int worker, float *hidden,
                            size_t capacity, size_t *n_frames, float *target, bool *mask, ser_error *err)
{
    const ser_copies *c = context;
    char stream[64];
    (void)worker;
    (void)target;
    (void)mask;
    snprintf(stream, sizeof stream, "copy/%llu/%zu", (unsigned long long)draw, row);
    size_t copy = c->first[row] + ser_random_derive(c->crops->settings.seed, stream) % c->n_copies;
    *n_frames = c->n_frames[copy];
    if (*n_frames > capacity)
        return ser_fail(err, SER_E_ARG, "copies of %zu frames, and room for %zu", *n_frames, capacity);
    memcpy(hidden, (const float *)c->scratch.data + c->at[copy],
           (*n_frames + c->n_below) * c->dims * sizeof *hidden);
    return SER_OK;
}

enum { AT_ONCE = 128 };

/* The next n of row and draw go to the end of what is kept. */
static ser_status keep(ser_copies *c, size_t *n_kept, const ser_tune_net *net, const size_t *row,
                       const uint64_t *draw, size_t first, size_t n, const ser_tune_settings *s,
                       ser_error *err)
{
    float *hidden[AT_ONCE];
    ser_status st =
        ser_tune_hidden_states(hidden, c->n_frames + first, net, &c->crops->rows, row, draw, n, s, err);
    if (st != SER_OK)
        return st;
    for (size_t i = 0; i < n; i++) {
        size_t n_values = (c->n_frames[first + i] + c->n_below) * c->dims;
        c->at[first + i] = *n_kept;
        if (st == SER_OK)
            st = ser_scratch_write(&c->scratch, WHAT, hidden[i], n_values * sizeof **hidden,
                                   *n_kept * sizeof **hidden, err);
        *n_kept += n_values;
        ser_free(hidden[i]);
    }
    return st;
}

/* At most: 50 frames a second. */
static size_t bytes_of_copy(const ser_copies *c)
{
    return (c->crops->settings.max_samples / (SER_SAMPLE_RATE_HZ / 50) + 1 + c->n_below) * c->dims *
           sizeof(float);
}

static ser_status make(ser_copies *c, const ser_tune_net *net, const ser_tune_settings *s, ser_error *err)
{
    ser_tune_settings quiet = *s;
    size_t n = c->crops->n_learned * c->n_copies, n_kept = 0, row[AT_ONCE];
    uint64_t draw[AT_ONCE];
    quiet.progress = NULL;
    ser_status st = ser_scratch_open(&c->scratch, WHAT, err);
    if (st == SER_OK)
        st = ser_scratch_check_room(&c->scratch, WHAT, (double)n * (double)bytes_of_copy(c), err);
    for (size_t first = 0; first < n && st == SER_OK; first += AT_ONCE) {
        size_t n_now = n - first < AT_ONCE ? n - first : AT_ONCE;
        for (size_t i = 0; i < n_now; i++) {
            row[i] = c->crops->learned[(first + i) / c->n_copies];
            draw[i] = SER_CROPS_APART + (first + i) % c->n_copies;
        }
        st = keep(c, &n_kept, net, row, draw, first, n_now, &quiet, err);
        if (st == SER_OK && !ser_progress_report(s->progress, "frozen layers", first + n_now, n))
            st = ser_fail(err, SER_E_CANCELLED, "interrupted");
    }
    return st == SER_OK ? ser_scratch_map(&c->scratch, n_kept * sizeof(float), err) : st;
}

ser_status ser_copies_new(ser_copies **out, const ser_tune_net *net, const ser_crops *crops, size_t n_copies,
                          const ser_tune_settings *settings, ser_error *err)
{
    size_t n;
    ser_copies *c = *out = ser_alloc(1, sizeof *c);
    if (!c)
        return ser_fail_nomem(err);
    c->scratch.fd = -1;
    if (!ser_mul_size(&n, crops->n_learned, n_copies))
        return ser_fail_nomem(err);
    c->crops = crops;
    c->n_copies = n_copies;
    c->dims = net->shape.dims;
    c->n_below = ser_tune_n_below(&net->shape);
    c->rows = crops->rows;
    c->rows.read_hidden = read_copy;
    c->rows.context = c;
    c->first = ser_alloc(crops->rows.n, sizeof *c->first);
    c->n_frames = ser_alloc(n, sizeof *c->n_frames);
    c->at = ser_alloc(n, sizeof *c->at);
    ser_status st = c->first && c->n_frames && c->at ? SER_OK : ser_fail_nomem(err);
    for (size_t i = 0; st == SER_OK && i < crops->n_learned; i++)
        c->first[crops->learned[i]] = i * n_copies;
    if (st == SER_OK)
        st = make(c, net, settings, err);
    if (st != SER_OK)
        ser_copies_free(out);
    return st;
}

void ser_copies_free(ser_copies **copies)
{
    ser_copies *c = copies ? *copies : NULL;
    if (!c)
        return;
    ser_scratch_close(&c->scratch);
    ser_free(c->first);
    ser_free(c->n_frames);
    ser_free(c->at);
    ser_free(c);
    *copies = NULL;
}
