/* Matrix products in the tiles of AMX (Intel Architecture Instruction Set Extensions Programming Reference,
 * chapter 3), for processors that have them. Blocks of 32 rows and 32 columns; what is multiplied is packed
 * first, in steps of so many terms of the sum as a tile's row holds.
 *
 * There are tiles for bf16 and for bytes, none for fp32: a float is the sum of three bf16 numbers, to 2^-26
 * of it, and the six products of those that count are as exact as fp32 and take less time than the
 * processor's own (Henry, Tang and Heinecke 2019, arXiv:1904.06376). Infinities become NaN so, and numbers
 * below 1e-38 count as zero. */
#ifndef SER_NN_AMX_H
#define SER_NN_AMX_H

#include "nn/ops.h"
#include <stdint.h>

enum { SER_AMX_SIDE = 32 /* of a block */, SER_AMX_TILE = 1024 /* bytes: 16 rows of 64 */ };

typedef enum ser_amx_kind { SER_AMX_HALVES, SER_AMX_FLOATS, SER_AMX_BYTES } ser_amx_kind;

/* Whether there are tiles that may be used; the first call asks the system for them. */
bool ser_amx_ready(void);

static inline size_t ser_amx_n_blocks(size_t n)
{
    return (n + SER_AMX_SIDE - 1) / SER_AMX_SIDE;
}

static inline size_t ser_amx_terms(ser_amx_kind kind)
{
    return kind == SER_AMX_BYTES ? 64 : 32;
}

static inline size_t ser_amx_n_steps(ser_amx_kind kind, size_t n_terms)
{
    return (n_terms + ser_amx_terms(kind) - 1) / ser_amx_terms(kind);
}

/* Bytes of one step of a block: for each bf16 number that a float becomes, two tiles. */
static inline size_t ser_amx_step(ser_amx_kind kind)
{
    return (size_t)(kind == SER_AMX_FLOATS ? 3 : 1) * 2 * SER_AMX_TILE;
}

/* A matrix (n, n_terms) or, where terms_apart, (n_terms, n), whose rows lie ld apart. */
typedef struct ser_amx_source {
    const void *data;
    ser_dtype type; /* SER_F32 or SER_BF16; SER_I8 or SER_U8 for SER_AMX_BYTES, not terms_apart */
    size_t ld, n, n_terms;
    bool terms_apart;
} ser_amx_source;
/* 32 of the n, from first on, become a block of n_steps; what is not there becomes zeros. right: for the
 * right side of a product. */
void ser_amx_pack(void *to, const ser_amx_source *s, size_t first, ser_amx_kind kind, bool right);

/* y (n_rows, n_columns) = act(sums + bias), or y += that. Of bytes, as quantise.h says it, where lows is not
 * NULL. */
typedef struct ser_amx_finish {
    void *y;
    ser_dtype y_type;
    size_t y_row, n_rows, n_columns; /* y_row: from one row to the next */
    const float *bias;               /* (n_columns) or NULL */
    bool gelu, add;
    const float *scales, *weight_sums; /* (n_columns) */
    const float *lows, *steps;         /* (n_rows) */
} ser_amx_finish;

/* left: packed, or rows that may overlap, in bytes: from row to row, from one tile of 16 rows to the next,
 * and so on. right: packed blocks, right_block bytes apart. */
typedef struct ser_amx_product {
    ser_amx_kind kind;
    size_t n_steps;
    const unsigned char *left, *right;
    size_t left_row, left_tile, left_piece, left_step, left_block, right_block;
    ser_amx_finish finish;
} ser_amx_product;
void ser_amx_multiply(const ser_amx_product *p);

/* The strides of a packed left side. */
static inline void ser_amx_packed_left(ser_amx_product *p, const void *packed, size_t n_steps)
{
    p->left = packed;
    p->left_row = SER_AMX_TILE / 16;
    p->left_tile = SER_AMX_TILE;
    p->left_piece = 2 * (size_t)SER_AMX_TILE;
    p->left_step = ser_amx_step(p->kind);
    p->left_block = n_steps * p->left_step;
}

#endif
