#include "base/memory.h"
#include "base/random.h"
#include "failures/failing.h"
#include "test.h"
#include "train/layer_weights.h"
#include "train/softmax_regression.h"

#include <string.h>

/* Recordings of 3 emotions, features of an encoder's 5 layers of WIDTH, of which INFORMATIVE alone knows
 * them, and 2 features beside. */
enum { N = 150, N_LABELS = 3, N_LAYERS = 5, INFORMATIVE = 3, WIDTH = 20, BESIDE = 2 };
enum { N_IN = N_LAYERS * WIDTH + BESIDE, N_COMBINED = WIDTH + BESIDE };

typedef struct example {
    float x[N][N_IN], mean[N_IN], scale[N_IN], weight[N];
    const float *row[N];
    int label[N];
    ser_layering layering;
    ser_layer_rows rows;
} example;

static void make_example(example *e)
{
    ser_random r;
    ser_random_init(&r, 3);
    memset(e, 0, sizeof *e);
    for (size_t i = 0; i < N; i++) {
        e->label[i] = (int)(i % N_LABELS);
        e->row[i] = e->x[i];
        e->weight[i] = i % 4 ? 1 : 0.5f;
        for (size_t f = 0; f < N_IN; f++)
            e->x[i][f] = (float)(2 + 0.5 * ser_random_normal(&r));
        for (size_t f = 0; f < 6; f++)
            e->x[i][INFORMATIVE * WIDTH + f] += f % N_LABELS == (size_t)e->label[i] ? 0.4f : 0;
    }
    for (size_t f = 0; f < N_IN; f++) {
        e->mean[f] = 2;
        e->scale[f] = 0.4f;
    }
    e->layering = (ser_layering){.n_layers = N_LAYERS + 1,
                                 .n_sums = 2,
                                 .n_in = N_IN,
                                 .n_combined = N_COMBINED,
                                 .at = {0, WIDTH},
                                 .width = {WIDTH, BESIDE}};
    for (size_t l = 0; l <= N_LAYERS; l++) {
        e->layering.first[l] = l * WIDTH;
        e->layering.sum[l] = l == N_LAYERS;
    }
    e->rows = (ser_layer_rows){.layering = &e->layering,
                               .x = e->row,
                               .mean = e->mean,
                               .scale = e->scale,
                               .label = e->label,
                               .weight = e->weight,
                               .n = N,
                               .n_labels = N_LABELS};
}

static void test_softmax(const example *e)
{
    const float logit[] = {0, (float)log(2), 0, (float)log(4), 1000, 7};
    float weight[N_LAYERS + 1], far[] = {-1000, 0, -1000, -1000, -1000, -1000};
    ser_layer_softmax(weight, logit, &e->layering);
    CHECK(weight[0] == 0 && weight[4] == 1 && weight[5] == 1);
    ser_layer_softmax(weight, far, &e->layering);
    CHECK(weight[0] == 0 && weight[1] == 1 && weight[5] == 1);
    const float known[] = {0, (float)log(2), 0, (float)log(4), 0, 7};
    ser_layer_softmax(weight, known, &e->layering);
    CHECK(fabsf(weight[0] - 1 / 9.0f) < 1e-6f && fabsf(weight[1] - 2 / 9.0f) < 1e-6f &&
          fabsf(weight[3] - 4 / 9.0f) < 1e-6f && weight[5] == 1);
}

/* A head that knows something, so that the gradient is not 0. */
static void make_head(ser_linear *l)
{
    ser_random r;
    ser_error err = {0};
    ser_random_init(&r, 8);
    CHECK_OK(ser_linear_init(l, N_COMBINED, N_LABELS, &err), &err);
    for (size_t i = 0; i < N_COMBINED * N_LABELS; i++)
        l->w[i] = (float)ser_random_normal(&r);
    for (size_t i = 0; i < N_LABELS; i++)
        l->bias[i] = (float)ser_random_normal(&r);
}

static double loss_at(const example *e, const float *logit, const ser_linear *l, float *gradient,
                      ser_nn_work *work)
{
    ser_error err = {0};
    static float z[N * N_COMBINED];
    float weight[N_LAYERS + 1];
    double loss = 0;
    ser_layer_softmax(weight, logit, &e->layering);
    CHECK_OK(ser_layers_combine(z, &e->rows, weight, work, &err), &err);
    ser_layers_normalise(z, &e->rows);
    CHECK_OK(ser_layer_gradient(&loss, gradient, &e->rows, weight, z, l, work, &err), &err);
    return loss;
}

