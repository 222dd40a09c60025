/* What pictures compute before they draw: widths of text, round steps, headings. */
#include "report/chart.h"
#include "report/escape.h"

#include <math.h>
#include <string.h>

static const double bold_factor = 1.13; /* times as wide */
static const double end_share = 0.4;

/* Widths of DejaVu Sans in four classes, a little generous. */
static double width_of(uint32_t c)
{
    if (c >= 0x80)
        return c < 0x300 ? 0.64 : 0.5 * (double)ser_character_columns(c) + (c < 0x1100 ? 0.16 : 0);
    if (strchr(" .,:;'|!ijlI()[]/", (int)c))
        return 0.36;
    if (strchr("frt-\"", (int)c))
        return 0.42;
    if (strchr("mW@", (int)c))
        return 1;
    if (strchr("wM%", (int)c))
        return 0.95;
    return c >= 'A' && c <= 'Z' ? 0.72 : 0.62;
}

double ser_chart_text_width(const char *text, double size)
{
    double width = 0;
    uint32_t c;
    while ((c = ser_utf8_next(&text)) != 0)
        width += width_of(c);
    return width * size;
}

/* How many bytes of text have at most this width. */
static size_t fitting(const char *text, double size, double room)
{
    const char *end = text, *next = text;
    uint32_t c;
    while ((c = ser_utf8_next(&next)) != 0 && (room -= width_of(c) * size) >= 0)
        end = next;
    return (size_t)(end - text);
}

void ser_chart_append_cut(ser_text *t, const char *text, ser_text_look look)
{
    static const char ellipsis[] = "…";
    double size = look.size * (look.bold ? bold_factor : 1), width = ser_chart_text_width(text, size);
    if (!(look.max_width > 0) || width <= look.max_width) {
        ser_append_line(t, text, 0, true);
        return;
    }
    ser_text cut = {0};
    double room = fmax(0, look.max_width - ser_chart_text_width(ellipsis, size));
    double end_room = look.keeps_end ? room * end_share : 0;
    ser_text_append_n(&cut, text, fitting(text, size, room - end_room));
    ser_text_append(&cut, ellipsis);
    if (look.keeps_end) {
        const char *end = text + fitting(text, size, width - end_room), *next = end;
        ser_utf8_next(&next); /* the first that fits, and no mark without its letter */
        for (end = next; *end && ser_character_columns(ser_utf8_next(&next)) == 0;)
            end = next;
        ser_text_append(&cut, end);
    }
    if (!cut.failed)
        ser_append_line(t, cut.s, 0, true);
    t->failed |= cut.failed;
    ser_text_release(&cut);
}

double ser_chart_step(double span, int n_max)
{
    if (!(span > 0) || !isfinite(span))
        return 1;
    double least = span / n_max, power = pow(10, floor(log10(least)));
    static const double factors[] = {1, 2, 5};
    for (size_t i = 0; i < 3; i++)
        if (factors[i] * power >= least * (1 - 1e-9))
            return factors[i] * power;
    return 10 * power;
}

enum { ABOVE_HEADING = 14, TITLE = 18, SUBTITLE = 22, BELOW_HEADING = 14 };

void ser_chart_heading(ser_chart *c, double x, double width, const char *title, const char *subtitle)
{
    if (title)
        ser_chart_text(
            c, x, ABOVE_HEADING + TITLE, title,
            (ser_text_look){
                .size = 17, .colour = ser_ink, .bold = true, .max_width = width, .keeps_end = true});
    if (subtitle)
        ser_chart_text(c, x, ABOVE_HEADING + (title ? TITLE : 0) + SUBTITLE, subtitle,
                       (ser_text_look){.size = 12.5, .colour = ser_muted, .max_width = width});
}

double ser_chart_heading_height(const char *title, const char *subtitle)
{
    return ABOVE_HEADING + (title ? TITLE : 0) + (subtitle ? SUBTITLE : 0) + BELOW_HEADING;
}

void ser_flow_break(ser_flow *f)
{
    if (f->x > f->left)
        f->y += f->line;
    f->x = f->left;
}

double ser_flow_place(ser_flow *f, double width)
{
    if (f->x + width > f->right)
        ser_flow_break(f);
    double x = f->x;
    f->x += width;
    return x;
}
