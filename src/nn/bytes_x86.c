/* The kernels of bytes.h for x86-64. A tile's sums stay in registers through all terms, until they are
 * numbers that have been through the activation. */
#include "base/cpu.h"
#include "nn/bytes.h"

#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>

/* Rows of a tile: 8, 10 and 24 registers hold its sums. */
enum { AVX2_ROWS = 4, VNNI_ROWS = 5, WIDE_ROWS = 12, HALF = SER_BYTE_COLUMNS / 2 };

#define AVX2        __attribute__((target("avx2,fma")))
#define AVXVNNI     __attribute__((target("avx2,fma,avxvnni")))
#define WIDE        __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")))
#define INLINE(isa) static inline __attribute__((always_inline)) isa

/* x Phi(x), to 6e-5 for |x| up to 50, beyond that to 1e-6 |x|: where whole numbers are rounded to a part of
 * 255, that is nothing. (Phi(x) - 0.5) / x is a polynomial of x^2, fitted for the least largest error up
 * to 4.5; what is behind counts as 4.5. */
static const float gelu_series[] = {0x1.984710p-2f,   -0x1.0e3e2cp-4f,  0x1.39f050p-7f,
                                    -0x1.0fa5b6p-10f, 0x1.549e1cp-14f,  -0x1.29678ep-18f,
                                    0x1.535b3ap-23f,  -0x1.c355d6p-29f, 0x1.07e1c4p-35f};
static const float gelu_end = 4.5f;
enum { GELU_TERMS = sizeof gelu_series / sizeof *gelu_series };

INLINE(AVX2) __m256 gelu_8(__m256 x)
{
    __m256 z = _mm256_max_ps(_mm256_min_ps(x, _mm256_set1_ps(gelu_end)), _mm256_set1_ps(-gelu_end));
    __m256 square = _mm256_mul_ps(z, z), p = _mm256_set1_ps(gelu_series[GELU_TERMS - 1]);
    for (int i = GELU_TERMS - 2; i >= 0; i--)
        p = _mm256_fmadd_ps(p, square, _mm256_set1_ps(gelu_series[i]));
    return _mm256_mul_ps(x, _mm256_fmadd_ps(p, z, _mm256_set1_ps(0.5f)));
}

INLINE(WIDE) __m512 gelu_16(__m512 x)
{
    __m512 z = _mm512_max_ps(_mm512_min_ps(x, _mm512_set1_ps(gelu_end)), _mm512_set1_ps(-gelu_end));
    __m512 square = _mm512_mul_ps(z, z), p = _mm512_set1_ps(gelu_series[GELU_TERMS - 1]);
    for (int i = GELU_TERMS - 2; i >= 0; i--)
        p = _mm512_fmadd_ps(p, square, _mm512_set1_ps(gelu_series[i]));
    return _mm512_mul_ps(x, _mm512_fmadd_ps(p, z, _mm512_set1_ps(0.5f)));
}

INLINE(AVX2) __m256 value_8(const ser_byte_panel *p, __m256i sums, size_t row, size_t column)
{
    __m256 scale = _mm256_mul_ps(_mm256_loadu_ps(p->scales + column), _mm256_set1_ps(p->steps[row]));
    __m256 shift = _mm256_fmadd_ps(_mm256_loadu_ps(p->weight_sums + column), _mm256_set1_ps(p->lows[row]),
                                   _mm256_loadu_ps(p->bias + column));
    __m256 v = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sums), scale, shift);
    return p->gelu ? gelu_8(v) : v;
}

/* A row of sums becomes one of y. */
INLINE(AVX2) void finish_8(const ser_byte_panel *p, const __m256i sums[2], size_t row)
{
    float *y = p->y + row * p->y_row, part[SER_BYTE_COLUMNS];
    bool whole = p->n_columns >= SER_BYTE_COLUMNS;
    for (size_t i = 0; i < 2; i++) {
        __m256 v = value_8(p, sums[i], row, i * HALF);
        if (whole && p->add)
            v = _mm256_add_ps(v, _mm256_loadu_ps(y + i * HALF));
        _mm256_storeu_ps((whole ? y : part) + i * HALF, v);
    }
    for (size_t o = 0; !whole && o < p->n_columns; o++)
        y[o] = p->add ? y[o] + part[o] : part[o];
}

INLINE(AVX2) __m256i four(const uint8_t *x)
{
    int32_t bytes;
    memcpy(&bytes, x, sizeof bytes);
    return _mm256_set1_epi32(bytes);
}

