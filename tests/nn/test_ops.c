/* The engines' products against sums in double precision. */
#include "base/threads.h"
#include "engines.h"
#include "failures/failing.h"

/* y (n_rows, n_out) in double precision. */
static void plain_linear(float *y, const float *x, const float *w, const float *bias, size_t n_rows,
                         size_t n_out, size_t n_in, ser_activation act, bool add)
{
    for (size_t t = 0; t < n_rows; t++)
        for (size_t o = 0; o < n_out; o++) {
            double sum = bias ? (double)bias[o] : 0;
            for (size_t i = 0; i < n_in; i++)
                sum += (double)x[t * n_in + i] * (double)w[o * n_in + i];
            if (act == SER_ACT_GELU)
                sum = gelu(sum);
            y[t * n_out + o] = (float)(sum + (add ? (double)y[t * n_out + o] : 0));
        }
}

typedef struct linear_case {
    size_t n_out, n_in;
    ser_activation act;
    bool add, has_bias;
} linear_case;

static void test_linear_rows(const engine *e, const linear_case *c, const ser_nn_linear *l, const float *w,
                             const float *bias, size_t n_rows)
{
    ser_error err = {0};
    float *x = random_floats(n_rows * c->n_in, 1, n_rows), *y = random_floats(n_rows * c->n_out, 1, 7);
    float *expected = random_floats(n_rows * c->n_out, 1, 7), *again = random_floats(n_rows * c->n_out, 1, 7);
    bool half = ser_nn_ops_type(e->ops) == SER_BF16;
    if (half)
        round_to_bf16(x, n_rows * c->n_in);
    plain_linear(expected, x, w, bias, n_rows, c->n_out, c->n_in, c->act, c->add);
    CHECK_OK(ser_nn_linear_run(l, e->work, y, x, n_rows, c->add, &err), &err);
    check_close(e->name, y, expected, n_rows * c->n_out, 1e-5, 1e-5);
    check_guard(y, n_rows * c->n_out);
    CHECK_OK(ser_nn_linear_run(l, e->work_of_two, again, x, n_rows, c->add, &err), &err);
    check_close("two threads", again, y, n_rows * c->n_out, 0, same);
    /* The last row alone, and in bf16. */
    float *row = random_floats(c->n_out, 1, 7);
    memcpy(row, expected, c->n_out * sizeof *row);
    const float *last = x + (n_rows - 1) * c->n_in;
    CHECK_OK(ser_nn_linear_run(l, e->work, row, last, 1, false, &err), &err);
    if (!c->add)
        check_close("one row", row, y + (n_rows - 1) * c->n_out, c->n_out, 0, same);
    if (half && !c->add) {
        uint16_t *x16 = ser_alloc(n_rows * c->n_in, 2), *y16 = ser_alloc(n_rows * c->n_out, 2);
        ser_nn_to_bf16(x16, x, n_rows * c->n_in);
        CHECK_OK(ser_nn_linear_forward(l, e->work, y16, SER_BF16, x16, SER_BF16, n_rows, false, &err), &err);
        widen(again, y16, SER_BF16, n_rows * c->n_out);
        check_close("bf16 activations", again, expected, n_rows * c->n_out, 1.0 / 256, 1e-5);
        ser_free(x16);
        ser_free(y16);
    }
    ser_free(x);
    ser_free(y);
    ser_free(expected);
    ser_free(again);
    ser_free(row);
}

