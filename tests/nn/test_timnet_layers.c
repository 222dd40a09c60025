/* The layers with a backward pass, against PyTorch (tools/make_golden_timnet.py) and against finite
 * differences of their own forward pass. */
#include "base/random.h"
#include "golden_tensors.h"
#include "nn/trainable.h"

static const double relative = 1e-4, absolute = 2e-5;

static ser_safetensors *file;

static float *get(const char *layer, const char *name, size_t *dims)
{
    char full[96];
    snprintf(full, sizeof full, "%s.%s", layer, name);
    return golden(file, full, NULL, dims);
}

static void compare(const char *layer, const char *name, const float *x, double tolerance)
{
    char full[96];
    size_t n;
    snprintf(full, sizeof full, "%s.%s", layer, name);
    float *expected = golden(file, full, &n, NULL);
    if (expected)
        check_close(full, x, expected, n, relative * tolerance, absolute * tolerance);
    ser_free(expected);
}

/* Root mean square of the difference against that of what is expected. */
static void compare_roughly(const char *layer, const char *name, const float *x, double tolerance)
{
    char full[96];
    size_t n;
    snprintf(full, sizeof full, "%s.%s", layer, name);
    float *expected = golden(file, full, &n, NULL);
    double wrong = 0, all = 0;
    for (size_t i = 0; expected && i < n; i++) {
        wrong += pow((double)x[i] - (double)expected[i], 2);
        all += pow((double)expected[i], 2);
    }
    if (!(wrong <= tolerance * tolerance * all))
        fprintf(stderr, "%s: off by %.4f of its size\n", full, sqrt(wrong / all));
    CHECK(wrong <= tolerance * tolerance * all);
    ser_free(expected);
}

static float *zeros(size_t n)
{
    return ser_alloc(n, sizeof(float));
}

/* x (n, n_columns) typed, rows rounded up. */
static void *typed(const float *x, size_t n, size_t n_columns, ser_dtype type)
{
    void *y = ser_alloc(ser_nn_padded_rows(n) * n_columns, ser_dtype_size(type));
    ser_nn_convert(y, type, x, n * n_columns);
    return y;
}

/* What the rows beyond the frames hold must not show. */
static void spoil(float *x, size_t n_frames, size_t n_columns)
{
    for (size_t i = n_frames * n_columns; i < ser_nn_padded_rows(n_frames) * n_columns; i++)
        x[i] = 1e30f;
}

static void test_conv(ser_nn_work *work, size_t n, size_t dilation, size_t kernel, size_t tile)
{
    enum { N_IN = 5, N_OUT = 7 };
    char layer[32];
    snprintf(layer, sizeof layer, "conv.%zu.%zu.%zu", n, dilation, kernel);
    ser_error err = {0};
    ser_dtype type = ser_nn_work_type(work);
    void (*check)(const char *, const char *, const float *, double) =
        type == SER_F32 ? compare : compare_roughly;
    double tolerance = type == SER_F32 ? 1 : 0.02;
    ser_nn_causal_conv c = {N_IN, N_OUT, kernel, dilation, tile};
    size_t n_rows = ser_nn_padded_rows(n), n_kernel = kernel * N_IN * N_OUT;
    size_t n_prepared = ser_nn_causal_conv_n_prepared(&c);
    float *x = get(layer, "x", NULL), *w = get(layer, "w", NULL), *dy = get(layer, "dy", NULL);
    float *y = zeros(n_rows * N_OUT), *dx = zeros(n_rows * N_IN), *dw = zeros(n_kernel),
          *scratch = zeros(n_prepared);
    void *typed_x = typed(x, n, N_IN, type), *typed_dy = typed(dy, n, N_OUT, type);
    void *prepared = ser_alloc(n_prepared, ser_dtype_size(type));
    ser_nn_causal_conv1d_prepare(prepared, type, w, &c);
    memset(scratch, 0, n_prepared * sizeof *scratch);
    spoil(y, n, N_OUT);
    CHECK_OK(ser_nn_causal_conv1d_forward(work, y, typed_x, prepared, &c, &n, 1, &err), &err);
    check(layer, "y", y, tolerance);
    for (int i = 0; i < 2; i++) /* dx is set, the kernel's gradient adds both times */
        CHECK_OK(
            ser_nn_causal_conv1d_backward(work, dx, scratch, typed_dy, typed_x, prepared, &c, &n, 1, &err),
            &err);
    ser_nn_causal_conv1d_finish(dw, scratch, &c);
    for (size_t i = 0; i < n_kernel; i++)
        dw[i] /= 2;
    check(layer, "dx", dx, tolerance);
    check(layer, "dw", dw, tolerance);
    void *all[] = {x, w, dy, y, dx, dw, scratch, typed_x, typed_dy, prepared};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        ser_free(all[i]);
}

