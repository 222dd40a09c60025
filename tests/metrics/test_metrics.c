#include "base/memory.h"
#include "base/random.h"
#include "failures/failing.h"
#include "golden_numbers.h"
#include "metrics/metrics.h"
#include "test.h"

static void check_near(const char *what, double x, double expected, double tolerance)
{
    if (fabs(x - expected) > tolerance)
        fprintf(stderr, "%s is %.9g, expected %.9g\n", what, x, expected);
    CHECK(fabs(x - expected) <= tolerance);
}

/* Against scikit-learn and numpy. The intervals come from other random numbers, so they agree to the spread
 * of 10,000 resamples only. */
static void test_golden(void)
{
    FILE *f = golden_open("metrics/figures.txt");
    size_t n = (size_t)golden_next(f), n_labels = (size_t)golden_next(f);
    float *scores = ser_alloc(n * n_labels, sizeof *scores);
    int *truth = ser_alloc(n, sizeof *truth), *group = ser_alloc(n, sizeof *group);
    for (size_t i = 0; i < n; i++) {
        truth[i] = (int)golden_next(f);
        group[i] = (int)golden_next(f);
        for (size_t k = 0; k < n_labels; k++)
            scores[i * n_labels + k] = (float)golden_next(f);
    }
    ser_figures by_group = {0}, single = {0};
    ser_error err = {0};
    CHECK_OK(ser_figures_compute(&by_group, scores, truth, group, n, n_labels, 10000, 46, &err), &err);
    CHECK_OK(ser_figures_compute(&single, scores, truth, NULL, n, n_labels, 10000, 46, &err), &err);
    check_near("UA", by_group.ua, golden_next(f), 1e-6);
    check_near("WA", by_group.wa, golden_next(f), 1e-6);
    check_near("F1", by_group.f1, golden_next(f), 1e-6);
    check_near("loss", by_group.loss, golden_next(f), 1e-6);
    check_near("ECE", by_group.ece, golden_next(f), 1e-6);
    for (size_t k = 0; k < n_labels; k++) {
        check_near("precision", by_group.per_class[k].precision, golden_next(f), 1e-8);
        check_near("recall", by_group.per_class[k].recall, golden_next(f), 1e-8);
        check_near("F1 of a label", by_group.per_class[k].f1, golden_next(f), 1e-8);
        check_near("support", (double)by_group.per_class[k].support, golden_next(f), 0);
    }
    for (int side = 0; side < 2; side++)
        check_near("UA over speakers", by_group.ua_ci95[side], golden_next(f), 0.5);
    for (int side = 0; side < 2; side++)
        check_near("WA over speakers", by_group.wa_ci95[side], golden_next(f), 0.5);
    for (int side = 0; side < 2; side++)
        check_near("UA over recordings", single.ua_ci95[side], golden_next(f), 0.5);
    for (int side = 0; side < 2; side++)
        check_near("WA over recordings", single.wa_ci95[side], golden_next(f), 0.5);
    ser_figures_release(&by_group);
    ser_figures_release(&single);
    ser_free(scores);
    ser_free(truth);
    ser_free(group);
    fclose(f);
}

static void test_confusion(void)
{
    const size_t confusion[] = {3, 1, 0, 0, 0, 0, 2, 0, 2}; /* label 1 does not occur */
    CHECK(ser_ua(confusion, 3) == 62.5 && ser_wa(confusion, 3) == 62.5);
    const size_t nothing[4] = {0};
    CHECK(ser_ua(nothing, 2) == 0 && ser_wa(nothing, 2) == 0);
    CHECK(ser_argmax((const float[]){0.2f, 0.4f, 0.4f}, 3) == 1 && ser_argmax((const float[]){1}, 1) == 0);
}

/* Bins are open below and closed above, so a confidence of 1 is in the last and 0 in the first. */
static void test_reliability(void)
{
    const float scores[] = {1, 0, 0, 0.25f, 0.75f, 0, 0.75f, 0.25f, 0, 0, 0, 0};
    const int truth[] = {0, 1, 1, 0};
    ser_reliability r;
    ser_reliability_compute(&r, scores, truth, 4, 3);
    CHECK(r.count[0] == 1 && r.count[11] == 2 && r.count[14] == 1);
    CHECK(r.confidence[11] == 0.75 && r.accuracy[11] == 0.5 && r.accuracy[14] == 1 && r.accuracy[0] == 1);
    check_near("ECE", r.ece, 100 * (0 + 2 * 0.25 + 1) / 4, 1e-9);
    ser_reliability_compute(&r, scores, truth, 0, 3);
    CHECK(r.ece == 0 && r.count[14] == 0);
}

