/* A tiny encoder with random weights against transformers, and all that can be wrong with a checkpoint. */
#include "base/sha256.h"
#include "base/text.h"
#include "base/threads.h"
#include "failures/failing.h"
#include "golden.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DIMS = 64, N_LAYERS = 2, MAX_SAMPLES = 16000, MAX_FRAMES = 50 };

static char tiny[1024], scratch[] = "/tmp/ser-test-encoder-XXXXXX";

static const char config_text[] =
    "{\"model_type\": \"whisper\", \"d_model\": 64, \"encoder_attention_heads\": 4, \"encoder_ffn_dim\": 64, "
    "\"encoder_layers\": 2, \"max_source_positions\": 50, \"num_mel_bins\": 40}";

static ser_status open_tiny(ser_encoder **e, ser_engine engine, ser_precision precision, ser_error *err)
{
    return ser_encoder_open(e, tiny, -1, engine, precision, err);
}

/* One recording with a work of its own. */
static ser_status run_once(const ser_encoder *e, int n_threads, float *hidden, const float *pcm,
                           size_t n_samples, size_t pad_samples, const int *wanted, size_t n_wanted,
                           ser_error *err)
{
    ser_encoder_work *w;
    ser_status status = ser_encoder_work_new(&w, e, n_threads, err);
    if (status == SER_OK)
        status = ser_encoder_run(e, w, hidden, pcm, n_samples, pad_samples, wanted, n_wanted, err);
    ser_encoder_work_free(&w);
    return status;
}

static void compare(const ser_encoder *e, ser_encoder_work *w, const char *name, size_t n_samples,
                    size_t pad_samples)
{
    ser_error err = {0};
    size_t n = ser_encoder_n_frames(e, pad_samples > n_samples ? pad_samples : n_samples) * DIMS;
    float *pcm = make_signal(n_samples), *hidden = ser_alloc(n, sizeof *hidden);
    for (int i = 0; i <= N_LAYERS; i++) {
        float *golden = read_golden(name, i, n);
        CHECK_OK(ser_encoder_run(e, w, hidden, pcm, n_samples, pad_samples, &i, 1, &err), &err);
        if (ser_encoder_precision(e) == SER_PRECISION_FP32)
            check_close(name, hidden, golden, n, 1e-4, 1e-4);
        else
            CHECK(cosine(hidden, golden, n) > 0.9998);
        ser_free(golden);
    }
    ser_free(pcm);
    ser_free(hidden);
}

/* One work for all lengths: what a longer recording left behind must not show. */
static void compare_all(const ser_encoder *e, int n_threads)
{
    ser_error err = {0};
    ser_encoder_work *w;
    CHECK_OK(ser_encoder_work_new(&w, e, n_threads, &err), &err);
    compare(e, w, "tiny_480", 480, 0);
    compare(e, w, "tiny_padded", 9500, MAX_SAMPLES);
    compare(e, w, "tiny_9500", 9500, 0);
    compare(e, w, "tiny_16000", 16000, 0);
    compare(e, w, "tiny_480", 480, 300);
    ser_encoder_work_free(&w);
}

static void test_golden(void)
{
    static const struct {
        ser_engine engine;
        ser_precision precision;
    } cases[] = {{SER_ENGINE_REF, SER_PRECISION_AUTO},
                 {SER_ENGINE_ONEDNN, SER_PRECISION_FP32},
                 {SER_ENGINE_ONEDNN, SER_PRECISION_BF16}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ser_error err = {0};
        ser_encoder *e;
        ser_status status = open_tiny(&e, cases[i].engine, cases[i].precision, &err);
        if (status == SER_E_UNSUPPORTED && cases[i].precision == SER_PRECISION_BF16)
            continue;
        CHECK_OK(status, &err);
        compare_all(e, 1);
        compare_all(e, 3);
        ser_encoder_close(&e);
    }
}

static void test_info(void)
{
    ser_error err = {0};
    ser_encoder *e;
    ser_encoder_info info;
    CHECK_OK(ser_encoder_open(&e, tiny, 1, SER_ENGINE_REF, SER_PRECISION_FP32, &err), &err);
    ser_encoder_get_info(e, &info);
    CHECK(strcmp(info.model_type, "whisper") == 0 && info.n_layers == 2 && info.n_loaded == 1);
    CHECK(info.dims == DIMS && info.max_samples == MAX_SAMPLES);
    /* Two convolutions, positions, one layer: four matrices with three biases, the feed-forward, two norms.
     */
    CHECK(info.n_parameters == 64 * 40 * 3 + 64 + 64 * 64 * 3 + 64 + 50 * 64 + 4 * 64 * 64 + 3 * 64 +
                                   2 * (64 * 64 + 64) + 2 * 2 * 64);
    CHECK(ser_encoder_n_frames(e, 59200) == 185 && ser_encoder_n_frames(e, 480) == 2);
    CHECK(ser_encoder_n_frames(e, 320) == 1 && ser_encoder_n_frames(e, 319) == 1 &&
          ser_encoder_n_frames(e, 159) == 0);
    ser_encoder_close(&e);
    CHECK(!e);
    ser_encoder_close(&e);
    CHECK_OK(open_tiny(&e, SER_ENGINE_REF, SER_PRECISION_FP32, &err), &err);
    ser_encoder_get_info(e, &info);
    CHECK(info.n_loaded == 2);
    ser_encoder_close(&e);
}

