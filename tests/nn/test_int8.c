/* Linear layers in 8 bits against what rounding may do to the exact result. */
#include "engines.h"
#include "nn/bytes.h"
#include "nn/quantise.h"

enum { N_IN = 200, N_ODD = 199, N_OUT = 72, N_ROWS = 150 };

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
    uint16_t words[ROWS * N];
    ser_nn_quantise_rows_to_words(words, N, lows, steps, x, N, ROWS, N);
    for (size_t t = 0; t < ROWS; t++)
        for (size_t i = 0; i < N; i++) {
            double back = (double)lows[t] + (double)steps[t] * words[t * N + i];
            CHECK(fabs(back - (double)x[t * N + i]) <= (t == 1 ? 0 : 0.501 * (double)steps[t]));
        }
    CHECK(words[0] == 0 && words[N - 1] == SER_WORD_ACTIVATION_MAX);
    ser_nn_quantise_rows(q, N, lows, steps, x, SER_F32, N, ROWS, N, 200);
    CHECK(q[0] == 0 && q[N - 1] == 200);
    ser_nn_quantise_rows(q, N, lows, steps, x, SER_F32, N, ROWS, N, 255);
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

/* |y - exact| where each x may be half a step off, and each w half a scale: of bytes, or where the layer is
 * exact of words, whose scale leaves room for the sum, or of bf16. */
static double bound(const float *x, const float *w, size_t n_in, bool exact, ser_dtype type)
{
    double low = 1e30, high = -1e30, largest = 0, sum_x = 0, sum_w = 0, all = 0;
    for (size_t i = 0; i < n_in; i++) {
        low = fmin(low, (double)x[i]);
        high = fmax(high, (double)x[i]);
        largest = fmax(largest, fabs((double)w[i]));
        sum_x += fabs((double)x[i]);
        sum_w += fabs((double)w[i]);
        all += fabs((double)x[i] * (double)w[i]);
    }
    if (exact && type == SER_BF16)
        return 0x1p-8 * 1.02 * all + 1e-5;
    int steps = ser_byte_kernel_here().adds_pairs ? ser_byte_coarse.highest : ser_byte_fine.highest;
    double half_step = (high - low) / steps / 2, half_scale = largest / 127 / 2, n = (double)n_in;
    if (exact) {
        half_step = (high - low) / SER_WORD_ACTIVATION_MAX / 2;
        half_scale = fmax(largest / INT16_MAX, sum_w / ((double)INT32_MAX / SER_WORD_ACTIVATION_MAX - n)) / 2;
    }
    return 1.02 * (sum_w * half_step + sum_x * half_scale + n * half_step * half_scale) + 1e-5;
}

typedef struct layer_case {
    size_t n_in;
    bool exact;
    ser_activation act;
    ser_dtype x_type, y_type;
    bool add;
} layer_case;

typedef struct layer_data {
    float *x, *w, *bias, *before, *y, *out;
    void *typed;
    ser_nn_linear *l;
    ser_nn_work *work;
} layer_data;

static void make_layer(layer_data *d, const ser_nn_ops *ops, const layer_case *c)
{
    ser_error err = {0};
    size_t n_x = N_ROWS * c->n_in;
    d->x = random_floats(n_x, 1, 1), d->w = random_floats(N_OUT * c->n_in, 0.1, 2);
    d->bias = random_floats(N_OUT, 1, 3), d->before = random_floats(N_ROWS * N_OUT, 1, 4);
    d->y = random_floats(N_ROWS * N_OUT, 1, 4), d->out = random_floats(N_ROWS * N_OUT, 1, 4);
    d->typed = ser_alloc(n_x, sizeof(float));
    ser_tensor t = tensor_of(d->w, N_OUT, c->n_in);
    ser_nn_convert(d->typed, c->x_type, d->x, n_x);
    widen(d->x, d->typed, c->x_type, n_x);
    CHECK_OK((c->exact ? ser_nn_linear_new_exact : ser_nn_linear_new)(&d->l, ops, &t, NULL, d->bias, N_OUT,
                                                                      c->n_in, c->act, &err),
             &err);
    CHECK_OK(ser_nn_work_new(&d->work, ops, 2, &err), &err);
}

