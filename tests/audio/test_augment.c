#include "audio/audio.h"
#include "audio/augment.h"
#include "base/memory.h"
#include "failures/failing.h"
#include "test.h"

enum { N = 10 * SER_SAMPLE_RATE_HZ };

static const double pi = 3.14159265358979323846;
static float a[N], b[N];

static double mean_square(const float *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    return sum / (double)n;
}

static double power_at(const float *x, size_t n, double hz)
{
    double re = 0, im = 0;
    for (size_t i = 0; i < n; i++) {
        double window = 0.5 - 0.5 * cos(2 * pi * (double)i / (double)n),
               phase = 2 * pi * hz * (double)i / 16000;
        re += (double)x[i] * window * cos(phase);
        im += (double)x[i] * window * sin(phase);
    }
    return (re * re + im * im) / (double)n;
}

/* Mean power density between two frequencies, over pieces of 1024 samples. */
static double band(const float *x, double low_hz, double high_hz)
{
    double sum = 0;
    for (size_t at = 0; at + 1024 <= N; at += 4096)
        for (int i = 0; i < 16; i++)
            sum += power_at(x + at, 1024, low_hz + (high_hz - low_hz) * (i + 0.5) / 16);
    return sum;
}

/* How far the density falls from around 500 Hz to around 4 kHz, three octaves. */
static double fall_db(const float *x)
{
    return 10 * log10(band(x, 400, 600) / band(x, 3200, 4800));
}

static float sine(size_t i, double hz)
{
    return (float)sin(2 * pi * hz * (double)i / 16000);
}

/* What is added to a signal of power 1: of power 1 as well. */
static void make_noise(float *x, size_t n, ser_noise kind, ser_random *r)
{
    for (size_t i = 0; i < n; i++)
        x[i] = 1;
    ser_augment_add_noise(x, n, kind, 0, r);
    for (size_t i = 0; i < n; i++)
        x[i] -= 1;
}

static void test_noise(void)
{
    for (int kind = 0; kind < SER_N_NOISES; kind++) {
        ser_random r;
        ser_random_init(&r, 3);
        make_noise(a, N, (ser_noise)kind, &r);
        CHECK(fabs(mean_square(a, N) - 1) < 1e-5);
        uint64_t after = ser_random_bits(&r);
        ser_random_init(&r, 3);
        make_noise(b, N, (ser_noise)kind, &r);
        CHECK(memcmp(a, b, sizeof a) == 0 && ser_random_bits(&r) == after);
        make_noise(b, N, (ser_noise)kind, &r);
        CHECK(memcmp(a, b, sizeof a) != 0);
        float few[5] = {0, 0, 0, 0, 7};
        make_noise(few, 0, (ser_noise)kind, &r);
        CHECK(few[4] == 7);
        make_noise(few, 1, (ser_noise)kind, &r);
        CHECK(fabsf(fabsf(few[0]) - 1) < 1e-5f && few[1] == 0);
    }
}

static void test_colours(void)
{
    ser_random r;
    ser_random_init(&r, 4);
    make_noise(a, N, SER_NOISE_WHITE, &r);
    CHECK(fabs(fall_db(a)) < 2);
    make_noise(a, N, SER_NOISE_PINK, &r);
    CHECK(fabs(fall_db(a) - 9) < 2.5);
    make_noise(a, N, SER_NOISE_BROWN, &r);
    CHECK(fabs(fall_db(a) - 18) < 2.5);
    make_noise(a, N, SER_NOISE_HUM, &r);
    CHECK(fmax(power_at(a, 16000, 50), power_at(a, 16000, 60)) > 1000 * power_at(a, 16000, 55));
    double same = 0; /* 0.1 s are whole periods of 50 and of 60 Hz */
    for (size_t i = 0; i + 1600 < N; i++)
        same = fmax(same, (double)fabsf(a[i] - a[i + 1600]));
    CHECK(same < 1e-3);
    make_noise(a, N, SER_NOISE_CLICKS, &r);
    size_t n_loud = 0;
    for (size_t i = 0; i < N; i++)
        n_loud += fabsf(a[i]) > 5;
    CHECK(n_loud > 100 && n_loud < N / 50);
    double quietest = 1e9, loudest = 0;
    make_noise(a, N, SER_NOISE_MODULATED, &r);
    for (size_t at = 0; at < N; at += 4000) {
        quietest = fmin(quietest, mean_square(a + at, 4000));
        loudest = fmax(loudest, mean_square(a + at, 4000));
    }
    CHECK(loudest > 10 * quietest && quietest > 0);
}

