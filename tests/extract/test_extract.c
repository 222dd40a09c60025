#include "base/memory.h"
#include "base/random.h"
#include "extract/encoders.h"
#include "extract/extract.h"
#include "failures/failing.h"
#include "features/mel.h"
#include "test.h"

static void test_spec(void)
{
    ser_feature_spec spec;
    ser_error err = {0};
    ser_text t = {0};
    CHECK_OK(ser_feature_spec_parse(&spec, "logmel+WHISPER", &err), &err);
    CHECK_OK(ser_feature_spec_set_layers(&spec, "WHISPER=3,1", &err), &err);
    ser_feature_spec_key(&spec, &t);
    CHECK(strcmp(t.s, "LOGMEL(hop=320)+WHISPER(layers=3,1;pad=0)") == 0);
    ser_text_clear(&t);
    ser_feature_spec_type(&spec, &t);
    CHECK(strcmp(t.s, "LOGMEL+WHISPER") == 0);
    ser_text_release(&t);
    CHECK_FAILS(ser_feature_spec_parse(&spec, "LOGMEL+", &err), SER_E_ARG, &err, "unknown feature type ''");
    CHECK_FAILS(ser_feature_spec_parse(&spec, "MFCC+MFCC", &err), SER_E_ARG, &err, "twice");
    CHECK_FAILS(ser_feature_spec_parse(&spec, "CHROMA", &err), SER_E_ARG, &err, "CHROMA");
    CHECK_FAILS(ser_feature_spec_set_layers(&spec, "1,,2", &err), SER_E_ARG, &err, "1,,2");
    CHECK_FAILS(ser_feature_spec_set_layers(&spec, "1,1", &err), SER_E_ARG, &err, "twice");
    CHECK_FAILS(ser_feature_spec_set_layers(&spec, "MFCC=1", &err), SER_E_ARG, &err, "MFCC=1");
    CHECK_FAILS(ser_feature_spec_set_layers(&spec, "99999999999999999999", &err), SER_E_ARG, &err, "no list");
    CHECK_OK(ser_feature_spec_parse(&spec, "MFCC", &err), &err);
    CHECK_FAILS(ser_feature_spec_set_layers(&spec, "1", &err), SER_E_ARG, &err, "no encoder");
    CHECK_FAILS(ser_feature_spec_parse(&spec, "FUSION+HUBERT", &err), SER_E_ARG, &err,
                "HUBERT is named twice");
    CHECK(ser_feature_kind_checkpoint(SER_FEATURE_MFCC) == NULL);
}

static void test_several_encoders(void)
{
    ser_feature_spec spec;
    ser_error err = {0};
    ser_text t = {0};
    size_t i;
    CHECK_OK(ser_feature_spec_parse(&spec, "fusion+WHISPER+WAVLM", &err), &err);
    CHECK(ser_feature_spec_n_encoders(&spec) == 3 && !ser_feature_spec_encoder_at(&spec, 3));
    CHECK_OK(ser_feature_spec_set_layers(&spec, "WHISPER=3,1+hubert=12", &err), &err);
    ser_feature_spec_key(&spec, &t);
    CHECK(strcmp(t.s, "LOGMEL(hop=320)+HUBERT(layers=12;pad=0)+WHISPER(layers=3,1;pad=0)+WAVLM(;pad=0)") ==
          0);
    ser_text_release(&t);
    ser_encoder_info info = {.n_layers = 24};
    for (size_t k = 1; k < 4; k++)
        ser_feature_part_set_default_layers(&spec.parts[k], &info);
    CHECK(spec.parts[1].layers[0] == 12 && spec.parts[3].n_layers == 1 && spec.parts[3].layers[0] == 24);
    CHECK_FAILS(ser_feature_spec_set_layers(&spec, "1,2", &err), SER_E_ARG, &err, "HUBERT=1,2");
    CHECK_FAILS(ser_feature_spec_set_layers(&spec, "HUBERT=1+DATA2VEC=2", &err), SER_E_ARG, &err,
                "DATA2VEC=2");
    CHECK_FAILS(ser_feature_spec_set_layers(&spec, "HUBERT=1+", &err), SER_E_ARG, &err, "several encoders");
    CHECK_OK(ser_feature_spec_part_of(&i, &spec, "wavlm", &err), &err);
    CHECK(i == 2);
    CHECK_OK(ser_feature_spec_part_of(&i, &spec, "whisper", &err), &err);
    CHECK(i == 1);
    CHECK_OK(ser_feature_spec_part_of(&i, &spec, "data2vec-audio", &err), &err);
    CHECK(i == 0); /* the first of the family */
    CHECK_OK(ser_feature_spec_parse(&spec, "LOGMEL+HUBERT", &err), &err);
    CHECK_FAILS(ser_feature_spec_part_of(&i, &spec, "whisper", &err), SER_E_ARG, &err, "LOGMEL+HUBERT");
    ser_feature_part_set_default_layers(&spec.parts[1], &info);
    CHECK(spec.parts[1].n_layers == 1 && spec.parts[1].layers[0] == 24);
}