static void free_layer(layer_data *d)
{
    ser_nn_work_free(&d->work);
    ser_nn_linear_free(&d->l);
    ser_free(d->x);
    ser_free(d->w);
    ser_free(d->bias);
    ser_free(d->before);
    ser_free(d->y);
    ser_free(d->out);
    ser_free(d->typed);
}

/* Not one result is further off than it may be; and as the roundings of a sum have nothing to do with each
 * other, all together are far below. */
static void check_sums(const layer_data *d, const layer_case *c, ser_dtype type)
{
    size_t n_wrong = 0;
    double squares = 0;
    for (size_t r = 0; r < N_ROWS; r++)
        for (size_t o = 0; o < N_OUT; o++) {
            const float *x = d->x + r * c->n_in, *w = d->w + o * c->n_in;
            double sum = (double)d->bias[o], may = bound(x, w, c->n_in, c->exact, type);
            for (size_t i = 0; i < c->n_in; i++)
                sum += (double)w[i] * (double)x[i];
            sum = c->act == SER_ACT_GELU ? gelu(sum) : sum; /* whose slope is at most 1.13 */
            sum += c->add ? (double)d->before[r * N_OUT + o] : 0;
            may = 1.13 * may + (c->y_type == SER_BF16 ? fabs(sum) * 0x1p-8 : 0);
            double off = fabs((double)d->out[r * N_OUT + o] - sum);
            n_wrong += !(off <= may);
            squares += off * off / (may * may);
        }
    CHECK(n_wrong == 0);
    CHECK(c->y_type == SER_BF16 || sqrt(squares / (N_ROWS * N_OUT)) < 0.125);
}

static void linear_case(const ser_nn_ops *ops, layer_case c)
{
    ser_error err = {0};
    layer_data d;
    make_layer(&d, ops, &c);
    CHECK_OK(ser_nn_linear_forward(d.l, d.work, d.y, c.y_type, d.typed, c.x_type, N_ROWS, c.add, &err), &err);
    widen(d.out, d.y, c.y_type, N_ROWS * N_OUT);
    check_sums(&d, &c, ser_nn_ops_type(ops));
    if (!c.add) { /* whoever else is in the batch */
        size_t row = 77;
        float alone[N_OUT], alone_out[N_OUT];
        const unsigned char *from = (const unsigned char *)d.typed + row * c.n_in * ser_dtype_size(c.x_type);
        CHECK_OK(ser_nn_linear_forward(d.l, d.work, alone, c.y_type, from, c.x_type, 1, false, &err), &err);
        widen(alone_out, alone, c.y_type, N_OUT);
        CHECK(memcmp(alone_out, d.out + row * N_OUT, sizeof alone_out) == 0);
    }
    free_layer(&d);
}

/* One number that is none makes its row's results NaN, and nobody else's, wherever it stands. Where the layer
 * is computed in floats, an infinity may stay one. */
static void test_not_finite(const ser_nn_ops *ops, layer_case c)
{
    enum { BAD = 77 };
    static const float what[] = {NAN, INFINITY, -INFINITY};
    const size_t where[] = {0, 3, 40, c.n_in - 2, c.n_in - 1};
    ser_error err = {0};
    layer_data d;
    make_layer(&d, ops, &c);
    size_t n_wrong = 0;
    for (size_t i = 0; i < sizeof what / sizeof *what; i++)
        for (size_t k = 0; k < sizeof where / sizeof *where; k++) {
            float *at = d.x + BAD * c.n_in + where[k], kept = *at;
            *at = what[i];
            ser_nn_convert(d.typed, c.x_type, d.x, N_ROWS * c.n_in);
            *at = kept;
            CHECK_OK(
                ser_nn_linear_forward(d.l, d.work, d.y, c.y_type, d.typed, c.x_type, N_ROWS, c.add, &err),
                &err);
            widen(d.out, d.y, c.y_type, N_ROWS * N_OUT);
            for (size_t o = 0; o < N_ROWS * N_OUT; o++) {
                bool is_bad = o / N_OUT == BAD, may_be_infinite = c.exact && !isnan(what[i]);
                n_wrong += is_bad && may_be_infinite ? isfinite(d.out[o]) : isnan(d.out[o]) != is_bad;
            }
        }
    CHECK(n_wrong == 0);
    free_layer(&d);
}

