/* The small drawing layer under every picture: rectangles, lines, polygons and text on one of three surfaces.
 * PNG goes through cairo; SVG is written here, because cairo's SVG holds outlines of letters instead of text,
 * under names that clash when two pictures share a page. Units are CSS pixels from the top left; a PNG has
 * two of its own pixels for each. The same calls give the same bytes (PNG: with the same cairo and fonts). */
#ifndef SER_REPORT_CHART_H
#define SER_REPORT_CHART_H

#include "base/text.h"

typedef enum ser_chart_format {
    SER_CHART_PNG,
    SER_CHART_SVG,
    SER_CHART_HTML /* SVG to stand inside a page, whose style sheet sets --ink, --muted, --grid and --paper */
} ser_chart_format;

typedef struct ser_colour {
    unsigned char red, green, blue;
    double alpha;
    const char *variable; /* the page's variable to use instead in SER_CHART_HTML; or NULL */
} ser_colour;

extern const ser_colour ser_ink, ser_muted, ser_grid, ser_paper, ser_white, ser_blue, ser_red;

/* The colour that an emotion has in every picture; other labels get one by index. label NULL: no voice. */
ser_colour ser_colour_of_label(const char *label, size_t index);
ser_colour ser_colour_faded(ser_colour c, double alpha);
/* ser_ink's fixed dark or white, whichever can be read better on c (opaque). */
ser_colour ser_colour_on(ser_colour c);

typedef struct ser_chart ser_chart;

/* title: what a screen reader says (SVG). */
ser_status ser_chart_new(ser_chart **out, ser_chart_format format, double width, double height,
                         const char *title, ser_error *err);
void ser_chart_free(ser_chart **c);

/* A caller ran out of memory while it drew: told when the chart is finished. */
void ser_chart_fail(ser_chart *c);

/* tip: shown while the pointer rests on it (SVG); or NULL. */
void ser_chart_rect(ser_chart *c, double x, double y, double width, double height, ser_colour fill,
                    const char *tip);
void ser_chart_line(ser_chart *c, double x0, double y0, double x1, double y1, double width, ser_colour stroke,
                    bool dashed);
void ser_chart_polyline(ser_chart *c, const double (*xy)[2], size_t n, double width, ser_colour stroke);
void ser_chart_polygon(ser_chart *c, const double (*xy)[2], size_t n, ser_colour fill); /* closed */

typedef enum ser_mark { SER_MARK_DOT, SER_MARK_RING } ser_mark;
/* Many marks of one look as one shape: where they overlap, nothing gets darker. */
void ser_chart_marks(ser_chart *c, const double (*xy)[2], size_t n, ser_mark mark, double radius,
                     ser_colour colour);

typedef enum ser_anchor { SER_ANCHOR_START, SER_ANCHOR_MIDDLE, SER_ANCHOR_END } ser_anchor;

typedef struct ser_text_look {
    double size; /* of the letters, pixels */
    ser_colour colour;
    ser_anchor anchor; /* which part of the text lies at x */
    bool bold;
    double angle;     /* degrees, counter-clockwise, around (x, y) */
    double max_width; /* longer text is cut and ends in "…"; 0: no limit */
    bool keeps_end;   /* longer text loses its middle instead: names differ at their ends */
} ser_text_look;

/* y is the line that the letters stand on. */
void ser_chart_text(ser_chart *c, double x, double y, const char *text, ser_text_look look);
/* An estimate that is the same on every machine, whatever its fonts: layout uses nothing else. */
double ser_chart_text_width(const char *text, double size);
/* The line that stands there of text: without control characters, cut by its look. */
void ser_chart_append_cut(ser_text *t, const char *text, ser_text_look look);
/* Title and subtitle from x on, each cut to width. Both may be NULL. What is below begins at _height. */
void ser_chart_heading(ser_chart *c, double x, double width, const char *title, const char *subtitle);
double ser_chart_heading_height(const char *title, const char *subtitle);

/* Entries of a legend, one after the other in lines from left to right. */
typedef struct ser_flow {
    double left, right, line; /* line: from one to the next */
    double x, y;              /* where the next entry begins, if there is room */
} ser_flow;
/* The x of an entry of this width; its y is the flow's. */
double ser_flow_place(ser_flow *f, double width);
void ser_flow_break(ser_flow *f); /* the next entry begins a line */

/* Appends the bytes of the finished PNG or SVG; nothing can be drawn afterwards. */
ser_status ser_chart_append(ser_chart *c, ser_text *out, ser_error *err);
/* The same into a file, which appears only when whole. */
ser_status ser_chart_save(ser_chart *c, const char *path, ser_error *err);

/* PNG or SVG by the end of the file's name; else SER_E_ARG. */
ser_status ser_chart_format_of(ser_chart_format *out, const char *path, ser_error *err);

/* A round step (1, 2 or 5 times a power of ten) that divides span into at most n_max parts. */
double ser_chart_step(double span, int n_max);

#endif
