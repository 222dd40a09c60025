/* Models exported as C99, compiled as strictly as compilers go, against what ser_predict answers; and folders
 * that are made whole or not at all. */
#include "base/memory.h"
#include "base/random.h"
#include "export/export.h"
#include "model/model_file.h"
#include "model/pooled.h"
#include "scratch.h"
#include "ser/ser.h"
#include "test.h"
#include "voice.h"

enum { N_LABELS = 3, N_SAMPLES = 4 * SER_SAMPLE_RATE_HZ + 57, N_LONGEST = 10 * SER_SAMPLE_RATE_HZ };

static const size_t n_samples[] = {N_SAMPLES, SER_SAMPLE_RATE_HZ / 2, N_LONGEST};
enum { N_RECORDINGS = sizeof n_samples / sizeof *n_samples };

static float pcm[N_LONGEST];

/* ---- models ---- */

static void init_head(ser_linear *l, size_t dims)
{
    ser_error err = {0};
    ser_random r;
    ser_random_init(&r, 5);
    CHECK_OK(ser_linear_init(l, SER_N_STATISTICS * dims, N_LABELS, &err), &err);
    for (size_t i = 0; i < l->n_in; i++) {
        l->mean[i] = (float)(-20 + ser_random_normal(&r));
        l->scale[i] = 0.01f;
    }
    for (size_t i = 0; i < l->n_in * N_LABELS; i++)
        l->w[i] = (float)ser_random_normal(&r);
    l->temperature = 1.3f;
}

/* With running averages and normalisations that are not what a new network has. */
static void init_network(ser_timnet_member *m, uint64_t seed, size_t n_in, ser_nonlinearity activation)
{
    ser_error err = {0};
    ser_random r;
    ser_timnet_shape shape = {.n_in = n_in,
                              .n_labels = N_LABELS,
                              .n_filters = 8 + 4 * (size_t)seed,
                              .kernel_size = 2 + (size_t)seed,
                              .n_dilations = 3,
                              .n_stacks = 2,
                              .activation = activation};
    ser_random_init(&r, seed);
    CHECK_OK(ser_timnet_member_init(m, &shape, &err), &err);
    ser_timnet_randomise(m->net, seed);
    for (size_t p = 0; p < m->net->n_params; p++)
        if (m->net->params[p].n_dims == 1)
            for (size_t i = 0; i < m->net->params[p].n; i++)
                m->net->values[m->net->params[p].offset + i] += (float)(0.2 * ser_random_uniform(&r));
    for (size_t i = 0; i < n_in; i++) {
        m->mean[i] = -20;
        m->scale[i] = 0.1f;
    }
    m->temperature = 0.3f;
}

typedef struct wanted {
    const char *name, *features;
    size_t dims;
    bool linear;
    ser_nonlinearity activations[2];
    size_t n_networks, n_averaged;
    bool trim;
    uint64_t blocks; /* of the second network, the first of them LOGMEL */
} wanted;

static void write_model(const wanted *w)
{
    /* One of them is no word that C could take as it is. */
    static const char *const labels[N_LABELS] = {"angry", "cal\"m\\?\?/", "tr\303\244ge"};
    ser_error err = {0};
    ser_model_data m = {.n_labels = N_LABELS};
    CHECK_OK(ser_feature_spec_parse(&m.spec, w->features, &err), &err);
    m.labels = ser_alloc(N_LABELS, sizeof *m.labels);
    for (size_t i = 0; i < N_LABELS; i++)
        m.labels[i] = ser_strdup(labels[i]);
    m.provenance = ser_strdup("{\"corpus\": \"none */\"}");
    if (w->linear)
        init_head(&m.plain, w->dims);
    m.networks = ser_alloc(w->n_networks, sizeof *m.networks);
    for (; m.n_networks < w->n_networks; m.n_networks++) {
        ser_timnet_member *n = &m.networks[m.n_networks];
        uint64_t blocks = m.n_networks == 1 ? w->blocks : 0;
        init_network(n, m.n_networks, blocks ? SER_LOGMEL_DIMS : w->dims, w->activations[m.n_networks]);
        n->blocks = blocks;
        n->condense = (ser_condense){.n_averaged = w->n_averaged, .trim = w->trim};
    }
    CHECK_OK(ser_model_data_write(&m, scratch(w->name), NULL, 0, &err), &err);
    ser_model_data_release(&m);
}

/* ---- ser_predict's answers, in the form of vectors.bin ---- */

static void write_vectors(const char *model_name, const char *name)
{
    ser_error err = {0};
    ser_model *model = NULL;
    ser_session *session = NULL;
    FILE *f = fopen(scratch(name), "wb");
    CHECK_OK(ser_model_open(&model, scratch(model_name), NULL, &err), &err);
    CHECK_OK(ser_session_new(&session, model, NULL, &err), &err);
    for (size_t i = 0; i < N_RECORDINGS; i++) {
        ser_result r = {0};
        float n = (float)n_samples[i];
        make_voice(pcm, n_samples[i], 120 + 40 * (double)i);
        CHECK_OK(ser_predict(session, pcm, n_samples[i], NULL, &r, &err), &err);
        CHECK(r.label >= 0 && r.confidence > 0.34f && r.confidence < 0.9999f);
        CHECK(fwrite(&n, sizeof n, 1, f) == 1 && fwrite(pcm, sizeof *pcm, n_samples[i], f) == n_samples[i] &&
              fwrite(r.scores, sizeof *r.scores, N_LABELS, f) == N_LABELS);
        ser_result_release(&r);
    }
    fclose(f);
    ser_session_free(&session);
    ser_model_close(&model);
}

