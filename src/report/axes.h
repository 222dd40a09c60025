/* Panels of curves over epochs, side by side in a grid: what ser_draw_curves and ser_draw_losses share. */
#ifndef SER_REPORT_AXES_H
#define SER_REPORT_AXES_H

#include "report/chart.h"

enum { SER_PANEL_HEIGHT = 180, SER_PANEL_LEFT = 62 };

typedef struct ser_panel_grid {
    size_t n_columns;
    double gap, panel_width, legend_y, panels_y;
    double middle, width, height; /* of the panels' x; of the picture */
} ser_panel_grid;

/* n_panels > 0; gap: between columns; n_narrow: the most columns, 1 or 2, for a page as
 * wide as a phone; 0: for any other. */
ser_panel_grid ser_panel_grid_of(size_t n_panels, double gap, size_t n_narrow, const char *title,
                                 const char *subtitle);
double ser_panel_left(const ser_panel_grid *g, size_t panel);
double ser_panel_top(const ser_panel_grid *g, size_t panel);

/* A picture with its heading and the name of all x axes; the rest is the caller's. */
ser_status ser_panel_chart_new(ser_chart **out, ser_chart_format format, const ser_panel_grid *g,
                               const char *title, const char *subtitle, const char *spoken_title,
                               ser_error *err);

/* What values reach. Begins with ser_span_of_nothing; what is not finite does not count. */
typedef struct ser_span {
    double low, high, late; /* late: the highest but those of first epochs */
} ser_span;

extern const ser_span ser_span_of_nothing;
void ser_span_add(ser_span *s, double value, bool first_epoch);
/* A first epoch may be so bad that nothing else can be seen: at most three times the rest. */
double ser_span_high(const ser_span *s);

typedef struct ser_axes {
    double left, top, width;
    double low, high, step; /* of the values */
    double n_epochs;        /* the last one shown */
    const char *unit;       /* after numbers: " %" or "" */
} ser_axes;

/* Round ends and a round step. */
void ser_axes_set_range(ser_axes *a, double low, double high);
void ser_axes_draw(ser_chart *c, const ser_axes *a, bool names_y);
double ser_axes_x(const ser_axes *a, size_t epoch);
double ser_axes_y(const ser_axes *a, double value);
/* points (n, 2): epoch and value, in order; they are overwritten. Values that are not finite leave a gap; a
 * value alone is a dot. */
void ser_axes_curve(ser_chart *c, const ser_axes *a, double (*points)[2], size_t n, double width,
                    ser_colour colour);
/* A line of a legend; returns where the next one begins. */
double ser_axes_legend(ser_chart *c, double x, double y, const char *name, double width, ser_colour colour);
void ser_axes_title(ser_chart *c, const ser_axes *a, const char *title, const char *note);

/* ser_blue, lighter on a dark page: a line needs more contrast than a surface. */
extern const ser_colour ser_line_blue;

#endif
