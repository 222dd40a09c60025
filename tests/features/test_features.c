#include "base/memory.h"
#include "failures/failing.h"
#include "features/mel.h"
#include "test.h"

#include <stdint.h>

enum { N_SAMPLES = 23957, RATE_HZ = 16000, MAX_VALUES = 3001 * 80 };

static float signal_pcm[N_SAMPLES];
static float values[MAX_VALUES], expected[MAX_VALUES];

/* Fills *into from a raw file of the golden folder; returns the number of elements. */
static size_t load(const char *name, void *into, size_t size, size_t n_max)
{
    char path[1024];
    const char *folder = getenv("SER_TEST_DIR");
    snprintf(path, sizeof path, "%s/golden/features/%s", folder ? folder : "tests", name);
    FILE *f = fopen(path, "rb");
    size_t n = f ? fread(into, size, n_max, f) : 0;
    if (f)
        fclose(f);
    CHECK(n > 0);
    return n;
}

static void load_signal(void)
{
    static int16_t samples[N_SAMPLES];
    CHECK(load("signal.s16", samples, sizeof *samples, N_SAMPLES) == N_SAMPLES);
    for (size_t i = 0; i < N_SAMPLES; i++)
        signal_pcm[i] = (float)samples[i] / 32768;
}

typedef struct analysis {
    ser_mel *m;
    ser_mel_work *w;
} analysis;

static analysis make(ser_mel_settings s)
{
    ser_error err = {0};
    analysis a = {0};
    CHECK_OK(ser_mel_new(&a.m, &s, &err), &err);
    CHECK_OK(ser_mel_work_new(&a.w, a.m, &err), &err);
    return a;
}

static void release(analysis *a)
{
    ser_mel_work_free(&a->w);
    ser_mel_free(&a->m);
    CHECK(!a->w && !a->m);
}

static void test_logmel(const char *name, int hop, size_t n_samples)
{
    analysis a = make(ser_logmel_settings(hop));
    size_t n = ser_mel_n_frames(a.m, n_samples) * 128;
    ser_mel_run(a.m, a.w, values, signal_pcm, n_samples);
    ser_features_power_to_db(values, n);
    CHECK(load(name, expected, sizeof *expected, MAX_VALUES) == n);
    check_close(name, values, expected, n, 0, 1e-3);
    release(&a);
}

static void test_mfcc(void)
{
    ser_error err = {0};
    float *table, mfcc[96];
    CHECK_OK(ser_dct_new(&table, 96, 128, &err), &err);
    size_t n_frames = load("logmel_320.f32", values, sizeof *values, MAX_VALUES) / 128;
    CHECK(load("mfcc_320.f32", expected, sizeof *expected, MAX_VALUES) == n_frames * 96);
    for (size_t i = 0; i < n_frames; i++) {
        ser_features_mfcc(mfcc, values + i * 128, table, 1, 128, 96);
        check_close("mfcc", mfcc, expected + i * 96, 96, 1e-6, 1e-3);
    }
    ser_free(table);
    CHECK_FAILS(ser_dct_new(&table, 129, 128, &err), SER_E_ARG, &err, "129 coefficients");
    CHECK(!table);
    failing_at(0);
    CHECK_FAILS(ser_dct_new(&table, 96, 128, &err), SER_E_NOMEM, &err, "out of memory");
}

static void test_whisper(const char *name, int n_mels, size_t n_samples)
{
    analysis a = make(ser_whisper_mel_settings(n_mels));
    size_t n_frames = ser_features_whisper_mel(a.m, a.w, values, signal_pcm, n_samples);
    CHECK(n_frames == n_samples / 160);
    CHECK(load(name, expected, sizeof *expected, MAX_VALUES) == n_frames * (size_t)n_mels);
    check_close(name, values, expected, n_frames * (size_t)n_mels, 0, 1e-4);
    release(&a);
}