/* 96 frames: the largest tile that fits, until there is too little past for any. */
static void test_choice(void)
{
    const struct {
        size_t dilation, tile, tile_bf16;
    } expected[] = {{1, 6, 4}, {8, 6, 4}, {16, 6, 3}, {32, 3, 3}, {64, 0, 0}, {128, 0, 0}};
    size_t n_frames[] = {96, 95, 90};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        ser_nn_causal_conv c = {8, 8, 3, expected[i].dilation, 0};
        ser_nn_causal_conv1d_choose(&c, SER_F32, n_frames, 3);
        CHECK(c.tile == expected[i].tile);
        ser_nn_causal_conv1d_choose(&c, SER_BF16, n_frames, 3);
        CHECK(c.tile == expected[i].tile_bf16);
        CHECK(ser_nn_causal_conv_n_prepared(&c) <= ser_nn_causal_conv_most_prepared(&c));
    }
    ser_nn_causal_conv c = {8, 8, 5, 1, 0};
    ser_nn_causal_conv1d_choose(&c, SER_F32, n_frames, 3);
    CHECK(c.tile == 0 && ser_nn_causal_conv_most_prepared(&c) == 5 * 64);
    CHECK(ser_nn_causal_conv1d_smallest_tile(&c) == 0);
    c.kernel = 3;
    CHECK(ser_nn_causal_conv1d_smallest_tile(&c) == 2);
}

static void test_dense(ser_nn_work *work)
{
    enum { N = 11, N_IN = 5, N_OUT = 7 };
    ser_error err = {0};
    float *x = get("dense", "x", NULL), *w = get("dense", "w", NULL), *b = get("dense", "b", NULL);
    float *dy = get("dense", "dy", NULL), y[N * N_OUT], dx[N * N_IN], dw[N_IN * N_OUT] = {0}, db[N_OUT] = {0};
    CHECK_OK(ser_nn_dense_forward(work, y, x, w, b, N, N_IN, N_OUT, SER_F32, &err), &err);
    CHECK_OK(ser_nn_dense_backward(work, dx, dw, dy, x, w, N, N_IN, N_OUT, SER_F32, &err), &err);
    ser_nn_add_rows(db, dy, N, N_OUT);
    compare("dense", "y", y, 1);
    compare("dense", "dx", dx, 1);
    compare("dense", "dw", dw, 1);
    compare("dense", "db", db, 1);
    ser_free(x);
    ser_free(w);
    ser_free(b);
    ser_free(dy);
}