static void test_linear(const engine *e)
{
    static const linear_case cases[] = {
        {64, 48, SER_ACT_NONE, false, true},    {64, 240, SER_ACT_GELU, false, true},
        {33, 17, SER_ACT_GELU, false, false},   {192, 64, SER_ACT_NONE, true, true},
        {128, 1024, SER_ACT_NONE, true, false}, {1, 1, SER_ACT_NONE, false, true},
        {7, 300, SER_ACT_NONE, false, true},
    };
    ser_error err = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const linear_case *c = &cases[i];
        float *w = random_floats(c->n_out * c->n_in, 1 / sqrt((double)c->n_in), 1 + i);
        float *bias = c->has_bias ? random_floats(c->n_out, 1, 2 + i) : NULL;
        ser_tensor t = tensor_of(w, c->n_out, c->n_in);
        ser_nn_linear *l;
        CHECK_OK(ser_nn_linear_new(&l, e->ops, &t, NULL, bias, c->n_out, c->n_in, c->act, &err), &err);
        if (ser_nn_ops_type(e->ops) == SER_BF16)
            round_to_bf16(w, c->n_out * c->n_in);
        for (int k = 0; k < N_LENGTHS; k++)
            test_linear_rows(e, c, l, w, bias, lengths[k]);
        ser_nn_linear_free(&l);
        ser_free(w);
        ser_free(bias);
    }
}

/* Of a whole number 0 ... 127. */
static uint16_t to_f16(float x)
{
    int exponent = x > 0 ? ilogbf(x) : -15;
    return (uint16_t)(x > 0 ? (exponent + 14) * 1024 + (int)ldexpf(x, 10 - exponent) : 0);
}

/* Weights of every type that a checkpoint may have, at addresses without alignment. */
static void test_weight_types(const engine *e)
{
    enum { N_OUT = 5, N_IN = 37 };
    ser_error err = {0};
    float w[N_OUT * N_IN], scales[N_OUT], x[N_IN], expected[N_OUT], y[N_OUT];
    unsigned char bytes[1 + sizeof w];
    ser_random r;
    ser_random_init(&r, 3);
    for (size_t i = 0; i < N_IN; i++)
        x[i] = (float)ser_random_below(&r, 9) - 4;
    static const ser_dtype types[] = {SER_F32, SER_BF16, SER_F16, SER_I8};
    for (size_t k = 0; k < 4; k++) {
        for (size_t i = 0; i < N_OUT * N_IN; i++) {
            w[i] = (float)ser_random_below(&r, 128); /* which all types hold without loss */
            uint16_t half;
            int8_t byte = (int8_t)w[i];
            ser_nn_to_bf16(&half, &w[i], 1);
            if (types[k] == SER_F16)
                half = to_f16(w[i]);
            const void *from[] = {&w[i], &half, &half, &byte};
            size_t size = ser_dtype_size(types[k]);
            memcpy(bytes + 1 + i * size, from[k], size);
        }
        ser_tensor t = tensor_of(NULL, N_OUT, N_IN);
        t.dtype = types[k];
        t.data = bytes + 1;
        for (size_t o = 0; o < N_OUT; o++)
            scales[o] = types[k] == SER_I8 ? exp2f((float)o - 2) : 1;
        for (size_t i = 0; i < N_OUT * N_IN; i++)
            w[i] *= scales[i / N_IN];
        ser_nn_linear *l = NULL;
        CHECK_OK(ser_nn_linear_new(&l, e->ops, &t, types[k] == SER_I8 ? scales : NULL, NULL, N_OUT, N_IN,
                                   SER_ACT_NONE, &err),
                 &err);
        plain_linear(expected, x, w, NULL, 1, N_OUT, N_IN, SER_ACT_NONE, false);
        CHECK_OK(ser_nn_linear_run(l, e->work, y, x, 1, false, &err), &err);
        check_close("weight types", y, expected, N_OUT, 0, 0);
        ser_nn_linear_free(&l);
    }
}