/* ---- tests ---- */

static int shell(const char *format, const char *a, const char *b, const char *c)
{
    char command[2048];
    snprintf(command, sizeof command, format, a, b, c);
    int status = system(command);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_model(const wanted *w)
{
    ser_error err = {0};
    char folder[64], vectors[96], model[96];
    snprintf(folder, sizeof folder, "%s-c", w->name);
    snprintf(vectors, sizeof vectors, "%s-vectors", w->name);
    write_model(w);
    CHECK_OK(ser_export_c99(scratch(w->name), scratch(folder), &err), &err);
    CHECK(scratch_count(folder) == 6);
    write_vectors(w->name, vectors);
    snprintf(model, sizeof model, "%s/emotion.c", folder);
    CHECK(shell("cc -std=c99 -pedantic -Wall -Wextra -Werror -O2 -DEMOTION_CHECK -o %s %s -lm%s",
                scratch("check"), scratch(model), "") == 0);
    snprintf(model, sizeof model, "%s/weights.bin", folder);
    CHECK(shell("%s %s %s", scratch("check"), scratch(model), scratch(vectors)) == 0);
    snprintf(vectors, sizeof vectors, "%s/vectors.bin", folder);
    CHECK(shell("%s %s %s", scratch("check"), scratch(model), scratch(vectors)) == 0);
}

/* A check that sees a wrong score, and weights of another model. */
static void test_check(const char *name, const char *other)
{
    char weights[96], vectors[96];
    float x;
    snprintf(weights, sizeof weights, "%s-c/weights.bin", name);
    snprintf(vectors, sizeof vectors, "%s-vectors", name);
    FILE *f = fopen(scratch(vectors), "r+b");
    fseek(f, -(long)sizeof x, SEEK_END);
    CHECK(fread(&x, sizeof x, 1, f) == 1);
    x += 0.001f;
    fseek(f, -(long)sizeof x, SEEK_END);
    CHECK(fwrite(&x, sizeof x, 1, f) == 1);
    fclose(f);
    CHECK(shell("%s %s %s", scratch("check"), scratch(weights), scratch(vectors)) == 1);
    snprintf(weights, sizeof weights, "%s-c/weights.bin", other);
    CHECK(shell("%s %s %s 2>/dev/null", scratch("check"), scratch(weights), scratch(vectors)) == 2);
}

static void test_folders(const char *model)
{
    ser_error err = {0};
    int n_before = scratch_count("");
    CHECK_FAILS(ser_export_c99(scratch(model), scratch("plain-c"), &err), SER_E_ARG, &err, "there already");
    CHECK_FAILS(ser_export_c99(scratch(model), scratch(model), &err), SER_E_ARG, &err, "there already");
    CHECK_FAILS(ser_export_c99(scratch(model), scratch("no/where"), &err), SER_E_IO, &err, "cannot be made");
    CHECK_FAILS(ser_export_c99(scratch("none"), scratch("new"), &err), SER_E_IO, &err, "none");
    CHECK_FAILS(ser_export_c99(NULL, scratch("new"), &err), SER_E_UNSUPPORTED, &err, "WHISPER");
    CHECK(scratch_count("") == n_before && scratch_count("plain-c") == 6);
    CHECK(mkdir(scratch("empty"), 0777) == 0);
    CHECK_OK(ser_export_c99(scratch(model), scratch("empty/"), &err), &err);
    CHECK(scratch_count("empty") == 6 && scratch_count("") == n_before + 1);
}

/* Whichever allocation fails, nothing is left behind. */
static void test_memory(const char *model)
{
    int n_before = scratch_count("");
    ser_status st = SER_E_NOMEM;
    for (long n = 0; st == SER_E_NOMEM; n += 7) {
        ser_error err = {0};
        ser_alloc_fail_at(n);
        st = ser_export_c99(scratch(model), scratch("memory"), &err);
        ser_alloc_fail_at(-1);
        CHECK(st == SER_OK || (st == SER_E_NOMEM && scratch_count("") == n_before));
    }
    CHECK(st == SER_OK && scratch_count("memory") == 6);
}

int main(void)
{
    static const wanted models[] = {
        {.name = "plain", .features = "LOGMEL", .dims = 128, .linear = true},
        {.name = "mfcc", .features = "MFCC", .dims = 96, .n_networks = 2, .activations = {SER_ELU, SER_TANH}},
        {.name = "both",
         .features = "MFCC+LOGMEL",
         .dims = 224,
         .linear = true,
         .n_networks = 2,
         .n_averaged = 8,
         .trim = true,
         .activations = {SER_RELU, SER_SWISH},
         .blocks = 2},
    };
    scratch_make();
    for (size_t i = 0; i < sizeof models / sizeof *models; i++)
        test_model(&models[i]);
    test_check("both", "mfcc");
    test_folders("plain");
    test_memory("plain");
    scratch_remove();
    return test_summary();
}