/* Without any transformer layer. */
static void test_stem_only(void)
{
    ser_error err = {0};
    ser_encoder *e;
    static const int stem = 0;
    float *pcm = make_signal(9500), *golden = read_golden("tiny_9500", 0, 30 * DIMS), hidden[30 * DIMS];
    CHECK_OK(ser_encoder_open(&e, tiny, 0, SER_ENGINE_ONEDNN, SER_PRECISION_FP32, &err), &err);
    CHECK_OK(run_once(e, 2, hidden, pcm, 9500, 0, &stem, 1, &err), &err);
    check_close("stem", hidden, golden, 30 * DIMS, 1e-4, 1e-4);
    ser_encoder_close(&e);
    ser_free(pcm);
    ser_free(golden);
}

/* Several hidden states side by side, in any order, twice the same. */
static void test_wanted(void)
{
    ser_error err = {0};
    ser_encoder *e;
    enum { N_FRAMES = 30, N_WANTED = 4 };
    static const int wanted[N_WANTED] = {2, 0, 1, 2};
    float *pcm = make_signal(9500), one[N_FRAMES * DIMS], all[N_FRAMES * N_WANTED * DIMS];
    CHECK_OK(open_tiny(&e, SER_ENGINE_ONEDNN, SER_PRECISION_FP32, &err), &err);
    CHECK_OK(run_once(e, 2, all, pcm, 9500, 0, wanted, N_WANTED, &err), &err);
    for (size_t j = 0; j < N_WANTED; j++) {
        CHECK_OK(run_once(e, 1, one, pcm, 9500, 0, &wanted[j], 1, &err), &err);
        for (size_t t = 0; t < N_FRAMES; t++)
            check_close("wanted", all + (t * N_WANTED + j) * DIMS, one + t * DIMS, DIMS, 1e-6, 1e-6);
    }
    ser_encoder_close(&e);
    ser_free(pcm);
}

/* The last layer computes no other frames: those that are asked for are the same by any number of threads,
 * but for the rounding of products that oneDNN computes otherwise for another number of rows on some
 * processors, and those of the layers below to the bit. No other rows are written. */
static void test_frames(void)
{
    enum { N_SAMPLES = 16000, FRAMES = 50, LAST = N_LAYERS };
    static const size_t ranges[][2] = {{0, 20}, {17, 34}, {30, SIZE_MAX}, {49, 50}, {60, 70}};
    static float all[2 * FRAMES * DIMS], part[2 * FRAMES * DIMS], untouched[DIMS];
    static const int wanted[] = {1, LAST};
    static const double rounding[] = {[SER_PRECISION_FP32] = 1e-5, [SER_PRECISION_BF16] = 3e-2};
    ser_error err = {0};
    ser_encoder *e = NULL;
    float *pcm = make_signal(N_SAMPLES);
    memset(untouched, 0xff, sizeof untouched);
    for (int precision = SER_PRECISION_FP32; precision <= SER_PRECISION_BF16; precision++)
        for (int n_threads = 1; n_threads <= 2; n_threads++) {
            ser_encoder_work *w = NULL;
            ser_status status = open_tiny(&e, SER_ENGINE_ONEDNN, (ser_precision)precision, &err);
            if (status == SER_E_UNSUPPORTED && precision == SER_PRECISION_BF16)
                continue; /* not every processor computes in it */
            CHECK_OK(status, &err);
            CHECK_OK(ser_encoder_work_new(&w, e, n_threads, &err), &err);
            CHECK(ser_encoder_n_frames(e, N_SAMPLES) == FRAMES);
            CHECK_OK(ser_encoder_run(e, w, all, pcm, N_SAMPLES, 0, wanted, 2, &err), &err);
            for (size_t r = 0; r < sizeof ranges / sizeof *ranges; r++) {
                size_t first = ranges[r][0], end = ranges[r][1] < FRAMES ? ranges[r][1] : FRAMES;
                memset(part, 0xff, sizeof part);
                CHECK_OK(ser_encoder_run_frames(e, w, part, pcm, N_SAMPLES, 0, first, ranges[r][1], wanted, 2,
                                                &err),
                         &err);
                for (size_t t = 0; t < FRAMES; t++) {
                    const float *whole = all + 2 * t * DIMS, *own = part + 2 * t * DIMS;
                    const bool asked = t >= first && t < end;
                    CHECK(memcmp(own, asked ? whole : untouched, DIMS * sizeof *all) == 0);
                    if (asked)
                        check_close("frames", own + DIMS, whole + DIMS, DIMS, rounding[precision],
                                    rounding[precision]);
                }
            }
            ser_encoder_work_free(&w);
            ser_encoder_close(&e);
        }
    ser_free(pcm);
}

