#include "base/memory.h"
#include "base/random.h"
#include "failures/failing.h"
#include "metrics/metrics.h"
#include "test.h"
#include "train/adapt.h"

#include <string.h>

enum { N_SOURCE = 90, N_TARGET = 120, DIMS = 20, N_LABELS = 3 };

/* Three emotions as three clouds; in the target they lie elsewhere, the nearer to each other. */
typedef struct corpora {
    float x[N_SOURCE + N_TARGET][DIMS], mean[DIMS], scale[DIMS];
    const float *row[N_SOURCE + N_TARGET];
    int label[N_SOURCE + N_TARGET];
    ser_adapt_rows rows;
} corpora;

static void make_corpora(corpora *c)
{
    ser_random r;
    ser_random_init(&r, 1);
    memset(c, 0, sizeof *c);
    for (size_t i = 0; i < N_SOURCE + N_TARGET; i++) {
        bool is_target = i >= N_SOURCE;
        c->label[i] = (int)(i % N_LABELS);
        c->row[i] = c->x[i];
        for (int k = 0; k < DIMS; k++)
            c->x[i][k] = (float)(0.6 * ser_random_normal(&r));
        c->x[i][c->label[i]] += is_target ? 2 : 3;
        c->x[i][5] += is_target ? 4 : 0;
        c->x[i][0] += is_target ? 1.6f : 0;
    }
    for (int k = 0; k < DIMS; k++)
        c->scale[k] = k == DIMS - 1 ? 0 : 1;
    c->rows = (ser_adapt_rows){.source = c->row,
                               .label = c->label,
                               .target = c->row + N_SOURCE,
                               .n_source = N_SOURCE,
                               .n_target = N_TARGET,
                               .n_in = DIMS,
                               .n_labels = N_LABELS};
}

static double accuracy(const corpora *c, const ser_linear *l, size_t first, size_t end)
{
    size_t n_right = 0;
    for (size_t i = first; i < end; i++) {
        float logits[N_LABELS];
        ser_linear_logits(l, logits, c->x[i]);
        n_right += ser_argmax(logits, N_LABELS) == c->label[i];
    }
    return 100.0 * (double)n_right / (double)(end - first);
}

static ser_adapt_settings settings_of(const ser_nn_ops *ops)
{
    ser_adapt_settings s = ser_adapt_default_settings();
    s.n_hidden = 16;
    s.n_epochs = 60;
    s.batch_size = 20;
    s.rate = 1e-2;
    s.dropout = 0.2;
    s.input_scale = 0.3;
    s.ops = ops;
    return s;
}

/* Each term alone must do better on the target than none, and keep the source. */
static void test_terms(const corpora *c, const ser_nn_ops *ops)
{
    static const ser_adapt_weights weights[] = {{0}, {.lmmd = 0.5}, {.entropy = 0.5, .balance = 0.5}};
    double without = 0;
    for (size_t k = 0; k < sizeof weights / sizeof *weights; k++) {
        ser_error err = {0};
        ser_adapted a;
        ser_adapt_settings s = settings_of(ops);
        s.weights = weights[k];
        CHECK_OK(ser_adapt(&a, &c->rows, c->mean, c->scale, &s, &err), &err);
        double on_target = accuracy(c, &a.head, N_SOURCE, N_SOURCE + N_TARGET);
        CHECK(accuracy(c, &a.head, 0, N_SOURCE) > 95);
        if (k)
            CHECK(on_target > without + 5);
        else
            without = on_target;
        const ser_adapt_epoch *last = &a.history[a.n_epochs - 1];
        CHECK(a.n_epochs == 60 && last->epoch == 60 && last->source_accuracy > 90);
        CHECK(last->source_loss < a.history[0].source_loss && last->rate < 1e-3);
        if (weights[k].lmmd > 0)
            CHECK(last->lmmd < a.history[0].lmmd);
        ser_adapted_release(&a);
    }
}

/* The head is the second layer of the projection: equal projections make equal logits; unread features say
 * nothing. The bits are the same with other threads, and others with another seed. */