/* Keeps all frames. */
typedef struct kept {
    float *x;
    unsigned char *active;
    size_t n, capacity, active_capacity, dims;
} kept;

static ser_status keep(void *context, const ser_frames *f, ser_error *err)
{
    kept *k = context;
    if (!ser_grow(&k->x, &k->capacity, (k->n + f->n) * k->dims, sizeof *k->x) ||
        !ser_grow(&k->active, &k->active_capacity, k->n + f->n, 1))
        return ser_fail_nomem(err);
    memcpy(k->x + k->n * k->dims, f->x, f->n * k->dims * sizeof *k->x);
    memcpy(k->active + k->n, f->active, f->n);
    k->n += f->n;
    return SER_OK;
}

static void release(kept *k)
{
    ser_free(k->x);
    ser_free(k->active);
}

static kept run_extractor(const ser_extractor *e, const float *pcm, size_t n)
{
    ser_error err = {0};
    ser_extractor_work *w = NULL;
    kept k = {.dims = ser_extractor_dims(e)};
    ser_pcm_memory memory = {.pcm = pcm, .n_samples = n};
    ser_pcm_source source = ser_pcm_from_memory(&memory);
    CHECK_OK(ser_extractor_work_new(&w, e, 1, &err), &err);
    CHECK_OK(ser_extract(e, w, &source, keep, &k, &err), &err);
    ser_extractor_work_free(&w);
    return k;
}

static void extract(kept *k, const char *type, int hop, const float *pcm, size_t n)
{
    ser_error err = {0};
    ser_feature_spec spec;
    ser_extractor *e = NULL;
    ser_extractor_work *w = NULL;
    ser_pcm_memory memory = {.pcm = pcm, .n_samples = n};
    ser_pcm_source source = ser_pcm_from_memory(&memory);
    CHECK_OK(ser_feature_spec_parse(&spec, type, &err), &err);
    spec.hop_samples = hop;
    CHECK_OK(ser_extractor_new(&e, &spec, NULL, &err), &err);
    CHECK_OK(ser_extractor_work_new(&w, e, 1, &err), &err);
    *k = (kept){.dims = ser_extractor_dims(e)};
    CHECK_OK(ser_extract(e, w, &source, keep, k, &err), &err);
    ser_extractor_work_free(&w);
    ser_extractor_free(&e);
}

/* What windows change: nothing in log-mel, whose frames look no further than 64 ms. */
static void test_windows(void)
{
    size_t lengths[] = {SER_WINDOW_SAMPLES - 1, SER_WINDOW_SAMPLES, SER_WINDOW_SAMPLES + 1,
                        61 * SER_SAMPLE_RATE_HZ + 77};
    int hops[] = {320, 512};
    size_t n_max = lengths[3];
    float *pcm = ser_alloc(n_max, sizeof *pcm);
    ser_random r;
    ser_random_init(&r, 1);
    for (size_t i = 0; i < n_max; i++) /* ever louder, so that the maximum lies in the last window */
        pcm[i] = (float)(ser_random_normal(&r) * 1e-4 * exp(8.0 * (double)i / (double)n_max));
    for (size_t l = 0; l < 4; l++)
        for (size_t h = 0; h < 2; h++) {
            kept k;
            extract(&k, "LOGMEL", hops[h], pcm, lengths[l]);
            CHECK(k.n == 1 + lengths[l] / (size_t)hops[h]);
            ser_error err = {0};
            ser_mel *m = NULL;
            ser_mel_work *w = NULL;
            ser_mel_settings settings = ser_logmel_settings(hops[h]);
            CHECK_OK(ser_mel_new(&m, &settings, &err), &err);
            CHECK_OK(ser_mel_work_new(&w, m, &err), &err);
            float *whole = ser_alloc(k.n * 128, sizeof *whole);
            ser_mel_run(m, w, whole, pcm, lengths[l]);
            ser_features_power_to_db(whole, k.n * 128);
            check_close("log-mel in windows", k.x, whole, k.n * 128, 0, 1e-3);
            ser_free(whole);
            ser_mel_work_free(&w);
            ser_mel_free(&m);
            release(&k);
        }
    ser_free(pcm);
}

