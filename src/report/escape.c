#include "report/escape.h"
#include "io/csv.h"

#include <math.h>

enum { REPLACEMENT = 0xFFFD };

/* How many bytes follow the first one, and the smallest character that needs so many. */
static int n_following(unsigned char first, uint32_t *smallest)
{
    if (first >= 0xC2 && first <= 0xDF) {
        *smallest = 0x80;
        return 1;
    }
    if (first >= 0xE0 && first <= 0xEF) {
        *smallest = 0x800;
        return 2;
    }
    if (first >= 0xF0 && first <= 0xF4) {
        *smallest = 0x10000;
        return 3;
    }
    return -1;
}

uint32_t ser_utf8_next(const char **s)
{
    const unsigned char *p = (const unsigned char *)*s;
    if (*p < 0x80) {
        *s += *p != 0;
        return *p;
    }
    *s += 1;
    uint32_t smallest;
    int n = n_following(*p, &smallest);
    if (n < 0)
        return REPLACEMENT;
    uint32_t c = *p & (0x3Fu >> n);
    for (int i = 1; i <= n; i++) {
        if ((p[i] & 0xC0) != 0x80)
            return REPLACEMENT;
        c = c << 6 | (p[i] & 0x3Fu);
    }
    if (c < smallest || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF))
        return REPLACEMENT;
    *s += n;
    return c;
}

void ser_utf8_append(ser_text *t, uint32_t c)
{
    char b[4];
    size_t n = 1;
    if (c < 0x80) {
        b[0] = (char)c;
    } else if (c < 0x800) {
        b[0] = (char)(0xC0 | c >> 6);
        n = 2;
    } else if (c < 0x10000) {
        b[0] = (char)(0xE0 | c >> 12);
        n = 3;
    } else {
        b[0] = (char)(0xF0 | c >> 18);
        n = 4;
    }
    for (size_t i = 1; i < n; i++)
        b[i] = (char)(0x80 | (c >> 6 * (n - 1 - i) & 0x3F));
    ser_text_append_n(t, b, n);
}

void ser_utf8_append_clean(ser_text *t, const char *s)
{
    uint32_t c;
    while ((c = ser_utf8_next(&s)) != 0)
        ser_utf8_append(t, c);
}

json_t *ser_text_json(const char *s)
{
    ser_text t = {0};
    ser_utf8_append_clean(&t, s);
    json_t *json = t.failed ? NULL : json_string(t.s ? t.s : "");
    ser_text_release(&t);
    return json;
}

json_t *ser_number_json(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

void ser_append_json(ser_text *t, const char *s)
{
    ser_text_append(t, "\"");
    uint32_t c;
    while ((c = ser_utf8_next(&s)) != 0) {
        if (c == '"' || c == '\\')
            ser_text_appendf(t, "\\%c", (char)c);
        else if (c == '\n')
            ser_text_append(t, "\\n");
        else if (c == '\t')
            ser_text_append(t, "\\t");
        else if (c < 0x20 || c == 0x7F)
            ser_text_appendf(t, "\\u%04x", (unsigned)c);
        else
            ser_utf8_append(t, c);
    }
    ser_text_append(t, "\"");
}

void ser_append_csv(ser_text *t, const char *s)
{
    ser_text clean = {0};
    ser_utf8_append_clean(&clean, s);
    t->failed |= clean.failed;
    ser_csv_append_field(t, clean.n ? clean.s : "");
    ser_text_release(&clean);
}

/* Controls of ASCII and Latin-1, and the marks that turn the direction of what follows. */
static bool is_control(uint32_t c)
{
    return c < 0x20 || (c >= 0x7F && c < 0xA0) || c == 0x2028 || c == 0x2029 ||
           (c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069);
}

void ser_append_xml(ser_text *t, const char *s)
{
    uint32_t c;
    while ((c = ser_utf8_next(&s)) != 0) {
        if (c == '&')
            ser_text_append(t, "&amp;");
        else if (c == '<')
            ser_text_append(t, "&lt;");
        else if (c == '>')
            ser_text_append(t, "&gt;");
        else if (c == '"')
            ser_text_append(t, "&quot;");
        else if (c == '\'')
            ser_text_append(t, "&#39;");
        else if ((is_control(c) && c != '\t' && c != '\n') || c == 0xFFFE || c == 0xFFFF)
            ser_utf8_append(t, REPLACEMENT); /* XML 1.0 has no way to write some of these */
        else
            ser_utf8_append(t, c);
    }
}

size_t ser_character_columns(uint32_t c)
{
    /* Unicode's East_Asian_Width W and F, in blocks. */
    static const uint32_t wide[][2] = {{0x1100, 0x115F}, {0x2E80, 0xA4CF},   {0xAC00, 0xD7A3},
                                       {0xF900, 0xFAFF}, {0xFE30, 0xFE6F},   {0xFF00, 0xFF60},
                                       {0xFFE0, 0xFFE6}, {0x1F300, 0x1FAFF}, {0x20000, 0x3FFFD}};
    if ((c >= 0x300 && c <= 0x36F) || (c >= 0x200B && c <= 0x200F) || c == 0xFE0F)
        return 0;
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++)
        if (c >= wide[i][0] && c <= wide[i][1])
            return 2;
    return 1;
}

size_t ser_columns(const char *s)
{
    size_t n = 0;
    uint32_t c;
    while ((c = ser_utf8_next(&s)) != 0)
        n += ser_character_columns(c);
    return n;
}

void ser_append_line(ser_text *t, const char *s, size_t max_columns, bool utf8)
{
    const char *ellipsis = utf8 ? "…" : "...";
    size_t room = SIZE_MAX;
    bool cut = max_columns && ser_columns(s) > max_columns;
    if (cut)
        room = max_columns > ser_columns(ellipsis) ? max_columns - ser_columns(ellipsis) : 0;
    uint32_t c;
    while ((c = ser_utf8_next(&s)) != 0) {
        size_t n = ser_character_columns(c);
        if (n > room)
            break;
        room -= n;
        if (is_control(c) || (c == REPLACEMENT && !utf8))
            ser_text_append(t, "?");
        else
            ser_utf8_append(t, c);
    }
    if (cut)
        ser_text_append(t, ellipsis);
}

void ser_append_shown(ser_text *t, const char *s)
{
    uint32_t c;
    while ((c = ser_utf8_next(&s)) != 0)
        ser_utf8_append(t, is_control(c) && c != '\n' && c != '\t' ? '?' : c);
}
