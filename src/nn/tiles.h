/* Matrix products of our own, for processors on which oneDNN has no better ones (docs/dependencies.md says
 * which were measured): fp32 in tiles that stay in registers, with weights that are packed once. */
#ifndef SER_NN_TILES_H
#define SER_NN_TILES_H

#include "nn/ops.h"

/* A tile is 6 rows of 16 columns: with AVX2, 12 of 16 registers hold its sums; with AVX-512, 12 rows of two
 * panels, 24 of 32 registers. Of the sum, so many terms at once that a panel's weights and a tile's rows stay
 * in the innermost cache. */
enum {
    SER_TILE_ROWS = 6,
    SER_TILE_WIDE_ROWS = 12,
    SER_TILE_COLUMNS = 16,
    SER_TILE_TERMS = 256,
    SER_TILE_BLOCK_ROWS = 120
};

static inline size_t ser_tile_panels(size_t n_columns)
{
    return (n_columns + SER_TILE_COLUMNS - 1) / SER_TILE_COLUMNS;
}

/* How many terms come at once where the sum has n: equal shares. Each share is added up by itself, so this
 * and nothing else decides which bits come out. */
static inline size_t ser_tile_terms(size_t n)
{
    size_t n_parts = (n + SER_TILE_TERMS - 1) / SER_TILE_TERMS;
    return (n + n_parts - 1) / n_parts;
}

/* One panel of up to 16 columns, or two neighbours: y (n_rows, n_columns) = act(x w + bias), or y += x w, of
 * n_terms terms. */
typedef struct ser_tile_panel {
    float *y;
    const float *x, *w;                  /* w (n_terms, 16): what is behind n_columns has no effect */
    size_t y_row, x_row, x_term, w_term; /* from one row, or one term of the sum, to the next */
    size_t w_panel;                      /* from a panel to its neighbour */
    size_t n_rows, n_columns, n_terms;
    bool add;          /* to what y holds */
    const float *bias; /* n_columns; NULL: none, or not yet */
    bool gelu;
} ser_tile_panel;
void ser_tile_multiply(const ser_tile_panel *p);

/* 16 rows of w (n_columns, n_terms), of which n_columns are there, become a panel (n_terms, 16); ld: from row
 * to row. */
void ser_tile_pack_rows(float *panel, const float *w, size_t n_columns, size_t n_terms, size_t ld);
/* The same from w (n_terms, n_columns). */
void ser_tile_pack_columns(float *panel, const float *w, size_t n_columns, size_t n_terms, size_t ld);

#endif