/* As one recording and as three: the statistics do not know. */
static void test_batch_norm(size_t n_first)
{
    enum { N = 41, C = 19 };
    ser_error err = {0};
    ser_nn_batch_norm n;
    CHECK_OK(ser_nn_batch_norm_init(&n, C, &err), &err);
    float *x = get("norm", "x", NULL), *dy = get("norm", "dy", NULL);
    float *gamma = get("norm", "gamma", NULL), *beta = get("norm", "beta", NULL);
    float mean[C] = {0}, variance[C], bias[C] = {0}, keep[C], y[N * C], du[N * C], dx[N * C];
    float sum[C] = {0}, sum_x[C] = {0};
    float dgamma[C] = {0}, dbeta[C] = {0}, a[C], b[C], c[C];
    for (size_t i = 0; i < C; i++)
        variance[i] = keep[i] = 1;
    float copy[N * C];
    ser_nn_batch_norm_clear(&n);
    ser_nn_batch_norm_count(&n, copy, SER_F32, x, n_first);
    if (n_first < N)
        ser_nn_batch_norm_count(&n, copy + n_first * C, SER_F32, x + n_first * C, N - n_first);
    CHECK(memcmp(copy, x, sizeof copy) == 0);
    ser_nn_batch_norm_finish(&n, gamma, beta, bias, mean, variance);
    for (size_t i = 0; i < N * C; i++)
        y[i] = x[i] * n.scale[i % C] + n.shift[i % C];
    compare("norm", "y", y, 1);
    compare("norm", "mean", mean, 1);
    compare("norm", "variance", variance, 1);
    /* An activation that lets all through hands dy on and adds up the sums. */
    float ones[C], far_up[C];
    for (size_t i = 0; i < C; i++)
        ones[i] = 0, far_up[i] = 1;
    ser_nn_norm_act p = {C, SER_RELU, ones, far_up, keep, n.centre, n.inverse};
    ser_nn_norm_act_backward(du, sum, sum_x, dy, x, SER_F32, &p, N);
    for (size_t i = 0; i < C; i++)
        n.du[i] = (double)sum[i], n.du_x[i] = (double)sum_x[i];
    ser_nn_batch_norm_backward_sums(&n, gamma, dgamma, dbeta, a, b, c);
    ser_nn_batch_norm_backward(dx, du, x, SER_F32, a, b, c, N, C);
    compare("norm", "dx", dx, 1);
    compare("norm", "dgamma", dgamma, 1);
    compare("norm", "dbeta", dbeta, 1);
    /* The running averages are what inference uses; a bias before moves the mean and nothing else. */
    for (size_t i = 0; i < C; i++)
        bias[i] = 5, mean[i] += 5;
    float scale = 1 / sqrtf(variance[3] + 1e-3f) * gamma[3];
    ser_nn_batch_norm_use_running(&n, gamma, beta, bias, mean, variance);
    float shift = beta[3] - (mean[3] - 5) * scale;
    check_close("running scale", &n.scale[3], &scale, 1, 1e-5, 0);
    check_close("running shift", &n.shift[3], &shift, 1, 1e-5, 1e-5);
    ser_free(x);
    ser_free(dy);
    ser_free(gamma);
    ser_free(beta);
    ser_nn_batch_norm_release(&n);
}

static void test_activation(const char *name)
{
    enum { N = 23, C = 19 };
    char layer[32];
    snprintf(layer, sizeof layer, "act.%s", name);
    ser_nn_norm_act p = {.n_channels = C};
    CHECK(ser_nonlinearity_parse(&p.f, name) && strcmp(ser_nonlinearity_name(p.f), name) == 0);
    float *x = get(layer, "x", NULL), *scale = get(layer, "scale", NULL), *shift = get(layer, "shift", NULL);
    float *keep = get(layer, "keep", NULL), *dz = get(layer, "dz", NULL), z[N * C], centre[C], inverse[C];
    float sum[C] = {0}, sum_x[C] = {0};
    double expected = 0, expected_x = 0;
    for (size_t i = 0; i < C; i++)
        centre[i] = 2, inverse[i] = 0.5f;
    p.scale = scale, p.shift = shift, p.keep = keep, p.centre = centre, p.inverse = inverse;
    ser_nn_norm_act_forward(z, SER_F32, x, SER_F32, &p, 20);
    ser_nn_norm_act_forward(z + 20 * C, SER_F32, x + 20 * C, SER_F32, &p, N - 20);
    compare(layer, "z", z, 1);
    ser_nn_norm_act_backward(dz, sum, sum_x, dz, x, SER_F32, &p, 11); /* in place, and on */
    ser_nn_norm_act_backward(dz + 11 * C, sum, sum_x, dz + 11 * C, x + 11 * C, SER_F32, &p, N - 11);
    compare(layer, "du", dz, 1);
    for (size_t t = 0; t < N; t++) {
        expected += (double)dz[t * C + 17];
        expected_x += (double)dz[t * C + 17] * (double)(x[t * C + 17] - 2) * 0.5;
    }
    CHECK(fabs((double)sum[17] - expected) < 1e-4 && fabs((double)sum_x[17] - expected_x) < 1e-4);
    ser_free(x);
    ser_free(scale);
    ser_free(shift);
    ser_free(keep);
    ser_free(dz);
}