static void gemm_case(const engine *e, size_t n_batch, const size_t size[3], int flags, ser_dtype type)
{
    ser_error err = {0};
    size_t m = size[0], n = size[1], k = size[2];
    ser_gemm g = {.n_batch = n_batch, .m = m, .n = n, .k = k, .ab_type = type};
    g.a_transposed = flags & 1;
    g.b_transposed = flags & 2;
    g.beta = flags & 4 ? 1 : 0;
    size_t a_rows = g.a_transposed ? k : m, a_columns = g.a_transposed ? m : k;
    size_t b_rows = g.b_transposed ? n : k, b_columns = g.b_transposed ? k : n;
    g.lda = a_columns + 3;
    g.ldb = b_columns + 5;
    g.ldc = n + 2;
    g.stride_a = a_rows * g.lda;
    g.stride_b = b_rows * g.ldb;
    g.stride_c = m * g.ldc;
    size_t n_a = n_batch * g.stride_a, n_b = n_batch * g.stride_b, n_c = n_batch * g.stride_c;
    float *a = random_floats(n_a, 1, m), *b = random_floats(n_b, 1, n + 1), *c = random_floats(n_c, 1, k);
    float *again = random_floats(n_c, 1, k), *expected = random_floats(n_c, 1, k);
    uint16_t *a16 = ser_alloc(n_a, 2), *b16 = ser_alloc(n_b, 2);
    ser_nn_to_bf16(a16, a, n_a);
    ser_nn_to_bf16(b16, b, n_b);
    if (type == SER_BF16) {
        round_to_bf16(a, n_a);
        round_to_bf16(b, n_b);
    }
    for (size_t i = 0; i < n_batch * m * n; i++) {
        size_t batch = i / (m * n), row = i / n % m, column = i % n;
        const float *p = a + batch * g.stride_a, *q = b + batch * g.stride_b;
        double sum = 0;
        for (size_t j = 0; j < k; j++)
            sum += (double)p[g.a_transposed ? j * g.lda + row : row * g.lda + j] *
                   (double)q[g.b_transposed ? column * g.ldb + j : j * g.ldb + column];
        float *to = &expected[batch * g.stride_c + row * g.ldc + column];
        *to = (float)(sum + (double)(g.beta * *to));
    }
    const void *from_a = type == SER_BF16 ? (void *)a16 : a, *from_b = type == SER_BF16 ? (void *)b16 : b;
    CHECK_OK(ser_nn_gemm(e->work, c, from_a, from_b, &g, &err), &err);
    check_close(e->name, c, expected, n_c, 1e-5, 2e-5);
    check_guard(c, n_c);
    CHECK_OK(ser_nn_gemm(e->work_of_two, again, from_a, from_b, &g, &err), &err);
    check_close("two threads", again, c, n_c, 1e-6, same);
    ser_free(a);
    ser_free(b);
    ser_free(c);
    ser_free(again);
    ser_free(expected);
    ser_free(a16);
    ser_free(b16);
}

static void test_gemm(const engine *e)
{
    static const size_t sizes[][3] = {{1, 1, 1},   {3, 2, 17},   {16, 16, 16},
                                      {7, 33, 64}, {65, 64, 31}, {40, 5, 130}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int flags = 0; flags < 16; flags++) {
            size_t n_batch = flags & 8 ? 3 : 1; /* one product for two threads, and several */
            gemm_case(e, n_batch, sizes[i], flags, SER_F32);
            if (ser_nn_ops_type(e->ops) == SER_BF16)
                gemm_case(e, n_batch, sizes[i], flags, SER_BF16);
        }
}

static ser_status fail_from_five(void *context, size_t item, ser_nn_work *work, ser_error *err)
{
    (void)work;
    ((int *)context)[item]++;
    return item < 5 ? SER_OK : ser_fail(err, SER_E_ARG, "item %zu", item);
}

static void test_parallel_for(const engine *e)
{
    ser_error err = {0};
    ser_nn_work *works[] = {e->work, e->work_of_two};
    for (int k = 0; k < 2; k++) {
        int n_calls[20] = {0};
        CHECK_OK(ser_nn_parallel_for(works[k], 5, fail_from_five, n_calls, &err), &err);
        CHECK_FAILS(ser_nn_parallel_for(works[k], 20, fail_from_five, n_calls, &err), SER_E_ARG, &err,
                    "item 5");
        for (int i = 0; i < 5; i++)
            CHECK(n_calls[i] == 2);
    }
}

