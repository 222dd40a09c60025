/* What fuzz targets share. */
#ifndef SER_FUZZ_FUZZ_H
#define SER_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* A function of a target whose branches say nothing about the reader. */
#ifdef __clang__
#define fuzz_unwatched __attribute__((no_sanitize("coverage")))
#else
#define fuzz_unwatched
#endif

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* The input alone in a block of its size, so that a sanitizer sees a read beyond it. */
static inline uint8_t *fuzz_copy(const uint8_t *data, size_t n)
{
    uint8_t *copy = malloc(n ? n : 1);
    if (!copy)
        abort();
    if (n)
        memcpy(copy, data, n);
    return copy;
}

#endif
