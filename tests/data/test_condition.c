/* Each bad condition does what it says to a tone: none of them may do nothing. */
#include "base/memory.h"
#include "data/condition.h"
#include "test.h"

#include <string.h>

enum { N = 16000 };

static const double pi = 3.14159265358979;
static float plain[N], x[N];

static void fill(double frequency_hz, double level)
{
    for (size_t i = 0; i < N; i++)
        plain[i] = (float)(level * sin(2 * pi * frequency_hz * (double)i / SER_SAMPLE_RATE_HZ));
    memcpy(x, plain, sizeof x);
}

static void apply(ser_condition c)
{
    ser_error err = {0};
    ser_random r;
    ser_random_init(&r, 46);
    CHECK_OK(ser_condition_apply(x, N, c, &r, &err), &err);
}

static double power(const float *a, size_t first, size_t end)
{
    double sum = 0;
    for (size_t i = first; i < end; i++)
        sum += (double)a[i] * (double)a[i];
    return sum / (double)(end - first);
}

static void test_noise(void)
{
    float noise[N];
    fill(500, 0.3);
    apply(SER_CONDITION_NOISE);
    for (size_t i = 0; i < N; i++)
        noise[i] = x[i] - plain[i];
    CHECK(fabs(10 * log10(power(plain, 0, N) / power(noise, 0, N)) - 10) < 0.5);
}

static void test_telephone(void)
{
    fill(6000, 0.3); /* above what 8 kHz hold */
    apply(SER_CONDITION_TELEPHONE);
    CHECK(power(x, N / 4, 3 * N / 4) < 0.01 * power(plain, N / 4, 3 * N / 4));
    fill(1000, 0.3);
    apply(SER_CONDITION_TELEPHONE);
    CHECK(power(x, N / 4, 3 * N / 4) > 0.5 * power(plain, N / 4, 3 * N / 4));
}

/* Behind the sound there is some of it left, which fades. */
static void test_echo(void)
{
    fill(500, 0.3);
    memset(x + N / 2, 0, N / 2 * sizeof *x);
    apply(SER_CONDITION_ECHO);
    double soon = power(x, N / 2 + 400, N / 2 + 1600), later = power(x, N - 1600, N);
    CHECK(soon > 1e-4 * power(plain, 0, N) && later < soon / 2);
}

static void test_quiet(void)
{
    fill(500, 0.3);
    apply(SER_CONDITION_QUIET);
    CHECK(fabs(10 * log10(power(plain, 0, N) / power(x, 0, N)) - 30) < 0.1);
    for (size_t i = 0; i < N; i += 97) {
        float step = x[i] * 32768;
        CHECK(step == rintf(step));
    }
}

/* Louder, until a twentieth of the samples is cut off. */
static void test_clipped(void)
{
    fill(437.3, 0.3);
    apply(SER_CONDITION_CLIPPED);
    size_t n_cut = 0;
    for (size_t i = 0; i < N; i++) {
        CHECK(fabsf(x[i]) <= 1);
        n_cut += fabsf(x[i]) >= 0.99999f;
    }
    CHECK(n_cut >= N / 25 && n_cut <= N / 15 && fabsf(x[3]) > fabsf(plain[3]));
}

int main(void)
{
    fill(500, 0.3);
    apply(SER_CONDITION_NONE);
    CHECK(memcmp(x, plain, sizeof x) == 0);
    test_noise();
    test_telephone();
    test_echo();
    test_quiet();
    test_clipped();
    return test_summary();
}