static void test_run_refusals(void)
{
    ser_error err = {0};
    ser_encoder *e;
    float *pcm = make_signal(MAX_SAMPLES + 1), *hidden = ser_alloc(MAX_FRAMES * DIMS, sizeof *hidden);
    CHECK_OK(ser_encoder_open(&e, tiny, 1, SER_ENGINE_REF, SER_PRECISION_FP32, &err), &err);
    static const int good = 1, low = -1, high = 2;
    CHECK_FAILS(run_once(e, 1, hidden, pcm, MAX_SAMPLES + 1, 0, &good, 1, &err), SER_E_ARG, &err,
                "at most 16000");
    CHECK_FAILS(run_once(e, 1, hidden, pcm, 480, MAX_SAMPLES + 1, &good, 1, &err), SER_E_ARG, &err, "16001");
    CHECK_FAILS(run_once(e, 1, hidden, pcm, 480, 0, &low, 1, &err), SER_E_ARG, &err, "hidden state -1");
    CHECK_FAILS(run_once(e, 1, hidden, pcm, 480, 0, &high, 1, &err), SER_E_ARG, &err, "0 to 1");
    CHECK_FAILS(run_once(e, 1, hidden, pcm, 159, 0, &good, 1, &err), SER_E_ARG, &err, "too few");
    CHECK_OK(run_once(e, 1, hidden, pcm, MAX_SAMPLES, 0, &good, 1, &err), &err);
    ser_encoder_close(&e);
    ser_free(pcm);
    ser_free(hidden);
}

typedef struct crowd {
    const ser_encoder *e;
    const float *pcm, *expected;
} crowd;

static ser_status run_in_crowd(void *context, size_t item, int worker, ser_error *err)
{
    (void)worker;
    const crowd *c = context;
    static const int last = N_LAYERS;
    float hidden[MAX_FRAMES * DIMS];
    ser_status status = run_once(c->e, item % 2 ? 1 : 2, hidden, c->pcm, MAX_SAMPLES, 0, &last, 1, err);
    for (size_t i = 0; status == SER_OK && i < MAX_FRAMES * DIMS; i++)
        if (fabsf(hidden[i] - c->expected[i]) > 1e-6f * (1 + fabsf(c->expected[i])))
            status = ser_fail(err, SER_E_ARG, "element %zu is %g, expected %g", i, (double)hidden[i],
                              (double)c->expected[i]);
    return status;
}

static void test_crowd(void)
{
    ser_error err = {0};
    static const ser_precision precisions[] = {SER_PRECISION_FP32, SER_PRECISION_AUTO};
    for (int i = 0; i < 2; i++) {
        static const int last = N_LAYERS;
        static float expected[MAX_FRAMES * DIMS];
        ser_encoder *e;
        float *pcm = make_signal(MAX_SAMPLES);
        CHECK_OK(open_tiny(&e, SER_ENGINE_ONEDNN, precisions[i], &err), &err);
        CHECK_OK(run_once(e, 1, expected, pcm, MAX_SAMPLES, 0, &last, 1, &err), &err);
        crowd c = {e, pcm, expected};
        CHECK_OK(ser_parallel_for(4, 12, run_in_crowd, &c, &err), &err);
        ser_encoder_close(&e);
        ser_free(pcm);
    }
}

/* The checkpoint's tensors in memory, to write altered ones. */
typedef struct tensors {
    ser_safetensors *file;
    ser_tensor *items;
    float **data;
    char (*names)[128];
    size_t n;
} tensors;

