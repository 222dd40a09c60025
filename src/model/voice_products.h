/* The products of the voice detector's network: many, small, and of few rows, so that a library's way to them
 * would be longer than they are. */
#ifndef SER_MODEL_VOICE_PRODUCTS_H
#define SER_MODEL_VOICE_PRODUCTS_H

#include <stddef.h>

enum { SER_VOICE_BLOCK = 16 };

/* y = w x + bias. Weights lie by blocks of 16 outputs: (n_out / 16, n_in, 16). n_in of a convolution is
 * kernel by channels, so that its input is a piece of the rows as they lie. */
typedef struct ser_voice_affine {
    float *w, *bias;
    size_t n_in, n_out; /* n_out: a multiple of 32; of 128 for a number of rows that is no multiple of 4, or
                           of 64 where sums are exact */
} ser_voice_affine;

/* For n_rows rows y[r] (n_out), x[r] (n_in). The same bits however rows are put together. */
typedef struct ser_voice_products {
    void (*rows)(const ser_voice_affine *a, float *const *y, const float *const *x, size_t n_rows);
    /* With sums of doubles. x, y are floats, kept as doubles so that they are not converted for each output.
     */
    void (*exact_rows)(const ser_voice_affine *a, double *const *y, const double *const *x, size_t n_rows);
} ser_voice_products;

/* Those for the processor at hand. */
ser_voice_products ser_voice_products_get(void);

#endif
