#include "nn/amx.h"
#include "base/cpu.h"

#if defined(__x86_64__) && defined(__linux__)
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TILES                                                                                                \
    __attribute__((                                                                                          \
        target("avx2,fma,avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,amx-tile,amx-bf16,amx-int8")))
#define INLINE_TILES static inline __attribute__((always_inline)) TILES

enum { TILE_SIDE = 16, N_VECTORS = 2 * SER_AMX_SIDE };

/* The kernel saves tiles only for those who ask (arch_prctl(2), ARCH_REQ_XCOMP_PERM); it refuses where a
 * signal stack is too small for them. */
bool ser_amx_ready(void)
{
    enum { REQUEST = 0x1023, TILE_DATA = 18 };
    return ser_cpu() & SER_CPU_AMX && syscall(SYS_arch_prctl, REQUEST, TILE_DATA) == 0;
}

/* A block's sums on their way to y, vector by vector, while the tiles already add up the next block. */
typedef struct pending {
    const ser_amx_finish *f;
    const float *sums; /* (32, 32) */
    size_t row, column;
    __mmask16 masks[2];
    size_t next, end;
} pending;

/* x (1 + erf(x / sqrt 2)) / 2 = x (1 / 2 + x P(x^2)) for |x| <= 5, beyond which erf is 1 to 6e-7; P is the
 * polynomial of degree 12 in 2 x^2 / 25 - 1 whose largest error times x^2 is the smallest. To 1.5e-6. */
INLINE_TILES __m512 gelu(__m512 x)
{
    static const float terms[] = {0.141363785f,   -0.0702966526f,  0.0515214205f,  -0.0404329486f,
                                  0.0314262249f,  -0.0233367477f,  0.0164976772f,  -0.0109731853f,
                                  0.0061653736f,  -0.00291573023f, 0.00200192654f, -0.00151412887f,
                                  0.000492941414f};
    const __m512 limit = _mm512_set1_ps(5);
    __m512 c = _mm512_min_ps(_mm512_max_ps(x, _mm512_sub_ps(_mm512_setzero_ps(), limit)), limit);
    __m512 t = _mm512_fmsub_ps(_mm512_mul_ps(c, c), _mm512_set1_ps(0.08f), _mm512_set1_ps(1));
    __m512 p = _mm512_set1_ps(terms[12]);
    for (int i = 11; i >= 0; i--)
        p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(terms[i]));
    return _mm512_mul_ps(x, _mm512_fmadd_ps(c, p, _mm512_set1_ps(0.5f)));
}

INLINE_TILES void finish_vector(pending *d)
{
    const ser_amx_finish *f = d->f;
    size_t row = d->row + d->next / 2, half = d->next % 2, column = d->column + half * TILE_SIDE;
    __mmask16 mask = d->masks[half];
    const float *sums = d->sums + d->next * TILE_SIDE;
    size_t at = row * f->y_row + column;
    __m512 v = _mm512_load_ps(sums);
    d->next++;
    if (f->lows) {
        __m512 scale = _mm512_maskz_loadu_ps(mask, f->scales + column);
        v = _mm512_mul_ps(_mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_castps_si512(v)), scale),
                          _mm512_set1_ps(f->steps[row]));
        v = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(mask, f->weight_sums + column),
                            _mm512_set1_ps(f->lows[row]), v);
    }
    if (f->bias)
        v = _mm512_add_ps(v, _mm512_maskz_loadu_ps(mask, f->bias + column));
    if (f->gelu)
        v = gelu(v);
    if (f->y_type == SER_BF16) {
        _mm256_mask_storeu_epi16((uint16_t *)f->y + at, mask, (__m256i)_mm512_cvtneps_pbh(v));
        return;
    }
    if (f->add)
        v = _mm512_add_ps(v, _mm512_maskz_loadu_ps(mask, (const float *)f->y + at));
    _mm512_mask_storeu_ps((float *)f->y + at, mask, v);
}

INLINE_TILES void finish_some(pending *d, size_t n)
{
    size_t end = d->end - d->next < n ? d->end : d->next + n;
    while (d->next < end)
        finish_vector(d);
}

/* Of 16 columns, those that are there. */
static __mmask16 mask_of(size_t n)
{
    return n >= TILE_SIDE ? 0xffff : (__mmask16)((1u << n) - 1);
}

static pending begin_finish(const ser_amx_finish *f, const float *sums, size_t row, size_t column)
{
    size_t n_rows = f->n_rows - row < SER_AMX_SIDE ? f->n_rows - row : SER_AMX_SIDE;
    size_t n = f->n_columns - column;
    return (pending){
        .f = f,
        .sums = sums,
        .row = row,
        .column = column,
        .masks = {mask_of(n), mask_of(n > TILE_SIDE ? n - TILE_SIDE : 0)},
        .end = 2 * n_rows,
    };
}

/* Tiles 0 to 3 are the block's sums; 4 and 5 hold its rows, 6 and 7 its columns. */
#define LOAD_LEFT(i)                                                                                         \
    _tile_loadd(4, left + (i)*p->left_piece, p->left_row);                                                   \
    _tile_loadd(5, left + (i)*p->left_piece + p->left_tile, p->left_row)
