#include "report/chart.h"
#include "base/memory.h"
#include "io/file.h"
#include "report/escape.h"
#include "report/fonts.h"
#include "report/visual.h"

#include <cairo.h>
#include <errno.h>
#include <math.h>
#include <string.h>

enum { PNG_SCALE = 2 }; /* sharp on screens with small pixels, and in print */

struct ser_chart {
    ser_chart_format format;
    ser_text svg;   /* SVG: what was drawn so far. PNG: only its failed is used */
    cairo_t *cairo; /* PNG; else NULL */
};

/* At most two decimals, without zeros at the end: a hundredth of a pixel is not visible. */
static void append_number(ser_text *t, double x)
{
    double rounded = round(x * 100) / 100;
    ser_text_appendf(t, "%.10g", rounded == 0 ? 0.0 : rounded); /* no -0 */
}

static void append_attribute(ser_text *t, const char *name, double x)
{
    ser_text_appendf(t, " %s=\"", name);
    append_number(t, x);
    ser_text_append(t, "\"");
}

/* property: "fill" or "stroke". A variable works in a style, not in every browser's attributes. */
static void append_colour(ser_chart *c, const char *property, ser_colour colour)
{
    if (c->format == SER_CHART_HTML && colour.variable)
        ser_text_appendf(&c->svg, " style=\"%s:var(%s)\"", property, colour.variable);
    else
        ser_text_appendf(&c->svg, " %s=\"#%02x%02x%02x\"", property, colour.red, colour.green, colour.blue);
    if (colour.alpha < 1)
        ser_text_appendf(&c->svg, " %s-opacity=\"%.3g\"", property, colour.alpha);
}

static void set_colour(cairo_t *cairo, ser_colour c)
{
    cairo_set_source_rgba(cairo, c.red / 255.0, c.green / 255.0, c.blue / 255.0, c.alpha);
}

static void start_svg(ser_chart *c, double width, double height, const char *title)
{
    ser_text *t = &c->svg;
    ser_text_append(t, "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" viewBox=\"0 0 ");
    append_number(t, width);
    ser_text_append(t, " ");
    append_number(t, height);
    ser_text_append(t, "\"");
    append_attribute(t, "width", width);
    append_attribute(t, "height", height);
    ser_text_append(t, " font-family=\"DejaVu Sans, Verdana, sans-serif\">\n<title>");
    ser_append_xml(t, title ? title : "");
    ser_text_append(t, "</title>\n");
}

ser_status ser_chart_new(ser_chart **out, ser_chart_format format, double width, double height,
                         const char *title, ser_error *err)
{
    *out = NULL;
    ser_chart *c = ser_alloc(1, sizeof *c);
    if (!c)
        return ser_fail_nomem(err);
    c->format = format;
    width = ceil(width);
    height = ceil(height);
    if (format == SER_CHART_PNG) {
        errno = 0;
        cairo_surface_t *surface =
            cairo_image_surface_create(CAIRO_FORMAT_RGB24, (int)width * PNG_SCALE, (int)height * PNG_SCALE);
        c->cairo = cairo_create(surface);
        cairo_surface_destroy(surface); /* c->cairo holds it */
        if (cairo_status(c->cairo) != CAIRO_STATUS_SUCCESS) {
            ser_chart_free(&c);
            return ser_fail_nomem(err);
        }
        cairo_scale(c->cairo, PNG_SCALE, PNG_SCALE);
    } else {
        start_svg(c, width, height, title);
    }
    if (format != SER_CHART_HTML) /* a page brings its own background */
        ser_chart_rect(c, 0, 0, width, height, ser_paper, NULL);
    *out = c;
    return SER_OK;
}

void ser_chart_free(ser_chart **c)
{
    if (!*c)
        return;
    if ((*c)->cairo)
        cairo_destroy((*c)->cairo);
    ser_text_release(&(*c)->svg);
    ser_free(*c);
    *c = NULL;
}

void ser_chart_fail(ser_chart *c)
{
    c->svg.failed = true; /* also for PNG: seen at the end */
}

void ser_chart_rect(ser_chart *c, double x, double y, double width, double height, ser_colour fill,
                    const char *tip)
{
    if (c->cairo) {
        set_colour(c->cairo, fill);
        cairo_rectangle(c->cairo, x, y, width, height);
        cairo_fill(c->cairo);
        return;
    }
    ser_text_append(&c->svg, "<rect");
    append_attribute(&c->svg, "x", x);
    append_attribute(&c->svg, "y", y);
    append_attribute(&c->svg, "width", width);
    append_attribute(&c->svg, "height", height);
    append_colour(c, "fill", fill);
    if (tip) {
        ser_text_append(&c->svg, "><title>");
        ser_append_xml(&c->svg, tip);
        ser_text_append(&c->svg, "</title></rect>\n");
    } else {
        ser_text_append(&c->svg, "/>\n");
    }
}