static void test_gate(const char *name)
{
    enum { N = 23, C = 19 };
    char layer[32];
    snprintf(layer, sizeof layer, "gate.%s", name);
    ser_nn_norm_act p = {.n_channels = C};
    CHECK(ser_nonlinearity_parse(&p.f, name));
    float *x = get(layer, "x", NULL), *y = get(layer, "y", NULL), *dout = get(layer, "dout", NULL),
          *dmean = get(layer, "dmean", NULL), *scale = get(layer, "scale", NULL),
          *shift = get(layer, "shift", NULL), *keep = get(layer, "keep", NULL);
    float out[N * C], mean[C], dx[N * C] = {0}, du[N * C], none[N * C] = {0}, centre[C], inverse[C],
                                      sum[C] = {0}, sum_x[C] = {0};
    for (size_t i = 0; i < C; i++)
        centre[i] = 2, inverse[i] = 0.5f;
    p.scale = scale, p.shift = shift, p.keep = keep, p.centre = centre, p.inverse = inverse;
    ser_nn_gate g = {&p, SER_F32, x, y, N};
    ser_nn_gate_forward(out, mean, &g);
    compare(layer, "out", out, 1);
    compare(layer, "mean", mean, 1);
    ser_nn_gate_forward(NULL, mean, &g);
    compare(layer, "mean", mean, 1);
    memcpy(dx, dout, sizeof dx); /* half of it where dx goes, half beside */
    for (size_t i = 0; i < N * C; i++)
        dx[i] /= 2, dout[i] /= 2;
    ser_nn_gate_gradient d = {dx, dout, dmean, du, sum, sum_x};
    ser_nn_gate_backward(&d, &g);
    compare(layer, "dx", dx, 1);
    compare(layer, "du", du, 1);
    double expected = 0, expected_x = 0;
    for (size_t t = 0; t < N; t++) {
        expected += (double)du[t * C + 17];
        expected_x += (double)du[t * C + 17] * (double)(y[t * C + 17] - 2) * 0.5;
    }
    CHECK(fabs((double)sum[17] - expected) < 1e-4 && fabs((double)sum_x[17] - expected_x) < 1e-4);
    /* Nothing known of the gradient by out is the same as zeros. */
    float dx_of_mean[N * C], du_of_mean[N * C];
    memset(dx, 0, sizeof dx);
    d.dout = none;
    ser_nn_gate_backward(&d, &g);
    d = (ser_nn_gate_gradient){dx_of_mean, NULL, dmean, du_of_mean, sum, sum_x};
    ser_nn_gate_backward(&d, &g);
    CHECK(memcmp(dx, dx_of_mean, sizeof dx) == 0 && memcmp(du, du_of_mean, sizeof du) == 0);
    void *all[] = {x, y, dout, dmean, scale, shift, keep};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        ser_free(all[i]);
}

/* Far from 0 nothing overflows. */
static void test_far_gate(void)
{
    float x[2] = {1, 1}, y[2] = {-1000, 1000}, one[2] = {1, 1}, none[2] = {0}, out[2], mean[2];
    ser_nn_norm_act p = {2, SER_RELU, one, none, one, none, one};
    ser_nn_gate g = {&p, SER_F32, x, y, 1};
    ser_nn_gate_forward(out, mean, &g);
    CHECK(out[0] == 0.5f && out[1] == 1 && mean[1] == 1);
    p.keep = (const float[2]){-1, -1};
    ser_nn_gate_forward(out, mean, &g);
    CHECK(out[0] == 0.5f && out[1] >= 0 && out[1] < 1e-30f);
}

static void test_sums(void)
{
    enum { N_PARTS = 6, N = 19, N_LABELS = 7 };
    float *x = get("weighted", "x", NULL), *w = get("weighted", "w", NULL), *dy = get("weighted", "dy", NULL);
    float y[N], dx[N_PARTS * N], dw[N_PARTS] = {0};
    ser_nn_weighted_sum_forward(y, x, w, N_PARTS, N);
    ser_nn_weighted_sum_backward(dx, dw, dy, x, w, N_PARTS, N);
    compare("weighted", "y", y, 1);
    compare("weighted", "dx", dx, 1);
    compare("weighted", "dw", dw, 1);
    ser_free(x);
    ser_free(w);
    ser_free(dy);
    float *logits = get("loss", "logits", NULL), *target = get("loss", "target", NULL), losses[5],
          dlogits[5 * N_LABELS];
    for (size_t i = 0; i < 5; i++)
        losses[i] = (float)ser_nn_softmax_cross_entropy(dlogits + i * N_LABELS, logits + i * N_LABELS,
                                                        target + i * N_LABELS, N_LABELS, 0.1, 1.5);
    compare("loss", "loss", losses, 1);
    compare("loss", "dlogits", dlogits, 1);
    CHECK((float)ser_nn_softmax_cross_entropy(NULL, logits, target, N_LABELS, 0.1, 1.5) == losses[0]);
    ser_free(logits);
    ser_free(target);
}

