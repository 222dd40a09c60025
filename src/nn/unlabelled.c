#include "nn/unlabelled.h"
#include "base/vector.h"
#include "ser/ser.h"

#include <math.h>
#include <string.h>

/* ---- CORAL ---- */

static void mean_of(float *mean, const float *x, size_t n, size_t dims)
{
    memset(mean, 0, dims * sizeof *mean);
    for (size_t r = 0; r < n; r++)
        ser_add_scaled(mean, x + r * dims, 1 / (float)n, dims);
}

/* covariance += sign * that of x (n, dims). row: scratch (dims). */
static void add_covariance(float *covariance, float *row, const float *mean, const float *x, size_t n,
                           size_t dims, float sign)
{
    for (size_t r = 0; r < n; r++) {
        memcpy(row, x + r * dims, dims * sizeof *row);
        ser_add_scaled(row, mean, -1, dims);
        for (size_t i = 0; i < dims; i++)
            ser_add_scaled(covariance + i * dims, row, sign * row[i] / (float)(n - 1), dims);
    }
}

/* Of a group with covariance's share of sign. The mean's own gradient is 0: rows add up to it. */
static void add_gradient(float *dx, float *row, const float *difference, const float *mean, const float *x,
                         size_t n, size_t dims, float by)
{
    for (size_t r = 0; r < n; r++) {
        memcpy(row, x + r * dims, dims * sizeof *row);
        ser_add_scaled(row, mean, -1, dims);
        for (size_t i = 0; i < dims; i++)
            ser_add_scaled(dx + r * dims, difference + i * dims, by * row[i] / (float)(n - 1), dims);
    }
}

double ser_coral(float *dx, const float *x, size_t n_source, size_t n_target, size_t dims, double weight,
                 float *scratch)
{
    const float *target = x + n_source * dims;
    float *difference = scratch, *mean = scratch + dims * dims, *row = mean + dims;
    double loss = 0, n_dims = (double)dims;
    if (n_source < 2 || n_target < 2)
        return 0;
    memset(difference, 0, dims * dims * sizeof *difference);
    mean_of(mean, x, n_source, dims);
    add_covariance(difference, row, mean, x, n_source, dims, 1);
    mean_of(mean, target, n_target, dims);
    add_covariance(difference, row, mean, target, n_target, dims, -1);
    for (size_t i = 0; i < dims * dims; i++)
        loss += (double)difference[i] * (double)difference[i];
    if (dx && weight != 0) {
        float by = (float)(weight / (n_dims * n_dims));
        add_gradient(dx + n_source * dims, row, difference, mean, target, n_target, dims, -by);
        mean_of(mean, x, n_source, dims);
        add_gradient(dx, row, difference, mean, x, n_source, dims, by);
    }
    return loss / (4 * n_dims * n_dims);
}

/* ---- entropies ---- */

static double log_of(double p)
{
    return log(fmax(p, 1e-12));
}

/* Through softmax: dlogits += weight * p (g - sum of p g). */
static void add_through_softmax(float *dlogits, const float *p, const double *g, size_t n_labels,
                                double weight)
{
    double mean = 0;
    for (size_t k = 0; k < n_labels; k++)
        mean += (double)p[k] * g[k];
    for (size_t k = 0; k < n_labels; k++)
        dlogits[k] += (float)(weight * (double)p[k] * (g[k] - mean));
}

double ser_mean_entropy(float *dlogits, const float *scores, size_t n, size_t n_labels, double weight)
{
    double g[SER_MAX_LABELS], sum = 0;
    for (size_t i = 0; i < n * n_labels; i += n_labels) {
        for (size_t k = 0; k < n_labels; k++) {
            g[k] = -log_of((double)scores[i + k]);
            sum += (double)scores[i + k] * g[k];
        }
        if (dlogits)
            add_through_softmax(dlogits + i, scores + i, g, n_labels, weight / (double)n);
    }
    return n ? sum / (double)n : 0;
}

double ser_entropy_of_mean(float *dlogits, const float *scores, size_t n, size_t n_labels, double weight)
{
    double mean[SER_MAX_LABELS] = {0}, g[SER_MAX_LABELS], sum = 0;
    for (size_t i = 0; i < n * n_labels; i++)
        mean[i % n_labels] += (double)scores[i] / (double)n;
    for (size_t k = 0; k < n_labels; k++) {
        g[k] = -log_of(mean[k]);
        sum += mean[k] * g[k];
    }
    for (size_t i = 0; dlogits && i < n * n_labels; i += n_labels)
        add_through_softmax(dlogits + i, scores + i, g, n_labels, weight / (double)n);
    return n ? sum : 0;
}
