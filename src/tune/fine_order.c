#include "base/memory.h"
#include "base/random.h"
#include "tune/fine_parts.h"

#include <stdio.h>
#include <stdlib.h>

enum { BATCHES_IN_POOL = 32 }; /* recordings of so many batches are sorted by length together */

typedef struct sorted {
    size_t n_samples, position;
    tune_draw draw;
} sorted;

static int by_length(const void *a, const void *b)
{
    const sorted *x = a, *y = b;
    if (x->n_samples != y->n_samples)
        return x->n_samples < y->n_samples ? -1 : 1;
    return x->position < y->position ? -1 : x->position > y->position;
}

static double weight_of(const ser_tune_rows *rows, size_t row)
{
    return rows->weight ? rows->weight[row] : 1;
}

/* Systematic sampling: points at equal distances along the weights laid end to end, in random order. So each
 * row is drawn as often as its weight says, to within one. */
static void draw_rows(size_t *drawn, size_t n, const ser_tune_rows *rows, size_t *order, ser_random *random)
{
    double total = 0, passed = 0;
    for (size_t i = 0; i < rows->n; i++)
        order[i] = i;
    ser_random_shuffle(random, order, rows->n);
    for (size_t i = 0; i < rows->n; i++)
        total += weight_of(rows, order[i]);
    double step = total / (double)n, start = ser_random_uniform(random);
    size_t k = 0, last = 0;
    for (size_t i = 0; i < rows->n; i++) {
        if (weight_of(rows, order[i]) > 0)
            last = order[i];
        passed += weight_of(rows, order[i]);
        while (k < n && ((double)k + start) * step < passed)
            drawn[k++] = order[i];
    }
    while (k < n) /* rounding at the end */
        drawn[k++] = last;
    ser_random_shuffle(random, drawn, n);
}

/* Pools of recordings sorted by length, so that those of a batch are of nearly one length. */
static void sort_pools(sorted *all, size_t n, size_t n_pool)
{
    for (size_t first = 0; first < n; first += n_pool)
        qsort(all + first, n - first < n_pool ? n - first : n_pool, sizeof *all, by_length);
}

ser_status ser_tune_order(tune_draw *draws, size_t n, const ser_tune_rows *rows,
                          const ser_tune_settings *settings, size_t epoch, ser_error *err)
{
    char name[48];
    ser_random random;
    size_t n_batches = (n + settings->batch_size - 1) / settings->batch_size;
    size_t *order = ser_alloc(rows->n, sizeof *order), *drawn = ser_alloc(n, sizeof *drawn);
    size_t *batches = ser_alloc(n_batches, sizeof *batches);
    sorted *all = ser_alloc(n, sizeof *all);
    ser_status st = order && drawn && batches && all ? SER_OK : ser_fail_nomem(err);
    if (st == SER_OK) {
        snprintf(name, sizeof name, "order of epoch %zu", epoch);
        ser_random_init(&random, ser_random_derive(settings->seed, name));
        draw_rows(drawn, n, rows, order, &random);
        for (size_t i = 0; i < n; i++)
            all[i] =
                (sorted){rows->n_samples ? rows->n_samples[drawn[i]] : 0, i, {drawn[i], epoch * n + i + 1}};
        sort_pools(all, n, BATCHES_IN_POOL * settings->batch_size);
        /* The last batch may be smaller, and stays where it is. */
        size_t n_whole = n / settings->batch_size;
        for (size_t b = 0; b < n_batches; b++)
            batches[b] = b;
        ser_random_shuffle(&random, batches, n_whole);
        for (size_t i = 0; i < n; i++)
            draws[i] =
                all[batches[i / settings->batch_size] * settings->batch_size + i % settings->batch_size].draw;
    }
    ser_free(order);
    ser_free(drawn);
    ser_free(batches);
    ser_free(all);
    return st;
}
