/* What structure-aware mutators share: they change a format's parts and mend what would only be refused at
 * the door (lengths, offsets), so that a change gets as deep as the part lies. */
#ifndef SER_FUZZ_MUTATE_H
#define SER_FUZZ_MUTATE_H

#include "fuzz.h"

/* libFuzzer's own; without it run_inputs.c has a plain one. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t n, size_t n_max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t n, size_t n_max, unsigned int seed);

typedef struct fuzz_random {
    uint64_t state;
} fuzz_random;

/* splitmix64 */
static inline uint64_t fuzz_next(fuzz_random *r)
{
    uint64_t x = r->state += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static inline size_t fuzz_below(fuzz_random *r, size_t n)
{
    return n ? (size_t)(fuzz_next(r) % n) : 0;
}

static inline uint64_t fuzz_get(const uint8_t *p, int n_bytes)
{
    uint64_t x = 0;
    for (int i = 0; i < n_bytes; i++)
        x |= (uint64_t)p[i] << 8 * i;
    return x;
}

static inline void fuzz_put(uint8_t *p, uint64_t x, int n_bytes)
{
    for (int i = 0; i < n_bytes; i++)
        p[i] = (uint8_t)(x >> 8 * i);
}

/* Numbers at which readers of sizes and offsets go wrong; n: the size of the input. */
static inline uint64_t fuzz_edge(fuzz_random *r, size_t n)
{
    const uint64_t edges[] = {0,
                              1,
                              n,
                              n - 1,
                              n + 1,
                              n / 2,
                              0x7fffffff,
                              0x80000000u,
                              0xffffffffu,
                              2,
                              8,
                              16,
                              0x10000000,
                              0xffff0000,
                              (uint64_t)1 << 32,
                              INT64_MAX,
                              (uint64_t)1 << 63,
                              UINT64_MAX,
                              3,
                              4};
    return edges[fuzz_below(r, sizeof edges / sizeof *edges)] - fuzz_below(r, 2) * fuzz_below(r, 64);
}

/* Replaces n_old bytes at `at` by n_new bytes; returns the new size, or n where that is too large. */
static inline size_t fuzz_splice(uint8_t *data, size_t n, size_t n_max, size_t at, size_t n_old,
                                 const void *new_bytes, size_t n_new)
{
    if (at > n || n_old > n - at || n - n_old + n_new > n_max)
        return n;
    memmove(data + at + n_new, data + at + n_old, n - at - n_old);
    if (n_new)
        memcpy(data + at, new_bytes, n_new);
    return n - n_old + n_new;
}

#endif
