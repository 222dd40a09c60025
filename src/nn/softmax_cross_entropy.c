#include "nn/trainable.h"

#include <math.h>

double ser_nn_softmax_cross_entropy(float *dlogits, const float *logits, const float *target, size_t n_labels,
                                    double smoothing, double weight)
{
    double highest = -INFINITY, sum = 0, loss = 0;
    for (size_t i = 0; i < n_labels; i++)
        highest = fmax(highest, (double)logits[i]);
    for (size_t i = 0; i < n_labels; i++)
        sum += exp((double)logits[i] - highest);
    for (size_t i = 0; i < n_labels; i++) {
        double log_p = (double)logits[i] - highest - log(sum);
        double q = (1 - smoothing) * (double)target[i] + smoothing / (double)n_labels;
        loss -= q * log_p;
        if (dlogits)
            dlogits[i] = (float)(weight * (exp(log_p) - q));
    }
    return weight * loss;
}
