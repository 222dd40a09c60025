/* A struct of settings described by a table, so that ranges and words stand in one place: options of the
 * command line, JSON and the checks of the library read it. */
#ifndef SER_BASE_FIELD_H
#define SER_BASE_FIELD_H

#include "base/status.h"
#include "base/text.h"

#include <stdbool.h>
#include <stddef.h>

typedef enum ser_field_kind {
    SER_FIELD_END,
    SER_FIELD_FLAG,   /* int: 0 or 1 */
    SER_FIELD_INT,    /* int */
    SER_FIELD_COUNT,  /* int; 0 is spelled "none", too */
    SER_FIELD_LONG,   /* int64_t */
    SER_FIELD_DOUBLE, /* double */
    SER_FIELD_WORD,   /* int: which of words */
    SER_FIELD_TEXT,   /* const char *, borrowed; NULL: none */
    SER_FIELD_LIST    /* const char *const *, borrowed, and behind it a size_t: how many */
} ser_field_kind;

typedef struct ser_field {
    const char *name; /* "batch_size" */
    ser_field_kind kind;
    size_t offset; /* in the struct */
    /* Of numbers; both 0: any; INFINITY: no upper limit. */
    double minimum, maximum;
    bool optional;     /* a number below minimum, a word below 0, mean that nobody said anything */
    const char *words; /* "none|speaker|corpus" */
} ser_field;

const ser_field *ser_field_find(const ser_field *fields, const char *name); /* NULL: there is none */

static inline void *ser_field_at(const ser_field *f, const void *settings)
{
    return (char *)settings + f->offset;
}

/* Whether somebody gave a value, or there is a default. */
bool ser_field_is_given(const ser_field *f, const void *settings);
double ser_field_number(const ser_field *f, const void *settings); /* of every kind but TEXT and LIST */
/* "none", "0.5", "1,2,3"; nothing where nothing is given, and of a LIST. */
void ser_field_append(ser_text *t, const ser_field *f, const void *settings);

/* Word i of "none|speaker|corpus": *word, not ended by 0, and its length; 0 when there are no more. */
size_t ser_field_word(const char **word, const char *words, size_t i);

/* called: what the error's text begins with, "--batch-size". SER_E_ARG: it does not fit. A text is borrowed;
 * of a LIST: SER_E_ARG. */
ser_status ser_field_set_text(const ser_field *f, void *settings, const char *value, const char *called,
                              ser_error *err);
ser_status ser_field_set_number(const ser_field *f, void *settings, double value, const char *called,
                                ser_error *err);
/* Whether what stands in a struct that a program filled is possible: the first field where it is not is
 * named. */
ser_status ser_fields_check(const ser_field *fields, const void *settings, ser_error *err);

#endif
