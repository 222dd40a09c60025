#include "base/memory.h"
#include "report/axes.h"
#include "report/pictures.h"

#include <math.h>
#include <stdio.h>

enum { GAP = 34 };
static const double training_width = 1.1, validation_width = 2.4;

static double value_of(const ser_run_epoch *e, ser_curve what, bool validation)
{
    if (what == SER_CURVE_LOSS)
        return validation ? e->validation_loss : e->train_loss;
    return validation ? e->validation_accuracy : e->train_accuracy;
}

/* A scale that all panels share, so that folds can be compared. */
static ser_axes find_axes(const ser_curves_picture *p)
{
    bool loss = p->what == SER_CURVE_LOSS;
    ser_axes a = {.n_epochs = 1, .unit = loss ? "" : " %"};
    ser_span span = ser_span_of_nothing;
    for (size_t f = 0; f < p->n_folds; f++)
        for (size_t i = 0; i < p->folds[f].n_epochs; i++) {
            const ser_run_epoch *e = &p->folds[f].epochs[i];
            a.n_epochs = fmax(a.n_epochs, (double)e->epoch);
            for (int v = 0; v < 2; v++)
                ser_span_add(&span, value_of(e, p->what, v == 1), i == 0);
        }
    double low = span.low, high = ser_span_high(&span);
    if (!(high >= low))
        low = 0, high = 1;
    bool near_together = loss && high > low && high - low < 0.25 * high; /* from 0 nothing would be seen */
    ser_axes_set_range(&a, near_together ? low : 0, loss ? high : 100);
    return a;
}

static void draw_curve(ser_chart *c, const ser_axes *a, const ser_run_fold *f, ser_curve what,
                       bool validation)
{
    double(*points)[2] = ser_alloc(f->n_epochs, sizeof *points);
    for (size_t i = 0; points && i < f->n_epochs; i++) {
        points[i][0] = (double)f->epochs[i].epoch;
        points[i][1] = value_of(&f->epochs[i], what, validation);
    }
    if (points)
        ser_axes_curve(c, a, points, f->n_epochs, validation ? validation_width : training_width,
                       validation ? ser_line_blue : ser_muted);
    else
        ser_chart_fail(c);
    ser_free(points);
}

/* The point that was kept; in words above the panel. */
static void draw_kept(ser_chart *c, const ser_axes *a, const ser_run_fold *f, ser_curve what, char text[64])
{
    for (size_t i = 0; i < f->n_epochs; i++) {
        const ser_run_epoch *e = &f->epochs[i];
        double value = value_of(e, what, true);
        value = isfinite(value) ? value : value_of(e, what, false);
        if (e->epoch != f->kept_epoch || !isfinite(value))
            continue;
        double x = ser_axes_x(a, e->epoch), y = ser_axes_y(a, value);
        if (what == SER_CURVE_LOSS)
            snprintf(text, 64, "epoch %zu: %.3f", e->epoch, value);
        else
            snprintf(text, 64, "epoch %zu: %.1f %%", e->epoch, value);
        ser_chart_line(c, x, a->top, x, a->top + SER_PANEL_HEIGHT, 1, ser_red, true);
        ser_chart_rect(c, x - 3.5, y - 3.5, 7, 7, ser_red, text);
    }
}

static void draw_panel(ser_chart *c, const ser_axes *a, const ser_run_fold *f, ser_curve what, bool names_y)
{
    ser_text name = {0};
    char kept[64] = "";
    ser_text_appendf(&name, "%s %s", f->is_model ? "Model:" : "Fold", f->name);
    ser_axes_draw(c, a, names_y);
    draw_curve(c, a, f, what, false);
    draw_curve(c, a, f, what, true);
    draw_kept(c, a, f, what, kept);
    if (name.failed)
        ser_chart_fail(c);
    else
        ser_axes_title(c, a, name.s, kept);
    ser_text_release(&name);
}

static bool has_validation(const ser_curves_picture *p)
{
    bool any = false;
    for (size_t f = 0; f < p->n_folds; f++)
        for (size_t i = 0; i < p->folds[f].n_epochs; i++)
            any |= isfinite(value_of(&p->folds[f].epochs[i], p->what, true));
    return any;
}

static void draw_legend(ser_chart *c, const ser_curves_picture *p, double x, double y)
{
    x = ser_axes_legend(c, x, y, "training", training_width, ser_muted);
    if (has_validation(p))
        x = ser_axes_legend(c, x, y, "validation", validation_width, ser_line_blue);
    ser_chart_line(c, x + 4, y, x + 4, y + 14, 1, ser_red, true);
    ser_chart_rect(c, x + 0.5, y + 3.5, 7, 7, ser_red, NULL);
    ser_chart_text(c, x + 15, y + 11, "kept", (ser_text_look){.size = 11.5, .colour = ser_ink});
}

ser_status ser_draw_curves(ser_chart **out, ser_chart_format format, const ser_curves_picture *p,
                           ser_error *err)
{
    *out = NULL;
    size_t n_panels = 0, n_narrow = p->narrow ? 2 : 0;
    for (size_t i = 0; i < p->n_folds; i++) {
        n_panels += p->folds[i].n_epochs > 0;
        if (p->narrow && p->folds[i].is_model) /* its name is longer than a fold's number */
            n_narrow = 1;
    }
    if (!n_panels)
        return ser_fail(err, SER_E_ARG, "there is no epoch to draw");
    const ser_panel_grid g = ser_panel_grid_of(n_panels, GAP, n_narrow, p->title, p->subtitle);
    ser_status st =
        ser_panel_chart_new(out, format, &g, p->title, p->subtitle,
                            p->what == SER_CURVE_LOSS ? "Loss by epoch" : "Accuracy by epoch", err);
    if (st != SER_OK)
        return st;
    draw_legend(*out, p, SER_PANEL_LEFT, g.legend_y);
    ser_axes a = find_axes(p);
    a.width = g.panel_width;
    for (size_t i = 0, panel = 0; i < p->n_folds; i++)
        if (p->folds[i].n_epochs) {
            a.left = ser_panel_left(&g, panel);
            a.top = ser_panel_top(&g, panel);
            draw_panel(*out, &a, &p->folds[i], p->what, panel++ % g.n_columns == 0);
        }
    return SER_OK;
}