/* More inputs than words are fine enough for. */
static void test_long_sums(const ser_nn_ops *ops)
{
    enum { N = SER_WORD_N_MAX + 1, FEW = 3 };
    ser_error err = {0};
    ser_nn_linear *l;
    ser_nn_work *work;
    float *x = random_floats(N, 1, 1), *w = random_floats(FEW * N, 0.1, 2), y[FEW];
    ser_tensor t = tensor_of(w, FEW, N);
    CHECK_OK(ser_nn_linear_new_exact(&l, ops, &t, NULL, NULL, FEW, N, SER_ACT_NONE, &err), &err);
    CHECK_OK(ser_nn_work_new(&work, ops, 1, &err), &err);
    CHECK_OK(ser_nn_linear_forward(l, work, y, SER_F32, x, SER_F32, 1, false, &err), &err);
    for (size_t o = 0; o < FEW; o++) {
        double sum = 0, all = 0;
        for (size_t i = 0; i < N; i++) {
            sum += (double)w[o * N + i] * (double)x[i];
            all += fabs((double)w[o * N + i] * (double)x[i]);
        }
        CHECK(fabs((double)y[o] - sum) <= (ser_nn_ops_type(ops) == SER_BF16 ? 0x1p-8 : 1e-6) * all);
    }
    ser_nn_work_free(&work);
    ser_nn_linear_free(&l);
    ser_free(x);
    ser_free(w);
}

/* Weights in 16 bits, however large and alike, leave room for the sum; so many as there may be are finer than
 * in 8. */
static void test_words(void)
{
    enum { N = 3000 };
    float *w = random_floats(SER_WORD_N_MAX, 0.02, 9), sum, largest = 0;
    static int16_t most[SER_WORD_N_MAX];
    for (size_t i = 0; i < SER_WORD_N_MAX; i++)
        largest = fmaxf(largest, fabsf(w[i]));
    CHECK(ser_nn_quantise_words(most, &sum, w, SER_WORD_N_MAX) <= largest / 127 / 2);
    int16_t q[N];
    for (int alike = 0; alike < 2; alike++) {
        float scale = ser_nn_quantise_words(q, &sum, w, N);
        int64_t all = 0, total = 0;
        size_t n_wrong = 0;
        for (size_t i = 0; i < N; i++) {
            all += q[i] < 0 ? -q[i] : q[i];
            total += q[i];
            n_wrong += !(fabs((double)w[i] - (double)scale * q[i]) <= 0.501 * (double)scale);
        }
        CHECK(n_wrong == 0 && all * SER_WORD_ACTIVATION_MAX <= INT32_MAX && all > N * 64);
        CHECK(fabs((double)sum - (double)scale * (double)total) <= 1e-6 * fabs((double)sum));
        for (size_t i = 0; i < N; i++)
            w[i] = -3;
    }
    ser_free(w);
}

/* What a kernel is asked for, with room for whatever weights and rows there are. */
enum { TERMS = 52, COLUMNS = SER_BYTE_COLUMNS, HIGH = 31, MOST_PANELS = 2, GROUP = SER_BYTE_GROUP };
typedef struct kernel_case {
    int8_t w[MOST_PANELS * TERMS * COLUMNS], kept[MOST_PANELS * TERMS * COLUMNS], rest[TERMS * COLUMNS];
    uint8_t x[HIGH * TERMS];
    uint32_t at[TERMS], groups[HIGH * TERMS / 4], gathered[HIGH * TERMS / 4];
    float scales[MOST_PANELS * COLUMNS], sums[MOST_PANELS * COLUMNS], bias[MOST_PANELS * COLUMNS];
    float lows[HIGH], steps[HIGH], y[HIGH * MOST_PANELS * COLUMNS];
} kernel_case;

