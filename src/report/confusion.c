#include "report/pictures.h"

#include <math.h>
#include <stdio.h>

typedef struct confusion_layout {
    double cell, x, y; /* the matrix and its top left corner */
    double label_size, column_angle, width, height;
} confusion_layout;

static double widest_label(const ser_confusion_picture *p, double size)
{
    double widest = 0;
    for (size_t i = 0; i < p->n_labels; i++)
        widest = fmax(widest, ser_chart_text_width(p->labels[i], size));
    return fmin(widest, 180);
}

static confusion_layout lay_out(const ser_confusion_picture *p)
{
    enum { MARGIN = 24, AXIS_TITLE = 26, SUPPORT = 54 };
    confusion_layout l = {.label_size = 13};
    double n = (double)p->n_labels;
    l.cell = n <= 9 ? 66 : fmax(18, 600 / n);
    if (l.cell < 24)
        l.label_size = 11;
    double widest = widest_label(p, l.label_size);
    l.column_angle = widest > l.cell - 6 ? 40 : 0;
    double slope = l.column_angle * 3.14159265 / 180;
    double above = l.column_angle > 0 ? widest * sin(slope) + 14 : 22;
    double aside = l.column_angle > 0 ? widest * cos(slope) - l.cell / 2 : 0; /* of the last column's label */
    double heading = ser_chart_heading_height(p->title, p->subtitle);
    l.x = MARGIN + AXIS_TITLE + widest + 12;
    l.y = heading + AXIS_TITLE + above;
    l.width = fmax(l.x + n * l.cell + fmax(SUPPORT, aside) + MARGIN, 420);
    l.height = l.y + n * l.cell + MARGIN;
    return l;
}

static size_t row_sum(const ser_confusion_picture *p, size_t row)
{
    size_t sum = 0;
    for (size_t j = 0; j < p->n_labels; j++)
        sum += p->counts[row * p->n_labels + j];
    return sum;
}

static void draw_cell(ser_chart *c, const ser_confusion_picture *p, const confusion_layout *l, size_t i,
                      size_t j, size_t n_row)
{
    size_t count = p->counts[i * p->n_labels + j];
    double share = n_row ? (double)count / (double)n_row : 0;
    double x = l->x + (double)j * l->cell, y = l->y + (double)i * l->cell;
    char tip[256], text[32];
    snprintf(tip, sizeof tip, "%.80s taken for %.80s: %zu of %zu (%.1f %%)", p->labels[i], p->labels[j],
             count, n_row, 100 * share);
    ser_chart_rect(c, x + 1, y + 1, l->cell - 2, l->cell - 2,
                   count ? ser_colour_faded(ser_blue, 0.06 + 0.94 * share) : ser_colour_faded(ser_grid, 0.25),
                   tip);
    if (!count || l->cell < 24)
        return;
    ser_text_look look = {.size = fmin(15, l->cell * 0.3), .anchor = SER_ANCHOR_MIDDLE, .bold = i == j};
    look.colour = share > 0.7 ? ser_white : ser_ink; /* where white on blue reads better than dark */
    double middle = x + l->cell / 2;
    if (l->cell < 44) {
        snprintf(text, sizeof text, "%zu", count);
        look.max_width = l->cell;
        ser_chart_text(c, middle, y + l->cell / 2 + look.size * 0.36, text, look);
        return;
    }
    snprintf(text, sizeof text, "%.0f %%", 100 * share);
    ser_chart_text(c, middle, y + l->cell * 0.47, text, look);
    snprintf(text, sizeof text, "%zu", count);
    look.size = 11.5;
    look.bold = false;
    ser_chart_text(c, middle, y + l->cell * 0.75, text, look);
}

static void draw_labels(ser_chart *c, const ser_confusion_picture *p, const confusion_layout *l)
{
    ser_text_look look = {.size = l->label_size, .colour = ser_ink, .max_width = 180};
    for (size_t i = 0; i < p->n_labels; i++) {
        double middle = l->cell * ((double)i + 0.5);
        look.anchor = SER_ANCHOR_END;
        look.angle = 0;
        ser_chart_text(c, l->x - 10, l->y + middle + look.size * 0.36, p->labels[i], look);
        look.anchor = l->column_angle > 0 ? SER_ANCHOR_START : SER_ANCHOR_MIDDLE;
        look.angle = l->column_angle;
        ser_chart_text(c, l->x + middle, l->y - 9, p->labels[i], look);
    }
    double side = l->cell * (double)p->n_labels;
    ser_text_look axis = {.size = 12.5, .colour = ser_muted, .anchor = SER_ANCHOR_MIDDLE};
    double heading = ser_chart_heading_height(p->title, p->subtitle);
    ser_chart_text(c, l->x + side / 2, heading + 13, "Predicted", axis);
    axis.angle = 90;
    ser_chart_text(c, 36, l->y + side / 2, "Truth", axis);
}

ser_status ser_draw_confusion(ser_chart **out, ser_chart_format format, const ser_confusion_picture *p,
                              ser_error *err)
{
    *out = NULL;
    if (p->n_labels < 1 || p->n_labels > SER_MAX_LABELS)
        return ser_fail(err, SER_E_ARG, "a confusion matrix of %zu emotions cannot be drawn: 1 to %d can",
                        p->n_labels, SER_MAX_LABELS);
    confusion_layout l = lay_out(p);
    ser_chart *c;
    ser_status st =
        ser_chart_new(&c, format, l.width, l.height, p->title ? p->title : "Confusion matrix", err);
    if (st != SER_OK)
        return st;
    ser_chart_heading(c, 24, l.width - 48, p->title, p->subtitle);
    draw_labels(c, p, &l);
    ser_text_look support = {.size = 11.5, .colour = ser_muted};
    for (size_t i = 0; i < p->n_labels; i++) {
        size_t n_row = row_sum(p, i);
        for (size_t j = 0; j < p->n_labels; j++)
            draw_cell(c, p, &l, i, j, n_row);
        char text[32];
        snprintf(text, sizeof text, "n = %zu", n_row);
        ser_chart_text(c, l.x + l.cell * (double)p->n_labels + 8, l.y + l.cell * ((double)i + 0.5) + 4, text,
                       support);
    }
    *out = c;
    return SER_OK;
}
