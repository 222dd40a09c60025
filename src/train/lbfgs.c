#include "train/lbfgs.h"
#include "base/memory.h"
#include "base/vector.h"

#include <math.h>
#include <stdbool.h>

enum { N_PAIRS = 10, MAX_TRIALS = 20 };

typedef struct search {
    size_t n;
    ser_objective objective;
    ser_inner_product inner;
    void *context;
    double *x, *gradient, *direction, *x_new, *gradient_new; /* n each */
    double value, value_new;
    double *s, *y; /* (N_PAIRS, n): steps and changes of the gradient, a ring */
    double rho[N_PAIRS];
    size_t n_pairs; /* ever made */
} search;

/* Eight sums side by side: a vector register wide, and in the same order on every processor. */
SER_FAST(double, ser_dot, (const double *a, const double *b, size_t n), (a, b, n))
{
    double sums[8] = {0};
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (size_t j = 0; j < 8; j++)
            sums[j] += a[i + j] * b[i + j];
    for (size_t j = 0; i + j < n; j++)
        sums[j] += a[i + j] * b[i + j];
    return ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7]));
}

/* y += factor * x */
SER_FAST_STATIC(void, add_scaled, (double *y, double factor, const double *x, size_t n), (y, factor, x, n))
{
    for (size_t i = 0; i < n; i++)
        y[i] += factor * x[i];
}

static double product(const search *s, const double *a, const double *b)
{
    return s->inner ? s->inner(s->context, a, b) : ser_dot(a, b, s->n);
}

/* Algorithm 7.4: direction = - H gradient. */
static void find_direction(search *s)
{
    size_t n = s->n, n_used = s->n_pairs < N_PAIRS ? s->n_pairs : N_PAIRS;
    double alpha[N_PAIRS];
    for (size_t i = 0; i < n; i++)
        s->direction[i] = -s->gradient[i];
    for (size_t k = 1; k <= n_used; k++) {
        size_t at = (s->n_pairs - k) % N_PAIRS;
        alpha[at] = s->rho[at] * product(s, s->s + at * n, s->direction);
        add_scaled(s->direction, -alpha[at], s->y + at * n, n);
    }
    if (n_used) {
        size_t at = (s->n_pairs - 1) % N_PAIRS;
        const double *y = s->y + at * n;
        double scale = 1 / (s->rho[at] * product(s, y, y)); /* equation 7.20 */
        for (size_t i = 0; i < n; i++)
            s->direction[i] *= scale;
    }
    for (size_t k = n_used; k >= 1; k--) {
        size_t at = (s->n_pairs - k) % N_PAIRS;
        double beta = s->rho[at] * product(s, s->y + at * n, s->direction);
        add_scaled(s->direction, alpha[at] - beta, s->s + at * n, n);
    }
}

/* Backtracking, which is enough for convex functions. A step is taken when the value falls enough, or, where
 * the change is lost in the value's rounding, when the slope does not rise beyond its mirror image (the
 * approximate condition of Hager and Zhang 2005, SIAM J. Optim. 16, equation 4.1). *found: there was such a
 * step; it is in x_new, gradient_new and value_new. */
static ser_status find_step(search *s, double first_step, bool *found, ser_error *err)
{
    double slope = product(s, s->gradient, s->direction), step = first_step;
    *found = false;
    for (int trial = 0; trial < MAX_TRIALS && slope < 0; trial++) {
        for (size_t i = 0; i < s->n; i++)
            s->x_new[i] = s->x[i] + step * s->direction[i];
        ser_status st = s->objective(s->context, s->x_new, s->gradient_new, &s->value_new, err);
        if (st != SER_OK)
            return st;
        double rise = s->value_new - s->value;
        if (rise <= 1e-4 * step * slope ||
            (rise <= 1e-6 * fabs(s->value) && product(s, s->gradient_new, s->direction) <= -0.8 * slope)) {
            *found = true;
            return SER_OK;
        }
        /* The minimum of the parabola through value, slope and new value, kept within bounds. */
        double shrink = -slope * step / (2 * (rise - slope * step));
        step *= shrink > 0.1 && shrink < 0.5 ? shrink : 0.3;
    }
    return SER_OK;
}

/* Goes on from the new point, and remembers what the step told about the curvature. */
static void advance(search *s)
{
    size_t at = s->n_pairs % N_PAIRS;
    double *step = s->s + at * s->n, *change = s->y + at * s->n;
    for (size_t i = 0; i < s->n; i++) {
        step[i] = s->x_new[i] - s->x[i];
        change[i] = s->gradient_new[i] - s->gradient[i];
        s->x[i] = s->x_new[i];
        s->gradient[i] = s->gradient_new[i];
    }
    s->value = s->value_new;
    double curvature = product(s, step, change);
    if (curvature > 1e-12 * product(s, step, step)) {
        s->rho[at] = 1 / curvature;
        s->n_pairs++;
    }
}

ser_status ser_lbfgs(double *x, size_t n, ser_objective objective, ser_inner_product inner, void *context,
                     int max_iterations, double tolerance, int *n_iterations, ser_error *err)
{
    double *memory = ser_alloc(n, (2 * N_PAIRS + 4) * sizeof *memory);
    if (!memory)
        return ser_fail_nomem(err);
    search s = {.n = n, .objective = objective, .inner = inner, .context = context, .x = x};
    s.gradient = memory;
    s.direction = s.gradient + n;
    s.x_new = s.direction + n;
    s.gradient_new = s.x_new + n;
    s.s = s.gradient_new + n;
    s.y = s.s + N_PAIRS * n;
    int iteration = 0;
    bool found = true;
    ser_status st = objective(context, x, s.gradient, &s.value, err);
    for (; st == SER_OK && iteration < max_iterations; iteration++) {
        double length = sqrt(product(&s, s.gradient, s.gradient));
        if (!(length > tolerance * fmax(1, sqrt(product(&s, x, x)))))
            break;
        find_direction(&s);
        st = find_step(&s, s.n_pairs ? 1 : fmin(1, 1 / length), &found, err);
        if (st != SER_OK || !found)
            break;
        advance(&s);
    }
    if (n_iterations)
        *n_iterations = iteration;
    ser_free(memory);
    return st;
}
