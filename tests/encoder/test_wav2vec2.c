/* Tiny relatives of wav2vec 2.0 with random weights against transformers
 * (tools/make_golden_encoder_family.py), and what can be wrong with their checkpoints. */
#include "base/text.h"
#include "failures/failing.h"
#include "golden.h"
#include "golden_tensors.h"

#include <unistd.h>

enum { DIMS = 48, N_LAYERS = 2, MAX_FRAMES = 49 };

static const char *const members[] = {"hubert_base",   "hubert_large",  "hubert_plain",
                                      "wav2vec2_base", "wav2vec2_xlsr", "wavlm_base",
                                      "wavlm_large",   "data2vec",      "hubert_base_bin"};
enum { N_MEMBERS = sizeof members / sizeof *members, N_WITH_STATES = N_MEMBERS - 1 };
static const size_t lengths[] = {16000, 400,
                                 6000}; /* the longest first: what it leaves behind must not show */
static const size_t n_frames[] = {49, 1, 18};

static char scratch[] = "/tmp/ser-test-wav2vec2-XXXXXX";

static void folder_of(char folder[1024], const char *member)
{
    snprintf(folder, 1024, "%s/golden/encoder/%s", getenv("SER_TEST_DIR"), member);
}

static void compare_state(const char *member, const ser_encoder *e, const float *hidden,
                          const float *expected, size_t n)
{
    if (ser_encoder_precision(e) == SER_PRECISION_FP32) {
        check_close(member, hidden, expected, n, 1e-4, 2e-4);
    } else {
        double c = cosine(hidden, expected, n);
        double lowest = ser_encoder_precision(e) == SER_PRECISION_INT8 ? 0.995 : 0.999;
        if (!(c > lowest))
            fprintf(stderr, "%s: cosine %.6f\n", member, c);
        CHECK(c > lowest);
    }
}

/* All lengths with one work, all hidden states. */
static void compare(const char *member, const ser_encoder *e, int n_threads)
{
    ser_error err = {0};
    ser_encoder_work *w;
    char path[256];
    static float hidden[MAX_FRAMES * DIMS];
    bool is_copy = strcmp(member, "hubert_base_bin") == 0;
    snprintf(path, sizeof path, "encoder/%s/states.safetensors", is_copy ? "hubert_base" : member);
    ser_safetensors *states = open_golden(path);
    CHECK_OK(ser_encoder_work_new(&w, e, n_threads, &err), &err);
    for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++) {
        float *pcm = make_signal(lengths[k]);
        CHECK(ser_encoder_n_frames(e, lengths[k]) == n_frames[k]);
        for (int i = 0; i <= N_LAYERS; i++) {
            char name[64];
            size_t n = 0;
            snprintf(name, sizeof name, "state_%d_%zu", i, lengths[k]);
            float *expected = golden(states, name, &n, NULL);
            CHECK(n == n_frames[k] * DIMS);
            CHECK_OK(ser_encoder_run(e, w, hidden, pcm, lengths[k], 0, &i, 1, &err), &err);
            compare_state(member, e, hidden, expected, n);
            ser_free(expected);
        }
        ser_free(pcm);
    }
    ser_encoder_work_free(&w);
    ser_safetensors_close(&states);
}

static void test_golden(void)
{
    static const struct {
        ser_engine engine;
        ser_precision precision;
    } cases[] = {{SER_ENGINE_REF, SER_PRECISION_AUTO},
                 {SER_ENGINE_ONEDNN, SER_PRECISION_FP32},
                 {SER_ENGINE_ONEDNN, SER_PRECISION_BF16},
                 {SER_ENGINE_ONEDNN, SER_PRECISION_INT8}};
    for (size_t m = 0; m < N_MEMBERS; m++)
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            ser_error err = {0};
            ser_encoder *e;
            char folder[1024];
            folder_of(folder, members[m]);
            ser_status status = ser_encoder_open(&e, folder, -1, cases[i].engine, cases[i].precision, &err);
            if (status == SER_E_UNSUPPORTED && cases[i].precision >= SER_PRECISION_BF16)
                continue;
            CHECK_OK(status, &err);
            if (!e)
                continue;
            compare(members[m], e, 1);
            compare(members[m], e, 3);
            ser_encoder_close(&e);
        }
}