static void test_head(const corpora *c, const ser_nn_ops *ops)
{
    ser_error err = {0};
    ser_adapted a, b;
    ser_adapt_settings s = settings_of(ops);
    s.n_epochs = 2;
    s.weights.lmmd = 1;
    s.n_threads = 1;
    CHECK_OK(ser_adapt(&a, &c->rows, c->mean, c->scale, &s, &err), &err);
    s.n_threads = 2;
    CHECK_OK(ser_adapt(&b, &c->rows, c->mean, c->scale, &s, &err), &err);
    CHECK(memcmp(a.head.w, b.head.w, DIMS * N_LABELS * sizeof(float)) == 0);
    CHECK(a.head.w[DIMS - 1] == 0 && a.head.scale[DIMS - 1] == 0);
    float hidden[2][16], x[DIMS] = {0};
    ser_adapted_project(&a, hidden[0], x, DIMS);
    x[DIMS - 1] = 100;
    ser_adapted_project(&a, hidden[1], x, DIMS);
    CHECK(memcmp(hidden[0], hidden[1], sizeof hidden[0]) == 0);
    x[3] = 100;
    ser_adapted_project(&a, hidden[1], x, DIMS);
    CHECK(memcmp(hidden[0], hidden[1], sizeof hidden[0]) != 0);
    ser_adapted_release(&b);
    s.seed++;
    CHECK_OK(ser_adapt(&b, &c->rows, c->mean, c->scale, &s, &err), &err);
    CHECK(memcmp(a.head.w, b.head.w, DIMS * N_LABELS * sizeof(float)) != 0);
    ser_adapted_release(&a);
    ser_adapted_release(&b);
}

/* Without momentum, by gradients over their usual size, it learns; the other way round, a mean of all
 * gradients over the last one's size, it cannot. */
static void test_betas(const corpora *c, const ser_nn_ops *ops)
{
    double loss[2];
    for (int i = 0; i < 2; i++) {
        ser_error err = {0};
        ser_adapted a;
        ser_adapt_settings s = settings_of(ops);
        s.n_epochs = 8;
        s.beta1 = i ? 0.999 : 0;
        s.beta2 = i ? 0 : 0.999;
        CHECK_OK(ser_adapt(&a, &c->rows, c->mean, c->scale, &s, &err), &err);
        loss[i] = a.history[a.n_epochs - 1].source_loss;
        ser_adapted_release(&a);
    }
    CHECK(loss[0] < 0.5 && loss[1] > 2 * loss[0]);
}

static bool refuse(void *context, const char *what, size_t done, size_t total)
{
    (void)context;
    (void)what;
    (void)total;
    return done < 3;
}

static void test_bad(const corpora *c, const ser_nn_ops *ops)
{
    ser_error err = {0};
    ser_adapted a;
    corpora own = *c;
    ser_adapt_settings s = settings_of(ops);
    const ser_progress progress = {.fn = refuse};
    s.progress = &progress;
    CHECK(ser_adapt(&a, &c->rows, c->mean, c->scale, &s, &err) == SER_E_CANCELLED && !a.history);
    s.progress = NULL;
    s.rate = 9;
    s.input_scale = 1e18;
    CHECK(ser_adapt(&a, &c->rows, c->mean, c->scale, &s, &err) == SER_E_ARG && strstr(err.text, "rate"));
    s = settings_of(ops);
    own.rows.n_target = 0;
    CHECK(ser_adapt(&a, &own.rows, c->mean, c->scale, &s, &err) == SER_E_ARG && strstr(err.text, "target"));
    own.rows.n_target = 1; /* one recording is little, but no fault */
    s.weights = (ser_adapt_weights){.lmmd = 1, .entropy = 1, .balance = 1};
    s.n_epochs = 2;
    CHECK_OK(ser_adapt(&a, &own.rows, c->mean, c->scale, &s, &err), &err);
    ser_adapted_release(&a);
    const float zero[DIMS] = {0};
    CHECK(ser_adapt(&a, &c->rows, c->mean, zero, &s, &err) == SER_E_ARG);
    float broken[DIMS] = {[4] = NAN};
    const float *target[1] = {broken};
    own.rows.target = target;
    CHECK(ser_adapt(&a, &own.rows, c->mean, c->scale, &s, &err) == SER_E_FORMAT &&
          strstr(err.text, "target"));
    for (long i = 0; i < 30; i++) {
        failing_at(i);
        ser_status st = ser_adapt(&a, &c->rows, c->mean, c->scale, &s, &err);
        CHECK(st == SER_OK || st == SER_E_NOMEM);
        ser_adapted_release(&a);
    }
    failing_at(-1);
}

int main(void)
{
    ser_error err = {0};
    ser_nn_ops *ops = NULL;
    static corpora c;
    make_corpora(&c);
    CHECK_OK(ser_nn_ops_new(&ops, SER_ENGINE_ONEDNN, SER_PRECISION_FP32, &err), &err);
    test_terms(&c, ops);
    test_head(&c, ops);
    test_betas(&c, ops);
    test_bad(&c, ops);
    ser_nn_ops_free(&ops);
    return test_summary();
}
