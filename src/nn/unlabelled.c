#include "nn/unlabelled.h"
#include "ser/ser.h"

#include <math.h>

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
