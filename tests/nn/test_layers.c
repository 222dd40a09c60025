/* The encoder's layers against sums in double precision. */
#include "engines.h"

static void test_gelu(void)
{
    enum { N = 4003 };
    static float x[N], expected[N];
    for (int i = 0; i < N; i++) {
        x[i] = ((float)i - 2000) / 200;
        expected[i] = (float)gelu((double)x[i]);
    }
    ser_nn_gelu_forward(x, N);
    check_close("gelu", x, expected, N, 0, 1e-6);
}

static void test_to_bf16(void)
{
    static const struct {
        float x;
        uint16_t half;
    } cases[] = {
        {1, 0x3f80},        {-2, 0xc000}, {0x1.01p0f, 0x3f80},   {0x1.03p0f, 0x3f82}, {0x1.0101p0f, 0x3f81},
        {INFINITY, 0x7f80}, {0, 0},       {0x1.fffp127f, 0x7f80}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint16_t half;
        ser_nn_to_bf16(&half, &cases[i].x, 1);
        CHECK(half == cases[i].half);
    }
    float x[33];
    uint16_t halves[33];
    uint32_t nan_bits = 0x7fffffff;
    for (int i = 0; i < 33; i++)
        memcpy(&x[i], &nan_bits, sizeof nan_bits);
    ser_nn_to_bf16(halves, x, 33);
    for (int i = 0; i < 33; i++)
        CHECK(isnan(from_bf16(halves[i])));
}

static void test_layernorm(void)
{
    static const size_t dims[] = {1, 5, 16, 64, 100, 512};
    for (size_t k = 0; k < sizeof dims / sizeof *dims; k++) {
        size_t d = dims[k], n = 3 * d;
        float *x = random_floats(n, 3, d), *scale = random_floats(d, 1, d + 1),
              *shift = random_floats(d, 1, d + 2);
        float *expected = random_floats(n, 1, 0), *y = random_floats(n, 1, 0);
        uint16_t *half = ser_alloc(n, 2);
        for (size_t t = 0; t < 3; t++) {
            double mean = 0, variance = 0;
            for (size_t i = 0; i < d; i++)
                mean += (double)(x[t * d + i] += 20) / (double)d;
            for (size_t i = 0; i < d; i++)
                variance += pow((double)x[t * d + i] - mean, 2) / (double)d;
            for (size_t i = 0; i < d; i++)
                expected[t * d + i] =
                    (float)(((double)x[t * d + i] - mean) / sqrt(variance + 1e-5) * (double)scale[i] +
                            (double)shift[i]);
        }
        ser_nn_layernorm_forward(y, SER_F32, x, scale, shift, 3, d, 1e-5f);
        check_close("layernorm", y, expected, n, 1e-5, 1e-5);
        check_guard(y, n);
        ser_nn_layernorm_forward(half, SER_BF16, x, scale, shift, 3, d, 1e-5f);
        widen(y, half, SER_BF16, n);
        check_close("layernorm bf16", y, expected, n, 1.0 / 256, 1e-5);
        ser_nn_layernorm_forward(x, SER_F32, x, scale, shift, 3, d, 1e-5f);
        check_close("layernorm in place", x, expected, n, 1e-5, 1e-5);
        ser_free(x);
        ser_free(scale);
        ser_free(shift);
        ser_free(expected);
        ser_free(y);
        ser_free(half);
    }
}

/* In double precision; q, k, v (n_frames, n_heads * head_dims). */
static void plain_attention(float *y, const float *q, const float *k, const float *v,
                            const ser_nn_attention *s)
{
    size_t dims = s->n_heads * s->head_dims;
    double *weights = ser_alloc(s->n_frames, sizeof *weights);
    for (size_t i = 0; i < s->n_frames * s->n_heads; i++) {
        size_t t = i / s->n_heads, head = i % s->n_heads * s->head_dims;
        double highest = -INFINITY, sum = 0;
        for (size_t u = 0; u < s->n_frames; u++) {
            weights[u] = 0;
            for (size_t d = head; d < head + s->head_dims; d++)
                weights[u] += (double)q[t * dims + d] * (double)k[u * dims + d] / sqrt((double)s->head_dims);
            highest = fmax(highest, weights[u]);
        }
        for (size_t u = 0; u < s->n_frames; u++)
            sum += weights[u] = exp(weights[u] - highest);
        for (size_t d = head; d < head + s->head_dims; d++) {
            double out = 0;
            for (size_t u = 0; u < s->n_frames; u++)
                out += weights[u] / sum * (double)v[u * dims + d];
            y[t * dims + d] = (float)out;
        }
    }
    ser_free(weights);
}