static void tensors_init(tensors *t, const char *prefix)
{
    ser_error err = {0};
    char path[1100];
    snprintf(path, sizeof path, "%s/model.safetensors", tiny);
    CHECK_OK(ser_safetensors_open(&t->file, path, &err), &err);
    t->n = ser_safetensors_n(t->file);
    t->items = ser_alloc(t->n, sizeof *t->items);
    t->data = ser_alloc(t->n, sizeof *t->data);
    t->names = ser_alloc(t->n, sizeof *t->names);
    for (size_t i = 0; i < t->n; i++) {
        ser_tensor *to = &t->items[i];
        *to = *ser_safetensors_at(t->file, i);
        t->data[i] = ser_alloc(to->n_elements, sizeof(float));
        CHECK_OK(ser_tensor_to_f32(t->data[i], to, 0, to->n_elements, &err), &err);
        to->dtype = SER_F32;
        to->data = t->data[i];
        to->n_bytes = to->n_elements * sizeof(float);
        snprintf(t->names[i], sizeof t->names[i], "%s%s", prefix, to->name + strlen("model.encoder."));
        to->name = t->names[i];
    }
}

static void tensors_release(tensors *t)
{
    for (size_t i = 0; i < t->n; i++)
        ser_free(t->data[i]);
    ser_free(t->data);
    ser_free(t->items);
    ser_free(t->names);
    ser_safetensors_close(&t->file);
}

static size_t tensor_named(const tensors *t, const char *name)
{
    size_t i = 0;
    while (i < t->n && strcmp(t->names[i], name) != 0)
        i++;
    CHECK(i < t->n);
    return i;
}

static void write_file(const char *name, const void *bytes, size_t n)
{
    ser_error err = {0};
    char path[1100];
    snprintf(path, sizeof path, "%s/%s", scratch, name);
    CHECK_OK(ser_io_write(path, bytes, n, &err), &err);
}

static void write_config(const char *text)
{
    write_file("config.json", text, strlen(text));
}

static void write_tensors(const tensors *t)
{
    ser_error err = {0};
    char path[1100];
    snprintf(path, sizeof path, "%s/model.safetensors", scratch);
    CHECK_OK(ser_safetensors_write(path, t->items, t->n, NULL, 0, &err), &err);
}

static ser_status open_scratch(ser_error *err)
{
    ser_encoder *e;
    ser_status status = ser_encoder_open(&e, scratch, -1, SER_ENGINE_ONEDNN, SER_PRECISION_FP32, err);
    CHECK((status == SER_OK) == (e != NULL));
    if (e)
        compare_all(e, 1);
    ser_encoder_close(&e);
    return status;
}

/* F32 instead of F16, with each of the usual prefixes; no preprocessor_config.json. */
static void test_variants(void)
{
    ser_error err = {0};
    static const char *const prefixes[] = {"model.encoder.", "encoder.", ""};
    write_config(config_text);
    for (size_t i = 0; i < 3; i++) {
        tensors t;
        tensors_init(&t, prefixes[i]);
        write_tensors(&t);
        CHECK_OK(open_scratch(&err), &err);
        tensors_release(&t);
    }
}

static void test_bad_tensors(void)
{
    ser_error err = {0};
    tensors t;
    tensors_init(&t, "model.encoder.");
    write_config(config_text);
    ser_tensor *q = &t.items[tensor_named(&t, "model.encoder.layers.1.self_attn.q_proj.weight")];
    ser_tensor *bias = &t.items[tensor_named(&t, "model.encoder.layers.0.fc1.bias")];
    ser_tensor *stem = &t.items[tensor_named(&t, "model.encoder.conv1.weight")];
    const ser_tensor whole = *q;

    q->dims[0] = 32;
    q->dims[1] = 128;
    write_tensors(&t);
    CHECK_FAILS(open_scratch(&err), SER_E_FORMAT, &err, "q_proj.weight' has the shape (32, 128)");
    CHECK(strstr(err.text, "asks for (64, 64)") && strncmp(err.text, "model.safetensors: ", 19) == 0);
    q->n_dims = 1;
    q->dims[0] = 64 * 64;
    write_tensors(&t);
    CHECK_FAILS(open_scratch(&err), SER_E_FORMAT, &err, "(4096)");
    *q = whole;

    q->dtype = SER_I32;
    write_tensors(&t);
    CHECK_FAILS(open_scratch(&err), SER_E_UNSUPPORTED, &err, "q_proj.weight");
    q->dtype = SER_I8;
    q->n_bytes = q->n_elements;
    write_tensors(&t);
    CHECK_FAILS(open_scratch(&err), SER_E_FORMAT, &err, "no scales");
    *q = whole;

    q->name = "model.encoder.something";
    bias->name = "model.encoder.another";
    write_tensors(&t);
    CHECK_FAILS(open_scratch(&err), SER_E_FORMAT, &err, "2 tensors are missing");
    CHECK(strstr(err.text, "'model.encoder.layers.0.fc1.bias'") &&
          strstr(err.text, "'model.encoder.layers.1.self_attn.q_proj.weight'"));
    stem->name = "model.decoder.conv1.weight";
    write_tensors(&t);
    CHECK_FAILS(open_scratch(&err), SER_E_FORMAT, &err, "conv1.weight' is missing");
    tensors_release(&t);
}