static void test_add_noise(void)
{
    ser_random r;
    ser_random_init(&r, 5);
    for (int kind = 0; kind < SER_N_NOISES; kind++)
        for (double snr_db = -5; snr_db < 30; snr_db += 12.5) {
            for (size_t i = 0; i < N; i++)
                a[i] = b[i] = 0.1f * sine(i, 440);
            ser_augment_add_noise(a, N, (ser_noise)kind, snr_db, &r);
            double signal = mean_square(b, N);
            for (size_t i = 0; i < N; i++)
                a[i] -= b[i];
            CHECK(fabs(10 * log10(signal / mean_square(a, N)) - snr_db) < 0.01);
        }
    memset(a, 0, sizeof a);
    ser_augment_add_noise(a, N, SER_NOISE_PINK, 10, &r);
    CHECK(mean_square(a, N) == 0);
    ser_augment_add_noise(a, 0, SER_NOISE_PINK, 10, &r);
}

static void test_echo(void)
{
    enum { N_SIGNAL = 20000, N_ROOM = 8000 };
    static const double decays_s[] = {0.1, 0.3, 0.5};
    for (int k = 0; k < 3; k++) {
        ser_random r;
        size_t n_decay = (size_t)(decays_s[k] * 16000);
        memset(a, 0, sizeof a);
        a[0] = 1;
        ser_random_init(&r, 6 + (uint64_t)k);
        ser_augment_echo(a, N_SIGNAL, decays_s[k], 3, &r);
        CHECK(fabs(mean_square(a, N_SIGNAL) * N_SIGNAL - 1) <
              0.02); /* energy 1, but for impulses that meet */
        CHECK(a[0] > 0.5f);
        size_t last = N_SIGNAL;
        while (a[--last] == 0)
            continue;
        CHECK(last > n_decay * 9 / 10 && last <= n_decay);
        double early = mean_square(a + 200, n_decay / 4),
               late = mean_square(a + 200 + n_decay / 2, n_decay / 4);
        CHECK(fabs(10 * log10(early / late) - 30) < 3); /* 60 dB in the whole time */

        /* Anything else is convolved with that same room. */
        static float x[N_SIGNAL], y[N_SIGNAL];
        for (size_t i = 0; i < N_SIGNAL; i++)
            x[i] = y[i] = (float)ser_random_normal(&r);
        ser_random_init(&r, 6 + (uint64_t)k);
        ser_augment_echo(y, N_SIGNAL, decays_s[k], 3, &r);
        memset(b, 0, sizeof b);
        for (size_t j = 0; j <= N_ROOM; j++)
            for (size_t i = j; i < N_SIGNAL && a[j] != 0; i++)
                b[i] += a[j] * x[i - j];
        check_close("convolution", y, b, N_SIGNAL, 0, 1e-4);
    }
    ser_random r;
    ser_random_init(&r, 9);
    a[0] = 1;
    ser_augment_echo(a, 1, 0.5, 3, &r);
    ser_augment_echo(a, 0, 0.5, 3, &r);
    CHECK(a[0] > 0.5f && a[0] < 1);
    a[0] = 1;
    ser_augment_echo(a, 1, 0, 3, &r);
    CHECK(a[0] == 1);
}

