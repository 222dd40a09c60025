/* Fitting the linear model: multinomial logistic regression with an L2 penalty, to the optimum, by L-BFGS
 * (Nocedal and Wright, Numerical Optimization, algorithms 7.4 and 3.5), and its calibration. */
#ifndef SER_TRAIN_SOFTMAX_REGRESSION_H
#define SER_TRAIN_SOFTMAX_REGRESSION_H

#include "base/status.h"
#include "model/linear.h"
#include "nn/ops.h"

typedef struct ser_softmax_fit {
    double c;         /* scikit-learn's C: sum of losses + |w|^2 / (2 c); the bias is not penalised */
    double tolerance; /* stop when the largest absolute gradient of (objective / n) is below; default 1e-5 */
    int max_iterations;
} ser_softmax_fit;

/* Objective of L-BFGS: returns f(x) and writes its gradient. */
typedef ser_status (*ser_objective)(void *context, const double *x, double *gradient, double *value,
                                    ser_error *err);
ser_status ser_lbfgs(double *x, size_t n, ser_objective objective, void *context, int max_iterations,
                     double gradient_tolerance, int *n_iterations, ser_error *err);

/* x (n, n_in) raw features (row stride n_in), label (n), weight (n; NULL: all 1). Fills l's mean and scale
 * (over the rows where statistic[i] is not 0; NULL: all rows), w, bias. l's w and bias are the starting
 * point. standardise 0: x is standardised already: mean 0, scale 1 are stored. */
ser_status ser_linear_fit(ser_linear *l, const float *x, const int *label, const float *weight,
                          const unsigned char *statistic, size_t n, int standardise,
                          const ser_softmax_fit *fit, ser_nn_work *work, ser_error *err);

/* The temperature that minimises the mean log loss of softmax(logits / T) (Guo et al. 2017, arXiv:1706.04599,
 * section 4.2): logits (n, n_labels). 0.05 ... 20. */
float ser_temperature_fit(const float *logits, const int *label, size_t n, size_t n_labels);

#endif
