/* What the processor can do: the one place that reads it. Every choice of a kernel asks here, so that the
 * variable SER_MAX_ISA, which names the most that may be used, shows on a strong processor what a weak one
 * does: sse41, avx2, avxvnni, avx512, avx512vnni, avx512bf16 or amx. It takes away and never adds. */
#ifndef SER_BASE_CPU_H
#define SER_BASE_CPU_H

#include "base/status.h"

enum {
    SER_CPU_AVX2 = 1,       /* x86-64-v3: AVX2, FMA, F16C, BMI */
    SER_CPU_AVXVNNI = 2,    /* products of bytes in registers of AVX2 */
    SER_CPU_AVX512 = 4,     /* x86-64-v4: F, BW, CD, DQ, VL */
    SER_CPU_AVX512VNNI = 8, /* and its products of bytes */
    SER_CPU_AVX512BF16 = 16,
    SER_CPU_AMX = 32 /* tiles of bytes and of bf16 */
};

/* What is there and may be used; read once. */
unsigned ser_cpu(void);

/* SER_E_ARG: SER_MAX_ISA holds a word that is none of the above; ser_cpu() then ignores it. */
ser_status ser_cpu_check(ser_error *err);

/* The word for the most that may be used where SER_MAX_ISA is set, else NULL. */
const char *ser_cpu_limit(void);

#endif
