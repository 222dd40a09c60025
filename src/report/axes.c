#include "report/axes.h"

#include <math.h>
#include <stdio.h>

enum { GAP_Y = 58, RIGHT = 26, LEGEND = 30, BOTTOM = 44, MAX_COLUMNS = 5, MAX_NARROW_COLUMNS = 2 };

const ser_colour ser_line_blue = {0x1a, 0x66, 0xc2, 1, "--accent"};

/* By the number of panels in a row: one alone is wide. */
static const double panel_widths[MAX_COLUMNS + 1] = {0, 600, 400, 300, 230, 190};

static const double narrow_panel_widths[MAX_NARROW_COLUMNS + 1] = {0, 340, 170};

/* Rows without holes where that can be. */
static size_t n_columns_for(size_t n_panels)
{
    if (n_panels <= 3)
        return n_panels;
    if (n_panels <= 6)
        return n_panels == 4 ? 2 : 3;
    return (n_panels + 4) / 5 < (n_panels + 3) / 4 ? 5 : 4;
}

ser_panel_grid ser_panel_grid_of(size_t n_panels, double gap, size_t n_narrow, const char *title,
                                 const char *subtitle)
{
    ser_panel_grid g = {.n_columns = n_columns_for(n_panels), .gap = gap};
    if (n_narrow && g.n_columns > n_narrow)
        g.n_columns = n_narrow;
    double n_rows = (double)((n_panels + g.n_columns - 1) / g.n_columns);
    g.panel_width = n_narrow ? narrow_panel_widths[g.n_columns] : panel_widths[g.n_columns];
    g.legend_y = ser_chart_heading_height(title, subtitle);
    g.panels_y = g.legend_y + LEGEND + 22;
    double all_panels = (double)g.n_columns * (g.panel_width + gap) - gap;
    g.middle = SER_PANEL_LEFT + all_panels / 2;
    g.width = fmax(SER_PANEL_LEFT + all_panels + RIGHT, 420);
    g.height = g.panels_y + n_rows * (SER_PANEL_HEIGHT + GAP_Y) - GAP_Y + BOTTOM;
    return g;
}

double ser_panel_left(const ser_panel_grid *g, size_t panel)
{
    return SER_PANEL_LEFT + (double)(panel % g->n_columns) * (g->panel_width + g->gap);
}

double ser_panel_top(const ser_panel_grid *g, size_t panel)
{
    return g->panels_y + (double)(panel / g->n_columns) * (SER_PANEL_HEIGHT + GAP_Y);
}

ser_status ser_panel_chart_new(ser_chart **out, ser_chart_format format, const ser_panel_grid *g,
                               const char *title, const char *subtitle, const char *spoken_title,
                               ser_error *err)
{
    ser_status st = ser_chart_new(out, format, g->width, g->height, title ? title : spoken_title, err);
    if (st != SER_OK)
        return st;
    ser_chart_heading(*out, 24, g->width - 48, title, subtitle);
    ser_chart_text(*out, g->middle, g->height - 6, "Epoch",
                   (ser_text_look){.size = 12.5, .colour = ser_ink, .anchor = SER_ANCHOR_MIDDLE});
    return SER_OK;
}

const ser_span ser_span_of_nothing = {INFINITY, -INFINITY, -INFINITY};

void ser_span_add(ser_span *s, double value, bool first_epoch)
{
    if (!isfinite(value))
        return;
    s->low = fmin(s->low, value);
    s->high = fmax(s->high, value);
    s->late = first_epoch ? s->late : fmax(s->late, value);
}

double ser_span_high(const ser_span *s)
{
    return isfinite(s->late) ? fmin(s->high, 3 * s->late) : s->high;
}

void ser_axes_set_range(ser_axes *a, double low, double high)
{
    a->step = ser_chart_step(fmax(high - low, 1e-6), 5);
    a->low = floor(low / a->step) * a->step;
    a->high = fmax(ceil(high / a->step - 1e-9) * a->step, a->low + a->step);
}

double ser_axes_x(const ser_axes *a, size_t epoch)
{
    return a->left + a->width * ((double)epoch - 1) / fmax(a->n_epochs - 1, 1);
}

double ser_axes_y(const ser_axes *a, double value)
{
    double share = (value - a->low) / (a->high - a->low);
    return a->top + SER_PANEL_HEIGHT * (1 - fmin(1, fmax(0, share)));
}

void ser_axes_draw(ser_chart *c, const ser_axes *a, bool names_y)
{
    ser_text_look number = {.size = 11.5, .colour = ser_muted, .anchor = SER_ANCHOR_END};
    char text[32];
    double bottom = a->top + SER_PANEL_HEIGHT;
    int decimals = (int)fmax(0, ceil(-log10(a->step) - 1e-9));
    for (int i = 0; a->low + i * a->step <= a->high + a->step / 2; i++) {
        double value = a->low + i * a->step, y = ser_axes_y(a, value);
        ser_chart_line(c, a->left, y, a->left + a->width, y, 1, ser_grid, false);
        snprintf(text, sizeof text, "%.*f%s", decimals, value, a->unit);
        if (names_y)
            ser_chart_text(c, a->left - 8, y + 4, text, number);
    }
    ser_chart_line(c, a->left, bottom, a->left + a->width, bottom, 1, ser_muted, false);
    number.anchor = SER_ANCHOR_MIDDLE;
    size_t step = (size_t)fmax(1, ser_chart_step(a->n_epochs, a->width > 300 ? 12 : 5));
    for (size_t epoch = step > 1 ? step : 1; epoch <= (size_t)a->n_epochs; epoch += step) {
        snprintf(text, sizeof text, "%zu", epoch);
        ser_chart_text(c, ser_axes_x(a, epoch), bottom + 17, text, number);
    }
}

void ser_axes_curve(ser_chart *c, const ser_axes *a, double (*points)[2], size_t n, double width,
                    ser_colour colour)
{
    size_t n_run = 0; /* the present run lies at the beginning, in pixels */
    for (size_t i = 0; i <= n; i++) {
        if (i < n && isfinite(points[i][1])) {
            double x = ser_axes_x(a, (size_t)points[i][0]), y = ser_axes_y(a, points[i][1]);
            points[n_run][0] = x;
            points[n_run++][1] = y;
            continue;
        }
        if (n_run > 1)
            ser_chart_polyline(c, (const double(*)[2])points, n_run, width, colour);
        else if (n_run == 1)
            ser_chart_rect(c, points[0][0] - width, points[0][1] - width, 2 * width, 2 * width, colour, NULL);
        n_run = 0;
    }
}

double ser_axes_legend(ser_chart *c, double x, double y, const char *name, double width, ser_colour colour)
{
    ser_text_look look = {.size = 11.5, .colour = ser_ink};
    ser_chart_line(c, x, y + 7, x + 24, y + 7, width, colour, false);
    ser_chart_text(c, x + 31, y + 11, name, look);
    return x + 31 + ser_chart_text_width(name, look.size) + 18;
}

void ser_axes_title(ser_chart *c, const ser_axes *a, const char *title, const char *note)
{
    ser_text_look bold = {.size = 12.5, .colour = ser_ink, .bold = true};
    bold.max_width = a->width - (note ? ser_chart_text_width(note, 11.5) + 14 : 0);
    ser_chart_text(c, a->left, a->top - 9, title, bold);
    if (note)
        ser_chart_text(c, a->left + a->width, a->top - 9, note,
                       (ser_text_look){.size = 11.5, .colour = ser_muted, .anchor = SER_ANCHOR_END});
}
