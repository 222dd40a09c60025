#include "base/memory.h"
#include "base/random.h"
#include "failures/failing.h"
#include "golden_numbers.h"
#include "model/moments.h"
#include "test.h"
#include "train/softmax_regression.h"

static ser_nn_ops *ops[2];
static ser_nn_work *work; /* oneDNN, one thread */

/* ---- made-up problems ---- */

typedef struct sample {
    size_t n, n_in, n_labels;
    float *z, *gram, *weight;
    int *label;
    uint64_t *mask; /* NULL: all labels compete for all rows */
    float *offset;  /* NULL: none */
} sample;

static void fill_gram(sample *s)
{
    for (size_t i = 0; i < s->n; i++)
        for (size_t j = 0; j < s->n; j++) {
            double sum = 0;
            for (size_t k = 0; k < s->n_in; k++)
                sum += (double)s->z[i * s->n_in + k] * (double)s->z[j * s->n_in + k];
            s->gram[i * s->n + j] = (float)sum;
        }
}

static sample sample_make(size_t n, size_t n_in, size_t n_labels, uint64_t seed)
{
    sample s = {.n = n, .n_in = n_in, .n_labels = n_labels};
    s.z = ser_alloc(n * n_in, sizeof *s.z);
    s.gram = ser_alloc(n * n, sizeof *s.gram);
    s.weight = ser_alloc(n, sizeof *s.weight);
    s.label = ser_alloc(n, sizeof *s.label);
    ser_random r;
    ser_random_init(&r, seed);
    for (size_t i = 0; i < n; i++) {
        s.label[i] = (int)ser_random_below(&r, n_labels);
        s.weight[i] = (float)ser_random_between(&r, 0.2, 1);
        for (size_t j = 0; j < n_in; j++)
            s.z[i * n_in + j] =
                (float)ser_random_normal(&r) + (j % n_labels == (size_t)s.label[i] ? 0.5f : 0);
    }
    fill_gram(&s);
    return s;
}

static void sample_free(sample *s)
{
    ser_free(s->z);
    ser_free(s->gram);
    ser_free(s->weight);
    ser_free(s->label);
    ser_free(s->mask);
    ser_free(s->offset);
}

static ser_softmax_data data_of(const sample *s, bool gram)
{
    return (ser_softmax_data){.z = gram ? s->gram : s->z,
                              .n = s->n,
                              .width = gram ? s->n : s->n_in,
                              .gram = gram,
                              .label = s->label,
                              .weight = s->weight,
                              .mask = s->mask,
                              .offset = s->offset,
                              .n_labels = s->n_labels};
}

/* w (n_labels, n_in) = a (n_labels, n) z. */
static void weights_of_coefficients(float *w, const float *a, const sample *s)
{
    for (size_t k = 0; k < s->n_labels; k++)
        for (size_t j = 0; j < s->n_in; j++) {
            double sum = 0;
            for (size_t i = 0; i < s->n; i++)
                sum += (double)a[k * s->n + i] * (double)s->z[i * s->n_in + j];
            w[k * s->n_in + j] = (float)sum;
        }
}

/* The objective in double precision, straight from its definition. */
static double naive_objective(const sample *s, const double *w, const double *bias, double c)
{
    double sum = 0, squares = 0, weights = 0;
    for (size_t i = 0; i < s->n; i++) {
        double logits[16], total = 0;
        for (size_t k = 0; k < s->n_labels; k++) {
            logits[k] = bias[k] + (s->offset ? (double)s->offset[i * s->n_labels + k] : 0);
            for (size_t j = 0; j < s->n_in; j++)
                logits[k] += w[k * s->n_in + j] * (double)s->z[i * s->n_in + j];
            total += !s->mask || s->mask[i] >> k & 1 ? exp(logits[k]) : 0;
        }
        sum += (double)s->weight[i] * (log(total) - logits[s->label[i]]);
        weights += (double)s->weight[i];
    }
    for (size_t i = 0; i < s->n_labels * s->n_in; i++)
        squares += w[i] * w[i];
    return (sum + squares / (2 * c)) / weights;
}

