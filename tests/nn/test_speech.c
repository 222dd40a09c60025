/* The layers of wav2vec 2.0 and its relatives against the plainest loops. */
#include "engines.h"
#include "nn/speech.h"

static const double epsilon = 1e-5;

/* ---- the first convolution, with the group norm and without ---- */

/* y (n_out, n_frames) */
static void plain_pcm_conv(double *y, const float *w, const float *bias, const float *pcm, size_t n_out,
                           size_t kernel, size_t stride, size_t n_frames)
{
    for (size_t o = 0; o < n_out; o++)
        for (size_t t = 0; t < n_frames; t++) {
            double sum = bias ? (double)bias[o] : 0;
            for (size_t j = 0; j < kernel; j++)
                sum += (double)w[o * kernel + j] * (double)pcm[t * stride + j];
            y[o * n_frames + t] = sum;
        }
}

static void plain_group_norm(double *y, const float *scale, const float *shift, size_t n_out, size_t n_frames)
{
    for (size_t o = 0; o < n_out; o++, y += n_frames) {
        double mean = 0, variance = 0;
        for (size_t t = 0; t < n_frames; t++)
            mean += y[t] / (double)n_frames;
        for (size_t t = 0; t < n_frames; t++)
            variance += (y[t] - mean) * (y[t] - mean) / (double)n_frames;
        for (size_t t = 0; t < n_frames; t++)
            y[t] = (y[t] - mean) / sqrt(variance + epsilon) * (double)scale[o] + (double)shift[o];
    }
}

static void check_pcm(const ser_nn_pcm_conv *c, const float *weights, const float *pcm,
                      const double *expected, size_t n_frames, bool half)
{
    size_t first = n_frames / 3, n = n_frames - first;
    float *y = random_floats(n * c->n_out, 1, 9), *out = random_floats(n * c->n_out, 1, 9);
    float *gelus = random_floats(n * c->n_out, 1, 9);
    ser_nn_pcm_conv_forward(y, half ? SER_BF16 : SER_F32, c, weights, pcm, first, n, SER_ACT_GELU);
    widen(out, y, half ? SER_BF16 : SER_F32, n * c->n_out);
    for (size_t t = 0; t < n; t++)
        for (size_t o = 0; o < c->n_out; o++)
            gelus[t * c->n_out + o] = (float)gelu(expected[o * n_frames + first + t]);
    check_close("pcm conv", out, gelus, n * c->n_out, half ? 8e-3 : 1e-4, 1e-5);
    check_guard(y, n * c->n_out);
    ser_free(y);
    ser_free(out);
    ser_free(gelus);
}

static void pcm_case(size_t n_out, size_t kernel, size_t stride, size_t n_frames, double level, double offset)
{
    ser_error err = {0};
    size_t n_samples = (n_frames - 1) * stride + kernel;
    float *w = random_floats(n_out * kernel, 0.3, 1), *bias = random_floats(n_out, 0.3, 2);
    float *scale = random_floats(n_out, 1, 3), *shift = random_floats(n_out, 1, 4);
    float *pcm = random_floats(n_samples, level, 5);
    double *expected = ser_alloc(n_out * n_frames, sizeof *expected);
    for (size_t i = 0; i < n_samples; i++)
        pcm[i] += (float)offset;
    ser_nn_pcm_conv c;
    CHECK_OK(ser_nn_pcm_conv_init(&c, w, bias, n_out, kernel, stride, &err), &err);
    float *folded = ser_alloc((kernel + 1) * c.n_columns, sizeof *folded);
    plain_pcm_conv(expected, w, bias, pcm, n_out, kernel, stride, n_frames);
    check_pcm(&c, c.weights, pcm, expected, n_frames, false);
    check_pcm(&c, c.weights, pcm, expected, n_frames, true);
    plain_group_norm(expected, scale, shift, n_out, n_frames);
    ser_nn_pcm_conv_fold(folded, &c, scale, shift, (float)epsilon, pcm, n_frames);
    check_pcm(&c, folded, pcm, expected, n_frames, false);
    ser_nn_pcm_conv_release(&c);
    ser_free(w);
    ser_free(bias);
    ser_free(scale);
    ser_free(shift);
    ser_free(pcm);
    ser_free(folded);
    ser_free(expected);
}

static void test_pcm_conv(void)
{
    pcm_case(32, 10, 5, 300, 1, 0);
    pcm_case(7, 10, 5, 30, 1, 0);
    pcm_case(48, 3, 4, 65, 0.01, 0);
    pcm_case(33, 32, 1, 100, 1, 0.5);
    pcm_case(16, 10, 5, 2, 1e-4, 0); /* quieter than epsilon */
    pcm_case(16, 10, 5, 3, 1, 0);
}

