/* A corpus of made-up recordings in the scratch folder, with an extractor for it. */
#ifndef SER_TESTS_TREE_CORPUS_H
#define SER_TESTS_TREE_CORPUS_H

#include "base/random.h"
#include "corpus/corpus.h"
#include "data/parameters.h"
#include "extract/extract.h"
#include "scratch.h"
#include "test.h"

enum { N_RECORDINGS = 6 };

static ser_utterance made_utterances[N_RECORDINGS];
static char *made_labels[] = {"angry", "sad"}, *made_speakers[] = {"1", "2"}, *made_texts[] = {"a"};
static ser_corpus made_corpus = {.name = "MADE",
                                 .n_parts = 1,
                                 .utterances = made_utterances,
                                 .n_utterances = N_RECORDINGS,
                                 .labels = made_labels,
                                 .n_labels = 2,
                                 .speakers = made_speakers,
                                 .n_speakers = 2,
                                 .texts = made_texts,
                                 .n_texts = 1};

/* 16-bit mono WAV of a noisy tone that fades in; what it sounds like depends on seed. */
static inline void make_recording(const char *name, double seconds, uint64_t seed)
{
    static const unsigned char head[44] =
        "RIFF\0\0\0\0WAVEfmt \20\0\0\0\1\0\1\0\200\76\0\0\0\175\0\0\2\0\20\0data";
    unsigned char bytes[44 + 2 * 40 * SER_SAMPLE_RATE_HZ / 10];
    uint32_t n_data = 2 * (uint32_t)(seconds * SER_SAMPLE_RATE_HZ), n_riff = n_data + 36;
    ser_random r;
    ser_random_init(&r, seed);
    memcpy(bytes, head, sizeof head);
    for (int i = 0; i < 4; i++) {
        bytes[4 + i] = (unsigned char)(n_riff >> 8 * i);
        bytes[40 + i] = (unsigned char)(n_data >> 8 * i);
    }
    for (uint32_t i = 0; i < n_data / 2; i++) {
        double t = (double)i / SER_SAMPLE_RATE_HZ, level = t < seconds / 3 ? 0.001 : 0.3;
        int v = (int)(32767 * level *
                      (sin(6.283 * (200 + 40 * (double)seed) * t) + 0.2 * ser_random_normal(&r)) / 2);
        bytes[44 + 2 * i] = (unsigned char)(v & 0xff);
        bytes[45 + 2 * i] = (unsigned char)(v >> 8 & 0xff);
    }
    scratch_put(name, bytes, 44 + n_data);
}

/* Samples first ... end-1 of a recording as one of their own. */
static inline void cut_recording(const char *from, const char *to, size_t first, size_t end)
{
    unsigned char bytes[1 << 17];
    FILE *file = fopen(scratch(from), "rb");
    size_t n = file ? fread(bytes, 1, sizeof bytes, file) : 0;
    uint32_t n_data = (uint32_t)(2 * (end - first)), n_riff = n_data + 36;
    CHECK(file && n >= 44 + 2 * end);
    if (file)
        fclose(file);
    memmove(bytes + 44, bytes + 44 + 2 * first, n_data);
    for (int i = 0; i < 4; i++) {
        bytes[4 + i] = (unsigned char)(n_riff >> 8 * i);
        bytes[40 + i] = (unsigned char)(n_data >> 8 * i);
    }
    scratch_put(to, bytes, 44 + n_data);
}

static inline void make_corpus(void)
{
    static char names[N_RECORDINGS][8], files[N_RECORDINGS][12], paths[N_RECORDINGS][512];
    for (int u = 0; u < N_RECORDINGS; u++) {
        snprintf(names[u], sizeof names[u], "r%d", u);
        snprintf(files[u], sizeof files[u], "r%d.wav", u);
        snprintf(paths[u], sizeof paths[u], "%s", scratch(files[u]));
        make_recording(files[u], 0.4 + 0.1 * u, (uint64_t)u);
        made_utterances[u] = (ser_utterance){.name = names[u],
                                             .file = files[u],
                                             .path = paths[u],
                                             .label = u % 2,
                                             .speaker = u / 3,
                                             .text = u % 3 == 0 ? 0 : -1,
                                             .fold = u == 4 ? 7 : -1};
    }
}

typedef struct made_tools {
    ser_feature_spec spec;
    ser_encoder *encoder;
    ser_extractor *extractor;
    ser_tree_recipe recipe;
} made_tools;

/* encoder: a folder below tests/golden/encoder, or NULL. Its address goes into the recipe. */
static inline void make_tools(made_tools *t, const char *type, const char *encoder, const char *layers,
                              int hop)
{
    char folder[1024];
    ser_error err = {0};
    *t = (made_tools){0};
    CHECK_OK(ser_feature_spec_parse(&t->spec, type, &err), &err);
    t->spec.hop_samples = hop;
    if (encoder) {
        snprintf(folder, sizeof folder, "%s/golden/encoder/%s", getenv("SER_TEST_DIR"), encoder);
        CHECK_OK(ser_feature_spec_set_layers(&t->spec, layers, &err), &err);
        CHECK_OK(ser_encoder_open(&t->encoder, folder, -1, SER_ENGINE_REF, SER_PRECISION_FP32, &err), &err);
    }
    CHECK_OK(ser_extractor_new(&t->extractor, &t->spec, t->encoder, &err), &err);
    t->recipe = (ser_tree_recipe){
        .spec = &t->spec, .encoder_sha256 = encoder ? "e0" : "", .precision = "fp32", .engine = "ref"};
}

static inline void free_tools(made_tools *t)
{
    ser_extractor_free(&t->extractor);
    ser_encoder_close(&t->encoder);
}

#endif
