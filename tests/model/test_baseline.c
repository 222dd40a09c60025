#include "base/memory.h"
#include "base/random.h"
#include "failures/failing.h"
#include "model/baseline.h"
#include "test.h"

#include <string.h>

enum { N_IN = 4, N = 400, N_LABELS = 2 };

/* The head for a voice's baseline asks whether the first feature is above the voice's own. */
static void make_model(ser_model_data *m)
{
    ser_error err = {0};
    memset(m, 0, sizeof *m);
    m->n_labels = N_LABELS;
    CHECK_OK(ser_linear_init(&m->plain, N_IN, N_LABELS, &err), &err);
    CHECK_OK(ser_linear_init(&m->baseline, N_IN, N_LABELS, &err), &err);
    m->labels = ser_alloc(N_LABELS, sizeof *m->labels);
    m->baseline_spread = ser_alloc(N_IN, sizeof *m->baseline_spread);
    for (int i = 0; i < N_IN; i++)
        m->baseline_spread[i] = 2;
    m->plain.bias[1] = 3;
    m->baseline.w[0] = -4;
    m->baseline.w[N_IN] = 4;
}

/* A voice that lies at 10, far from where the model learned. */
static void make_voice(float x[N][N_IN])
{
    ser_random r;
    ser_random_init(&r, 9);
    for (int i = 0; i < N; i++)
        for (int k = 0; k < N_IN; k++)
            x[i][k] = (float)(10 + ser_random_normal(&r));
}

static int answer(ser_baseline *b, const ser_model_data *m, const float *x)
{
    float scores[N_LABELS], pooled[N_IN];
    memcpy(pooled, x, sizeof pooled);
    ser_baseline_hear(b, m, pooled);
    ser_baseline_score(b, m, scores, pooled);
    CHECK(fabs((double)(scores[0] + scores[1]) - 1) < 1e-6);
    return scores[1] > scores[0];
}

static void test_fit_and_follow(void)
{
    static float x[N][N_IN], rows[N][N_IN];
    ser_model_data m;
    ser_error err = {0};
    ser_baseline none = {0}, fitted = {0}, copy = {0}, followed = {0};
    make_model(&m);
    make_voice(x);
    memcpy(rows, x, sizeof rows);
    CHECK_OK(ser_baseline_check(&m, &err), &err);
    CHECK_OK(ser_baseline_fit(&fitted, &m, rows[0], N, false, &err), &err);
    CHECK(memcmp(rows, x, sizeof rows) == 0);
    CHECK_OK(ser_baseline_copy(&copy, &fitted, &m, &err), &err);
    CHECK_OK(ser_baseline_follow(&followed, &m, &err), &err);
    int n_right = 0, n_same = 0, n_followed = 0;
    for (int i = 0; i < N; i++) {
        int truth = x[i][0] > 10, own = answer(&fitted, &m, x[i]), later = answer(&followed, &m, x[i]);
        CHECK(answer(&none, &m, x[i]) == 1); /* the plain head */
        n_right += own == truth;
        n_same += own == answer(&copy, &m, x[i]);
        n_followed += i >= N / 2 && later == own; /* by then it knows the voice */
    }
    CHECK(n_right > N * 95 / 100 && n_same == N);
    CHECK(n_followed > N / 2 * 90 / 100 && followed.n_heard == N);
    CHECK(fabs((double)(followed.mean[0] - fitted.mean[0])) < 0.2);
    CHECK(fabs((double)(followed.scale[0] / fitted.scale[0]) - 1) < 0.05);
    ser_baseline_release(&fitted);
    CHECK_OK(ser_baseline_fit(&fitted, &m, rows[0], N, true, &err), &err);
    CHECK(fitted.adapted.n_in == N_IN);
    ser_baseline_release(&fitted);
    ser_baseline_release(&copy);
    ser_baseline_release(&followed);
    ser_model_data_release(&m);
}

/* log(scores[1] / scores[0]) of x, whatever the features are: only biases answer. */
static double odds(const ser_baseline *b, const ser_model_data *m)
{
    float scores[N_LABELS], pooled[N_IN] = {0};
    ser_baseline_score(b, m, scores, pooled);
    return log((double)scores[1] / (double)scores[0]);
}

/* A head that learned together with its encoder says 1, the head for a voice says 2: answers go from the one
 * towards the other with the recordings that are known, and never far. */
static void test_few_recordings_change_little(void)
{
    static const size_t sizes[] = {1, 3, 10, 30, N};
    static float x[N][N_IN];
    ser_model_data m;
    ser_error err = {0};
    ser_baseline followed = {0};
    make_model(&m);
    make_voice(x);
    m.baseline.w[0] = m.baseline.w[N_IN] = 0;
    m.plain.temperature = 3;
    m.baseline.temperature = 2;
    m.baseline.bias[1] = 4;
    for (int tuned = 0; tuned < 2; tuned++) {
        m.min_confidence = tuned ? 0.5 : 0;
        CHECK_OK(ser_baseline_follow(&followed, &m, &err), &err);
        CHECK(fabs(odds(&followed, &m) - 1) < 1e-6); /* nothing is known yet */
        double before = 1;
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            ser_baseline fitted = {0}, copy = {0};
            CHECK_OK(ser_baseline_fit(&fitted, &m, x[0], sizes[i], false, &err), &err);
            CHECK_OK(ser_baseline_copy(&copy, &fitted, &m, &err), &err);
            while (followed.n_heard < sizes[i])
                ser_baseline_hear(&followed, &m, x[followed.n_heard]);
            double now = odds(&fitted, &m);
            CHECK(now == odds(&copy, &m) && now == odds(&followed, &m));
            CHECK(tuned ? now > before && now < 1.5 : fabs(now - 2) < 1e-6);
            before = now;
            ser_baseline_release(&fitted);
            ser_baseline_release(&copy);
        }
        CHECK(!tuned || before > 1.48);
        double mean = 0;
        for (size_t i = 0; i < N; i++)
            mean += (double)x[i][0] / N;
        /* Of a tuned head the share allows for what few recordings leave open, else the mean does. */
        CHECK(tuned == (fabs((double)followed.mean[0] - mean) < 0.001));
        ser_baseline_release(&followed);
    }
    ser_model_data_release(&m);
}

static void test_bad(void)
{
    static float x[N][N_IN];
    ser_model_data m;
    ser_error err = {0};
    ser_baseline b = {0};
    make_model(&m);
    make_voice(x);
    for (long i = 0; i < 3; i++) {
        failing_at(i);
        ser_status st =
            i < 2 ? ser_baseline_fit(&b, &m, x[0], N, false, &err) : ser_baseline_follow(&b, &m, &err);
        failing_at(-1);
        CHECK(st == SER_E_NOMEM && !b.mean && !b.scale && !b.heard);
    }
    CHECK(ser_baseline_fit(&b, &m, x[0], 5, true, &err) == SER_E_ARG && !b.mean); /* too few to adapt to */
    ser_linear_release(&m.baseline);
    CHECK(ser_baseline_check(&m, &err) == SER_E_UNSUPPORTED);
    ser_model_data_release(&m);
}

int main(void)
{
    test_fit_and_follow();
    test_few_recordings_change_little();
    test_bad();
    return test_summary();
}
