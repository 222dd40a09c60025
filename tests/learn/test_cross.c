#include "base/memory.h"
#include "failures/failing.h"
#include "learn/cross.h"
#include "test.h"

enum { N = 8, N_SOURCE = 3 };

static ser_error err;
static char *source_labels[] = {"angry", "boredom", "sad"},
            *target_labels[] = {"angry", "calm", "neutral", "sad"}, *speakers[] = {"1"};
static const char table[] = "emotion,counts_as\nangry,angry\nboredom,calm\nsad,sad\n";

/* Truths: angry, angry, angry, calm, calm, neutral, sad, unknown. */
static ser_utterance utterances[N] = {{.label = 0}, {.label = 0}, {.label = 0}, {.label = 1},
                                      {.label = 1}, {.label = 2}, {.label = 3}, {.label = -1}};
static ser_corpus target = {.name = "theirs",
                            .utterances = utterances,
                            .n_utterances = N,
                            .labels = target_labels,
                            .n_labels = 4,
                            .speakers = speakers,
                            .n_speakers = 1};
static const float scores[N * N_SOURCE] = {
    0.7f, 0.2f, 0.1f, /* right */
    0.3f, 0.4f, 0.3f, /* boredom; without it, angry and sad are equal, and the first is taken */
    0.1f, 0.1f, 0.8f, /* sad */
    0.1f, 0.8f, 0.1f, /* right by the table */
    0.5f, 0.2f, 0.3f, /* angry */
    0.1f, 0.8f, 0.1f, /* no answer could be right */
    0.2f, 0.0f, 0.8f, /* right */
    0.9f, 0.1f, 0.0f,
};

static ser_mapping make_mapping(size_t n_target)
{
    ser_mapping m;
    const ser_emotion_list source = {"ours", source_labels, N_SOURCE},
                           others = {"theirs", target_labels, n_target};
    CHECK_OK(ser_mapping_read_memory(&m, table, sizeof table - 1, &source, &others, &err), &err);
    return m;
}

static bool near(double a, double b)
{
    return fabs(a - b) < 1e-4;
}

/* All figures by hand from the scores above. */
static void test_figures(void)
{
    ser_mapping m = make_mapping(4);
    ser_cross c;
    CHECK_OK(ser_cross_compute(&c, scores, NULL, &m, &target, 200, 1, &err), &err);
    const size_t confusion[] = {1, 1, 1, 1, 1, 0, 0, 1, 0, 0, 0, 1};
    CHECK(memcmp(c.confusion, confusion, sizeof confusion) == 0);
    CHECK(c.n == 8 && c.n_known == 7 && c.n_lenient == 6);
    CHECK(near(c.acc_lenient, 50));                                    /* 3 of 6 */
    CHECK(near(c.lenient_ci95[0], 50) && near(c.lenient_ci95[1], 50)); /* one speaker: nothing to resample */
    CHECK(c.per_class[2].excluded && c.per_class[2].support == 1 && isnan(c.per_class[2].right));
    CHECK(!c.per_class[1].excluded && near(c.per_class[1].right, 0.5) && c.per_class[1].shared == -1);
    CHECK(near(c.per_class[0].right, 1.0 / 3) && c.per_class[0].shared == 0 && c.per_class[3].shared == 1);
    /* angry and sad: angry 2 of 3, sad 1 of 1. */
    const ser_figures *f = &c.figures;
    CHECK(f->n == 4 && f->n_labels == 2);
    CHECK(near(f->ua, 100 * (2.0 / 3 + 1) / 2) && near(f->wa, 75) && near(f->f1, 100 * (0.8 + 2.0 / 3) / 2));
    CHECK(near(f->loss, -(log(7.0 / 8) + log(0.5) + log(1.0 / 9) + log(0.8)) / 4));
    CHECK(near(f->ua_ci95[0], f->ua) && near(f->ua_ci95[1], f->ua));
    CHECK(f->confusion[0] == 2 && f->confusion[1] == 1 && f->confusion[2] == 0 && f->confusion[3] == 1);
    CHECK(near(c.reliability.ece, f->ece));
    ser_cross_release(&c);
    /* Of some recordings alone. */
    const bool counted[N] = {[0] = true, [3] = true, [5] = true, [7] = true};
    CHECK_OK(ser_cross_compute(&c, scores, counted, &m, &target, 0, 1, &err), &err);
    CHECK(c.n == 4 && c.n_known == 3 && c.n_lenient == 2 && near(c.acc_lenient, 100) && c.figures.n == 1);
    ser_cross_release(&c);
    ser_mapping_release(&m);
}

/* With two speakers, of whom one is always right, the interval is from 0 or so to 100. */
static void test_intervals_are_over_speakers(void)
{
    ser_mapping m = make_mapping(4);
    ser_cross c;
    for (int u = 0; u < N; u++)
        utterances[u].speaker = u != 0 && u != 3 && u != 6;
    CHECK_OK(ser_cross_compute(&c, scores, NULL, &m, &target, 400, 1, &err), &err);
    CHECK(near(c.lenient_ci95[0], 0) && near(c.lenient_ci95[1], 100));
    for (int u = 0; u < N; u++)
        utterances[u].speaker = 0;
    ser_cross_release(&c);
    ser_mapping_release(&m);
}

static void test_nothing_to_score(void)
{
    ser_corpus unlabelled = target;
    ser_utterance unknown[N];
    unlabelled.utterances = unknown;
    unlabelled.n_labels = 0;
    for (int u = 0; u < N; u++)
        unknown[u] = (ser_utterance){.label = -1, .speaker = -1};
    ser_mapping m = make_mapping(0);
    ser_cross c;
    CHECK_OK(ser_cross_compute(&c, scores, NULL, &m, &unlabelled, 100, 1, &err), &err);
    CHECK(c.n == 8 && c.n_known == 0 && c.figures.n == 0 && isnan(c.figures.ua) && isnan(c.acc_lenient));
    ser_cross_release(&c);
    ser_mapping_release(&m);
}

static void test_allocation_failures(void)
{
    ser_mapping m = make_mapping(4);
    ser_status st = SER_E_NOMEM;
    for (long n = 0; st != SER_OK && n < 1000; n++) {
        ser_cross c;
        failing_at(n);
        st = ser_cross_compute(&c, scores, NULL, &m, &target, 20, 1, &err);
        failing_at(-1);
        CHECK(st == SER_OK || (st == SER_E_NOMEM && !c.confusion));
        if (st == SER_OK)
            ser_cross_release(&c);
    }
    CHECK(st == SER_OK);
    ser_mapping_release(&m);
}

int main(void)
{
    test_figures();
    test_intervals_are_over_speakers();
    test_nothing_to_score();
    test_allocation_failures();
    return test_summary();
}
