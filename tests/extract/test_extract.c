#include "base/memory.h"
#include "base/random.h"
#include "extract/extract.h"
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
        ser_alloc_fail_at(n);
        st = ser_extractor_new(&e, &spec, NULL, &err);
        CHECK(st == SER_OK || (st == SER_E_NOMEM && !e));
    }
    ser_alloc_fail_at(-1);
    ser_extractor_free(&e);
}

int main(void)
{
    test_spec();
    test_windows();
    test_active();
    test_bad_specs();
    return test_summary();
}
