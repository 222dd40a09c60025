/* Linear layers in 8 bits against what rounding may do to the exact result. */
#include "engines.h"
#include "nn/bytes.h"
#include "nn/quantise.h"

enum { N_IN = 200, N_OUT = 72, N_ROWS = 150 };

static void test_rows(void)
{
    enum { N = 83, ROWS = 3 };
    float x[ROWS * N], lows[ROWS], steps[ROWS];
    uint8_t q[ROWS * N];
    for (size_t i = 0; i < N; i++) {
        x[i] = (float)i / 7 - 3;
        x[N + i] = 2.5f; /* nothing but one value */
        x[2 * N + i] = i ? 0 : -1e-3f;
    }
    ser_nn_quantise_rows(q, N, lows, steps, x, SER_F32, ROWS, N);
    for (size_t t = 0; t < ROWS; t++)
        for (size_t i = 0; i < N; i++) {
            double back = (double)lows[t] + (double)steps[t] * q[t * N + i];
            CHECK(fabs(back - (double)x[t * N + i]) <= (t == 1 ? 0 : 0.501 * (double)steps[t]));
        }
    CHECK(q[0] == 0 && q[N - 1] == 255);
    float w[] = {-1, 0.5f, 0.25f, 0}, sum;
    int8_t bytes[4];
    float scale = ser_nn_quantise_weights(bytes, &sum, w, 4);
    CHECK(bytes[0] == -127 && bytes[1] == 64 && bytes[2] == 32 && bytes[3] == 0);
    CHECK(fabsf(scale - 1 / 127.0f) < 1e-9f && fabsf(sum + 31 * scale) < 1e-6f);
    memset(w, 0, sizeof w);
    CHECK(ser_nn_quantise_weights(bytes, &sum, w, 4) == 1 && bytes[0] == 0 && sum == 0);
}

/* |y - exact| where each x may be half a step off, and each w half a scale. */
static double bound(const float *x, const float *w)
{
    double low = 1e30, high = -1e30, largest = 0, sum_x = 0, sum_w = 0;
    for (size_t i = 0; i < N_IN; i++) {
        low = fmin(low, (double)x[i]);
        high = fmax(high, (double)x[i]);
        largest = fmax(largest, fabs((double)w[i]));
        sum_x += fabs((double)x[i]);
        sum_w += fabs((double)w[i]);
    }
    double half_step = (high - low) / 255 / 2, half_scale = largest / 127 / 2;
    return 1.02 * (sum_w * half_step + sum_x * half_scale + N_IN * half_step * half_scale) + 1e-5;
}

static void linear_case(const ser_nn_ops *ops, ser_activation act, ser_dtype x_type, ser_dtype y_type,
                        bool add)
{
    ser_error err = {0};
    ser_nn_linear *l;
    ser_nn_work *work;
    float *x = random_floats(N_ROWS * N_IN, 1, 1), *w = random_floats(N_OUT * N_IN, 0.1, 2);
    float *bias = random_floats(N_OUT, 1, 3), *before = random_floats(N_ROWS * N_OUT, 1, 4);
    float *y = random_floats(N_ROWS * N_OUT, 1, 4), *out = random_floats(N_ROWS * N_OUT, 1, 4);
    float *alone = random_floats(N_OUT, 1, 5), *alone_out = random_floats(N_OUT, 1, 5);
    void *typed = ser_alloc(N_ROWS * N_IN, sizeof(float));
    ser_tensor t = tensor_of(w, N_OUT, N_IN);
    ser_nn_convert(typed, x_type, x, N_ROWS * N_IN);
    widen(x, typed, x_type, N_ROWS * N_IN);
    CHECK_OK(ser_nn_linear_new(&l, ops, &t, NULL, bias, N_OUT, N_IN, act, &err), &err);
    CHECK_OK(ser_nn_work_new(&work, ops, 2, &err), &err);
    CHECK_OK(ser_nn_linear_forward(l, work, y, y_type, typed, x_type, N_ROWS, add, &err), &err);
    widen(out, y, y_type, N_ROWS * N_OUT);
    size_t n_wrong = 0;
    for (size_t r = 0; r < N_ROWS; r++)
        for (size_t o = 0; o < N_OUT; o++) {
            double sum = (double)bias[o], may = bound(x + r * N_IN, w + o * N_IN);
            for (size_t i = 0; i < N_IN; i++)
                sum += (double)w[o * N_IN + i] * (double)x[r * N_IN + i];
            sum = act == SER_ACT_GELU ? gelu(sum) : sum; /* whose slope is at most 1.13 */
            sum += add ? (double)before[r * N_OUT + o] : 0;
            may = 1.13 * may + (y_type == SER_BF16 ? fabs(sum) * 0x1p-8 : 0);
            n_wrong += !(fabs((double)out[r * N_OUT + o] - sum) <= may);
        }
    CHECK(n_wrong == 0);
    if (!add) { /* whoever else is in the batch */
        size_t row = 77;
        CHECK_OK(ser_nn_linear_forward(l, work, alone, y_type,
                                       (const unsigned char *)typed + row * N_IN * ser_dtype_size(x_type),
                                       x_type, 1, false, &err),
                 &err);
        widen(alone_out, alone, y_type, N_OUT);
        CHECK(memcmp(alone_out, out + row * N_OUT, N_OUT * sizeof *out) == 0);
    }
    ser_nn_work_free(&work);
    ser_nn_linear_free(&l);
    ser_free(x);
    ser_free(w);
    ser_free(bias);
    ser_free(before);
    ser_free(y);
    ser_free(out);
    ser_free(alone);
    ser_free(alone_out);
    ser_free(typed);
}

