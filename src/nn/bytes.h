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
    const void *x;
    const int8_t *w;
    size_t x_row, n_rows, n_terms; /* n_terms: a multiple of 4, at most a chunk */
} ser_byte_panel;

typedef struct ser_byte_kernel {
    void (*multiply)(const ser_byte_panel *p);
    size_t x_size; /* what x holds: 1: bytes, 2: the same numbers in 16 bits */
} ser_byte_kernel;

/* The fastest that this processor has. */
ser_byte_kernel ser_byte_kernel_here(void);

#endif
