#include "nn/bytes.h"
#include "base/cpu.h"
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* Of a tile: 8 and 10 of 16 registers hold its sums. */
enum { AVX2_ROWS = 2, VNNI_ROWS = 5 };

/* Sums of whole numbers: however they are cut, they are the same. */
static void multiply_plain(const ser_byte_panel *p)
{
    for (size_t t = 0; t < p->n_rows; t++) {
        const uint8_t *x = (const uint8_t *)p->x + t * p->x_row;
        int32_t *sums = p->sums + t * SER_BYTE_COLUMNS;
        const int8_t *w = p->w;
        for (size_t k = 0; k < p->n_terms; k += SER_BYTE_TERMS, w += SER_BYTE_COLUMNS * SER_BYTE_TERMS)
            for (size_t o = 0; o < SER_BYTE_COLUMNS; o++)
                for (size_t i = 0; i < SER_BYTE_TERMS; i++)
                    sums[o] += x[k + i] * w[o * SER_BYTE_TERMS + i];
    }
}

#if defined(__x86_64__)

/* Tiles of n rows, a constant in all calls, whose sums stay in registers: those of the first two of four
 * neighbours and those of the others, side by side until the end. w: the panel in 16 bits. */
static inline __attribute__((always_inline, target("avx2"))) void avx2_tile(const ser_byte_panel *p,
                                                                            const __m256i *w, size_t first,
                                                                            const size_t n)
{
    const int16_t *x = (const int16_t *)p->x + first * p->x_row;
    size_t x_row = p->x_row, n_terms = p->n_terms;
    __m256i sums[AVX2_ROWS][4], *to = (__m256i *)(p->sums + first * SER_BYTE_COLUMNS);
    for (size_t r = 0; r < n; r++)
        for (size_t i = 0; i < 4; i++)
            sums[r][i] = _mm256_setzero_si256();
    for (size_t k = 0; k < n_terms; k += SER_BYTE_TERMS, w += 4)
        for (size_t r = 0; r < n; r++) {
            int64_t four;
            memcpy(&four, x + r * x_row + k, sizeof four);
            __m256i v = _mm256_set1_epi64x(four);
            for (size_t i = 0; i < 4; i++)
                sums[r][i] = _mm256_add_epi32(sums[r][i], _mm256_madd_epi16(v, w[i]));
        }
    for (size_t r = 0; r < n; r++)
        for (size_t i = 0; i < 2; i++) { /* columns 0 1 4 5 2 3 6 7, then in order */
            __m256i both = _mm256_hadd_epi32(sums[r][2 * i], sums[r][2 * i + 1]);
            both = _mm256_permute4x64_epi64(both, _MM_SHUFFLE(3, 1, 2, 0));
            _mm256_storeu_si256(to + 2 * r + i, _mm256_add_epi32(_mm256_loadu_si256(to + 2 * r + i), both));
        }
}

static __attribute__((target("avx2"))) void multiply_avx2(const ser_byte_panel *p)
{
    __m256i wide[SER_BYTE_CHUNK]; /* once for all rows */
    for (size_t i = 0; i < p->n_terms; i++)
        wide[i] = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)p->w + i));
    size_t first = 0;
    for (; first + AVX2_ROWS <= p->n_rows; first += AVX2_ROWS)
        avx2_tile(p, wide, first, AVX2_ROWS);
    if (first < p->n_rows)
        avx2_tile(p, wide, first, 1);
}

static inline __attribute__((always_inline, target("avx2,avxvnni"))) void vnni_tile(const ser_byte_panel *p,
                                                                                    size_t first,
                                                                                    const size_t n)
{
    const uint8_t *x = (const uint8_t *)p->x + first * p->x_row;
    const __m256i *w = (const __m256i *)p->w;
    size_t x_row = p->x_row, n_terms = p->n_terms;
    __m256i sums[VNNI_ROWS][2], *to = (__m256i *)(p->sums + first * SER_BYTE_COLUMNS);
    for (size_t r = 0; r < n; r++)
        for (size_t i = 0; i < 2; i++)
            sums[r][i] = _mm256_loadu_si256(to + 2 * r + i);
    for (size_t k = 0; k < n_terms; k += SER_BYTE_TERMS, w += 2) {
        __m256i low = _mm256_loadu_si256(w), high = _mm256_loadu_si256(w + 1);
        for (size_t r = 0; r < n; r++) {
            int32_t four;
            memcpy(&four, x + r * x_row + k, sizeof four);
            __m256i v = _mm256_set1_epi32(four);
            sums[r][0] = _mm256_dpbusd_avx_epi32(sums[r][0], v, low);
            sums[r][1] = _mm256_dpbusd_avx_epi32(sums[r][1], v, high);
        }
    }
    for (size_t r = 0; r < n; r++)
        for (size_t i = 0; i < 2; i++)
            _mm256_storeu_si256(to + 2 * r + i, sums[r][i]);
}

static __attribute__((target("avx2,avxvnni"))) void multiply_avxvnni(const ser_byte_panel *p)
{
    size_t first = 0;
    for (; first + VNNI_ROWS <= p->n_rows; first += VNNI_ROWS)
        vnni_tile(p, first, VNNI_ROWS);
    for (; first + 2 <= p->n_rows; first += 2)
        vnni_tile(p, first, 2);
    if (first < p->n_rows)
        vnni_tile(p, first, 1);
}

ser_byte_kernel ser_byte_kernel_here(void)
{
    if (ser_cpu() & SER_CPU_AVXVNNI)
        return (ser_byte_kernel){multiply_avxvnni, 1};
    if (ser_cpu() & SER_CPU_AVX2)
        return (ser_byte_kernel){multiply_avx2, 2};
    return (ser_byte_kernel){multiply_plain, 1};
}
#else
ser_byte_kernel ser_byte_kernel_here(void)
{
    return (ser_byte_kernel){multiply_plain, 1};
}
#endif
