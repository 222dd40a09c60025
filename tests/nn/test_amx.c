/* Products in the tiles of AMX: where they are as exact as they say, and what must not show in their bits. */
#include "base/cpu.h"
#include "engines.h"
#include "nn/amx.h"

/* One product a result, so that nothing but the six terms' own rounding is seen: a float is three bf16
 * numbers to 2^-26, a sum of so many terms is rounded to 2^-24 a few times. */
static void test_floats_are_exact(const engine *e)
{
    enum { N = 64 };
    ser_error err = {0};
    float *w = random_floats(N, 1, 1), *x = random_floats(N, 1, 2), *y = random_floats((size_t)N * N, 1, 3);
    ser_tensor t = tensor_of(w, N, 1);
    ser_nn_linear *l;
    CHECK_OK(ser_nn_linear_new(&l, e->ops, &t, NULL, NULL, N, 1, SER_ACT_NONE, &err), &err);
    CHECK_OK(ser_nn_linear_run(l, e->work, y, x, N, false, &err), &err);
    double worst = 0;
    for (size_t i = 0; i < (size_t)N * N; i++) {
        double expected = (double)x[i / N] * (double)w[i % N];
        worst = fmax(worst, fabs((double)y[i] - expected) / fabs(expected));
    }
    CHECK(worst < 0x1p-22);
    ser_nn_linear_free(&l);
    ser_free(w);
    ser_free(x);
    ser_free(y);
}

/* Rows one by one, together, and by two threads; long sums come in parts. */
static void test_bits_of_rows(const engine *e)
{
    enum { N_ROWS = 301, N_OUT = 70, N_IN = 2100 };
    ser_error err = {0};
    float *w = random_floats((size_t)N_OUT * N_IN, 0.02, 1), *x = random_floats((size_t)N_ROWS * N_IN, 1, 2);
    float *bias = random_floats(N_OUT, 1, 3), *y[3];
    ser_tensor t = tensor_of(w, N_OUT, N_IN);
    for (int act = SER_ACT_NONE; act <= SER_ACT_GELU; act++) {
        ser_nn_linear *l;
        CHECK_OK(ser_nn_linear_new(&l, e->ops, &t, NULL, bias, N_OUT, N_IN, (ser_activation)act, &err), &err);
        for (int i = 0; i < 3; i++)
            y[i] = random_floats((size_t)N_ROWS * N_OUT, 1, 4);
        CHECK_OK(ser_nn_linear_run(l, e->work, y[0], x, N_ROWS, false, &err), &err);
        CHECK_OK(ser_nn_linear_run(l, e->work_of_two, y[1], x, N_ROWS, false, &err), &err);
        for (size_t i = 0; i < N_ROWS; i++)
            CHECK_OK(ser_nn_linear_run(l, e->work, y[2] + i * N_OUT, x + i * N_IN, 1, false, &err), &err);
        CHECK(memcmp(y[0], y[1], (size_t)N_ROWS * N_OUT * sizeof **y) == 0);
        CHECK(memcmp(y[0], y[2], (size_t)N_ROWS * N_OUT * sizeof **y) == 0);
        check_guard(y[0], (size_t)N_ROWS * N_OUT);
        for (int i = 0; i < 3; i++)
            ser_free(y[i]);
        ser_nn_linear_free(&l);
    }
    ser_free(w);
    ser_free(x);
    ser_free(bias);
}

/* Attention, whose queries the threads share. */
static void test_bits_of_attention(const engine *e)
{
    enum { N_FRAMES = 203, DIMS = 128, N_ROWS = 204, HALF = 101 };
    ser_error err = {0};
    float *x = random_floats((size_t)N_ROWS * DIMS, 1, 5);
    size_t n_bytes = (size_t)N_ROWS * DIMS * ser_dtype_size(ser_nn_ops_type(e->ops));
    unsigned char *typed = ser_alloc(n_bytes, 1), *whole = ser_alloc(n_bytes, 1),
                  *parts = ser_alloc(n_bytes, 1);
    ser_nn_convert(typed, ser_nn_ops_type(e->ops), x, (size_t)N_ROWS * DIMS);
    ser_nn_attention s = {.n_queries = N_FRAMES, .n_frames = N_FRAMES, .n_heads = 2, .head_dims = DIMS / 2};
    CHECK_OK(ser_nn_attention_forward(e->work, whole, typed, typed, typed, &s, &err), &err);
    size_t at = n_bytes / N_ROWS * HALF;
    s.n_queries = HALF;
    CHECK_OK(ser_nn_attention_forward(e->work, parts, typed, typed, typed, &s, &err), &err);
    s.n_queries = N_FRAMES - HALF;
    CHECK_OK(ser_nn_attention_forward(e->work_of_two, parts + at, typed + at, typed, typed, &s, &err), &err);
    CHECK(memcmp(whole, parts, n_bytes / N_ROWS * N_FRAMES) == 0);
    ser_free(x);
    ser_free(typed);
    ser_free(whole);
    ser_free(parts);
}

int main(void)
{
    if (!ser_amx_ready()) {
        printf("this processor has no tiles\n");
        return 77;
    }
    static const ser_precision precisions[] = {SER_PRECISION_FP32, SER_PRECISION_BF16, SER_PRECISION_INT8};
    for (size_t i = 0; i < sizeof precisions / sizeof *precisions; i++) {
        engine e;
        if (!engine_init(&e, "amx", SER_ENGINE_ONEDNN, precisions[i]))
            continue; /* ONEDNN_MAX_CPU_ISA */
        if (precisions[i] == SER_PRECISION_FP32)
            test_floats_are_exact(&e);
        test_bits_of_rows(&e);
        test_bits_of_attention(&e);
        engine_release(&e);
    }
    return test_summary();
}
