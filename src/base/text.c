#include "base/text.h"
#include "base/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static bool reserve(ser_text *t, size_t n_more)
{
    size_t n_needed;
    if (!ser_add_size(&n_needed, t->n, n_more) || !ser_add_size(&n_needed, n_needed, 1) ||
        !ser_grow(&t->s, &t->capacity, n_needed, 1))
        t->failed = true;
    return !t->failed;
}

void ser_text_append_n(ser_text *t, const char *s, size_t n)
{
    if (!reserve(t, n))
        return;
    memcpy(t->s + t->n, s, n);
    t->n += n;
    t->s[t->n] = 0;
}

void ser_text_append(ser_text *t, const char *s)
{
    ser_text_append_n(t, s, strlen(s));
}

static void append_list(ser_text *t, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (n < 0 || !reserve(t, (size_t)n)) {
        t->failed = true;
        return;
    }
    vsnprintf(t->s + t->n, (size_t)n + 1, format, args);
    t->n += (size_t)n;
}

void ser_text_appendf(ser_text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    append_list(t, format, args);
    va_end(args);
}

void ser_text_append_word(ser_text *t, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:,+@%=";
    if (*word && !word[strspn(word, plain)]) {
        ser_text_append(t, word);
        return;
    }
    ser_text_append(t, "'");
    for (; *word; word += *word == '\'') {
        size_t n = strcspn(word, "'");
        ser_text_append_n(t, word, n);
        word += n;
        if (*word) /* nothing is special between apostrophes but they */
            ser_text_append(t, "'\\''");
    }
    ser_text_append(t, "'");
}

char *ser_text_take(ser_text *t)
{
    if (t->failed)
        ser_text_release(t);
    return t->s;
}

char *ser_format(const char *format, ...)
{
    va_list args;
    ser_text t = {0};
    va_start(args, format);
    append_list(&t, format, args);
    va_end(args);
    return ser_text_take(&t);
}

bool ser_text_is_utf8(const char *s)
{
    for (const unsigned char *c = (const unsigned char *)s; *c;) {
        size_t n = *c < 0x80 ? 0 : *c < 0xc2 ? 4 : *c < 0xe0 ? 1 : *c < 0xf0 ? 2 : *c < 0xf5 ? 3 : 4;
        if (n == 4)
            return false;
        unsigned character = n ? *c & (0x3fu >> n) : *c;
        c++;
        for (size_t i = 0; i < n; i++, c++) {
            if ((*c & 0xc0) != 0x80)
                return false;
            character = character << 6 | (*c & 0x3fu);
        }
        static const unsigned least[] = {0, 0x80, 0x800, 0x10000}; /* shorter forms are the only ones */
        if (character < least[n] || character > 0x10ffff || (character >= 0xd800 && character <= 0xdfff))
            return false;
    }
    return true;
}

void ser_text_clear(ser_text *t)
{
    t->n = 0;
    if (t->s)
        t->s[0] = 0;
}

void ser_text_release(ser_text *t)
{
    ser_free(t->s);
    *t = (ser_text){0};
}
