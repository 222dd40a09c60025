/* Layers of whole numbers with packed weights, finished within the product: bytes, four terms of a sum at
 * once, by vpmaddubsw with AVX2, vpdpbusd with VNNI; where those are too coarse, words of 16 bits, two at
 * once, by vpmaddwd and vpdpwssd; plain C elsewhere. */
#ifndef SER_NN_BYTES_H
#define SER_NN_BYTES_H

#include "nn/ops.h"
#include <stdint.h>

/* A group: of 16 columns, the four bytes of neighbours of the sum that are multiplied at once. */
enum { SER_BYTE_COLUMNS = 16, SER_BYTE_TERMS = 4, SER_WORD_TERMS = 2, SER_BYTE_GROUP = 64 };

/* x (n_rows, n_groups, 4 bytes), from a row to the next and from a group to the next; w (n_groups, 16, 4
 * bytes), and the same of the next panel. */
typedef struct ser_byte_sum {
    const uint8_t *x;
    const int8_t *w;
    size_t x_row, x_group, w_panel, n_groups;
} ser_byte_sum;

/* As quantise.h says it, y (n_rows, n_columns) = act(steps[t] * scales[o] * sums[t,o] + lows[t] *
 * weight_sums[o] + bias[o]), or y += that. Of bytes, the sum is that of both; all are exact. */
typedef struct ser_byte_panel {
    ser_byte_sum sum, rest;
    bool words;                               /* u16 times s16 instead of u8 times s8 */
    const float *scales, *weight_sums, *bias; /* of whole panels */
    const float *lows, *steps;                /* (n_rows) */
    float *y;
    size_t y_row, n_rows, n_columns; /* of up to n_panels panels */
    bool gelu, add;
} ser_byte_panel;

typedef struct ser_byte_kernel {
    void (*multiply)(const ser_byte_panel *p);
    size_t n_panels;
    bool adds_pairs; /* in 16 bits: ser_byte_split sees to it that they fit */
} ser_byte_kernel;

/* The fastest that this processor has. */
ser_byte_kernel ser_byte_kernel_here(void);
/* The kernels that need more than plain C; NULL where the processor, or the limit, has none. */
const ser_byte_kernel *ser_byte_kernel_x86(void);

/* The highest byte of x, and what two neighbours among the weights may then come to where pairs are added.
 * Of weights of which many pairs are too large, the coarser: that takes a fifth off what a byte says, and two
 * thirds of the further terms. */
typedef struct ser_byte_range {
    int highest, pair;
} ser_byte_range;
static const ser_byte_range ser_byte_fine = {255, 128}, ser_byte_coarse = {204, 160};

/* Where two neighbours of w (n_terms / 4, 16, 4) come to more than pair, what is too much of the second is
 * taken away and becomes a further term, of number at[i] of x, with weights rest (returned number / 4, 16,
 * 4), zeros before. Both have room for n_terms; so many are never needed. */
size_t ser_byte_split(int8_t *w, size_t n_terms, int pair, int8_t *rest, uint32_t *at);

/* x (n_rows, ld) -> groups (ld / 4, n_rows), four bytes each, as ser_byte_gather reads them; ld: a multiple
 * of 4. */
void ser_byte_regroup(uint32_t *groups, const uint8_t *x, size_t n_rows, size_t ld);
/* gathered (n / 4, n_rows): terms at[0 ... n - 1] of each row; n: a multiple of 4. */
void ser_byte_gather(uint32_t *gathered, const uint32_t *groups, const uint32_t *at, size_t n, size_t n_rows);

#endif
