/* Backward passes of the layers that fine-tuning needs: against finite differences of the forward pass, in
 * fp32, and bf16 against fp32. */
#include "base/memory.h"
#include "base/random.h"
#include "nn/trainable.h"
#include "test.h"

static float *random_numbers(size_t n, double deviation, const char *name)
{
    ser_random random;
    ser_random_init(&random, ser_random_derive(46, name));
    float *x = ser_alloc(n, sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(deviation * ser_random_normal(&random));
    return x;
}

static double inner(const float *a, const float *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

/* A layer with inputs and gradients: forward computes <y, weights> for some fixed weights. */
typedef double (*value_of)(void *context);

/* Along the gradient g of x (n) itself, the value grows as fast as |g|^2 says. */
static void check_gradient(const char *what, value_of value, void *context, float *x, const float *g,
                           size_t n, double step)
{
    double length = inner(g, g, n), values[2];
    float *before = ser_alloc(n, sizeof *before);
    memcpy(before, x, n * sizeof *x);
    step /= sqrt(length);
    for (int side = 0; side < 2; side++) {
        for (size_t i = 0; i < n; i++)
            x[i] = before[i] + (float)((side ? step : -step) * (double)g[i]);
        values[side] = value(context);
    }
    memcpy(x, before, n * sizeof *x);
    double slope = (values[1] - values[0]) / (2 * step);
    if (!(fabs(slope - length) <= 2e-3 * length))
        fprintf(stderr, "%s: %g instead of %g\n", what, slope, length);
    CHECK(length > 0 && fabs(slope - length) <= 2e-3 * length);
    ser_free(before);
}

/* ---- layer norm ---- */

enum { ROWS = 5, DIMS = 37 }; /* no multiple of a vector */

typedef struct norm_case {
    float *x, *scale, *shift, *weights, y[ROWS * DIMS];
} norm_case;

static double norm_value(void *context)
{
    norm_case *c = context;
    ser_nn_layernorm_forward(c->y, SER_F32, c->x, c->scale, c->shift, ROWS, DIMS, 1e-5f);
    return inner(c->y, c->weights, ROWS * DIMS);
}

static void test_layernorm(void)
{
    norm_case c = {random_numbers(ROWS * DIMS, 2, "x"),
                   random_numbers(DIMS, 1, "scale"),
                   random_numbers(DIMS, 1, "shift"),
                   random_numbers(ROWS * DIMS, 1, "weights"),
                   {0}};
    float dx[ROWS * DIMS] = {0}, dscale[DIMS] = {0}, dshift[DIMS] = {0};
    ser_nn_layernorm_backward(dx, dscale, dshift, c.weights, c.x, c.scale, ROWS, DIMS, 1e-5f);
    check_gradient("norm: x", norm_value, &c, c.x, dx, ROWS * DIMS, 0.05);
    check_gradient("norm: scale", norm_value, &c, c.scale, dscale, DIMS, 0.05);
    check_gradient("norm: shift", norm_value, &c, c.shift, dshift, DIMS, 0.05);
    ser_nn_layernorm_backward(dx, dscale, dshift, c.weights, c.x, c.scale, ROWS, DIMS, 1e-5f);
    float once = 0;
    for (size_t t = 0; t < ROWS; t++)
        once += c.weights[t * DIMS];
    CHECK(fabs((double)(dshift[0] - 2 * once)) < 1e-4); /* added to what is there */
    ser_free(c.x);
    ser_free(c.scale);
    ser_free(c.shift);
    ser_free(c.weights);
}

/* ---- GELU ---- */

typedef struct gelu_case {
    float *x, *bias, *weights, y[ROWS * DIMS], h[ROWS * DIMS];
} gelu_case;

static double gelu_value(void *context)
{
    gelu_case *c = context;
    ser_nn_bias_gelu_forward(c->y, SER_F32, c->h, SER_F32, c->x, c->bias, ROWS, DIMS);
    return inner(c->y, c->weights, ROWS * DIMS);
}

static void test_gelu(void)
{
    gelu_case c = {random_numbers(ROWS * DIMS, 2, "x"),
                   random_numbers(DIMS, 1, "bias"),
                   random_numbers(ROWS * DIMS, 1, "weights"),
                   {0},
                   {0}};
    float dx[ROWS * DIMS], dbias[DIMS] = {0};
    gelu_value(&c);
    for (size_t i = 0; i < ROWS * DIMS; i++) {
        double h = (double)(c.x[i] + c.bias[i % DIMS]);
        CHECK(fabs((double)c.y[i] - h * (1 + erf(h / sqrt(2))) / 2) < 2e-6);
    }
    ser_nn_bias_gelu_backward(dx, SER_F32, dbias, c.weights, c.h, ROWS, DIMS);
    for (size_t i = 0; i < ROWS * DIMS; i++) {
        double h = (double)c.h[i],
               slope = (1 + erf(h / sqrt(2))) / 2 + h * exp(-h * h / 2) / sqrt(2 * 3.141592653589793);
        CHECK(fabs((double)dx[i] - slope * (double)c.weights[i]) <
              2e-6 * fmax(1, fabs((double)c.weights[i])));
    }
    check_gradient("gelu: bias", gelu_value, &c, c.bias, dbias, DIMS, 0.02);
    ser_free(c.x);
    ser_free(c.bias);
    ser_free(c.weights);
}

/* ---- layers with products, by each engine and type ---- */

/* x, rounded to the type of products: what they read, and (n) the same as floats. */
static void *typed(ser_dtype type, float *x, size_t n)
{
    void *y = ser_alloc(n, sizeof(float));
    ser_nn_convert(y, type, x, n);
    if (type == SER_BF16)
        for (size_t i = 0; i < n; i++) {
            uint32_t bits = (uint32_t)((uint16_t *)y)[i] << 16;
            memcpy(&x[i], &bits, sizeof bits);
        }
    return y;
}

static void floats_of(float *y, const void *x, ser_dtype type, size_t n)
{
    memset(y, 0, n * sizeof *y);
    ser_nn_add_typed(y, x, type, n);
}

/* |a - b| in units of |b|. */
static double distance(const float *a, const float *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += pow((double)a[i] - (double)b[i], 2);
    return sqrt(sum / inner(b, b, n));
}

/* y = x w^T + b, dx = dy w, dw = dy^T x, against plain loops; more rows than one term of the sum. */
static void test_affine(ser_nn_work *work)
{
    enum { N_ROWS = 530, N_IN = 24, N_OUT = 40 };
    ser_nn_affine s = {N_ROWS, N_IN, N_OUT, ser_nn_work_type(work)};
    float *x = random_numbers(N_ROWS * N_IN, 1, "x"), *w = random_numbers(N_OUT * N_IN, 1, "w"),
          *dy = random_numbers(N_ROWS * N_OUT, 1, "dy"), *bias = random_numbers(N_OUT, 1, "b");
    void *tx = typed(s.type, x, N_ROWS * N_IN), *tw = typed(s.type, w, N_OUT * N_IN),
         *tdy = typed(s.type, dy, N_ROWS * N_OUT);
    static float y[N_ROWS * N_OUT], dx[N_ROWS * N_IN], dw[N_OUT * N_IN], expected[3][N_ROWS * N_OUT];
    memset(expected, 0, sizeof expected);
    for (size_t t = 0; t < N_ROWS; t++)
        for (size_t o = 0; o < N_OUT; o++) {
            expected[0][t * N_OUT + o] = bias[o];
            for (size_t i = 0; i < N_IN; i++) {
                expected[0][t * N_OUT + o] += x[t * N_IN + i] * w[o * N_IN + i];
                expected[1][t * N_IN + i] += dy[t * N_OUT + o] * w[o * N_IN + i];
                expected[2][o * N_IN + i] += dy[t * N_OUT + o] * x[t * N_IN + i];
            }
        }
    ser_error err = {0};
    CHECK_OK(ser_nn_affine_forward(work, y, SER_F32, tx, tw, bias, &s, false, &err), &err);
    CHECK_OK(ser_nn_affine_backward(work, dx, tdy, tw, &s, false, &err), &err);
    CHECK_OK(ser_nn_affine_backward_weights(work, dw, tdy, tx, &s, &err), &err);
    check_close("affine: y", y, expected[0], N_ROWS * N_OUT, 1e-5, 1e-4);
    check_close("affine: dx", dx, expected[1], N_ROWS * N_IN, 1e-5, 1e-4);
    check_close("affine: dw", dw, expected[2], N_OUT * N_IN, 1e-5, 1e-3);
    CHECK_OK(ser_nn_affine_forward(work, y, SER_F32, tx, tw, bias, &s, true, &err), &err);
    for (size_t i = 0; i < N_ROWS * N_OUT; i++)
        expected[0][i] *= 2;
    check_close("affine: y added to", y, expected[0], N_ROWS * N_OUT, 1e-5, 2e-4);
    void *const all[] = {x, w, dy, bias, tx, tw, tdy};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        ser_free(all[i]);
}

/* Convolutions with a row of silence on both sides of x and dy, against plain loops. */
static void test_conv3(ser_nn_work *work, size_t stride)
{
    enum { N_ROWS = 9, N_IN = 16, N_OUT = 24 };
    size_t n_x = stride * N_ROWS;
    ser_nn_conv3 s = {N_ROWS, N_IN, N_OUT, stride, ser_nn_work_type(work)};
    float *x = random_numbers((n_x + 2) * N_IN, 1, "x"), *w = random_numbers(3 * N_OUT * N_IN, 1, "w"),
          *dy = random_numbers((N_ROWS + 2) * N_OUT, 1, "dy");
    memset(x, 0, N_IN * sizeof *x);
    memset(x + (n_x + 1) * N_IN, 0, N_IN * sizeof *x);
    memset(dy, 0, N_OUT * sizeof *dy);
    memset(dy + (N_ROWS + 1) * N_OUT, 0, N_OUT * sizeof *dy);
    size_t size = ser_dtype_size(s.type);
    char *tx = typed(s.type, x, (n_x + 2) * N_IN), *tw = typed(s.type, w, 3 * N_OUT * N_IN),
         *tdy = typed(s.type, dy, (N_ROWS + 2) * N_OUT);
    float y[N_ROWS * N_OUT], dx[(2 * N_ROWS + 2) * N_IN], dw[3 * N_OUT * N_IN];
    float y0[N_ROWS * N_OUT] = {0}, dx0[(2 * N_ROWS + 2) * N_IN] = {0}, dw0[3 * N_OUT * N_IN] = {0};
    for (size_t t = 0; t < N_ROWS; t++)
        for (size_t j = 0; j < 3; j++)
            for (size_t o = 0; o < N_OUT; o++)
                for (size_t i = 0; i < N_IN; i++) {
                    size_t from = (stride * t + j) * N_IN + i, at = (j * N_OUT + o) * N_IN + i;
                    y0[t * N_OUT + o] += w[at] * x[from];
                    dx0[from] += w[at] * dy[(t + 1) * N_OUT + o];
                    dw0[at] += x[from] * dy[(t + 1) * N_OUT + o];
                }
    ser_error err = {0};
    CHECK_OK(ser_nn_conv3_forward(work, y, tx + N_IN * size, tw, &s, &err), &err);
    CHECK_OK(ser_nn_conv3_backward(work, dx, tdy + N_OUT * size, tw, &s, &err), &err);
    for (int tap = 0; tap < 3; tap++)
        CHECK_OK(ser_nn_conv3_backward_weights(work, dw, tdy + N_OUT * size, tx + N_IN * size, &s, tap, &err),
                 &err);
    check_close("conv: y", y, y0, N_ROWS * N_OUT, 1e-5, 1e-4);
    check_close("conv: dx", dx, dx0 + N_IN, n_x * N_IN, 1e-5, 1e-4);
    check_close("conv: dw", dw, dw0, 3 * N_OUT * N_IN, 1e-5, 1e-4);
    void *const all[] = {x, w, dy, tx, tw, tdy};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        ser_free(all[i]);
}

/* ---- attention ---- */

typedef struct attention_case {
    size_t n_rows, n_frames;
    float *q, *k, *v, *dy;
} attention_case;

enum { HEADS = 2, HEAD_DIMS = 8, WIDTH = HEADS * HEAD_DIMS };

/* In doubles: y (n_frames, WIDTH) is not kept, the gradients of <y, dy> are. */
static void attend_plainly(const attention_case *c, float *dq, float *dk, float *dv)
{
    double *p = ser_alloc(c->n_frames, sizeof *p), *dp = ser_alloc(c->n_frames, sizeof *dp),
           scale = 1 / sqrt(HEAD_DIMS);
    for (size_t h = 0; h < HEADS; h++)
        for (size_t t = 0; t < c->n_frames; t++) {
            size_t at = t * WIDTH + h * HEAD_DIMS;
            double sum = 0, mean = 0;
            for (size_t s = 0; s < c->n_frames; s++) {
                size_t of = s * WIDTH + h * HEAD_DIMS;
                sum += p[s] = exp(scale * inner(c->q + at, c->k + of, HEAD_DIMS));
                dp[s] = inner(c->dy + at, c->v + of, HEAD_DIMS);
            }
            for (size_t s = 0; s < c->n_frames; s++)
                mean += (p[s] /= sum) * dp[s];
            for (size_t s = 0; s < c->n_frames; s++)
                for (size_t i = 0; i < HEAD_DIMS; i++) {
                    size_t of = s * WIDTH + h * HEAD_DIMS + i;
                    double ds = p[s] * (dp[s] - mean) * scale;
                    dq[at + i] += (float)(ds * (double)c->k[of]);
                    dk[of] += (float)(ds * (double)c->q[at + i]);
                    dv[of] += (float)(p[s] * (double)c->dy[at + i]);
                }
        }
    ser_free(p);
    ser_free(dp);
}

/* Short, of a length that is no multiple of anything, and so long that queries go in several blocks. */
static void test_attention(ser_nn_work *work, size_t n_frames)
{
    ser_dtype type = ser_nn_work_type(work);
    size_t n_rows = (n_frames + 8) / 8 * 8, n = n_rows * WIDTH;
    double tolerance = type == SER_F32 ? 1e-5 : 0.02;
    attention_case c = {n_rows,
                        n_frames,
                        random_numbers(n, 1, "q"),
                        random_numbers(n, 1, "k"),
                        random_numbers(n, 1, "v"),
                        random_numbers(n, 1, "dy")};
    memset(c.dy + n_frames * WIDTH, 0, (n_rows - n_frames) * WIDTH * sizeof *c.dy);
    void *given[] = {typed(type, c.q, n), typed(type, c.k, n), typed(type, c.v, n), typed(type, c.dy, n)};
    void *got[3];
    float *expected[3], *x = ser_alloc(n, sizeof *x);
    for (int i = 0; i < 3; i++) {
        got[i] = ser_alloc(n, sizeof(float));
        memset(got[i], 0x3f, n * ser_dtype_size(type));
        expected[i] = ser_alloc(n, sizeof(float));
    }
    ser_nn_attention shape = {
        .n_queries = n_rows, .n_frames = n_frames, .n_heads = HEADS, .head_dims = HEAD_DIMS};
    ser_error err = {0};
    CHECK_OK(ser_nn_attention_backward(work, got[0], got[1], got[2], given[3], given[0], given[1], given[2],
                                       &shape, &err),
             &err);
    attend_plainly(&c, expected[0], expected[1], expected[2]);
    for (int i = 0; i < 3; i++) {
        floats_of(x, got[i], type, n);
        CHECK(distance(x, expected[i], n) < tolerance);
        CHECK(inner(x + n_frames * WIDTH, x + n_frames * WIDTH, (n_rows - n_frames) * WIDTH) <= 0);
        ser_free(got[i]);
        ser_free(expected[i]);
    }
    for (int i = 0; i < 4; i++)
        ser_free(given[i]);
    ser_free(x);
    ser_free(c.q);
    ser_free(c.k);
    ser_free(c.v);
    ser_free(c.dy);
}

static void test_products(ser_engine engine, ser_precision precision)
{
    ser_nn_ops *ops = NULL;
    ser_nn_work *work = NULL;
    ser_error err = {0};
    ser_status status = ser_nn_ops_new(&ops, engine, precision, &err);
    if (status == SER_E_UNSUPPORTED) /* this processor has no such products */
        return;
    CHECK_OK(status, &err);
    CHECK_OK(ser_nn_work_new(&work, ops, 2, &err), &err);
    test_affine(work);
    test_conv3(work, 1);
    test_conv3(work, 2);
    test_attention(work, 13);
    test_attention(work, 32);
    test_attention(work, 401);
    ser_nn_work_free(&work);
    ser_nn_ops_free(&ops);
}

int main(void)
{
    test_layernorm();
    test_gelu();
    test_products(SER_ENGINE_ONEDNN, SER_PRECISION_FP32);
    test_products(SER_ENGINE_REF, SER_PRECISION_FP32);
    test_products(SER_ENGINE_ONEDNN, SER_PRECISION_BF16);
    return test_summary();
}
