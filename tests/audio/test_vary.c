#include "audio/audio.h"
#include "audio/room.h"
#include "audio/vary.h"
#include "base/memory.h"
#include "test.h"

enum { N = 3 * SER_SAMPLE_RATE_HZ, ROOM = SER_SAMPLE_RATE_HZ / 2 };

static int16_t noise[2 * N];
static float plain[N], out[N], again[N], direct[N];

static double power(const float *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    return sum / (double)n;
}

/* Share of the power between two frequencies, by a transform of 1,024 samples every 8,192. */
static double share(const float *x, size_t n, double low_hz, double high_hz)
{
    double inside = 0, all = 0;
    for (size_t at = 0; at + 1024 <= n; at += 8192)
        for (int k = 1; k < 512; k += 3) {
            double re = 0, im = 0, hz = k * 16000.0 / 1024;
            for (int i = 0; i < 1024; i++) {
                double window = 0.5 - 0.5 * cos(2 * acos(-1) * i / 1024);
                re += (double)x[at + i] * window * cos(2 * acos(-1) * k * i / 1024);
                im += (double)x[at + i] * window * sin(2 * acos(-1) * k * i / 1024);
            }
            all += re * re + im * im;
            if (hz >= low_hz && hz < high_hz)
                inside += re * re + im * im;
        }
    return inside / all;
}

static size_t vary(ser_vary_work *w, float *to, const ser_variety *v, uint64_t seed)
{
    const ser_recorded recording = {noise, N}, other = {noise + N, N};
    ser_random r;
    ser_random_init(&r, seed);
    return ser_vary(w, to, recording, &other, 1, v, &r);
}

/* Schroeder's integral: what is left of the energy after some time. */
static double left_db(const float *response, size_t n, double s)
{
    double after = 0, all = 0;
    for (size_t i = 0; i < n; i++) {
        double e = (double)response[i] * (double)response[i];
        all += e;
        after += (double)i >= s * SER_SAMPLE_RATE_HZ ? e : 0;
    }
    return 10 * log10(after / all);
}

static void test_room(void)
{
    static float response[ROOM];
    const ser_room room = {{6, 5, 3}, {2, 2, 1.5}, {3.5, 3, 1.2}, 0.4};
    ser_room_response(response, ROOM, &room);
    double energy = power(response, ROOM) * ROOM;
    CHECK(fabs(energy - 1) < 1e-4);
    CHECK(response[0] > 0.2f); /* the direct sound comes first */
    for (size_t i = 1; i < ROOM; i++)
        CHECK(response[i] <= response[0]);
    /* The floor reflects first, before the ceiling: its image lies 2.7 m below. */
    double flat = 1.5 * 1.5 + 1,
           first = (sqrt(flat + 2.7 * 2.7) - sqrt(flat + 0.3 * 0.3)) / 343 * SER_SAMPLE_RATE_HZ;
    CHECK(response[(size_t)first] > 0.05f && response[(size_t)first - 2] == 0);
    double fall =
        left_db(response, ROOM, 0.25) - left_db(response, ROOM, 0.05); /* 60 dB in 0.4 s would be -30 */
    CHECK(fall < -15 &&
          fall > -45); /* rectangular rooms ring longer than the formula for diffuse ones says */
    ser_random r;
    ser_random_init(&r, 7);
    for (int i = 0; i < 30; i++) {
        const ser_room any = ser_room_at_random(&r);
        for (int k = 0; k < 3; k++)
            CHECK(any.source_m[k] > 0 && any.source_m[k] < any.size_m[k] && any.microphone_m[k] > 0 &&
                  any.microphone_m[k] < any.size_m[k]);
    }
}

/* A room by multiplied spectra is the same as by its definition, but for the frequencies below 50 Hz. */
static void test_convolution(ser_vary_work *w, uint64_t seed)
{
    const ser_variety roomy = {.room = 1};
    static float response[ROOM];
    ser_random r;
    ser_random_init(&r, seed);
    const ser_room room = ser_room_at_random(&r);
    ser_room_response(response, ROOM, &room);
    memset(direct, 0, sizeof direct);
    for (size_t k = 0; k < ROOM; k++)
        for (size_t i = k; response[k] != 0 && i < N; i++)
            direct[i] += response[k] * plain[i - k];
    CHECK(vary(w, out, &roomy, 3) == N);
    double both = 0, difference = 0;
    for (size_t i = 0; i < N; i++) {
        both += (double)direct[i] * (double)direct[i];
        difference += pow((double)direct[i] - (double)out[i], 2);
    }
    CHECK(difference < 0.08 * both);
}

