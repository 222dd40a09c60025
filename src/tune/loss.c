#include "tune/loss.h"

#include <math.h>

double ser_tune_cross_entropy(float *dlogits, const float *logits, const float *target, const bool *mask,
                              size_t n_labels, double smoothing, double weight)
{
    double highest = -INFINITY, sum = 0, loss = 0, n = 0;
    for (size_t i = 0; i < n_labels; i++)
        if (!mask || mask[i]) {
            highest = fmax(highest, (double)logits[i]);
            n++;
        }
    for (size_t i = 0; i < n_labels; i++)
        if (!mask || mask[i])
            sum += exp((double)logits[i] - highest);
    for (size_t i = 0; i < n_labels; i++) {
        dlogits[i] = 0;
        if (mask && !mask[i])
            continue;
        double log_p = (double)logits[i] - highest - log(sum);
        double q = (1 - smoothing) * (double)target[i] + smoothing / n;
        loss -= q * log_p;
        dlogits[i] = (float)(weight * (exp(log_p) - q));
    }
    return weight * loss;
}
