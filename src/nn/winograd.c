#include "nn/winograd.h"
#include "nn/rows.h"

enum { N_TERMS = SER_WINOGRAD_LARGEST + 2, N_TAPS = SER_WINOGRAD_KERNEL };

const size_t ser_winograd_tiles[] = {2, 3, 4, 6, 0};

/* The transforms of a tile, by rows: what each of the terms is a sum of. */
typedef struct matrices {
    float input[N_TERMS][N_TERMS];               /* (n_terms, tile + 2) */
    float kernel[N_TERMS][N_TERMS];              /* (n_terms, 3) */
    float output[SER_WINOGRAD_LARGEST][N_TERMS]; /* (tile, n_terms) */
} matrices;

/* Of Toom's and Cook's polynomials through 0, 1, -1 and infinity, ... */
static const matrices tile_2 = {
    .input = {{1, 0, -1}, {0, 1, 1}, {0, -1, 1}, {0, -1, 0, 1}},
    .kernel = {{1}, {.5f, .5f, .5f}, {.5f, -.5f, .5f}, {0, 0, 1}},
    .output = {{1, 1, 1}, {0, 1, -1, 1}},
};

/* ... and 2, ... */
static const matrices tile_3 = {
    .input = {{2, -1, -2, 1}, {0, 2, 1, -1}, {0, -2, 3, -1}, {0, -1, 0, 1}, {0, 2, -1, -2, 1}},
    .kernel = {{.5f}, {.5f, .5f, .5f}, {1 / 6.F, -1 / 6.F, 1 / 6.F}, {1 / 6.F, 1 / 3.F, 2 / 3.F}, {0, 0, 1}},
    .output = {{1, 1, 1, 1}, {0, 1, -1, 2}, {0, 1, 1, 4, 1}},
};

/* ... or 2 and -1/2, which loses least, ... */
static const matrices tile_4 = {
    .input = {{2, 3, -4, -3, 2},
              {0, 2, 5, 1, -2},
              {0, 2, 1, -5, 2},
              {0, -1, -2, 1, 2},
              {0, -2, 1, 2, -1},
              {0, 2, 3, -4, -3, 2}},
    .kernel = {{.5f},
               {1 / 6.F, 1 / 6.F, 1 / 6.F},
               {1 / 6.F, -1 / 6.F, 1 / 6.F},
               {1 / 30.F, 1 / 15.F, 2 / 15.F},
               {16 / 15.F, -8 / 15.F, 4 / 15.F},
               {0, 0, .5f}},
    .output = {{1, 1, 1, 1, 1}, {0, 1, -1, 2, -.5f}, {0, 1, 1, 4, .25f}, {0, 1, -1, 8, -.125f, 1}},
};

/* ... or 2, -2, 1/2 and -1/2. */
static const matrices tile_6 = {
    .input = {{4, 0, -21, 0, 21, 0, -4},
              {0, -4, -4, 17, 17, -4, -4},
              {0, 4, -4, -17, 17, 4, -4},
              {0, 2, 1, -10, -5, 8, 4},
              {0, -2, 1, 10, -5, -8, 4},
              {0, 4, 8, -5, -10, 1, 2},
              {0, -4, 8, 5, -10, -1, 2},
              {0, -4, 0, 21, 0, -21, 0, 4}},
    .kernel = {{.25f},
               {1 / 18.F, 1 / 18.F, 1 / 18.F},
               {1 / 18.F, -1 / 18.F, 1 / 18.F},
               {1 / 360.F, 1 / 180.F, 1 / 90.F},
               {1 / 360.F, -1 / 180.F, 1 / 90.F},
               {16 / 45.F, 8 / 45.F, 4 / 45.F},
               {16 / 45.F, -8 / 45.F, 4 / 45.F},
               {0, 0, .25f}},
    .output = {{1, 1, 1, 1, 1, 1, 1},
               {0, 1, -1, 2, -2, .5f, -.5f},
               {0, 1, 1, 4, 4, .25f, .25f},
               {0, 1, -1, 8, -8, .125f, -.125f},
               {0, 1, 1, 16, 16, .0625f, .0625f},
               {0, 1, -1, 32, -32, .03125f, -.03125f, 1}},
};

/* ---- rows that are weighted sums of rows ---- */

