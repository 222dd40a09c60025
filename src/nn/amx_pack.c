#include "nn/amx.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define WIDE        __attribute__((target("avx2,fma,avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")))
#define INLINE_WIDE static inline __attribute__((always_inline)) WIDE

enum { TILE_SIDE = 16, PIECES_MAX = 3 };

/* Two or four neighbours of a sum are one word of a tile: (16, 16) words of each piece. */
typedef struct words {
    __m512i rows[PIECES_MAX][TILE_SIDE];
} words;

INLINE_WIDE __mmask16 mask_16(size_t n)
{
    return n >= 16 ? 0xffff : (__mmask16)((1u << n) - 1);
}

INLINE_WIDE __mmask32 mask_32(size_t n)
{
    return n >= 32 ? 0xffffffffu : (__mmask32)((1ull << n) - 1);
}

INLINE_WIDE __mmask64 mask_64(size_t n)
{
    return n >= 64 ? ~0ull : (__mmask64)((1ull << n) - 1);
}

INLINE_WIDE __m512 as_floats(__m256i halves)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}

/* low and high, 16 floats each, as so many bf16 numbers whose sum they are: 32 of each in order. */
INLINE_WIDE void split_neighbours(__m512i *pieces, size_t piece_step, __m512 low, __m512 high,
                                  size_t n_pieces)
{
    for (size_t i = 0; i < n_pieces; i++) {
        __m512i both = (__m512i)_mm512_cvtne2ps_pbh(high, low);
        pieces[i * piece_step] = both;
        if (i + 1 < n_pieces) {
            low = _mm512_sub_ps(low, as_floats(_mm512_castsi512_si256(both)));
            high = _mm512_sub_ps(high, as_floats(_mm512_extracti64x4_epi64(both, 1)));
        }
    }
}

/* The same of 16 even and 16 odd terms: word i is made of even[i] and odd[i]. */
INLINE_WIDE void split_pairs(__m512i *pieces, size_t piece_step, __m512 even, __m512 odd, size_t n_pieces)
{
    for (size_t i = 0; i < n_pieces; i++) {
        __m512i e = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(even));
        __m512i o = _mm512_slli_epi32(_mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(odd)), 16);
        pieces[i * piece_step] = _mm512_or_si512(e, o);
        if (i + 1 < n_pieces) {
            even = _mm512_sub_ps(even, _mm512_castsi512_ps(_mm512_slli_epi32(e, 16)));
            odd = _mm512_sub_ps(odd, _mm512_castsi512_ps(o));
        }
    }
}

/* Rows first ... of (n, n_terms), from term on. */
INLINE_WIDE void read_rows(words *w, const ser_amx_source *s, size_t first, size_t term, size_t n_pieces)
{
    size_t n_left = s->n_terms - term;
    for (size_t r = 0; r < TILE_SIDE; r++) {
        size_t at = (first + r) * s->ld + term;
        if (first + r >= s->n)
            for (size_t i = 0; i < n_pieces; i++)
                w->rows[i][r] = _mm512_setzero_si512();
        else if (s->type == SER_F32)
            split_neighbours(&w->rows[0][r], TILE_SIDE,
                             _mm512_maskz_loadu_ps(mask_16(n_left), (const float *)s->data + at),
                             _mm512_maskz_loadu_ps(mask_16(n_left > 16 ? n_left - 16 : 0),
                                                   (const float *)s->data + at + 16),
                             n_pieces);
        else if (s->type == SER_BF16)
            w->rows[0][r] = _mm512_maskz_loadu_epi16(mask_32(n_left), (const uint16_t *)s->data + at);
        else
            w->rows[0][r] = _mm512_maskz_loadu_epi8(mask_64(n_left), (const uint8_t *)s->data + at);
    }
}

INLINE_WIDE __m512i halves_at(const ser_amx_source *s, size_t term, size_t first, __mmask16 mask)
{
    if (term >= s->n_terms)
        return _mm512_setzero_si512();
    const uint16_t *x = (const uint16_t *)s->data + term * s->ld + first;
    return _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, x));
}

INLINE_WIDE __m512 floats_at(const ser_amx_source *s, size_t term, size_t first, __mmask16 mask)
{
    if (term >= s->n_terms)
        return _mm512_setzero_ps();
    return _mm512_maskz_loadu_ps(mask, (const float *)s->data + term * s->ld + first);
}

