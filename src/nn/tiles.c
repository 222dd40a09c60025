#include "nn/tiles.h"
#include "nn/rows.h"

/* Half a tile's row: one register of AVX2. */
typedef float octet __attribute__((vector_size(8 * sizeof(float))));

SER_INLINE octet load_octet(const float *x)
{
    octet v;
    memcpy(&v, x, sizeof v);
    return v;
}

SER_INLINE void store_octet(float *y, octet v)
{
    memcpy(y, &v, sizeof v);
}

/* The same where columns are missing, or GELU is wanted. */
SER_INLINE void finish_slowly(const ser_tile_panel *p, float *y, const octet sums[2])
{
    size_t n = p->n_columns;
    ser_lanes v;
    memcpy(&v, sums, sizeof v);
    if (p->add)
        v = ser_row_load(y, 0, n) + v;
    if (p->bias)
        v += ser_row_load(p->bias, 0, n);
    if (p->gelu)
        v = ser_lanes_gelu(v);
    ser_row_store(y, 0, n, v);
}

/* A row of sums becomes a row of y. In halves: gcc 12 takes 16 numbers through memory where a register
 * holds 8. */
SER_INLINE void finish_row(const ser_tile_panel *p, size_t row, const octet sums[2])
{
    float *y = p->y + row * p->y_row;
    if (p->gelu || p->n_columns < SER_TILE_COLUMNS) {
        finish_slowly(p, y, sums);
        return;
    }
    octet low = sums[0], high = sums[1];
    if (p->add) {
        low = load_octet(y) + low;
        high = load_octet(y + 8) + high;
    }
    if (p->bias) {
        low += load_octet(p->bias);
        high += load_octet(p->bias + 8);
    }
    store_octet(y, low);
    store_octet(y + 8, high);
}

/* Rows first ... first + n - 1; n and x_term are constants in all calls. */
SER_INLINE void multiply_tile(const ser_tile_panel *p, size_t first, const size_t n, size_t x_term)
{
    const float *x = p->x + first * p->x_row, *w = p->w;
    size_t x_row = p->x_row, w_term = p->w_term;
    octet sums[SER_TILE_ROWS][2];
    for (size_t r = 0; r < n; r++)
        sums[r][0] = sums[r][1] = (octet){0};
#pragma GCC unroll 2
    for (size_t k = 0; k < p->n_terms; k++, w += w_term) {
        octet low = load_octet(w), high = load_octet(w + 8);
        for (size_t r = 0; r < n; r++) {
            float value = x[r * x_row + k * x_term];
            sums[r][0] += low * value;
            sums[r][1] += high * value;
        }
    }
    for (size_t r = 0; r < n; r++)
        finish_row(p, first + r, sums[r]);
}

SER_INLINE void multiply_rows(const ser_tile_panel *p, size_t first, size_t n, size_t x_term)
{
    switch (n) {
    case 1:
        multiply_tile(p, first, 1, x_term);
        break;
    case 2:
        multiply_tile(p, first, 2, x_term);
        break;
    case 3:
        multiply_tile(p, first, 3, x_term);
        break;
    case 4:
        multiply_tile(p, first, 4, x_term);
        break;
    case 5:
        multiply_tile(p, first, 5, x_term);
        break;
    default:
        multiply_tile(p, first, SER_TILE_ROWS, x_term);
    }
}

/* Tiles of nearly equal heights: low ones keep the processor waiting for its own sums. */
SER_FAST_STATIC(void, multiply_octets, (const ser_tile_panel *p), (p))
{
    size_t n_tiles = (p->n_rows + SER_TILE_ROWS - 1) / SER_TILE_ROWS;
    for (size_t i = 0, first = 0; i < n_tiles; i++) {
        size_t n = (p->n_rows - first + n_tiles - i - 1) / (n_tiles - i);
        if (p->x_term == 1)
            multiply_rows(p, first, n, 1);
        else
            multiply_rows(p, first, n, p->x_term);
        first += n;
    }
}

static void multiply_each(const ser_tile_panel *p)
{
    ser_tile_panel one = *p;
    one.n_columns = p->n_columns < SER_TILE_COLUMNS ? p->n_columns : SER_TILE_COLUMNS;
    multiply_octets(&one);
    if (p->n_columns <= SER_TILE_COLUMNS)
        return;
    one.y += SER_TILE_COLUMNS;
    one.w += p->w_panel;
    one.bias = p->bias ? p->bias + SER_TILE_COLUMNS : NULL;
    one.n_columns = p->n_columns - SER_TILE_COLUMNS;
    multiply_octets(&one);
}