static void attention_case(const engine *e, const ser_nn_attention *s)
{
    ser_error err = {0};
    size_t dims = s->n_heads * s->head_dims, n = s->n_frames * dims, n_rows = ser_nn_round_rows(s->n_frames);
    ser_dtype type = ser_nn_ops_type(e->ops);
    float *x[3], *y = random_floats(n_rows * dims, 1, 0), *expected = random_floats(n_rows * dims, 1, 0);
    void *in[3], *out = ser_alloc(n_rows * dims, sizeof(float)),
                 *again = ser_alloc(n_rows * dims, sizeof(float));
    for (int i = 0; i < 3; i++) {
        x[i] = random_floats(n_rows * dims, 1.5, (uint64_t)(i + 1));
        in[i] = x[i];
        if (type == SER_BF16) {
            in[i] = ser_alloc(n_rows * dims, 2);
            ser_nn_to_bf16(in[i], x[i], n_rows * dims);
            round_to_bf16(x[i], n_rows * dims);
        }
    }
    plain_attention(expected, x[0], x[1], x[2], s);
    CHECK_OK(ser_nn_attention_forward(e->work, out, in[0], in[1], in[2], s, &err), &err);
    widen(y, out, type, n);
    /* bf16: of the weights and of the result. */
    check_close(e->name, y, expected, n, type == SER_BF16 ? 1.0 / 128 : 1e-5, type == SER_BF16 ? 1e-2 : 1e-5);
    CHECK_OK(ser_nn_attention_forward(e->work_of_two, again, in[0], in[1], in[2], s, &err), &err);
    CHECK(memcmp(again, out, n * ser_dtype_size(type)) == 0);
    for (int i = 0; i < 3; i++) {
        if (type == SER_BF16)
            ser_free(in[i]);
        ser_free(x[i]);
    }
    ser_free(y);
    ser_free(expected);
    ser_free(out);
    ser_free(again);
}

static void test_attention(const engine *e)
{
    for (int i = 0; i < N_LENGTHS; i++) {
        attention_case(e, &(ser_nn_attention){lengths[i], lengths[i], 2, 64});
        attention_case(e, &(ser_nn_attention){lengths[i], lengths[i], 3, 20});
    }
}

static void conv_case(const engine *e, size_t n_frames, size_t stride, ser_activation act)
{
    enum { N_IN = 10, N_OUT = 24, K = 3 };
    ser_error err = {0};
    size_t n_out_frames = (n_frames + stride - 1) / stride, n_rows = ser_nn_round_rows(n_out_frames);
    float *x = random_floats(n_frames * N_IN, 1, n_frames), *w = random_floats(N_OUT * N_IN * K, 0.2, 2);
    float *bias = random_floats(N_OUT, 1, 3), *y = random_floats(n_rows * N_OUT, 1, 4);
    float *expected = random_floats(n_rows * N_OUT, 1, 4);
    ser_tensor t = tensor_of(w, N_OUT, N_IN * K);
    ser_nn_conv1d c;
    CHECK_OK(ser_nn_conv1d_init(&c, e->ops, &t, NULL, bias, &(ser_nn_conv_shape){N_OUT, N_IN, K, stride, 1},
                                act, &err),
             &err);
    if (ser_nn_ops_type(e->ops) == SER_BF16) {
        round_to_bf16(x, n_frames * N_IN);
        round_to_bf16(w, N_OUT * N_IN * K);
    }
    for (size_t i = 0; i < n_rows * N_OUT; i++) {
        size_t out = i / N_OUT, o = i % N_OUT;
        double sum = (double)bias[o];
        for (size_t j = 0; j < K; j++)
            for (size_t d = 0; d < N_IN && out * stride + j >= 1 && out * stride + j <= n_frames; d++)
                sum += (double)w[(o * N_IN + d) * K + j] * (double)x[(out * stride + j - 1) * N_IN + d];
        expected[i] = (float)(act == SER_ACT_GELU ? gelu(sum) : sum);
    }
    CHECK_OK(ser_nn_conv1d_forward(&c, e->work, y, SER_F32, x, SER_F32, n_frames, 0, n_rows, &err), &err);
    check_close(e->name, y, expected, n_rows * N_OUT, 1e-5, 1e-5);
    check_guard(y, n_rows * N_OUT);
    ser_nn_conv1d_release(&c);
    ser_free(x);
    ser_free(w);
    ser_free(bias);
    ser_free(y);
    ser_free(expected);
}

static void test_conv1d(const engine *e)
{
    for (int i = 0; i < N_LENGTHS; i++) {
        conv_case(e, lengths[i], 1, SER_ACT_GELU);
        conv_case(e, lengths[i], 2, i % 2 ? SER_ACT_NONE : SER_ACT_GELU);
    }
}

static void check_layers(const engine *e)
{
    test_attention(e);
    test_conv1d(e);
}

int main(void)
{
    test_gelu();
    test_to_bf16();
    test_layernorm();
    with_each_engine(check_layers);
    return test_summary();
}
