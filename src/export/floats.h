/* Numbers that grow, in the order in which an exported file holds them. */
#ifndef SER_EXPORT_FLOATS_H
#define SER_EXPORT_FLOATS_H

#include "base/memory.h"
#include <string.h>

/* A zeroed struct is empty. */
typedef struct ser_export_floats {
    float *x;
    size_t n, capacity;
    bool failed; /* ran out of memory: checked once, at the end */
} ser_export_floats;

/* Room for n more, zeroed; NULL: no memory. */
static inline float *ser_export_floats_add(ser_export_floats *f, size_t n)
{
    size_t n_all;
    if (f->failed || !ser_add_size(&n_all, f->n, n) || !ser_grow(&f->x, &f->capacity, n_all, sizeof *f->x)) {
        f->failed = true;
        return NULL;
    }
    float *at = f->x + f->n;
    memset(at, 0, n * sizeof *at);
    f->n = n_all;
    return at;
}

static inline void ser_export_floats_append(ser_export_floats *f, const float *x, size_t n)
{
    float *to = ser_export_floats_add(f, n);
    if (to && n)
        memcpy(to, x, n * sizeof *x);
}

#endif
