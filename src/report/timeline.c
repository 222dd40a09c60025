#include "base/memory.h"
#include "report/pictures.h"

#include <math.h>
#include <stdio.h>

enum {
    LEFT = 76,
    WIDTH = 1040,     /* pixels, however long the recording is */
    N_CLEAR = 170,    /* more segments than this are averaged ... */
    BROAD_COLUMN = 5, /* ... over columns of so many pixels, or the picture is noise */
    RIGHT = 28,
    LOUDNESS = 90, /* heights of the panels */
    BAND = 30,
    SCORES = 170,
    GAP = 14,
    LEGEND_LINE = 22
};

/* A column of one or BROAD_COLUMN pixels: what the segments say between its borders. */
typedef struct timeline_column {
    int label;          /* of the longest part; -1: no voice */
    float *scores;      /* n_labels, mean over the column; parts without a voice count as 0 */
    double *label_time; /* n_labels + 1, seconds; the last one is no voice */
    bool whole;         /* one segment fills more than half: it alone counts, so that borders stay sharp */
} timeline_column;

typedef struct timeline_data {
    size_t n_columns;
    timeline_column columns[WIDTH];
    float *scores;
    double *label_times;
    double shares[SER_MAX_LABELS + 1]; /* of the duration, by label; at n_labels: no voice */
} timeline_data;

static void timeline_data_free(timeline_data **d)
{
    if (!*d)
        return;
    ser_free((*d)->scores);
    ser_free((*d)->label_times);
    ser_free(*d);
    *d = NULL;
}

/* Adds a segment to the columns that it overlaps. */
static void spread_segment(timeline_data *d, const ser_timeline_picture *p, const ser_segment *s)
{
    double step = p->duration_s / (double)d->n_columns;
    double start = fmax(0, s->start_s), end = fmin(p->duration_s, s->end_s);
    bool voice = s->label >= 0 && (size_t)s->label < p->n_labels;
    size_t bin = voice ? (size_t)s->label : p->n_labels;
    if (!(end > start))
        return;
    d->shares[bin] += (end - start) / p->duration_s;
    for (size_t i = (size_t)(start / step); i < d->n_columns && (double)i * step < end; i++) {
        double overlap = fmin(end, (double)(i + 1) * step) - fmax(start, (double)i * step);
        if (!(overlap > 0))
            continue;
        timeline_column *column = &d->columns[i];
        bool whole = overlap > step / 2;
        column->label_time[bin] += overlap;
        for (size_t k = 0; k < p->n_labels; k++) {
            float score = voice ? s->scores[k] : 0;
            if (whole)
                column->scores[k] = score;
            else if (!column->whole)
                column->scores[k] += (float)(score * overlap / step);
        }
        column->whole |= whole;
    }
}

static ser_status gather(timeline_data **out, const ser_timeline_picture *p, ser_error *err)
{
    timeline_data *d = ser_alloc(1, sizeof *d);
    *out = d;
    if (d) {
        d->n_columns = p->n_segments > N_CLEAR ? WIDTH / BROAD_COLUMN : WIDTH;
        d->scores = ser_alloc(d->n_columns * p->n_labels, sizeof *d->scores);
        d->label_times = ser_alloc(d->n_columns * (p->n_labels + 1), sizeof *d->label_times);
    }
    if (!d || !d->scores || !d->label_times) {
        timeline_data_free(out);
        return ser_fail_nomem(err);
    }
    for (size_t i = 0; i < d->n_columns; i++) {
        d->columns[i].scores = d->scores + i * p->n_labels;
        d->columns[i].label_time = d->label_times + i * (p->n_labels + 1);
    }
    for (size_t i = 0; i < p->n_segments; i++)
        spread_segment(d, p, &p->segments[i]);
    for (size_t i = 0; i < d->n_columns; i++) {
        timeline_column *column = &d->columns[i];
        size_t best = p->n_labels;
        for (size_t k = 0; k < p->n_labels; k++)
            if (column->label_time[k] > column->label_time[best])
                best = k;
        column->label = best == p->n_labels ? -1 : (int)best;
    }
    return SER_OK;
}

static double x_of(const timeline_data *d, size_t column)
{
    return LEFT + WIDTH * (double)column / (double)d->n_columns;
}

/* The first column after from whose label differs. */
static size_t run_end(const timeline_data *d, size_t from)
{
    size_t i = from + 1;
    while (i < d->n_columns && d->columns[i].label == d->columns[from].label)
        i++;
    return i;
}

static const char *label_name(const ser_timeline_picture *p, int label)
{
    return label < 0 ? NULL : p->labels[label];
}

