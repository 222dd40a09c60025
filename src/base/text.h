/* Text that grows. */
#ifndef SER_BASE_TEXT_H
#define SER_BASE_TEXT_H

#include "base/status.h"
#include <stdbool.h>
#include <stddef.h>

typedef struct ser_text {
    char *s; /* ends with 0; NULL while empty */
    size_t n, capacity;
    bool failed; /* an append ran out of memory: checked once, at the end */
} ser_text;

/* A zeroed struct is an empty text. */
void ser_text_append(ser_text *t, const char *s);
void ser_text_append_n(ser_text *t, const char *s, size_t n);
void ser_text_appendf(ser_text *t, const char *format, ...) SER_PRINTF(2, 3);
/* One word of a command that can be typed as it stands, quoted where a shell would read more into it. */
void ser_text_append_word(ser_text *t, const char *word);
/* RFC 3629. */
bool ser_text_is_utf8(const char *s);
void ser_text_clear(ser_text *t);
/* What it holds becomes the caller's (ser_free); NULL where an append ran out of memory. */
char *ser_text_take(ser_text *t);
/* A text of its own, likewise. */
char *ser_format(const char *format, ...) SER_PRINTF(1, 2);
void ser_text_release(ser_text *t);

#endif
