/* Winograd's minimal filtering along time (Winograd 1980; Lavin and Gray 2016, arXiv:1509.09308): a causal
 * dilated convolution with a kernel of 3 as products of sums of frames with sums of taps. A tile of m frames,
 * dilation apart, takes m + 2 products instead of 3 m:
 *   y = output ((kernel w) * (input x)), x being the tile's m frames and the 2 before them.
 * The larger the tile the fewer the products, and the more is lost to rounding. */
#ifndef SER_NN_WINOGRAD_H
#define SER_NN_WINOGRAD_H

#include "io/safetensors.h"

enum { SER_WINOGRAD_KERNEL = 3, SER_WINOGRAD_LARGEST = 6 };

/* The tiles there are, the smallest first: frame counts, with a 0 behind the last. */
extern const size_t ser_winograd_tiles[];

/* How many products a tile takes. */
static inline size_t ser_winograd_n_terms(size_t tile)
{
    return tile + SER_WINOGRAD_KERNEL - 1;
}

/* How many tiles a recording takes: those of whole stretches of tile times dilation frames. */
static inline size_t ser_winograd_n_tiles(size_t tile, size_t dilation, size_t n_rows)
{
    return (n_rows + tile * dilation - 1) / (tile * dilation) * dilation;
}

/* A recording's rows (n_rows, n), and its terms: n_terms matrices (n_tiles, n), step elements from one to the
 * next. */
typedef struct ser_winograd {
    size_t tile, dilation, n_rows, n, step;
} ser_winograd;

/* What is multiplied: terms of a convolution's input x, or of the gradient dy by its result; both typed. */
void ser_winograd_split(const ser_winograd *p, void *terms, const void *x, ser_dtype type);
void ser_winograd_split_gradient(const ser_winograd *p, void *terms, const void *dy, ser_dtype type);
/* From the products to the result y, or to the gradient dx by the input. Both are set. */
void ser_winograd_join(const ser_winograd *p, float *y, const float *products);
void ser_winograd_join_gradient(const ser_winograd *p, float *dx, const float *products);

/* terms (n_terms, n), typed, of the taps w (3, n). And back: dw += what the terms' gradient says. */
void ser_winograd_split_kernel(size_t tile, void *terms, ser_dtype type, const float *w, size_t n);
void ser_winograd_join_kernel(size_t tile, float *dw, const float *dterms, size_t n);

#endif