static void test_info(void)
{
    ser_error err = {0};
    ser_encoder *e;
    ser_encoder_info info;
    char folder[1024];
    folder_of(folder, "data2vec");
    CHECK_OK(ser_encoder_open(&e, folder, 1, SER_ENGINE_REF, SER_PRECISION_FP32, &err), &err);
    ser_encoder_get_info(e, &info);
    CHECK(strcmp(info.model_type, "data2vec-audio") == 0 && info.n_layers == 2 && info.n_loaded == 1);
    CHECK(info.dims == DIMS && info.max_samples == 480000);
    CHECK(ser_encoder_n_frames(e, 399) == 0 && ser_encoder_n_frames(e, 719) == 1 &&
          ser_encoder_n_frames(e, 720) == 2 && ser_encoder_n_frames(e, 480000) == 1499);
    ser_encoder_close(&e);
}

/* Frames 30 s apart meet in one recording; states side by side; fewer layers loaded than there are. */
static void test_long(void)
{
    ser_error err = {0};
    ser_encoder *e;
    ser_encoder_work *w[2];
    char folder[1024];
    enum { N_SAMPLES = 480000, N_FRAMES = 1499 };
    static const int wanted[] = {1, 0};
    static float hidden[2][N_FRAMES * 2 * DIMS];
    float *pcm = make_signal(N_SAMPLES);
    folder_of(folder, "wavlm_large");
    CHECK_OK(ser_encoder_open(&e, folder, 1, SER_ENGINE_ONEDNN, SER_PRECISION_FP32, &err), &err);
    for (int i = 0; i < 2; i++) {
        CHECK_OK(ser_encoder_work_new(&w[i], e, i + 1, &err), &err);
        CHECK_OK(ser_encoder_run(e, w[i], hidden[i], pcm, N_SAMPLES, 0, wanted, 2, &err), &err);
        ser_encoder_work_free(&w[i]);
    }
    CHECK(memcmp(hidden[0], hidden[1], sizeof hidden[0]) == 0);
    ser_encoder_close(&e);
    ser_free(pcm);
}

/* ---- other spellings, and damage ---- */

typedef struct checkpoint {
    ser_safetensors *file;
    ser_tensor *items;
    char (*names)[160];
    size_t n;
} checkpoint;

static void checkpoint_init(checkpoint *c, const char *member, const char *prefix)
{
    char path[256];
    snprintf(path, sizeof path, "encoder/%s/model.safetensors", member);
    c->file = open_golden(path);
    c->n = ser_safetensors_n(c->file);
    c->items = ser_alloc(c->n, sizeof *c->items);
    c->names = ser_alloc(c->n, sizeof *c->names);
    for (size_t i = 0; i < c->n; i++) {
        c->items[i] = *ser_safetensors_at(c->file, i);
        snprintf(c->names[i], sizeof c->names[i], "%s%s", prefix, c->items[i].name);
        c->items[i].name = c->names[i];
    }
}

static void checkpoint_release(checkpoint *c)
{
    ser_free(c->items);
    ser_free(c->names);
    ser_safetensors_close(&c->file);
}

static size_t place_of(const checkpoint *c, const char *name)
{
    size_t i = 0;
    while (i < c->n && !strstr(c->names[i], name))
        i++;
    CHECK(i < c->n);
    return i;
}

static void write_text(const char *name, const char *text)
{
    ser_error err = {0};
    char path[1100];
    snprintf(path, sizeof path, "%s/%s", scratch, name);
    CHECK_OK(ser_io_write(path, text, strlen(text), &err), &err);
}

static char *read_config(const char *member)
{
    ser_error err = {0};
    char folder[1024], path[1100];
    ser_bytes bytes;
    folder_of(folder, member);
    snprintf(path, sizeof path, "%s/config.json", folder);
    CHECK_OK(ser_io_read(&bytes, path, 0, &err), &err);
    char *text = ser_strdup((const char *)bytes.data);
    ser_bytes_release(&bytes);
    return text;
}

static ser_status open_scratch(ser_encoder **e, ser_error *err)
{
    return ser_encoder_open(e, scratch, -1, SER_ENGINE_REF, SER_PRECISION_FP32, err);
}

static void write_checkpoint(const checkpoint *c)
{
    ser_error err = {0};
    char path[1100];
    snprintf(path, sizeof path, "%s/model.safetensors", scratch);
    CHECK_OK(ser_safetensors_write(path, c->items, c->n, NULL, 0, &err), &err);
}