static void test_active(void)
{
    enum { N = 3 * SER_SAMPLE_RATE_HZ };
    static float pcm[N];
    for (int i = 0; i < N; i++) /* a second of near silence, of tone, of near silence */
        pcm[i] = (float)(sin(0.1 * i) * (i / SER_SAMPLE_RATE_HZ == 1 ? 0.5 : 0.001));
    kept k;
    extract(&k, "MFCC+LOGMEL", 320, pcm, N);
    CHECK(k.dims == 96 + 128);
    CHECK(!k.active[10] && k.active[75] && !k.active[140]);
    size_t n_active = 0;
    for (size_t t = 0; t < k.n; t++)
        n_active += k.active[t];
    CHECK(n_active >= 49 && n_active <= 53);
    release(&k);
}

static void test_bad_specs(void)
{
    ser_error err = {0};
    ser_feature_spec spec;
    ser_extractor *e = NULL;
    CHECK_OK(ser_feature_spec_parse(&spec, "WHISPER", &err), &err);
    CHECK_FAILS(ser_extractor_new(&e, &spec, NULL, &err), SER_E_ARG, &err, "--encoder");
    CHECK(!e);
    CHECK_OK(ser_feature_spec_parse(&spec, "MFCC", &err), &err);
    ser_status st = SER_E_NOMEM;
    for (long n = 0; st != SER_OK && n < 100; n++) {
        failing_at(n);
        st = ser_extractor_new(&e, &spec, NULL, &err);
        CHECK(st == SER_OK || (st == SER_E_NOMEM && !e));
    }
    failing_at(-1);
    ser_extractor_free(&e);
}

/* A tiny HUBERT and a tiny WHISPER beside LOGMEL: each part as it is alone, cut to the shortest. */
static void test_joined(void)
{
    enum { N_SAMPLES = 15500, N_FRAMES = 48, DIMS = 128 + 2 * 48 + 64 };
    static const char *const folders[] = {"hubert_base", "tiny"}, *const alone[] = {"HUBERT", "WHISPER"};
    static const size_t offsets[] = {128, 128 + 2 * 48}, dims[] = {2 * 48, 64};
    ser_error err = {0};
    ser_feature_spec spec;
    ser_encoder *encoders[2];
    ser_extractor *e;
    ser_random r;
    float *pcm = ser_alloc(N_SAMPLES, sizeof *pcm);
    ser_random_init(&r, 46);
    for (size_t i = 0; i < N_SAMPLES; i++)
        pcm[i] = (float)(0.1 * ser_random_normal(&r));
    for (int i = 0; i < 2; i++) {
        char folder[1024];
        snprintf(folder, sizeof folder, "%s/golden/encoder/%s", getenv("SER_TEST_DIR"), folders[i]);
        CHECK_OK(ser_encoder_open(&encoders[i], folder, -1, SER_ENGINE_REF, SER_PRECISION_FP32, &err), &err);
    }
    CHECK_OK(ser_feature_spec_parse(&spec, "FUSION+WHISPER", &err), &err);
    CHECK_OK(ser_feature_spec_set_layers(&spec, "HUBERT=2,0+WHISPER=1", &err), &err);
    CHECK_FAILS(ser_extractor_new(&e, &spec, encoders[0], &err), SER_E_ARG, &err,
                "WHISPER features need an encoder");
    CHECK_FAILS(ser_extractor_new(&e, &spec, encoders[1], &err), SER_E_ARG, &err, "computes none of HUBERT");
    CHECK_OK(ser_extractor_new_joined(&e, &spec, (const ser_encoder *const *)encoders, 2, &err), &err);
    kept all = run_extractor(e, pcm, N_SAMPLES);
    CHECK(all.dims == DIMS && all.n == N_FRAMES);
    ser_extractor_free(&e);
    for (int i = 0; i < 2; i++) {
        CHECK_OK(ser_feature_spec_parse(&spec, alone[i], &err), &err);
        CHECK_OK(ser_feature_spec_set_layers(&spec, i ? "1" : "2,0", &err), &err);
        CHECK_OK(ser_extractor_new(&e, &spec, encoders[i], &err), &err);
        kept one = run_extractor(e, pcm, N_SAMPLES);
        CHECK(one.dims == dims[i] && one.n >= N_FRAMES);
        for (size_t t = 0; t < N_FRAMES && t < one.n; t++)
            check_close(alone[i], all.x + t * DIMS + offsets[i], one.x + t * one.dims, one.dims, 1e-6, 1e-6);
        release(&one);
        ser_extractor_free(&e);
    }
    release(&all);
    ser_encoder_close(&encoders[0]);
    ser_encoder_close(&encoders[1]);
    ser_free(pcm);
}