/* What is added to a tile of n rows, a constant in all calls: ADD(sum, x, w) for each group. */
#define ADD_8(name, isa, most_rows, ADD)                                                                     \
    INLINE(isa) void name(__m256i sums[most_rows][2], const ser_byte_sum *s, size_t first, const size_t n)   \
    {                                                                                                        \
        const uint8_t *x = s->x + first * s->x_row;                                                          \
        const __m256i *w = (const __m256i *)s->w;                                                            \
        size_t x_row = s->x_row, x_group = s->x_group;                                                       \
        for (size_t g = s->n_groups; g; g--, w += 2, x += x_group) {                                         \
            __m256i low = _mm256_loadu_si256(w), high = _mm256_loadu_si256(w + 1);                           \
            for (size_t r = 0; r < n; r++) {                                                                 \
                __m256i v = four(x + r * x_row);                                                             \
                __m256i left = ADD(sums[r][0], v, low);                                                      \
                IN_ITS_TURN(left);                                                                           \
                sums[r][0] = left;                                                                           \
                __m256i right = ADD(sums[r][1], v, high);                                                    \
                IN_ITS_TURN(right);                                                                          \
                sums[r][1] = right;                                                                          \
            }                                                                                                \
        }                                                                                                    \
    }
/* gcc 12 would compute all rows at once, and run out of registers. */
#define IN_ITS_TURN(v) __asm__("" : "+v"(v))
#define PAIRS(sum, v, w)                                                                                     \
    _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(v, w), _mm256_set1_epi16(1)))
#define WORDS(sum, v, w) _mm256_add_epi32(sum, _mm256_madd_epi16(v, w))
ADD_8(add_pairs, AVX2, AVX2_ROWS, PAIRS)
ADD_8(add_words, AVX2, AVX2_ROWS, WORDS)
ADD_8(add_bytes_vnni, AVXVNNI, VNNI_ROWS, _mm256_dpbusd_avx_epi32)
ADD_8(add_words_vnni, AVXVNNI, VNNI_ROWS, _mm256_dpwssd_avx_epi32)

INLINE(AVX2) void avx2_tile(const ser_byte_panel *p, size_t first, const size_t n)
{
    __m256i sums[AVX2_ROWS][2];
    for (size_t r = 0; r < n; r++)
        sums[r][0] = sums[r][1] = _mm256_setzero_si256();
    if (p->words) {
        add_words(sums, &p->sum, first, n);
    } else {
        add_pairs(sums, &p->sum, first, n);
        add_pairs(sums, &p->rest, first, n);
    }
    for (size_t r = 0; r < n; r++)
        finish_8(p, sums[r], first + r);
}

AVX2 static void multiply_avx2(const ser_byte_panel *p)
{
    size_t first = 0;
    for (; first + AVX2_ROWS <= p->n_rows; first += AVX2_ROWS)
        avx2_tile(p, first, AVX2_ROWS);
    for (; first < p->n_rows; first++)
        avx2_tile(p, first, 1);
}

INLINE(AVXVNNI) void vnni_tile(const ser_byte_panel *p, size_t first, const size_t n)
{
    __m256i sums[VNNI_ROWS][2];
    for (size_t r = 0; r < n; r++)
        sums[r][0] = sums[r][1] = _mm256_setzero_si256();
    if (p->words)
        add_words_vnni(sums, &p->sum, first, n);
    else
        add_bytes_vnni(sums, &p->sum, first, n);
    for (size_t r = 0; r < n; r++)
        finish_8(p, sums[r], first + r);
}

AVXVNNI static void multiply_avxvnni(const ser_byte_panel *p)
{
    size_t first = 0;
    for (; first + VNNI_ROWS <= p->n_rows; first += VNNI_ROWS)
        vnni_tile(p, first, VNNI_ROWS);
    for (; first + 2 <= p->n_rows; first += 2)
        vnni_tile(p, first, 2);
    if (first < p->n_rows)
        vnni_tile(p, first, 1);
}

