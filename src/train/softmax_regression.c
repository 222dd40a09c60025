#include "train/softmax_regression.h"
#include "base/memory.h"
#include "base/vector.h"
#include "train/lbfgs.h"

#include <math.h>
#include <string.h>

enum {
    N_PARTS = 4,               /* partial sums over the rows, always as many, so that threads do not show */
    BLOCK_FLOATS = 256 * 1024, /* features at once: they stay in the cache from the logits to the gradient */
    MIN_BLOCK = 16,
    MAX_BLOCK = 256 /* rows */
};

/* A part of the rows, and the sums over it. */
typedef struct part {
    size_t first, n;
    double loss, *dbias; /* dbias (n_labels) */
    float *dtheta;       /* (n_labels, width) */
    float *p;            /* (n_labels, block): logits, then the loss's gradient by them */
} part;

typedef struct problem {
    const ser_softmax_data *data;
    const ser_softmax_fit *fit;
    ser_nn_work *work;
    size_t n_theta, block;
    double sum_of_weights, ridge; /* ridge: 1 / (c * sum_of_weights) */
    double bias_unit;             /* x holds bias / bias_unit */
    double *bias;                 /* (n_labels) */
    float *theta;                 /* (n_labels, width) in fp32 */
    float *p;                     /* gram: (n_labels, n), as in part */
    part parts[N_PARTS];
} problem;

/* p (n_labels, stride), rows first ... first+n-1 of the data as columns: logits without bias in, the gradient
 * of the mean loss by them out. Adds the losses and the gradient by the bias. */
static void softmax_rows(const problem *q, float *p, size_t stride, size_t first, size_t n, double *loss,
                         double *dbias)
{
    size_t n_labels = q->data->n_labels;
    for (size_t r = 0; r < n; r++) {
        double weight = (q->data->weight ? (double)q->data->weight[first + r] : 1) / q->sum_of_weights;
        size_t truth = (size_t)q->data->label[first + r];
        float max = -INFINITY;
        uint64_t mask = q->data->mask ? q->data->mask[first + r] : UINT64_MAX;
        const float *offset = q->data->offset ? q->data->offset + (first + r) * n_labels : NULL;
        for (size_t k = 0; k < n_labels; k++) {
            float own = (float)q->bias[k] + (offset ? offset[k] : 0);
            p[k * stride + r] = mask >> k & 1 ? p[k * stride + r] + own : -INFINITY;
            max = fmaxf(max, p[k * stride + r]);
        }
        double of_truth = (double)(p[truth * stride + r] - max), sum = 0;
        for (size_t k = 0; k < n_labels; k++) {
            p[k * stride + r] = expf(p[k * stride + r] - max);
            sum += (double)p[k * stride + r];
        }
        *loss += weight * (log(sum) - of_truth);
        for (size_t k = 0; k < n_labels; k++) {
            double g = weight * ((double)p[k * stride + r] / sum - (k == truth));
            p[k * stride + r] = (float)g;
            dbias[k] += g;
        }
    }
}

static ser_status run_part(void *context, size_t item, ser_nn_work *work, ser_error *err)
{
    problem *q = context;
    part *t = &q->parts[item];
    size_t width = q->data->width, n_labels = q->data->n_labels;
    t->loss = 0;
    memset(t->dbias, 0, n_labels * sizeof *t->dbias);
    memset(t->dtheta, 0, q->n_theta * sizeof *t->dtheta);
    ser_status st = SER_OK;
    for (size_t at = 0; at < t->n && st == SER_OK; at += q->block) {
        size_t n = t->n - at < q->block ? t->n - at : q->block;
        const float *z = q->data->z + (t->first + at) * width;
        const ser_gemm logits = {.n_batch = 1,
                                 .m = n_labels,
                                 .n = n,
                                 .k = width,
                                 .lda = width,
                                 .ldb = width,
                                 .ldc = n,
                                 .b_transposed = true};
        const ser_gemm sums = {
            .n_batch = 1, .m = n_labels, .n = width, .k = n, .lda = n, .ldb = width, .ldc = width, .beta = 1};
        if ((st = ser_nn_gemm(work, t->p, q->theta, z, &logits, err)) != SER_OK)
            break;
        softmax_rows(q, t->p, n, t->first + at, n, &t->loss, t->dbias);
        st = ser_nn_gemm(work, t->dtheta, t->p, z, &sums, err);
    }
    return st;
}

