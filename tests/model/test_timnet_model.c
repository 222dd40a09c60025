/* Ensembles of temporal networks: their answers, and their files. */
#include "base/memory.h"
#include "base/random.h"
#include "failures/failing.h"
#include "model/model_file.h"
#include "scratch.h"
#include "test.h"

#include <math.h>

enum { N_LABELS = 3, DIMS = 6, MAX_FRAMES = 4000 };

static ser_nn_ops *ops;
static ser_nn_work *nn;
static float x[MAX_FRAMES * DIMS];

static ser_timnet_shape small_shape(size_t n_in)
{
    ser_timnet_shape s = ser_timnet_default_shape(n_in, N_LABELS);
    s.n_filters = 8;
    s.n_dilations = 3;
    s.n_stacks = 1;
    return s;
}

static void init_member(ser_timnet_member *m, size_t n_in, uint64_t seed)
{
    ser_error err = {0};
    ser_random r;
    ser_random_init(&r, seed);
    const ser_timnet_shape shape = small_shape(n_in);
    CHECK_OK(ser_timnet_member_init(m, &shape, &err), &err);
    CHECK(m->temperature == 1 && m->scale[n_in - 1] == 1 && m->blocks == 0);
    ser_timnet_randomise(m->net, seed);
    for (size_t i = 0; i < n_in; i++) {
        m->mean[i] = (float)ser_random_normal(&r);
        m->scale[i] = (float)ser_random_between(&r, 0.5, 2);
    }
    m->temperature = 0.5f;
}

/* What the network itself answers to scaled frames. */
static void answer(const ser_timnet_member *m, const float *frames, size_t n_frames, float *logits)
{
    ser_error err = {0};
    ser_timnet_work *work = NULL;
    size_t n_in = m->net->shape.n_in;
    float *z = ser_alloc(n_frames * n_in, sizeof *z);
    for (size_t i = 0; i < n_frames * n_in; i++)
        z[i] = (frames[i] - m->mean[i % n_in]) * m->scale[i % n_in];
    const ser_timnet_batch batch = {1, (const float *const[]){z}, &n_frames};
    CHECK_OK(ser_timnet_work_new(&work, &m->net->shape, nn, false, &err), &err);
    CHECK_OK(ser_timnet_predict(m->net, work, &batch, logits, &err), &err);
    ser_timnet_work_free(&work);
    ser_free(z);
}

/* A network that reads 0.3 of one layer and 0.7 of another, each standardised, and a feature beside; written
 * out for whole frames it answers the same. */
static void test_expanded(void)
{
    enum { N_FRAMES = 9, N_SUMS = 3, WIDTH = 2, N_IN = 2 * WIDTH + 1 };
    const size_t sum[N_IN] = {0, 1, 2, 0, 1};
    const float weight[N_IN] = {0.3f, 0.3f, 1, 0.7f, 0.7f}, mean[N_IN] = {1, -1, 0.5f, 20, 0},
                scale[N_IN] = {1, 0.5f, 2, 0.1f, 0};
    const ser_timnet_sums sums = {.n_in = N_IN, .mean = mean, .scale = scale, .weight = weight, .sum = sum};
    float frames[N_FRAMES * N_IN], z[N_FRAMES * N_SUMS] = {0}, wanted[N_LABELS], got[N_LABELS];
    ser_error err = {0};
    ser_timnet_member m;
    ser_random r;
    ser_random_init(&r, 12);
    init_member(&m, N_SUMS, 5);
    m.condense.n_averaged = 8;
    for (size_t i = 0; i < N_FRAMES * N_IN; i++) {
        size_t f = i % N_IN;
        frames[i] = (float)(3 * ser_random_normal(&r));
        z[i / N_IN * N_SUMS + sum[f]] += weight[f] * (frames[i] - mean[f]) * scale[f];
    }
    answer(&m, z, N_FRAMES, wanted);
    for (long n = 0; n < 3; n++) {
        failing_at(n);
        CHECK(ser_timnet_member_expand(&m, &sums, &err) == SER_E_NOMEM && m.net->shape.n_in == N_SUMS);
    }
    failing_at(-1);
    CHECK_OK(ser_timnet_member_expand(&m, &sums, &err), &err);
    CHECK(m.net->shape.n_in == N_IN && m.temperature == 0.5f && m.condense.n_averaged == 8);
    answer(&m, frames, N_FRAMES, got);
    for (size_t k = 0; k < N_LABELS; k++)
        CHECK(fabsf(got[k] - wanted[k]) < 1e-5f);
    ser_timnet_member_release(&m);
}

