/* Minimising a smooth convex function: L-BFGS (Nocedal and Wright, Numerical Optimization, algorithms 7.4 and
 * 7.5). */
#ifndef SER_TRAIN_LBFGS_H
#define SER_TRAIN_LBFGS_H

#include "base/status.h"
#include <stddef.h>

/* Writes f(x) and its gradient. */
typedef ser_status (*ser_objective)(void *context, const double *x, double *gradient, double *value,
                                    ser_error *err);
/* <a, b>. It may be any inner product, as long as the gradient is the one that belongs to it. */
typedef double (*ser_inner_product)(const void *context, const double *a, const double *b);

double ser_dot(const double *a, const double *b, size_t n);

/* x (n): the starting point, then the minimum. inner NULL: ser_dot. Stops when the gradient's length
 * |g| = sqrt(<g, g>) is at most tolerance * max(1, |x|), after max_iterations, or where f's own rounding
 * leaves no way down. n_iterations may be NULL. */
ser_status ser_lbfgs(double *x, size_t n, ser_objective objective, ser_inner_product inner, void *context,
                     int max_iterations, double tolerance, int *n_iterations, ser_error *err);

#endif
