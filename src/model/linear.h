/* The `linear` model: pooled features, standardised, softmax regression, temperature. */
#ifndef SER_MODEL_LINEAR_H
#define SER_MODEL_LINEAR_H

#include "base/status.h"
#include <stddef.h>

typedef struct ser_linear {
    size_t n_in, n_labels;
    float *mean, *scale; /* n_in each: z = (x - mean) * scale */
    float *w, *bias;     /* (n_labels, n_in), (n_labels): logits = w z + bias */
    float temperature;   /* probabilities = softmax(logits / temperature) */
} ser_linear;

ser_status ser_linear_init(ser_linear *l, size_t n_in, size_t n_labels, ser_error *err);
void ser_linear_release(ser_linear *l);
ser_status ser_linear_copy(ser_linear *to, const ser_linear *from, ser_error *err);

/* x (n_in) -> logits (n_labels), not divided by the temperature. */
void ser_linear_logits(const ser_linear *l, float *logits, const float *x);
/* softmax(logits / temperature), in place; max-subtracted. */
void ser_softmax(float *logits, size_t n, float temperature);

#endif