/* With the scaling inside its weights, a network answers the same to frames as they are. */
static void test_unscaled(void)
{
    ser_error err = {0};
    ser_timnet_member scaled = {0}, plain = {0};
    float a[N_LABELS], b[N_LABELS];
    ser_random r;
    ser_random_init(&r, 3);
    for (size_t i = 0; i < 50 * DIMS; i++)
        x[i] = (float)ser_random_normal(&r);
    init_member(&scaled, DIMS, 3);
    init_member(&plain, DIMS, 4);
    answer(&plain, x, 50, a);
    answer(&scaled, x, 50, b);
    CHECK(fabsf(a[0] - b[0]) > 1e-4f);
    ser_timnet_free(&plain.net);
    CHECK_OK(ser_timnet_member_unscaled(&plain.net, &scaled, &err), &err);
    for (size_t i = 0; i < DIMS; i++) {
        plain.mean[i] = 0;
        plain.scale[i] = 1;
    }
    answer(&plain, x, 50, a);
    for (size_t i = 0; i < N_LABELS; i++)
        CHECK(fabsf(a[i] - b[i]) < 1e-5f);
    ser_timnet_member_release(&scaled);
    ser_timnet_member_release(&plain);
}

/* Many recordings, short and long, one after the other: each has the answer that it has alone. */
static void test_scores(void)
{
    enum { N = 150 };
    static const float *frames[N];
    static size_t n_frames[N];
    static float logits[N * N_LABELS], scores[N * N_LABELS];
    ser_error err = {0};
    ser_timnet_member members[2] = {0};
    ser_timnet_scorer *s = NULL;
    const ser_timnet_layout layout = {.dims = DIMS};
    ser_random r;
    ser_random_init(&r, 1);
    init_member(&members[0], DIMS, 1);
    init_member(&members[1], DIMS, 2);
    for (size_t i = 0; i < N; i++) {
        n_frames[i] = i == 3 ? 1501 : i == 140 ? MAX_FRAMES : 1 + ser_random_below(&r, 90);
        frames[i] = x + ser_random_below(&r, MAX_FRAMES - n_frames[i] + 1) * DIMS;
    }
    const ser_timnet_batch batch = {N, frames, n_frames};
    CHECK_OK(ser_timnet_scorer_new(&s, members, 2, &layout, nn, &err), &err);
    CHECK_OK(ser_timnet_score(s, &batch, scores, &err), &err);
    for (size_t i = 0; i < N; i++) {
        float expected[N_LABELS] = {0}, alone[N_LABELS];
        for (size_t m = 0; m < 2; m++) {
            float sum[N_LABELS] = {0};
            size_t n_windows = (n_frames[i] + SER_TIMNET_WINDOW - 1) / SER_TIMNET_WINDOW;
            for (size_t w = 0; w < n_windows; w++) {
                size_t from = n_frames[i] * w / n_windows, to = n_frames[i] * (w + 1) / n_windows;
                answer(&members[m], frames[i] + from * DIMS, to - from, alone);
                for (size_t l = 0; l < N_LABELS; l++)
                    sum[l] += alone[l] / (float)n_windows;
            }
            ser_softmax(sum, N_LABELS, 0.5f);
            for (size_t l = 0; l < N_LABELS; l++)
                expected[l] += sum[l] / 2;
        }
        check_close("scores", scores + i * N_LABELS, expected, N_LABELS, 1e-5, 1e-6);
    }
    answer(&members[1], frames[0], n_frames[0], scores);
    CHECK_OK(ser_timnet_logits(s, 1, &batch, logits, &err), &err);
    check_close("logits", logits, scores, N_LABELS, 1e-5, 1e-6);
    n_frames[7] = 0;
    CHECK_FAILS(ser_timnet_score(s, &batch, scores, &err), SER_E_ARG, &err, "recording 8 has no frames");
    n_frames[7] = 5;
    frames[7] = (const float[5 * DIMS]){[17] = NAN};
    CHECK_FAILS(ser_timnet_score(s, &batch, scores, &err), SER_E_FORMAT, &err, "recording 8 are not finite");
    ser_timnet_scorer_free(&s);
    ser_timnet_member_release(&members[0]);
    ser_timnet_member_release(&members[1]);
}