/* What DataParallel, torch.compile, Lightning and people's own classes put before the names. */
static void test_other_prefixes(void)
{
    ser_error err = {0};
    static const char *const prefixes[] = {"module.", "module.model.encoder.", "_orig_mod.encoder.",
                                           "model.model.encoder.", "net.whisper.encoder."};
    write_config(config_text);
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        tensors t;
        tensors_init(&t, prefixes[i]);
        write_tensors(&t);
        CHECK_OK(open_scratch(&err), &err);
        tensors_release(&t);
    }
    tensors t;
    tensors_init(&t, "teacher.");
    ser_tensor twice[4] = {t.items[tensor_named(&t, "teacher.conv1.weight")],
                           t.items[tensor_named(&t, "teacher.conv2.weight")]};
    twice[2] = twice[0], twice[3] = twice[1];
    twice[2].name = "student.conv1.weight";
    twice[3].name = "student.conv2.weight";
    tensors few = {.items = twice, .n = 4};
    write_tensors(&few);
    CHECK_FAILS(open_scratch(&err), SER_E_UNSUPPORTED, &err,
                "it holds more than one encoder, 'student.' and 'teacher.': save one alone");
    twice[2].name = "encoder.blocks.0.attn.query.weight";
    write_tensors(&few);
    CHECK_FAILS(open_scratch(&err), SER_E_UNSUPPORTED, &err, "it is Whisper as OpenAI keeps it");
    tensors_release(&t);
}

/* Weights that are no numbers, in each kind of module, and those that are too large. */
static void test_values(void)
{
    ser_error err = {0};
    static const char *const names[] = {"conv1.weight",           "conv2.bias",
                                        "embed_positions.weight", "layers.0.fc1.weight",
                                        "layers.1.fc2.bias",      "layers.1.final_layer_norm.weight",
                                        "layer_norm.bias"};
    static const float odd[] = {NAN, INFINITY, -INFINITY};
    tensors t;
    tensors_init(&t, "");
    write_config(config_text);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t k = tensor_named(&t, names[i]), at = t.items[k].n_elements - 1;
        float kept = t.data[k][at];
        t.data[k][at] = odd[i % 3];
        write_tensors(&t);
        CHECK_FAILS(open_scratch(&err), SER_E_FORMAT, &err, "holds what is no finite number");
        CHECK(strstr(err.text, names[i]) && strncmp(err.text, "model.safetensors: ", 19) == 0);
        t.data[k][at] = kept;
    }
    size_t k = tensor_named(&t, "layers.1.final_layer_norm.weight");
    for (size_t i = 0; i < t.items[k].n_elements; i++)
        t.data[k][i] = 3e38f;
    write_tensors(&t);
    ser_encoder *e;
    int last = N_LAYERS;
    float *pcm = make_signal(1600), hidden[5 * DIMS];
    CHECK_OK(ser_encoder_open(&e, scratch, -1, SER_ENGINE_ONEDNN, SER_PRECISION_FP32, &err), &err);
    CHECK_FAILS(run_once(e, 1, hidden, pcm, 1600, 0, &last, 1, &err), SER_E_FORMAT, &err,
                "hidden states are no finite numbers");
    ser_encoder_close(&e);
    ser_free(pcm);
    tensors_release(&t);
}

static void test_truncated(void)
{
    ser_error err = {0};
    char path[1100];
    snprintf(path, sizeof path, "%s/model.safetensors", tiny);
    ser_bytes bytes;
    CHECK_OK(ser_io_read(&bytes, path, 0, &err), &err);
    write_config(config_text);
    static const size_t shorter_by[] = {1, 1000, 100000};
    for (size_t i = 0; i < 3; i++) {
        write_file("model.safetensors", bytes.data, bytes.n - shorter_by[i]);
        CHECK(open_scratch(&err) == SER_E_FORMAT && strncmp(err.text, "model.safetensors: ", 19) == 0);
    }
    write_file("model.safetensors", bytes.data, 5);
    CHECK(open_scratch(&err) == SER_E_FORMAT);
    write_file("model.safetensors", bytes.data, bytes.n);
    CHECK_OK(open_scratch(&err), &err);
    ser_bytes_release(&bytes);
}

/* The config with one piece of it replaced. */
static void check_config(const char *from, const char *to, ser_status expected, const char *words)
{
    ser_error err = {0};
    const char *at = strstr(config_text, from);
    CHECK(at != NULL);
    ser_text text = {0};
    ser_text_append_n(&text, config_text, (size_t)(at - config_text));
    ser_text_append(&text, to);
    ser_text_append(&text, at + strlen(from));
    write_config(text.s);
    CHECK_FAILS(open_scratch(&err), expected, &err, words);
    ser_text_release(&text);
}

