/* Training a temporal network with unlabelled recordings of a target besides. */
#include "base/memory.h"
#include "base/random.h"
#include "metrics/metrics.h"
#include "scratch.h"
#include "test.h"
#include "train/timnet_fit.h"

enum { N_SOURCE = 60, N_TARGET = 60, N_ALL = N_SOURCE + N_TARGET, N_IN = 6, N_LABELS = 3, N_FRAMES = 12 };

static ser_nn_ops *ops;

/* Each emotion raises a feature of its own; in the target all features are larger and one is moved. */
typedef struct corpora {
    float x[N_ALL][N_FRAMES * N_IN];
    const float *frames[N_ALL];
    size_t n_frames[N_ALL];
    int label[N_ALL];
    ser_timnet_rows rows;
} corpora;

static corpora *make_corpora(void)
{
    corpora *c = ser_alloc(1, sizeof *c);
    ser_random r;
    ser_random_init(&r, 5);
    for (size_t i = 0; i < N_ALL; i++) {
        bool is_target = i >= N_SOURCE;
        c->frames[i] = c->x[i];
        c->n_frames[i] = N_FRAMES - i % 3;
        c->label[i] = (int)(i % N_LABELS);
        for (size_t t = 0; t < c->n_frames[i]; t++)
            for (size_t k = 0; k < N_IN; k++) {
                double x = 0.5 * ser_random_normal(&r) + (k == (size_t)c->label[i]);
                c->x[i][t * N_IN + k] = (float)(is_target ? x + (k == 0) * 1.2 - (k == 4) * 2 : x);
            }
    }
    c->rows = (ser_timnet_rows){.frames = c->frames,
                                .n_frames = c->n_frames,
                                .label = c->label,
                                .n = N_SOURCE,
                                .n_in = N_IN,
                                .n_labels = N_LABELS,
                                .n_unlabelled = N_TARGET};
    return c;
}

static ser_timnet_settings settings_of(void)
{
    ser_timnet_settings s = ser_timnet_default_settings();
    s.shape.n_filters = 8;
    s.shape.n_dilations = 2;
    s.shape.n_stacks = 1;
    s.shape.dropout = 0.1;
    s.n_epochs = 30;
    s.batch_size = 12;
    s.rate = 1e-2;
    s.validation_share = 0;
    s.patience = 0;
    s.ops = ops;
    s.n_threads = 1;
    return s;
}

static double right_of_target(const ser_timnet_fit *f, const corpora *c)
{
    ser_error err = {0};
    ser_nn_work *nn = NULL;
    ser_timnet_scorer *scorer = NULL;
    const ser_timnet_layout layout = {.dims = N_IN};
    float scores[N_TARGET * N_LABELS];
    const ser_timnet_batch batch = {N_TARGET, c->frames + N_SOURCE, c->n_frames + N_SOURCE};
    CHECK_OK(ser_nn_work_new(&nn, ops, 1, &err), &err);
    CHECK_OK(ser_timnet_scorer_new(&scorer, &f->member, 1, &layout, nn, &err), &err);
    CHECK_OK(ser_timnet_score(scorer, &batch, scores, &err), &err);
    size_t n_right = 0;
    for (size_t i = 0; i < N_TARGET; i++)
        n_right += ser_argmax(scores + i * N_LABELS, N_LABELS) == c->label[N_SOURCE + i];
    ser_timnet_scorer_free(&scorer);
    ser_nn_work_free(&nn);
    return 100.0 * (double)n_right / N_TARGET;
}

static double train_and_ask(const corpora *c, const ser_timnet_settings *s, ser_timnet_epoch *last)
{
    ser_error err = {0};
    ser_timnet_fit f;
    CHECK_OK(ser_timnet_train(&f, &c->rows, s, &err), &err);
    double right = right_of_target(&f, c);
    *last = f.history[f.n_epochs - 1];
    ser_timnet_fit_release(&f);
    return right;
}

/* Each term does better on the target than the source alone. */
static void test_terms(void)
{
    corpora *c = make_corpora();
    ser_timnet_settings s = settings_of();
    ser_timnet_epoch last, alone;
    c->rows.n_unlabelled = 0;
    double without = train_and_ask(c, &s, &alone);
    CHECK(without < 75 && alone.lmmd == 0 && alone.entropy == 0);
    c->rows.n_unlabelled = N_TARGET;
    s.weights = (ser_adapt_weights){.lmmd = 0.3};
    CHECK(train_and_ask(c, &s, &last) > without + 8);
    CHECK(last.lmmd > 0 && last.entropy > 0 && last.balance > 0 && last.train_accuracy > 80);
    s.weights = (ser_adapt_weights){.entropy = 0.3, .balance = 0.3};
    CHECK(train_and_ask(c, &s, &last) > without + 8);
    ser_free(c);
}

/* Interrupted and gone on with, a training ends with the bits of an undisturbed one; the target counts as
 * data. */
typedef struct stopper {
    size_t n, stop_at;
} stopper;

static bool stop(void *context, const char *what, size_t done, size_t total)
{
    stopper *s = context;
    (void)what;
    (void)done;
    (void)total;
    return ++s->n != s->stop_at;
}

static void test_resuming(void)
{
    corpora *c = make_corpora();
    ser_error err = {0};
    ser_timnet_fit whole, resumed;
    stopper when = {.stop_at = 13};
    const ser_progress progress = {.fn = stop, .context = &when};
    ser_timnet_settings s = settings_of();
    s.n_epochs = 5;
    s.weights = (ser_adapt_weights){.lmmd = 1, .entropy = 0.1, .balance = 0.1};
    CHECK_OK(ser_timnet_train(&whole, &c->rows, &s, &err), &err);
    s.state_path = scratch("net.state");
    s.progress = &progress;
    CHECK(ser_timnet_train(&resumed, &c->rows, &s, &err) == SER_E_CANCELLED);
    float kept = c->x[N_SOURCE][0];
    c->x[N_SOURCE][0] += 1;
    CHECK(ser_timnet_train(&resumed, &c->rows, &s, &err) == SER_E_FORMAT && strstr(err.text, "features"));
    c->x[N_SOURCE][0] = kept;
    s.weights.lmmd = 2;
    CHECK(ser_timnet_train(&resumed, &c->rows, &s, &err) == SER_E_FORMAT && strstr(err.text, "lmmd"));
    s.weights.lmmd = 1;
    CHECK_OK(ser_timnet_train(&resumed, &c->rows, &s, &err), &err);
    CHECK(memcmp(whole.member.net->values, resumed.member.net->values,
                 whole.member.net->n_values * sizeof(float)) == 0);
    for (size_t i = 0; i < 5; i++)
        CHECK(whole.history[i].lmmd == resumed.history[i].lmmd &&
              whole.history[i].entropy == resumed.history[i].entropy);
    ser_timnet_fit_release(&whole);
    ser_timnet_fit_release(&resumed);
    c->x[N_SOURCE + 1][3] = NAN;
    s.state_path = NULL;
    CHECK(ser_timnet_train(&resumed, &c->rows, &s, &err) == SER_E_FORMAT && strstr(err.text, "not a finite"));
    ser_free(c);
}

int main(void)
{
    ser_error err = {0};
    scratch_make();
    CHECK_OK(ser_nn_ops_new(&ops, SER_ENGINE_ONEDNN, SER_PRECISION_FP32, &err), &err);
    test_terms();
    test_resuming();
    ser_nn_ops_free(&ops);
    scratch_remove();
    return test_summary();
}
