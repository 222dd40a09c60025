/* Fast loops without assembly: SER_FAST compiles a function for AVX-512, AVX2 and plain x86-64, and the
 * loader picks one for the processor at hand. Write simple loops over float arrays without branches or calls
 * into libm (those the compiler vectorises); for sums use ser_lanes, because the compiler may not reorder
 * additions by itself. Helpers that a SER_FAST function calls must be inline in the same file. */
#ifndef SER_BASE_VECTOR_H
#define SER_BASE_VECTOR_H

#include <stddef.h>
#include <string.h>

/* Not with sanitizers, which do not mix with the loader's selection, and not with clang: version 14 refuses
 * ser_lanes as an argument in clones, even of inlined functions. */
#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__clang__) &&                                  \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define SER_FAST __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define SER_FAST
#endif

enum { SER_N_LANES = 16 };

/* 16 floats side by side: one AVX-512 register, two of AVX2, four of SSE. */
typedef float ser_lanes __attribute__((vector_size(SER_N_LANES * sizeof(float))));

#define SER_INLINE static inline __attribute__((always_inline))

SER_INLINE ser_lanes ser_lanes_load(const float *x)
{
    ser_lanes v;
    memcpy(&v, x, sizeof v);
    return v;
}

SER_INLINE void ser_lanes_store(float *x, ser_lanes v)
{
    memcpy(x, &v, sizeof v);
}

SER_INLINE float ser_lanes_sum(ser_lanes v)
{
    float s = 0;
    for (int i = 0; i < SER_N_LANES; i++)
        s += v[i];
    return s;
}

/* <a, b>, summed in fp32. */
SER_INLINE float ser_lanes_dot(const float *a, const float *b, size_t n)
{
    ser_lanes sum = {0};
    float rest = 0;
    size_t i = 0;
    for (; i + SER_N_LANES <= n; i += SER_N_LANES)
        sum += ser_lanes_load(a + i) * ser_lanes_load(b + i);
    for (; i < n; i++)
        rest += a[i] * b[i];
    return ser_lanes_sum(sum) + rest;
}

/* The same, where the caller is not SER_FAST. */
float ser_dot_f32(const float *a, const float *b, size_t n);
/* y += by * x, n of them. */
void ser_add_scaled(float *y, const float *x, float by, size_t n);

#endif
