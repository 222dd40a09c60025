#include "report/visual.h"
#include "base/memory.h"
#include "report/escape.h"

#include <stdbool.h>
#include <string.h>

/* ---- how Arabic letters join ---- */

/* Presentation forms from first on: isolated, at the end of a word and, where a letter joins the next one,
 * too, at the beginning and within. */
typedef struct joining_letter {
    uint16_t letter, first;
    unsigned char n_forms; /* 1: joins nothing; 2: only the letter before it; 4 */
} joining_letter;

static const joining_letter letters[] = {
    {0x0621, 0xFE80, 1}, {0x0622, 0xFE81, 2}, {0x0623, 0xFE83, 2}, {0x0624, 0xFE85, 2}, {0x0625, 0xFE87, 2},
    {0x0626, 0xFE89, 4}, {0x0627, 0xFE8D, 2}, {0x0628, 0xFE8F, 4}, {0x0629, 0xFE93, 2}, {0x062A, 0xFE95, 4},
    {0x062B, 0xFE99, 4}, {0x062C, 0xFE9D, 4}, {0x062D, 0xFEA1, 4}, {0x062E, 0xFEA5, 4}, {0x062F, 0xFEA9, 2},
    {0x0630, 0xFEAB, 2}, {0x0631, 0xFEAD, 2}, {0x0632, 0xFEAF, 2}, {0x0633, 0xFEB1, 4}, {0x0634, 0xFEB5, 4},
    {0x0635, 0xFEB9, 4}, {0x0636, 0xFEBD, 4}, {0x0637, 0xFEC1, 4}, {0x0638, 0xFEC5, 4}, {0x0639, 0xFEC9, 4},
    {0x063A, 0xFECD, 4}, {0x0641, 0xFED1, 4}, {0x0642, 0xFED5, 4}, {0x0643, 0xFED9, 4}, {0x0644, 0xFEDD, 4},
    {0x0645, 0xFEE1, 4}, {0x0646, 0xFEE5, 4}, {0x0647, 0xFEE9, 4}, {0x0648, 0xFEED, 2}, {0x0649, 0xFEEF, 2},
    {0x064A, 0xFEF1, 4}, {0x067E, 0xFB56, 4}, {0x0686, 0xFB7A, 4}, {0x0698, 0xFB8A, 2}, {0x06A9, 0xFB8E, 4},
    {0x06AF, 0xFB92, 4}, {0x06CC, 0xFBFC, 4}};

enum { TATWEEL = 0x0640, LAM = 0x0644 };

static const joining_letter *find_letter(uint32_t c)
{
    for (size_t i = 0; i < sizeof letters / sizeof *letters; i++)
        if (letters[i].letter == c)
            return &letters[i];
    return NULL;
}

/* Drawn over the letter before it. */
static bool is_mark(uint32_t c)
{
    return (c >= 0x0300 && c <= 0x036F) || (c >= 0x0591 && c <= 0x05BD) || (c >= 0x064B && c <= 0x065F) ||
           c == 0x0670;
}

static bool joins_next(uint32_t c)
{
    const joining_letter *l = find_letter(c);
    return c == TATWEEL || (l && l->n_forms == 4);
}

static bool joins_previous(uint32_t c)
{
    const joining_letter *l = find_letter(c);
    return c == TATWEEL || (l && l->n_forms > 1);
}

/* Lam and alef are one shape: which, or 0. */
static uint32_t lam_alef(uint32_t alef)
{
    switch (alef) {
    case 0x0622:
        return 0xFEF5;
    case 0x0623:
        return 0xFEF7;
    case 0x0625:
        return 0xFEF9;
    case 0x0627:
        return 0xFEFB;
    default:
        return 0;
    }
}

/* The letter after item i but for marks; n: none. */
static size_t next_letter(const uint32_t *c, size_t n, size_t i)
{
    do
        i++;
    while (i < n && is_mark(c[i]));
    return i;
}

/* Puts the forms in place; returns how many characters are left. */
static size_t join(uint32_t *c, size_t n)
{
    uint32_t previous = 0; /* the letter before, as it was */
    size_t n_out = 0;
    for (size_t i = 0; i < n; i++) {
        const joining_letter *l = find_letter(c[i]);
        size_t next = next_letter(c, n, i);
        uint32_t letter = c[i], drawn = letter;
        bool before = l && l->n_forms > 1 && joins_next(previous);
        uint32_t both = letter == LAM && next == i + 1 && next < n ? lam_alef(c[next]) : 0;
        if (both) {
            drawn = both + before;
            letter = c[++i];
        } else if (l) {
            bool after = l->n_forms == 4 && next < n && joins_previous(c[next]);
            drawn = l->first + (uint32_t)before + 2 * (uint32_t)after;
        }
        c[n_out++] = drawn;
        if (!is_mark(letter))
            previous = letter;
    }
    return n_out;
}