/* ---- positional convolution ---- */

static void grouped_case(const engine *e, size_t n_channels, size_t n_groups, size_t kernel, size_t n_frames)
{
    ser_error err = {0};
    size_t n = n_channels / n_groups, n_all = n_frames * n_channels;
    float *w = random_floats(n_channels * n * kernel, 1 / sqrt((double)(n * kernel)), 1);
    float *bias = random_floats(n_channels, 0.3, 2), *x = random_floats(n_all, 1, 3);
    float *y = random_floats(n_all, 1, 4),
          *expected[2] = {random_floats(n_all, 1, 5), random_floats(n_all, 1, 5)};
    for (size_t t = 0; t < n_frames; t++)
        for (size_t o = 0; o < n_channels; o++) {
            double sum = (double)bias[o];
            for (size_t i = 0; i < n; i++)
                for (size_t j = 0; j < kernel; j++) {
                    size_t at = t + j;
                    if (at >= kernel / 2 && at - kernel / 2 < n_frames)
                        sum += (double)w[(o * n + i) * kernel + j] *
                               (double)x[(at - kernel / 2) * n_channels + o / n * n + i];
                }
            expected[0][t * n_channels + o] = (float)sum;
            expected[1][t * n_channels + o] = (float)((double)x[t * n_channels + o] + gelu(sum));
        }
    ser_nn_grouped_conv c;
    CHECK_OK(ser_nn_grouped_conv_init(&c, e->ops, w, bias, n_channels, n_groups, kernel, &err), &err);
    for (int residual = 0; residual < 2; residual++)
        for (int threads = 0; threads < 2; threads++) {
            CHECK_OK(ser_nn_grouped_conv_forward(&c, threads ? e->work_of_two : e->work, y, x, n_frames,
                                                 residual, &err),
                     &err);
            /* In bf16, sums of magnitude 1 are of numbers that are off by 2^-9. */
            bool half = ser_nn_ops_type(e->ops) == SER_BF16;
            check_close("grouped conv", y, expected[residual], n_all, half ? 2e-2 : 1e-4, half ? 1e-2 : 1e-5);
            check_guard(y, n_all);
        }
    ser_nn_grouped_conv_release(&c);
    ser_free(w);
    ser_free(bias);
    ser_free(x);
    ser_free(y);
    ser_free(expected[0]);
    ser_free(expected[1]);
}

static void test_grouped_conv(const engine *e)
{
    grouped_case(e, 96, 2, 128, 300); /* 48 channels in a group: HuBERT base */
    grouped_case(e, 64, 1, 32, 9);
    grouped_case(e, 160, 2, 19, 33); /* 80: extra large */
    grouped_case(e, 20, 4, 7, 1);
    grouped_case(e, 12, 12, 1, 17);
    grouped_case(e, 17, 1, 8, 70);
}

/* ---- layer normalisation and GELU ---- */

static void layernorm_gelu_case(size_t n_rows, size_t dims, bool affine, bool half)
{
    size_t n = n_rows * dims;
    float *x = random_floats(n, 2, 1), *scale = random_floats(dims, 1, 2), *shift = random_floats(dims, 1, 3);
    float *y = random_floats(n, 1, 4), *out = random_floats(n, 1, 4), *expected = random_floats(n, 1, 5);
    for (size_t t = 0; t < n_rows; t++) {
        double mean = 0, variance = 0;
        for (size_t i = 0; i < dims; i++)
            mean += (double)x[t * dims + i] / (double)dims;
        for (size_t i = 0; i < dims; i++)
            variance += pow((double)x[t * dims + i] - mean, 2) / (double)dims;
        for (size_t i = 0; i < dims; i++) {
            double z = ((double)x[t * dims + i] - mean) / sqrt(variance + epsilon);
            expected[t * dims + i] = (float)gelu(affine ? z * (double)scale[i] + (double)shift[i] : z);
        }
    }
    ser_nn_layernorm_gelu_forward(y, half ? SER_BF16 : SER_F32, x, affine ? scale : NULL,
                                  affine ? shift : NULL, n_rows, dims, (float)epsilon);
    widen(out, y, half ? SER_BF16 : SER_F32, n);
    check_close("layernorm and gelu", out, expected, n, half ? 8e-3 : 1e-4, 1e-5);
    check_guard(y, n);
    ser_free(x);
    ser_free(scale);
    ser_free(shift);
    ser_free(y);
    ser_free(out);
    ser_free(expected);
}