static void test_whisper_padded(void)
{
    const size_t n_padded = 30 * RATE_HZ;
    analysis a = make(ser_whisper_mel_settings(80));
    float *pcm = ser_alloc(n_padded, sizeof *pcm);
    memcpy(pcm, signal_pcm, sizeof signal_pcm);
    CHECK(ser_features_whisper_mel(a.m, a.w, values, pcm, n_padded) == 3000);
    /* The file ends a few frames into the padding: from there on all is its last value. */
    size_t n = load("whisper_padded.f32", expected, sizeof *expected, MAX_VALUES);
    for (size_t i = n; i < 3000 * 80; i++)
        expected[i] = expected[n - 1];
    check_close("whisper padded", values, expected, 3000 * 80, 0, 1e-4);
    ser_free(pcm);
    release(&a);
}

/* One sample, reflected, is a constant signal; nothing at all is silence. */
static void test_tiny_recordings(void)
{
    float one = 0.5f, constant[1000], mel[7 * 80];
    for (size_t i = 0; i < 1000; i++)
        constant[i] = one;
    analysis a = make(ser_whisper_mel_settings(80));
    ser_mel_run(a.m, a.w, mel, constant, 1000);
    ser_mel_run(a.m, a.w, values, &one, 1);
    check_close("one sample", values, mel + 3 * (size_t)80, 80, 1e-6, 1e-9);
    CHECK(values[0] > 0);
    CHECK(ser_features_whisper_mel(a.m, a.w, values, &one, 1) == 0);
    ser_mel_run(a.m, a.w, values, NULL, 0);
    memset(expected, 0, 80 * sizeof *expected);
    check_close("no sample", values, expected, 80, 0, 0);
    for (size_t n = 1; n < 700; n++) { /* a longer or shorter recording reads nothing beyond its ends */
        float *exact = malloc(n * sizeof *exact);
        memcpy(exact, signal_pcm, n * sizeof *exact);
        ser_mel_run(a.m, a.w, values, exact, n);
        CHECK(isfinite(values[0]));
        free(exact);
    }
    release(&a);
}

/* By definition, in double precision: no FFT, each filter as a formula over all bins. */
static void test_definition(void)
{
    enum { N_FFT = 90, N_MELS = 5, HOP = 31 };
    const double pi = acos(-1);
    const ser_mel_settings s = {RATE_HZ, N_FFT, HOP, N_MELS, 500, 1000, SER_PAD_ZERO};
    analysis a = make(s);
    ser_mel_run(a.m, a.w, values, signal_pcm + 8000, 300);
    for (int frame = 0; frame <= 300 / HOP; frame++)
        for (int band = 0; band < N_MELS; band++) {
            double low = 500 + 500.0 / 6 * band, centre = low + 500.0 / 6, high = centre + 500.0 / 6, sum = 0;
            for (int k = 0; k <= N_FFT / 2; k++) {
                double hz = (double)k * RATE_HZ / N_FFT, re = 0, im = 0;
                double weight = fmin((hz - low) / (centre - low), (high - hz) / (high - centre));
                for (int i = 0; i < N_FFT; i++) {
                    int at = frame * HOP - N_FFT / 2 + i;
                    double x = at < 0 || at >= 300 ? 0 : (double)signal_pcm[8000 + at];
                    x *= 0.5 - 0.5 * cos(2 * pi * i / N_FFT);
                    re += x * cos(2 * pi * i * k / N_FFT);
                    im -= x * sin(2 * pi * i * k / N_FFT);
                }
                sum += fmax(0, weight) * 2 / (high - low) * (re * re + im * im);
            }
            expected[frame * N_MELS + band] = (float)sum;
        }
    check_close("definition", values, expected, (300 / HOP + 1) * (size_t)N_MELS, 1e-4, 1e-9);
    release(&a);
}

