#include "report/pictures.h"

#include <stdio.h>

enum { LEFT = 74, SIDE = 380, BELOW = 90, GAP = 22, RIGHT = 30 };

typedef struct reliability_layout {
    double y, y_histogram; /* tops of the two panels */
} reliability_layout;

/* The answers were less often right than they claimed, or more often. */
static ser_colour too_sure_colour(void)
{
    return ser_colour_faded(ser_red, 0.45);
}

static ser_colour too_modest_colour(void)
{
    return ser_colour_faded(ser_blue, 0.45);
}

static double x_of(double confidence)
{
    return LEFT + SIDE * confidence;
}

static void draw_axes(ser_chart *c, const reliability_layout *l)
{
    ser_text_look number = {.size = 11.5, .colour = ser_muted, .anchor = SER_ANCHOR_END};
    ser_text_look name = {.size = 12.5, .colour = ser_ink, .anchor = SER_ANCHOR_MIDDLE};
    double bottom = l->y_histogram + BELOW;
    for (int percent = 0; percent <= 100; percent += 20) {
        char text[16];
        double y = l->y + SIDE * (1 - percent / 100.0), x = x_of(percent / 100.0);
        snprintf(text, sizeof text, "%d %%", percent);
        ser_chart_line(c, LEFT, y, LEFT + SIDE, y, 1, ser_grid, false);
        number.anchor = SER_ANCHOR_END;
        ser_chart_text(c, LEFT - 8, y + 4, text, number);
        number.anchor = SER_ANCHOR_MIDDLE;
        ser_chart_text(c, x, bottom + 18, text, number);
    }
    ser_chart_line(c, LEFT, bottom, LEFT + SIDE, bottom, 1, ser_muted, false);
    ser_chart_text(c, LEFT + SIDE / 2.0, bottom + 40, "Confidence of the answer", name);
    name.angle = 90;
    ser_chart_text(c, 24, l->y + SIDE / 2.0, "Answers that were right", name);
    ser_chart_text(c, 24, l->y_histogram + BELOW / 2.0, "Answers", name);
}

static void draw_bins(ser_chart *c, const reliability_layout *l, const ser_reliability *r)
{
    size_t n = 0, n_most = 1;
    for (int b = 0; b < SER_ECE_BINS; b++) {
        n += r->count[b];
        n_most = r->count[b] > n_most ? r->count[b] : n_most;
    }
    double width = SIDE / (double)SER_ECE_BINS;
    for (int b = 0; b < SER_ECE_BINS; b++) {
        if (!r->count[b])
            continue;
        char tip[160];
        double x = LEFT + b * width, accuracy = r->accuracy[b], confidence = r->confidence[b];
        snprintf(tip, sizeof tip, "%zu answer%s (%.1f %%), mean confidence %.1f %%, right %.1f %%",
                 r->count[b], r->count[b] == 1 ? "" : "s", 100.0 * (double)r->count[b] / (double)n,
                 100 * confidence, 100 * accuracy);
        bool too_sure = accuracy < confidence;
        double low = too_sure ? accuracy : confidence, high = too_sure ? confidence : accuracy;
        ser_chart_rect(c, x + 1, l->y + SIDE * (1 - low), width - 2, SIDE * low, ser_blue, tip);
        ser_chart_rect(c, x + 1, l->y + SIDE * (1 - high), width - 2, SIDE * (high - low),
                       too_sure ? too_sure_colour() : too_modest_colour(), tip);
        double height = BELOW * (double)r->count[b] / (double)n_most;
        ser_chart_rect(c, x + 1, l->y_histogram + BELOW - height, width - 2, height, ser_muted, tip);
    }
    char text[32];
    snprintf(text, sizeof text, "%zu", n_most);
    ser_text_look number = {.size = 11.5, .colour = ser_muted, .anchor = SER_ANCHOR_END};
    ser_chart_text(c, LEFT - 8, l->y_histogram + 9, text, number);
    ser_chart_text(c, LEFT - 8, l->y_histogram + BELOW, "0", number);
}

static void draw_legend(ser_chart *c, double x, double y)
{
    const struct {
        const char *name;
        ser_colour colour;
    } entries[] = {{"right", ser_blue}, {"too sure", too_sure_colour()}, {"too modest", too_modest_colour()}};
    ser_text_look look = {.size = 11.5, .colour = ser_ink};
    for (size_t i = 0; i < 3; i++) {
        ser_chart_rect(c, x, y, 13, 13, entries[i].colour, NULL);
        ser_chart_text(c, x + 19, y + 11, entries[i].name, look);
        x += 19 + ser_chart_text_width(entries[i].name, look.size) + 16;
    }
    ser_chart_line(c, x, y + 7, x + 24, y + 7, 1.5, ser_ink, true);
    ser_chart_text(c, x + 30, y + 11, "perfect", look);
}

ser_status ser_draw_reliability(ser_chart **out, ser_chart_format format, const ser_reliability_picture *p,
                                ser_error *err)
{
    *out = NULL;
    double heading = ser_chart_heading_height(p->title, p->subtitle);
    reliability_layout l = {.y = heading + 26, .y_histogram = heading + 26 + SIDE + GAP};
    double width = LEFT + SIDE + RIGHT, height = l.y_histogram + BELOW + 56;
    ser_chart *c;
    ser_status st = ser_chart_new(&c, format, width, height, p->title ? p->title : "Reliability", err);
    if (st != SER_OK)
        return st;
    ser_chart_heading(c, 24, width - 48, p->title, p->subtitle);
    draw_legend(c, LEFT, heading);
    draw_axes(c, &l);
    draw_bins(c, &l, p->reliability);
    ser_chart_line(c, x_of(0), l.y + SIDE, x_of(1), l.y, 1.5, ser_ink, true);
    *out = c;
    return SER_OK;
}