static void test_bad_config(void)
{
    ser_error err = {0};
    check_config("\"whisper\"", "\"bert\"", SER_E_UNSUPPORTED,
                 "'bert' cannot be used: supported: whisper, hubert, wav2vec2, wavlm, data2vec-audio");
    check_config("\"model_type\": \"whisper\", ", "", SER_E_FORMAT, "'model_type' is missing");
    check_config("\"model_type\": \"whisper\"", "\"model_type\": 3", SER_E_FORMAT, "config.json: ");
    check_config("\"d_model\": 64, ", "", SER_E_FORMAT, "'d_model' is missing");
    check_config("\"d_model\": 64", "\"d_model\": 64.5", SER_E_FORMAT, "no whole number");
    check_config("\"d_model\": 64", "\"d_model\": \"64\"", SER_E_FORMAT, "no whole number");
    check_config("\"d_model\": 64", "\"d_model\": 0", SER_E_UNSUPPORTED, "'d_model' is 0");
    check_config("\"d_model\": 64", "\"d_model\": -64", SER_E_UNSUPPORTED, "'d_model' is -64");
    check_config("\"d_model\": 64", "\"d_model\": 1000000", SER_E_UNSUPPORTED, "1000000");
    check_config("\"d_model\": 64", "\"d_model\": 99999999999999999999", SER_E_FORMAT, "config.json");
    check_config("\"d_model\": 64", "\"d_model\": 128", SER_E_FORMAT, "asks for (128, 40, 3)");
    check_config("\"d_model\": 64", "\"d_model\": 64, \"d_model\": 64", SER_E_FORMAT, "config.json");
    check_config("_heads\": 4", "_heads\": 5", SER_E_FORMAT, "64 cannot be divided among 5");
    check_config("\"encoder_layers\": 2", "\"encoder_layers\": 3", SER_E_FORMAT,
                 "layers.2.self_attn_layer_norm");
    check_config("\"encoder_layers\": 2", "\"encoder_layers\": 65", SER_E_UNSUPPORTED, "1 to 64");
    check_config("\"num_mel_bins\": 40", "\"num_mel_bins\": 80", SER_E_FORMAT, "(64, 80, 3)");
    check_config("_positions\": 50", "_positions\": 49", SER_E_FORMAT, "(49, 64)");
    check_config("{\"model_type\"", "{\"activation_function\": \"relu\", \"model_type\"", SER_E_UNSUPPORTED,
                 "'relu'");
    check_config("{\"model_type\"", "[\"model_type\"", SER_E_FORMAT, "config.json: it is no JSON object");
    check_config(config_text, "[1]", SER_E_FORMAT, "it is no JSON object (something else)");
    write_config(config_text);
    CHECK_OK(open_scratch(&err), &err);
    write_file("preprocessor_config.json", "{\"feature_size\": 80}", 20);
    CHECK_FAILS(open_scratch(&err), SER_E_UNSUPPORTED, &err,
                "preprocessor_config.json: 'feature_size' is not 40");
    write_file("preprocessor_config.json", "{\"hop_length\": \"160\"}", 21);
    CHECK_FAILS(open_scratch(&err), SER_E_UNSUPPORTED, &err, "'hop_length'");
    write_file("preprocessor_config.json", "{", 1);
    CHECK_FAILS(open_scratch(&err), SER_E_FORMAT, &err, "preprocessor_config.json: ");
    write_file("preprocessor_config.json", "{}", 2);
    CHECK_OK(open_scratch(&err), &err);
}

static void test_open_refusals(void)
{
    ser_error err = {0};
    ser_encoder *e;
    CHECK_FAILS(ser_encoder_open(&e, "/nonexistent", -1, SER_ENGINE_REF, SER_PRECISION_FP32, &err), SER_E_IO,
                &err, "config.json: it cannot be opened");
    CHECK(!e);
    CHECK_FAILS(ser_encoder_open(&e, "/", -1, SER_ENGINE_REF, SER_PRECISION_FP32, &err), SER_E_IO, &err,
                "config.json: there is none in this folder");
    CHECK_FAILS(ser_encoder_open(&e, tiny, 3, SER_ENGINE_REF, SER_PRECISION_FP32, &err), SER_E_ARG, &err,
                "layer 3 does not exist");
    CHECK_FAILS(ser_encoder_open(&e, tiny, 2, SER_ENGINE_REF, SER_PRECISION_INT8, &err), SER_E_UNSUPPORTED,
                &err, "fp32");
    CHECK_FAILS(ser_encoder_open(&e, tiny, 2, SER_ENGINE_REF, SER_PRECISION_BF16, &err), SER_E_UNSUPPORTED,
                &err, "fp32");
    CHECK(ser_encoder_open(&e, tiny, 3, SER_ENGINE_REF, SER_PRECISION_FP32, NULL) == SER_E_ARG);
}