/* ---- tests ---- */

static void check_golden(const ser_softmax_data *data, const sample *s, const float *w_expected,
                         const float *bias_expected, const float *p_expected, double c)
{
    const ser_softmax_fit fit = {.c = c, .tolerance = 1e-6, .max_iterations = 2000};
    ser_error err = {0};
    float *theta = ser_alloc(s->n_labels * data->width, sizeof *theta), bias[8] = {0};
    float *w = ser_alloc(s->n_labels * s->n_in, sizeof *w), *p = ser_alloc(s->n * s->n_labels, sizeof *p);
    CHECK_OK(ser_softmax_minimise(theta, bias, data, &fit, work, NULL, &err), &err);
    if (data->gram)
        weights_of_coefficients(w, theta, s);
    else
        memcpy(w, theta, s->n_labels * s->n_in * sizeof *w);
    ser_linear l = {0};
    CHECK_OK(ser_linear_init(&l, s->n_in, s->n_labels, &err), &err);
    memcpy(l.w, w, s->n_labels * s->n_in * sizeof *w);
    memcpy(l.bias, bias, s->n_labels * sizeof *bias);
    for (size_t i = 0; i < s->n; i++) {
        ser_linear_logits(&l, p + i * s->n_labels, s->z + i * s->n_in);
        ser_softmax(p + i * s->n_labels, s->n_labels, 1);
    }
    check_close("coefficients", w, w_expected, s->n_labels * s->n_in, 0, 1e-4);
    check_close("intercepts", bias, bias_expected, s->n_labels, 0, 1e-4);
    check_close("probabilities", p, p_expected, s->n * s->n_labels, 0, 1e-4);
    ser_linear_release(&l);
    ser_free(theta);
    ser_free(w);
    ser_free(p);
}

/* Against scikit-learn: two penalties, then row weights; by rows and by their inner products. */
static void test_golden(void)
{
    FILE *f = golden_open("train/regression.txt");
    size_t n = (size_t)golden_next(f), n_in = (size_t)golden_next(f), n_labels = (size_t)golden_next(f);
    sample s = sample_make(n, n_in, n_labels, 0);
    float *x = ser_alloc(n * n_in, sizeof *x), mean[64], scale[64], w[512], bias[8];
    float *p = ser_alloc(n * n_labels, sizeof *p);
    const float **rows = ser_alloc(n, sizeof *rows);
    ser_error err = {0};
    for (size_t i = 0; i < n; i++) {
        s.label[i] = (int)golden_next(f);
        s.weight[i] = (float)golden_next(f);
        golden_floats(f, x + i * n_in, n_in);
        rows[i] = x + i * n_in;
    }
    CHECK_OK(ser_standardise(mean, scale, rows, n, n_in, &err), &err);
    for (size_t i = 0; i < n * n_in; i++)
        s.z[i] = (x[i] - mean[i % n_in]) * scale[i % n_in];
    fill_gram(&s);
    for (int round = 0; round < 3; round++) {
        double c = golden_next(f);
        bool weighted = golden_next(f) != 0;
        golden_floats(f, w, n_labels * n_in);
        golden_floats(f, bias, n_labels);
        golden_floats(f, p, n * n_labels);
        for (int gram = 0; gram < 2; gram++) {
            ser_softmax_data data = data_of(&s, gram);
            data.weight = weighted ? s.weight : NULL;
            check_golden(&data, &s, w, bias, p, c);
        }
    }
    sample_free(&s);
    ser_free(x);
    ser_free(p);
    ser_free(rows);
    fclose(f);
}

/* A first step goes straight down the gradient, so it is compared with finite differences there, up to its
 * length. */
