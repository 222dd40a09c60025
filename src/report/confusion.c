#include "report/pictures.h"

#include <math.h>
#include <stdio.h>

/* The matrix of a picture, and where it and its top left corner lie. */
typedef struct confusion_layout {
    ser_matrix m;
    bool framed; /* right cells: where they are not the diagonal */
    double cell, x, y;
    double row_label, label_size, column_angle, width, height;
} confusion_layout;

static double widest_label(const char *const *labels, size_t n, double size)
{
    double widest = 0;
    for (size_t i = 0; i < n; i++)
        widest = fmax(widest, ser_chart_text_width(labels[i], size));
    return fmin(widest, 180);
}

static ser_matrix matrix_of(const ser_confusion_picture *p)
{
    return p->matrix ? *p->matrix : ser_matrix_square(p->labels, p->counts, p->n_labels);
}

static confusion_layout lay_out(const ser_confusion_picture *p)
{
    enum { MARGIN = 24, AXIS_TITLE = 26, SUPPORT = 54, NOT_SCORED = 66 };
    confusion_layout l = {.m = matrix_of(p), .framed = p->matrix && p->matrix->right, .label_size = 13};
    double n_rows = (double)l.m.n_truths, n_columns = (double)l.m.n_answers, n = fmax(n_rows, n_columns);
    l.cell = n <= 9 ? 66 : fmax(18, 600 / n);
    if (l.cell < 24)
        l.label_size = 11;
    l.row_label = widest_label(l.m.truths, l.m.n_truths, l.label_size);
    double widest = widest_label(l.m.answers, l.m.n_answers, l.label_size);
    l.column_angle = widest > l.cell - 6 ? 40 : 0;
    double slope = l.column_angle * 3.14159265 / 180;
    double above = l.column_angle > 0 ? widest * sin(slope) + 14 : 22;
    double aside = l.column_angle > 0 ? widest * cos(slope) - l.cell / 2 : 0; /* of the last column's label */
    double heading = ser_chart_heading_height(p->title, p->subtitle);
    l.x = MARGIN + AXIS_TITLE + l.row_label + 12;
    l.y = heading + AXIS_TITLE + above;
    l.width = fmax(l.x + n_columns * l.cell + fmax(l.framed ? NOT_SCORED : SUPPORT, aside) + MARGIN, 420);
    l.height = l.y + n_rows * l.cell + MARGIN;
    return l;
}

static void draw_frame(ser_chart *c, double x, double y, double side)
{
    double right = x + side, bottom = y + side;
    const double corners[5][2] = {{x, y}, {right, y}, {right, bottom}, {x, bottom}, {x, y}};
    for (size_t i = 0; i < 4; i++)
        ser_chart_line(c, corners[i][0], corners[i][1], corners[i + 1][0], corners[i + 1][1], 1.5, ser_ink,
                       false);
}

static void draw_cell(ser_chart *c, const confusion_layout *l, size_t i, size_t j, size_t n_row)
{
    const ser_matrix *m = &l->m;
    size_t count = m->counts[i * m->n_answers + j];
    double share = n_row ? (double)count / (double)n_row : 0;
    double x = l->x + (double)j * l->cell, y = l->y + (double)i * l->cell;
    bool is_right = ser_matrix_is_right(m, i, j);
    char tip[256], text[32];
    snprintf(tip, sizeof tip, "%.80s taken for %.80s: %zu of %zu (%.1f %%)", m->truths[i], m->answers[j],
             count, n_row, 100 * share);
    ser_chart_rect(c, x + 1, y + 1, l->cell - 2, l->cell - 2,
                   count ? ser_colour_faded(ser_blue, 0.06 + 0.94 * share) : ser_colour_faded(ser_grid, 0.25),
                   tip);
    if (l->framed && is_right)
        draw_frame(c, x + 2, y + 2, l->cell - 4);
    if (!count || l->cell < 24)
        return;
    ser_text_look look = {.size = fmin(15, l->cell * 0.3), .anchor = SER_ANCHOR_MIDDLE, .bold = is_right};
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
    const ser_matrix *m = &l->m;
    ser_text_look look = {.size = l->label_size, .max_width = 180, .anchor = SER_ANCHOR_END};
    for (size_t i = 0; i < m->n_truths; i++) {
        look.colour = ser_matrix_can_be_right(m, i) ? ser_ink : ser_muted;
        ser_chart_text(c, l->x - 10, l->y + l->cell * ((double)i + 0.5) + look.size * 0.36, m->truths[i],
                       look);
    }
    look.colour = ser_ink;
    look.anchor = l->column_angle > 0 ? SER_ANCHOR_START : SER_ANCHOR_MIDDLE;
    look.angle = l->column_angle;
    for (size_t j = 0; j < m->n_answers; j++)
        ser_chart_text(c, l->x + l->cell * ((double)j + 0.5), l->y - 9, m->answers[j], look);
    ser_text_look axis = {.size = 12.5, .colour = ser_muted, .anchor = SER_ANCHOR_MIDDLE};
    double heading = ser_chart_heading_height(p->title, p->subtitle);
    ser_chart_text(c, l->x + l->cell * (double)m->n_answers / 2, heading + 13, "Predicted", axis);
    axis.angle = 90;
    ser_chart_text(c, 36, l->y + l->cell * (double)m->n_truths / 2, "Truth", axis);
}

/* How many recordings a row has, and whether they are scored. */
static void draw_support(ser_chart *c, const confusion_layout *l, size_t i, size_t n_row)
{
    ser_text_look look = {.size = 11.5, .colour = ser_muted};
    double x = l->x + l->cell * (double)l->m.n_answers + 8, y = l->y + l->cell * ((double)i + 0.5) + 4;
    char text[32];
    snprintf(text, sizeof text, "n = %zu", n_row);
    bool scored = ser_matrix_can_be_right(&l->m, i) || l->cell < 24;
    ser_chart_text(c, x, scored ? y : y - 7, text, look);
    if (!scored)
        ser_chart_text(c, x, y + 8, "not scored", look);
}

ser_status ser_draw_confusion(ser_chart **out, ser_chart_format format, const ser_confusion_picture *p,
                              ser_error *err)
{
    *out = NULL;
    const ser_matrix m = matrix_of(p);
    size_t n = m.n_truths < m.n_answers ? m.n_answers : m.n_truths;
    if (!m.n_truths || !m.n_answers || n > SER_MAX_LABELS)
        return ser_fail(err, SER_E_ARG, "a confusion matrix of %zu emotions cannot be drawn: 1 to %d can", n,
                        SER_MAX_LABELS);
    const confusion_layout l = lay_out(p);
    ser_chart *c;
    ser_status st =
        ser_chart_new(&c, format, l.width, l.height, p->title ? p->title : "Confusion matrix", err);
    if (st != SER_OK)
        return st;
    ser_chart_heading(c, 24, l.width - 48, p->title, p->subtitle);
    draw_labels(c, p, &l);
    for (size_t i = 0; i < l.m.n_truths; i++) {
        size_t n_row = ser_matrix_row_sum(&l.m, i);
        for (size_t j = 0; j < l.m.n_answers; j++)
            draw_cell(c, &l, i, j, n_row);
        draw_support(c, &l, i, n_row);
    }
    *out = c;
    return SER_OK;
}
