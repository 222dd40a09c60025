/* Fitting the linear model: multinomial logistic regression with an L2 penalty, to the optimum, by L-BFGS
 * (Nocedal and Wright, Numerical Optimization, algorithm 7.4, with backtracking), and its calibration. */
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

/* z (n, n_in) standardised features, label (n), weight (n; NULL: all 1). Fills l's w and bias, which are also
 * the starting point; mean and scale are left alone. SER_E_ARG: no rows, a label out of range; SER_E_FORMAT:
 * a feature that is not finite. */
ser_status ser_linear_fit(ser_linear *l, const float *z, const int *label, const float *weight, size_t n,
                          const ser_softmax_fit *fit, ser_nn_work *work, ser_error *err);

/* The temperature that minimises the mean log loss of softmax(logits / T) (Guo et al. 2017, arXiv:1706.04599,
 * section 4.2): logits (n, n_labels). 0.05 ... 20. */
float ser_temperature_fit(const float *logits, const int *label, size_t n, size_t n_labels);

#endif