static void test_alterations(ser_vary_work *w)
{
    double before = power(plain, N);
    CHECK(vary(w, out, &(ser_variety){.low_pass = 1}, 11) == N);
    CHECK(share(out, N, 7000, 8000) < 0.5 * share(plain, N, 7000, 8000) || power(out, N) < 0.98 * before);
    CHECK(vary(w, out, &(ser_variety){.telephone = 1}, 12) == N);
    CHECK(share(out, N, 400, 3100) > 0.7 && share(out, N, 4300, 8000) < 0.01);
    vary(w, out, &(ser_variety){.noise = 1}, 13);
    CHECK(power(out, N) > 1.0005 * before && power(out, N) < 1.5 * before);
    vary(w, out, &(ser_variety){.babble = 1}, 14);
    CHECK(power(out, N) > 1.005 * before && power(out, N) < 1.5 * before);
    vary(w, out, &(ser_variety){.gain = 1}, 15);
    CHECK(fabs(power(out, N) / before - 1) > 0.01 && fabsf(out[5] / plain[5] - out[77] / plain[77]) < 1e-4f);
    vary(w, out, &(ser_variety){.clip = 1}, 16);
    CHECK(power(out, N) < 0.9 * before);
    vary(w, out, &(ser_variety){.steps = 1}, 17);
    size_t n_levels = 0;
    for (size_t i = 0; i < 1000; i++) {
        size_t k = 0;
        while (k < n_levels && again[k] != out[i])
            k++;
        if (k == n_levels)
            again[n_levels++] = out[i];
    }
    CHECK(n_levels <= 130 && n_levels >= 8);
    vary(w, out, &(ser_variety){.equalise = 1}, 19);
    CHECK(fabs(share(out, N, 3000, 8000) / share(plain, N, 3000, 8000) - 1) > 0.02);
    vary(w, out, &(ser_variety){.codec = 1},
         20); /* of white noise little is 20 to 40 dB below the strongest part */
    CHECK(power(out, N) < before && power(out, N) > 0.8 * before);
}

static void test_speed(ser_vary_work *w)
{
    const ser_recorded recording = {noise, N / 2};
    bool faster = false, slower = false;
    for (uint64_t seed = 0; seed < 20; seed++) {
        ser_random r;
        ser_random_init(&r, seed);
        size_t n = ser_vary(w, out, recording, NULL, 0, &(ser_variety){.speed = 1}, &r);
        CHECK(n >= N / 2 / 1.141 && n <= N / 2 / 0.879);
        faster |= n < N / 2;
        slower |= n > N / 2;
    }
    CHECK(faster && slower);
}

int main(void)
{
    ser_error err;
    ser_rooms *rooms = NULL;
    ser_vary_work *w = NULL;
    ser_random r;
    ser_random_init(&r, 1);
    for (size_t i = 0; i < 2 * N; i++)
        noise[i] = (int16_t)(3000 * ser_random_normal(&r));
    test_room();
    CHECK_OK(ser_rooms_new(&rooms, 1, 5, &err), &err);
    CHECK_OK(ser_vary_work_new(&w, N, rooms, &err), &err);
    CHECK(vary(w, plain, NULL, 0) == N && plain[100] == (float)noise[100] / 32768);
    const ser_variety usual = ser_variety_default();
    for (uint64_t seed = 0; seed < 40; seed++) { /* the same bits again, all of them finite */
        size_t n = vary(w, out, &usual, seed), m = vary(w, again, &usual, seed);
        bool finite = true;
        for (size_t i = 0; i < n; i++)
            finite &= isfinite(out[i]) != 0;
        CHECK(n == m && finite && memcmp(out, again, n * sizeof *out) == 0);
    }
    test_convolution(w, 5);
    test_alterations(w);
    test_speed(w);
    const ser_recorded tiny = {noise, 100};
    CHECK(ser_vary(w, out, tiny, NULL, 0, &usual, &r) <= 114);
    CHECK_FAILS(ser_vary_work_new(&(ser_vary_work *){NULL}, 10, rooms, &err), SER_E_ARG, &err,
                "crops of 10 samples");
    ser_vary_work_free(&w);
    ser_rooms_free(&rooms);
    return test_summary();
}