void ser_chart_line(ser_chart *c, double x0, double y0, double x1, double y1, double width, ser_colour stroke,
                    bool dashed)
{
    if (c->cairo) {
        static const double dash[] = {4, 4};
        set_colour(c->cairo, stroke);
        cairo_set_line_width(c->cairo, width);
        cairo_set_dash(c->cairo, dash, dashed ? 2 : 0, 0);
        cairo_move_to(c->cairo, x0, y0);
        cairo_line_to(c->cairo, x1, y1);
        cairo_stroke(c->cairo);
        return;
    }
    ser_text_append(&c->svg, "<line");
    append_attribute(&c->svg, "x1", x0);
    append_attribute(&c->svg, "y1", y0);
    append_attribute(&c->svg, "x2", x1);
    append_attribute(&c->svg, "y2", y1);
    append_attribute(&c->svg, "stroke-width", width);
    append_colour(c, "stroke", stroke);
    ser_text_append(&c->svg, dashed ? " stroke-dasharray=\"4 4\"/>\n" : "/>\n");
}

static void trace(cairo_t *cairo, const double (*xy)[2], size_t n)
{
    cairo_new_path(cairo);
    for (size_t i = 0; i < n; i++)
        cairo_line_to(cairo, xy[i][0], xy[i][1]); /* the first one moves there */
}

static void append_path(ser_chart *c, const double (*xy)[2], size_t n)
{
    ser_text_append(&c->svg, "<path d=\"M");
    for (size_t i = 0; i < n; i++) {
        ser_text_append(&c->svg, i ? " " : "");
        append_number(&c->svg, xy[i][0]);
        ser_text_append(&c->svg, " ");
        append_number(&c->svg, xy[i][1]);
    }
}

void ser_chart_polyline(ser_chart *c, const double (*xy)[2], size_t n, double width, ser_colour stroke)
{
    if (!n)
        return;
    if (c->cairo) {
        set_colour(c->cairo, stroke);
        cairo_set_line_width(c->cairo, width);
        cairo_set_dash(c->cairo, NULL, 0, 0);
        cairo_set_line_join(c->cairo, CAIRO_LINE_JOIN_ROUND);
        trace(c->cairo, xy, n);
        cairo_stroke(c->cairo);
        return;
    }
    append_path(c, xy, n);
    ser_text_append(&c->svg, "\" fill=\"none\" stroke-linejoin=\"round\"");
    append_attribute(&c->svg, "stroke-width", width);
    append_colour(c, "stroke", stroke);
    ser_text_append(&c->svg, "/>\n");
}

void ser_chart_polygon(ser_chart *c, const double (*xy)[2], size_t n, ser_colour fill)
{
    if (!n)
        return;
    if (c->cairo) {
        set_colour(c->cairo, fill);
        trace(c->cairo, xy, n);
        cairo_close_path(c->cairo);
        cairo_fill(c->cairo);
        return;
    }
    append_path(c, xy, n);
    ser_text_append(&c->svg, "Z\"");
    append_colour(c, "fill", fill);
    ser_text_append(&c->svg, "/>\n");
}

static void draw_marks(cairo_t *cairo, const double (*xy)[2], size_t n, double radius)
{
    cairo_new_path(cairo);
    for (size_t i = 0; i < n; i++) {
        cairo_new_sub_path(cairo);
        cairo_arc(cairo, xy[i][0], xy[i][1], radius, 0, 2 * 3.14159265358979);
    }
}

/* Dots are lines with round ends, which take a third of the bytes of circles; of hardly any length, because
 * not every program draws those of none. */
static void append_marks(ser_text *t, const double (*xy)[2], size_t n, ser_mark mark, double radius)
{
    ser_text_append(t, "<path d=\"");
    for (size_t i = 0; i < n; i++) {
        ser_text_append(t, "M");
        append_number(t, xy[i][0] - (mark == SER_MARK_RING ? radius : 0));
        ser_text_append(t, " ");
        append_number(t, xy[i][1]);
        if (mark == SER_MARK_RING)
            ser_text_appendf(t, "a%.3g %.3g 0 1 0 %.3g 0a%.3g %.3g 0 1 0-%.3g 0", radius, radius, 2 * radius,
                             radius, radius, 2 * radius);
        else
            ser_text_append(t, "h.01");
    }
    ser_text_append(t, mark == SER_MARK_RING ? "\" fill=\"none\"" : "\" stroke-linecap=\"round\"");
}

void ser_chart_marks(ser_chart *c, const double (*xy)[2], size_t n, ser_mark mark, double radius,
                     ser_colour colour)
{
    double line = radius / 2; /* of rings */
    if (!n)
        return;
    if (mark == SER_MARK_RING)
        radius -= line / 2;
    if (c->cairo) {
        set_colour(c->cairo, colour);
        cairo_set_line_width(c->cairo, line);
        cairo_set_dash(c->cairo, NULL, 0, 0);
        draw_marks(c->cairo, xy, n, radius);
        if (mark == SER_MARK_RING)
            cairo_stroke(c->cairo);
        else
            cairo_fill(c->cairo);
        return;
    }
    append_marks(&c->svg, xy, n, mark, radius);
    append_attribute(&c->svg, "stroke-width", mark == SER_MARK_RING ? line : 2 * radius);
    append_colour(c, "stroke", colour);
    ser_text_append(&c->svg, "/>\n");
}

