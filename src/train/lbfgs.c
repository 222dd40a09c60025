#include "base/memory.h"
#include "train/softmax_regression.h"

#include <math.h>
#include <string.h>

enum { N_HISTORY = 10, MAX_HALVINGS = 30 };

typedef struct history {
    double *s, *y; /* (N_HISTORY, n): steps and changes of the gradient, a ring */
    double rho[N_HISTORY];
    int n_pairs;
} history;

static double dot(const double *a, const double *b, size_t n)
{
    double sum[4] = {0}; /* four sums side by side: faster, and still in a fixed order */
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (size_t j = 0; j < 4; j++)
            sum[j] += a[i + j] * b[i + j];
    for (; i < n; i++)
        sum[0] += a[i] * b[i];
    return sum[0] + sum[1] + sum[2] + sum[3];
}

static void add_scaled(double *a, double factor, const double *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        a[i] += factor * b[i];
}

static double max_abs(const double *a, size_t n)
{
    double max = 0;
    for (size_t i = 0; i < n; i++)
        max = fmax(max, fabs(a[i]));
    return max;
}

/* Nocedal and Wright, algorithm 7.4: direction = - H gradient. */
static void find_direction(double *direction, const double *gradient, const history *h, size_t n)
{
    double alpha[N_HISTORY];
    int n_used = h->n_pairs < N_HISTORY ? h->n_pairs : N_HISTORY;
    for (size_t i = 0; i < n; i++)
        direction[i] = -gradient[i];
    for (int k = 1; k <= n_used; k++) {
        int at = (h->n_pairs - k) % N_HISTORY;
        alpha[at] = h->rho[at] * dot(h->s + (size_t)at * n, direction, n);
        add_scaled(direction, -alpha[at], h->y + (size_t)at * n, n);
    }
    if (n_used) {
        int at = (h->n_pairs - 1) % N_HISTORY;
        const double *y = h->y + (size_t)at * n;
        double gamma = 1 / (h->rho[at] * dot(y, y, n));
        for (size_t i = 0; i < n; i++)
            direction[i] *= gamma;
    }
    for (int k = n_used; k >= 1; k--) {
        int at = (h->n_pairs - k) % N_HISTORY;
        double beta = h->rho[at] * dot(h->y + (size_t)at * n, direction, n);
        add_scaled(direction, alpha[at] - beta, h->s + (size_t)at * n, n);
    }
}

/* Keeps the pair unless its curvature is lost in rounding. */
static void remember(history *h, const double *x, const double *x_old, const double *g, const double *g_old,
                     size_t n)
{
    int at = h->n_pairs % N_HISTORY;
    double *s = h->s + (size_t)at * n, *y = h->y + (size_t)at * n;
    for (size_t i = 0; i < n; i++) {
        s[i] = x[i] - x_old[i];
        y[i] = g[i] - g_old[i];
    }
    double curvature = dot(s, y, n);
    if (curvature <= 1e-12 * dot(y, y, n))
        return;
    h->rho[at] = 1 / curvature;
    h->n_pairs++;
}

ser_status ser_lbfgs(double *x, size_t n, ser_objective objective, void *context, int max_iterations,
                     double gradient_tolerance, int *n_iterations, ser_error *err)
{
    ser_status st = SER_OK;
    double *memory = ser_alloc(n, (2 * N_HISTORY + 4) * sizeof *memory);
    if (!memory)
        return ser_fail_nomem(err);
    history h = {.s = memory, .y = memory + N_HISTORY * n};
    double *gradient = memory + 2 * N_HISTORY * n, *direction = gradient + n, *x_old = direction + n,
           *g_old = x_old + n;
    double value;
    int iteration = 0;
    if ((st = objective(context, x, gradient, &value, err)) != SER_OK)
        goto done;
    for (; iteration < max_iterations && max_abs(gradient, n) > gradient_tolerance; iteration++) {
        find_direction(direction, gradient, &h, n);
        double slope = dot(gradient, direction, n);
        double step = h.n_pairs ? 1 : fmin(1, 1 / fmax(sqrt(dot(gradient, gradient, n)), 1e-12)), old = value;
        memcpy(x_old, x, n * sizeof *x);
        memcpy(g_old, gradient, n * sizeof *x);
        int halvings = 0;
        for (; halvings < MAX_HALVINGS;
             halvings++, step /= 2) { /* the objective is convex: backtracking is enough */
            for (size_t i = 0; i < n; i++)
                x[i] = x_old[i] + step * direction[i];
            if ((st = objective(context, x, gradient, &value, err)) != SER_OK)
                goto done;
            if (value <= old + 1e-4 * step * slope)
                break;
        }
        if (halvings == MAX_HALVINGS) { /* as far as rounding allows */
            memcpy(x, x_old, n * sizeof *x);
            break;
        }
        remember(&h, x, x_old, gradient, g_old, n);
    }
done:
    if (n_iterations)
        *n_iterations = iteration;
    ser_free(memory);
    return st;
}