static void test_gradient(void)
{
    enum { N_IN = 7, N_LABELS = 3, N_W = N_IN * N_LABELS };
    sample s = sample_make(30, N_IN, N_LABELS, 8);
    const ser_softmax_fit one_step = {.c = 0.3, .tolerance = 0, .max_iterations = 1};
    ser_error err = {0};
    ser_random r;
    ser_random_init(&r, 9);
    float a[N_LABELS * 30], start_a[N_LABELS * 30], w[N_W], start[N_W], bias[N_LABELS], from_gram[N_W];
    for (size_t i = 0; i < N_LABELS * 30; i++)
        a[i] = start_a[i] = 0.1f * (float)ser_random_normal(&r);
    weights_of_coefficients(start, a, &s);
    memcpy(w, start, sizeof w);
    const float start_bias[] = {0.3f, -0.2f, 0.1f};
    double point[N_W], point_bias[N_LABELS], slope[N_W], squares = 0, step_squares = 0;
    for (size_t i = 0; i < N_W; i++)
        point[i] = (double)start[i];
    for (size_t k = 0; k < N_LABELS; k++)
        point_bias[k] = (double)start_bias[k];
    for (size_t i = 0; i < N_W; i++) {
        double h = 1e-5, above, below;
        point[i] += h;
        above = naive_objective(&s, point, point_bias, one_step.c);
        point[i] -= 2 * h;
        below = naive_objective(&s, point, point_bias, one_step.c);
        point[i] += h;
        slope[i] = (above - below) / (2 * h);
        squares += slope[i] * slope[i];
    }
    ser_softmax_data data = data_of(&s, false);
    memcpy(bias, start_bias, sizeof bias);
    CHECK_OK(ser_softmax_minimise(w, bias, &data, &one_step, work, NULL, &err), &err);
    for (size_t i = 0; i < N_W; i++)
        step_squares += pow((double)(w[i] - start[i]), 2);
    double length = sqrt(step_squares / squares); /* of the step, in gradients */
    CHECK(length > 0.01);
    for (size_t i = 0; i < N_W; i++)
        CHECK(fabs((double)(w[i] - start[i]) / -length - slope[i]) < 1e-4 * sqrt(squares));
    CHECK(bias[0] != start_bias[0]);
    /* By inner products the same step is taken. */
    data = data_of(&s, true);
    float bias2[N_LABELS];
    memcpy(bias2, start_bias, sizeof bias2);
    CHECK_OK(ser_softmax_minimise(a, bias2, &data, &one_step, work, NULL, &err), &err);
    weights_of_coefficients(from_gram, a, &s);
    check_close("step by inner products", from_gram, w, N_W, 1e-4, 1e-5);
    check_close("its bias", bias2, bias, N_LABELS, 1e-4, 1e-5);
    sample_free(&s);
}

/* The same bits with any number of threads; plain C and inner products agree; any start leads to the optimum.
 */