static void test_refusals(const engine *e)
{
    ser_error err = {0};
    float w[6] = {0}, x[6] = {0}, y[6];
    ser_tensor t = tensor_of(w, 2, 3);
    ser_nn_linear *l;
    CHECK_FAILS(ser_nn_linear_new(&l, e->ops, &t, NULL, NULL, 2, 4, SER_ACT_NONE, &err), SER_E_ARG, &err,
                "2 x 4");
    CHECK(!l);
    CHECK_FAILS(ser_nn_linear_new(&l, e->ops, &t, NULL, NULL, 0, 3, SER_ACT_NONE, &err), SER_E_ARG, &err,
                "0 x 3");
    t.dtype = SER_I8;
    CHECK_FAILS(ser_nn_linear_new(&l, e->ops, &t, NULL, NULL, 2, 3, SER_ACT_NONE, &err), SER_E_ARG, &err,
                "scales");
    t.dtype = SER_I64;
    CHECK_FAILS(ser_nn_linear_new(&l, e->ops, &t, NULL, NULL, 2, 3, SER_ACT_NONE, &err), SER_E_UNSUPPORTED,
                &err, "F16");
    t.dtype = SER_F32;
    CHECK_OK(ser_nn_linear_new(&l, e->ops, &t, NULL, NULL, 2, 3, SER_ACT_GELU, &err), &err);
    CHECK_FAILS(ser_nn_linear_run(l, e->work, y, x, 2, true, &err), SER_E_ARG, &err, "add");
    CHECK_FAILS(ser_nn_linear_forward(l, e->work, y, SER_I8, x, SER_F32, 2, false, &err), SER_E_ARG, &err,
                "types");
    CHECK_OK(ser_nn_linear_run(l, e->work, y, x, 0, false, &err), &err);
    ser_nn_linear_free(&l);
    CHECK_FAILS(ser_nn_gemm(e->work, y, x, x, &(ser_gemm){.m = 1, .n = 1, .k = 1}, &err), SER_E_ARG, &err,
                "empty");
    CHECK_FAILS(ser_nn_gemm(e->work, y, x, x,
                            &(ser_gemm){.n_batch = 1, .m = 1, .n = 1, .k = 1, .ab_type = SER_I8}, &err),
                SER_E_ARG, &err, "type");
    ser_nn_ops *ops;
    CHECK_FAILS(ser_nn_ops_new(&ops, SER_ENGINE_REF, SER_PRECISION_INT8, &err), SER_E_UNSUPPORTED, &err,
                "fp32");
    CHECK_FAILS(ser_nn_ops_new(&ops, SER_ENGINE_REF, SER_PRECISION_BF16, &err), SER_E_UNSUPPORTED, &err,
                "fp32");
    CHECK(!ops);
}

/* One of everything. */
static ser_status use_everything(ser_engine kind, ser_error *err)
{
    enum { N = 8 };
    static const float w[N * N * 3], x[N * N];
    float y[N * N];
    ser_tensor square = tensor_of(w, N, N), kernel = tensor_of(w, N, N * 3);
    ser_nn_ops *ops = NULL;
    ser_nn_work *work = NULL;
    ser_nn_linear *l = NULL;
    ser_nn_conv1d conv = {0};
    ser_nn_attention shape = {N, N, 1, N};
    ser_gemm g = {.n_batch = 1, .m = N, .n = N, .k = N, .lda = N, .ldb = N, .ldc = N, .a_transposed = true};
    ser_status status = ser_nn_ops_new(&ops, kind, SER_PRECISION_FP32, err);
    if (status == SER_OK)
        status = ser_nn_work_new(&work, ops, 2, err);
    if (status == SER_OK)
        status = ser_nn_linear_new(&l, ops, &square, NULL, NULL, N, N, SER_ACT_GELU, err);
    if (status == SER_OK)
        status = ser_nn_conv1d_init(&conv, ops, &kernel, NULL, NULL, &(ser_nn_conv_shape){N, N, 3, 1, 1},
                                    SER_ACT_NONE, err);
    if (status == SER_OK)
        status = ser_nn_linear_run(l, work, y, x, N, false, err);
    if (status == SER_OK)
        status = ser_nn_conv1d_forward(&conv, work, y, SER_F32, x, SER_F32, N, 0, N, err);
    if (status == SER_OK)
        status = ser_nn_gemm(work, y, x, x, &g, err);
    if (status == SER_OK)
        status = ser_nn_attention_forward(work, y, x, x, x, &shape, err);
    ser_nn_conv1d_release(&conv);
    ser_nn_linear_free(&l);
    ser_nn_work_free(&work);
    ser_nn_ops_free(&ops);
    return status;
}

