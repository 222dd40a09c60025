#include "base/field.h"

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const ser_field *ser_field_find(const ser_field *fields, const char *name)
{
    for (const ser_field *f = fields; f && f->kind != SER_FIELD_END; f++)
        if (strcmp(f->name, name) == 0)
            return f;
    return NULL;
}

size_t ser_field_word(const char **word, const char *words, size_t i)
{
    for (; i && *words; words++)
        i -= *words == '|';
    *word = words;
    return i ? 0 : strcspn(words, "|");
}

static bool is_whole(const ser_field *f)
{
    return f->kind != SER_FIELD_DOUBLE;
}

double ser_field_number(const ser_field *f, const void *settings)
{
    const void *at = ser_field_at(f, settings);
    return f->kind == SER_FIELD_DOUBLE ? *(const double *)at
           : f->kind == SER_FIELD_LONG ? (double)*(const int64_t *)at
                                       : *(const int *)at;
}

bool ser_field_is_given(const ser_field *f, const void *settings)
{
    switch (f->kind) {
    case SER_FIELD_TEXT:
        return *(const char *const *)ser_field_at(f, settings);
    case SER_FIELD_LIST:
        return ((const size_t *)ser_field_at(f, settings))[1] > 0;
    case SER_FIELD_WORD:
        return ser_field_number(f, settings) >= 0;
    default:
        return !f->optional || !(ser_field_number(f, settings) < f->minimum); /* NAN is wrong, not unsaid */
    }
}

void ser_field_append(ser_text *t, const ser_field *f, const void *settings)
{
    const char *word;
    if (f->kind == SER_FIELD_LIST || !ser_field_is_given(f, settings))
        return;
    if (f->kind == SER_FIELD_TEXT) {
        ser_text_append(t, *(const char *const *)ser_field_at(f, settings));
        return;
    }
    double x = ser_field_number(f, settings);
    if (f->kind == SER_FIELD_WORD) {
        size_t n = ser_field_word(&word, f->words, (size_t)x);
        ser_text_append_n(t, word, n);
    } else if (f->kind == SER_FIELD_COUNT && x == 0) {
        ser_text_append(t, "none");
    } else {
        ser_text_appendf(t, is_whole(f) ? "%.0f" : "%.9g", x);
    }
}

/* ---- setting ---- */

static void store(const ser_field *f, void *settings, double x)
{
    void *at = ser_field_at(f, settings);
    if (f->kind == SER_FIELD_DOUBLE)
        *(double *)at = x;
    else if (f->kind == SER_FIELD_LONG)
        *(int64_t *)at = (int64_t)x;
    else
        *(int *)at = (int)x;
}

/* "a whole number of at least 0", "a number from 1 to 8". */
static ser_status fail_number(const ser_field *f, const char *value, const char *called, ser_error *err)
{
    const char *kind = f->kind == SER_FIELD_COUNT ? "none or a whole number"
                       : is_whole(f)              ? "a whole number"
                                                  : "a number";
    if (f->minimum == 0 && f->maximum == 0)
        return ser_fail(err, SER_E_ARG, "%s: '%s' does not fit: give %s", called, value, kind);
    if (isinf(f->maximum))
        return ser_fail(err, SER_E_ARG, "%s: '%s' does not fit: give %s of at least %.15g", called, value,
                        kind, f->minimum);
    return ser_fail(err, SER_E_ARG, "%s: '%s' does not fit: give %s from %.15g to %.15g", called, value, kind,
                    f->minimum, f->maximum);
}

/* Whole numbers are those that the member, and a double, hold exactly. */
static bool fits(const ser_field *f, double x)
{
    double most = f->kind == SER_FIELD_DOUBLE ? INFINITY : f->kind == SER_FIELD_LONG ? 0x1p53 : INT32_MAX;
    bool limited = f->minimum != 0 || f->maximum != 0;
    return isfinite(x) && fabs(x) <= most && !(limited && (x < f->minimum || x > f->maximum)) &&
           !(is_whole(f) && x != floor(x));
}

ser_status ser_field_set_number(const ser_field *f, void *settings, double x, const char *called,
                                ser_error *err)
{
    char value[40];
    snprintf(value, sizeof value, "%.17g", x);
    if (f->kind == SER_FIELD_TEXT || f->kind == SER_FIELD_LIST || f->kind == SER_FIELD_WORD || !fits(f, x))
        return fail_number(f, value, called, err);
    store(f, settings, x);
    return SER_OK;
}

static ser_status set_word(const ser_field *f, void *settings, const char *value, const char *called,
                           ser_error *err)
{
    const char *word;
    size_t n;
    for (size_t i = 0; (n = ser_field_word(&word, f->words, i)) > 0; i++)
        if (strlen(value) == n && strncmp(value, word, n) == 0) {
            store(f, settings, (double)i);
            return SER_OK;
        }
    ser_text all = {0};
    for (size_t i = 0; (n = ser_field_word(&word, f->words, i)) > 0; i++) {
        ser_text_append(&all, !i ? "" : word[n] ? ", " : " or ");
        ser_text_append_n(&all, word, n);
    }
    ser_status st = all.failed ? ser_fail_nomem(err)
                               : ser_fail(err, SER_E_ARG, "%s: '%s' is not one of its words: give %s", called,
                                          value, all.s);
    ser_text_release(&all);
    return st;
}

ser_status ser_field_set_text(const ser_field *f, void *settings, const char *value, const char *called,
                              ser_error *err)
{
    char *end;
    if (f->kind == SER_FIELD_WORD)
        return set_word(f, settings, value, called, err);
    if (f->kind == SER_FIELD_TEXT) {
        *(const char **)ser_field_at(f, settings) = value;
        return SER_OK;
    }
    if (f->kind == SER_FIELD_COUNT && strcmp(value, "none") == 0)
        return ser_field_set_number(f, settings, 0, called, err);
    errno = 0;
    double x = is_whole(f) ? (double)strtol(value, &end, 10) : strtod(value, &end);
    if (end == value || *end || strchr(" \t\n\v\f\r", *value) || errno == ERANGE ||
        ser_field_set_number(f, settings, x, called, NULL) != SER_OK)
        return fail_number(f, value, called, err);
    return SER_OK;
}

static size_t count_words(const char *words)
{
    const char *word;
    size_t n = 0;
    while (ser_field_word(&word, words, n))
        n++;
    return n;
}

ser_status ser_fields_check(const ser_field *fields, const void *settings, ser_error *err)
{
    char value[40];
    for (const ser_field *f = fields; f->kind != SER_FIELD_END; f++) {
        if (f->kind == SER_FIELD_TEXT || f->kind == SER_FIELD_LIST || f->kind == SER_FIELD_FLAG)
            continue;
        double x = ser_field_number(f, settings);
        if (f->optional && !ser_field_is_given(f, settings))
            continue;
        if (f->kind == SER_FIELD_WORD ? x >= 0 && x < (double)count_words(f->words) : fits(f, x))
            continue;
        snprintf(value, sizeof value, "%.17g", x);
        return fail_number(f, value, f->name, err);
    }
    return SER_OK;
}