/* ---- the order ---- */

static bool is_digit(uint32_t c)
{
    return (c >= '0' && c <= '9') || (c >= 0x0660 && c <= 0x0669) || (c >= 0x06F0 && c <= 0x06F9);
}

static bool is_right_to_left(uint32_t c)
{
    return ((c >= 0x0590 && c <= 0x08FF) || (c >= 0xFB1D && c <= 0xFDFF) || (c >= 0xFE70 && c <= 0xFEFC)) &&
           !is_digit(c);
}

/* Neither direction of its own: spaces and what stands between words. */
static bool is_neutral(uint32_t c)
{
    return (c < 0x80 && !is_digit(c) && !((c | 0x20) >= 'a' && (c | 0x20) <= 'z')) ||
           (c >= 0x2000 && c <= 0x206F);
}

static uint32_t mirrored(uint32_t c)
{
    static const char pairs[] = "()[]{}<>";
    const char *at = c < 0x80 && c ? strchr(pairs, (int)c) : NULL;
    return at ? (uint32_t)(unsigned char)pairs[(at - pairs) ^ 1] : c;
}

static bool is_arabic(uint32_t c)
{
    return (c >= 0x0600 && c <= 0x08FF) || c >= 0xFB50;
}

/* Closes a bracket that the characters before it opened. */
static bool closes(const uint32_t *c, size_t begin, size_t end)
{
    long n_open = 0;
    uint32_t closing = c[end], opening = mirrored(closing);
    if (closing != ')' && closing != ']' && closing != '}')
        return false;
    for (size_t i = begin; i < end; i++)
        n_open += (c[i] == opening) - (c[i] == closing && n_open > 0);
    return n_open > 0;
}

/* From a letter that is read from right to left to behind the last one, or the last number after one, that
 * only such letters, numbers and neutral ones lie between; and the bracket that ends there. */
static size_t span_end(const uint32_t *c, size_t n, size_t begin)
{
    size_t end = begin;
    for (size_t i = begin;
         i < n && (is_right_to_left(c[i]) || is_digit(c[i]) || is_neutral(c[i]) || is_mark(c[i])); i++)
        if (!is_neutral(c[i]) || closes(c, begin, i))
            end = i + 1;
    return end;
}

/* Within a number; behind Arabic a date is read from right to left, too. */
static bool is_separator(uint32_t c, bool arabic)
{
    return c == '.' || c == ',' || c == ':' || c == '/' || (!arabic && (c == '-' || c == '+'));
}

/* The part before end that keeps its own order: a number, a letter with its marks, or one character. */
static size_t part_begin(const uint32_t *c, size_t begin, size_t end)
{
    size_t i = end - 1;
    if (is_digit(c[i])) {
        while (i > begin && (is_digit(c[i - 1]) || (is_separator(c[i - 1], is_arabic(c[begin])) &&
                                                    i - 1 > begin && is_digit(c[i - 2]))))
            i--;
        return i;
    }
    while (i > begin && is_mark(c[i]))
        i--;
    return i;
}

static void append_backwards(ser_text *t, const uint32_t *c, size_t begin, size_t end)
{
    while (end > begin) {
        size_t from = part_begin(c, begin, end);
        for (size_t i = from; i < end; i++)
            ser_utf8_append(t, mirrored(c[i]));
        end = from;
    }
}

void ser_append_visual(ser_text *t, const char *s)
{
    bool any = false;
    size_t n = 0;
    uint32_t c;
    for (const char *at = s; (c = ser_utf8_next(&at)) != 0; n++)
        any |= is_right_to_left(c);
    if (!any) {
        ser_text_append(t, s);
        return;
    }
    uint32_t *all = ser_alloc(n, sizeof *all);
    if (!all) {
        t->failed = true;
        return;
    }
    for (size_t i = 0; i < n; i++)
        all[i] = ser_utf8_next(&s);
    n = join(all, n);
    for (size_t i = 0, end; i < n; i = end) {
        end = is_right_to_left(all[i]) ? span_end(all, n, i) : i + 1;
        if (is_right_to_left(all[i]))
            append_backwards(t, all, i, end);
        else
            ser_utf8_append(t, all[i]);
    }
    ser_free(all);
}