static void test_dropout(void)
{
    enum { N = 10000 };
    static float factors[N], again[N];
    size_t n_kept = 0;
    ser_nn_dropout_draw(factors, N, 0.4, 46);
    for (size_t i = 0; i < N; i++) {
        n_kept += factors[i] > 0;
        CHECK(factors[i] == 0 || factors[i] == (float)(1 / 0.6));
    }
    CHECK(n_kept > 5800 && n_kept < 6200);
    ser_nn_dropout_draw(again, N, 0.4, 46);
    CHECK(memcmp(factors, again, sizeof factors) == 0);
    ser_nn_dropout_draw(again, N, 0.4, 47);
    CHECK(memcmp(factors, again, sizeof factors) != 0);
    ser_nn_multiply(again, factors, N);
    CHECK(again[0] == 0 || factors[0] > 0);
    ser_nn_dropout_draw(again, N, 0, 46);
    CHECK(again[0] == 1 && again[N - 1] == 1);
}

/* ---- finite differences ---- */

enum { T = 19, C = 18, OUT = 5, KERNEL = 3 };

/* sum over i of r[i] y[i]: a loss whose gradient by y is r. */
typedef struct probe {
    ser_nn_work *work;
    float x[T * C], w[KERNEL * C * C], gamma[C], beta[C];
    float r[24 * C];
} probe;

static double weigh(const probe *p, const float *y, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)p->r[i] * (double)y[i];
    return sum;
}

/* gradient of loss by x (n values inside p), three places of it, by central differences. */
static void check_gradient(const char *what, double (*loss)(const probe *p), probe *p, float *x,
                           const float *gradient, size_t n)
{
    for (size_t i = n / 7; i < n; i += n / 3 + 1) {
        float before = x[i];
        const float step = 4e-3f;
        x[i] = before + step;
        double up = loss(p);
        x[i] = before - step;
        double down = loss(p);
        x[i] = before;
        double expected = (up - down) / (2 * (double)step);
        if (fabs(expected - (double)gradient[i]) > 3e-3 * (1 + fabs(expected)))
            fprintf(stderr, "%s[%zu]: %g, by differences %g\n", what, i, (double)gradient[i], expected);
        CHECK(fabs(expected - (double)gradient[i]) <= 3e-3 * (1 + fabs(expected)));
    }
}

static const ser_nn_causal_conv probe_conv = {C, C, KERNEL, 2, 6};

enum { N_PREPARED = 11 * C * C };

static double conv_loss(const probe *p)
{
    ser_error err = {0};
    float y[24 * C], prepared[N_PREPARED];
    void *rows = typed(p->x, T, C, SER_F32);
    ser_nn_causal_conv1d_prepare(prepared, SER_F32, p->w, &probe_conv);
    CHECK_OK(ser_nn_causal_conv1d_forward(p->work, y, rows, prepared, &probe_conv, &(size_t){T}, 1, &err),
             &err);
    ser_free(rows);
    return weigh(p, y, T * C);
}

static double dense_loss(const probe *p)
{
    ser_error err = {0};
    float y[T * OUT];
    CHECK_OK(ser_nn_dense_forward(p->work, y, p->x, p->w, p->beta, T, C, OUT, SER_F32, &err), &err);
    return weigh(p, y, T * OUT);
}

static double norm_loss(const probe *p)
{
    ser_error err = {0};
    ser_nn_batch_norm n;
    float none[C] = {0}, mean[C] = {0}, variance[C] = {0}, keep[C], z[T * C];
    CHECK_OK(ser_nn_batch_norm_init(&n, C, &err), &err);
    ser_nn_batch_norm_clear(&n);
    ser_nn_batch_norm_count(&n, NULL, SER_F32, p->x, T);
    ser_nn_batch_norm_finish(&n, p->gamma, p->beta, none, mean, variance);
    for (size_t i = 0; i < C; i++)
        keep[i] = i % 3 ? 1.5f : 0;
    ser_nn_norm_act act = {C, SER_SWISH, n.scale, n.shift, keep, n.centre, n.inverse};
    ser_nn_norm_act_forward(z, SER_F32, p->x, SER_F32, &act, T);
    ser_nn_batch_norm_release(&n);
    return weigh(p, z, T * C);
}