/* Where a register holds a whole row of a tile. Each sum is added up as above, so the bits are the same. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define WIDE __attribute__((target("arch=x86-64-v4")))

/* A row of sums becomes 16 numbers of y, of which n_columns are there. */
WIDE SER_INLINE void finish_wide(const ser_tile_panel *p, float *y, const float *bias, size_t n_columns,
                                 ser_lanes v)
{
    if (p->add)
        v = ser_row_load(y, 0, n_columns) + v;
    if (bias)
        v += ser_row_load(bias, 0, n_columns);
    if (p->gelu)
        v = ser_lanes_gelu(v);
    ser_row_store(y, 0, n_columns, v);
}

/* n rows of n_panels panels; both and x_term are constants in all calls. */
WIDE SER_INLINE void wide_tile(const ser_tile_panel *p, size_t first, const size_t n, const size_t n_panels,
                               size_t x_term)
{
    const float *x = p->x + first * p->x_row, *w = p->w, *other = p->w + p->w_panel;
    size_t x_row = p->x_row, w_term = p->w_term;
    ser_lanes sums[SER_TILE_WIDE_ROWS][2];
    for (size_t r = 0; r < n; r++)
        sums[r][0] = sums[r][1] = (ser_lanes){0};
    for (size_t k = 0; k < p->n_terms; k++, w += w_term, other += w_term) {
        ser_lanes columns = ser_lanes_load(w), others = n_panels == 2 ? ser_lanes_load(other) : columns;
        for (size_t r = 0; r < n; r++) {
            float value = x[r * x_row + k * x_term];
            sums[r][0] += columns * value;
            if (n_panels == 2)
                sums[r][1] += others * value;
        }
    }
    size_t n_first = p->n_columns < SER_TILE_COLUMNS ? p->n_columns : SER_TILE_COLUMNS;
    for (size_t r = 0; r < n; r++) {
        float *y = p->y + (first + r) * p->y_row;
        finish_wide(p, y, p->bias, n_first, sums[r][0]);
        if (n_panels == 2)
            finish_wide(p, y + SER_TILE_COLUMNS, p->bias ? p->bias + SER_TILE_COLUMNS : NULL,
                        p->n_columns - SER_TILE_COLUMNS, sums[r][1]);
    }
}

WIDE SER_INLINE void wide_rows(const ser_tile_panel *p, size_t first, size_t n, const size_t n_panels,
                               size_t x_term)
{
#define ROWS(count)                                                                                          \
    case count:                                                                                              \
        wide_tile(p, first, count, n_panels, x_term);                                                        \
        break;
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
        ROWS(SER_TILE_WIDE_ROWS)
    }
#undef ROWS
}

WIDE SER_INLINE void multiply_wide(const ser_tile_panel *p, size_t x_term)
{
    size_t n_tiles = (p->n_rows + SER_TILE_WIDE_ROWS - 1) / SER_TILE_WIDE_ROWS;
    for (size_t i = 0, first = 0; i < n_tiles; i++) {
        size_t n = (p->n_rows - first + n_tiles - i - 1) / (n_tiles - i);
        if (p->n_columns > SER_TILE_COLUMNS)
            wide_rows(p, first, n, 2, x_term);
        else
            wide_rows(p, first, n, 1, x_term);
        first += n;
    }
}

WIDE static void multiply_wide_rows(const ser_tile_panel *p)
{
    if (p->x_term == 1)
        multiply_wide(p, 1);
    else
        multiply_wide(p, p->x_term);
}

void ser_tile_multiply(const ser_tile_panel *p)
{
    if (ser_cpu() & SER_CPU_AVX512)
        multiply_wide_rows(p);
    else
        multiply_each(p);
}
#else
void ser_tile_multiply(const ser_tile_panel *p)
{
    multiply_each(p);
}
#endif

SER_FAST(void, ser_tile_pack_rows,
         (float *restrict panel, const float *restrict w, size_t n_columns, size_t n_terms, size_t ld),
         (panel, w, n_columns, n_terms, ld))
{
    if (n_columns < SER_TILE_COLUMNS)
        memset(panel, 0, n_terms * SER_TILE_COLUMNS * sizeof *panel);
    for (size_t k = 0; k < n_terms; k++)
        for (size_t o = 0; o < n_columns; o++)
            panel[k * SER_TILE_COLUMNS + o] = w[o * ld + k];
}

SER_FAST(void, ser_tile_pack_columns,
         (float *restrict panel, const float *restrict w, size_t n_columns, size_t n_terms, size_t ld),
         (panel, w, n_columns, n_terms, ld))
{
    for (size_t k = 0; k < n_terms; k++)
        ser_row_store(panel + k * SER_TILE_COLUMNS, 0, SER_TILE_COLUMNS,
                      ser_row_load(w + k * ld, 0, n_columns));
}