/* The logarithm against the C library's, over all magnitudes and at the floor. */
static void test_logarithm(void)
{
    enum { N = 4001 };
    for (int i = 0; i < N; i++)
        values[i] = expected[i] = (float)(1e-2 * pow(10, i * 1.99 / 1000)); /* 8 decades: within the range */
    ser_features_power_to_db(values, N);
    for (int i = 0; i < N; i++)
        expected[i] = (float)(10 * log10((double)expected[i]));
    check_close("logarithm", values, expected, N, 5e-7, 3e-6);
    float few[] = {0, 1e-12f, NAN, 1e-9f, 2};
    ser_features_power_to_db(few, 5);
    float few_expected[] = {-76.9897f, -76.9897f, -76.9897f, -76.9897f, 3.0103f};
    check_close("floor", few, few_expected, 5, 0, 1e-4);
    float silence[] = {0, 0};
    ser_features_power_to_db(silence, 2);
    CHECK(fabsf(silence[0] + 100) < 1e-4f && silence[1] == silence[0]);
}

static void test_bad_settings(void)
{
    ser_error err = {0};
    ser_mel *m;
    const ser_mel_settings good = ser_logmel_settings(320);
    ser_mel_settings s = good;
    s.n_fft = 2 * 7;
    CHECK_FAILS(ser_mel_new(&m, &s, &err), SER_E_ARG, &err, "n_fft is 14");
    s.n_fft = 75;
    CHECK_FAILS(ser_mel_new(&m, &s, &err), SER_E_ARG, &err, "n_fft is 75");
    s.n_fft = 0;
    CHECK_FAILS(ser_mel_new(&m, &s, &err), SER_E_ARG, &err, "n_fft is 0");
    s = good, s.hop_samples = 0;
    CHECK_FAILS(ser_mel_new(&m, &s, &err), SER_E_ARG, &err, "hop is 0");
    s = good, s.n_mels = 0;
    CHECK_FAILS(ser_mel_new(&m, &s, &err), SER_E_ARG, &err, "0 mel bands");
    s = good, s.f_max_hz = 8001;
    CHECK_FAILS(ser_mel_new(&m, &s, &err), SER_E_ARG, &err, "8001 Hz");
    s = good, s.f_min_hz = NAN;
    CHECK_FAILS(ser_mel_new(&m, &s, &err), SER_E_ARG, &err, "Hz");
    CHECK(!m);
}

static void test_failing_allocations(void)
{
    ser_error err = {0};
    const ser_mel_settings s = ser_logmel_settings(320);
    ser_mel *m = NULL;
    ser_mel_work *w = NULL;
    ser_status status = SER_E_NOMEM;
    long n;
    for (n = 0; status != SER_OK && n < 100; n++) {
        failing_at(n);
        status = ser_mel_new(&m, &s, &err);
        CHECK(status == SER_OK ? m != NULL : status == SER_E_NOMEM && !m);
    }
    CHECK(n > 5 && m);
    for (n = 0, status = SER_E_NOMEM; status != SER_OK && n < 100; n++) {
        failing_at(n);
        status = ser_mel_work_new(&w, m, &err);
        CHECK(status == SER_OK ? w != NULL : status == SER_E_NOMEM && !w);
    }
    CHECK(n > 4 && w);
    failing_at(-1);
    ser_mel_work_free(&w);
    ser_mel_free(&m);
}

int main(void)
{
    load_signal();
    test_logmel("logmel_320.f32", 320, N_SAMPLES);
    test_logmel("logmel_512.f32", 512, N_SAMPLES);
    test_logmel("logmel_short_320.f32", 320, 700);
    test_mfcc();
    test_whisper("whisper_unpadded.f32", 80, N_SAMPLES);
    test_whisper_padded();
    test_whisper("whisper_160.f32", 80, 160);
    test_whisper("whisper_199.f32", 80, 199);
    test_whisper("whisper_201.f32", 80, 201);
    test_whisper("whisper_320.f32", 80, 320);
    test_whisper("whisper_500.f32", 80, 500);
    test_whisper("whisper_128_500.f32", 128, 500);
    test_tiny_recordings();
    test_definition();
    test_logarithm();
    test_bad_settings();
    test_failing_allocations();
    return test_summary();
}
