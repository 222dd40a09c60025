/* What tests share that read golden tensors from a safetensors file. */
#ifndef SER_TESTS_GOLDEN_TENSORS_H
#define SER_TESTS_GOLDEN_TENSORS_H

#include "base/memory.h"
#include "io/safetensors.h"
#include "test.h"

/* NULL, after a failed check: there is none. */
static inline ser_safetensors *open_golden(const char *path)
{
    const char *folder = getenv("SER_TEST_DIR");
    char full[512];
    snprintf(full, sizeof full, "%s/golden/%s", folder ? folder : "tests", path);
    ser_safetensors *f = NULL;
    ser_error err = {0};
    CHECK_OK(ser_safetensors_open(&f, full, &err), &err);
    return f;
}

/* The tensor's values; the caller frees them. NULL, after a failed check: there is none. n and dims: may be
 * NULL. */
static inline float *golden(const ser_safetensors *f, const char *name, size_t *n, size_t *dims)
{
    const ser_tensor *t = ser_safetensors_find(f, name);
    ser_error err = {0};
    if (!t) {
        fprintf(stderr, "no tensor %s\n", name);
        test_n_failed++;
        return NULL;
    }
    float *x = ser_alloc(t->n_elements, sizeof *x);
    CHECK_OK(ser_tensor_to_f32(x, t, 0, t->n_elements, &err), &err);
    if (n)
        *n = t->n_elements;
    for (int i = 0; dims && i < t->n_dims; i++)
        dims[i] = t->dims[i];
    return x;
}

#endif
