#include "base/memory.h"
#include "base/random.h"
#include "report/pictures.h"

#include <math.h>
#include <stdio.h>

enum { MARGIN = 24, GAP_X = 26, GAP_Y = 46, PANEL_TITLE = 30, PAD = 12 };

/* Points are drawn in so many turns, each with some of every emotion and corpus, so that none hides another.
 */
enum { N_TURNS = 12 };

static const ser_colour unknown_colour = {0x5d, 0x66, 0x73, 1, NULL};

typedef struct map_layout {
    double panel_width, radius, panels_y, width, height;
} map_layout;

/* The recordings in the order in which they are drawn, and room for the marks of one look. */
typedef struct map_order {
    size_t *items;   /* (n) */
    double (*xy)[2]; /* (n) */
} map_order;

typedef struct map_extent {
    double centre[2], span[2];
} map_extent;

typedef struct map_box {
    double x, y, width, height;
} map_box;

/* From a map's numbers to pixels, as many of them to the right as up. */
typedef struct map_view {
    double centre[2], scale, x, y; /* x, y: the panel's middle */
} map_view;

static size_t label_index(const ser_map_picture *p, size_t item)
{
    return p->label[item] < 0 ? p->n_labels : (size_t)p->label[item];
}

/* k: a label, or n_labels for the unknown. */
static ser_colour colour_of(const ser_map_picture *p, size_t k)
{
    return k < p->n_labels ? ser_colour_of_label(p->labels[k], k) : unknown_colour;
}

static size_t n_of_label(const ser_map_picture *p, size_t k)
{
    size_t n = 0;
    for (size_t i = 0; i < p->n; i++)
        n += label_index(p, i) == k;
    return n;
}

static size_t n_of_corpus(const ser_map_picture *p, bool target)
{
    size_t n = 0;
    for (size_t i = 0; i < p->n; i++)
        n += (p->is_target[i] != 0) == target;
    return n;
}

static void draw_mark(ser_chart *c, const double (*xy)[2], size_t n, bool target, double radius,
                      ser_colour colour)
{
    ser_chart_marks(c, xy, n, target ? SER_MARK_RING : SER_MARK_DOT, radius,
                    ser_colour_faded(colour, target ? 0.9 : 0.75));
}

/* Emotions in their colours, below them the two corpora; returns the height, also with c NULL, which only
 * measures. */
static double draw_legend(ser_chart *c, const ser_map_picture *p, double top, double right)
{
    ser_flow flow = {.left = MARGIN, .right = right, .line = 22, .x = MARGIN, .y = top};
    ser_text_look look = {.size = 12, .colour = ser_ink};
    for (size_t k = 0; k <= p->n_labels; k++) {
        const char *name = k < p->n_labels ? p->labels[k] : "unknown";
        if (!n_of_label(p, k))
            continue;
        double x = ser_flow_place(&flow, 20 + ser_chart_text_width(name, look.size) + 14);
        if (c) {
            ser_chart_rect(c, x, flow.y, 13, 13, colour_of(p, k), NULL);
            ser_chart_text(c, x + 20, flow.y + 11, name, look);
        }
    }
    ser_flow_break(&flow);
    for (int target = 0; target < 2; target++) {
        char text[160];
        snprintf(text, sizeof text, "%s: %.80s (%zu)", target ? "target" : "source",
                 target ? p->target_name : p->source_name, n_of_corpus(p, target));
        double x = ser_flow_place(&flow, 20 + ser_chart_text_width(text, look.size) + 14);
        if (c) {
            const double at[1][2] = {{x + 6.5, flow.y + 6.5}};
            draw_mark(c, at, 1, target, 4.5, ser_ink);
            ser_chart_text(c, x + 20, flow.y + 11, text, look);
        }
    }
    return flow.y + flow.line - top;
}

static bool is_shown(const ser_map_panel *panel, size_t item)
{
    return isfinite(panel->xy[2 * item]) && isfinite(panel->xy[2 * item + 1]);
}

static map_extent extent_of(const ser_map_picture *p, const ser_map_panel *panel)
{
    double low[2] = {INFINITY, INFINITY}, high[2] = {-INFINITY, -INFINITY};
    map_extent e = {0};
    for (size_t i = 0; i < p->n; i++)
        for (size_t axis = 0; axis < 2 && is_shown(panel, i); axis++) {
            low[axis] = fmin(low[axis], (double)panel->xy[2 * i + axis]);
            high[axis] = fmax(high[axis], (double)panel->xy[2 * i + axis]);
        }
    for (size_t axis = 0; axis < 2 && low[0] <= high[0]; axis++) {
        e.span[axis] = high[axis] - low[axis];
        e.centre[axis] = (low[axis] + high[axis]) / 2;
    }
    return e;
}

/* As high as the map that needs most, between half and all of the width: of each row of panels. */
static double row_height(const ser_map_picture *p, double width, size_t row)
{
    double height = width / 2;
    for (size_t i = row * p->n_columns; i < (row + 1) * p->n_columns && i < p->n_panels; i++) {
        map_extent e = extent_of(p, &p->panels[i]);
        double needed = e.span[0] > 0 ? (width - 2 * PAD) * e.span[1] / e.span[0] + 2 * PAD : width;
        height = fmin(fmax(height, needed), width);
    }
    return ceil(height);
}

/* On the pixels of a PNG all marks of a look are alike, which makes it half as large; nobody sees it. */
static double snap(double x)
{
    return round(2 * x) / 2;
}