#define LOAD_RIGHT(i)                                                                                        \
    _tile_loadd(6, right + (i)*2 * SER_AMX_TILE, SER_AMX_TILE / TILE_SIDE);                                  \
    _tile_loadd(7, right + ((i)*2 + 1) * SER_AMX_TILE, SER_AMX_TILE / TILE_SIDE)
#define MULTIPLY(instruction)                                                                                \
    instruction(0, 4, 6);                                                                                    \
    instruction(1, 4, 7);                                                                                    \
    instruction(2, 5, 6);                                                                                    \
    instruction(3, 5, 7)

/* The six products of three numbers with three, those that are below 2^-26 left out. */
#define MULTIPLY_FLOATS()                                                                                    \
    LOAD_LEFT(0);                                                                                            \
    LOAD_RIGHT(2);                                                                                           \
    MULTIPLY(_tile_dpbf16ps);                                                                                \
    LOAD_RIGHT(1);                                                                                           \
    MULTIPLY(_tile_dpbf16ps);                                                                                \
    LOAD_RIGHT(0);                                                                                           \
    MULTIPLY(_tile_dpbf16ps);                                                                                \
    LOAD_LEFT(1);                                                                                            \
    MULTIPLY(_tile_dpbf16ps);                                                                                \
    LOAD_RIGHT(1);                                                                                           \
    MULTIPLY(_tile_dpbf16ps);                                                                                \
    LOAD_LEFT(2);                                                                                            \
    LOAD_RIGHT(0);                                                                                           \
    MULTIPLY(_tile_dpbf16ps)

/* One block's sums; kind is a constant in all calls. next: what will be multiplied afterwards, of which a
 * share is fetched towards the cache in each step. */
INLINE_TILES void add_up(const ser_amx_product *p, const unsigned char *left, const unsigned char *right,
                         const unsigned char *next, size_t n_fetch, pending *d, const ser_amx_kind kind)
{
    size_t n_each = (N_VECTORS + p->n_steps - 1) / p->n_steps, step = ser_amx_step(kind);
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (size_t s = 0; s < p->n_steps; s++, left += p->left_step, right += step) {
        if (kind == SER_AMX_FLOATS) {
            MULTIPLY_FLOATS();
        } else {
            LOAD_LEFT(0);
            LOAD_RIGHT(0);
            if (kind == SER_AMX_BYTES) {
                MULTIPLY(_tile_dpbusd);
            } else {
                MULTIPLY(_tile_dpbf16ps);
            }
        }
        for (size_t i = 0; i < n_fetch; i++, next += 64)
            _mm_prefetch((const char *)next, _MM_HINT_T1);
        finish_some(d, n_each);
    }
}

TILES void ser_amx_multiply(const ser_amx_product *p)
{
    static const struct {
        unsigned char palette, start, unused[14];
        unsigned short row_bytes[16];
        unsigned char n_rows[16];
    } __attribute__((aligned(64))) shape = {.palette = 1,
                                            .row_bytes = {64, 64, 64, 64, 64, 64, 64, 64},
                                            .n_rows = {16, 16, 16, 16, 16, 16, 16, 16}};
    _Alignas(64) float sums[2][SER_AMX_SIDE * SER_AMX_SIDE];
    const ser_amx_finish *f = &p->finish;
    size_t n_down = ser_amx_n_blocks(f->n_rows), n_across = ser_amx_n_blocks(f->n_columns);
    size_t n_fetch = (ser_amx_step(p->kind) / 64 + n_down - 1) / n_down;
    pending d = {.f = f};
    __asm__ volatile("" ::: "memory"); /* gcc 12 does not say that tiles are read from memory */
    _tile_loadconfig(&shape);
    for (size_t j = 0; j < n_across; j++)
        for (size_t i = 0; i < n_down; i++) {
            const unsigned char *left = p->left + i * p->left_block, *right = p->right + j * p->right_block;
            const unsigned char *next = right + p->right_block + i * n_fetch * 64 * p->n_steps;
            float *to = sums[(i + j * n_down) % 2];
            if (p->kind == SER_AMX_FLOATS)
                add_up(p, left, right, next, n_fetch, &d, SER_AMX_FLOATS);
            else if (p->kind == SER_AMX_BYTES)
                add_up(p, left, right, next, n_fetch, &d, SER_AMX_BYTES);
            else
                add_up(p, left, right, next, n_fetch, &d, SER_AMX_HALVES);
            finish_some(&d, N_VECTORS);
            _tile_stored(0, to, SER_AMX_SIDE * sizeof *to);
            _tile_stored(1, to + TILE_SIDE, SER_AMX_SIDE * sizeof *to);
            _tile_stored(2, to + TILE_SIDE * SER_AMX_SIDE, SER_AMX_SIDE * sizeof *to);
            _tile_stored(3, to + TILE_SIDE * SER_AMX_SIDE + TILE_SIDE, SER_AMX_SIDE * sizeof *to);
            d = begin_finish(f, to, i * SER_AMX_SIDE, j * SER_AMX_SIDE);
        }
    finish_some(&d, N_VECTORS);
    _tile_release(); /* whoever else uses tiles in this thread has a shape of his own */
}
#else
bool ser_amx_ready(void)
{
    return false;
}

void ser_amx_multiply(const ser_amx_product *p)
{
    (void)p;
}
#endif