/* Whatever the weights, the largest at the same end included: not one sum is off. */
static void test_sums_are_exact(void)
{
    enum { TERMS = 52, COLUMNS = SER_BYTE_COLUMNS, HIGH = 7 };
    int8_t w[TERMS * COLUMNS], kept[TERMS * COLUMNS], rest[TERMS * COLUMNS] = {0};
    uint8_t x[HIGH * TERMS], gathered[HIGH * TERMS];
    uint32_t at[TERMS] = {0}, state = 1;
    int32_t sums[HIGH * COLUMNS] = {0};
    for (size_t i = 0; i < sizeof w; i++) {
        state = state * 1664525 + 1013904223;
        w[i] = (int8_t)(i % COLUMNS == 0 ? 127 : i % COLUMNS == 1 ? -127 : (int)(state >> 24) % 255 - 127);
    }
    for (size_t i = 0; i < sizeof x; i++)
        x[i] = i < TERMS ? 255 : (uint8_t)(i * 37);
    memcpy(kept, w, sizeof w);
    ser_byte_kernel kernel = ser_byte_kernel_here();
    size_t n = kernel.adds_pairs ? ser_byte_split(w, TERMS, rest, at) : 0;
    CHECK(n <= TERMS && n % SER_BYTE_TERMS == 0);
    for (size_t i = 0; i < HIGH * n; i++)
        gathered[i] = x[i / n * TERMS + at[i % n]];
    kernel.multiply(&(ser_byte_panel){sums, x, w, TERMS, HIGH, TERMS});
    kernel.multiply(&(ser_byte_panel){sums, gathered, rest, n, HIGH, n});
    size_t n_wrong = 0;
    for (size_t t = 0; t < HIGH; t++)
        for (size_t o = 0; o < COLUMNS; o++) {
            int32_t sum = 0;
            for (size_t k = 0; k < TERMS; k++)
                sum += x[t * TERMS + k] * kept[k / 4 * 4 * COLUMNS + o * 4 + k % 4];
            n_wrong += sums[t * COLUMNS + o] != sum;
        }
    CHECK(n_wrong == 0);
}

/* Pairs that are too large are found wherever they are, and no others: what is too much of them becomes
 * further terms. */