static void draw_points(ser_chart *c, const ser_map_picture *p, const ser_map_panel *panel, const map_view *v,
                        const map_order *order, double radius)
{
    for (size_t turn = 0; turn < N_TURNS; turn++)
        for (size_t look = 0; look < 2 * (p->n_labels + 1); look++) {
            bool target = look % 2 == 1;
            size_t n = 0;
            for (size_t i = turn; i < p->n; i += N_TURNS) {
                size_t item = order->items[i];
                if (label_index(p, item) != look / 2 || (p->is_target[item] != 0) != target ||
                    !is_shown(panel, item))
                    continue;
                order->xy[n][0] = snap(v->x + v->scale * ((double)panel->xy[2 * item] - v->centre[0]));
                order->xy[n++][1] = snap(v->y - v->scale * ((double)panel->xy[2 * item + 1] - v->centre[1]));
            }
            draw_mark(c, (const double(*)[2])order->xy, n, target, radius, colour_of(p, look / 2));
        }
}

static map_layout lay_out(const ser_map_picture *p)
{
    map_layout l = {.panel_width = p->n_columns == 1 ? 560 : p->n_columns == 2 ? 430 : 300};
    l.radius = p->n > 1200 ? 2.3 : p->n > 300 ? 3 : 4;
    l.width = 2 * MARGIN + (double)p->n_columns * (l.panel_width + GAP_X) - GAP_X;
    double heading = ser_chart_heading_height(p->title, p->subtitle);
    l.panels_y = heading + draw_legend(NULL, p, 0, l.width - MARGIN) + PANEL_TITLE;
    l.height = l.panels_y + MARGIN - GAP_Y;
    for (size_t row = 0; row * p->n_columns < p->n_panels; row++)
        l.height += row_height(p, l.panel_width, row) + GAP_Y;
    return l;
}

static map_view view_of(const map_extent *e, const map_box *b)
{
    map_view v = {{e->centre[0], e->centre[1]}, INFINITY, b->x + b->width / 2, b->y + b->height / 2};
    if (e->span[0] > 0)
        v.scale = (b->width - 2 * PAD) / e->span[0];
    if (e->span[1] > 0)
        v.scale = fmin(v.scale, (b->height - 2 * PAD) / e->span[1]);
    if (!isfinite(v.scale)) /* all in one place */
        v.scale = 0;
    return v;
}

static void draw_panel(ser_chart *c, const ser_map_picture *p, const ser_map_panel *panel, const map_box *b,
                       const map_order *order, double radius)
{
    double right = b->x + b->width, bottom = b->y + b->height;
    const double frame[5][2] = {{b->x, b->y}, {right, b->y}, {right, bottom}, {b->x, bottom}, {b->x, b->y}};
    ser_chart_polyline(c, frame, 5, 1, ser_grid);
    if (panel->title)
        ser_chart_text(c, b->x, b->y - 9, panel->title,
                       (ser_text_look){.size = 12.5, .colour = ser_ink, .bold = true, .max_width = b->width});
    map_extent e = extent_of(p, panel);
    map_view v = view_of(&e, b);
    draw_points(c, p, panel, &v, order, radius);
}

static void draw_panels(ser_chart *c, const ser_map_picture *p, const map_layout *l, const map_order *order)
{
    map_box b = {MARGIN, l->panels_y, l->panel_width, row_height(p, l->panel_width, 0)};
    for (size_t i = 0; i < p->n_panels; i++) {
        draw_panel(c, p, &p->panels[i], &b, order, l->radius);
        b.x += b.width + GAP_X;
        if ((i + 1) % p->n_columns)
            continue;
        b.x = MARGIN;
        b.y += b.height + GAP_Y;
        b.height = row_height(p, b.width, (i + 1) / p->n_columns);
    }
}

static ser_status check(const ser_map_picture *p, ser_error *err)
{
    if (!p->n_panels || !p->n_columns || !p->n)
        return ser_fail(err, SER_E_ARG, "there is no map to draw");
    for (size_t i = 0; i < p->n; i++)
        if (p->label[i] >= 0 && (size_t)p->label[i] >= p->n_labels)
            return ser_fail(err, SER_E_ARG, "a recording of the map has label %d, of %zu", p->label[i],
                            p->n_labels);
    return SER_OK;
}

static ser_status order_new(map_order *order, size_t n, ser_error *err)
{
    order->items = ser_alloc(n, sizeof *order->items);
    order->xy = ser_alloc(n, sizeof *order->xy);
    if (!order->items || !order->xy)
        return ser_fail_nomem(err);
    ser_random r;
    ser_random_init(&r, 1);
    for (size_t i = 0; i < n; i++)
        order->items[i] = i;
    ser_random_shuffle(&r, order->items, n);
    return SER_OK;
}

ser_status ser_draw_map(ser_chart **out, ser_chart_format format, const ser_map_picture *p, ser_error *err)
{
    *out = NULL;
    map_order order = {0};
    ser_status st = check(p, err);
    if (st == SER_OK)
        st = order_new(&order, p->n, err);
    if (st != SER_OK)
        goto done;
    const map_layout l = lay_out(p);
    st = ser_chart_new(out, format, l.width, l.height, p->title ? p->title : "Map of recordings", err);
    if (st != SER_OK)
        goto done;
    ser_chart_heading(*out, MARGIN, l.width - 2 * MARGIN, p->title, p->subtitle);
    draw_legend(*out, p, ser_chart_heading_height(p->title, p->subtitle), l.width - MARGIN);
    draw_panels(*out, p, &l, &order);
done:
    ser_free(order.items);
    ser_free(order.xy);
    return st;
}