/* Of out and its mean, by x and by what the normalisation gave, which is y here. */
static double gate_loss(const probe *p)
{
    float one[C], none[C] = {0}, out[T * C], mean[C];
    for (size_t i = 0; i < C; i++)
        one[i] = 1;
    ser_nn_norm_act act = {C, SER_TANH, one, none, one, none, one};
    ser_nn_gate g = {&act, SER_F32, p->x, p->w, T};
    ser_nn_gate_forward(out, mean, &g);
    return weigh(p, out, T * C) + weigh(p, mean, C);
}

static double weighted_loss(const probe *p)
{
    float y[C];
    ser_nn_weighted_sum_forward(y, p->x, p->w, T, C);
    return weigh(p, y, C);
}

static double softmax_loss(const probe *p)
{
    float target[OUT] = {0, 0.25f, 0.75f};
    return ser_nn_softmax_cross_entropy(NULL, p->x, target, OUT, 0.1, 2);
}

static double relu_loss(const probe *p)
{
    float y[C];
    memcpy(y, p->x, sizeof y);
    ser_nn_relu_forward(y, C);
    return weigh(p, y, C);
}

static void check_conv_and_dense(probe *p)
{
    ser_error err = {0};
    float dx[24 * C] = {0}, dw[KERNEL * C * C] = {0}, prepared[N_PREPARED], dprepared[N_PREPARED];
    void *dy = typed(p->r, T, C, SER_F32), *rows = typed(p->x, T, C, SER_F32);
    CHECK(ser_nn_causal_conv_n_prepared(&probe_conv) == N_PREPARED);
    ser_nn_causal_conv1d_prepare(prepared, SER_F32, p->w, &probe_conv);
    memset(dprepared, 0, sizeof dprepared);
    CHECK_OK(ser_nn_causal_conv1d_backward(p->work, dx, dprepared, dy, rows, prepared, &probe_conv,
                                           &(size_t){T}, 1, &err),
             &err);
    ser_nn_causal_conv1d_finish(dw, dprepared, &probe_conv);
    check_gradient("conv dx", conv_loss, p, p->x, dx, T * C);
    check_gradient("conv dw", conv_loss, p, p->w, dw, KERNEL * C * C);
    float dense_dw[C * OUT] = {0}, db[C] = {0};
    CHECK_OK(ser_nn_dense_backward(p->work, dx, dense_dw, p->r, p->x, p->w, T, C, OUT, SER_F32, &err), &err);
    ser_nn_add_rows(db, p->r, T, OUT);
    check_gradient("dense dx", dense_loss, p, p->x, dx, T * C);
    check_gradient("dense dw", dense_loss, p, p->w, dense_dw, C * OUT);
    check_gradient("dense db", dense_loss, p, p->beta, db, OUT);
    ser_free(dy);
    ser_free(rows);
}

static void check_norm(probe *p)
{
    ser_error err = {0};
    ser_nn_batch_norm n;
    float none[C] = {0}, mean[C] = {0}, variance[C] = {0}, keep[C], du[T * C], dx[T * C];
    float sum[C] = {0}, sum_x[C] = {0};
    float dgamma[C] = {0}, dbeta[C] = {0}, a[C], b[C], c[C];
    CHECK_OK(ser_nn_batch_norm_init(&n, C, &err), &err);
    ser_nn_batch_norm_clear(&n);
    ser_nn_batch_norm_count(&n, NULL, SER_F32, p->x, T);
    ser_nn_batch_norm_finish(&n, p->gamma, p->beta, none, mean, variance);
    for (size_t i = 0; i < C; i++)
        keep[i] = i % 3 ? 1.5f : 0;
    ser_nn_norm_act act = {C, SER_SWISH, n.scale, n.shift, keep, n.centre, n.inverse};
    ser_nn_norm_act_backward(du, sum, sum_x, p->r, p->x, SER_F32, &act, T);
    for (size_t i = 0; i < C; i++)
        n.du[i] = (double)sum[i], n.du_x[i] = (double)sum_x[i];
    ser_nn_batch_norm_backward_sums(&n, p->gamma, dgamma, dbeta, a, b, c);
    ser_nn_batch_norm_backward(dx, du, p->x, SER_F32, a, b, c, T, C);
    check_gradient("norm dx", norm_loss, p, p->x, dx, T * C);
    check_gradient("norm dgamma", norm_loss, p, p->gamma, dgamma, C);
    check_gradient("norm dbeta", norm_loss, p, p->beta, dbeta, C);
    ser_nn_batch_norm_release(&n);
}