/* Frames of blocks of 1, 3 and 2 dims; the second member reads the first and last of them. */
static void test_blocks(void)
{
    ser_error err = {0};
    ser_timnet_member members[2] = {0};
    ser_timnet_scorer *s = NULL;
    ser_timnet_layout layout = {.dims = DIMS, .n_blocks = 3, .offset = {0, 1, 4}, .block_dims = {1, 3, 2}};
    init_member(&members[0], DIMS, 1);
    init_member(&members[1], 3, 2);
    members[1].blocks = 5;
    size_t n = 20;
    const ser_timnet_batch batch = {1, (const float *const[]){x}, &n};
    float picked[20 * 3], logits[N_LABELS], expected[N_LABELS];
    for (size_t t = 0; t < n; t++) {
        picked[3 * t] = x[t * DIMS];
        picked[3 * t + 1] = x[t * DIMS + 4];
        picked[3 * t + 2] = x[t * DIMS + 5];
    }
    CHECK_OK(ser_timnet_scorer_new(&s, members, 2, &layout, nn, &err), &err);
    CHECK_OK(ser_timnet_logits(s, 1, &batch, logits, &err), &err);
    answer(&members[1], picked, n, expected);
    check_close("blocks", logits, expected, N_LABELS, 1e-6, 1e-6);
    ser_timnet_scorer_free(&s);
    members[1].blocks = 6;
    CHECK_FAILS(ser_timnet_scorer_new(&s, members, 2, &layout, nn, &err), SER_E_FORMAT, &err,
                "network 2 takes 3 features");
    members[1].blocks = 8;
    CHECK_FAILS(ser_timnet_scorer_new(&s, members, 2, &layout, nn, &err), SER_E_FORMAT, &err, "network 2");
    CHECK(!s);
    members[1].blocks = 5;
    members[1].condense.n_averaged = 2;
    CHECK_FAILS(ser_timnet_scorer_new(&s, members, 2, &layout, nn, &err), SER_E_FORMAT, &err,
                "network 2 reads other frames");
    members[1].condense.n_averaged = 0;
    ser_status st = SER_E_NOMEM;
    for (long i = 0; st != SER_OK && i < 1000; i++) {
        failing_at(i);
        st = ser_timnet_scorer_new(&s, members, 2, &layout, nn, &err);
        CHECK(st == SER_OK || (st == SER_E_NOMEM && !s));
    }
    failing_at(-1);
    ser_timnet_scorer_free(&s);
    ser_timnet_member_release(&members[0]);
    ser_timnet_member_release(&members[1]);
}

/* ---- files ---- */

static void init_model(ser_model_data *m, bool with_linear)
{
    ser_error err = {0};
    *m = (ser_model_data){.n_labels = N_LABELS, .n_networks = 2};
    CHECK_OK(ser_feature_spec_parse(&m->spec, "LOGMEL", &err), &err);
    m->labels = ser_alloc(N_LABELS, sizeof *m->labels);
    m->labels[0] = ser_strdup("angry");
    m->labels[1] = ser_strdup("calm");
    m->labels[2] = ser_strdup("sad");
    m->networks = ser_alloc(2, sizeof *m->networks);
    init_member(&m->networks[0], 4, 1);
    init_member(&m->networks[1], DIMS, 2);
    m->networks[1].blocks = UINT64_C(1) << 63 | 1;
    m->networks[1].condense = (ser_condense){.n_averaged = 8, .trim = true};
    if (with_linear)
        CHECK_OK(ser_linear_init(&m->plain, 24, N_LABELS, &err), &err);
    m->plain.temperature = 2;
    m->provenance = ser_strdup("{}");
}

static bool same_member(const ser_timnet_member *a, const ser_timnet_member *b)
{
    size_t n_in = a->net->shape.n_in;
    return a->net->n_values == b->net->n_values && n_in == b->net->shape.n_in && a->blocks == b->blocks &&
           a->temperature == b->temperature && a->net->shape.dropout == b->net->shape.dropout &&
           a->condense.n_averaged == b->condense.n_averaged && a->condense.trim == b->condense.trim &&
           memcmp(a->net->values, b->net->values, a->net->n_values * sizeof(float)) == 0 &&
           memcmp(a->mean, b->mean, n_in * sizeof(float)) == 0 &&
           memcmp(a->scale, b->scale, n_in * sizeof(float)) == 0;
}

static ser_status read_model(ser_model_data *m, const char *name, ser_error *err)
{
    ser_safetensors *file = NULL;
    ser_status st = ser_safetensors_open(&file, scratch(name), err);
    if (st == SER_OK)
        st = ser_model_data_read(m, file, err);
    ser_safetensors_close(&file);
    return st;
}

