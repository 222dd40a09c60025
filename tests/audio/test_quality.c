/* What a recording sounds like, against sounds of which it is known. */
#include "audio/clipping.h"
#include "audio/decay.h"
#include "audio/quality.h"
#include "base/random.h"
#include "test.h"

enum { RATE = SER_SAMPLE_RATE_HZ, N = 4 * RATE };

static const double pi = 3.14159265358979323846;

/* Speech comes in syllables: 0.3 s of sound, 0.2 s of pause. */
static bool speaks_at(size_t i)
{
    return i / (RATE / 10) % 5 < 3;
}

static bool speaks_always(size_t i)
{
    (void)i;
    return true;
}

/* Told where it speaks; portions of any size. */
static ser_acoustics hear_where(bool (*speaks)(size_t), const float *pcm, size_t n, size_t portion)
{
    ser_quality *q;
    ser_error err;
    ser_acoustics s = {0};
    CHECK_OK(ser_quality_new(&q, &err), &err);
    if (!q)
        return s;
    size_t n_windows = 0;
    for (int again = 0; again < 2; again++) { /* nothing is left of what was heard before */
        ser_quality_start(q);
        n_windows = 0;
        for (size_t at = 0, n_now; at < n; at += n_now) {
            n_now = n - at < portion ? n - at : portion;
            ser_quality_add(q, pcm + at, n_now);
            for (; (n_windows + 1) * SER_QUALITY_WINDOW <= at + n_now; n_windows++) {
                size_t first = n_windows * SER_QUALITY_WINDOW, last = first + SER_QUALITY_WINDOW - 1;
                ser_quality_voice(q, speaks(first) && speaks(last)     ? 0.9f
                                     : !speaks(first) && !speaks(last) ? 0.01f
                                                                       : 0.3f);
            }
        }
        ser_quality_finish(q);
        ser_quality_voice(q, 0.3f);
    }
    ser_quality_tell(q, &s);
    ser_quality_free(&q);
    CHECK(!q);
    return s;
}

static ser_acoustics hear(const float *pcm, size_t n, size_t portion)
{
    return hear_where(speaks_at, pcm, n, portion);
}

/* Noise below so many Hz: sines at random phases, 20 Hz apart. */
static void band_noise(float *pcm, size_t n, double cutoff_hz, double rms)
{
    ser_random r;
    ser_random_init(&r, 5);
    memset(pcm, 0, n * sizeof *pcm);
    size_t n_tones = (size_t)(cutoff_hz / 20);
    for (size_t k = 1; k <= n_tones; k++) {
        double phase = 2 * pi * ser_random_uniform(&r), step = 2 * pi * 20 * (double)k / RATE;
        for (size_t i = 0; i < n; i++)
            pcm[i] += (float)(rms * sqrt(2.0 / (double)n_tones) * sin(phase + step * (double)i));
    }
}

static void test_bandwidth_and_level(void)
{
    float *pcm = calloc(N, sizeof *pcm);
    const double cutoffs[] = {1000, 2000, 3400, 5500, 7900};
    for (size_t c = 0; c < 5; c++) {
        band_noise(pcm, N, cutoffs[c], 0.05);
        ser_acoustics s = hear(pcm, N, 5000);
        CHECK(s.bandwidth_hz >= cutoffs[c] - 20 && s.bandwidth_hz <= cutoffs[c] + 250);
        CHECK(fabs((double)s.level_db - 20 * log10(0.05)) < 0.3);
        CHECK(s.clipped == 0);
        CHECK(fabs((double)s.voice_s - 2.4 * N / RATE / 4) < 0.5);
        for (size_t i = 0; i < N; i++)
            pcm[i] *= 0.03f; /* 30 dB quieter: the same band */
        ser_acoustics quiet = hear(pcm, N, 5000);
        CHECK(quiet.bandwidth_hz == s.bandwidth_hz);
        CHECK(fabs((double)(s.level_db - quiet.level_db) - 30.46) < 0.1);
    }
    /* What is far below the strongest band is sound; what is further below, none. */
    float *high = calloc(N, sizeof *high);
    band_noise(high, N, 7000, 0.05);
    for (int weak = 0; weak < 2; weak++) {
        band_noise(pcm, N, 3000, 0.05);
        for (size_t i = 0; i < N; i++)
            pcm[i] += (weak ? 0.0005f : 0.01f) * high[i];
        double hz = (double)hear(pcm, N, 5000).bandwidth_hz, truth = weak ? 3000 : 7000;
        CHECK(hz >= truth - 20 && hz <= truth + 250);
    }
    free(high);
    free(pcm);
}