static void test_gradient(const example *e, ser_nn_work *work)
{
    const float logit[] = {0.3f, -0.2f, 0.8f, 0, -1, 0.5f};
    const double step = 1e-2;
    float gradient[N_LAYERS + 1], ignored[N_LAYERS + 1];
    double largest = 0;
    ser_linear l;
    make_head(&l);
    loss_at(e, logit, &l, gradient, work);
    for (size_t i = 0; i <= N_LAYERS; i++) {
        float up[N_LAYERS + 1], down[N_LAYERS + 1];
        memcpy(up, logit, sizeof up);
        memcpy(down, logit, sizeof down);
        up[i] += (float)step;
        down[i] -= (float)step;
        double slope = (loss_at(e, up, &l, ignored, work) - loss_at(e, down, &l, ignored, work)) / (2 * step);
        CHECK(fabs(slope - (double)gradient[i]) < 2e-5 + 1e-3 * fabs(slope));
        largest = fmax(largest, fabs(slope));
    }
    CHECK(largest > 0.02 && gradient[N_LAYERS] == 0);
    ser_linear_release(&l);
}

static void test_expansion(const example *e, ser_nn_work *work)
{
    const float weight[] = {0.1f, 0.2f, 0, 0.6f, 0.1f, 1};
    static float z[N * N_COMBINED];
    ser_error err = {0};
    ser_linear l, whole;
    make_head(&l);
    l.temperature = 1.5f;
    for (size_t i = 0; i < N_COMBINED; i++) {
        l.mean[i] = 0.01f * (float)i;
        l.scale[i] = i == 4 ? 0 : 0.3f;
    }
    CHECK_OK(ser_layers_combine(z, &e->rows, weight, work, &err), &err);
    CHECK_OK(ser_layers_expand(&whole, &l, weight, &e->layering, e->mean, e->scale, &err), &err);
    CHECK(whole.n_in == N_IN && whole.temperature == 1.5f && whole.scale[WIDTH + 4] == 0);
    for (size_t r = 0; r < N; r++) {
        float wanted[N_LABELS], got[N_LABELS];
        ser_linear_logits(&l, wanted, z + r * N_COMBINED);
        ser_linear_logits(&whole, got, e->x[r]);
        for (size_t k = 0; k < N_LABELS; k++)
            CHECK(fabsf(got[k] - wanted[k]) < 1e-5f);
    }
    ser_linear_release(&l);
    ser_linear_release(&whole);
}

static void test_finds_the_layer(const example *e, const ser_nn_ops *ops)
{
    const ser_layer_settings settings = {.c = 10};
    float weight[2][N_LAYERS + 1];
    ser_error err = {0};
    for (int t = 0; t < 2; t++) {
        ser_nn_work *work = NULL;
        CHECK_OK(ser_nn_work_new(&work, ops, t + 1, &err), &err);
        CHECK_OK(ser_layer_weights_fit(weight[t], &e->rows, &settings, work, &err), &err);
        ser_nn_work_free(&work);
    }
    CHECK(memcmp(weight[0], weight[1], sizeof weight[0]) == 0);
    float sum = 0;
    for (size_t l = 0; l < N_LAYERS; l++) {
        sum += weight[0][l];
        CHECK(l == INFORMATIVE ? weight[0][l] > 0.6f : weight[0][l] > 0 && weight[0][l] < 0.2f);
    }
    CHECK(fabsf(sum - 1) < 1e-6f && weight[0][N_LAYERS] == 1);
}

static bool refuse(void *context, const char *what, size_t done, size_t total)
{
    (void)context;
    (void)what;
    return done < 3 || done > total;
}

static void test_bad(example *e, ser_nn_work *work)
{
    const ser_progress progress = {.fn = refuse};
    ser_layer_settings settings = {.c = 10, .progress = &progress};
    float weight[N_LAYERS + 1];
    ser_error err = {0};
    CHECK(ser_layer_weights_fit(weight, &e->rows, &settings, work, &err) == SER_E_CANCELLED);
    settings.progress = NULL;
    e->x[7][5] = NAN;
    CHECK(ser_layer_weights_fit(weight, &e->rows, &settings, work, &err) == SER_E_FORMAT);
    e->x[7][5] = 2;
    for (long i = 0; i < 40; i++) {
        failing_at(i);
        ser_status st = ser_layer_weights_fit(weight, &e->rows, &settings, work, &err);
        CHECK(st == SER_OK || st == SER_E_NOMEM);
    }
    failing_at(-1);
}

int main(void)
{
    static example e;
    ser_error err = {0};
    ser_nn_ops *ops = NULL;
    ser_nn_work *work = NULL;
    make_example(&e);
    CHECK_OK(ser_nn_ops_new(&ops, SER_ENGINE_ONEDNN, SER_PRECISION_FP32, &err), &err);
    CHECK_OK(ser_nn_work_new(&work, ops, 1, &err), &err);
    test_softmax(&e);
    test_gradient(&e, work);
    test_expansion(&e, work);
    test_finds_the_layer(&e, ops);
    test_bad(&e, work);
    ser_nn_work_free(&work);
    ser_nn_ops_free(&ops);
    return test_summary();
}
