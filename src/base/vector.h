/* Fast loops without assembly: a function that is written as
 *     SER_FAST(float, ser_sum, (const float *x, size_t n), (x, n)) { ... }
 * (SER_FAST_STATIC for one file's own) is compiled for AVX-512, AVX2 and plain x86-64, and each call takes
 * what base/cpu.h says of the processor at hand. Write simple loops over float arrays without branches or
 * calls into libm (those the compiler vectorises); for sums use ser_lanes, because the compiler may not
 * reorder additions by itself. Helpers that such a function calls must be inline in the same file. */
#ifndef SER_BASE_VECTOR_H
#define SER_BASE_VECTOR_H

#include "base/cpu.h"

#include <stddef.h>
#include <string.h>

#define SER_INLINE static inline __attribute__((always_inline))

/* Not with clang: version 14 refuses ser_lanes as an argument in such variants, even of inlined functions. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define SER_VARIANT(march, type, name, parameters, call)                                                     \
    __attribute__((target("arch=" march))) static type name parameters                                       \
    {                                                                                                        \
        return call;                                                                                         \
    }
#define SER_VARIANTS(linkage, type, name, parameters, arguments)                                             \
    SER_INLINE type name##_loop parameters;                                                                  \
    SER_VARIANT("x86-64-v4", type, name##_v4, parameters, name##_loop arguments)                             \
    SER_VARIANT("x86-64-v3", type, name##_v3, parameters, name##_loop arguments)                             \
    linkage type name parameters                                                                             \
    {                                                                                                        \
        unsigned cpu = ser_cpu();                                                                            \
        return cpu & SER_CPU_AVX512 ? name##_v4 arguments                                                    \
               : cpu & SER_CPU_AVX2 ? name##_v3 arguments                                                    \
                                    : name##_loop arguments;                                                 \
    }                                                                                                        \
    SER_INLINE type name##_loop parameters
#define SER_FAST(type, name, parameters, arguments) SER_VARIANTS(, type, name, parameters, arguments)
#define SER_FAST_STATIC(type, name, parameters, arguments)                                                   \
    SER_VARIANTS(static, type, name, parameters, arguments)
#else
#define SER_FAST(type, name, parameters, arguments)        type name parameters
#define SER_FAST_STATIC(type, name, parameters, arguments) static type name parameters
#endif

enum { SER_N_LANES = 16 };

/* 16 floats side by side: one AVX-512 register, two of AVX2, four of SSE. */
typedef float ser_lanes __attribute__((vector_size(SER_N_LANES * sizeof(float))));

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
