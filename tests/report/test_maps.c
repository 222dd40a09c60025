/* Maps of two corpora, and losses by epoch. */
#include "base/random.h"
#include "drawing.h"

#include <unistd.h>

static const char *const labels[] = {"angry", "happy", "sad"};

static ser_text map_in(ser_chart_format format, const ser_map_picture *p)
{
    ser_error err = {0};
    ser_chart *c = NULL;
    ser_status st = ser_draw_map(&c, format, p, &err);
    return finish(st, &c, &err);
}

/* Three dots in a corner, as far apart as 4 to 1, and a ring of an unknown emotion in the last. */
static const float corner[] = {0, 0, 4, 0, 0, 1, 4, 1}, nowhere[] = {NAN, 0, 0, INFINITY, 2, 2, 2, 2};
static const int map_label[] = {0, 1, 2, -1};
static const unsigned char map_target[] = {0, 0, 0, 1};
static const ser_map_panel map_panels[] = {{"t-SNE <b>", corner}, {NULL, nowhere}};
static const ser_map_picture map = {.title = "EMODB to RAVDESS",
                                    .panels = map_panels,
                                    .n_panels = 2,
                                    .n_columns = 2,
                                    .n = 4,
                                    .label = map_label,
                                    .is_target = map_target,
                                    .labels = labels,
                                    .n_labels = 3,
                                    .source_name = "EMODB",
                                    .target_name = "<target>"};

/* The place of the first dot of a label. */
static void find_dot(double xy[2], const char *svg, size_t label)
{
    char colour[32];
    ser_colour c = ser_colour_of_label(labels[label], label);
    snprintf(colour, sizeof colour, "stroke=\"#%02x%02x%02x\"", c.red, c.green, c.blue);
    xy[0] = xy[1] = NAN;
    const char *end = strstr(svg, colour), *s = end;
    while (s && s > svg && strncmp(s, "d=\"M", 4) != 0)
        s--;
    CHECK(s && sscanf(s, "d=\"M%lf %lfh.01\"", &xy[0], &xy[1]) == 2);
}

static void test_map(void)
{
    ser_text svg = map_in(SER_CHART_SVG, &map), again = map_in(SER_CHART_SVG, &map);
    CHECK(svg.n == again.n && memcmp(svg.s, again.s, svg.n) == 0);
    CHECK(count(svg.s, "h.01") == 3 + 1 + 1 && count(svg.s, "fill=\"none\" stroke-width=\"2\"") == 2);
    CHECK(count(svg.s, "0 1 0") == 2 * (2 + 1)); /* rings, two arcs each: one per panel and the legend's */
    CHECK(count(svg.s, ">angry</text>") == 1 && count(svg.s, ">sad</text>") == 1 &&
          count(svg.s, ">unknown</text>") == 1 && count(svg.s, "stroke=\"#5d6673\"") == 2);
    CHECK(count(svg.s, ">source: EMODB (3)</text>") == 1 &&
          count(svg.s, ">target: &lt;target&gt; (1)</text>") == 1 &&
          count(svg.s, ">t-SNE &lt;b&gt;</text>") == 1);
    CHECK(!strstr(svg.s, "nan") && !strstr(svg.s, "inf"));
    double origin[2], right[2], up[2];
    find_dot(origin, svg.s, 0);
    find_dot(right, svg.s, 1);
    find_dot(up, svg.s, 2);
    CHECK(right[0] > origin[0] + 100 && right[1] == origin[1] && up[0] == origin[0]);
    CHECK(fabs((right[0] - origin[0]) - 4 * (origin[1] - up[1])) <= 4); /* both ways alike, to half a pixel */
    ser_text html = map_in(SER_CHART_HTML, &map);
    CHECK(strstr(html.s, "stroke:var(--grid)"));
    ser_text_release(&svg);
    ser_text_release(&again);
    ser_text_release(&html);
}

enum { MANY = 2500 };
static float many_xy[2 * MANY];
static int many_labels[MANY];
static unsigned char many_targets[MANY];

/* As many as t-SNE takes, all over four panels. */
static ser_map_picture crowd(void)
{
    static const ser_map_panel panels[] = {{"1", many_xy}, {"2", many_xy}, {"3", many_xy}, {"4", many_xy}};
    ser_map_picture p = map;
    ser_random r;
    ser_random_init(&r, 46);
    for (size_t i = 0; i < MANY; i++) {
        many_xy[2 * i] = (float)ser_random_uniform(&r);
        many_xy[2 * i + 1] = (float)ser_random_uniform(&r);
        many_labels[i] = (int)ser_random_below(&r, 3);
        many_targets[i] = i >= MANY / 2;
    }
    p.panels = panels;
    p.n_panels = 4;
    p.n = MANY;
    p.label = many_labels;
    p.is_target = many_targets;
    return p;
}

/* Neither corpus lies on top of the other, although all of one come first. */
static void test_crowded_map(void)
{
    ser_map_picture p = crowd();
    ser_text png = map_in(SER_CHART_PNG, &p), svg = map_in(SER_CHART_SVG, &p);
    CHECK(png.n < 1000000 && svg.n < 2000000);
    CHECK(count(svg.s, "h.01") == 4 * MANY / 2 + 1 && count(svg.s, "0 1 0") == 2 * (4 * MANY / 2 + 1));
    size_t n_turns = 0;
    bool ring = true;
    for (const char *s = strstr(svg.s, "<path"); s; s = strstr(s + 1, "<path")) {
        size_t place = strlen("<path d=\""), letter = place + strcspn(s + place, "ahZ");
        bool is_ring = s[letter] == 'a';
        n_turns += is_ring != ring;
        ring = is_ring;
    }
    CHECK(n_turns > 4 * 10);
    ser_text_release(&png);
    ser_text_release(&svg);
}