static void test_gain_and_clip(void)
{
    ser_random r;
    ser_random_init(&r, 10);
    for (size_t i = 0; i < 1000; i++)
        a[i] = b[i] = (float)ser_random_normal(&r);
    ser_augment_gain(a, 1000, 20);
    for (size_t i = 0; i < 1000; i++)
        b[i] *= 10;
    check_close("20 dB", a, b, 1000, 1e-6, 0);
    for (int k = 0; k < 2; k++) {
        double fraction = k ? 0.3 : 0.05;
        size_t n_clipped = 0, n_beyond = 0;
        memcpy(a, b, 1000 * sizeof *a);
        ser_augment_clip(a, 1000, fraction);
        for (size_t i = 0; i < 1000; i++) {
            n_clipped += fabsf(a[i]) == 1;
            n_beyond += fabsf(a[i]) > 1 || a[i] * b[i] <= 0;
        }
        CHECK(n_beyond == 0 &&
              fabs((double)n_clipped - 1000 * fraction) <= 1); /* and one just at the limit */
    }
    memcpy(a, b, 1000 * sizeof *a);
    ser_augment_clip(a, 1000, 0);
    CHECK(memcmp(a, b, 1000 * sizeof *a) == 0);
    memset(a, 0, sizeof a);
    ser_augment_clip(a, 1000, 0.5);
    CHECK(mean_square(a, 1000) == 0);
    ser_augment_clip(a, 0, 0.5);
}

static void test_telephone(void)
{
    ser_error err = {0};
    for (size_t i = 0; i < N; i++) {
        b[i] = sine(i, 1000);
        a[i] = b[i] + sine(i, 6000);
    }
    CHECK_OK(ser_augment_telephone(a, 15999, &err), &err);
    CHECK(a[15999] == b[15999] + sine(15999, 6000)); /* not touched */
    check_close("the low tone alone", a + 200, b + 200, 15600, 0, 1e-3);
    CHECK_OK(ser_augment_telephone(a, 1, &err), &err);
    CHECK_OK(ser_augment_telephone(a, 0, &err), &err);
    for (long i = 0; i < 2; i++) {
        failing_at(i);
        CHECK_FAILS(ser_augment_telephone(a, N, &err), SER_E_NOMEM, &err, "memory");
    }
}

static void test_speed(void)
{
    ser_error err = {0};
    float *out;
    size_t n;
    for (size_t i = 0; i < N; i++)
        a[i] = sine(i, 440);
    CHECK_OK(ser_augment_speed(&out, &n, a, N, 1.1, &err), &err);
    CHECK(n == 145455);
    for (size_t i = 0; i < n; i++)
        b[i] = sine(i, 484);
    check_close("higher", out + 200, b + 200, n - 400, 0, 1e-3);
    ser_free(out);
    CHECK_FAILS(ser_augment_speed(&out, &n, a, N, 0, &err), SER_E_ARG, &err, "cannot be converted");
}

static void test_copy(void)
{
    enum { N_IN = 8000, N_SEEDS = 200 };
    ser_error err = {0};
    size_t shortest = N_IN, longest = N_IN;
    double quietest = 1e9, loudest = 0, power = 0;
    for (size_t i = 0; i < N_IN; i++)
        a[i] = 0.2f * sine(i, 300) * sine(i, 3);
    power = mean_square(a, N_IN);
    for (uint64_t seed = 0; seed < N_SEEDS; seed++) {
        float *copy, *again;
        size_t n, n_again;
        CHECK_OK(ser_augment_copy(&copy, &n, a, N_IN, seed, &err), &err);
        CHECK_OK(ser_augment_copy(&again, &n_again, a, N_IN, seed, &err), &err);
        CHECK(n == n_again && memcmp(copy, again, n * sizeof *copy) == 0);
        double gain_db = 10 * log10(mean_square(copy, n) / power);
        quietest = fmin(quietest, gain_db);
        loudest = fmax(loudest, gain_db);
        shortest = n < shortest ? n : shortest;
        longest = n > longest ? n : longest;
        ser_free(copy);
        ser_free(again);
    }
    CHECK(shortest >= 7272 && shortest < 7400 && longest <= 8890 && longest > 8700);
    CHECK(quietest > -15 && quietest < -10 && loudest < 9 && loudest > 4);
    for (long i = 0; i < 3; i++) { /* seed 7 takes the telephone: three allocations */
        float *copy;
        size_t n;
        failing_at(i);
        CHECK_FAILS(ser_augment_copy(&copy, &n, a, N_IN, 7, &err), SER_E_NOMEM, &err, "memory");
        CHECK(!copy && !n);
    }
    failing_at(-1);
}

int main(void)
{
    test_noise();
    test_colours();
    test_add_noise();
    test_echo();
    test_gain_and_clip();
    test_telephone();
    test_speed();
    test_copy();
    return test_summary();
}
