#include "base/memory.h"
#include "base/random.h"
#include "metrics/metrics.h"

#include <stdlib.h>
#include <string.h>

static int compare_ints(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;
    return (x > y) - (x < y);
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* What a resample needs to know of its units, which are speakers or single recordings: per unit and label how
 * many there are and how many were right. So 10,000 resamples do not touch the recordings again. */
typedef struct tally {
    size_t n_units, n_labels;
    uint32_t *counts; /* (n_units, 2 * n_labels): occurrences, then hits */
} tally;

/* ids (n_units) ascending receives the distinct values of group. */
static size_t distinct(int *ids, const int *group, size_t n)
{
    size_t n_units = 0;
    memcpy(ids, group, n * sizeof *ids);
    qsort(ids, n, sizeof *ids, compare_ints);
    for (size_t i = 0; i < n; i++)
        if (!i || ids[i] != ids[i - 1])
            ids[n_units++] = ids[i];
    return n_units;
}

static ser_status tally_init(tally *t, const int *predicted, const int *truth, const int *group, size_t n,
                             size_t n_labels, ser_error *err)
{
    *t = (tally){.n_units = n, .n_labels = n_labels};
    ser_status st = SER_OK;
    size_t width;
    int *ids = group ? ser_alloc(n, sizeof *ids) : NULL;
    if (ids)
        t->n_units = distinct(ids, group, n);
    if ((!group || ids) && ser_mul_size(&width, n_labels, 2 * sizeof *t->counts))
        t->counts = ser_alloc(t->n_units, width);
    if (!t->counts)
        st = ser_fail_nomem(err);
    for (size_t i = 0; i < n && st == SER_OK; i++) {
        size_t unit = i;
        if (group)
            unit = (size_t)((int *)bsearch(&group[i], ids, t->n_units, sizeof *ids, compare_ints) - ids);
        uint32_t *counts = t->counts + unit * 2 * n_labels;
        counts[truth[i]]++;
        counts[n_labels + (size_t)truth[i]] += predicted[i] == truth[i];
    }
    ser_free(ids);
    return st;
}

/* UA and WA in percent of one resample; sum (2 * n_labels) is scratch memory. */
static void resample(double *ua, double *wa, uint32_t *sum, const tally *t, ser_random *r)
{
    size_t n_labels = t->n_labels, n_present = 0;
    memset(sum, 0, 2 * n_labels * sizeof *sum);
    for (size_t u = 0; u < t->n_units; u++) {
        const uint32_t *counts = t->counts + ser_random_below(r, t->n_units) * 2 * n_labels;
        for (size_t k = 0; k < 2 * n_labels; k++)
            sum[k] += counts[k];
    }
    double recalls = 0, n = 0, n_right = 0;
    for (size_t k = 0; k < n_labels; k++) {
        if (!sum[k])
            continue;
        recalls += (double)sum[n_labels + k] / sum[k];
        n += sum[k];
        n_right += sum[n_labels + k];
        n_present++;
    }
    *ua = 100 * recalls / (double)n_present;
    *wa = 100 * n_right / n;
}

/* Linear interpolation between the neighbours, numpy's default. */
void ser_ci95(double ci95[2], double *x, size_t n)
{
    qsort(x, n, sizeof *x, compare_doubles);
    for (int side = 0; side < 2; side++) {
        double at = (side ? 0.975 : 0.025) * (double)(n - 1);
        size_t below = (size_t)at, above = below + 1 < n ? below + 1 : below;
        ci95[side] = x[below] + (at - (double)below) * (x[above] - x[below]);
    }
}

ser_status ser_bootstrap(double ua_ci95[2], double wa_ci95[2], const int *predicted, const int *truth,
                         const int *group, size_t n, size_t n_labels, int n_resamples, uint64_t seed,
                         double *ua_resamples, ser_error *err)
{
    size_t n_values = (size_t)n_resamples;
    tally t = {0};
    double *ua = ser_alloc(n_values, sizeof *ua), *wa = ser_alloc(n_values, sizeof *wa);
    uint32_t *sum = ser_alloc(n_labels, 2 * sizeof *sum);
    ser_status st = ua && wa && sum ? SER_OK : ser_fail_nomem(err);
    if (st == SER_OK)
        st = tally_init(&t, predicted, truth, group, n, n_labels, err);
    if (st == SER_OK) {
        ser_random r;
        ser_random_init(&r, seed);
        for (size_t i = 0; i < n_values; i++)
            resample(&ua[i], &wa[i], sum, &t, &r);
        if (ua_resamples)
            memcpy(ua_resamples, ua, n_values * sizeof *ua);
        ser_ci95(ua_ci95, ua, n_values);
        ser_ci95(wa_ci95, wa, n_values);
    }
    ser_free(t.counts);
    ser_free(sum);
    ser_free(ua);
    ser_free(wa);
    return st;
}