/* What cannot be opened is not called missing, whatever lies beside it. */
static void test_closed_config(void)
{
    ser_error err = {0};
    char path[1100];
    write_file("tf_model.h5", "x", 1);
    snprintf(path, sizeof path, "%s/config.json", scratch);
    unlink(path);
    CHECK(symlink("config.json", path) == 0); /* leads to itself */
    CHECK_FAILS(open_scratch(&err), SER_E_IO, &err, strerror(ELOOP));
    unlink(path);
    CHECK_FAILS(open_scratch(&err), SER_E_UNSUPPORTED, &err, "no config.json beside them");
    snprintf(path, sizeof path, "%s/tf_model.h5", scratch);
    unlink(path);
    write_config(config_text);
}

static void test_sha256(void)
{
    ser_error err = {0};
    char path[1100], expected[65], hex[65] = "";
    snprintf(path, sizeof path, "%s/model.safetensors", tiny);
    ser_bytes bytes;
    ser_sha256 h;
    ser_encoder *e;
    CHECK_OK(ser_io_read(&bytes, path, 0, &err), &err);
    ser_sha256_init(&h);
    ser_sha256_add(&h, bytes.data, bytes.n);
    ser_sha256_finish(&h, expected);
    CHECK_OK(open_tiny(&e, SER_ENGINE_REF, SER_PRECISION_AUTO, &err), &err);
    CHECK_OK(ser_encoder_sha256(e, hex, &err), &err);
    CHECK(strcmp(hex, expected) == 0);
    ser_encoder_close(&e);
    ser_bytes_release(&bytes);
}

/* Exported, written, opened from the tensors with a prefix: 8 bits lose little, and the other way around
 * nothing more. */
static void test_export(void)
{
    ser_error err = {0};
    char path[1100];
    ser_tensor *exported;
    size_t n;
    CHECK_OK(ser_encoder_export(&exported, &n, tiny, 1, "encoder/", &err), &err);
    CHECK(n == 2 * 3 + 1 + 4 * 2 + 3 + 2 * 2 +
                   2 * 3); /* convolutions, positions, attention, norms, feed-forward */
    size_t n_bytes = 0;
    for (size_t i = 0; i < n; i++) {
        CHECK(strncmp(exported[i].name, "encoder/", 8) == 0);
        n_bytes += exported[i].n_bytes;
    }
    CHECK(n_bytes < 64 * 64 * (3 + 2 + 4 + 2) + 50 * 64 * 2 + 8000);
    snprintf(path, sizeof path, "%s/exported.safetensors", scratch);
    CHECK_OK(ser_safetensors_write(path, exported, n, NULL, 0, &err), &err);
    ser_encoder_free_export(exported, n);
    ser_safetensors *file;
    ser_encoder *e;
    char hex[65];
    CHECK_OK(ser_safetensors_open(&file, path, &err), &err);
    CHECK_FAILS(
        ser_encoder_open_tensors(&e, file, "x", config_text, 1, SER_ENGINE_REF, SER_PRECISION_FP32, &err),
        SER_E_FORMAT, &err, "conv1.weight' is missing");
    CHECK_FAILS(
        ser_encoder_open_tensors(&e, file, "encoder/", "{", 1, SER_ENGINE_REF, SER_PRECISION_FP32, &err),
        SER_E_FORMAT, &err, "JSON");
    CHECK_FAILS(ser_encoder_open_tensors(&e, file, "encoder/", config_text, 2, SER_ENGINE_REF,
                                         SER_PRECISION_FP32, &err),
                SER_E_FORMAT, &err, "encoder/layers.1.");
    static const ser_engine engines[] = {SER_ENGINE_REF, SER_ENGINE_ONEDNN};
    float *pcm = make_signal(9500), *golden = read_golden("tiny_9500", 1, 30 * DIMS), hidden[2][30 * DIMS];
    for (int i = 0; i < 2; i++) {
        static const int wanted = 1;
        CHECK_OK(ser_encoder_open_tensors(&e, file, "encoder/", config_text, 1, engines[i],
                                          SER_PRECISION_FP32, &err),
                 &err);
        CHECK_OK(run_once(e, 1, hidden[i], pcm, 9500, 0, &wanted, 1, &err), &err);
        CHECK(cosine(hidden[i], golden, 30 * DIMS) > 0.9998);
        CHECK_FAILS(ser_encoder_sha256(e, hex, &err), SER_E_UNSUPPORTED, &err, "no hash");
        ser_encoder_close(&e);
    }
    check_close("engines", hidden[1], hidden[0], 30 * DIMS, 1e-4, 1e-4);
    ser_safetensors_close(&file);
    ser_free(pcm);
    ser_free(golden);
}