static void test_out_of_memory(ser_engine kind)
{
    ser_error err = {0};
    ser_status status = SER_E_NOMEM;
    long n = 0;
    for (; status == SER_E_NOMEM; n++) {
        failing_at(n);
        status = use_everything(kind, &err);
    }
    failing_at(-1);
    CHECK(status == SER_OK && n > 10);
}

typedef struct crowd {
    const ser_nn_ops *ops;
    const ser_nn_linear *l;
    const float *x, *expected;
    size_t n_in, n_out;
} crowd;

static ser_status run_in_crowd(void *context, size_t item, int worker, ser_error *err)
{
    (void)worker;
    const crowd *c = context;
    size_t n_rows = lengths[item % N_LENGTHS];
    ser_nn_work *work = NULL;
    float *y = ser_alloc(n_rows * c->n_out, sizeof *y);
    ser_status status = ser_nn_work_new(&work, c->ops, 1, err);
    if (status == SER_OK)
        status = ser_nn_linear_run(c->l, work, y, c->x, n_rows, false, err);
    for (size_t i = 0; status == SER_OK && i < n_rows * c->n_out; i++)
        if (!(fabs((double)(y[i] - c->expected[i])) <= same))
            status = ser_fail(err, SER_E_ARG, "%zu rows: element %zu differs", n_rows, i);
    ser_nn_work_free(&work);
    ser_free(y);
    return status;
}

/* Threads that share weights get what one thread gets for all rows at once. */
static void test_crowd(const engine *e)
{
    enum { N_IN = 512, N_OUT = 96, MOST = 300 };
    ser_error err = {0};
    float *w = random_floats(N_OUT * N_IN, 0.05, 1), *x = random_floats(MOST * N_IN, 1, 2);
    float *y = random_floats(MOST * N_OUT, 1, 3);
    ser_tensor t = tensor_of(w, N_OUT, N_IN);
    ser_nn_linear *l;
    CHECK_OK(ser_nn_linear_new(&l, e->ops, &t, NULL, NULL, N_OUT, N_IN, SER_ACT_GELU, &err), &err);
    CHECK_OK(ser_nn_linear_run(l, e->work_of_two, y, x, MOST, false, &err), &err);
    crowd c = {.ops = e->ops, .l = l, .x = x, .expected = y, .n_in = N_IN, .n_out = N_OUT};
    CHECK_OK(ser_parallel_for(4, 100, run_in_crowd, &c, &err), &err);
    ser_nn_linear_free(&l);
    ser_free(w);
    ser_free(x);
    ser_free(y);
}

static void check_products(const engine *e)
{
    test_linear(e);
    test_weight_types(e);
    test_gemm(e);
    test_parallel_for(e);
    test_refusals(e);
    test_crowd(e);
}

int main(void)
{
    with_each_engine(check_products);
    test_out_of_memory(SER_ENGINE_REF);
    test_out_of_memory(SER_ENGINE_ONEDNN);
    return test_summary();
}