static void test_odd_maps(void)
{
    ser_map_picture p = map;
    ser_error err = {0};
    ser_chart *c = NULL;
    static const int bad[] = {0, 3, 0, 0}, known[] = {0, 0, 0, 0};
    p.label = bad;
    CHECK_FAILS(ser_draw_map(&c, SER_CHART_SVG, &p, &err), SER_E_ARG, &err, "label 3, of 3");
    p.label = known;
    p.n_columns = 3; /* more than panels */
    ser_text svg = map_in(SER_CHART_SVG, &p);
    CHECK(!strstr(svg.s, "unknown") && !strstr(svg.s, ">sad<"));
    ser_text_release(&svg);
    p.n = 0;
    CHECK_FAILS(ser_draw_map(&c, SER_CHART_SVG, &p, &err), SER_E_ARG, &err, "no map");
    p = map;
    p.n_columns = 0;
    CHECK_FAILS(ser_draw_map(&c, SER_CHART_SVG, &p, &err), SER_E_ARG, &err, "no map");
    p = map;
    p.n_panels = 0;
    CHECK_FAILS(ser_draw_map(&c, SER_CHART_SVG, &p, &err), SER_E_ARG, &err, "no map");
}

static ser_text losses_in(const ser_losses_picture *p)
{
    ser_error err = {0};
    ser_chart *c = NULL;
    ser_status st = ser_draw_losses(&c, SER_CHART_SVG, p, &err);
    return finish(st, &c, &err);
}

static const double falling[] = {50, 1.5, 1, 0.5}, steady[] = {1.6, 1.62, 1.61, 1.6}, gap[] = {2, NAN, 1, 2},
                    zeros[] = {0, 0, 0, 0}, missing[] = {NAN, INFINITY};
static const ser_loss_panel loss_panels[] = {
    {"Source <CE>", "nats", {{"adapted", falling, 4}, {"source only", gap, 4}}, 2},
    {"Nothing", "nats", {{"adapted", NULL, 0}, {"other", missing, 2}}, 2},
    {"Evenness", NULL, {{"adapted", steady, 4}}, 1},
    {"LMMD", NULL, {{"adapted", zeros, 4}}, 1}};
static const ser_losses_picture losses = {"T", "S", loss_panels, 4};

static void test_losses(void)
{
    ser_text svg = losses_in(&losses);
    CHECK(count(svg.s, ">adapted</text>") == 1 && count(svg.s, ">source only</text>") == 1);
    CHECK(count(svg.s, ">Source &lt;CE&gt;</text>") == 1 && count(svg.s, ">Evenness</text>") == 1 &&
          count(svg.s, ">LMMD</text>") == 1 && count(svg.s, ">nats</text>") == 1);
    CHECK(!strstr(svg.s, "Nothing") && !strstr(svg.s, "other") && !strstr(svg.s, "nan") &&
          !strstr(svg.s, "inf"));
    CHECK(count(svg.s, "<path") == 4 && count(svg.s, "<rect") == 1 + 1); /* the value before the gap alone */
    CHECK(count(svg.s, ">6</text>") == 1 && !strstr(svg.s, ">50</text>"));   /* not up to the first epoch's */
    CHECK(strstr(svg.s, ">1.600</text>") && strstr(svg.s, ">1.620</text>")); /* a range of its own */
    CHECK(count(svg.s, ">1.0</text>") == 1 && count(svg.s, ">Epoch</text>") == 1);
    ser_text_release(&svg);
    ser_losses_picture nothing = losses;
    ser_error err = {0};
    ser_chart *c = NULL;
    nothing.panels++;
    nothing.n_panels = 1;
    CHECK_FAILS(ser_draw_losses(&c, SER_CHART_SVG, &nothing, &err), SER_E_ARG, &err, "no epoch");
}

static void test_files(void)
{
    char folder[] = "/tmp/ser-test-maps-XXXXXX", path[80];
    ser_error err = {0};
    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/map.svg", folder);
    CHECK_OK(ser_picture_save(path, SER_PICTURE_MAP, &map, &err), &err);
    CHECK(unlink(path) == 0);
    snprintf(path, sizeof path, "%s/losses.png", folder);
    CHECK_OK(ser_picture_save(path, SER_PICTURE_LOSSES, &losses, &err), &err);
    CHECK(unlink(path) == 0);
    snprintf(path, sizeof path, "%s/map.pdf", folder);
    CHECK_FAILS(ser_picture_save(path, SER_PICTURE_MAP, &map, &err), SER_E_ARG, &err, ".png or .svg");
    CHECK(rmdir(folder) == 0);
}

static ser_status draw_map(ser_chart **c)
{
    return ser_draw_map(c, SER_CHART_SVG, &map, NULL);
}

static ser_status draw_losses(ser_chart **c)
{
    return ser_draw_losses(c, SER_CHART_PNG, &losses, NULL);
}

int main(void)
{
    test_map();
    test_crowded_map();
    test_odd_maps();
    test_losses();
    test_files();
    check_out_of_memory(draw_map);
    check_out_of_memory(draw_losses);
    return test_summary();
}