/* A matrix, or its transpose: what row k of the result takes of row j is by[k * row + j * column]. */
typedef struct weights {
    const float *by;
    size_t row, column;
} weights;

/* Channels i to i + 15 of a few rows; n_left of them are there. */
SER_INLINE void combine_at(void *const *to, bool to_half, size_t n_to, size_t n_added, void *const *from,
                           bool from_half, size_t n_from, weights w, size_t i, size_t n_left)
{
    ser_lanes v[N_TERMS];
#pragma GCC unroll 8
    for (size_t j = 0; j < n_from; j++)
        v[j] = from[j] ? ser_row_load_as(from[j], from_half, i, n_left) : (ser_lanes){0};
#pragma GCC unroll 8
    for (size_t k = 0; k < n_to; k++) {
        ser_lanes sum = {0};
#pragma GCC unroll 8
        for (size_t j = 0; j < n_from; j++)
            if (w.by[k * w.row + j * w.column] != 0)
                sum += w.by[k * w.row + j * w.column] * v[j];
        if (!to[k])
            continue;
        if (k < n_added)
            sum += ser_row_load_as(to[k], to_half, i, n_left);
        ser_row_store_as(to[k], to_half, i, n_left, sum);
    }
}

/* to: NULL are left out, the first n_added are added to. from: NULL are zeros. The counts, the types and by
 * are constants in all calls, so that nothing is left of the inner loops but sums. */
SER_INLINE void combine(void *const *to, bool to_half, size_t n_to, size_t n_added, void *const *from,
                        bool from_half, size_t n_from, weights w, size_t n)
{
    size_t i = 0;
    for (; i + SER_N_LANES <= n; i += SER_N_LANES)
        combine_at(to, to_half, n_to, n_added, from, from_half, n_from, w, i, SER_N_LANES);
    if (i < n)
        combine_at(to, to_half, n_to, n_added, from, from_half, n_from, w, i, n - i);
}

/* ---- recordings ---- */

typedef enum direction { SPLIT, SPLIT_GRADIENT, JOIN, JOIN_GRADIENT } direction;

/* Row t, or NULL beyond the ends. */
SER_INLINE void *row_at(const ser_winograd *p, void *rows, ptrdiff_t t, size_t size)
{
    return t < 0 || (size_t)t >= p->n_rows ? NULL : (char *)rows + (size_t)t * p->n * size;
}

SER_INLINE void transform(const ser_winograd *p, size_t tile, const matrices *m, direction way, void *terms,
                          void *rows, bool half)
{
    size_t n_terms = ser_winograd_n_terms(tile), size = half ? sizeof(uint16_t) : sizeof(float);
    size_t n_before = way == SPLIT || way == JOIN_GRADIENT ? N_TAPS - 1 : 0;
    size_t n_tiles = ser_winograd_n_tiles(tile, p->dilation, p->n_rows), n_frames = n_before + tile;
    weights input = {m->input[0], N_TERMS, 1}, output = {m->output[0], N_TERMS, 1};
    weights input_turned = {m->input[0], 1, N_TERMS}, output_turned = {m->output[0], 1, N_TERMS};
    for (size_t i = 0; i < n_tiles; i++) {
        void *term[N_TERMS], *frame[N_TERMS];
        size_t t = i / p->dilation * tile * p->dilation + i % p->dilation;
        for (size_t k = 0; k < n_terms; k++)
            term[k] = (char *)terms + (k * p->step + i * p->n) * size;
        for (size_t j = 0; j < n_frames; j++)
            frame[j] =
                row_at(p, rows, (ptrdiff_t)(t + j * p->dilation) - (ptrdiff_t)(n_before * p->dilation), size);
        switch (way) {
        case SPLIT:
            combine(term, half, n_terms, 0, frame, half, n_terms, input, p->n);
            break;
        case SPLIT_GRADIENT:
            combine(term, half, n_terms, 0, frame, half, tile, output_turned, p->n);
            break;
        case JOIN:
            combine(frame, half, tile, 0, term, half, n_terms, output, p->n);
            break;
        case JOIN_GRADIENT: /* the frames before the tile are set already: they belong to an earlier one */
            combine(frame, half, n_terms, n_before, term, half, n_terms, input_turned, p->n);
        }
    }
}

