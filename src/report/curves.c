#include "base/memory.h"
#include "report/pictures.h"

#include <math.h>
#include <stdio.h>

enum { PANEL_HEIGHT = 180, LEFT = 62, GAP_X = 34, GAP_Y = 58, RIGHT = 26, LEGEND = 30, BOTTOM = 44 };
enum { MAX_COLUMNS = 5 };

/* ser_blue, lighter on a dark page: a line needs more contrast than a surface. */
static const ser_colour validation_colour = {0x1a, 0x66, 0xc2, 1, "--accent"};

/* A scale that all panels share, so that folds can be compared. */
typedef struct curves_layout {
    size_t n_panels, n_columns, n_rows;
    double panel_width, x, y; /* the first panel's corner */
    double low, high, step;   /* of the values */
    double n_epochs;          /* the last epoch of any fold */
} curves_layout;

static double value_of(const ser_run_epoch *e, ser_curve what, bool validation)
{
    if (what == SER_CURVE_LOSS)
        return validation ? e->validation_loss : e->train_loss;
    return validation ? e->validation_accuracy : e->train_accuracy;
}

/* Losses of the first epoch may be so large that nothing else can be seen: at most three times the rest. */
static void find_range(curves_layout *l, const ser_curves_picture *p)
{
    double low = INFINITY, high = -INFINITY, late = -INFINITY;
    for (size_t f = 0; f < p->n_folds; f++)
        for (size_t i = 0; i < p->folds[f].n_epochs; i++) {
            const ser_run_epoch *e = &p->folds[f].epochs[i];
            l->n_epochs = fmax(l->n_epochs, (double)e->epoch);
            for (int v = 0; v < 2; v++) {
                double x = value_of(e, p->what, v == 1);
                if (!isfinite(x))
                    continue;
                low = fmin(low, x);
                high = fmax(high, x);
                late = i > 0 ? fmax(late, x) : late;
            }
        }
    if (isfinite(late))
        high = fmin(high, 3 * late);
    if (!(high >= low))
        low = 0, high = 1;
    bool loss = p->what == SER_CURVE_LOSS;
    low = loss ? 0 : fmax(0, low);
    high = loss ? high : 100;
    l->step = ser_chart_step(fmax(high - low, 1e-6), 5);
    l->low = floor(low / l->step) * l->step;
    l->high = fmax(ceil(high / l->step - 1e-9) * l->step, l->low + l->step);
}

/* By the number of panels in a row: one alone is wide. */
static const double panel_widths[MAX_COLUMNS + 1] = {0, 600, 400, 300, 230, 190};

/* Rows without holes where that can be. */
static size_t n_columns_for(size_t n_panels)
{
    if (n_panels <= 3)
        return n_panels;
    if (n_panels <= 6)
        return n_panels == 4 ? 2 : 3;
    return (n_panels + 4) / 5 < (n_panels + 3) / 4 ? 5 : 4;
}

static curves_layout lay_out(const ser_curves_picture *p)
{
    curves_layout l = {.x = LEFT, .n_epochs = 1};
    for (size_t i = 0; i < p->n_folds; i++)
        l.n_panels += p->folds[i].n_epochs > 0;
    if (!l.n_panels)
        return l;
    l.n_columns = n_columns_for(l.n_panels);
    l.n_rows = (l.n_panels + l.n_columns - 1) / l.n_columns;
    l.panel_width = panel_widths[l.n_columns];
    l.y = ser_chart_heading_height(p->title, p->subtitle) + LEGEND + 22;
    find_range(&l, p);
    return l;
}

static double x_of(const curves_layout *l, double left, size_t epoch)
{
    double span = fmax(l->n_epochs - 1, 1);
    return left + l->panel_width * ((double)epoch - 1) / span;
}

static double y_of(const curves_layout *l, double top, double value)
{
    double share = (value - l->low) / (l->high - l->low);
    return top + PANEL_HEIGHT * (1 - fmin(1, fmax(0, share)));
}

static void draw_axes(ser_chart *c, const curves_layout *l, ser_curve what, double left, double top,
                      bool names_y)
{
    ser_text_look number = {.size = 11.5, .colour = ser_muted, .anchor = SER_ANCHOR_END};
    char text[32];
    int decimals = l->step < 0.1 ? 2 : l->step < 1 ? 1 : 0;
    for (int i = 0; l->low + i * l->step <= l->high + l->step / 2; i++) {
        double value = l->low + i * l->step, y = y_of(l, top, value);
        ser_chart_line(c, left, y, left + l->panel_width, y, 1, ser_grid, false);
        snprintf(text, sizeof text, what == SER_CURVE_LOSS ? "%.*f" : "%.*f %%", decimals, value);
        if (names_y)
            ser_chart_text(c, left - 8, y + 4, text, number);
    }
    ser_chart_line(c, left, top + PANEL_HEIGHT, left + l->panel_width, top + PANEL_HEIGHT, 1, ser_muted,
                   false);
    number.anchor = SER_ANCHOR_MIDDLE;
    size_t step = (size_t)fmax(1, ser_chart_step(l->n_epochs, l->panel_width > 300 ? 12 : 5));
    for (size_t epoch = step > 1 ? step : 1; epoch <= (size_t)l->n_epochs; epoch += step) {
        snprintf(text, sizeof text, "%zu", epoch);
        ser_chart_text(c, x_of(l, left, epoch), top + PANEL_HEIGHT + 17, text, number);
    }
}

