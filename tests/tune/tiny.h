/* What the tests of fine-tuning share: the tiny Whisper, recordings, and the golden tensors' settings. */
#ifndef SER_TESTS_TINY_H
#define SER_TESTS_TINY_H

#include "encoder/golden.h"
#include "golden_tensors.h"
#include "nn/ops.h"
#include "tune/whisper_tune.h"

/* As in tools/make_golden_tune.py. */
enum { N_ROWS = 4, N_LABELS = 4, THIN = 7, MAX_SAMPLES = 16000 };
static const size_t lengths[N_ROWS] = {9500, 16000, 4800, 12345};
static const float targets[N_ROWS * N_LABELS] = {1, 0, 0, 0, 0,    0.25f, 0.75f, 0,
                                                 0, 0, 0, 1, 0.5f, 0.5f,  0,     0};
static const bool masks[N_ROWS * N_LABELS] = {true,  true, true,  true, true, true, true,  false,
                                              false, true, false, true, true, true, false, true};

static inline const char *tiny_folder(void)
{
    static char path[512];
    const char *folder = getenv("SER_TEST_DIR");
    snprintf(path, sizeof path, "%s/golden/tune/tiny", folder ? folder : "tests");
    return path;
}

/* The tiny Whisper, all of it to learn, with the golden head. */
static inline ser_tune_net *open_tiny(const ser_safetensors *f, int from)
{
    ser_tune_shape shape = {.from = from, .pooled = {1, 2}, .n_pooled = 2, .n_labels = N_LABELS};
    ser_tune_net *net = NULL;
    ser_error err = {0};
    CHECK_OK(ser_tune_net_open(&net, tiny_folder(), &shape, &err), &err);
    const char *const names[] = {"head.weight", "head.bias", "centre", "factor"};
    for (int i = 0; net && f && i < 4; i++) {
        size_t n = 0;
        float *x = golden(f, names[i], &n, NULL);
        float *to = i == 2   ? net->centre
                    : i == 3 ? net->factor
                             : net->values + ser_tune_net_find(net, names[i])->at;
        if (x)
            memcpy(to, x, n * sizeof *x);
        ser_free(x);
    }
    return net;
}

/* Compares values (n_values, or only those that learn) with the golden tensors prefix.NAME. */
static inline void check_tensors(const ser_tune_net *net, const float *values, size_t first,
                                 const ser_safetensors *f, const char *prefix, double relative,
                                 double absolute)
{
    float *all = ser_alloc(net->n_values, sizeof *all);
    memcpy(all + first, values, (net->n_values - first) * sizeof *values);
    for (size_t i = 0; i < net->n_tensors; i++) {
        const ser_tune_tensor *t = &net->tensors[i];
        if (t->at < first)
            continue;
        char name[128];
        snprintf(name, sizeof name, "%s.%s", prefix, t->name);
        size_t n = 0, thin = t->n > 1000 ? THIN : 1;
        float *expected = golden(f, name, &n, NULL), *thinned = ser_alloc(t->n, sizeof *thinned);
        float *plain = ser_alloc(t->n, sizeof *plain);
        CHECK(expected && thinned && n == (t->n + thin - 1) / thin);
        if (expected && n == (t->n + thin - 1) / thin) {
            ser_tune_net_get(plain, t, all);
            for (size_t k = 0; k < n; k++)
                thinned[k] = plain[k * thin];
            check_close(name, thinned, expected, n, relative, absolute);
        }
        ser_free(expected);
        ser_free(thinned);
        ser_free(plain);
    }
    ser_free(all);
}

#endif