static void test_large_pairs(void)
{
    enum { GROUPS = 16, TERMS = GROUPS * SER_BYTE_TERMS, COLUMNS = SER_BYTE_COLUMNS };
    static const struct {
        size_t term, column; /* of the first */
        int8_t first, second, excess;
    } pairs[] = {{5 * 4, 0, 64, 64, 0},
                 {5 * 4 + 2, 3, 64, 65, 1},
                 {12 * 4, 15, -64, -65, -1},
                 {12 * 4 + 2, 7, -64, -64, 0},
                 {15 * 4 + 2, 8, -127, -127, -126}};
    int8_t w[TERMS * COLUMNS], kept[TERMS * COLUMNS], rest[TERMS * COLUMNS] = {0};
    uint32_t at[TERMS] = {0};
    for (size_t i = 0; i < sizeof w; i++)
        w[i] = (int8_t)((int)(i * 37 % 121) - 60);
    memcpy(kept, w, sizeof w);
    CHECK(ser_byte_split(w, TERMS, rest, at) == 0 && memcmp(w, kept, sizeof w) == 0);
    int8_t expected[TERMS * COLUMNS] = {0};
    size_t n = 0;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        size_t place = pairs[i].term / 4 * 4 * COLUMNS + pairs[i].column * 4 + pairs[i].term % 4;
        kept[place] = w[place] = pairs[i].first;
        w[place + 1] = pairs[i].second;
        kept[place + 1] = (int8_t)(pairs[i].second - pairs[i].excess);
        if (pairs[i].excess)
            expected[pairs[i].column * 4 + n++] = pairs[i].excess;
    }
    CHECK(ser_byte_split(w, TERMS, rest, at) == 4 && memcmp(w, kept, sizeof w) == 0);
    CHECK(memcmp(rest, expected, sizeof rest) == 0);
    CHECK(n == 3 && at[0] == 5 * 4 + 3 && at[1] == 12 * 4 + 1 && at[2] == 15 * 4 + 3 && !at[3]);
}

/* Products of floats, which attention asks for in 8 bits, too: few columns, and so many that another
 * library's kernels may be taken. */
static void test_floats(const ser_nn_ops *ops, size_t n, bool b_transposed)
{
    enum { M = 13, K = 24, MOST = 520 };
    ser_error err = {0};
    ser_nn_work *work;
    float *a = random_floats(M * K, 1, 5), *b = random_floats(K * MOST, 1, 6);
    float *c = random_floats(M * MOST, 1, 7), *before = random_floats(M * MOST, 1, 7);
    ser_gemm g = {
        .n_batch = 1, .m = M, .n = n, .k = K, .lda = K, .ldc = n, .b_transposed = b_transposed, .beta = 1};
    g.ldb = b_transposed ? K : n;
    CHECK_OK(ser_nn_work_new(&work, ops, 1, &err), &err);
    CHECK_OK(ser_nn_gemm(work, c, a, b, &g, &err), &err);
    size_t n_wrong = 0;
    for (size_t t = 0; t < M; t++)
        for (size_t o = 0; o < n; o++) {
            double sum = (double)before[t * n + o];
            for (size_t k = 0; k < K; k++)
                sum += (double)a[t * K + k] * (double)b[b_transposed ? o * K + k : k * n + o];
            n_wrong += !(fabs((double)c[t * n + o] - sum) <= 1e-5);
        }
    CHECK(n_wrong == 0);
    ser_nn_work_free(&work);
    ser_free(a);
    ser_free(b);
    ser_free(c);
    ser_free(before);
}

int main(void)
{
    ser_error err = {0};
    ser_nn_ops *ops;
    test_rows();
    test_sums_are_exact();
    test_large_pairs();
    ser_status status = ser_nn_ops_new(&ops, SER_ENGINE_ONEDNN, SER_PRECISION_INT8, &err);
    if (status == SER_E_UNSUPPORTED) /* an older processor */
        return test_summary();
    CHECK_OK(status, &err);
    CHECK(ser_nn_ops_precision(ops) == SER_PRECISION_INT8);
    ser_dtype type = ser_nn_ops_type(ops);
    linear_case(ops, SER_ACT_NONE, SER_F32, SER_F32, false);
    linear_case(ops, SER_ACT_NONE, type, SER_F32, true);
    linear_case(ops, SER_ACT_GELU, type, type, false);
    linear_case(ops, SER_ACT_NONE, type, type, false);
    for (int transposed = 0; transposed < 2; transposed++) {
        test_floats(ops, 9, transposed);
        test_floats(ops, 40, transposed);
        test_floats(ops, 520, transposed);
    }
    ser_nn_ops_free(&ops);
    return test_summary();
}