/* m:ss, h:mm:ss, or seconds with a decimal where a step is shorter than one. */
static void format_time(char text[32], double seconds, double step, double duration_s)
{
    long s = lround(seconds);
    if (duration_s < 60)
        snprintf(text, 32, "%.*f s", step < 0.1 ? 2 : step < 1, seconds);
    else if (duration_s < 3600)
        snprintf(text, 32, "%ld:%02ld", s / 60, s % 60);
    else
        snprintf(text, 32, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
}

static double time_step(double duration_s)
{
    static const double steps[] = {5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600};
    if (duration_s <= 20)
        return ser_chart_step(duration_s, 10);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        if (duration_s / steps[i] <= 11)
            return steps[i];
    return ser_chart_step(duration_s, 10);
}

static void draw_time_axis(ser_chart *c, double duration_s, double top, double bottom)
{
    double step = time_step(duration_s);
    ser_text_look look = {.size = 11.5, .colour = ser_muted, .anchor = SER_ANCHOR_MIDDLE};
    for (int i = 0; i * step <= duration_s * (1 + 1e-9); i++) {
        char text[32];
        double x = LEFT + WIDTH * i * step / duration_s;
        format_time(text, i * step, step, duration_s);
        ser_chart_line(c, x, top, x, bottom + 5, 1, ser_colour_faded(ser_grid, 0.7), false);
        ser_chart_text(c, x, bottom + 20, text, look);
    }
}

static double peak_at(const ser_timeline_picture *p, size_t pixel, float loudest)
{
    size_t first = pixel * p->n_peaks / WIDTH, end = (pixel + 1) * p->n_peaks / WIDTH;
    float peak = 0;
    for (size_t i = first; (i < end || i == first) && i < p->n_peaks; i++)
        peak = fmaxf(peak, p->peaks[i]);
    return loudest > 0 ? fmin(1, peak / loudest) : 0;
}

static void draw_loudness(ser_chart *c, const ser_timeline_picture *p, const timeline_data *d, double top)
{
    double outline[2 * WIDTH + 2][2], middle = top + LOUDNESS / 2.0;
    float loudest = 0;
    for (size_t i = 0; i < p->n_peaks; i++)
        loudest = fmaxf(loudest, p->peaks[i]);
    for (size_t i = 0, end; i < d->n_columns; i = end) {
        end = run_end(d, i);
        size_t first = i * WIDTH / d->n_columns, last = end * WIDTH / d->n_columns;
        size_t n = 2 * (last - first + 1);
        for (size_t k = 0; k <= last - first; k++) {
            double half = fmax(0.5, peak_at(p, first + k, loudest) * LOUDNESS / 2);
            outline[k][0] = outline[n - 1 - k][0] = LEFT + (double)(first + k);
            outline[k][1] = middle - half;
            outline[n - 1 - k][1] = middle + half;
        }
        const char *label = label_name(p, d->columns[i].label);
        ser_colour colour = ser_colour_of_label(label, (size_t)d->columns[i].label);
        ser_chart_polygon(c, outline, n, label ? colour : ser_colour_faded(colour, 0.7));
    }
}

static void draw_band(ser_chart *c, const ser_timeline_picture *p, const timeline_data *d, double top)
{
    double seconds = p->duration_s / (double)d->n_columns;
    for (size_t i = 0, end; i < d->n_columns; i = end) {
        end = run_end(d, i);
        int label = d->columns[i].label;
        const char *name = label_name(p, label);
        char tip[160], from[32], to[32];
        double x = x_of(d, i), width = x_of(d, end) - x;
        format_time(from, (double)i * seconds, 0.1, p->duration_s);
        format_time(to, (double)end * seconds, 0.1, p->duration_s);
        snprintf(tip, sizeof tip, "%.80s, %s to %s", name ? name : "no voice", from, to);
        ser_colour colour = ser_colour_of_label(name, (size_t)label);
        ser_chart_rect(c, x, top, width, BAND, colour, tip);
        if (!name || ser_chart_text_width(name, 12) > width - 6)
            continue;
        ser_text_look look = {.size = 12, .colour = ser_colour_on(colour), .anchor = SER_ANCHOR_MIDDLE};
        ser_chart_text(c, x + width / 2, top + BAND / 2.0 + 4, name, look);
    }
}

static double stacked(const timeline_data *d, size_t column, size_t n_scores)
{
    double sum = 0;
    for (size_t k = 0; k < n_scores; k++)
        sum += d->columns[column].scores[k];
    return fmin(sum, 1);
}

/* The area of label k between the sums of the scores below it and with it. Columns that equal the one before
 * add no point, so that a short recording stays a small picture. */
static void draw_score(ser_chart *c, const ser_timeline_picture *p, const timeline_data *d, size_t k,
                       double top)
{
    double outline[4 * WIDTH][2];
    size_t n = 0;
    for (size_t side = 0; side < 2; side++) /* the upper edge to the right, the lower one back */
        for (size_t j = 0, end; j < d->n_columns; j = end) {
            size_t i = side ? d->n_columns - 1 - j : j;
            double y = top + SCORES * (1 - stacked(d, i, k + 1 - side));
            for (end = j + 1; end < d->n_columns; end++) {
                size_t next = side ? d->n_columns - 1 - end : end;
                if (stacked(d, next, k) != stacked(d, i, k) ||
                    stacked(d, next, k + 1) != stacked(d, i, k + 1))
                    break;
            }
            outline[n][0] = x_of(d, side ? d->n_columns - j : j);
            outline[n + 1][0] = x_of(d, side ? d->n_columns - end : end);
            outline[n][1] = outline[n + 1][1] = y;
            n += 2;
        }
    ser_chart_polygon(c, outline, n, ser_colour_of_label(p->labels[k], k));
}

static void draw_score_axis(ser_chart *c, double top)
{
    ser_chart_line(c, LEFT, top + SCORES / 2.0, LEFT + WIDTH, top + SCORES / 2.0, 1,
                   ser_colour_faded(ser_white, 0.5), false);
    ser_chart_line(c, LEFT, top + SCORES, LEFT + WIDTH, top + SCORES, 1, ser_muted, false);
    ser_text_look look = {.size = 11.5, .colour = ser_muted, .anchor = SER_ANCHOR_END};
    for (int percent = 0; percent <= 100; percent += 50) {
        char text[16];
        double y = top + SCORES * (1 - percent / 100.0);
        snprintf(text, sizeof text, "%d %%", percent);
        ser_chart_text(c, LEFT - 8, y + 4, text, look);
    }
}

/* Swatches with names and shares of the time; returns the height, also with c NULL, which only measures. */
static double legend(ser_chart *c, const ser_timeline_picture *p, const double *shares, double top)
{
    static const char what[] = "Share of the time:";
    ser_flow flow = {.left = LEFT, .right = LEFT + WIDTH, .line = LEGEND_LINE, .x = LEFT, .y = top};
    double at = ser_flow_place(&flow, ser_chart_text_width(what, 12) + 12);
    if (c)
        ser_chart_text(c, at, flow.y + 11, what, (ser_text_look){.size = 12, .colour = ser_muted});
    for (size_t k = 0; k <= p->n_labels; k++) {
        const char *name = k < p->n_labels ? p->labels[k] : NULL;
        char text[128];
        if (!name && shares[k] < 0.005) /* "0 %" */
            continue;
        snprintf(text, sizeof text, "%.80s %.0f %%", name ? name : "no voice", 100 * shares[k]);
        double x = ser_flow_place(&flow, 20 + ser_chart_text_width(text, 12) + 12);
        if (c) {
            ser_chart_rect(c, x, flow.y, 13, 13, ser_colour_of_label(name, k), NULL);
            ser_chart_text(c, x + 20, flow.y + 11, text, (ser_text_look){.size = 12, .colour = ser_ink});
        }
    }
    return flow.y + LEGEND_LINE - top;
}

static ser_status draw(ser_chart **out, ser_chart_format format, const ser_timeline_picture *p,
                       const timeline_data *d, ser_error *err)
{
    double heading = ser_chart_heading_height(p->title, p->subtitle);
    double loudness = p->n_peaks ? LOUDNESS + GAP : 0;
    double top = heading + legend(NULL, p, d->shares, 0) + GAP, band = top + loudness,
           scores = band + BAND + GAP;
    double width = LEFT + WIDTH + RIGHT, bottom = scores + SCORES;
    ser_chart *c;
    ser_status st =
        ser_chart_new(&c, format, width, bottom + 40, p->title ? p->title : "Emotion over time", err);
    if (st != SER_OK)
        return st;
    ser_chart_heading(c, 24, width - 48, p->title, p->subtitle);
    legend(c, p, d->shares, heading);
    draw_time_axis(c, p->duration_s, top, bottom);
    ser_text_look name = {.size = 12, .colour = ser_muted, .anchor = SER_ANCHOR_MIDDLE, .angle = 90};
    if (p->n_peaks) {
        draw_loudness(c, p, d, top);
        ser_chart_text(c, 24, top + LOUDNESS / 2.0, "Loudness", name);
    }
    draw_band(c, p, d, band);
    for (size_t k = 0; k < p->n_labels; k++)
        draw_score(c, p, d, k, scores);
    draw_score_axis(c, scores);
    ser_chart_text(c, 24, scores + SCORES / 2.0, "Scores", name);
    *out = c;
    return SER_OK;
}

ser_status ser_draw_timeline(ser_chart **out, ser_chart_format format, const ser_timeline_picture *p,
                             ser_error *err)
{
    *out = NULL;
    if (!(p->duration_s > 0) || !isfinite(p->duration_s) || p->n_labels < 1 || p->n_labels > SER_MAX_LABELS)
        return ser_fail(err, SER_E_ARG,
                        "a timeline needs a duration and 1 to %d emotions: it has %g s and %zu",
                        SER_MAX_LABELS, p->duration_s, p->n_labels);
    timeline_data *d;
    ser_status st = gather(&d, p, err);
    if (st == SER_OK)
        st = draw(out, format, p, d, err);
    timeline_data_free(&d);
    return st;
}
