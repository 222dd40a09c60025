#include "drawing.h"

#include <cairo.h>
#include <unistd.h>

static const char *const labels[] = {"angry", "<happy & \xFF>", "sad"};
static const size_t counts[] = {8, 2, 0, 0, 10, 0, 0, 0, 0};
static const ser_confusion_picture confusion = {
    .title = "EMODB", .subtitle = "a \"subtitle\"", .labels = labels, .n_labels = 3, .counts = counts};

static const ser_segment segments[] = {{.start_s = 0, .end_s = 6, .label = 0, .scores = {0.5f, 0.3f, 0.2f}},
                                       {.start_s = 6, .end_s = 8, .label = -1},
                                       {.start_s = 8, .end_s = 10, .label = 2, .scores = {0.1f, 0.1f, 0.8f}}};
static const float peaks[] = {0.1f, 0.5f, 0.3f};
static const ser_timeline_picture timeline = {.title = "a.wav",
                                              .labels = labels,
                                              .n_labels = 3,
                                              .segments = segments,
                                              .n_segments = 3,
                                              .duration_s = 10,
                                              .peaks = peaks,
                                              .n_peaks = 3};

static ser_text confusion_in(ser_chart_format format, const ser_confusion_picture *p)
{
    ser_error err = {0};
    ser_chart *c = NULL;
    ser_status st = ser_draw_confusion(&c, format, p, &err);
    return finish(st, &c, &err);
}

static ser_text timeline_in(ser_chart_format format, const ser_timeline_picture *p)
{
    ser_error err = {0};
    ser_chart *c = NULL;
    ser_status st = ser_draw_timeline(&c, format, p, &err);
    return finish(st, &c, &err);
}

static void test_confusion_svg(void)
{
    ser_text svg = confusion_in(SER_CHART_SVG, &confusion), again = confusion_in(SER_CHART_SVG, &confusion);
    CHECK(svg.n == again.n && memcmp(svg.s, again.s, svg.n) == 0);
    CHECK(strncmp(svg.s, "<svg ", 5) == 0 && strcmp(svg.s + svg.n - 7, "</svg>\n") == 0);
    CHECK(count(svg.s, "<rect") == 1 + 9); /* the paper and the cells */
    CHECK(count(svg.s, ">80 %</text>") == 1 && count(svg.s, ">20 %</text>") == 1 &&
          count(svg.s, ">100 %</text>") == 1 && count(svg.s, ">n = 10</text>") == 2 &&
          count(svg.s, ">n = 0</text>") == 1);
    CHECK(count(svg.s, ">&lt;happy &amp; \xEF\xBF\xBD&gt;</text>") == 2); /* a row and a column */
    CHECK(count(svg.s, "angry taken for &lt;happy &amp; \xEF\xBF\xBD&gt;: 2 of 10 (20.0 %)") == 1);
    CHECK(!strstr(svg.s, "var(--"));
    ser_text html = confusion_in(SER_CHART_HTML, &confusion);
    CHECK(strstr(html.s, "fill:var(--ink)") && count(html.s, "<rect") == 9);
    ser_text_release(&svg);
    ser_text_release(&again);
    ser_text_release(&html);
}

typedef struct byte_source {
    const char *bytes;
    size_t n;
} byte_source;

static cairo_status_t read_bytes(void *context, unsigned char *out, unsigned n)
{
    byte_source *source = context;
    if (n > source->n)
        return CAIRO_STATUS_READ_ERROR;
    memcpy(out, source->bytes, n);
    source->bytes += n;
    source->n -= n;
    return CAIRO_STATUS_SUCCESS;
}

static size_t count_pixels(cairo_surface_t *image, unsigned rgb)
{
    size_t n = 0;
    const unsigned char *data = cairo_image_surface_get_data(image);
    for (int y = 0; y < cairo_image_surface_get_height(image); y++)
        for (int x = 0; x < cairo_image_surface_get_width(image); x++) {
            unsigned pixel;
            memcpy(&pixel, data + (size_t)y * (size_t)cairo_image_surface_get_stride(image) + 4 * (size_t)x,
                   4);
            n += (pixel & 0xFFFFFF) == rgb;
        }
    return n;
}