/* ---- WavLM's position biases ---- */

/* modeling_wavlm.py, _relative_positions_bucket, in double. */
static size_t plain_bucket(long distance, size_t n_buckets, size_t max_distance)
{
    double n = (double)(n_buckets / 2), exact = floor(n / 2), far = (double)labs(distance);
    double bucket = far;
    if (far >= exact)
        bucket = fmin(
            n - 1, floor(exact + log(far / exact) / log((double)max_distance / exact) * (n - exact) + 1e-5));
    return (size_t)bucket + (distance > 0 ? n_buckets / 2 : 0);
}

static void test_position_table(void)
{
    enum { N_BUCKETS = 320, MAX_DISTANCE = 800, N_HEADS = 3, N_FRAMES = 1499 };
    float *embed = random_floats(N_BUCKETS * N_HEADS, 1, 1);
    float *table = random_floats(N_HEADS * (2 * N_FRAMES - 1), 1, 2);
    ser_nn_position_table(table, embed, N_BUCKETS, MAX_DISTANCE, N_HEADS, N_FRAMES);
    check_guard(table, N_HEADS * (2 * N_FRAMES - 1));
    size_t n_wrong = 0;
    for (long d = 1 - N_FRAMES; d < N_FRAMES; d++)
        for (size_t h = 0; h < N_HEADS; h++)
            n_wrong += table[h * (2 * N_FRAMES - 1) + (size_t)(d + N_FRAMES - 1)] !=
                       embed[plain_bucket(d, N_BUCKETS, MAX_DISTANCE) * N_HEADS + h];
    CHECK(n_wrong == 0);
    ser_free(embed);
    ser_free(table);
}

static void gates_case(size_t head_dims, bool half)
{
    enum { N_ROWS = 5, N_HEADS = 3 };
    size_t n = N_ROWS * N_HEADS * head_dims;
    float *w = random_floats(8 * head_dims, 0.3, 1), *bias = random_floats(8, 0.3, 2);
    float *constants = random_floats(N_HEADS, 1, 3), *x = random_floats(n, 1, 4);
    float gates[N_ROWS * N_HEADS], expected[N_ROWS * N_HEADS];
    uint16_t *typed = ser_alloc(n, sizeof *typed);
    if (half) {
        ser_nn_to_bf16(typed, x, n);
        round_to_bf16(x, n);
    }
    for (size_t i = 0; i < N_ROWS * N_HEADS; i++) {
        double sums[2] = {0};
        for (size_t r = 0; r < 8; r++) {
            sums[r / 4] += (double)bias[r];
            for (size_t k = 0; k < head_dims; k++)
                sums[r / 4] += (double)w[r * head_dims + k] * (double)x[i * head_dims + k];
        }
        double a = 1 / (1 + exp(-sums[0])), b = 1 / (1 + exp(-sums[1]));
        expected[i] = (float)(a * (b * (double)constants[i % N_HEADS] - 1) + 2);
    }
    ser_nn_position_gates(gates, half ? (const void *)typed : x, half ? SER_BF16 : SER_F32, w, bias,
                          constants, N_ROWS, N_HEADS, head_dims);
    check_close("gates", gates, expected, N_ROWS * N_HEADS, 1e-5, 1e-5);
    ser_free(w);
    ser_free(bias);
    ser_free(constants);
    ser_free(x);
    ser_free(typed);
}

