/* Multinomial logistic regression with an L2 penalty, fitted to the optimum, and its calibration. */
#ifndef SER_TRAIN_SOFTMAX_REGRESSION_H
#define SER_TRAIN_SOFTMAX_REGRESSION_H

#include "base/status.h"
#include "model/linear.h"
#include "nn/ops.h"
#include <stdbool.h>

typedef struct ser_softmax_fit {
    double c; /* scikit-learn's C: weighted sum of losses + |w|^2 / (2 c); the bias is not penalised */
    double tolerance; /* stop when weights and bias are certainly within this share of the optimal ones:
                         the distance is at most the gradient divided by the lowest curvature, which is
                         the penalty's */
    int max_iterations;
    bool (*go_on)(void *context); /* asked at each step, of which large corpora need minutes; false ends the
                                     fit with SER_E_CANCELLED. NULL: goes on */
    void *context;
} ser_softmax_fit;

/* At 1 percent, going on moves probabilities of Whisper's features by 0.005 at most, whatever c and the
 * starting point, and changes 0 or 1 of 500 answers. */
static inline ser_softmax_fit ser_softmax_fit_default(double c)
{
    return (ser_softmax_fit){.c = c, .tolerance = 0.01, .max_iterations = 500};
}

/* What is fitted: rows of features; or, with gram, the inner products of these rows with each other (n, n).
 * By the representer theorem the best weights are w = sum over i of a_i z_i, so that logits = gram a,
 * whatever the number of features was. Nothing is owned. */
typedef struct ser_softmax_data {
    const float *z; /* (n, width) */
    size_t n, width;
    bool gram;           /* then width is n */
    const int *label;    /* (n) */
    const float *weight; /* (n); NULL: all 1 */
    /* (n): bit l: label l competes for the row, which has the others' logits at minus infinity; NULL: all do
     */
    const uint64_t *mask;
    /* (n, n_labels): added to each row's logits, whatever the weights: they are then fitted to what it leaves
     * unsaid; NULL: nothing is */
    const float *offset;
    size_t n_labels;
} ser_softmax_data;

/* Shapes of products that a fit comes back with, for ser_nn_work_keep_shapes: they are a few rows by many, so
 * that an engine which packs both sides anew would do little else. */
enum { SER_SOFTMAX_SHAPES = 64 };

/* theta (n_labels, width): the weights w, or with gram the coefficients a; bias (n_labels). Both are also the
 * starting point. logits of a row = theta z + bias + offset. n_iterations may be NULL. The same bits whatever
 * the number of work's threads. SER_E_ARG: no rows, a label out of range or of its mask, weights that are
 * negative or all 0; SER_E_FORMAT: a feature or an offset that is not finite; SER_E_CANCELLED. */
ser_status ser_softmax_minimise(float *theta, float *bias, const ser_softmax_data *data,
                                const ser_softmax_fit *fit, ser_nn_work *work, int *n_iterations,
                                ser_error *err);

/* z (n, n_in) standardised features, label (n), weight (n; NULL: all 1). Fills l's w and bias, which are also
 * the starting point; mean and scale are left alone. Errors as above. */
ser_status ser_linear_fit(ser_linear *l, const float *z, const int *label, const float *weight, size_t n,
                          const ser_softmax_fit *fit, ser_nn_work *work, ser_error *err);

/* The temperature that minimises the mean log loss of softmax(logits / T) (Guo et al. 2017, arXiv:1706.04599,
 * section 4.2): logits (n, n_labels). 0.05 ... 20; 1 when n is 0. */
float ser_temperature_fit(const float *logits, const int *label, size_t n, size_t n_labels);
/* The same where a share of each target, smoothing, goes to all labels alike: with few recordings, all of
 * them answered rightly, the temperature would else fall without end. */
float ser_temperature_fit_smooth(const float *logits, const int *label, size_t n, size_t n_labels,
                                 double smoothing);

#endif
