#include "train/softmax_regression.h"
#include "base/memory.h"

#include <math.h>
#include <string.h>

enum { N_BLOCK = 256 /* rows at once: their features stay in the cache from the logits to the gradient */ };

typedef struct problem {
    const float *z; /* (n, n_in), standardised */
    const int *label;
    const float *weight; /* NULL: all 1 */
    size_t n, n_in, n_labels;
    double c, total_weight;
    ser_nn_work *work;
    float *w, *dw; /* (n_labels, n_in): the point in fp32, the sum's gradient */
    float *p;      /* (N_BLOCK, n_labels): logits, then the gradient by them */
} problem;

/* p: logits -> weight * (probabilities - one-hot truth). Adds the losses to *loss and the gradient to db. */
static void softmax_block(const problem *q, size_t first, size_t n, const double *bias, double *loss,
                          double *db)
{
    for (size_t r = 0; r < n; r++) {
        float *p = q->p + r * q->n_labels;
        double weight = q->weight ? (double)q->weight[first + r] : 1, max = -INFINITY, sum = 0;
        size_t truth = (size_t)q->label[first + r];
        for (size_t k = 0; k < q->n_labels; k++) {
            p[k] = (float)((double)p[k] + bias[k]);
            max = fmax(max, (double)p[k]);
        }
        for (size_t k = 0; k < q->n_labels; k++)
            sum += exp((double)p[k] - max);
        *loss += weight * (max + log(sum) - (double)p[truth]);
        for (size_t k = 0; k < q->n_labels; k++) {
            double g = weight * (exp((double)p[k] - max) / sum - (k == truth));
            p[k] = (float)g;
            db[k] += g;
        }
    }
}

/* ser_objective: x is w (n_labels, n_in), then bias (n_labels). The value is (sum of losses + |w|^2 / (2 c))
 * / weight. */
static ser_status objective(void *context, const double *x, double *gradient, double *value, ser_error *err)
{
    problem *q = context;
    size_t n_w = q->n_labels * q->n_in;
    const double *bias = x + n_w;
    double loss = 0, square = 0, *db = gradient + n_w;
    for (size_t i = 0; i < n_w; i++)
        q->w[i] = (float)x[i];
    memset(q->dw, 0, n_w * sizeof *q->dw);
    memset(db, 0, q->n_labels * sizeof *db);
    for (size_t first = 0; first < q->n; first += N_BLOCK) {
        size_t n = q->n - first < N_BLOCK ? q->n - first : N_BLOCK;
        const float *z = q->z + first * q->n_in;
        const ser_gemm logits = {.n_batch = 1,
                                 .m = n,
                                 .n = q->n_labels,
                                 .k = q->n_in,
                                 .lda = q->n_in,
                                 .ldb = q->n_in,
                                 .ldc = q->n_labels,
                                 .b_transposed = true};
        const ser_gemm products = {.n_batch = 1,
                                   .m = q->n_labels,
                                   .n = q->n_in,
                                   .k = n,
                                   .lda = q->n_labels,
                                   .ldb = q->n_in,
                                   .ldc = q->n_in,
                                   .a_transposed = true,
                                   .beta = 1};
        ser_status st = ser_nn_gemm(q->work, q->p, z, q->w, &logits, err);
        if (st != SER_OK)
            return st;
        softmax_block(q, first, n, bias, &loss, db);
        if ((st = ser_nn_gemm(q->work, q->dw, q->p, z, &products, err)) != SER_OK)
            return st;
    }
    for (size_t i = 0; i < n_w; i++) {
        square += x[i] * x[i];
        gradient[i] = ((double)q->dw[i] + x[i] / q->c) / q->total_weight;
    }
    for (size_t k = 0; k < q->n_labels; k++)
        db[k] /= q->total_weight;
    *value = (loss + square / (2 * q->c)) / q->total_weight;
    return SER_OK;
}

