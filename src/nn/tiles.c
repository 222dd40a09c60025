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
SER_FAST(void, ser_tile_multiply, (const ser_tile_panel *p), (p))
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