/* One speaker: every resample is the whole. Speakers all right or all wrong: the interval is wide. */
static void test_intervals(void)
{
    float scores[16];
    int truth[8], group[8];
    for (int i = 0; i < 8; i++) {
        scores[2 * i] = i < 4 ? 0.9f : 0.1f;
        scores[2 * i + 1] = 1 - scores[2 * i];
        truth[i] = 0;
        group[i] = -1;
    }
    ser_figures f = {0};
    ser_error err = {0};
    CHECK_OK(ser_figures_compute(&f, scores, truth, group, 8, 2, 100, 1, &err), &err);
    CHECK(f.wa == 50 && f.wa_ci95[0] == 50 && f.wa_ci95[1] == 50 && f.ua_ci95[0] == 50);
    ser_figures_release(&f);
    for (int i = 0; i < 8; i++)
        group[i] = i / 4;
    CHECK_OK(ser_figures_compute(&f, scores, truth, group, 8, 2, 1000, 1, &err), &err);
    CHECK(f.wa_ci95[0] == 0 && f.wa_ci95[1] == 100);
    ser_figures_release(&f);
    CHECK_OK(ser_figures_compute(&f, scores, truth, group, 8, 2, 0, 1, &err), &err);
    CHECK(f.wa_ci95[0] == 0 && f.wa_ci95[1] == 0);
    ser_figures_release(&f);
}

/* The order of the recordings does not show, and the same seed gives the same intervals. */
static void test_same_bits(void)
{
    enum { N = 500 };
    static float scores[N * 3], shuffled[N * 3];
    static int truth[N], group[N], truth2[N], group2[N];
    ser_random r;
    ser_random_init(&r, 5);
    size_t order[N];
    for (size_t i = 0; i < N; i++) {
        order[i] = i;
        truth[i] = (int)ser_random_below(&r, 3);
        group[i] = (int)ser_random_below(&r, 12);
        for (int k = 0; k < 3; k++)
            scores[3 * i + (size_t)k] = (float)ser_random_uniform(&r);
    }
    ser_random_shuffle(&r, order, N);
    for (size_t i = 0; i < N; i++) {
        memcpy(shuffled + 3 * i, scores + 3 * order[i], 3 * sizeof *scores);
        truth2[i] = truth[order[i]];
        group2[i] = group[order[i]];
    }
    ser_figures a = {0}, b = {0}, c = {0};
    CHECK_OK(ser_figures_compute(&a, scores, truth, group, N, 3, 1000, 46, NULL), (&(ser_error){0}));
    CHECK_OK(ser_figures_compute(&b, shuffled, truth2, group2, N, 3, 1000, 46, NULL), (&(ser_error){0}));
    CHECK_OK(ser_figures_compute(&c, scores, truth, group, N, 3, 1000, 47, NULL), (&(ser_error){0}));
    CHECK(memcmp(a.ua_ci95, b.ua_ci95, sizeof a.ua_ci95) == 0 &&
          memcmp(a.wa_ci95, b.wa_ci95, sizeof a.wa_ci95) == 0);
    CHECK(memcmp(a.ua_ci95, c.ua_ci95, sizeof a.ua_ci95) != 0);
    ser_figures_release(&a);
    ser_figures_release(&b);
    ser_figures_release(&c);
}

static void test_bad_input(void)
{
    float scores[] = {0.5f, 0.5f, 1, 0};
    int truth[] = {0, 1};
    ser_figures f = {0};
    ser_error err = {0};
    CHECK_FAILS(ser_figures_compute(&f, scores, truth, NULL, 0, 2, 0, 0, &err), SER_E_ARG, &err,
                "no predictions");
    truth[1] = 2;
    CHECK_FAILS(ser_figures_compute(&f, scores, truth, NULL, 2, 2, 0, 0, &err), SER_E_ARG, &err,
                "label 2 of 2");
    truth[1] = -1;
    CHECK_FAILS(ser_figures_compute(&f, scores, truth, NULL, 2, 2, 0, 0, &err), SER_E_ARG, &err, "label -1");
    truth[1] = 1;
    scores[3] = NAN;
    CHECK_FAILS(ser_figures_compute(&f, scores, truth, NULL, 2, 2, 0, 0, &err), SER_E_ARG, &err, "finite");
    scores[3] = 0;
    CHECK_OK(ser_figures_compute(&f, scores, truth, NULL, 2, 2, 0, 0, &err), &err);
    check_near("floored loss", f.loss, (log(2) - log(1e-12)) / 2, 1e-9);
    ser_figures_release(&f);
    ser_status st = SER_E_NOMEM;
    const int group[] = {4, 4};
    for (long at = 0; st != SER_OK && at < 100; at++) {
        failing_at(at);
        st = ser_figures_compute(&f, scores, truth, group, 2, 2, 10, 0, &err);
        CHECK(st == SER_OK || (st == SER_E_NOMEM && !f.confusion && !f.per_class));
    }
    failing_at(-1);
    CHECK(st == SER_OK);
    ser_figures_release(&f);
}

int main(void)
{
    test_golden();
    test_confusion();
    test_reliability();
    test_intervals();
    test_same_bits();
    test_bad_input();
    return test_summary();
}