static void draw_text(cairo_t *cairo, double x, double y, const char *text, ser_text_look look)
{
    cairo_text_extents_t extents;
    char family[SER_FONT_FAMILY];
    cairo_save(cairo);
    ser_font_family(family, text);
    cairo_select_font_face(cairo, family, CAIRO_FONT_SLANT_NORMAL,
                           look.bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(cairo, look.size);
    cairo_text_extents(cairo, text, &extents);
    set_colour(cairo, look.colour);
    cairo_translate(cairo, x, y);
    cairo_rotate(cairo, -look.angle * 3.14159265358979 / 180);
    cairo_move_to(cairo, -extents.x_advance * look.anchor / 2, 0);
    cairo_show_text(cairo, text);
    cairo_restore(cairo);
}

static void write_text(ser_chart *c, double x, double y, const char *text, ser_text_look look)
{
    static const char *const anchors[] = {"start", "middle", "end"};
    ser_text *t = &c->svg;
    ser_text_append(t, "<text");
    append_attribute(t, "x", x);
    append_attribute(t, "y", y);
    append_attribute(t, "font-size", look.size);
    if (look.anchor != SER_ANCHOR_START)
        ser_text_appendf(t, " text-anchor=\"%s\"", anchors[look.anchor]);
    if (look.bold)
        ser_text_append(t, " font-weight=\"bold\"");
    if (look.angle != 0) {
        ser_text_append(t, " transform=\"rotate(");
        append_number(t, -look.angle);
        ser_text_append(t, " ");
        append_number(t, x);
        ser_text_append(t, " ");
        append_number(t, y);
        ser_text_append(t, ")\"");
    }
    append_colour(c, "fill", look.colour);
    ser_text_append(t, ">");
    ser_append_xml(t, text);
    ser_text_append(t, "</text>\n");
}

void ser_chart_text(ser_chart *c, double x, double y, const char *text, ser_text_look look)
{
    /* cairo refuses text that is not UTF-8 and draws control characters as boxes. */
    ser_text line = {0};
    ser_chart_append_cut(&line, text, look);
    if (c->cairo && line.n) { /* who shows an SVG puts letters in order itself */
        ser_text seen = {0};
        ser_append_visual(&seen, line.s);
        line.failed |= seen.failed;
        if (!line.failed)
            draw_text(c->cairo, x, y, seen.s, look);
        ser_text_release(&seen);
    }
    if (line.failed)
        ser_chart_fail(c);
    else if (line.n && !c->cairo)
        write_text(c, x, y, line.s, look);
    ser_text_release(&line);
}

static cairo_status_t append_png(void *context, const unsigned char *bytes, unsigned n)
{
    ser_text *out = context;
    ser_text_append_n(out, (const char *)bytes, n);
    return out->failed ? CAIRO_STATUS_NO_MEMORY : CAIRO_STATUS_SUCCESS;
}

ser_status ser_chart_append(ser_chart *c, ser_text *out, ser_error *err)
{
    if (c->svg.failed)
        return ser_fail_nomem(err);
    if (c->cairo) {
        /* A drawing call that failed (no memory, no font) turned all later ones off and left its status. */
        cairo_status_t status = cairo_status(c->cairo);
        if (status == CAIRO_STATUS_SUCCESS)
            status = cairo_surface_write_to_png_stream(cairo_get_target(c->cairo), append_png, out);
        /* libpng, which is given a sound picture and writes to memory, fails for want of memory alone. */
        /* libfreetype tells of it as of a damaged font, but malloc has left its mark. */
        if (status == CAIRO_STATUS_NO_MEMORY || status == CAIRO_STATUS_PNG_ERROR ||
            (status == CAIRO_STATUS_FREETYPE_ERROR && errno == ENOMEM))
            return ser_fail_nomem(err);
        return status == CAIRO_STATUS_SUCCESS
                   ? SER_OK
                   : ser_fail(err, SER_E_UNSUPPORTED,
                              "the picture cannot be drawn (%s): ask for .svg, which needs no fonts",
                              cairo_status_to_string(status));
    }
    ser_text_append(&c->svg, "</svg>\n");
    if (!c->svg.failed)
        ser_text_append_n(out, c->svg.s, c->svg.n);
    return c->svg.failed || out->failed ? ser_fail_nomem(err) : SER_OK;
}

ser_status ser_chart_save(ser_chart *c, const char *path, ser_error *err)
{
    ser_text bytes = {0};
    ser_status st = ser_chart_append(c, &bytes, err);
    if (st == SER_OK)
        st = ser_io_write(path, bytes.s, bytes.n, err);
    ser_text_release(&bytes);
    return st;
}