/* Attention with biases, for queries in the middle of a recording; rows beyond its end among them. */
static void test_biased_attention(const engine *e)
{
    enum {
        N_FRAMES = 37,
        FIRST = 20,
        N_QUERIES = 20,
        HEADS = 2,
        D = 24,
        DIMS = HEADS * D,
        N_TABLE = 2 * N_FRAMES - 1
    };
    ser_error err = {0};
    ser_dtype type = ser_nn_ops_type(e->ops);
    float *x[3], out[N_QUERIES * DIMS], y[N_QUERIES * DIMS], expected[N_QUERIES * DIMS];
    void *in[3];
    for (size_t i = 0; i < 3; i++) {
        size_t n = (i ? ser_nn_round_rows(N_FRAMES) : N_QUERIES) * DIMS;
        x[i] = random_floats(n, 1, i + 1);
        in[i] = ser_alloc(n, sizeof(float));
        ser_nn_convert(in[i], type, x[i], n);
        widen(x[i], in[i], type, n);
    }
    float *table = random_floats(HEADS * N_TABLE, 1, 7), *gates = random_floats(N_QUERIES * HEADS, 1, 8);
    for (size_t t = 0; t < N_FRAMES - FIRST; t++)
        for (size_t h = 0; h < HEADS; h++) {
            double weights[N_FRAMES], sum = 0, values[D] = {0};
            for (size_t s = 0; s < N_FRAMES; s++) {
                double score = 0;
                for (size_t i = 0; i < D; i++)
                    score += (double)x[0][t * DIMS + h * D + i] * (double)x[1][s * DIMS + h * D + i];
                score /= sqrt(D);
                score +=
                    (double)gates[t * HEADS + h] * (double)table[h * N_TABLE + s + N_FRAMES - 1 - t - FIRST];
                sum += weights[s] = exp(score);
            }
            for (size_t s = 0; s < N_FRAMES; s++)
                for (size_t i = 0; i < D; i++)
                    values[i] += weights[s] / sum * (double)x[2][s * DIMS + h * D + i];
            for (size_t i = 0; i < D; i++)
                expected[t * DIMS + h * D + i] = (float)values[i];
        }
    ser_nn_attention shape = {N_QUERIES, N_FRAMES, HEADS, D, table, gates, FIRST};
    CHECK_OK(ser_nn_attention_forward(e->work, y, in[0], in[1], in[2], &shape, &err), &err);
    widen(out, y, type, N_QUERIES * DIMS);
    bool half = type == SER_BF16;
    check_close(e->name, out, expected, (N_FRAMES - FIRST) * DIMS, half ? 2e-2 : 1e-4, half ? 2e-2 : 1e-5);
    for (int i = 0; i < 3; i++) {
        ser_free(x[i]);
        ser_free(in[i]);
    }
    ser_free(table);
    ser_free(gates);
}

/* A kernel of 3 and a stride of 2, as all but the first and last convolutions over samples; ends in silence.
 */
static void strided_case(const engine *e, size_t n_frames, size_t first_row, size_t n_rows,
                         ser_activation act)
{
    enum { N_IN = 20, N_OUT = 24, K = 3 };
    ser_error err = {0};
    float *x = random_floats(n_frames * N_IN, 1, n_frames), *w = random_floats(N_OUT * N_IN * K, 0.2, 2);
    float *bias = random_floats(N_OUT, 1, 3), *y = random_floats(n_rows * N_OUT, 1, 4);
    float *expected = random_floats(n_rows * N_OUT, 1, 4);
    ser_tensor t = tensor_of(w, N_OUT, N_IN * K);
    ser_nn_conv1d c;
    CHECK_OK(
        ser_nn_conv1d_init(&c, e->ops, &t, NULL, bias, &(ser_nn_conv_shape){N_OUT, N_IN, K, 2, 0}, act, &err),
        &err);
    for (size_t r = 0; r < n_rows; r++)
        for (size_t o = 0; o < N_OUT; o++) {
            double sum = (double)bias[o];
            for (size_t j = 0; j < K; j++)
                for (size_t i = 0; i < N_IN && 2 * (first_row + r) + j < n_frames; i++)
                    sum +=
                        (double)w[(o * N_IN + i) * K + j] * (double)x[(2 * (first_row + r) + j) * N_IN + i];
            expected[r * N_OUT + o] = (float)(act == SER_ACT_GELU ? gelu(sum) : sum);
        }
    if (ser_nn_ops_type(e->ops) == SER_F32) {
        CHECK_OK(ser_nn_conv1d_forward(&c, e->work_of_two, y, SER_F32, x, SER_F32, n_frames, first_row,
                                       n_rows, &err),
                 &err);
        check_close(e->name, y, expected, n_rows * N_OUT, 1e-4, 2e-5);
        check_guard(y, n_rows * N_OUT);
    }
    ser_nn_conv1d_release(&c);
    ser_free(x);
    ser_free(w);
    ser_free(bias);
    ser_free(y);
    ser_free(expected);
}

static void check_engine(const engine *e)
{
    strided_case(e, 41, 0, 20, SER_ACT_GELU);
    strided_case(e, 41, 5, 15, SER_ACT_NONE);
    strided_case(e, 300, 64, 128, SER_ACT_GELU); /* rows beyond the last */
    strided_case(e, 3, 0, 1, SER_ACT_NONE);
    test_grouped_conv(e);
    test_biased_attention(e);
}

int main(void)
{
    test_pcm_conv();
    for (int half = 0; half < 2; half++) {
        layernorm_gelu_case(3, 512, true, half);
        layernorm_gelu_case(5, 49, true, half);
        layernorm_gelu_case(2, 7, false, half);
        gates_case(64, half);
        gates_case(80, half);
        gates_case(12, half);
    }
    test_position_table();
    with_each_engine(check_engine);
    return test_summary();
}