/* The older spelling of weight norm, and the prefix of models with a head. */
static void test_spellings(void)
{
    static const char *const prefixes[] = {"hubert.", "wav2vec2.", "wavlm.", "data2vec_audio."};
    static const char *const of[] = {"hubert_base", "wav2vec2_base", "wavlm_large", "data2vec"};
    for (size_t k = 0; k < 4; k++) {
        ser_error err = {0};
        ser_encoder *e = NULL;
        checkpoint c;
        char *config = read_config(of[k]), folder[1024];
        checkpoint_init(&c, of[k], prefixes[k]);
        if (k < 3)
            for (int i = 0; i < 2; i++) {
                char *name = c.names[place_of(&c, i ? "weight.original1" : "weight.original0")];
                strcpy(strstr(name, "parametrizations"), i ? "weight_v" : "weight_g");
            }
        write_checkpoint(&c);
        write_text("config.json", config);
        folder_of(folder, of[k]);
        write_text("preprocessor_config.json", k == 2 || k == 0 ? "{}" : "{\"do_normalize\": true}");
        CHECK_OK(open_scratch(&e, &err), &err);
        if (e)
            compare(of[k], e, 1);
        ser_encoder_close(&e);
        checkpoint_release(&c);
        ser_free(config);
    }
}

/* The config with one piece of it replaced, before hubert_base's tensors. */
static void check_config(const char *from, const char *to, ser_status expected, const char *words)
{
    ser_error err = {0};
    ser_encoder *e;
    ser_text text = {0};
    char *config = read_config("hubert_base"), *at = strstr(config, from);
    CHECK(at != NULL);
    if (!at)
        return;
    ser_text_append_n(&text, config, (size_t)(at - config));
    ser_text_append(&text, to);
    ser_text_append(&text, at + strlen(from));
    write_text("config.json", text.s);
    CHECK_FAILS(open_scratch(&e, &err), expected, &err, words);
    ser_encoder_close(&e);
    ser_text_release(&text);
    ser_free(config);
}

static void test_bad_config(void)
{
    checkpoint c;
    checkpoint_init(&c, "hubert_base", "");
    write_checkpoint(&c);
    checkpoint_release(&c);
    write_text("preprocessor_config.json", "{}");
    check_config("\"hidden_size\": 48", "\"hidden_size\": 0", SER_E_UNSUPPORTED, "'hidden_size' is 0");
    check_config("\"hidden_size\": 48", "\"hidden_size\": 44", SER_E_FORMAT, "asks for (44, 24)");
    check_config("_heads\": 4", "_heads\": 5", SER_E_FORMAT, "among 5 heads");
    check_config("_embedding_groups\": 4", "_embedding_groups\": 7", SER_E_FORMAT, "among 7 groups");
    check_config("_embedding_groups\": 4", "_embedding_groups\": 8", SER_E_FORMAT,
                 "original1' has the shape");
    check_config("_embeddings\": 16", "_embeddings\": 17", SER_E_FORMAT, "asks for");
    check_config("_layers\": 2", "_layers\": 3", SER_E_FORMAT, "16 tensors are missing: 'encoder.layers.2");
    check_config("\"conv_bias\": false", "\"conv_bias\": true", SER_E_FORMAT, "conv_layers.0.conv.bias");
    check_config("\"conv_kernel\": [", "\"conv_kernel\": [ 3,", SER_E_FORMAT, "'conv_kernel'");
    check_config("\"conv_kernel\": [\n    10", "\"conv_kernel\": [ 33", SER_E_UNSUPPORTED, "first kernel");
    check_config("\"conv_kernel\": [\n    10", "\"conv_kernel\": [ \"x\"", SER_E_UNSUPPORTED,
                 "'conv_kernel'");
    check_config("\"conv_stride\": [\n    5", "\"conv_stride\": [ 4", SER_E_UNSUPPORTED, "one every 320");
    check_config("\"conv_dim\": [", "\"conv_dim\": 3, \"x\": [", SER_E_FORMAT, "'conv_dim' is no list");
    check_config("\"group\"", "\"batch\"", SER_E_UNSUPPORTED, "'batch'");
    check_config("\"group\"", "\"layer\"", SER_E_FORMAT, "12 tensors are missing");
    check_config("\"hidden_act\": \"gelu\"", "\"hidden_act\": \"relu\"", SER_E_UNSUPPORTED, "'relu'");
    check_config("\"conv_pos_batch_norm\": false", "\"conv_pos_batch_norm\": true", SER_E_UNSUPPORTED,
                 "'conv_pos_batch_norm'");
    check_config("\"layer_norm_eps\": 1e-05", "\"layer_norm_eps\": 0", SER_E_FORMAT, "'layer_norm_eps'");
    check_config("{", "{\"adapter_attn_dim\": 16,", SER_E_UNSUPPORTED, "adapters");
    check_config("\"model_type\": \"hubert\"", "\"model_type\": \"wavlm\"", SER_E_FORMAT, "'num_buckets'");
    char *config = read_config("hubert_base");
    ser_error err = {0};
    ser_encoder *e;
    write_text("config.json", config);
    write_text("preprocessor_config.json", "{\"sampling_rate\": 8000}");
    CHECK_FAILS(open_scratch(&e, &err), SER_E_UNSUPPORTED, &err, "'sampling_rate' is not 16000");
    write_text("preprocessor_config.json", "{\"feature_size\": 2}");
    CHECK_FAILS(open_scratch(&e, &err), SER_E_UNSUPPORTED, &err, "'feature_size' is not 1");
    ser_free(config);
}

