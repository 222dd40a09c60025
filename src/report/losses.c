#include "base/memory.h"
#include "report/axes.h"
#include "report/pictures.h"

#include <math.h>

enum { GAP = 64 }; /* each panel has numbers of its own */

static const struct {
    double width;
    const ser_colour *colour;
} looks[SER_MAX_LOSS_SERIES] = {{2.4, &ser_line_blue}, {1.3, &ser_muted}, {1.3, &ser_red}};

/* What a panel's values reach; nothing where there are none. */
static ser_span span_of(const ser_loss_panel *p)
{
    ser_span span = ser_span_of_nothing;
    for (size_t s = 0; s < p->n_series; s++)
        for (size_t i = 0; i < p->series[s].n_values; i++)
            ser_span_add(&span, p->series[s].values[i], i == 0);
    return span;
}

static bool is_empty(const ser_loss_panel *p)
{
    ser_span span = span_of(p);
    return !(span.low <= span.high);
}

/* From 0, unless the values lie close together far from it; values that hardly differ have no range of their
 * own. */
static void set_range(ser_axes *a, const ser_loss_panel *p)
{
    ser_span span = span_of(p);
    double low = span.low, high = fmax(ser_span_high(&span), low);
    bool flat = high - low <= 1e-3 * fabs(high);
    if (flat || high - low > 0.25 * high)
        low = fmin(0, low);
    if (flat)
        high = fmax(0, high);
    ser_axes_set_range(a, low, high > low ? high : low + 1);
}

static void draw_series(ser_chart *c, const ser_axes *a, const ser_loss_series *s, size_t index)
{
    double(*points)[2] = ser_alloc(s->n_values, sizeof *points);
    for (size_t i = 0; points && i < s->n_values; i++) {
        points[i][0] = (double)i + 1;
        points[i][1] = s->values[i];
    }
    if (points)
        ser_axes_curve(c, a, points, s->n_values, looks[index].width, *looks[index].colour);
    else
        ser_chart_fail(c);
    ser_free(points);
}

/* The name of a series, from the first panel that has it; or NULL. */
static const char *name_of(const ser_losses_picture *p, size_t series)
{
    for (size_t i = 0; i < p->n_panels; i++)
        if (series < p->panels[i].n_series && p->panels[i].series[series].n_values)
            return p->panels[i].series[series].name;
    return NULL;
}

ser_status ser_draw_losses(ser_chart **out, ser_chart_format format, const ser_losses_picture *p,
                           ser_error *err)
{
    *out = NULL;
    size_t n_panels = 0, n_epochs = 1;
    for (size_t i = 0; i < p->n_panels; i++) {
        n_panels += !is_empty(&p->panels[i]);
        for (size_t s = 0; s < p->panels[i].n_series; s++)
            n_epochs =
                p->panels[i].series[s].n_values > n_epochs ? p->panels[i].series[s].n_values : n_epochs;
    }
    if (!n_panels)
        return ser_fail(err, SER_E_ARG, "there is no epoch to draw");
    const ser_panel_grid g = ser_panel_grid_of(n_panels, GAP, p->narrow ? 1 : 0, p->title, p->subtitle);
    ser_status st = ser_panel_chart_new(out, format, &g, p->title, p->subtitle, "Losses by epoch", err);
    if (st != SER_OK)
        return st;
    double x = SER_PANEL_LEFT;
    for (size_t s = 0; s < SER_MAX_LOSS_SERIES; s++)
        if (name_of(p, s))
            x = ser_axes_legend(*out, x, g.legend_y, name_of(p, s), looks[s].width, *looks[s].colour);
    for (size_t i = 0, panel = 0; i < p->n_panels; i++) {
        const ser_loss_panel *shown = &p->panels[i];
        if (is_empty(shown))
            continue;
        ser_axes a = {ser_panel_left(&g, panel), ser_panel_top(&g, panel), .width = g.panel_width};
        a.n_epochs = (double)n_epochs;
        a.unit = "";
        set_range(&a, shown);
        ser_axes_draw(*out, &a, true);
        for (size_t s = shown->n_series; s-- > 0;) /* the first on top */
            draw_series(*out, &a, &shown->series[s], s);
        ser_axes_title(*out, &a, shown->title, shown->unit);
        panel++;
    }
    return SER_OK;
}