static void test_ways(void)
{
    sample s = sample_make(700, 300, 5, 21); /* several blocks of rows in each part */
    const ser_softmax_fit fit = {.c = 0.02, .tolerance = 1e-4, .max_iterations = 1000};
    ser_softmax_data data = data_of(&s, false);
    size_t n_w = s.n_labels * s.n_in;
    float *w[4], bias[4][5] = {{0}}, *a = ser_alloc(s.n_labels * s.n, sizeof *a), bias_a[5] = {0};
    ser_error err = {0};
    for (int i = 0; i < 4; i++) {
        w[i] = ser_alloc(n_w, sizeof **w);
        ser_nn_work *own = NULL;
        CHECK_OK(ser_nn_work_new(&own, ops[i == 3], i + 1, &err), &err);
        CHECK_OK(ser_softmax_minimise(w[i], bias[i], &data, &fit, own, NULL, &err), &err);
        ser_nn_work_free(&own);
    }
    for (int i = 1; i < 3; i++)
        CHECK(memcmp(w[i], w[0], n_w * sizeof **w) == 0 && memcmp(bias[i], bias[0], sizeof bias[0]) == 0);
    check_close("plain C", w[3], w[0], n_w, 1e-3, 1e-4);
    data = data_of(&s, true);
    CHECK_OK(ser_softmax_minimise(a, bias_a, &data, &fit, work, NULL, &err), &err);
    weights_of_coefficients(w[1], a, &s);
    check_close("inner products", w[1], w[0], n_w, 1e-3, 1e-4);
    check_close("bias by inner products", bias_a, bias[0], 5, 1e-3, 1e-4);
    data = data_of(&s, false);
    for (size_t i = 0; i < n_w; i++)
        w[2][i] = i % 7 ? -0.2f : 0.5f;
    int n_iterations = 0;
    CHECK_OK(ser_softmax_minimise(w[2], bias[2], &data, &fit, work, &n_iterations, &err), &err);
    check_close("another start", w[2], w[0], n_w, 1e-3, 1e-4);
    CHECK_OK(ser_softmax_minimise(w[2], bias[2], &data, &fit, work, &n_iterations, &err), &err);
    CHECK(n_iterations == 0); /* the optimum is a starting point, too */
    for (int i = 0; i < 4; i++)
        ser_free(w[i]);
    ser_free(a);
    sample_free(&s);
}

/* Weight 2 is the row twice, weight 0 the row left out. */
static void test_weights(void)
{
    enum { N = 40, N_IN = 6, N_W = 3 * N_IN };
    sample s = sample_make(N, N_IN, 3, 33);
    const ser_softmax_fit fit = {.c = 1, .tolerance = 1e-5, .max_iterations = 1000};
    float w[2][N_W] = {{0}}, bias[2][3] = {{0}};
    ser_error err = {0};
    for (size_t i = 0; i < N; i++)
        s.weight[i] = i == 3 ? 2 : i == N - 1 ? 0 : 1;
    ser_softmax_data data = data_of(&s, false);
    CHECK_OK(ser_softmax_minimise(w[0], bias[0], &data, &fit, work, NULL, &err), &err);
    memcpy(s.z + (N - 1) * N_IN, s.z + 3 * N_IN, N_IN * sizeof *s.z);
    s.label[N - 1] = s.label[3];
    data.weight = NULL;
    CHECK_OK(ser_softmax_minimise(w[1], bias[1], &data, &fit, work, NULL, &err), &err);
    check_close("weights", w[0], w[1], N_W, 1e-4, 1e-4);
    check_close("bias", bias[0], bias[1], 3, 1e-4, 1e-4);
    sample_free(&s);
}

static void check_finite(const char *what, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i])) {
            fprintf(stderr, "%s: element %zu is %g\n", what, i, (double)x[i]);
            test_n_failed++;
            return;
        }
    test_n_passed++;
}

/* Input that has no optimum, or nothing to learn, still ends, with finite answers that make sense. */
static void test_degenerate(void)
{
    const ser_softmax_fit fit = ser_softmax_fit_default(10);
    ser_error err = {0};
    for (int gram = 0; gram < 2; gram++) {
        sample s = sample_make(24, 5, 4, 55);
        ser_softmax_data data = data_of(&s, gram);
        float theta[4 * 24], bias[4];
        int n_iterations = 0;
        /* Label 2 is missing: its bias only ever falls. */
        for (size_t i = 0; i < s.n; i++)
            s.label[i] = s.label[i] == 2 ? 3 : s.label[i];
        memset(theta, 0, sizeof theta);
        memset(bias, 0, sizeof bias);
        CHECK_OK(ser_softmax_minimise(theta, bias, &data, &fit, work, &n_iterations, &err), &err);
        check_finite("a label is missing", theta, 4 * data.width);
        CHECK(isfinite(bias[2]) && bias[2] < bias[0] - 3 && n_iterations < 500);
        /* One label only. */
        for (size_t i = 0; i < s.n; i++)
            s.label[i] = 1;
        memset(theta, 0, sizeof theta);
        memset(bias, 0, sizeof bias);
        CHECK_OK(ser_softmax_minimise(theta, bias, &data, &fit, work, &n_iterations, &err), &err);
        check_finite("one label", theta, 4 * data.width);
        CHECK(isfinite(bias[1]) && bias[1] > bias[0] + 3 && n_iterations < 500);
        /* A single label to choose from. */
        memset(s.label, 0, s.n * sizeof *s.label);
        data.n_labels = 1;
        bias[0] = theta[0] = 0;
        CHECK_OK(ser_softmax_minimise(theta, bias, &data, &fit, work, NULL, &err), &err);
        CHECK(isfinite(bias[0]));
        sample_free(&s);
    }
}

