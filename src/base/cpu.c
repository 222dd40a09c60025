#include "base/cpu.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

enum { KNOWN = 1 << 30 };

static const struct {
    const char *word;
    unsigned allowed;
} limits[] = {{"sse41", 0},
              {"avx2", SER_CPU_AVX2},
              {"avxvnni", SER_CPU_AVX2 | SER_CPU_AVXVNNI},
              {"avx512", SER_CPU_AVX2 | SER_CPU_AVX512},
              {"avx512vnni", SER_CPU_AVX2 | SER_CPU_AVX512 | SER_CPU_AVX512VNNI},
              {"avx512bf16", SER_CPU_AVX2 | SER_CPU_AVX512 | SER_CPU_AVX512VNNI | SER_CPU_AVX512BF16},
              {"amx", ~0u}};
enum { N_LIMITS = sizeof limits / sizeof *limits };

#if defined(__x86_64__)
static bool has_all(unsigned bits, unsigned wanted)
{
    return (bits & wanted) == wanted;
}

/* Which registers the system saves when it changes threads (XCR0). */
static unsigned saved_registers(void)
{
    unsigned low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

/* Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, CPUID. */
static unsigned read_processor(void)
{
    enum { SAVES_AVX = 0x6, SAVES_AVX512 = 0xe6, SAVES_TILES = 0x60000 };
    enum { FMA = 1 << 12, MOVBE = 1 << 22, OSXSAVE = 1 << 27, AVX = 1 << 28, F16C = 1 << 29, LZCNT = 1 << 5 };
    enum { BMI = 1 << 3, AVX2 = 1 << 5, BMI2 = 1 << 8, VNNI = 1 << 11, AVXVNNI = 1 << 4, BF16 = 1 << 5 };
    enum { F = 1 << 16, DQ = 1 << 17, CD = 1 << 28, BW = 1 << 30 };
    const unsigned vl = 1u << 31, amx = 1u << 22 | 1u << 24 | 1u << 25; /* bf16, tiles, bytes */
    unsigned a, b, c, d, basic, extended, more, found = 0;
    if (!__get_cpuid(1, &a, &b, &basic, &d) || !has_all(basic, OSXSAVE | AVX | FMA | MOVBE | F16C) ||
        !__get_cpuid(0x80000001, &a, &b, &extended, &d) || !has_all(extended, LZCNT) ||
        !__get_cpuid_count(7, 0, &a, &b, &c, &d) || !has_all(b, BMI | AVX2 | BMI2))
        return 0;
    unsigned saved = saved_registers();
    if (!has_all(saved, SAVES_AVX))
        return 0;
    found |= SER_CPU_AVX2;
    unsigned unused[3];
    if (!a || !__get_cpuid_count(7, 1, &more, &unused[0], &unused[1], &unused[2]))
        more = 0;
    if (more & AVXVNNI)
        found |= SER_CPU_AVXVNNI;
    if (!has_all(b, F | DQ | CD | BW | vl) || !has_all(saved, SAVES_AVX512))
        return found;
    found |= SER_CPU_AVX512;
    if (c & VNNI)
        found |= SER_CPU_AVX512VNNI;
    if (found & SER_CPU_AVX512VNNI && more & BF16)
        found |= SER_CPU_AVX512BF16;
    if (found & SER_CPU_AVX512BF16 && has_all(d, amx) && has_all(saved, SAVES_TILES))
        found |= SER_CPU_AMX;
    return found;
}
#else
static unsigned read_processor(void)
{
    return 0;
}
#endif

/* The row of SER_MAX_ISA's word; -1 where it is not set or no such word. */
static int find_limit(const char **word)
{
    *word = getenv("SER_MAX_ISA");
    for (int i = 0; *word && i < N_LIMITS; i++)
        if (strcmp(*word, limits[i].word) == 0)
            return i;
    return -1;
}

unsigned ser_cpu(void)
{
    /* What does not change while a program runs, so that whoever comes first may find it out for all. */
    static _Atomic unsigned cache;
    unsigned found = atomic_load_explicit(&cache, memory_order_relaxed);
    if (!found) {
        const char *word;
        int limit = find_limit(&word);
        found = (read_processor() & (limit < 0 ? ~0u : limits[limit].allowed)) | KNOWN;
        atomic_store_explicit(&cache, found, memory_order_relaxed);
    }
    return found & ~(unsigned)KNOWN;
}

const char *ser_cpu_limit(void)
{
    const char *word;
    return find_limit(&word) < 0 ? NULL : word;
}

ser_status ser_cpu_check(ser_error *err)
{
    const char *word;
    if (find_limit(&word) >= 0 || !word)
        return SER_OK;
    return ser_fail(
        err, SER_E_ARG,
        "SER_MAX_ISA is '%.40s': it names the most that may be used of a processor, one of sse41, avx2, "
        "avxvnni, avx512, avx512vnni, avx512bf16, amx",
        word);
}