static void set_bias(problem *q, const double *x)
{
    for (size_t k = 0; k < q->data->n_labels; k++)
        q->bias[k] = q->bias_unit * x[k];
}

static ser_status look_up(const problem *q, ser_error *err)
{
    bool go_on = !q->fit->go_on || q->fit->go_on(q->fit->context);
    return go_on ? SER_OK : ser_fail(err, SER_E_CANCELLED, "interrupted");
}

/* x: w (n_labels, width), bias / bias_unit (n_labels). Value: (weighted losses + |w|^2 / (2 c)) / sum of
 * weights. */
static ser_status objective(void *context, const double *x, double *gradient, double *value, ser_error *err)
{
    problem *q = context;
    double *dbias = gradient + q->n_theta;
    set_bias(q, x + q->n_theta);
    for (size_t i = 0; i < q->n_theta; i++)
        q->theta[i] = (float)x[i];
    ser_status st = look_up(q, err);
    if (st == SER_OK)
        st = ser_nn_parallel_for(q->work, N_PARTS, run_part, q, err);
    if (st != SER_OK)
        return st;
    *value = 0.5 * q->ridge * ser_dot(x, x, q->n_theta);
    for (size_t i = 0; i < q->n_theta; i++)
        gradient[i] = q->ridge * x[i];
    memset(dbias, 0, q->data->n_labels * sizeof *dbias);
    for (const part *t = q->parts; t < q->parts + N_PARTS; t++) {
        *value += t->loss;
        for (size_t i = 0; i < q->n_theta; i++)
            gradient[i] += (double)t->dtheta[i];
        for (size_t k = 0; k < q->data->n_labels; k++)
            dbias[k] += q->bias_unit * t->dbias[k];
    }
    return SER_OK;
}

/* product (n_labels, n) = a (n_labels, n) times the inner products. */
static ser_status times_gram(problem *q, double *product, const double *a, ser_error *err)
{
    size_t n = q->data->n;
    const ser_gemm g = {.n_batch = 1, .m = q->data->n_labels, .n = n, .k = n, .lda = n, .ldb = n, .ldc = n};
    for (size_t i = 0; i < q->n_theta; i++)
        q->theta[i] = (float)a[i];
    ser_status st = ser_nn_gemm(q->work, q->p, q->theta, q->data->z, &g, err);
    for (size_t i = 0; i < q->n_theta && st == SER_OK; i++)
        product[i] = (double)q->p[i];
    return st;
}

/* The same in terms of coefficients: a vector of weight space, w = sum of a_i z_i, is stored as a (n_labels,
 * n) and gram a (n_labels, n), so that inner products need no matrix and one evaluation needs a single
 * product. x: these two, then bias / bias_unit. */
static ser_status gram_objective(void *context, const double *x, double *gradient, double *value,
                                 ser_error *err)
{
    problem *q = context;
    const double *products = x + q->n_theta;
    double *dbias = gradient + 2 * q->n_theta;
    set_bias(q, x + 2 * q->n_theta);
    for (size_t i = 0; i < q->n_theta; i++)
        q->p[i] = (float)products[i];
    *value = 0.5 * q->ridge * ser_dot(x, products, q->n_theta);
    memset(dbias, 0, q->data->n_labels * sizeof *dbias);
    softmax_rows(q, q->p, q->data->n, 0, q->data->n, value, dbias);
    for (size_t i = 0; i < q->n_theta; i++)
        gradient[i] = q->ridge * x[i] + (double)q->p[i];
    for (size_t k = 0; k < q->data->n_labels; k++)
        dbias[k] *= q->bias_unit;
    ser_status st = look_up(q, err);
    return st == SER_OK ? times_gram(q, gradient + q->n_theta, gradient, err) : st;
}

