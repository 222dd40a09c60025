/* Vectors added in one fixed order, whoever has which of them: leaf 0 and 1, 2 and 3, then those sums, and so
 * on up a binary tree; what is left over where their number is no power of two is added from the left. */
#ifndef SER_BASE_SUM_H
#define SER_BASE_SUM_H

#include "base/status.h"

#include <stddef.h>

enum { SER_SUM_MAX_NODES = 64 };

/* The sum of n_leaves leaves from first on. */
typedef struct ser_sum_node {
    float *x;
    size_t first, n_leaves;
} ser_sum_node;

/* A zeroed struct is empty. */
typedef struct ser_sum {
    size_t n_values;
    ser_sum_node nodes[SER_SUM_MAX_NODES]; /* beside each other; what belongs together is added up */
    size_t n;
    float *spare[SER_SUM_MAX_NODES]; /* vectors in no node */
    size_t n_spare;
} ser_sum;

/* A zeroed vector of n_values for a node to come; the sum owns it again when it is pushed. */
ser_status ser_sum_vector(ser_sum *s, float **out, ser_error *err);
/* Right of the others. x NULL: only the places are of interest, and no vector is there. */
void ser_sum_push(ser_sum *s, float *x, size_t first, size_t n_leaves);
/* The nodes from left to right. */
void ser_sum_total(const ser_sum *s, float *out);
void ser_sum_clear(ser_sum *s); /* no nodes */
void ser_sum_release(ser_sum *s);

#endif
