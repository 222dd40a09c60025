#include "model/voice_products.h"
#include "base/vector.h"

/* Sums that go on at the same time, in several rows or in one: enough to hide how long a sum takes, few
 * enough for the registers. AVX-512 has twice as many as its forerunners: with eight rows a weight is read,
 * and made a double, half as often. */
enum { FEW_ROWS = 4, TILE_VECTORS = 2, ROW_VECTORS = 8 };

/* Of input i for an output and those that follow it in its block. */
SER_INLINE const float *weights_at(const ser_voice_affine *a, size_t output, size_t i)
{
    return a->w + (output / SER_VOICE_BLOCK * a->n_in + i) * SER_VOICE_BLOCK + output % SER_VOICE_BLOCK;
}

#define BYTES     16
#define MANY_ROWS 4
#define TARGET
#define NAME(x) x##_16
#include "model/voice_tiles.h"
#undef BYTES
#undef MANY_ROWS
#undef TARGET
#undef NAME

#if defined(__x86_64__) && defined(__GNUC__)

#define IS_X86
#include <immintrin.h>

#define BYTES     32
#define MANY_ROWS 4
#define TARGET    __attribute__((target("avx2,fma")))
#define NAME(x)   x##_32
#include "model/voice_tiles.h"
#undef BYTES
#undef MANY_ROWS
#undef TARGET
#undef NAME

#define BYTES     64
#define MANY_ROWS 8
#define TARGET    __attribute__((target("avx512f,fma")))
#define NAME(x)   x##_64
#include "model/voice_tiles.h"

#endif

ser_voice_products ser_voice_products_get(void)
{
#ifdef IS_X86
    if (ser_cpu() & SER_CPU_AVX512)
        return (ser_voice_products){rows_64, exact_rows_64};
    if (ser_cpu() & SER_CPU_AVX2)
        return (ser_voice_products){rows_32, exact_rows_32};
#endif
    return (ser_voice_products){rows_16, exact_rows_16};
}