/* Exported to 8 bits and opened again. */
static void test_export(void)
{
    for (size_t m = 0; m < N_WITH_STATES; m++) {
        ser_error err = {0};
        ser_encoder *e = NULL;
        ser_encoder_work *w = NULL;
        ser_safetensors *file = NULL, *states;
        ser_tensor *exported;
        size_t n = 0;
        char folder[1024], path[1100];
        static const int wanted = 1;
        static float hidden[18 * DIMS];
        char *config = NULL;
        folder_of(folder, members[m]);
        snprintf(path, sizeof path, "%s/exported.safetensors", scratch);
        CHECK_OK(ser_encoder_export_config(&config, folder, &err), &err);
        CHECK_OK(ser_encoder_export(&exported, &n, folder, 1, "encoder/", &err), &err);
        CHECK_OK(ser_safetensors_write(path, exported, n, NULL, 0, &err), &err);
        ser_encoder_free_export(exported, n);
        CHECK_OK(ser_safetensors_open(&file, path, &err), &err);
        CHECK_OK(ser_encoder_open_tensors(&e, file, "encoder/", config, 1, SER_ENGINE_ONEDNN,
                                          SER_PRECISION_FP32, &err),
                 &err);
        CHECK_OK(ser_encoder_work_new(&w, e, 1, &err), &err);
        float *pcm = make_signal(6000);
        CHECK_OK(ser_encoder_run(e, w, hidden, pcm, 6000, 0, &wanted, 1, &err), &err);
        char golden_path[256];
        snprintf(golden_path, sizeof golden_path, "encoder/%s/states.safetensors", members[m]);
        states = open_golden(golden_path);
        float *expected = golden(states, "state_1_6000", &n, NULL);
        CHECK(cosine(hidden, expected, n) > 0.998);
        ser_free(expected);
        ser_free(pcm);
        ser_free(config);
        ser_safetensors_close(&states);
        ser_encoder_work_free(&w);
        ser_encoder_close(&e);
        ser_safetensors_close(&file);
    }
}

/* Every allocation of the calling thread fails once. */
static void test_out_of_memory(void)
{
    static const char *const of[] = {"wavlm_base", "data2vec"};
    static const int last = N_LAYERS;
    static float hidden[18 * DIMS];
    float *pcm = make_signal(6000);
    for (int m = 0; m < 2; m++) {
        char folder[1024];
        ser_status status = SER_E_NOMEM;
        long n = 0;
        folder_of(folder, of[m]);
        for (; status == SER_E_NOMEM; n++) {
            ser_error err = {0};
            ser_encoder *e = NULL;
            ser_encoder_work *w = NULL;
            failing_at(n);
            status = ser_encoder_open(&e, folder, -1, SER_ENGINE_ONEDNN, SER_PRECISION_AUTO, &err);
            if (status == SER_OK)
                status = ser_encoder_work_new(&w, e, 2, &err);
            if (status == SER_OK)
                status = ser_encoder_run(e, w, hidden, pcm, 6000, 0, &last, 1, &err);
            failing_at(-1);
            ser_encoder_work_free(&w);
            ser_encoder_close(&e);
        }
        CHECK(status == SER_OK && n > 20);
    }
    ser_free(pcm);
}

int main(void)
{
    static const char *const names[] = {"config.json", "model.safetensors", "preprocessor_config.json",
                                        "exported.safetensors"};
    if (!mkdtemp(scratch))
        return EXIT_FAILURE;
    test_golden();
    test_info();
    test_long();
    test_spellings();
    test_bad_config();
    test_export();
    test_out_of_memory();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[1100];
        snprintf(path, sizeof path, "%s/%s", scratch, names[i]);
        unlink(path);
    }
    rmdir(scratch);
    return test_summary();
}