/* Missing values leave a gap; a value alone is a dot. */
static void draw_curve(ser_chart *c, const curves_layout *l, const ser_run_fold *f, ser_curve what,
                       bool validation, double left, double top)
{
    double width = validation ? 2.4 : 1.1;
    ser_colour colour = validation ? validation_colour : ser_muted;
    double(*xy)[2] = ser_alloc(f->n_epochs, sizeof *xy);
    size_t n = 0;
    for (size_t i = 0; xy && i <= f->n_epochs; i++) {
        double value = i < f->n_epochs ? value_of(&f->epochs[i], what, validation) : NAN;
        if (isfinite(value)) {
            xy[n][0] = x_of(l, left, f->epochs[i].epoch);
            xy[n++][1] = y_of(l, top, value);
            continue;
        }
        if (n > 1)
            ser_chart_polyline(c, (const double(*)[2])xy, n, width, colour);
        else if (n == 1)
            ser_chart_rect(c, xy[0][0] - width, xy[0][1] - width, 2 * width, 2 * width, colour, NULL);
        n = 0;
    }
    if (!xy)
        ser_chart_fail(c);
    ser_free(xy);
}

/* The point that was kept, and in words above the panel. */
static void draw_kept(ser_chart *c, const curves_layout *l, const ser_run_fold *f, ser_curve what,
                      double left, double top)
{
    for (size_t i = 0; i < f->n_epochs; i++) {
        const ser_run_epoch *e = &f->epochs[i];
        double value = value_of(e, what, true);
        value = isfinite(value) ? value : value_of(e, what, false);
        if (e->epoch != f->kept_epoch || !isfinite(value))
            continue;
        char text[64];
        double x = x_of(l, left, e->epoch), y = y_of(l, top, value);
        if (what == SER_CURVE_LOSS)
            snprintf(text, sizeof text, "epoch %zu: %.3f", e->epoch, value);
        else
            snprintf(text, sizeof text, "epoch %zu: %.1f %%", e->epoch, value);
        ser_chart_line(c, x, top, x, top + PANEL_HEIGHT, 1, ser_red, true);
        ser_chart_rect(c, x - 3.5, y - 3.5, 7, 7, ser_red, text);
        ser_chart_text(c, left + l->panel_width, top - 9, text,
                       (ser_text_look){.size = 11.5, .colour = ser_muted, .anchor = SER_ANCHOR_END});
    }
}

static void draw_panel(ser_chart *c, const curves_layout *l, const ser_run_fold *f, ser_curve what,
                       size_t panel)
{
    size_t column = panel % l->n_columns;
    double left = l->x + (double)column * (l->panel_width + GAP_X);
    double top = l->y + (double)(panel / l->n_columns) * (PANEL_HEIGHT + GAP_Y);
    ser_text name = {0};
    ser_text_appendf(&name, "Fold %s", f->name);
    draw_axes(c, l, what, left, top, column == 0);
    draw_curve(c, l, f, what, false, left, top);
    draw_curve(c, l, f, what, true, left, top);
    draw_kept(c, l, f, what, left, top);
    if (name.failed)
        ser_chart_fail(c);
    else
        ser_chart_text(
            c, left, top - 9, name.s,
            (ser_text_look){
                .size = 12.5, .colour = ser_ink, .bold = true, .max_width = l->panel_width * 0.55});
    ser_text_release(&name);
}

static void draw_legend(ser_chart *c, double x, double y)
{
    ser_text_look look = {.size = 11.5, .colour = ser_ink};
    ser_chart_line(c, x, y + 7, x + 24, y + 7, 1.1, ser_muted, false);
    ser_chart_text(c, x + 31, y + 11, "training", look);
    x += 31 + ser_chart_text_width("training", look.size) + 18;
    ser_chart_line(c, x, y + 7, x + 24, y + 7, 2.4, validation_colour, false);
    ser_chart_text(c, x + 31, y + 11, "validation", look);
    x += 31 + ser_chart_text_width("validation", look.size) + 18;
    ser_chart_line(c, x + 4, y, x + 4, y + 14, 1, ser_red, true);
    ser_chart_rect(c, x + 0.5, y + 3.5, 7, 7, ser_red, NULL);
    ser_chart_text(c, x + 15, y + 11, "kept", look);
}

ser_status ser_draw_curves(ser_chart **out, ser_chart_format format, const ser_curves_picture *p,
                           ser_error *err)
{
    *out = NULL;
    curves_layout l = lay_out(p);
    if (!l.n_panels)
        return ser_fail(err, SER_E_ARG, "there is no epoch to draw");
    const char *name = p->what == SER_CURVE_LOSS ? "Loss by epoch" : "Accuracy by epoch";
    double width = fmax(LEFT + (double)l.n_columns * (l.panel_width + GAP_X) - GAP_X + RIGHT, 420);
    double height = l.y + (double)l.n_rows * (PANEL_HEIGHT + GAP_Y) - GAP_Y + BOTTOM;
    ser_chart *c;
    ser_status st = ser_chart_new(&c, format, width, height, p->title ? p->title : name, err);
    if (st != SER_OK)
        return st;
    ser_chart_heading(c, 24, width - 48, p->title, p->subtitle);
    draw_legend(c, LEFT, ser_chart_heading_height(p->title, p->subtitle));
    size_t panel = 0;
    for (size_t i = 0; i < p->n_folds; i++)
        if (p->folds[i].n_epochs)
            draw_panel(c, &l, &p->folds[i], p->what, panel++);
    ser_chart_text(c, LEFT + ((double)l.n_columns * (l.panel_width + GAP_X) - GAP_X) / 2, height - 6, "Epoch",
                   (ser_text_look){.size = 12.5, .colour = ser_ink, .anchor = SER_ANCHOR_MIDDLE});
    *out = c;
    return SER_OK;
}
