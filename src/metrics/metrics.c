#include "metrics/metrics.h"
#include "base/memory.h"
#include "base/random.h"

#include <math.h>
#include <stdlib.h>

int ser_argmax(const float *scores, size_t n_labels)
{
    size_t best = 0;
    for (size_t k = 1; k < n_labels; k++)
        if (scores[k] > scores[best])
            best = k;
    return (int)best;
}

double ser_ua(const size_t *confusion, size_t n_labels)
{
    double sum = 0;
    size_t n_occurring = 0;
    for (size_t t = 0; t < n_labels; t++) {
        size_t support = 0;
        for (size_t p = 0; p < n_labels; p++)
            support += confusion[t * n_labels + p];
        if (!support)
            continue;
        n_occurring++;
        sum += (double)confusion[t * n_labels + t] / (double)support;
    }
    return n_occurring ? 100 * sum / (double)n_occurring : 0;
}

double ser_wa(const size_t *confusion, size_t n_labels)
{
    size_t right = 0, all = 0;
    for (size_t t = 0; t < n_labels; t++) {
        right += confusion[t * n_labels + t];
        for (size_t p = 0; p < n_labels; p++)
            all += confusion[t * n_labels + p];
    }
    return all ? 100 * (double)right / (double)all : 0;
}

static void per_class(ser_figures *f)
{
    double sum = 0;
    size_t n_occurring = 0;
    for (size_t t = 0; t < f->n_labels; t++) {
        ser_class_figures *c = &f->per_class[t];
        size_t predicted = 0, right = f->confusion[t * f->n_labels + t];
        for (size_t k = 0; k < f->n_labels; k++) {
            c->support += f->confusion[t * f->n_labels + k];
            predicted += f->confusion[k * f->n_labels + t];
        }
        c->precision = predicted ? (double)right / (double)predicted : 0;
        c->recall = c->support ? (double)right / (double)c->support : 0;
        c->f1 = predicted + c->support ? 2 * (double)right / (double)(predicted + c->support) : 0;
        n_occurring += c->support > 0;
        sum += c->support ? c->f1 : 0;
    }
    f->f1 = n_occurring ? 100 * sum / (double)n_occurring : 0;
}

void ser_reliability_compute(ser_reliability *out, const float *scores, const int *truth, size_t n,
                             size_t n_labels)
{
    *out = (ser_reliability){0};
    for (size_t i = 0; i < n; i++) {
        const float *s = scores + i * n_labels;
        int top = ser_argmax(s, n_labels);
        /* Bins are open below and closed above, as in Guo et al. 2017. */
        int bin = (int)ceil((double)s[top] * SER_ECE_BINS) - 1;
        bin = bin < 0 ? 0 : bin >= SER_ECE_BINS ? SER_ECE_BINS - 1 : bin;
        out->count[bin]++;
        out->confidence[bin] += (double)s[top];
        out->accuracy[bin] += top == truth[i];
    }
    for (int b = 0; b < SER_ECE_BINS; b++) {
        if (!out->count[b])
            continue;
        out->ece += 100 * fabs(out->confidence[b] - out->accuracy[b]) / (double)n;
        out->confidence[b] /= (double)out->count[b];
        out->accuracy[b] /= (double)out->count[b];
    }
}

/* ---- intervals ---- */

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Of sorted values, between neighbours by linear interpolation (Hyndman and Fan 1996, type 7; NumPy's
 * default). */
static double percentile(const double *sorted, size_t n, double percent)
{
    double at = percent / 100 * (double)(n - 1);
    size_t below = (size_t)at, above = below + 1 < n ? below + 1 : below;
    return sorted[below] + (at - (double)below) * (sorted[above] - sorted[below]);
}

/* Confusion matrices of the units that are resampled: speakers, or single recordings. */
typedef struct units {
    size_t *confusion; /* (n, n_labels, n_labels) */
    size_t n;
} units;

