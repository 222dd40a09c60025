#include "model/smoothing.h"
#include "model/timeline.h"
#include "test.h"

/* ---- cells ---- */

typedef struct cells {
    size_t n, n_wrong;
    double end_s, first_sum;
} cells;

/* The frames of a stretch are those that its statistics are of, and reach a cell to each side. */
static ser_status check_frames(void *context, const ser_stretch *stretch, ser_error *err)
{
    (void)err;
    cells *c = context;
    double sum = 0;
    for (size_t t = 0; t < stretch->frames.n; t++) {
        sum += stretch->frames.x[2 * t];
        c->n_wrong += stretch->frames.x[2 * t + 1] != -stretch->frames.x[2 * t];
        c->n_wrong += t > 0 && stretch->frames.x[2 * t] != stretch->frames.x[2 * t - 2] + 1;
    }
    c->n_wrong += sum != stretch->pooled->all.sum[0] || stretch->frames.n > 150;
    c->n_wrong += stretch->start_s != (double)c->n || stretch->end_s != (double)c->n + 1;
    c->n++;
    return SER_OK;
}

static void test_frames(void)
{
    enum { MAX = 1003 };
    static float x[2 * MAX];
    static unsigned char active[MAX];
    ser_error err = {0};
    ser_timeline t;
    cells c;
    memset(active, 1, sizeof active);
    for (size_t i = 0; i < MAX; i++) {
        x[2 * i] = (float)i;
        x[2 * i + 1] = -(float)i;
    }
    CHECK_OK(ser_timeline_init(&t, 2, 50, ser_timeline_of_networks(), check_frames, &c, &err), &err);
    for (size_t n = 1; n <= MAX; n += n < 320 ? 1 : 77)
        for (size_t block = 1; block < 1000; block = block * 7 + 2) {
            c = (cells){0};
            ser_timeline_start(&t); /* what was heard before is forgotten */
            for (size_t at = 0; at < n; at += block) {
                const ser_frames f = {
                    .x = x + 2 * at, .active = active, .n = n - at < block ? n - at : block};
                CHECK_OK(ser_timeline_add(&t, &f, &err), &err);
            }
            CHECK_OK(ser_timeline_finish(&t, &err), &err);
            CHECK(c.n_wrong == 0 && c.n == ((n + 25) / 50 ? (n + 25) / 50 : 1));
        }
    ser_timeline_release(&t);
}

static ser_status note_stretch(void *context, const ser_stretch *stretch, ser_error *err)
{
    (void)err;
    cells *c = context;
    if (!c->n++)
        c->first_sum = stretch->pooled->all.sum[0];
    c->n_wrong += stretch->pooled->all.n_frames > 125 || stretch->start_s != c->end_s;
    c->end_s = stretch->end_s;
    return SER_OK;
}

/* Cells of half a second, each with a second to each side. */
static void test_statistics(void)
{
    enum { N = 1010 };
    static float x[N];
    static unsigned char active[N];
    ser_error err = {0};
    ser_timeline t;
    cells c = {0};
    for (size_t i = 0; i < N; i++)
        x[i] = 1;
    const ser_frames f = {.x = x, .active = active, .n = N};
    CHECK_OK(ser_timeline_init(&t, 1, 50, ser_timeline_of_statistics(), note_stretch, &c, &err), &err);
    CHECK_OK(ser_timeline_add(&t, &f, &err), &err);
    CHECK_OK(ser_timeline_finish(&t, &err), &err);
    CHECK(c.n == 40 && c.n_wrong == 0 && c.end_s == 20 && c.first_sum == 75);
    ser_timeline_release(&t);
}

/* ---- smoothing ---- */

typedef struct segments {
    ser_segment items[50];
    size_t n;
} segments;

static ser_status add_segment(void *context, const ser_segment *segment, ser_error *err)
{
    (void)err;
    segments *s = context;
    s->items[s->n++] = *segment;
    return SER_OK;
}

/* Cells as letters, '-' for none -> segments as letters with the number of half seconds, such as "a4b3". */
static const char *smooth(const char *letters, double cell_s)
{
    static char text[200];
    ser_error err = {0};
    segments all = {.n = 0};
    ser_smoothing s;
    ser_smoothing_start(&s, 3, 10, cell_s, add_segment, &all);
    for (const char *c = letters; *c; c++) {
        float scores[3] = {0.1f, 0.1f, 0.1f};
        int label = *c == '-' ? -1 : *c - 'a';
        if (label >= 0)
            scores[label] = 0.8f;
        CHECK_OK(ser_smoothing_add(&s, label, scores, &err), &err);
    }
    double end_s = 10 + cell_s * (double)strlen(letters);
    CHECK_OK(ser_smoothing_finish(&s, end_s, &err), &err);
    char *to = text;
    *to = 0;
    for (size_t i = 0; i < all.n; i++) {
        const ser_segment *x = &all.items[i];
        CHECK(x->start_s == (i ? x[-1].end_s : 10) && fabsf(x->scores[x->label] - 0.8f) < 1e-6f);
        to += sprintf(to, "%c%.0f", 'a' + x->label, (x->end_s - x->start_s) / cell_s);
    }
    CHECK(!all.n || all.items[all.n - 1].end_s == end_s);
    return text;
}

static void test_smoothing(void)
{
    CHECK(strcmp(smooth("aaaa", 0.5), "a4") == 0);
    CHECK(strcmp(smooth("aaaabbb", 0.5), "a4b3") == 0);
    CHECK(strcmp(smooth("aaabaaa", 0.5), "a7") == 0);   /* no emotion of half a second */
    CHECK(strcmp(smooth("aaabcbcaa", 0.5), "a9") == 0); /* nor two in turns */
    CHECK(strcmp(smooth("aaabcc", 0.5), "a4c2") == 0);
    CHECK(strcmp(smooth("aaab", 0.5), "a4") == 0); /* nor at the end */
    CHECK(strcmp(smooth("abbb", 0.5), "b4") == 0); /* nor at the beginning */
    CHECK(strcmp(smooth("-aa-bb-", 0.5), "a4b3") == 0);
    CHECK(strcmp(smooth("a", 0.5), "a1") == 0);
    CHECK(strcmp(smooth("---", 0.5), "") == 0 && strcmp(smooth("", 0.5), "") == 0);
    CHECK(strcmp(smooth("aba", 1), "a1b1a1") == 0); /* cells that last long enough by themselves */
}

int main(void)
{
    test_frames();
    test_statistics();
    test_smoothing();
    return test_summary();
}
