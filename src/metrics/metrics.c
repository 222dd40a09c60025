#include "metrics/metrics.h"
#include "base/memory.h"

#include <math.h>

/* So that one certain mistake does not make the loss infinite. */
static const double lowest_probability = 1e-12;

int ser_argmax(const float *scores, size_t n_labels)
{
    size_t best = 0;
    for (size_t k = 1; k < n_labels; k++)
        if (scores[k] > scores[best])
            best = k;
    return (int)best;
}

static size_t row_sum(const size_t *confusion, size_t n_labels, size_t truth)
{
    size_t sum = 0;
    for (size_t k = 0; k < n_labels; k++)
        sum += confusion[truth * n_labels + k];
    return sum;
}

double ser_ua(const size_t *confusion, size_t n_labels)
{
    double sum = 0;
    size_t n_present = 0;
    for (size_t k = 0; k < n_labels; k++) {
        size_t support = row_sum(confusion, n_labels, k);
        if (!support)
            continue;
        sum += (double)confusion[k * n_labels + k] / (double)support;
        n_present++;
    }
    return n_present ? 100 * sum / (double)n_present : 0;
}

double ser_wa(const size_t *confusion, size_t n_labels)
{
    size_t n_right = 0, n = 0;
    for (size_t k = 0; k < n_labels; k++) {
        n_right += confusion[k * n_labels + k];
        n += row_sum(confusion, n_labels, k);
    }
    return n ? 100 * (double)n_right / (double)n : 0;
}

/* Bin b holds the confidences in (b/15, (b+1)/15], as in Guo et al. 2017, section 2. */
static size_t ece_bin(float confidence)
{
    double bin = ceil((double)confidence * SER_ECE_BINS) - 1;
    return bin < 0 ? 0 : bin >= SER_ECE_BINS ? SER_ECE_BINS - 1 : (size_t)bin;
}

void ser_reliability_compute(ser_reliability *out, const float *scores, const int *truth, size_t n,
                             size_t n_labels)
{
    *out = (ser_reliability){0};
    for (size_t i = 0; i < n; i++) {
        const float *row = scores + i * n_labels;
        int predicted = ser_argmax(row, n_labels);
        size_t b = ece_bin(row[predicted]);
        out->count[b]++;
        out->confidence[b] += (double)row[predicted];
        out->accuracy[b] += predicted == truth[i];
    }
    for (size_t b = 0; b < SER_ECE_BINS; b++) {
        if (!out->count[b])
            continue;
        out->ece += 100 * fabs(out->confidence[b] - out->accuracy[b]) / (double)n;
        out->confidence[b] /= (double)out->count[b];
        out->accuracy[b] /= (double)out->count[b];
    }
}

static ser_status check_input(const float *scores, const int *truth, size_t n, size_t n_labels,
                              ser_error *err)
{
    if (!n || !n_labels)
        return ser_fail(err, SER_E_ARG, "no predictions to judge: test at least one recording");
    for (size_t i = 0; i < n; i++) {
        if (truth[i] < 0 || (size_t)truth[i] >= n_labels)
            return ser_fail(err, SER_E_ARG, "the truth of prediction %zu is label %d of %zu", i, truth[i],
                            n_labels);
        for (size_t k = 0; k < n_labels; k++)
            if (!isfinite(scores[i * n_labels + k]))
                return ser_fail(err, SER_E_ARG, "a score of prediction %zu is not a finite number", i);
    }
    return SER_OK;
}

/* From the confusion matrix: figures per label, then their means over the labels that occur. */
static void fill_figures(ser_figures *f)
{
    size_t n_present = 0;
    for (size_t k = 0; k < f->n_labels; k++) {
        size_t support = row_sum(f->confusion, f->n_labels, k), n_predicted = 0;
        double n_right = (double)f->confusion[k * f->n_labels + k];
        for (size_t j = 0; j < f->n_labels; j++)
            n_predicted += f->confusion[j * f->n_labels + k];
        ser_class_figures *c = &f->per_class[k];
        c->support = support;
        c->recall = support ? n_right / (double)support : 0;
        c->precision = n_predicted ? n_right / (double)n_predicted : 0;
        c->f1 = support + n_predicted ? 2 * n_right / (double)(support + n_predicted) : 0;
        f->f1 += support ? 100 * c->f1 : 0;
        n_present += support > 0;
    }
    f->f1 /= (double)n_present;
    f->ua = ser_ua(f->confusion, f->n_labels);
    f->wa = ser_wa(f->confusion, f->n_labels);
}

ser_status ser_figures_compute(ser_figures *out, const float *scores, const int *truth, const int *group,
                               size_t n, size_t n_labels, int n_resamples, uint64_t seed, ser_error *err)
{
    ser_status st = check_input(scores, truth, n, n_labels, err);
    if (st != SER_OK)
        return st;
    ser_figures f = {.n = n, .n_labels = n_labels};
    size_t n_cells;
    int *predicted = ser_alloc(n, sizeof *predicted);
    if (ser_mul_size(&n_cells, n_labels, n_labels))
        f.confusion = ser_alloc(n_cells, sizeof *f.confusion);
    f.per_class = ser_alloc(n_labels, sizeof *f.per_class);
    if (!predicted || !f.confusion || !f.per_class) {
        st = ser_fail_nomem(err);
        goto done;
    }
    for (size_t i = 0; i < n; i++) {
        const float *row = scores + i * n_labels;
        predicted[i] = ser_argmax(row, n_labels);
        f.confusion[(size_t)truth[i] * n_labels + (size_t)predicted[i]]++;
        f.loss -= log(fmax((double)row[truth[i]], lowest_probability)) / (double)n;
    }
    fill_figures(&f);
    ser_reliability reliability;
    ser_reliability_compute(&reliability, scores, truth, n, n_labels);
    f.ece = reliability.ece;
    if (n_resamples > 0)
        st = ser_bootstrap(f.ua_ci95, f.wa_ci95, predicted, truth, group, n, n_labels, n_resamples, seed,
                           NULL, err);
done:
    ser_free(predicted);
    if (st == SER_OK)
        *out = f;
    else
        ser_figures_release(&f);
    return st;
}

void ser_figures_release(ser_figures *f)
{
    ser_free(f->confusion);
    ser_free(f->per_class);
    *f = (ser_figures){0};
}
