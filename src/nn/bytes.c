#include "nn/bytes.h"
#include "base/vector.h"

#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* Of a tile: 8 and 10 of 16 registers hold its sums. PAIR_MAX: 255 times so much fits into 16 bits.
 * GROUP: bytes of four terms. */
enum { AVX2_ROWS = 4, VNNI_ROWS = 5, PAIR_MAX = 128, GROUP = SER_BYTE_COLUMNS * SER_BYTE_TERMS };

/* Sums of whole numbers: however they are cut, they are the same. */
static void multiply_plain(const ser_byte_panel *p)
{
    for (size_t t = 0; t < p->n_rows; t++) {
        const uint8_t *x = p->x + t * p->x_row;
        int32_t *sums = p->sums + t * SER_BYTE_COLUMNS;
        const int8_t *w = p->w;
        for (size_t k = 0; k < p->n_terms; k += SER_BYTE_TERMS, w += GROUP)
            for (size_t o = 0; o < SER_BYTE_COLUMNS; o++)
                for (size_t i = 0; i < SER_BYTE_TERMS; i++)
                    sums[o] += x[k + i] * w[o * SER_BYTE_TERMS + i];
    }
}

#if defined(__x86_64__)

/* Tiles of n rows, a constant in all calls, whose sums stay in registers. */
static inline __attribute__((always_inline, target("avx2"))) void avx2_tile(const ser_byte_panel *p,
                                                                            size_t first, const size_t n)
{
    const uint8_t *x = p->x + first * p->x_row;
    const __m256i *w = (const __m256i *)p->w, ones = _mm256_set1_epi16(1);
    size_t x_row = p->x_row, n_terms = p->n_terms;
    __m256i sums[AVX2_ROWS][2], *to = (__m256i *)(p->sums + first * SER_BYTE_COLUMNS);
    for (size_t r = 0; r < n; r++)
        for (size_t i = 0; i < 2; i++)
            sums[r][i] = _mm256_loadu_si256(to + 2 * r + i);
    for (size_t k = 0; k < n_terms; k += SER_BYTE_TERMS, w += 2) {
        __m256i low = _mm256_loadu_si256(w), high = _mm256_loadu_si256(w + 1);
        for (size_t r = 0; r < n; r++) {
            int32_t four;
            memcpy(&four, x + r * x_row + k, sizeof four);
            __m256i v = _mm256_set1_epi32(four);
            __m256i pairs = _mm256_maddubs_epi16(v, low), others = _mm256_maddubs_epi16(v, high);
            sums[r][0] = _mm256_add_epi32(sums[r][0], _mm256_madd_epi16(pairs, ones));
            sums[r][1] = _mm256_add_epi32(sums[r][1], _mm256_madd_epi16(others, ones));
        }
    }
    for (size_t r = 0; r < n; r++)
        for (size_t i = 0; i < 2; i++)
            _mm256_storeu_si256(to + 2 * r + i, sums[r][i]);
}

static __attribute__((target("avx2"))) void multiply_avx2(const ser_byte_panel *p)
{
    size_t first = 0;
    for (; first + AVX2_ROWS <= p->n_rows; first += AVX2_ROWS)
        avx2_tile(p, first, AVX2_ROWS);
    for (; first < p->n_rows; first++)
        avx2_tile(p, first, 1);
}

static inline __attribute__((always_inline, target("avx2,avxvnni"))) void vnni_tile(const ser_byte_panel *p,
                                                                                    size_t first,
                                                                                    const size_t n)
{
    const uint8_t *x = p->x + first * p->x_row;
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
        return (ser_byte_kernel){multiply_avxvnni, false};
    if (ser_cpu() & SER_CPU_AVX2)
        return (ser_byte_kernel){multiply_avx2, true};
    return (ser_byte_kernel){multiply_plain, false};
}
#else
ser_byte_kernel ser_byte_kernel_here(void)
{
    return (ser_byte_kernel){multiply_plain, false};
}
#endif

static size_t place(size_t term, size_t column)
{
    return term / SER_BYTE_TERMS * GROUP + column * SER_BYTE_TERMS + term % SER_BYTE_TERMS;
}

/* What is too much in a pair: a number of the same sign. Of two signs, neither is too much. */
static int excess(int a, int b)
{
    int sum = a + b;
    return sum > PAIR_MAX ? sum - PAIR_MAX : sum < -PAIR_MAX ? sum + PAIR_MAX : 0;
}

/* Takes what is too much from the second of each pair of terms k and k + 1. Whether there was anything. */
static bool split_pair(int8_t *w, size_t k, int8_t taken[SER_BYTE_COLUMNS])
{
    bool any = false;
    for (size_t o = 0; o < SER_BYTE_COLUMNS; o++) {
        int8_t *second = w + place(k + 1, o);
        taken[o] = (int8_t)excess(w[place(k, o)], *second);
        *second = (int8_t)(*second - taken[o]);
        any = any || taken[o];
    }
    return any;
}

/* Whether the further term may stand second in its pair. */
static bool fits(const int8_t *rest, size_t n, const int8_t taken[SER_BYTE_COLUMNS])
{
    for (size_t o = 0; n % 2 && o < SER_BYTE_COLUMNS; o++)
        if (excess(rest[place(n - 1, o)], taken[o]))
            return false;
    return true;
}

/* The first of groups first ... n - 1 in which a pair is too large, or n: nearly all are fine, and this is
 * quick to see. A pair is a number of 16 bits, whose halves may come in either order. */
SER_FAST_STATIC(size_t, find_large, (const int8_t *w, size_t first, size_t n), (w, first, n))
{
    for (size_t g = first; g < n; g++) {
        int16_t pairs[GROUP / 2], largest = 0;
        memcpy(pairs, w + g * GROUP, sizeof pairs);
        for (size_t i = 0; i < GROUP / 2; i++) {
            int16_t sum = (int16_t)((int8_t)pairs[i] + (pairs[i] >> 8));
            sum = sum < 0 ? (int16_t)-sum : sum;
            largest = sum > largest ? sum : largest;
        }
        if (largest > PAIR_MAX)
            return g;
    }
    return n;
}

size_t ser_byte_split(int8_t *w, size_t n_terms, int8_t *rest, uint32_t *at)
{
    size_t n = 0, n_groups = n_terms / SER_BYTE_TERMS;
    int8_t taken[SER_BYTE_COLUMNS];
    for (size_t g = find_large(w, 0, n_groups); g < n_groups; g = find_large(w, g + 1, n_groups))
        for (size_t k = g * SER_BYTE_TERMS; k < (g + 1) * SER_BYTE_TERMS; k += 2) {
            if (!split_pair(w, k, taken))
                continue;
            n += !fits(rest, n, taken);
            for (size_t o = 0; o < SER_BYTE_COLUMNS; o++)
                rest[place(n, o)] = taken[o];
            at[n++] = (uint32_t)(k + 1);
        }
    return (n + SER_BYTE_TERMS - 1) / SER_BYTE_TERMS * SER_BYTE_TERMS;
}
