#include "train/softmax_regression.h"

#include <math.h>

/* The derivative of the summed loss of softmax(b * logits) by b: what the logits are on average under these
 * probabilities, less what they are under the targets: the truth, of which smoothing goes to all labels
 * alike. The loss is convex in b, so this rises. */
static double slope(const float *logits, const int *label, size_t n, size_t n_labels, double smoothing,
                    double b)
{
    double total = 0;
    for (size_t i = 0; i < n; i++) {
        const float *z = logits + i * n_labels;
        double max = (double)z[0], sum = 0, mean = 0, plain = 0;
        for (size_t k = 1; k < n_labels; k++)
            max = fmax(max, (double)z[k]);
        for (size_t k = 0; k < n_labels; k++) {
            double p = exp(b * ((double)z[k] - max));
            sum += p;
            mean += p * (double)z[k];
            plain += (double)z[k] / (double)n_labels;
        }
        total += mean / sum - (1 - smoothing) * (double)z[label[i]] - smoothing * plain;
    }
    return total;
}

float ser_temperature_fit(const float *logits, const int *label, size_t n, size_t n_labels)
{
    return ser_temperature_fit_smooth(logits, label, n, n_labels, 0);
}

float ser_temperature_fit_smooth(const float *logits, const int *label, size_t n, size_t n_labels,
                                 double smoothing)
{
    if (!n)
        return 1;
    double low = log(0.05),
           high = log(20.0); /* of the temperature: above the best one the slope is negative */
    while (high - low > 1e-7) {
        double middle = (low + high) / 2;
        if (slope(logits, label, n, n_labels, smoothing, exp(-middle)) > 0)
            low = middle;
        else
            high = middle;
    }
    return (float)exp((low + high) / 2);
}