/* A PNG has twice the SVG's size, its background is white to the last pixel, and a full cell is blue. */
static void test_confusion_png(void)
{
    ser_text png = confusion_in(SER_CHART_PNG, &confusion), again = confusion_in(SER_CHART_PNG, &confusion);
    CHECK(png.n == again.n && memcmp(png.s, again.s, png.n) == 0);
    ser_text svg = confusion_in(SER_CHART_SVG, &confusion);
    byte_source source = {png.s, png.n};
    cairo_surface_t *image = cairo_image_surface_create_from_png_stream(read_bytes, &source);
    CHECK(cairo_surface_status(image) == CAIRO_STATUS_SUCCESS);
    int width = cairo_image_surface_get_width(image), height = cairo_image_surface_get_height(image);
    char size[64];
    snprintf(size, sizeof size, "viewBox=\"0 0 %d %d\"", width / 2, height / 2);
    CHECK(strstr(svg.s, size));
    CHECK(count_pixels(image, 0x1a66c2) > 128 * 128 / 2); /* a cell of 64 by 64, less its letters */
    unsigned last;
    memcpy(&last,
           cairo_image_surface_get_data(image) +
               (size_t)(height - 1) * (size_t)cairo_image_surface_get_stride(image) + 4 * (size_t)(width - 1),
           4);
    CHECK((last & 0xFFFFFF) == 0xFFFFFF);
    cairo_surface_destroy(image);
    ser_text_release(&png);
    ser_text_release(&again);
    ser_text_release(&svg);
}

static void test_confusion_sizes(void)
{
    static size_t many[SER_MAX_LABELS * SER_MAX_LABELS];
    const char *names[SER_MAX_LABELS];
    ser_chart *c = NULL;
    ser_error err = {0};
    ser_confusion_picture p = {.labels = names, .counts = many};
    for (size_t i = 0; i < SER_MAX_LABELS; i++)
        names[i] = "a rather long name of an emotion";
    for (p.n_labels = 1; p.n_labels <= SER_MAX_LABELS; p.n_labels += 21) {
        ser_text svg = confusion_in(SER_CHART_SVG, &p);
        CHECK(count(svg.s, "<rect") == 1 + p.n_labels * p.n_labels && !strstr(svg.s, "nan"));
        ser_text_release(&svg);
    }
    p.n_labels = 0;
    CHECK_FAILS(ser_draw_confusion(&c, SER_CHART_SVG, &p, &err), SER_E_ARG, &err, "0 emotions");
    p.n_labels = SER_MAX_LABELS + 1;
    CHECK_FAILS(ser_draw_confusion(&c, SER_CHART_SVG, &p, &err), SER_E_ARG, &err, "65 emotions");
}

static void test_reliability(void)
{
    ser_reliability r = {.ece = 3};
    r.count[14] = 30;
    r.confidence[14] = 0.97;
    r.accuracy[14] = 0.9;
    r.count[9] = 10;
    r.confidence[9] = 0.63;
    r.accuracy[9] = 0.8;
    ser_reliability_picture p = {.title = "T", .subtitle = "S", .reliability = &r};
    ser_error err = {0};
    ser_chart *c = NULL;
    ser_status st = ser_draw_reliability(&c, SER_CHART_SVG, &p, &err);
    ser_text svg = finish(st, &c, &err);
    CHECK(count(svg.s, "30 answers (75.0 %), mean confidence 97.0 %, right 90.0 %") ==
          3); /* bar, gap, number */
    CHECK(count(svg.s, "10 answers (25.0 %)") == 3 && count(svg.s, ">100 %</text>") == 2);
    ser_text_release(&svg);
    r = (ser_reliability){0};
    st = ser_draw_reliability(&c, SER_CHART_SVG, &p, &err);
    svg = finish(st, &c, &err);
    CHECK(!strstr(svg.s, "nan") && !strstr(svg.s, "answers ("));
    ser_text_release(&svg);
}

