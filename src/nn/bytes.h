/* Products of bytes with packed weights, for processors that oneDNN 2.6 has none for: what vpmaddubsw gives
 * with AVX2, vpdpbusd with AVX-VNNI, plain C elsewhere. */
#ifndef SER_NN_BYTES_H
#define SER_NN_BYTES_H

#include "nn/ops.h"
#include <stdint.h>

/* Four neighbours of a sum are multiplied at once; of a sum, so many terms, whose weights then stay in the
 * innermost cache for all rows. */
enum { SER_BYTE_COLUMNS = 16, SER_BYTE_TERMS = 4, SER_BYTE_CHUNK = 512 };

/* sums (n_rows, 16) += x (n_rows, n_terms) w (n_terms / 4, 16, 4); rows of x are x_row apart. The sums are
 * exact. */
typedef struct ser_byte_panel {
    int32_t *sums;
    const uint8_t *x;
    const int8_t *w;
    size_t x_row, n_rows, n_terms; /* n_terms: a multiple of 4, at most a chunk */
} ser_byte_panel;

typedef struct ser_byte_kernel {
    void (*multiply)(const ser_byte_panel *p);
    bool adds_pairs; /* in 16 bits, which ser_byte_split sees to */
} ser_byte_kernel;

/* The fastest that this processor has. */
ser_byte_kernel ser_byte_kernel_here(void);

/* Two neighbours of a sum, times 255, must fit into 16 bits: where w (n_terms / 4, 16, 4) has larger ones,
 * what is too much of the second is taken away and becomes a further term, of number at[i] of x, with weights
 * rest (returned number / 4, 16, 4), zeros before. Both have room for n_terms; so many are never needed. Few
 * are: weights in which the largest is four deviations need one for 15 of a panel. */
size_t ser_byte_split(int8_t *w, size_t n_terms, int8_t *rest, uint32_t *at);

#endif
