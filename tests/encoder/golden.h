/* What the encoder's tests share: the signal of tools/make_golden_encoder.py and its golden files. */
#ifndef SER_TESTS_ENCODER_GOLDEN_H
#define SER_TESTS_ENCODER_GOLDEN_H

#include "base/memory.h"
#include "encoder/encoder.h"
#include "test.h"
#include <stdint.h>

/* make_signal there. */
static inline float *make_signal(size_t n_samples)
{
    float *pcm = ser_alloc(n_samples, sizeof *pcm);
    uint32_t state = 46;
    for (size_t i = 0; pcm && i < n_samples; i++) {
        int64_t n = (int64_t)i, phase = (n * n / 300 + 400 * n) % 65536;
        state = state * 1664525u + 1013904223u;
        int64_t triangle = (llabs(phase - 32768) - 16384) * 3;
        pcm[i] = (float)((triangle >> 3) + (int64_t)(state >> 20) - 2048) / 32768;
    }
    return pcm;
}

/* n floats of golden/encoder/NAME_I.f32; the caller's. */
static inline float *read_golden(const char *name, int i, size_t n)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/golden/encoder/%s_%d.f32", getenv("SER_TEST_DIR"), name, i);
    float *x = ser_alloc(n + 1, sizeof *x);
    FILE *f = fopen(path, "rb");
    size_t n_read = f ? fread(x, sizeof *x, n + 1, f) : 0;
    if (f)
        fclose(f);
    if (n_read != n)
        fprintf(stderr, "%s: %zu numbers, expected %zu\n", path, n_read, n);
    CHECK(n_read == n);
    return x;
}

static inline double cosine(const float *a, const float *b, size_t n)
{
    double ab = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < n; i++) {
        ab += (double)a[i] * (double)b[i];
        aa += (double)a[i] * (double)a[i];
        bb += (double)b[i] * (double)b[i];
    }
    return ab / sqrt(aa * bb);
}

#endif