/* Bytes, the largest at the same end included; words of up to 12 bits. */
static void fill_case(kernel_case *c, bool words, int highest)
{
    uint32_t state = 1;
    for (size_t i = 0; i < sizeof c->w; i++) {
        state = state * 1664525 + 1013904223;
        size_t column = i / 4 % COLUMNS;
        c->w[i] = (int8_t)(words && i % 2          ? (int)(state >> 24) % 16 - 8
                           : column == 0 && !words ? 127
                           : column == 1 && !words ? -127
                                                   : (int)(state >> 24) % 255 - 127);
    }
    for (size_t i = 0; i < sizeof c->x; i++)
        c->x[i] = (uint8_t)(words && i % 2 ? i * 37 % 16
                            : i < TERMS    ? (size_t)highest
                                           : i * 37 % (size_t)(highest + 1));
    for (size_t o = 0; o < MOST_PANELS * COLUMNS; o++) {
        c->scales[o] = 1 / (float)(1 + o);
        c->sums[o] = (float)o - 7;
        c->bias[o] = (float)o / 16;
    }
    for (size_t t = 0; t < HIGH; t++) {
        c->lows[t] = (float)t / 8 - 1;
        c->steps[t] = 1e-4f * (float)(1 + t);
    }
    memcpy(c->kept, c->w, sizeof c->w);
}

static double before_gelu(const kernel_case *c, size_t t, size_t o, bool words)
{
    int32_t sum = 0;
    const int8_t *w = c->kept + o / COLUMNS * TERMS * COLUMNS + o % COLUMNS * 4;
    for (size_t k = 0; k < TERMS; k += words ? 2 : 1) {
        int16_t two[2] = {0};
        memcpy(&two[0], c->x + t * TERMS + k, words ? 2 : 1);
        memcpy(&two[1], w + k / 4 * GROUP + k % 4, words ? 2 : 1);
        sum += words ? two[0] * two[1] : c->x[t * TERMS + k] * w[k / 4 * GROUP + k % 4];
    }
    return (double)c->steps[t] * (double)c->scales[o] * sum + (double)c->lows[t] * (double)c->sums[o] +
           (double)c->bias[o];
}

/* Not one sum is off, for however many rows and columns, and what follows is right. */
static void check_kernel(ser_byte_range range, bool words, bool with_gelu, bool add, size_t n_rows,
                         size_t n_columns)
{
    kernel_case c = {0};
    ser_byte_kernel kernel = ser_byte_kernel_here();
    fill_case(&c, words, range.highest);
    size_t n = kernel.adds_pairs && !words ? ser_byte_split(c.w, TERMS, range.pair, c.rest, c.at) : 0;
    CHECK(n <= TERMS && n % SER_BYTE_TERMS == 0);
    ser_byte_regroup(c.groups, c.x, n_rows, TERMS);
    ser_byte_gather(c.gathered, c.groups, c.at, n, n_rows);
    for (size_t i = 0; i < HIGH * MOST_PANELS * COLUMNS; i++)
        c.y[i] = 0.5f;
    size_t y_row = n_columns + 1;
    kernel.multiply(&(ser_byte_panel){.sum = {c.x, c.w, TERMS, 4, TERMS * COLUMNS, TERMS / 4},
                                      .rest = {(uint8_t *)c.gathered, c.rest, 4, 4 * n_rows, 0, n / 4},
                                      .words = words,
                                      .scales = c.scales,
                                      .weight_sums = c.sums,
                                      .bias = c.bias,
                                      .lows = c.lows,
                                      .steps = c.steps,
                                      .y = c.y,
                                      .y_row = y_row,
                                      .n_rows = n_rows,
                                      .n_columns = n_columns,
                                      .gelu = with_gelu,
                                      .add = add});
    size_t n_wrong = 0;
    for (size_t t = 0; t < n_rows; t++) {
        for (size_t o = 0; o < n_columns; o++) {
            double value = before_gelu(&c, t, o, words), wanted = with_gelu ? gelu(value) : value;
            double may = 2e-6 * (fabs(value) + 20) + (with_gelu ? 1e-4 : 0);
            wanted += add ? 0.5 : 0;
            n_wrong += !(fabs((double)c.y[t * y_row + o] - wanted) <= may);
        }
        n_wrong += c.y[t * y_row + n_columns] != 0.5f; /* nobody else's */
    }
    CHECK(n_wrong == 0);
}