static double gram_inner(const void *context, const double *a, const double *b)
{
    const problem *q = context;
    return ser_dot(a, b + q->n_theta, q->n_theta) +
           ser_dot(a + 2 * q->n_theta, b + 2 * q->n_theta, q->data->n_labels);
}

static ser_status check(const ser_softmax_data *d, const ser_softmax_fit *fit, ser_error *err)
{
    double sum = 0;
    if (!d->n || !d->width)
        return ser_fail(err, SER_E_ARG, "no %s to learn from", d->n ? "features" : "recordings");
    if (!(fit->c > 0) || !isfinite(fit->c))
        return ser_fail(err, SER_E_ARG, "the penalty's c must be positive, and is %g", fit->c);
    for (size_t i = 0; i < d->n; i++) {
        if (d->label[i] < 0 || (size_t)d->label[i] >= d->n_labels)
            return ser_fail(err, SER_E_ARG, "row %zu has label %d of %zu", i, d->label[i], d->n_labels);
        if (d->mask && !(d->mask[i] >> d->label[i] & 1))
            return ser_fail(err, SER_E_ARG, "row %zu has label %d, which does not compete for it", i,
                            d->label[i]);
        if (d->weight && !(d->weight[i] >= 0 && isfinite(d->weight[i])))
            return ser_fail(err, SER_E_ARG, "row %zu has weight %g", i, (double)d->weight[i]);
        for (size_t k = 0; d->offset && k < d->n_labels; k++)
            if (!isfinite(d->offset[i * d->n_labels + k]))
                return ser_fail(err, SER_E_FORMAT, "row %zu has logits that are not finite numbers", i);
        sum += d->weight ? (double)d->weight[i] : 1;
    }
    if (!(sum > 0))
        return ser_fail(err, SER_E_ARG, "all rows have weight 0");
    return SER_OK;
}

SER_FAST_STATIC(double, sum_of_squares, (const float *x, size_t n), (x, n))
{
    double sums[8] = {0}; /* as in ser_dot */
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (size_t j = 0; j < 8; j++)
            sums[j] += (double)x[i + j] * (double)x[i + j];
    for (size_t j = 0; i + j < n; j++)
        sums[j] += (double)x[i + j] * (double)x[i + j];
    return ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7]));
}

/* Root mean square length of the rows; 1 when all features are 0. Squares of finite floats are finite in
 * double, so a row of features that are not shows by its length. */
static ser_status measure(double *length, const ser_softmax_data *d, ser_error *err)
{
    double sum = 0;
    for (size_t r = 0; r < d->n; r++) {
        const float *z = d->z + r * d->width;
        double square = d->gram ? (double)z[r] : sum_of_squares(z, d->width);
        if (!isfinite(square))
            return ser_fail(err, SER_E_FORMAT,
                            "row %zu has features that are not finite numbers: compute the features again",
                            r);
        sum += square;
    }
    *length = sum > 0 ? sqrt(sum / (double)d->n) : 1;
    return SER_OK;
}

static void problem_release(problem *q)
{
    ser_free(q->bias);
    ser_free(q->theta);
    ser_free(q->p);
    for (part *t = q->parts; t < q->parts + N_PARTS; t++) {
        ser_free(t->dbias);
        ser_free(t->dtheta);
        ser_free(t->p);
    }
}