static void test_export_refusals(void)
{
    ser_error err = {0};
    ser_tensor *exported;
    size_t n;
    static const float bad[] = {NAN, INFINITY, 1e6f};
    static const char *const names[] = {"model.encoder.conv2.weight", "model.encoder.layers.0.fc1.weight",
                                        "model.encoder.layers.0.fc1.bias"};
    tensors t;
    tensors_init(&t, "model.encoder.");
    write_config(config_text);
    for (size_t i = 0; i < 3; i++) {
        float *x = &t.data[tensor_named(&t, names[i])][5], good = *x;
        *x = bad[i];
        write_tensors(&t);
        CHECK_FAILS(ser_encoder_export(&exported, &n, scratch, -1, "", &err), SER_E_FORMAT, &err, names[i]);
        CHECK(!exported && n == 0);
        *x = good;
    }
    float *bias = t.data[tensor_named(&t, "model.encoder.layers.0.fc1.bias")];
    static const float values[] = {0,        -0.0f,      65504,    65519,        -1,
                                   0x1p-24f, 0x1.8p-24f, 0x1p-14f, 0x1.ff8p-15f, 0x1.001p0f};
    static const uint16_t halves[] = {0, 0x8000, 0x7bff, 0x7bff, 0xbc00, 1, 2, 0x0400, 0x03ff, 0x3c00};
    memcpy(bias, values, sizeof values);
    write_tensors(&t);
    CHECK_OK(ser_encoder_export(&exported, &n, scratch, -1, "", &err), &err);
    for (size_t i = 0; i < n; i++)
        if (strcmp(exported[i].name, "layers.0.fc1.bias") == 0)
            CHECK(memcmp(exported[i].data, halves, sizeof halves) == 0);
    ser_encoder_free_export(exported, n);
    tensors_release(&t);
    char prefix[200];
    memset(prefix, 'x', sizeof prefix - 1);
    prefix[sizeof prefix - 1] = 0;
    CHECK_FAILS(ser_encoder_export(&exported, &n, tiny, 1, prefix, &err), SER_E_ARG, &err, "prefix");
    CHECK_FAILS(ser_encoder_export(&exported, &n, "/nonexistent", 1, "", &err), SER_E_IO, &err,
                "config.json");
}

/* Every allocation of the calling thread fails once. */
static void test_out_of_memory(void)
{
    ser_error err = {0};
    float *pcm = make_signal(9500), hidden[MAX_FRAMES * DIMS];
    static const int last = N_LAYERS;
    ser_status status = SER_E_NOMEM;
    long n = 0;
    for (; status == SER_E_NOMEM; n++) {
        ser_encoder *e = NULL;
        failing_at(n);
        status = open_tiny(&e, SER_ENGINE_ONEDNN, SER_PRECISION_AUTO, &err);
        if (status == SER_OK)
            status = run_once(e, 2, hidden, pcm, 9500, MAX_SAMPLES, &last, 1, &err);
        failing_at(-1);
        ser_encoder_close(&e);
    }
    CHECK(status == SER_OK && n > 20);
    status = SER_E_NOMEM;
    for (n = 0; status == SER_E_NOMEM; n++) {
        ser_tensor *exported = NULL;
        size_t n_exported = 0;
        failing_at(n);
        status = ser_encoder_export(&exported, &n_exported, tiny, -1, "", &err);
        failing_at(-1);
        CHECK((status == SER_OK) == (exported != NULL));
        ser_encoder_free_export(exported, n_exported);
    }
    CHECK(status == SER_OK && n > 5);
    ser_free(pcm);
}

static void remove_scratch(void)
{
    static const char *const names[] = {"config.json", "model.safetensors", "preprocessor_config.json",
                                        "exported.safetensors"};
    char path[1100];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", scratch, names[i]);
        unlink(path);
    }
    rmdir(scratch);
}

int main(void)
{
    snprintf(tiny, sizeof tiny, "%s/golden/encoder/tiny", getenv("SER_TEST_DIR"));
    if (!mkdtemp(scratch))
        return EXIT_FAILURE;
    test_golden();
    test_info();
    test_stem_only();
    test_wanted();
    test_frames();
    test_run_refusals();
    test_crowd();
    test_variants();
    test_bad_tensors();
    test_other_prefixes();
    test_values();
    test_truncated();
    test_bad_config();
    test_open_refusals();
    test_closed_config();
    test_sha256();
    test_export();
    test_export_refusals();
    test_out_of_memory();
    remove_scratch();
    return test_summary();
}
