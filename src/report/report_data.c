#include "report/report_data.h"
#include "base/memory.h"
#include "ser/ser.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static ser_status read_labels(ser_report_data *d, const json_t *report, ser_error *err)
{
    const json_t *labels = json_object_get(report, "labels");
    d->n_labels = json_array_size(labels);
    if (d->n_labels < 1 || d->n_labels > SER_MAX_LABELS)
        return ser_fail(err, SER_E_FORMAT, "the report has no 'labels', or more than %d: make it again",
                        SER_MAX_LABELS);
    d->labels = ser_alloc(d->n_labels, sizeof *d->labels);
    if (!d->labels)
        return ser_fail_nomem(err);
    for (size_t i = 0; i < d->n_labels; i++)
        if (!(d->labels[i] = json_string_value(json_array_get(labels, i))))
            return ser_fail(err, SER_E_FORMAT, "label %zu of the report is no text: make it again", i);
    return SER_OK;
}

static ser_status read_confusion(ser_report_data *d, const json_t *report, ser_error *err)
{
    const json_t *rows = json_object_get(report, "confusion");
    bool fits = json_array_size(rows) == d->n_labels;
    d->counts = ser_alloc(d->n_labels * d->n_labels, sizeof *d->counts);
    if (!d->counts)
        return ser_fail_nomem(err);
    for (size_t i = 0; fits && i < d->n_labels; i++) {
        const json_t *row = json_array_get(rows, i);
        fits = json_array_size(row) == d->n_labels;
        for (size_t j = 0; fits && j < d->n_labels; j++) {
            json_int_t count = json_integer_value(json_array_get(row, j));
            fits = json_is_integer(json_array_get(row, j)) && count >= 0 && count < 1L << 40;
            d->counts[i * d->n_labels + j] = fits ? (size_t)count : 0;
        }
    }
    return fits ? SER_OK
                : ser_fail(err, SER_E_FORMAT,
                           "the report's 'confusion' does not fit its labels: make it again");
}

static double ratio(size_t part, size_t whole)
{
    return whole ? (double)part / (double)whole : 0;
}

static ser_status count_classes(ser_report_data *d, ser_error *err)
{
    d->per_class = ser_alloc(d->n_labels, sizeof *d->per_class);
    if (!d->per_class)
        return ser_fail_nomem(err);
    for (size_t i = 0; i < d->n_labels; i++) {
        size_t right = d->counts[i * d->n_labels + i], n_true = 0, n_predicted = 0;
        for (size_t j = 0; j < d->n_labels; j++) {
            n_true += d->counts[i * d->n_labels + j];
            n_predicted += d->counts[j * d->n_labels + i];
        }
        d->per_class[i] = (ser_class_figures){.precision = ratio(right, n_predicted),
                                              .recall = ratio(right, n_true),
                                              .f1 = ratio(2 * right, n_true + n_predicted),
                                              .support = n_true};
    }
    return SER_OK;
}

static int label_index(const ser_report_data *d, const char *label)
{
    for (size_t i = 0; label && i < d->n_labels; i++)
        if (strcmp(label, d->labels[i]) == 0)
            return (int)i;
    return -1;
}

/* false where a score is missing or no probability, or the truth is none of the labels. */
static bool read_scores(const ser_report_data *d, const json_t *prediction, float *scores, int *truth)
{
    const json_t *object = json_object_get(prediction, "scores");
    *truth = label_index(d, json_string_value(json_object_get(prediction, "label")));
    for (size_t i = 0; i < d->n_labels; i++) {
        const json_t *score = json_object_get(object, d->labels[i]);
        double x = json_number_value(score);
        if (!json_is_number(score) || x < 0 || x > 1)
            return false;
        scores[i] = (float)x;
    }
    return *truth >= 0;
}

static ser_status read_reliability(ser_report_data *d, const json_t *predictions, ser_error *err)
{
    size_t n = json_array_size(predictions);
    float *scores = ser_alloc(n * d->n_labels, sizeof *scores);
    int *truth = ser_alloc(n, sizeof *truth);
    ser_status st = scores && truth ? SER_OK : ser_fail_nomem(err);
    d->has_reliability = st == SER_OK && n > 0;
    for (size_t i = 0; d->has_reliability && i < n; i++)
        d->has_reliability =
            read_scores(d, json_array_get(predictions, i), scores + i * d->n_labels, &truth[i]);
    if (d->has_reliability)
        ser_reliability_compute(&d->reliability, scores, truth, n, d->n_labels);
    ser_free(scores);
    ser_free(truth);
    return st;
}

double ser_report_confidence(const json_t *prediction)
{
    const char *predicted = json_string_value(json_object_get(prediction, "predicted"));
    double x = json_number_value(json_object_get(json_object_get(prediction, "scores"), predicted));
    return isfinite(x) ? x : 0;
}

/* Falling confidence; equal ones by file name, so that the order depends on nothing else. */
static int compare_mistakes(const void *a, const void *b)
{
    const json_t *p = *(json_t *const *)a, *q = *(json_t *const *)b;
    double x = ser_report_confidence(p), y = ser_report_confidence(q);
    if (x != y)
        return x < y ? 1 : -1;
    const char *file_p = json_string_value(json_object_get(p, "file"));
    const char *file_q = json_string_value(json_object_get(q, "file"));
    return strcmp(file_p ? file_p : "", file_q ? file_q : "");
}

static ser_status find_mistakes(ser_report_data *d, const json_t *predictions, ser_error *err)
{
    size_t n = json_array_size(predictions);
    d->mistakes = ser_alloc(n, sizeof *d->mistakes);
    if (!d->mistakes)
        return ser_fail_nomem(err);
    for (size_t i = 0; i < n; i++) {
        const json_t *p = json_array_get(predictions, i);
        const char *label = json_string_value(json_object_get(p, "label"));
        const char *predicted = json_string_value(json_object_get(p, "predicted"));
        if (label && predicted && strcmp(label, predicted) != 0)
            d->mistakes[d->n_mistakes++] = p;
    }
    if (d->n_mistakes)
        qsort(d->mistakes, d->n_mistakes, sizeof *d->mistakes, compare_mistakes);
    return SER_OK;
}

ser_status ser_report_data_init(ser_report_data *out, const json_t *report, ser_error *err)
{
    *out = (ser_report_data){0};
    const json_t *predictions = json_object_get(report, "predictions");
    ser_status st = read_labels(out, report, err);
    if (st == SER_OK)
        st = read_confusion(out, report, err);
    if (st == SER_OK)
        st = count_classes(out, err);
    if (st == SER_OK)
        st = read_reliability(out, predictions, err);
    if (st == SER_OK)
        st = find_mistakes(out, predictions, err);
    if (st != SER_OK)
        ser_report_data_release(out);
    return st;
}

void ser_report_data_release(ser_report_data *d)
{
    ser_free(d->labels);
    ser_free(d->counts);
    ser_free(d->per_class);
    ser_free(d->mistakes);
    *d = (ser_report_data){0};
}