static void test_kernels(void)
{
    size_t most = ser_byte_kernel_here().n_panels * COLUMNS;
    for (size_t n_rows = 1; n_rows <= HIGH; n_rows++)
        for (int words = 0; words < 2; words++) {
            check_kernel(ser_byte_fine, words, false, false, n_rows, most - 1);
            check_kernel(ser_byte_coarse, words, false, true, n_rows, most - 1);
            check_kernel(ser_byte_fine, words, true, false, n_rows, 5);
            check_kernel(ser_byte_fine, words, true, true, n_rows, COLUMNS);
            if (most > COLUMNS)
                check_kernel(ser_byte_fine, words, false, true, n_rows, COLUMNS + 1);
        }
}

/* Pairs that are too large are found wherever they are, and no others: what is too much of them becomes
 * further terms. */
static void test_large_pairs(void)
{
    enum { GROUPS = 16, N_TERMS = GROUPS * SER_BYTE_TERMS };
    static const struct {
        size_t term, column; /* of the first */
        int8_t first, second, excess;
    } pairs[] = {{5 * 4, 0, 64, 64, 0},
                 {5 * 4 + 2, 3, 64, 65, 1},
                 {12 * 4, 15, -64, -65, -1},
                 {12 * 4 + 2, 7, -64, -64, 0},
                 {15 * 4 + 2, 8, -127, -127, -126}};
    int8_t w[N_TERMS * COLUMNS], kept[N_TERMS * COLUMNS], rest[N_TERMS * COLUMNS] = {0};
    uint32_t at[N_TERMS] = {0};
    for (size_t i = 0; i < sizeof w; i++)
        w[i] = (int8_t)((int)(i * 37 % 121) - 60);
    memcpy(kept, w, sizeof w);
    CHECK(ser_byte_split(w, N_TERMS, 128, rest, at) == 0 && memcmp(w, kept, sizeof w) == 0);
    int8_t expected[N_TERMS * COLUMNS] = {0};
    size_t n = 0;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        size_t place = pairs[i].term / 4 * 4 * COLUMNS + pairs[i].column * 4 + pairs[i].term % 4;
        kept[place] = w[place] = pairs[i].first;
        w[place + 1] = pairs[i].second;
        kept[place + 1] = (int8_t)(pairs[i].second - pairs[i].excess);
        if (pairs[i].excess)
            expected[pairs[i].column * 4 + n++] = pairs[i].excess;
    }
    CHECK(ser_byte_split(w, N_TERMS, 128, rest, at) == 4 && memcmp(w, kept, sizeof w) == 0);
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
    test_words();
    test_kernels();
    test_large_pairs();
    ser_status status = ser_nn_ops_new(&ops, SER_ENGINE_ONEDNN, SER_PRECISION_INT8, &err);
    if (status == SER_E_UNSUPPORTED) /* an older processor */
        return test_summary();
    CHECK_OK(status, &err);
    CHECK(ser_nn_ops_precision(ops) == SER_PRECISION_INT8);
    ser_dtype type = ser_nn_ops_type(ops);
    for (int exact = 0; exact < 2; exact++)
        for (size_t n_in = N_ODD; n_in <= N_IN; n_in++) {
            linear_case(ops, (layer_case){n_in, exact, SER_ACT_NONE, SER_F32, SER_F32, false});
            linear_case(ops, (layer_case){n_in, exact, SER_ACT_NONE, type, SER_F32, true});
            linear_case(ops, (layer_case){n_in, exact, SER_ACT_GELU, type, type, false});
            linear_case(ops, (layer_case){n_in, exact, SER_ACT_NONE, type, type, false});
        }
    for (int exact = 0; exact < 2; exact++) {
        test_not_finite(ops, (layer_case){N_ODD, exact, SER_ACT_NONE, SER_F32, SER_F32, false});
        test_not_finite(ops, (layer_case){N_ODD, exact, SER_ACT_GELU, type, type, false});
    }
    test_long_sums(ops);
    for (int transposed = 0; transposed < 2; transposed++) {
        test_floats(ops, 9, transposed);
        test_floats(ops, 40, transposed);
        test_floats(ops, 520, transposed);
    }
    ser_nn_ops_free(&ops);
    return test_summary();
}