static ser_status problem_init(problem *q, const ser_softmax_data *d, const ser_softmax_fit *fit,
                               double length, ser_nn_work *work, ser_error *err)
{
    *q = (problem){.data = d, .fit = fit, .work = work, .n_theta = d->n_labels * d->width};
    for (size_t i = 0; i < d->n; i++)
        q->sum_of_weights += d->weight ? (double)d->weight[i] : 1;
    q->ridge = 1 / (fit->c * q->sum_of_weights);
    /* Measured: with the bias in this unit, its curvature is about that of the features' strongest
     * directions, and L-BFGS needs a third of the iterations (tried 0.01 to 1 times the mean square; 0.03 to
     * 0.1 is best). */
    q->bias_unit = sqrt(0.05) * length;
    q->block = BLOCK_FLOATS / d->width;
    q->block = q->block < MIN_BLOCK ? MIN_BLOCK : q->block > MAX_BLOCK ? MAX_BLOCK : q->block;
    q->bias = ser_alloc(d->n_labels, sizeof *q->bias);
    q->theta = ser_alloc(q->n_theta, sizeof *q->theta);
    bool complete = q->bias && q->theta;
    if (d->gram) {
        q->p = ser_alloc(q->n_theta, sizeof *q->p);
        return complete && q->p ? SER_OK : ser_fail_nomem(err);
    }
    for (size_t i = 0; i < N_PARTS; i++) {
        part *t = &q->parts[i];
        t->first = d->n * i / N_PARTS;
        t->n = d->n * (i + 1) / N_PARTS - t->first;
        t->dbias = ser_alloc(d->n_labels, sizeof *t->dbias);
        t->dtheta = ser_alloc(q->n_theta, sizeof *t->dtheta);
        t->p = ser_alloc(d->n_labels * q->block, sizeof *t->p);
        complete = complete && t->dbias && t->dtheta && t->p;
    }
    return complete ? SER_OK : ser_fail_nomem(err);
}

/* The objective curves at least as much as the penalty in every direction but the bias's, where it is about p
 * (1 - p) of a label. The distance to the optimum is at most the gradient divided by this. */
static double lowest_curvature(const problem *q)
{
    return fmin(q->ridge, 0.1 * q->bias_unit * q->bias_unit);
}

ser_status ser_softmax_minimise(float *theta, float *bias, const ser_softmax_data *data,
                                const ser_softmax_fit *fit, ser_nn_work *work, int *n_iterations,
                                ser_error *err)
{
    problem q = {0};
    double *x = NULL, length = 1;
    ser_status st = check(data, fit, err);
    if (st == SER_OK)
        st = measure(&length, data, err);
    if (st != SER_OK)
        return st;
    if ((st = problem_init(&q, data, fit, length, work, err)) != SER_OK)
        goto done;
    size_t n_vector = (data->gram ? 2 : 1) * q.n_theta;
    if (!(x = ser_alloc(n_vector + data->n_labels, sizeof *x))) {
        st = ser_fail_nomem(err);
        goto done;
    }
    for (size_t i = 0; i < q.n_theta; i++)
        x[i] = (double)theta[i];
    for (size_t k = 0; k < data->n_labels; k++)
        x[n_vector + k] = (double)bias[k] / q.bias_unit;
    if (data->gram && (st = times_gram(&q, x + q.n_theta, x, err)) != SER_OK)
        goto done;
    st = ser_lbfgs(x, n_vector + data->n_labels, data->gram ? gram_objective : objective,
                   data->gram ? gram_inner : NULL, &q, fit->max_iterations,
                   fit->tolerance * lowest_curvature(&q), n_iterations, err);
    if (st != SER_OK)
        goto done;
    for (size_t i = 0; i < q.n_theta; i++)
        theta[i] = (float)x[i];
    for (size_t k = 0; k < data->n_labels; k++)
        bias[k] = (float)(x[n_vector + k] * q.bias_unit);
done:
    ser_free(x);
    problem_release(&q);
    return st;
}

ser_status ser_linear_fit(ser_linear *l, const float *z, const int *label, const float *weight, size_t n,
                          const ser_softmax_fit *fit, ser_nn_work *work, ser_error *err)
{
    const ser_softmax_data data = {
        .z = z, .n = n, .width = l->n_in, .label = label, .weight = weight, .n_labels = l->n_labels};
    return ser_softmax_minimise(l->w, l->bias, &data, fit, work, NULL, err);
}