/* "NAME" of the golden encoders, behind what is given for "TYPE=". */
static const char *golden(const char *type, const char *name)
{
    static char places[8][1024];
    static int next;
    char *place = places[next++ % 8];
    snprintf(place, sizeof *places, "%s%s/golden/encoder/%s", type, getenv("SER_TEST_DIR"), name);
    return place;
}

static ser_status open_named(ser_encoders *out, const char *type, const char *a, const char *b,
                             ser_error *err)
{
    const char *names[] = {a, b};
    ser_feature_spec spec;
    CHECK_OK(ser_feature_spec_parse(&spec, type, err), err);
    return ser_encoders_open(out, &spec, names, b ? 2 : 1, SER_ENGINE_REF, SER_PRECISION_FP32, err);
}

static void test_named_encoders(void)
{
    ser_error err = {0};
    ser_encoders e;
    ser_encoder_info info;
    char hex[SER_ENCODERS_SHA256], first[65];
    const char *hubert = golden("", "hubert_base"), *wavlm = golden("", "wavlm_base");
    CHECK_OK(open_named(&e, "WHISPER+LOGMEL+HUBERT", hubert, golden("", "tiny"), &err), &err);
    CHECK(e.n == 2);
    ser_encoder_get_info(e.items[0], &info);
    CHECK(strcmp(info.model_type, "whisper") == 0);
    CHECK_OK(ser_encoders_sha256(&e, hex, &err), &err);
    CHECK_OK(ser_encoder_sha256(e.items[0], first, &err), &err);
    CHECK(strlen(hex) == 129 && hex[64] == '+' && strncmp(hex, first, 64) == 0);
    ser_encoders_close(&e);

    CHECK_OK(open_named(&e, "LOGMEL", hubert, NULL, &err), &err);
    CHECK_OK(ser_encoders_sha256(&e, hex, &err), &err);
    CHECK(e.n == 0 && !*hex);
    CHECK_OK(open_named(&e, "WAVLM+DATA2VEC", golden("data2vec=", "hubert_base"), wavlm, &err), &err);
    ser_encoder_get_info(e.items[1], &info);
    CHECK(strcmp(info.model_type, "hubert") == 0);
    ser_encoders_close(&e);

    CHECK_FAILS(open_named(&e, "WAVLM+DATA2VEC", hubert, wavlm, &err), SER_E_ARG, &err,
                "WAVLM has one already");
    CHECK_FAILS(open_named(&e, "HUBERT", golden("WHISPER=", "tiny"), NULL, &err), SER_E_ARG, &err,
                "WHISPER is not among the features");
    CHECK_FAILS(open_named(&e, "WHISPER", hubert, NULL, &err), SER_E_ARG, &err, "computes none of WHISPER");
    CHECK_FAILS(open_named(&e, "HUBERT", golden("x=", "hubert_base"), NULL, &err), SER_E_IO, &err,
                "no folder 'x=");
    CHECK_FAILS(open_named(&e, "HUBERT", golden("", "../metrics"), NULL, &err), SER_E_IO, &err,
                "config.json");
    CHECK_FAILS(open_named(&e, "HUBERT", golden("", "../io"), NULL, &err), SER_E_UNSUPPORTED, &err,
                "no config.json beside them");
    CHECK(!e.n && !e.items[0] && !e.folders[0]);
    ser_status st = SER_E_NOMEM;
    for (long n = 0; st == SER_E_NOMEM && n < 10000; n++) {
        failing_at(n);
        st = open_named(&e, "HUBERT+WAVLM", wavlm, hubert, &err);
        CHECK(st == SER_OK || !e.items[0]);
    }
    failing_at(-1);
    CHECK(st == SER_OK && e.n == 2);
    ser_encoders_close(&e);
}

int main(void)
{
    test_named_encoders();
    test_spec();
    test_several_encoders();
    test_joined();
    test_windows();
    test_active();
    test_bad_specs();
    return test_summary();
}
