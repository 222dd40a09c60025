#include "base/memory.h"
#include "failures/failing.h"
#include "test.h"
#include "train/lbfgs.h"
#include <stdbool.h>

enum { N = 50 };

static int n_evaluations, fail_at = -1;

/* sum of k^2 / 2 (x_k - 1)^2: curvatures from 1 to 2,500. */
static ser_status quadratic(void *context, const double *x, double *gradient, double *value, ser_error *err)
{
    (void)context;
    if (n_evaluations++ == fail_at)
        return ser_fail(err, SER_E_CANCELLED, "enough");
    *value = 0;
    for (int k = 0; k < N; k++) {
        double curvature = (k + 1) * (k + 1), d = x[k] - 1;
        *value += curvature * d * d / 2;
        gradient[k] = curvature * d;
    }
    return SER_OK;
}

/* Rosenbrock 1960, with its minimum at (1, 1). */
static ser_status banana(void *context, const double *x, double *gradient, double *value, ser_error *err)
{
    (void)context, (void)err;
    double a = 1 - x[0], b = x[1] - x[0] * x[0];
    *value = a * a + 100 * b * b;
    gradient[0] = -2 * a - 400 * x[0] * b;
    gradient[1] = 200 * b;
    return SER_OK;
}

/* A value in fp32 and an exact gradient: near the minimum the value tells nothing. */
static ser_status coarse(void *context, const double *x, double *gradient, double *value, ser_error *err)
{
    ser_status st = quadratic(context, x, gradient, value, err);
    *value = (double)(float)(*value + 1000);
    return st;
}

/* <a, b> = sum of k^2 a_k b_k: in this one the quadratic is a ball, and its gradient is x - 1. */
static double stretched(const void *context, const double *a, const double *b)
{
    (void)context;
    double sum = 0;
    for (int k = 0; k < N; k++)
        sum += (k + 1) * (k + 1) * a[k] * b[k];
    return sum;
}

static ser_status ball(void *context, const double *x, double *gradient, double *value, ser_error *err)
{
    ser_status st = quadratic(context, x, gradient, value, err);
    for (int k = 0; k < N; k++)
        gradient[k] = x[k] - 1;
    return st;
}

static bool near_one(const double *x, int n, double tolerance)
{
    for (int k = 0; k < n; k++)
        if (fabs(x[k] - 1) > tolerance)
            return false;
    return true;
}

static void test_minima(void)
{
    double x[N] = {0};
    int n_iterations = 0;
    ser_error err = {0};
    CHECK_OK(ser_lbfgs(x, N, quadratic, NULL, NULL, 500, 1e-9, &n_iterations, &err), &err);

    CHECK(near_one(x, N, 1e-8) && n_iterations > 5 && n_iterations < 500);
    double y[2] = {-1.2, 1};
    CHECK_OK(ser_lbfgs(y, 2, banana, NULL, NULL, 200, 1e-9, &n_iterations, &err), &err);
    CHECK(near_one(y, 2, 1e-7) && n_iterations < 100);
    double z[N] = {0};
    CHECK_OK(ser_lbfgs(z, N, coarse, NULL, NULL, 500, 1e-7, &n_iterations, &err), &err);
    CHECK(near_one(z, N, 1e-6));
    double u[N] = {0};
    CHECK_OK(ser_lbfgs(u, N, ball, stretched, NULL, 500, 1e-9, &n_iterations, &err), &err);
    CHECK(near_one(u, N, 1e-8) && n_iterations <= 4);
}

static void test_stops(void)
{
    double x[N];
    for (int k = 0; k < N; k++)
        x[k] = 1;
    int n_iterations = -1;
    ser_error err = {0};
    n_evaluations = 0;
    CHECK_OK(ser_lbfgs(x, N, quadratic, NULL, NULL, 500, 1e-9, &n_iterations, &err), &err);
    CHECK(n_iterations == 0 && n_evaluations == 1);
    x[0] = 2;
    CHECK_OK(ser_lbfgs(x, N, quadratic, NULL, NULL, 0, 1e-9, &n_iterations, &err), &err);
    CHECK(n_iterations == 0 && x[0] == 2);
    /* Where rounding leaves no way down it ends by itself. */
    x[3] = 5;
    CHECK_OK(ser_lbfgs(x, N, quadratic, NULL, NULL, 100000, 0, &n_iterations, &err), &err);
    CHECK(near_one(x, N, 1e-7) && n_iterations < 1000);
    for (int at = 0; at < 3; at++) {
        x[0] = 3;
        n_evaluations = 0;
        fail_at = at;
        CHECK_FAILS(ser_lbfgs(x, N, quadratic, NULL, NULL, 500, 1e-9, NULL, &err), SER_E_CANCELLED, &err,
                    "enough");
    }
    fail_at = -1;
    failing_at(0);
    CHECK_FAILS(ser_lbfgs(x, N, quadratic, NULL, NULL, 500, 1e-9, NULL, &err), SER_E_NOMEM, &err, "memory");
}

static void test_dot(void)
{
    double a[23], b[23], sum = 0;
    for (int i = 0; i < 23; i++) {
        a[i] = i + 1;
        b[i] = i % 3 - 1;
        CHECK(ser_dot(a, b, (size_t)i) == sum); /* whole numbers: exact in any order */
        sum += a[i] * b[i];
    }
}

int main(void)
{
    test_minima();
    test_stops();
    test_dot();
    return test_summary();
}