/* Features that say nothing: the answers are the shares of the labels. */
static void test_constant(void)
{
    for (int gram = 0; gram < 2; gram++) {
        sample s = sample_make(20, 5, 2, 1);
        memset(s.z, 0, s.n * s.n_in * sizeof *s.z);
        memset(s.gram, 0, s.n * s.n * sizeof *s.gram);
        for (size_t i = 0; i < s.n; i++)
            s.label[i] = i % 4 == 0;
        ser_softmax_data data = data_of(&s, gram);
        data.weight = NULL;
        const ser_softmax_fit fit = ser_softmax_fit_default(1);
        float theta[2 * 20] = {0}, bias[2] = {0};
        ser_error err = {0};
        CHECK_OK(ser_softmax_minimise(theta, bias, &data, &fit, work, NULL, &err), &err);
        ser_softmax(bias, 2, 1);
        CHECK(fabsf(bias[0] - 0.75f) < 1e-3f && (gram || theta[0] == 0));
        sample_free(&s);
    }
}

static void test_one_row(void)
{
    const float z[] = {1, -2, 0.5f};
    const int label[] = {1};
    const ser_softmax_fit fit = ser_softmax_fit_default(1);
    ser_linear l = {0};
    ser_error err = {0};
    CHECK_OK(ser_linear_init(&l, 3, 2, &err), &err);
    CHECK_OK(ser_linear_fit(&l, z, label, NULL, 1, &fit, work, &err), &err);
    float logits[2];
    ser_linear_logits(&l, logits, z);
    CHECK(logits[1] > logits[0] + 2 && isfinite(logits[1]));
    ser_linear_release(&l);
}

static void test_bad_input(void)
{
    sample s = sample_make(10, 3, 2, 4);
    ser_softmax_data data = data_of(&s, false);
    ser_softmax_fit fit = ser_softmax_fit_default(1);
    float theta[6] = {0}, bias[2] = {0};
    ser_error err = {0};
#define CHECK_REFUSED(status, words)                                                                         \
    CHECK_FAILS(ser_softmax_minimise(theta, bias, &data, &fit, work, NULL, &err), status, &err, words)
    s.z[3 * 3 + 1] = NAN;
    CHECK_REFUSED(SER_E_FORMAT, "row 3 has features");
    s.z[3 * 3 + 1] = INFINITY;
    CHECK_REFUSED(SER_E_FORMAT, "row 3 has features");
    s.z[3 * 3 + 1] = 0;
    s.label[9] = 2;
    CHECK_REFUSED(SER_E_ARG, "label 2 of 2");
    s.label[9] = -1;
    CHECK_REFUSED(SER_E_ARG, "label -1");
    s.label[9] = 0;
    s.weight[4] = -1;
    CHECK_REFUSED(SER_E_ARG, "row 4 has weight -1");
    s.weight[4] = NAN;
    CHECK_REFUSED(SER_E_ARG, "row 4");
    memset(s.weight, 0, s.n * sizeof *s.weight);
    CHECK_REFUSED(SER_E_ARG, "weight 0");
    data.weight = NULL;
    fit.c = 0;
    CHECK_REFUSED(SER_E_ARG, "c must be positive");
    fit.c = NAN;
    CHECK_REFUSED(SER_E_ARG, "c must be positive");
    fit.c = 1;
    data.n = 0;
    CHECK_REFUSED(SER_E_ARG, "no recordings");
    data.n = 10;
    data.width = 0;
    CHECK_REFUSED(SER_E_ARG, "no features");
    for (int gram = 0; gram < 2; gram++) {
        data = data_of(&s, gram);
        data.weight = NULL;
        float many[20] = {0};
        ser_status st = SER_E_NOMEM;
        for (long at = 0; st != SER_OK && at < 100; at++) {
            failing_at(at);
            st = ser_softmax_minimise(many, bias, &data, &fit, work, NULL, &err);
            CHECK(st == SER_OK || st == SER_E_NOMEM);
        }
        failing_at(-1);
        CHECK(st == SER_OK);
    }
    sample_free(&s);
}