SER_INLINE void transform_by(const ser_winograd *p, direction way, void *terms, void *rows, bool half)
{
    switch (p->tile) {
    case 2:
        transform(p, 2, &tile_2, way, terms, rows, half);
        break;
    case 3:
        transform(p, 3, &tile_3, way, terms, rows, half);
        break;
    case 4:
        transform(p, 4, &tile_4, way, terms, rows, half);
        break;
    default:
        transform(p, 6, &tile_6, way, terms, rows, half);
    }
}

SER_FAST_STATIC(void, split_f32, (const ser_winograd *p, float *terms, float *x), (p, terms, x))
{
    transform_by(p, SPLIT, terms, x, false);
}

SER_FAST_STATIC(void, split_bf16, (const ser_winograd *p, uint16_t *terms, uint16_t *x), (p, terms, x))
{
    transform_by(p, SPLIT, terms, x, true);
}

void ser_winograd_split(const ser_winograd *p, void *terms, const void *x, ser_dtype type)
{
    if (type == SER_BF16)
        split_bf16(p, terms, (void *)x);
    else
        split_f32(p, terms, (void *)x);
}

SER_FAST_STATIC(void, split_gradient_f32, (const ser_winograd *p, float *terms, float *dy), (p, terms, dy))
{
    transform_by(p, SPLIT_GRADIENT, terms, dy, false);
}

SER_FAST_STATIC(void, split_gradient_bf16, (const ser_winograd *p, uint16_t *terms, uint16_t *dy),
                (p, terms, dy))
{
    transform_by(p, SPLIT_GRADIENT, terms, dy, true);
}

void ser_winograd_split_gradient(const ser_winograd *p, void *terms, const void *dy, ser_dtype type)
{
    if (type == SER_BF16)
        split_gradient_bf16(p, terms, (void *)dy);
    else
        split_gradient_f32(p, terms, (void *)dy);
}

SER_FAST(void, ser_winograd_join, (const ser_winograd *p, float *y, const float *products), (p, y, products))
{
    transform_by(p, JOIN, (void *)products, y, false);
}

SER_FAST(void, ser_winograd_join_gradient, (const ser_winograd *p, float *dx, const float *products),
         (p, dx, products))
{
    transform_by(p, JOIN_GRADIENT, (void *)products, dx, false);
}

/* ---- kernels ---- */

SER_INLINE void transform_kernel(size_t tile, const matrices *m, void *terms, float *w, size_t n,
                                 bool forward, bool half)
{
    void *term[N_TERMS], *tap[N_TAPS];
    size_t n_terms = ser_winograd_n_terms(tile), size = half ? sizeof(uint16_t) : sizeof(float);
    for (size_t k = 0; k < n_terms; k++)
        term[k] = (char *)terms + k * n * size;
    for (size_t j = 0; j < N_TAPS; j++)
        tap[j] = w + j * n;
    if (forward)
        combine(term, half, n_terms, 0, tap, false, N_TAPS, (weights){m->kernel[0], N_TERMS, 1}, n);
    else
        combine(tap, false, N_TAPS, N_TAPS, term, half, n_terms, (weights){m->kernel[0], 1, N_TERMS}, n);
}

SER_INLINE void transform_kernel_by(size_t tile, void *terms, float *w, size_t n, bool forward, bool half)
{
    switch (tile) {
    case 2:
        transform_kernel(2, &tile_2, terms, w, n, forward, half);
        break;
    case 3:
        transform_kernel(3, &tile_3, terms, w, n, forward, half);
        break;
    case 4:
        transform_kernel(4, &tile_4, terms, w, n, forward, half);
        break;
    default:
        transform_kernel(6, &tile_6, terms, w, n, forward, half);
    }
}

SER_FAST(void, ser_winograd_split_kernel,
         (size_t tile, void *terms, ser_dtype type, const float *w, size_t n), (tile, terms, type, w, n))
{
    if (type == SER_BF16)
        transform_kernel_by(tile, terms, (float *)w, n, true, true);
    else
        transform_kernel_by(tile, terms, (float *)w, n, true, false);
}

SER_FAST(void, ser_winograd_join_kernel, (size_t tile, float *dw, const float *dterms, size_t n),
         (tile, dw, dterms, n))
{
    transform_kernel_by(tile, (void *)dterms, dw, n, false, false);
}
