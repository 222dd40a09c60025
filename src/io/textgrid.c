#include "io/textgrid.h"
#include "base/memory.h"
#include "base/text.h"
#include "io/file.h"

#include <ctype.h>
#include <iconv.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_BYTES = 64 << 20, MAX_WORD = 63 };

/* ---- words: free-standing numbers, and texts in quotes; everything else is comment ---- */

typedef struct reader {
    const char *at, *end;
} reader;

static bool is_blank(char c)
{
    return isspace((unsigned char)c) || !c;
}

/* Behind blanks, comments from '!' on, and words that are neither number nor text; whether there is more. */
static bool find_word(reader *r, bool *is_text)
{
    while (r->at < r->end) {
        char word[MAX_WORD + 1], *after;
        size_t n = 0;
        if (is_blank(*r->at)) {
            r->at++;
            continue;
        }
        if (*r->at == '!') {
            while (r->at < r->end && *r->at != '\n' && *r->at != '\r')
                r->at++;
            continue;
        }
        if ((*is_text = *r->at == '"'))
            return true;
        while (r->at + n < r->end && !is_blank(r->at[n]))
            n++;
        if (n <= MAX_WORD && (isdigit((unsigned char)*r->at) || strchr("+-.", *r->at))) {
            memcpy(word, r->at, n);
            word[n] = 0;
            strtod(word, &after);
            if (!*after)
                return true;
        }
        r->at += n;
    }
    return false;
}

static ser_status fail_early(ser_error *err)
{
    return ser_fail(err, SER_E_FORMAT, "the TextGrid ends early, or is damaged: save it again in Praat");
}

static ser_status read_number(reader *r, double *out, ser_error *err)
{
    char word[MAX_WORD + 1];
    bool is_text;
    size_t n = 0;
    if (!find_word(r, &is_text) || is_text)
        return fail_early(err);
    while (r->at + n < r->end && n < MAX_WORD && !is_blank(r->at[n]))
        n++;
    memcpy(word, r->at, n);
    word[n] = 0;
    r->at += n;
    *out = strtod(word, NULL);
    return isfinite(*out) ? SER_OK : fail_early(err);
}

/* Of what is left, each thing takes a byte at least. */
static ser_status read_count(reader *r, size_t *out, ser_error *err)
{
    double value;
    ser_status st = read_number(r, &value, err);
    if (st == SER_OK && (value < 0 || value != floor(value) || value > (double)(r->end - r->at)))
        return fail_early(err);
    *out = st == SER_OK ? (size_t)value : 0;
    return st;
}

/* Two quotes in a text stand for one. The caller frees *out. */
static ser_status read_text(reader *r, char **out, ser_error *err)
{
    ser_text text = {0};
    bool is_text;
    if (!find_word(r, &is_text) || !is_text)
        return fail_early(err);
    for (r->at++;; r->at++) {
        const char *quote = memchr(r->at, '"', (size_t)(r->end - r->at));
        if (!quote) {
            ser_text_release(&text);
            return fail_early(err);
        }
        ser_text_append_n(&text, r->at, (size_t)(quote - r->at));
        r->at = quote + 1;
        if (r->at == r->end || *r->at != '"')
            break;
        ser_text_append(&text, "\"");
    }
    *out = text.failed ? NULL : ser_strdup(text.s ? text.s : "");
    ser_text_release(&text);
    return *out ? SER_OK : ser_fail_nomem(err);
}

/* ---- tiers ---- */

static ser_status read_interval(reader *r, ser_textgrid_tier *tier, ser_error *err)
{
    ser_textgrid_interval i = {0};
    ser_status st = read_number(r, &i.start_s, err);
    if (st == SER_OK && !tier->has_points)
        st = read_number(r, &i.end_s, err);
    if (st == SER_OK)
        st = read_text(r, &i.text, err);
    if (st == SER_OK && tier->has_points) {
        ser_free(i.text);
        return SER_OK;
    }
    if (st == SER_OK && !ser_grow(&tier->intervals, &tier->capacity, tier->n + 1, sizeof *tier->intervals))
        st = ser_fail_nomem(err);
    if (st != SER_OK) {
        ser_free(i.text);
        return st;
    }
    tier->intervals[tier->n++] = i;
    return SER_OK;
}