static void test_file(bool with_linear)
{
    ser_error err = {0};
    ser_model_data m, read = {0};
    init_model(&m, with_linear);
    CHECK(strcmp(ser_model_data_type(&m), with_linear ? "linear+timnet" : "timnet") == 0);
    CHECK_OK(ser_model_data_write(&m, scratch("m.safetensors"), NULL, 0, &err), &err);
    CHECK_OK(read_model(&read, "m.safetensors", &err), &err);
    CHECK(read.n_networks == 2 && same_member(&m.networks[0], &read.networks[0]) &&
          same_member(&m.networks[1], &read.networks[1]));
    CHECK(read.plain.n_in == (with_linear ? 24 : 0) && read.n_labels == N_LABELS);
    CHECK(strcmp(ser_model_data_type(&read), ser_model_data_type(&m)) == 0);
    ser_model_data_release(&read);
    ser_status st = SER_E_NOMEM;
    for (long n = 0; st != SER_OK && n < 1000; n++) {
        failing_at(n);
        st = read_model(&read, "m.safetensors", &err);
        CHECK(st == SER_OK || (st == SER_E_NOMEM && !read.networks && !read.labels));
    }
    failing_at(-1);
    ser_model_data_release(&read);
    m.networks[1].temperature = -1;
    CHECK_OK(ser_model_data_write(&m, scratch("t.safetensors"), NULL, 0, &err), &err);
    CHECK_FAILS(read_model(&read, "t.safetensors", &err), SER_E_FORMAT, &err, "timnet.1.temperature");
    m.networks[1].temperature = 1;
    m.networks[1].net->values[5] = INFINITY;
    CHECK_OK(ser_model_data_write(&m, scratch("t.safetensors"), NULL, 0, &err), &err);
    CHECK_FAILS(read_model(&read, "t.safetensors", &err), SER_E_FORMAT, &err,
                "tensor 'timnet.1.forward.input.kernel' holds a value that is not finite");
    ser_model_data_release(&m);
}

/* The file of a model with this description of its networks, of this type. */
static void check_description(const char *networks, const char *type, const char *words)
{
    ser_error err = {0};
    ser_model_data read;
    static const float one = 1;
    const ser_tensor t = {.name = "one",
                          .dtype = SER_F32,
                          .n_dims = 1,
                          .dims = {1},
                          .n_elements = 1,
                          .data = &one,
                          .n_bytes = 4};
    const char *metadata[][2] = {
        {"ser.format_version", "1"},
        {"ser.model_type", type},
        {"ser.features", "{\"type\": \"LOGMEL\", \"layers\": [], \"hop_length\": 320, \"pad\": 0}"},
        {"ser.labels", "[\"angry\", \"calm\", \"sad\"]"},
        {"ser.networks", networks}};
    CHECK_OK(ser_safetensors_write(scratch("d.safetensors"), &t, 1, (const char *const(*)[2])metadata,
                                   networks ? 5 : 4, &err),
             &err);
    CHECK_FAILS(read_model(&read, "d.safetensors", &err), SER_E_FORMAT, &err, words);
    CHECK(!read.networks);
}

#define NETWORK(n_in, n_filters, activation, more)                                                           \
    "[{\"n_in\": " n_in ", \"n_filters\": " n_filters                                                        \
    ", \"kernel_size\": 3, \"n_dilations\": 2, \"n_stacks\": 1, \"activation\": \"" activation               \
    "\", \"dropout\": 0.1" more "}]"

static void test_descriptions(void)
{
    check_description(NULL, "linear", "'plain.weight' is missing");
    check_description(NULL, "timnet", "says that it is of type timnet");
    check_description("[]", "timnet", "no list of 1 to 64");
    check_description("{", "timnet", "not valid JSON");
    check_description("[1]", "timnet", "does not describe");
    check_description(NETWORK("1", "1", "cosine", ""), "timnet", "does not describe");
    check_description(NETWORK("-1", "1", "relu", ""), "timnet", "does not describe");
    check_description(NETWORK("1", "60000", "relu", ""), "timnet", "does not describe");
    check_description(NETWORK("99999999", "1", "relu", ""), "timnet", "does not describe");
    check_description(NETWORK("1", "1", "relu", ", \"blocks\": [64]"), "timnet", "does not describe");
    check_description(NETWORK("1", "1", "relu", ", \"blocks\": []"), "timnet", "does not describe");
    check_description(NETWORK("1", "1", "relu", ", \"blocks\": 1"), "timnet", "does not describe");
    check_description(NETWORK("1", "1", "relu", ", \"average\": 65"), "timnet", "does not describe");
    check_description(NETWORK("1", "1", "relu", ", \"trim\": 1"), "timnet", "does not describe");
}

int main(void)
{
    ser_error err = {0};
    ser_random r;
    ser_random_init(&r, 3);
    for (size_t i = 0; i < MAX_FRAMES * DIMS; i++)
        x[i] = (float)ser_random_normal(&r);
    scratch_make();
    CHECK_OK(ser_nn_ops_new(&ops, SER_ENGINE_ONEDNN, SER_PRECISION_FP32, &err), &err);
    CHECK_OK(ser_nn_work_new(&nn, ops, 1, &err), &err);
    test_unscaled();
    test_expanded();
    test_scores();
    test_blocks();
    test_file(false);
    test_file(true);
    test_descriptions();
    ser_nn_work_free(&nn);
    ser_nn_ops_free(&ops);
    scratch_remove();
    return test_summary();
}