static void test_timeline(void)
{
    ser_text svg = timeline_in(SER_CHART_SVG, &timeline);
    CHECK(count(svg.s, ">Share of the time:</text>") == 1 && count(svg.s, ">angry 60 %</text>") == 1 &&
          count(svg.s, ">no voice 20 %</text>") == 1 && count(svg.s, ">sad 20 %</text>") == 1 &&
          count(svg.s, "; 0 %</text>") == 1);
    CHECK(count(svg.s, "<title>angry, 0.0 s to 6.0 s</title>") == 1 &&
          count(svg.s, "<title>no voice, 6.0 s to 8.0 s</title>") == 1);
    CHECK(count(svg.s, ">angry</text>") == 1 && count(svg.s, ">sad</text>") == 1);
    CHECK(count(svg.s, "<path") == 3 + 3); /* loudness of each segment, scores of each label */
    CHECK(count(svg.s, ">10 s</text>") == 1 && count(svg.s, ">Loudness</text>") == 1);
    ser_text_release(&svg);
    ser_timeline_picture p = timeline;
    p.peaks = NULL;
    p.n_peaks = 0;
    svg = timeline_in(SER_CHART_SVG, &p);
    CHECK(count(svg.s, "<path") == 3 && !strstr(svg.s, "Loudness"));
    ser_text_release(&svg);
}

/* The corners of the n-th polygon: two numbers each. */
static size_t n_corners(const char *svg, int n)
{
    const char *path = svg;
    for (; n >= 0 && path; n--)
        path = strstr(path + 1, "<path d=");
    size_t n_spaces = 0;
    for (path = path ? path + 9 : ""; *path && *path != 'Z'; path++)
        n_spaces += *path == ' ';
    return (n_spaces + 1) / 2;
}

/* A border between two segments is one step, also where it lies inside a pixel: two runs above, two below. */
static void test_sharp_borders(void)
{
    ser_segment two[] = {{.start_s = 0, .end_s = 4.9973, .label = 0, .scores = {1, 0, 0}},
                         {.start_s = 4.9973, .end_s = 10, .label = 1, .scores = {0, 1, 0}}};
    ser_timeline_picture p = timeline;
    p.segments = two;
    p.n_segments = 2;
    p.n_peaks = 0;
    for (int order = 0; order < 2; order++) {
        two[order].label = 0;
        two[!order].label = 1;
        two[order].scores[0] = two[!order].scores[1] = 1;
        two[order].scores[1] = two[!order].scores[0] = 0;
        ser_text svg = timeline_in(SER_CHART_SVG, &p);
        CHECK(n_corners(svg.s, 0) == 8);
        ser_text_release(&svg);
    }
}

static void test_colours(void)
{
    CHECK(ser_colour_on(ser_white).red == ser_ink.red && ser_colour_on(ser_ink).red == 0xFF &&
          ser_colour_on(ser_blue).red == 0xFF &&
          ser_colour_on(ser_colour_of_label("happy", 0)).red == ser_ink.red);
    CHECK(ser_colour_of_label("angry", 0).red == ser_colour_of_label("angry", 5).red);
    CHECK(ser_colour_of_label("x", 0).green != ser_colour_of_label("x", 1).green);
}

/* A day of ten thousand segments is as large a picture as a minute, and says the same shares. */
static void test_long_timeline(void)
{
    static ser_segment many[10000];
    for (size_t i = 0; i < 10000; i++)
        many[i] = (ser_segment){.start_s = 8.64 * (double)i,
                                .end_s = 8.64 * (double)(i + 1),
                                .label = i % 2 ? 2 : 0,
                                .scores = {i % 2 ? 0.0f : 1.0f, 0, i % 2 ? 1.0f : 0.0f}};
    ser_timeline_picture p = timeline;
    p.segments = many;
    p.n_segments = 10000;
    p.duration_s = 86400;
    ser_text svg = timeline_in(SER_CHART_SVG, &p);
    CHECK(svg.n < 100000 && count(svg.s, ">angry 50 %</text>") == 1 && count(svg.s, ">24:00:00</text>") == 1);
    ser_text_release(&svg);
}

/* What a broken caller could pass does not break the picture. */
static void test_odd_timelines(void)
{
    const ser_segment odd[] = {{.start_s = -5, .end_s = 3, .label = 1, .scores = {NAN, 1, 0}},
                               {.start_s = 8, .end_s = 1e9, .label = 77},
                               {.start_s = 5, .end_s = 4, .label = 0},
                               {.start_s = NAN, .end_s = NAN, .label = 0},
                               {.start_s = 1e300, .end_s = INFINITY, .label = 0}};
    ser_timeline_picture p = timeline;
    p.segments = odd;
    p.n_segments = 5;
    ser_text svg = timeline_in(SER_CHART_SVG, &p);
    CHECK(!strstr(svg.s, "nan") && !strstr(svg.s, "inf"));
    ser_text_release(&svg);
    ser_error err = {0};
    ser_chart *c = NULL;
    p.duration_s = 0;
    CHECK_FAILS(ser_draw_timeline(&c, SER_CHART_PNG, &p, &err), SER_E_ARG, &err, "a duration");
    p.duration_s = NAN;
    CHECK_FAILS(ser_draw_timeline(&c, SER_CHART_PNG, &p, &err), SER_E_ARG, &err, "a duration");
}

