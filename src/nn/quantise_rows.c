#include "base/cpu.h"
#include "nn/quantise.h"
#include "nn/rows.h"

#include <math.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

SER_INLINE ser_lanes load_as(const void *x, bool half, size_t i)
{
    if (!half)
        return ser_lanes_load((const float *)x + i);
    ser_half_lanes v;
    memcpy(&v, (const uint16_t *)x + i, sizeof v);
    return (ser_lanes)(__builtin_convertvector(v, ser_int_lanes) << 16);
}

SER_INLINE float value_as(const void *x, bool half, size_t i)
{
    if (!half)
        return ((const float *)x)[i];
    uint32_t bits = (uint32_t)((const uint16_t *)x)[i] << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* NaN in both where there is one, or an infinity, in x: comparisons would forget it. */
SER_INLINE void find_range(float *low, float *high, const void *x, bool half, size_t n)
{
    ser_lanes highest = ser_lanes_of(-INFINITY), lowest = highest; /* of x and of -x */
    ser_lanes nothing = ser_lanes_of(0);                           /* or NaN */
    size_t n_whole = n - n % SER_N_LANES;
    for (size_t i = 0; i < n_whole; i += SER_N_LANES) {
        ser_lanes v = load_as(x, half, i);
        highest = ser_lanes_max(highest, v);
        lowest = ser_lanes_max(lowest, -v);
        nothing += v * 0;
    }
    *high = ser_lanes_highest(highest);
    *low = -ser_lanes_highest(lowest);
    float none = 0;
    for (int i = 0; i < SER_N_LANES; i++)
        none += nothing[i];
    for (size_t i = n_whole; i < n; i++) {
        float v = value_as(x, half, i);
        none += v * 0;
        *high = v > *high ? v : *high;
        *low = v < *low ? v : *low;
    }
    *low += none;
    *high += none;
}

/* 0.5 to highest + 0.5: truncated. */
SER_INLINE int32_t rounded(float x, float low, float inverse)
{
    return (int32_t)((x - low) * inverse + 0.5f);
}

/* The step of a row between low and high, and its inverse. false: no whole numbers can be made of the row;
 * its low is NaN, so the results are, and its numbers are 0. */
SER_INLINE bool find_step(float *inverse, float *step, float *low, float high, int highest, void *q,
                          size_t n_bytes)
{
    if (!(high - *low < INFINITY)) {
        *low = NAN;
        *step = 1;
        memset(q, 0, n_bytes);
        return false;
    }
    *step = high - *low > 1e-30f ? (high - *low) / (float)highest : 1;
    *inverse = 1 / *step;
    return true;
}

SER_INLINE void quantise(uint8_t *restrict q, size_t ld, float *lows, float *steps, const void *x, bool half,
                         size_t x_row, size_t n_rows, size_t n, int highest)
{
    size_t size = half ? sizeof(uint16_t) : sizeof(float);
    for (size_t t = 0; t < n_rows; t++, q += ld) {
        const unsigned char *restrict row = (const unsigned char *)x + t * x_row * size;
        float high, inverse;
        find_range(&lows[t], &high, row, half, n);
        if (!find_step(&inverse, &steps[t], &lows[t], high, highest, q, ld))
            continue;
        const float low = lows[t];
        for (size_t i = 0; i < n; i++)
            q[i] = (uint8_t)rounded(value_as(row, half, i), low, inverse);
        memset(q + n, 0, ld - n);
    }
}

SER_FAST_STATIC(void, quantise_bf16,
                (uint8_t * q, size_t ld, float *lows, float *steps, const uint16_t *x, size_t x_row,
                 size_t n_rows, size_t n, int highest),
                (q, ld, lows, steps, x, x_row, n_rows, n, highest))
{
    quantise(q, ld, lows, steps, x, true, x_row, n_rows, n, highest);
}

static void words_plain(uint16_t *q, size_t ld, float *lows, float *steps, const float *x, size_t x_row,
                        size_t n_rows, size_t n)
{
    for (size_t t = 0; t < n_rows; t++, q += ld, x += x_row) {
        float high, inverse;
        find_range(&lows[t], &high, x, false, n);
        if (!find_step(&inverse, &steps[t], &lows[t], high, SER_WORD_ACTIVATION_MAX, q, ld * sizeof *q))
            continue;
        for (size_t i = 0; i < n; i++)
            q[i] = (uint16_t)rounded(x[i], lows[t], inverse);
        memset(q + n, 0, (ld - n) * sizeof *q);
    }
}

#if defined(__x86_64__)
/* gcc 12 takes 16 numbers through memory, or one by one, where a register of AVX2 holds 8. */
#define AVX2        __attribute__((target("avx2,fma")))
#define AVX2_INLINE static inline __attribute__((always_inline)) AVX2
enum { N_OCTET = 8 };

AVX2_INLINE void range_avx2(float *low, float *high, const float *x, size_t n)
{
    size_t n_whole = n - n % N_OCTET;
    __m256 most = _mm256_set1_ps(x[0]), least = most, nothing = _mm256_setzero_ps();
    float highs[N_OCTET], lows[N_OCTET], nones[N_OCTET], none = 0;
    for (size_t i = 0; i < n_whole; i += N_OCTET) {
        __m256 v = _mm256_loadu_ps(x + i);
        most = _mm256_max_ps(most, v);
        least = _mm256_min_ps(least, v);
        nothing = _mm256_fmadd_ps(v, _mm256_setzero_ps(), nothing);
    }
    _mm256_storeu_ps(highs, most);
    _mm256_storeu_ps(lows, least);
    _mm256_storeu_ps(nones, nothing);
    *high = highs[0];
    *low = lows[0];
    for (size_t i = 1; i < N_OCTET + n - n_whole; i++) {
        float above = i < N_OCTET ? highs[i] : x[n_whole + i - N_OCTET];
        float below = i < N_OCTET ? lows[i] : above;
        *high = above > *high ? above : *high;
        *low = below < *low ? below : *low;
        none += i < N_OCTET ? nones[i] : above * 0;
    }
    *low += none + nones[0];
    *high += none + nones[0];
}

AVX2_INLINE __m256i rounded_8(const float *x, __m256 low, __m256 inverse)
{
    __m256 v = _mm256_sub_ps(_mm256_loadu_ps(x), low);
    return _mm256_cvttps_epi32(_mm256_fmadd_ps(v, inverse, _mm256_set1_ps(0.5f)));
}

/* 16 numbers, in the order in which halves of registers are packed: 0-3, 8-11, 4-7, 12-15. */
AVX2_INLINE __m256i rounded_16(const float *x, __m256 low, __m256 inverse)
{
    return _mm256_packs_epi32(rounded_8(x, low, inverse), rounded_8(x + N_OCTET, low, inverse));
}

AVX2 static void bytes_avx2(uint8_t *q, size_t ld, float *lows, float *steps, const float *x, size_t x_row,
                            size_t n_rows, size_t n, int highest)
{
    size_t n_whole = n - n % (4 * N_OCTET);
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    for (size_t t = 0; t < n_rows; t++, q += ld, x += x_row) {
        float high, inverse;
        range_avx2(&lows[t], &high, x, n);
        if (!find_step(&inverse, &steps[t], &lows[t], high, highest, q, ld * sizeof *q))
            continue;
        __m256 from = _mm256_set1_ps(lows[t]), by = _mm256_set1_ps(inverse);
        for (size_t i = 0; i < n_whole; i += 4 * N_OCTET) {
            __m256i v =
                _mm256_packus_epi16(rounded_16(x + i, from, by), rounded_16(x + i + 2 * N_OCTET, from, by));
            _mm256_storeu_si256((__m256i *)(q + i), _mm256_permutevar8x32_epi32(v, order));
        }
        for (size_t i = n_whole; i < n; i++)
            q[i] = (uint8_t)rounded(x[i], lows[t], inverse);
        memset(q + n, 0, ld - n);
    }
}

AVX2 static void words_avx2(uint16_t *q, size_t ld, float *lows, float *steps, const float *x, size_t x_row,
                            size_t n_rows, size_t n)
{
    size_t n_whole = n - n % (2 * N_OCTET);
    for (size_t t = 0; t < n_rows; t++, q += ld, x += x_row) {
        float high, inverse;
        range_avx2(&lows[t], &high, x, n);
        if (!find_step(&inverse, &steps[t], &lows[t], high, SER_WORD_ACTIVATION_MAX, q, ld * sizeof *q))
            continue;
        __m256 from = _mm256_set1_ps(lows[t]), by = _mm256_set1_ps(inverse);
        for (size_t i = 0; i < n_whole; i += 2 * N_OCTET)
            _mm256_storeu_si256((__m256i *)(q + i),
                                _mm256_permute4x64_epi64(rounded_16(x + i, from, by), 0xd8));
        for (size_t i = n_whole; i < n; i++)
            q[i] = (uint16_t)rounded(x[i], lows[t], inverse);
        memset(q + n, 0, (ld - n) * sizeof *q);
    }
}
#endif

void ser_nn_quantise_rows(uint8_t *q, size_t ld, float *lows, float *steps, const void *x, ser_dtype x_type,
                          size_t x_row, size_t n_rows, size_t n, int highest)
{
    if (x_type == SER_BF16)
        quantise_bf16(q, ld, lows, steps, x, x_row, n_rows, n, highest);
#if defined(__x86_64__)
    else if (ser_cpu() & SER_CPU_AVX2)
        bytes_avx2(q, ld, lows, steps, x, x_row, n_rows, n, highest);
#endif
    else
        quantise(q, ld, lows, steps, x, false, x_row, n_rows, n, highest);
}

void ser_nn_quantise_rows_to_words(uint16_t *q, size_t ld, float *lows, float *steps, const float *x,
                                   size_t x_row, size_t n_rows, size_t n)
{
#if defined(__x86_64__)
    if (ser_cpu() & SER_CPU_AVX2) {
        words_avx2(q, ld, lows, steps, x, x_row, n_rows, n);
        return;
    }
#endif
    words_plain(q, ld, lows, steps, x, x_row, n_rows, n);
}