/* Columns first ... of (n_terms, n): row r of the words is made of terms 2 r and 2 r + 1. */
INLINE_WIDE void read_columns(words *w, const ser_amx_source *s, size_t first, size_t term, size_t n_pieces)
{
    __mmask16 mask = mask_16(first < s->n ? s->n - first : 0);
    for (size_t r = 0; r < TILE_SIDE; r++, term += 2) {
        if (s->type == SER_F32)
            split_pairs(&w->rows[0][r], TILE_SIDE, floats_at(s, term, first, mask),
                        floats_at(s, term + 1, first, mask), n_pieces);
        else
            w->rows[0][r] = _mm512_or_si512(halves_at(s, term, first, mask),
                                            _mm512_slli_epi32(halves_at(s, term + 1, first, mask), 16));
    }
}

/* Of each four rows, 4 by 4 words in each of four parts; then the parts. */
INLINE_WIDE void transpose(__m512i rows[TILE_SIDE])
{
    __m512i t[TILE_SIDE];
    for (size_t i = 0; i < TILE_SIDE; i += 4) {
        __m512i a = _mm512_unpacklo_epi32(rows[i], rows[i + 1]),
                b = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
        __m512i c = _mm512_unpacklo_epi32(rows[i + 2], rows[i + 3]),
                d = _mm512_unpackhi_epi32(rows[i + 2], rows[i + 3]);
        t[i] = _mm512_unpacklo_epi64(a, c);
        t[i + 1] = _mm512_unpackhi_epi64(a, c);
        t[i + 2] = _mm512_unpacklo_epi64(b, d);
        t[i + 3] = _mm512_unpackhi_epi64(b, d);
    }
    for (size_t i = 0; i < 4; i++) {
        __m512i a = _mm512_shuffle_i32x4(t[i], t[i + 4], 0x88),
                b = _mm512_shuffle_i32x4(t[i], t[i + 4], 0xdd);
        __m512i c = _mm512_shuffle_i32x4(t[i + 8], t[i + 12], 0x88),
                d = _mm512_shuffle_i32x4(t[i + 8], t[i + 12], 0xdd);
        rows[i] = _mm512_shuffle_i32x4(a, c, 0x88);
        rows[i + 4] = _mm512_shuffle_i32x4(b, d, 0x88);
        rows[i + 8] = _mm512_shuffle_i32x4(a, c, 0xdd);
        rows[i + 12] = _mm512_shuffle_i32x4(b, d, 0xdd);
    }
}

/* n_pieces and turned are constants in all calls. */
INLINE_WIDE void pack(unsigned char *to, const ser_amx_source *s, size_t first, ser_amx_kind kind,
                      const size_t n_pieces, const bool turned)
{
    for (size_t term = 0; term < s->n_terms; term += ser_amx_terms(kind), to += ser_amx_step(kind))
        for (size_t half = 0; half < 2; half++) {
            words w;
            if (s->terms_apart)
                read_columns(&w, s, first + half * TILE_SIDE, term, n_pieces);
            else
                read_rows(&w, s, first + half * TILE_SIDE, term, n_pieces);
            for (size_t i = 0; i < n_pieces; i++) {
                __m512i *tile = (__m512i *)(to + (2 * i + half) * SER_AMX_TILE);
                if (turned)
                    transpose(w.rows[i]);
                for (size_t r = 0; r < TILE_SIDE; r++)
                    _mm512_store_si512(tile + r, w.rows[i][r]);
            }
        }
}

WIDE void ser_amx_pack(void *to, const ser_amx_source *s, size_t first, ser_amx_kind kind, bool right)
{
    bool turned = right != s->terms_apart;
    if (kind == SER_AMX_FLOATS && turned)
        pack(to, s, first, kind, PIECES_MAX, true);
    else if (kind == SER_AMX_FLOATS)
        pack(to, s, first, kind, PIECES_MAX, false);
    else if (turned)
        pack(to, s, first, kind, 1, true);
    else
        pack(to, s, first, kind, 1, false);
}
#else
void ser_amx_pack(void *to, const ser_amx_source *s, size_t first, ser_amx_kind kind, bool right)
{
    (void)to;
    (void)s;
    (void)first;
    (void)kind;
    (void)right;
}
#endif