static void test_steps(void)
{
    CHECK(ser_chart_step(10, 10) == 1 && ser_chart_step(95, 10) == 10 && ser_chart_step(100.1, 5) == 50);
    CHECK(fabs(ser_chart_step(0.37, 10) - 0.05) < 1e-12 && ser_chart_step(0, 10) == 1 &&
          ser_chart_step(NAN, 10) == 1);
}

static void test_files(void)
{
    char folder[] = "/tmp/ser-test-pictures-XXXXXX", path[80], full[80];
    ser_error err = {0};
    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/a.PNG", folder);
    CHECK_OK(ser_picture_save(path, SER_PICTURE_CONFUSION, &confusion, &err), &err);
    CHECK(access(path, R_OK) == 0);
    unlink(path);
    snprintf(full, sizeof full, "%s/full.svg", folder); /* a disk without any space */
    CHECK(symlink("/dev/full", full) == 0);
    CHECK_FAILS(ser_picture_save(full, SER_PICTURE_TIMELINE, &timeline, &err), SER_E_IO, &err,
                "free some space");
    unlink(full);
    snprintf(path, sizeof path, "%s/a.gif", folder);
    CHECK_FAILS(ser_picture_save(path, SER_PICTURE_CONFUSION, &confusion, &err), SER_E_ARG, &err,
                ".png or .svg");
    snprintf(path, sizeof path, "%s/none/a.svg", folder);
    CHECK_FAILS(ser_picture_save(path, SER_PICTURE_CONFUSION, &confusion, &err), SER_E_IO, &err, "folder");
    CHECK(rmdir(folder) == 0); /* nothing was left behind */
}

static ser_status draw_timeline(ser_chart **c)
{
    return ser_draw_timeline(c, SER_CHART_SVG, &timeline, NULL);
}

static ser_status draw_confusion(ser_chart **c)
{
    return ser_draw_confusion(c, SER_CHART_PNG, &confusion, NULL);
}

/* Rows and columns of their own; frames where an answer counts as right, and a word where none does. */
static void test_two_sets_of_emotions(void)
{
    static const char *const answers[] = {"angry", "bored"};
    static const size_t cells[] = {6, 2, 1, 4, 0, 3};
    static const bool right[] = {true, false, true, true, false, false};
    const ser_matrix matrix = {labels, answers, 3, 2, cells, right};
    ser_confusion_picture p = {.title = "A to B", .matrix = &matrix};
    ser_text svg = confusion_in(SER_CHART_SVG, &p);
    CHECK(count(svg.s, "<rect") == 1 + 6 && count(svg.s, "<line") == 3 * 4);
    CHECK(count(svg.s, "not scored") == 1 && count(svg.s, ">bored<") == 1 && count(svg.s, "n = 8<") == 1);
    CHECK(strstr(svg.s, "sad taken for bored: 3 of 3 (100.0 %)") != NULL);
    ser_text_release(&svg);
    ser_text png = confusion_in(SER_CHART_PNG, &p);
    CHECK(png.n > 1000);
    ser_text_release(&png);
    /* Within one set of emotions there are no frames. */
    svg = confusion_in(SER_CHART_SVG, &confusion);
    CHECK(count(svg.s, "<line") == 0 && count(svg.s, "not scored") == 0);
    ser_text_release(&svg);
}

int main(void)
{
    test_two_sets_of_emotions();
    test_confusion_svg();
    test_confusion_png();
    test_confusion_sizes();
    test_reliability();
    test_timeline();
    test_sharp_borders();
    test_colours();
    test_long_timeline();
    test_odd_timelines();
    test_steps();
    test_files();
    check_out_of_memory(draw_timeline);
    check_out_of_memory(draw_confusion);
    return test_summary();
}
