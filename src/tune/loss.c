#include "tune/loss.h"

#include <math.h>

/* log of the sum of exp(logits) over the labels of mask. */
static double log_sum(const float *logits, const bool *mask, size_t n)
{
    double highest = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++)
        if (!mask || mask[i])
            highest = fmax(highest, (double)logits[i]);
    for (size_t i = 0; i < n; i++)
        if (!mask || mask[i])
            sum += exp((double)logits[i] - highest);
    return highest + log(sum);
}

double ser_tune_cross_entropy(float *dlogits, const float *logits, const float *target, const bool *mask,
                              size_t n_labels, const ser_tune_loss *how, double weight)
{
    double within = log_sum(logits, mask, n_labels), open = log_sum(logits, NULL, n_labels), loss = 0, n = 0;
    double share = how->open_share;
    for (size_t i = 0; i < n_labels; i++)
        n += !mask || mask[i];
    for (size_t i = 0; i < n_labels; i++) {
        double x = (double)logits[i];
        bool possible = !mask || mask[i];
        double q = possible ? (1 - how->smoothing) * (double)target[i] + how->smoothing / n : 0;
        double gradient = share * (exp(x - open) - q);
        loss -= q > 0 ? share * q * (x - open) : 0;
        if (possible) {
            loss -= q > 0 ? (1 - share) * q * (x - within) : 0;
            gradient += (1 - share) * (exp(x - within) - q);
        }
        dlogits[i] = (float)(weight * gradient);
    }
    return weight * loss;
}
