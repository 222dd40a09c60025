/* What pictures compute before they draw: widths of text, round steps, headings. */
#include "report/chart.h"
#include "report/escape.h"

#include <math.h>
#include <string.h>

/* Widths of DejaVu Sans in four classes, a little generous. */
static double width_of(uint32_t c)
{
    if (c >= 0x80)
        return c < 0x300 ? 0.64 : 0.5 * (double)ser_character_columns(c) + (c < 0x1100 ? 0.16 : 0);
    if (strchr(" .,:;'|!ijlI()[]/", (int)c))
        return 0.36;
    if (strchr("frt-\"", (int)c))
        return 0.42;
    if (strchr("mwMW@%", (int)c))
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
            (ser_text_look){.size = 17, .colour = ser_ink, .bold = true, .max_width = width * 0.9});
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