static void test_noise(void)
{
    float *pcm = calloc(N, sizeof *pcm), *voice = calloc(N, sizeof *voice);
    const double ratios_db[] = {0, 10, 20, 40};
    band_noise(voice, N, 3000, 0.1);
    for (size_t k = 0; k < 4; k++) {
        ser_random r;
        ser_random_init(&r, 9);
        double level = 0.1 * pow(10, -ratios_db[k] / 20);
        for (size_t i = 0; i < N; i++)
            pcm[i] = (float)(level * ser_random_normal(&r)) + (speaks_at(i) ? voice[i] : 0) +
                     0.02f; /* an offset is no noise */
        ser_acoustics s = hear(pcm, N, 16000 - 512), other = hear(pcm, N, 333);
        CHECK(fabs((double)s.snr_db - ratios_db[k]) < 1.5);
        CHECK(fabs((double)s.noise_db - 20 * log10(level)) < 1);
        CHECK(memcmp(&s, &other, sizeof s) == 0); /* whatever the portions */
    }
    for (size_t i = 0; i < N; i++)
        pcm[i] = speaks_at(i) ? voice[i] : 0;
    CHECK(hear(pcm, N, 5000).snr_db == 80); /* as much as is told */
    /* Most of what is called a pause is loud, and some of the sound was put there by a program. */
    ser_random r;
    ser_random_init(&r, 9);
    for (size_t i = 0; i < N; i++)
        pcm[i] = i < N / 5                         ? 0
                 : speaks_at(i) || i % 8000 < 6800 ? voice[i] + 0.001f * (float)ser_random_normal(&r)
                                                   : 0.001f * (float)ser_random_normal(&r);
    CHECK(fabs((double)hear(pcm, N, 5000).noise_db + 60) < 2);
    /* Without pauses only a large ratio is known. */
    CHECK(hear_where(speaks_always, pcm, N, 5000).snr_db > 30);
    for (size_t i = 0; i < N; i++)
        pcm[i] = voice[i];
    CHECK(isnan(hear_where(speaks_always, pcm, N, 5000).snr_db));
    free(pcm);
    free(voice);
}

/* A tone of amplitude 0.5 * gain, cut off at 0.5, with an offset. */
static double clipped_share(double hz, double gain, double scale, double bits, double *truth)
{
    ser_clipping c = {0};
    size_t n_above = 0;
    for (size_t i = 0; i < N; i++) {
        double x = 0.5 * gain * sin(2 * pi * hz * (double)i / RATE + 0.3), cut = fmin(fmax(x, -0.5), 0.5);
        n_above += fabs(x) > 0.5;
        float y = (float)(rint(cut * scale * exp2(bits - 1)) / exp2(bits - 1));
        ser_clipping_add(&c, &y, 1, 1);
    }
    *truth = (double)n_above / N;
    return ser_clipping_share(&c);
}