/* A row of one panel of sums. */
INLINE(WIDE) void finish_16(const ser_byte_panel *p, __m512i sums, size_t row, size_t column)
{
    size_t n = p->n_columns - column;
    __mmask16 there = n < SER_BYTE_COLUMNS ? (__mmask16)((1u << n) - 1) : (__mmask16)0xffff;
    float *y = p->y + row * p->y_row + column;
    __m512 scale = _mm512_mul_ps(_mm512_loadu_ps(p->scales + column), _mm512_set1_ps(p->steps[row]));
    __m512 shift = _mm512_fmadd_ps(_mm512_loadu_ps(p->weight_sums + column), _mm512_set1_ps(p->lows[row]),
                                   _mm512_loadu_ps(p->bias + column));
    __m512 v = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums), scale, shift);
    if (p->gelu)
        v = gelu_16(v);
    if (p->add)
        v = _mm512_add_ps(v, _mm512_maskz_loadu_ps(there, y));
    _mm512_mask_storeu_ps(y, there, v);
}

/* n rows of n_panels panels; these and words are constants in all calls. */
INLINE(WIDE)
void wide_tile(const ser_byte_panel *p, size_t first, const size_t n, const size_t n_panels, const bool words)
{
    const uint8_t *x = p->sum.x + first * p->sum.x_row;
    const int8_t *w = p->sum.w, *other = w + p->sum.w_panel;
    size_t x_row = p->sum.x_row;
    __m512i sums[WIDE_ROWS][2];
    for (size_t r = 0; r < n; r++)
        sums[r][0] = sums[r][1] = _mm512_setzero_si512();
    for (size_t g = p->sum.n_groups; g; g--, w += SER_BYTE_GROUP, other += SER_BYTE_GROUP) {
        __m512i low = _mm512_loadu_si512(w), high = n_panels == 2 ? _mm512_loadu_si512(other) : low;
        for (size_t r = 0; r < n; r++) {
            int32_t bytes;
            memcpy(&bytes, x + r * x_row, sizeof bytes);
            __m512i v = _mm512_set1_epi32(bytes);
            __m512i left =
                words ? _mm512_dpwssd_epi32(sums[r][0], v, low) : _mm512_dpbusd_epi32(sums[r][0], v, low);
            IN_ITS_TURN(left);
            sums[r][0] = left;
            if (n_panels == 2) {
                __m512i right = words ? _mm512_dpwssd_epi32(sums[r][1], v, high)
                                      : _mm512_dpbusd_epi32(sums[r][1], v, high);
                IN_ITS_TURN(right);
                sums[r][1] = right;
            }
        }
        x += p->sum.x_group;
    }
    for (size_t r = 0; r < n; r++)
        for (size_t i = 0; i < n_panels; i++)
            finish_16(p, sums[r][i], first + r, i * SER_BYTE_COLUMNS);
}

INLINE(WIDE) void wide_rows(const ser_byte_panel *p, size_t first, size_t n, const bool words)
{
#define ROWS(count)                                                                                          \
    case count:                                                                                              \
        wide_tile(p, first, count, 2, words);                                                                \
        break;
    if (p->n_columns <= SER_BYTE_COLUMNS) {
        for (size_t r = 0; r < n; r++)
            wide_tile(p, first + r, 1, 1, words);
        return;
    }
    switch (n) {
        ROWS(1)
        ROWS(2)
        ROWS(3)
        ROWS(4)
        ROWS(5)
        ROWS(6)
        ROWS(7)
        ROWS(8)
        ROWS(9)
        ROWS(10)
        ROWS(11)
        ROWS(WIDE_ROWS)
    }
#undef ROWS
}

/* Tiles of nearly equal heights: low ones keep the processor waiting for its own sums. */
INLINE(WIDE) void wide_tiles(const ser_byte_panel *p, const bool words)
{
    size_t n_tiles = (p->n_rows + WIDE_ROWS - 1) / WIDE_ROWS;
    for (size_t i = 0, first = 0; i < n_tiles; i++) {
        size_t n = (p->n_rows - first + n_tiles - i - 1) / (n_tiles - i);
        wide_rows(p, first, n, words);
        first += n;
    }
}

WIDE static void multiply_wide(const ser_byte_panel *p)
{
    if (p->words)
        wide_tiles(p, true);
    else
        wide_tiles(p, false);
}

const ser_byte_kernel *ser_byte_kernel_x86(void)
{
    static const ser_byte_kernel avx2 = {multiply_avx2, 1, true}, avxvnni = {multiply_avxvnni, 1, false},
                                 wide = {multiply_wide, 2, false};
    unsigned cpu = ser_cpu();
    return cpu & SER_CPU_AVX512VNNI ? &wide
           : cpu & SER_CPU_AVXVNNI  ? &avxvnni
           : cpu & SER_CPU_AVX2     ? &avx2
                                    : NULL;
}
#else
const ser_byte_kernel *ser_byte_kernel_x86(void)
{
    return NULL;
}
#endif