static ser_status check(const ser_linear *l, const float *x, const int *label, const float *weight, size_t n,
                        const ser_softmax_fit *fit, ser_error *err)
{
    if (!n)
        return ser_fail(err, SER_E_ARG, "no recordings to learn from");
    if (!(fit->c > 0))
        return ser_fail(err, SER_E_ARG, "c must be positive, and is %g", fit->c);
    for (size_t i = 0; i < n; i++) {
        if (label[i] < 0 || (size_t)label[i] >= l->n_labels)
            return ser_fail(err, SER_E_ARG, "row %zu has label %d of %zu", i, label[i], l->n_labels);
        if (weight && !(weight[i] >= 0 && isfinite(weight[i])))
            return ser_fail(err, SER_E_ARG, "row %zu has weight %g", i, (double)weight[i]);
    }
    for (size_t i = 0; i < n * l->n_in; i++)
        if (!isfinite(x[i]))
            return ser_fail(err, SER_E_FORMAT,
                            "feature %zu of row %zu is not finite: compute the features again", i % l->n_in,
                            i / l->n_in);
    return SER_OK;
}

ser_status ser_linear_fit(ser_linear *l, const float *z, const int *label, const float *weight, size_t n,
                          const ser_softmax_fit *fit, ser_nn_work *work, ser_error *err)
{
    size_t n_w = l->n_in * l->n_labels;
    ser_status st = check(l, z, label, weight, n, fit, err);
    if (st != SER_OK)
        return st;
    problem q = {.z = z,
                 .label = label,
                 .weight = weight,
                 .n = n,
                 .n_in = l->n_in,
                 .n_labels = l->n_labels,
                 .c = fit->c,
                 .work = work};
    for (size_t i = 0; i < n; i++)
        q.total_weight += weight ? (double)weight[i] : 1;
    double *x = ser_alloc(n_w + l->n_labels, sizeof *x);
    q.w = ser_alloc(n_w, sizeof *q.w);
    q.dw = ser_alloc(n_w, sizeof *q.dw);
    q.p = ser_alloc(N_BLOCK * l->n_labels, sizeof *q.p);
    if (!x || !q.w || !q.dw || !q.p)
        st = ser_fail_nomem(err);
    if (st == SER_OK && !(q.total_weight > 0))
        st = ser_fail(err, SER_E_ARG, "all rows have weight 0");
    if (st == SER_OK) {
        for (size_t i = 0; i < n_w; i++)
            x[i] = (double)l->w[i];
        for (size_t k = 0; k < l->n_labels; k++)
            x[n_w + k] = (double)l->bias[k];
        st = ser_lbfgs(x, n_w + l->n_labels, objective, &q, fit->max_iterations, fit->tolerance, NULL, err);
    }
    if (st == SER_OK) {
        for (size_t i = 0; i < n_w; i++)
            l->w[i] = (float)x[i];
        for (size_t k = 0; k < l->n_labels; k++)
            l->bias[k] = (float)x[n_w + k];
    }
    ser_free(x);
    ser_free(q.w);
    ser_free(q.dw);
    ser_free(q.p);
    return st;
}

/* ---- calibration ---- */

static double log_loss(const float *logits, const int *label, size_t n, size_t n_labels, double temperature)
{
    double loss = 0;
    for (size_t i = 0; i < n; i++) {
        const float *z = logits + i * n_labels;
        double max = -INFINITY, sum = 0;
        for (size_t k = 0; k < n_labels; k++)
            max = fmax(max, (double)z[k]);
        for (size_t k = 0; k < n_labels; k++)
            sum += exp(((double)z[k] - max) / temperature);
        loss += (max - (double)z[label[i]]) / temperature + log(sum);
    }
    return loss;
}

float ser_temperature_fit(const float *logits, const int *label, size_t n, size_t n_labels)
{
    /* Golden-section search over log T: the loss has one minimum in 1 / T. */
    const double ratio = 0.6180339887498949;
    double low = log(0.05), high = log(20.0);
    double a = high - ratio * (high - low), b = low + ratio * (high - low);
    double loss_a = log_loss(logits, label, n, n_labels, exp(a)),
           loss_b = log_loss(logits, label, n, n_labels, exp(b));
    while (high - low > 1e-4) {
        if (loss_a <= loss_b) {
            high = b;
            b = a;
            loss_b = loss_a;
            a = high - ratio * (high - low);
            loss_a = log_loss(logits, label, n, n_labels, exp(a));
        } else {
            low = a;
            a = b;
            loss_a = loss_b;
            b = low + ratio * (high - low);
            loss_b = log_loss(logits, label, n, n_labels, exp(b));
        }
    }
    return (float)exp((low + high) / 2);
}
