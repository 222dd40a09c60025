/* One way to own memory: everything is allocated here, so that sizes are checked once and tests can make any
 * allocation fail. */
#ifndef SER_BASE_MEMORY_H
#define SER_BASE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* n * size bytes, zeroed, aligned to 64 bytes; NULL when there is not enough memory or the product overflows.
 * n or size 0 gives a valid pointer. Free with ser_free. */
void *ser_alloc(size_t n, size_t size);

/* items: the address of a pointer to objects of any type. Grows *items (or NULL) to hold at least n_needed
 * items of the given size; *capacity is updated; new items are zeroed. false: out of memory, nothing changed.
 */
bool ser_grow(void *items, size_t *capacity, size_t n_needed, size_t size);

char *ser_strdup(const char *s);
char *ser_strndup(const char *s, size_t n);

/* NULL is fine. */
void ser_free(void *p);

bool ser_mul_size(size_t *out, size_t a, size_t b); /* false on overflow */
bool ser_add_size(size_t *out, size_t a, size_t b);

#endif