static bool two_steps(void *context)
{
    int *asked = context;
    return ++*asked < 3;
}

/* Who does not want to go on need not wait for the optimum, and has the starting point still. */
static void test_cancelled(void)
{
    sample s = sample_make(40, 20, 3, 5);
    float theta[3 * 40] = {0}, bias[3] = {0};
    ser_error err = {0};
    for (int gram = 0; gram < 2; gram++) {
        const ser_softmax_data data = data_of(&s, gram);
        ser_softmax_fit fit = ser_softmax_fit_default(1);
        int asked = 0;
        fit.go_on = two_steps;
        fit.context = &asked;
        CHECK(ser_softmax_minimise(theta, bias, &data, &fit, work, NULL, &err) == SER_E_CANCELLED &&
              asked == 3);
        CHECK(theta[0] == 0 && bias[0] == 0);
    }
    sample_free(&s);
}

/* Fits, and looks whether the objective is higher all around. w (n_labels, n_in), bias (n_labels). */
static void check_lowest(float *w, float *bias, const sample *s, bool gram, const ser_softmax_fit *fit)
{
    enum { MOST = 16 * 16 };
    const ser_softmax_data data = data_of(s, gram);
    size_t n_weights = s->n_labels * s->n_in;
    float *theta = ser_alloc(s->n_labels * data.width, sizeof *theta);
    double exact[MOST], exact_bias[16];
    ser_error err = {0};
    CHECK(n_weights <= MOST);
    CHECK_OK(ser_softmax_minimise(theta, bias, &data, fit, work, NULL, &err), &err);
    if (gram)
        weights_of_coefficients(w, theta, s);
    else
        memcpy(w, theta, n_weights * sizeof *w);
    ser_free(theta);
    for (size_t i = 0; i < n_weights; i++)
        exact[i] = (double)w[i];
    for (size_t k = 0; k < s->n_labels; k++)
        exact_bias[k] = (double)bias[k];
    double lowest = naive_objective(s, exact, exact_bias, fit->c);
    for (size_t i = 0; i < n_weights + s->n_labels; i++) {
        double *x = i < n_weights ? &exact[i] : &exact_bias[i - n_weights];
        for (int side = -1; side <= 1; side += 2) {
            double kept = *x;
            *x += side * 0.02;
            CHECK(naive_objective(s, exact, exact_bias, fit->c) >= lowest - 1e-7);
            *x = kept;
        }
    }
}

/* Rows of two corpora, one of which has no third label: the optimum is that of the masked loss, whichever way
 * it is stated. */
