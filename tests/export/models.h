/* Small models of each kind that can be exported, and what ser_predict answers. */
#ifndef SER_TESTS_EXPORT_MODELS_H
#define SER_TESTS_EXPORT_MODELS_H

#include "base/memory.h"
#include "base/random.h"
#include "model/model_file.h"
#include "model/pooled.h"
#include "scratch.h"
#include "ser/ser.h"
#include "test.h"
#include "voice.h"

enum { N_LABELS = 3, N_LONGEST = 34 * SER_SAMPLE_RATE_HZ };

/* Utterances, of 10 s at most; then conversations, of which the last holds pauses. */
static const size_t n_samples[] = {4 * SER_SAMPLE_RATE_HZ + 57,  SER_SAMPLE_RATE_HZ / 2,
                                   10 * SER_SAMPLE_RATE_HZ,      10 * SER_SAMPLE_RATE_HZ + 1,
                                   13 * SER_SAMPLE_RATE_HZ + 31, 34 * SER_SAMPLE_RATE_HZ};
enum { N_UTTERANCES = 3, N_RECORDINGS = sizeof n_samples / sizeof *n_samples };

static float pcm[N_LONGEST];

/* ---- models ---- */

/* mean, scale: of the features, about. */
static inline void init_head(ser_linear *l, size_t dims, float mean, float scale)
{
    ser_error err = {0};
    ser_random r;
    ser_random_init(&r, 5);
    CHECK_OK(ser_linear_init(l, SER_N_STATISTICS * dims, N_LABELS, &err), &err);
    for (size_t i = 0; i < l->n_in; i++) {
        l->mean[i] = mean + (float)ser_random_normal(&r);
        l->scale[i] = scale;
    }
    for (size_t i = 0; i < l->n_in * N_LABELS; i++)
        l->w[i] = (float)ser_random_normal(&r);
    l->temperature = 1.3f;
}

/* With running averages and normalisations that are not what a new network has. */
static inline void init_network(ser_timnet_member *m, uint64_t seed, size_t n_in, ser_nonlinearity activation)
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
    const char *encoder; /* a folder of golden/encoder, all of whose states are read; NULL: none */
    int pad_s;
    size_t dims;
    bool linear;
    ser_nonlinearity activations[2];
    size_t n_networks, n_averaged;
    bool trim;
    uint64_t blocks; /* of the second network, the first of them LOGMEL */
    float reach;     /* of how unlike recordings are; 0: that is not measured */
} wanted;

static inline const char *checkpoint(const wanted *w)
{
    static char folder[1024];
    snprintf(folder, sizeof folder, "%s/golden/encoder/%s", getenv("SER_TEST_DIR"), w->encoder);
    return folder;
}

/* What the model says of the encoder that it needs. */
static inline void name_encoder(ser_model_data *m, const wanted *w)
{
    ser_error err = {0};
    ser_encoders e;
    const char *folder = checkpoint(w);
    CHECK_OK(ser_feature_spec_set_layers(&m->spec, "1,0,2", &err), &err);
    m->spec.pad_s = w->pad_s;
    CHECK_OK(ser_encoders_open(&e, &m->spec, &folder, 1, SER_ENGINE_REF, SER_PRECISION_FP32, &err), &err);
    CHECK_OK(ser_encoders_sha256(&e, m->encoder_sha256, &err), &err);
    ser_encoders_close(&e);
}

static inline void write_model(const wanted *w, const char *path)
{
    /* One of them is no word that C could take as it is. */
    static const char *const labels[N_LABELS] = {"angry", "cal\"m\\?\?/", "tr\303\244ge"};
    ser_error err = {0};
    ser_model_data m = {.n_labels = N_LABELS};
    CHECK_OK(ser_feature_spec_parse(&m.spec, w->features, &err), &err);
    if (w->encoder)
        name_encoder(&m, w);
    m.labels = ser_alloc(N_LABELS, sizeof *m.labels);
    for (size_t i = 0; i < N_LABELS; i++)
        m.labels[i] = ser_strdup(labels[i]);
    m.provenance = ser_strdup("{\"corpus\": \"none */\"}");
    if (w->linear)
        init_head(&m.plain, w->dims, w->encoder ? 0 : -20, 0.01f);
    if (w->reach > 0) {
        CHECK_OK(ser_unlike_init(&m.unlike, m.plain.n_in, &err), &err);
        for (size_t i = 0; i < m.unlike.n_in / 2; i++)
            m.unlike.scale[2 * i] = 1;
        m.unlike.reach = w->reach;
    }
    m.networks = ser_alloc(w->n_networks, sizeof *m.networks);
    for (; m.n_networks < w->n_networks; m.n_networks++) {
        ser_timnet_member *n = &m.networks[m.n_networks];
        uint64_t blocks = m.n_networks == 1 ? w->blocks : 0;
        init_network(n, m.n_networks, blocks ? SER_LOGMEL_DIMS : w->dims, w->activations[m.n_networks]);
        n->blocks = blocks;
        n->condense = (ser_condense){.n_averaged = w->n_averaged, .trim = w->trim};
    }
    CHECK_OK(ser_model_data_write(&m, path, NULL, 0, &err), &err);
    ser_model_data_release(&m);
}

/* ---- ser_predict's answers, in the form of vectors.bin ---- */

static inline void make_recording(size_t i)
{
    make_voice(pcm, n_samples[i], 120 + 40 * (double)i);
    if (i + 1 == N_RECORDINGS)
        for (size_t second = 5; second < 30; second += 7)
            memset(pcm + second * SER_SAMPLE_RATE_HZ, 0, 3 * SER_SAMPLE_RATE_HZ * sizeof *pcm);
}

/* Of the first n recordings. model: a file, or NULL: the model built into the library. encoder: or NULL. */
static inline void write_vectors(const char *model_path, bool unlike, const char *encoder,
                                 size_t n_recordings, const char *path)
{
    ser_error err = {0};
    ser_model *model = NULL;
    ser_session *session = NULL;
    ser_settings settings;
    FILE *f = fopen(path, "wb");
    ser_default_settings(&settings);
    settings.precision = SER_PRECISION_FP32;
    settings.encoders = &encoder;
    settings.n_encoders = encoder != NULL;
    CHECK_OK(ser_model_open(&model, model_path, &settings, &err), &err);
    size_t n_labels = ser_model_n_labels(model);
    CHECK_OK(ser_session_new(&session, model, NULL, &err), &err);
    for (size_t i = 0; i < n_recordings; i++) {
        ser_result r = {0};
        float n = (float)n_samples[i];
        make_recording(i);
        CHECK_OK(ser_predict(session, pcm, n_samples[i], NULL, &r, &err), &err);
        CHECK(r.label >= 0 && r.confidence < 0.9999f);
        CHECK(!unlike || (r.unlike > 1 && r.unlike < 2));
        CHECK(fwrite(&n, sizeof n, 1, f) == 1 && fwrite(pcm, sizeof *pcm, n_samples[i], f) == n_samples[i] &&
              fwrite(r.scores, sizeof *r.scores, n_labels, f) == n_labels);
        ser_result_release(&r);
    }
    fclose(f);
    ser_session_free(&session);
    ser_model_close(&model);
}

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
enum { N_MODELS = sizeof models / sizeof *models };

#endif