static void test_clipping(void)
{
    double truth;
    const double tones_hz[] = {21.3, 61.7, 110.3, 440.1};
    for (size_t k = 0; k < 4; k++) {
        CHECK(clipped_share(tones_hz[k], 0.99, 1, 16, &truth) == 0); /* rounded tops are none */
        CHECK(clipped_share(tones_hz[k], 0.99, 0.3, 16, &truth) == 0);
        double share = clipped_share(tones_hz[k], 1.5, 1, 16, &truth);
        CHECK(truth > 0.5 && fabs(share - truth) < 0.02);
        /* made quieter after it was clipped */
        CHECK(fabs(clipped_share(tones_hz[k], 1.5, 0.4, 16, &truth) - truth) < 0.02);
    }
    CHECK(clipped_share(100, 1.5, 0.05, 16, &truth) == 0); /* too quiet for a ceiling */
    ser_clipping c = {0};
    const float held[] = {0.1f, 0.3f, 0.3f, 0.3f, 0.3f, 0.1f, 0.8f, 0.1f, -0.3f, -0.3f, -0.2f};
    ser_clipping_add(&c, held, 11, 1);
    CHECK(ser_clipping_share(&c) == 0); /* flat, but not at the top */
    ser_clipping mixed = {0};           /* the same before and after what is at the top */
    const float steps[] = {0.1f, 0.3f, 0.3f, 0.3f, 0.1f, 0.8f, 0.8f, 0.8f, 0.1f, 0.3f, 0.3f, 0.3f, 0.1f, 0};
    ser_clipping_add(&mixed, steps, 14, 1);
    CHECK(fabs(ser_clipping_share(&mixed) - 3.0 / 14) < 1e-9);
    ser_clipping other = {0};
    const float stereo[] = {0, 9, 0.9f, 9, 0.9f, 9, 0.9f, 9, 0.9f, 9, 0, 9};
    ser_clipping_add(&other, stereo, 6, 2);
    CHECK(fabs(ser_clipping_share(&other) - 4.0 / 6) < 1e-9);
}

/* Bursts of noise that fade by 60 dB in decay_s, over noise 50 dB below them. */
static double decay_of(double decay_s)
{
    ser_decay d = {0};
    ser_random r;
    ser_random_init(&r, 3);
    size_t n_burst = (size_t)((0.2 + decay_s) * RATE) / SER_DECAY_HOP * SER_DECAY_HOP;
    for (size_t burst = 0; burst < 8; burst++)
        for (size_t i = 0; i < n_burst; i += SER_DECAY_HOP) {
            double sum = 0;
            for (size_t k = i; k < i + SER_DECAY_HOP; k++) {
                double t = (double)k / RATE - 0.15;
                double x = ser_random_normal(&r) * 0.3 * (t < 0 ? 1 : pow(10, -3 * t / decay_s)) +
                           0.001 * ser_random_normal(&r);
                sum += x * x;
            }
            ser_decay_add(&d, sum / SER_DECAY_HOP);
        }
    return ser_decay_s(&d);
}

static void test_decay(void)
{
    const double truths_s[] = {0.25, 0.5, 0.8, 1.2};
    for (size_t k = 0; k < 4; k++) {
        double s = decay_of(truths_s[k]);
        CHECK(s > 0.7 * truths_s[k] && s < 1.35 * truths_s[k]);
    }
    ser_decay none = {0};
    CHECK(isnan(ser_decay_s(&none)));
    for (int i = 0; i < 1000; i++)
        ser_decay_add(&none, 0.01);
    CHECK(isnan(ser_decay_s(&none))); /* nothing fades */
    for (int i = 0; i < 1000; i++)
        ser_decay_add(&none, 0.01 * pow(10, -0.6 * (i % 40) / 40.0)); /* by 6 dB, again and again */
    CHECK(isnan(ser_decay_s(&none)));
}

static void test_nothing_to_measure(void)
{
    float *pcm = calloc(N, sizeof *pcm);
    ser_acoustics s = hear(pcm, N, 5000); /* digital silence, called a voice */
    CHECK(isfinite(s.bandwidth_hz) && s.level_db == -120 && s.clipped == 0);
    s = hear(pcm, 400, 5000); /* less than a window, and no voice */
    CHECK(s.voice_s == 0 && isnan(s.bandwidth_hz) && isnan(s.level_db) && isnan(s.snr_db) &&
          isnan(s.noise_db));
    for (size_t i = 0; i < N; i++) /* what no microphone wrote */
        pcm[i] = i % 2 ? 1e30f : -1e30f;
    s = hear(pcm, N, 5000);
    CHECK(!isnan(s.level_db) && !isnan(s.clipped));
    free(pcm);
}

int main(void)
{
    test_bandwidth_and_level();
    test_noise();
    test_clipping();
    test_decay();
    test_nothing_to_measure();
    return test_summary();
}