static void test_masks(void)
{
    enum { N_ROWS = 60, N_FEATURES = 4, N_CLASSES = 4 };
    const ser_softmax_fit fit = {.c = 2, .tolerance = 1e-6, .max_iterations = 2000};
    sample s = sample_make(N_ROWS, N_FEATURES, 3, 11);
    ser_error err = {0};
    s.n_labels = N_CLASSES; /* the fourth competes for nothing */
    s.mask = ser_alloc(N_ROWS, sizeof *s.mask);
    for (size_t i = 0; i < N_ROWS; i++) {
        s.label[i] = i % 2 ? s.label[i] % 2 : s.label[i];
        s.mask[i] = i % 2 ? 3 : 7;
    }
    for (int gram = 0; gram < 2; gram++) {
        float w[N_CLASSES * N_FEATURES], bias[N_CLASSES] = {0};
        check_lowest(w, bias, &s, gram, &fit);
        CHECK(w[3 * N_FEATURES] == 0 && bias[3] == 0 && fabsf(w[2 * N_FEATURES]) > 1e-3f);
    }
    const ser_softmax_data data = data_of(&s, false);
    float theta[N_CLASSES * N_FEATURES] = {0}, bias[N_CLASSES] = {0};
    s.label[1] = 2;
    CHECK_FAILS(ser_softmax_minimise(theta, bias, &data, &fit, work, NULL, &err), SER_E_ARG, &err, "compete");
    sample_free(&s);
}

/* Logits that rows have whatever the weights: these are fitted to what is left, and hardly at all where the
 * penalty is high. */
static void test_offsets(void)
{
    enum { N_ROWS = 60, N_FEATURES = 4, N_CLASSES = 3 };
    const ser_softmax_fit fit = {.c = 2, .tolerance = 1e-6, .max_iterations = 2000};
    const ser_softmax_fit stiff = {.c = 1e-6, .tolerance = 1e-6, .max_iterations = 2000};
    sample s = sample_make(N_ROWS, N_FEATURES, N_CLASSES, 12);
    float w[N_CLASSES * N_FEATURES], without[N_CLASSES * N_FEATURES], bias[N_CLASSES] = {0};
    ser_error err = {0};
    check_lowest(without, bias, &s, false, &fit);
    s.offset = ser_alloc(N_ROWS * N_CLASSES, sizeof *s.offset);
    for (size_t i = 0; i < N_ROWS; i++)
        for (size_t k = 0; k < N_CLASSES; k++)
            s.offset[i * N_CLASSES + k] = 2 * s.z[i * N_FEATURES + k] + (i % 5 == k ? 1.0f : 0);
    for (int gram = 0; gram < 2; gram++) {
        memset(bias, 0, sizeof bias);
        check_lowest(w, bias, &s, gram, &fit);
        CHECK(fabsf(w[0] - without[0]) > 0.1f);
        memset(bias, 0, sizeof bias);
        check_lowest(w, bias, &s, gram, &stiff);
        for (size_t i = 0; i < N_CLASSES * N_FEATURES; i++)
            CHECK(fabsf(w[i]) < 1e-3f);
    }
    const ser_softmax_data data = data_of(&s, false);
    s.offset[7] = NAN;
    CHECK_FAILS(ser_softmax_minimise(w, bias, &data, &fit, work, NULL, &err), SER_E_FORMAT, &err,
                "row 2 has");
    sample_free(&s);
}

int main(void)
{
    ser_error err = {0};
    CHECK_OK(ser_nn_ops_new(&ops[0], SER_ENGINE_ONEDNN, SER_PRECISION_FP32, &err), &err);
    CHECK_OK(ser_nn_ops_new(&ops[1], SER_ENGINE_REF, SER_PRECISION_FP32, &err), &err);
    CHECK_OK(ser_nn_work_new(&work, ops[0], 1, &err), &err);
    test_golden();
    test_gradient();
    test_ways();
    test_weights();
    test_degenerate();
    test_constant();
    test_one_row();
    test_bad_input();
    test_masks();
    test_offsets();
    test_cancelled();
    ser_nn_work_free(&work);
    ser_nn_ops_free(&ops[0]);
    ser_nn_ops_free(&ops[1]);
    return test_summary();
}