static void check_the_rest(probe *p)
{
    float z[C], dx[T * C] = {0}, dw[T] = {0}, du[T * C], one[C], none[C] = {0}, sum[C] = {0}, sum_x[C] = {0};
    for (size_t i = 0; i < C; i++)
        one[i] = 1;
    ser_nn_norm_act act = {C, SER_TANH, one, none, one, none, one};
    ser_nn_gate g = {&act, SER_F32, p->x, p->w, T};
    ser_nn_gate_gradient d = {dx, p->r, p->r, du, sum, sum_x};
    ser_nn_gate_backward(&d, &g);
    check_gradient("gate dx", gate_loss, p, p->x, dx, T * C);
    check_gradient("gate du", gate_loss, p, p->w, du, T * C);
    ser_nn_weighted_sum_backward(dx, dw, p->r, p->x, p->w, T, C);
    check_gradient("weighted dx", weighted_loss, p, p->x, dx, T * C);
    check_gradient("weighted dw", weighted_loss, p, p->w, dw, T);
    float target[OUT] = {0, 0.25f, 0.75f};
    ser_nn_softmax_cross_entropy(dx, p->x, target, OUT, 0.1, 2);
    check_gradient("loss dlogits", softmax_loss, p, p->x, dx, OUT);
    memcpy(dx, p->r, C * sizeof *dx);
    memcpy(z, p->x, C * sizeof *z);
    ser_nn_relu_forward(z, C);
    ser_nn_relu_backward(dx, z, C);
    check_gradient("relu dx", relu_loss, p, p->x, dx, C);
}

static void test_differences(ser_nn_work *work)
{
    static probe p;
    ser_random random;
    ser_random_init(&random, 46);
    p.work = work;
    float *parts[] = {p.x, p.w, p.gamma, p.beta, p.r};
    const size_t sizes[] = {T * C, KERNEL * C * C, C, C, T * C};
    for (size_t i = 0; i < 5; i++)
        for (size_t j = 0; j < sizes[i]; j++)
            parts[i][j] = (float)ser_random_normal(&random);
    check_conv_and_dense(&p);
    check_norm(&p);
    check_the_rest(&p);
}

static void test_with(ser_engine engine, ser_precision precision)
{
    ser_error err = {0};
    ser_nn_ops *ops;
    ser_nn_work *work = NULL;
    if (ser_nn_ops_new(&ops, engine, precision, &err) != SER_OK) {
        CHECK(precision == SER_PRECISION_BF16); /* which not every processor has */
        return;
    }
    CHECK_OK(ser_nn_work_new(&work, ops, 1, &err), &err);
    const size_t tiles[] = {0, 2, 3, 4, 6};
    for (size_t i = 0; i < sizeof tiles / sizeof *tiles; i++) {
        test_conv(work, 37, 4, 3, tiles[i]);
        test_conv(work, 64, 16, 3, tiles[i]);
        test_conv(work, 45, 32, 3, tiles[i]);
        test_conv(work, 40, 64, 3, tiles[i]);
    }
    test_conv(work, 9, 1, 2, 0);
    if (precision == SER_PRECISION_FP32) {
        test_dense(work);
        test_differences(work);
    }
    ser_nn_work_free(&work);
    ser_nn_ops_free(&ops);
}

int main(void)
{
    file = open_golden("timnet/layers.safetensors");
    if (!file)
        return test_summary();
    test_with(SER_ENGINE_REF, SER_PRECISION_FP32);
    test_with(SER_ENGINE_ONEDNN, SER_PRECISION_FP32);
    test_with(SER_ENGINE_ONEDNN, SER_PRECISION_BF16);
    test_batch_norm(41);
    test_batch_norm(13);
    test_activation("relu");
    test_activation("elu");
    test_activation("swish");
    test_activation("tanh");
    ser_nonlinearity f;
    CHECK(!ser_nonlinearity_parse(&f, "gelu"));
    test_gate("relu");
    test_gate("elu");
    test_gate("swish");
    test_gate("tanh");
    test_far_gate();
    test_choice();
    test_sums();
    test_dropout();
    ser_safetensors_close(&file);
    return test_summary();
}