static ser_status count_units(units *u, const float *scores, const int *truth, const int *group, size_t n,
                              size_t n_labels, ser_error *err)
{
    u->n = 0;
    for (size_t i = 0; i < n; i++) {
        size_t unit = group ? (size_t)group[i] : i;
        u->n = unit >= u->n ? unit + 1 : u->n;
    }
    u->confusion = ser_alloc(u->n, n_labels * n_labels * sizeof *u->confusion);
    if (!u->confusion)
        return ser_fail_nomem(err);
    size_t n_kept = 0;
    for (size_t i = 0; i < n; i++) {
        size_t unit = group ? (size_t)group[i] : i;
        u->confusion[(unit * n_labels + (size_t)truth[i]) * n_labels +
                     (size_t)ser_argmax(scores + i * n_labels, n_labels)]++;
    }
    for (size_t unit = 0; unit < u->n; unit++) { /* numbers without a recording are no units */
        size_t count = 0, *from = u->confusion + unit * n_labels * n_labels,
               *to = u->confusion + n_kept * n_labels * n_labels;
        for (size_t k = 0; k < n_labels * n_labels; k++) {
            count += from[k];
            to[k] = from[k];
        }
        n_kept += count > 0;
    }
    u->n = n_kept;
    return SER_OK;
}

static ser_status bootstrap(ser_figures *f, const units *u, int n_resamples, uint64_t seed, ser_error *err)
{
    size_t n_cells = f->n_labels * f->n_labels, n = (size_t)n_resamples;
    double *ua = ser_alloc(n, sizeof *ua), *wa = ser_alloc(n, sizeof *wa);
    size_t *sum = ser_alloc(n_cells, sizeof *sum);
    ser_status st = ua && wa && sum ? SER_OK : ser_fail_nomem(err);
    ser_random random;
    ser_random_init(&random, seed);
    for (size_t r = 0; r < n && st == SER_OK; r++) {
        for (size_t k = 0; k < n_cells; k++)
            sum[k] = 0;
        for (size_t i = 0; i < u->n; i++) {
            const size_t *unit = u->confusion + ser_random_below(&random, u->n) * n_cells;
            for (size_t k = 0; k < n_cells; k++)
                sum[k] += unit[k];
        }
        ua[r] = ser_ua(sum, f->n_labels);
        wa[r] = ser_wa(sum, f->n_labels);
    }
    if (st == SER_OK) {
        qsort(ua, n, sizeof *ua, compare_doubles);
        qsort(wa, n, sizeof *wa, compare_doubles);
        for (int side = 0; side < 2; side++) {
            f->ua_ci95[side] = percentile(ua, n, side ? 97.5 : 2.5);
            f->wa_ci95[side] = percentile(wa, n, side ? 97.5 : 2.5);
        }
    }
    ser_free(ua);
    ser_free(wa);
    ser_free(sum);
    return st;
}

ser_status ser_figures_compute(ser_figures *out, const float *scores, const int *truth, const int *group,
                               size_t n, size_t n_labels, int n_resamples, uint64_t seed, ser_error *err)
{
    *out = (ser_figures){.n = n, .n_labels = n_labels};
    units u = {0};
    ser_status st = SER_OK;
    if (!n || !n_labels)
        return ser_fail(err, SER_E_ARG, "no predictions to score");
    out->confusion = ser_alloc(n_labels * n_labels, sizeof *out->confusion);
    out->per_class = ser_alloc(n_labels, sizeof *out->per_class);
    if (!out->confusion || !out->per_class)
        st = ser_fail_nomem(err);
    for (size_t i = 0; i < n && st == SER_OK; i++) {
        const float *s = scores + i * n_labels;
        if (truth[i] < 0 || (size_t)truth[i] >= n_labels) {
            st = ser_fail(err, SER_E_ARG, "prediction %zu has truth %d of %zu labels", i, truth[i], n_labels);
            break;
        }
        out->confusion[(size_t)truth[i] * n_labels + (size_t)ser_argmax(s, n_labels)]++;
        out->loss -= log(fmax((double)s[truth[i]], 1e-12)) / (double)n;
    }
    if (st == SER_OK) {
        ser_reliability reliability;
        ser_reliability_compute(&reliability, scores, truth, n, n_labels);
        out->ua = ser_ua(out->confusion, n_labels);
        out->wa = ser_wa(out->confusion, n_labels);
        out->ece = reliability.ece;
        per_class(out);
    }
    if (st == SER_OK && n_resamples > 0) {
        st = count_units(&u, scores, truth, group, n, n_labels, err);
        if (st == SER_OK)
            st = bootstrap(out, &u, n_resamples, seed, err);
    }
    ser_free(u.confusion);
    if (st != SER_OK)
        ser_figures_release(out);
    return st;
}

void ser_figures_release(ser_figures *f)
{
    ser_free(f->confusion);
    ser_free(f->per_class);
    *f = (ser_figures){0};
}