static ser_status read_tier(reader *r, ser_textgrid *g, ser_error *err)
{
    char *kind = NULL;
    double start, end;
    size_t n = 0;
    if (!ser_grow(&g->tiers, &g->capacity, g->n_tiers + 1, sizeof *g->tiers))
        return ser_fail_nomem(err);
    ser_textgrid_tier *tier = &g->tiers[g->n_tiers++];
    *tier = (ser_textgrid_tier){0};
    ser_status st = read_text(r, &kind, err);
    if (st == SER_OK) {
        tier->has_points = strcmp(kind, "TextTier") == 0;
        if (!tier->has_points && strcmp(kind, "IntervalTier") != 0)
            st = ser_fail(err, SER_E_FORMAT,
                          "a tier is of the kind '%.40s': save the TextGrid again in Praat", kind);
    }
    ser_free(kind);
    if (st == SER_OK)
        st = read_text(r, &tier->name, err);
    if (st == SER_OK)
        st = read_number(r, &start, err);
    if (st == SER_OK)
        st = read_number(r, &end, err);
    if (st == SER_OK)
        st = read_count(r, &n, err);
    for (size_t i = 0; i < n && st == SER_OK; i++)
        st = read_interval(r, tier, err);
    return st;
}

static ser_status expect(reader *r, const char *wanted, ser_error *err)
{
    char *found = NULL;
    ser_status st = read_text(r, &found, err);
    if (st != SER_E_NOMEM && (st != SER_OK || strcmp(found, wanted) != 0))
        st = ser_fail(err, SER_E_FORMAT, "it is no TextGrid in text form: save it as a text file in Praat");
    ser_free(found);
    return st;
}

static ser_status parse_utf8(ser_textgrid *g, const char *text, size_t n, ser_error *err)
{
    reader r = {text, text + n};
    double start, end;
    size_t n_tiers = 0;
    ser_status st = expect(&r, "ooTextFile", err);
    if (st == SER_OK)
        st = expect(&r, "TextGrid", err);
    if (st == SER_OK)
        st = read_number(&r, &start, err);
    if (st == SER_OK)
        st = read_number(&r, &end, err);
    if (st == SER_OK)
        st = read_count(&r, &n_tiers, err);
    for (size_t i = 0; i < n_tiers && st == SER_OK; i++)
        st = read_tier(&r, g, err);
    return st;
}

/* ---- UTF-16 ---- */

static ser_status parse_utf16(ser_textgrid *g, const void *bytes, size_t n, ser_error *err)
{
    size_t n_room = 2 * n, n_left = n_room, n_in = n;
    char *text = ser_alloc(n_room, 1), *to = text, *from = (char *)bytes;
    iconv_t converter = iconv_open("UTF-8", "UTF-16"); /* goes by the byte order mark */
    ser_status st = text ? SER_OK : ser_fail_nomem(err);
    if (st == SER_OK && converter == (iconv_t)-1)
        st = ser_fail(err, SER_E_UNSUPPORTED, "this system does not know UTF-16: save the TextGrid as UTF-8");
    if (st == SER_OK && iconv(converter, &from, &n_in, &to, &n_left) == (size_t)-1)
        st = ser_fail(err, SER_E_FORMAT, "it is no UTF-16 text: save the TextGrid again in Praat");
    if (st == SER_OK)
        st = parse_utf8(g, text, n_room - n_left, err);
    if (converter != (iconv_t)-1)
        iconv_close(converter);
    ser_free(text);
    return st;
}

ser_status ser_textgrid_parse(ser_textgrid *out, const void *bytes, size_t n, ser_error *err)
{
    const unsigned char *b = bytes;
    *out = (ser_textgrid){0};
    ser_status st;
    if (n >= 2 && ((b[0] == 0xff && b[1] == 0xfe) || (b[0] == 0xfe && b[1] == 0xff)))
        st = parse_utf16(out, bytes, n, err);
    else if (n >= 3 && memcmp(b, "\xef\xbb\xbf", 3) == 0)
        st = parse_utf8(out, (const char *)b + 3, n - 3, err);
    else
        st = parse_utf8(out, bytes, n, err);
    if (st != SER_OK)
        ser_textgrid_release(out);
    return st;
}

ser_status ser_textgrid_read(ser_textgrid *out, const char *path, ser_error *err)
{
    ser_bytes bytes = {0};
    *out = (ser_textgrid){0};
    ser_status st = ser_io_read(&bytes, path, MAX_BYTES, err);
    if (st == SER_OK)
        st = ser_textgrid_parse(out, bytes.data, bytes.n, err);
    ser_bytes_release(&bytes);
    return st;
}

void ser_textgrid_release(ser_textgrid *g)
{
    for (size_t t = 0; t < g->n_tiers; t++) {
        for (size_t i = 0; i < g->tiers[t].n; i++)
            ser_free(g->tiers[t].intervals[i].text);
        ser_free(g->tiers[t].intervals);
        ser_free(g->tiers[t].name);
    }
    ser_free(g->tiers);
    *g = (ser_textgrid){0};
}
