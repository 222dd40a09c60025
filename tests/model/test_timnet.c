/* The temporal network and its training, against PyTorch (tools/make_golden_timnet.py). */
#include "base/random.h"
#include "base/threads.h"
#include "failures/failing.h"
#include "golden_tensors.h"
#include "model/timnet.h"
#include "nn/adam.h"

#include <signal.h>
#include <sys/time.h>

#include <unistd.h>

enum { N = 5, N_LABELS = 4, N_STEPS = 10, SEED = 46 };
static const int labels[N] = {0, 3, 1, 2, 3};
static const double weights[N] = {1, 0.5, 2, 1, 1.25};

/* A network with its work; frames of the golden batch. */
typedef struct bench {
    ser_nn_ops *ops;
    ser_nn_work *nn;
    ser_timnet *net;
    ser_timnet_work *work;
    float *gradients;
    const float *frames[N];
    size_t n_frames[N];
    ser_timnet_batch batch;
} bench;

static ser_safetensors *steps, *initial;

static ser_timnet_shape golden_shape(ser_nonlinearity f, double dropout)
{
    ser_timnet_shape s = ser_timnet_default_shape(6, N_LABELS);
    s.n_filters = 20;
    s.n_dilations = 5;
    s.n_stacks = 1;
    s.activation = f;
    s.dropout = dropout;
    return s;
}

static bool bench_init(bench *t, const ser_timnet_shape *shape, ser_engine engine, ser_precision precision,
                       int n_threads)
{
    ser_error err = {0};
    *t = (bench){0};
    if (ser_nn_ops_new(&t->ops, engine, precision, &err) != SER_OK) {
        CHECK(precision == SER_PRECISION_BF16); /* which not every processor has */
        return false;
    }
    CHECK_OK(ser_nn_work_new(&t->nn, t->ops, n_threads, &err), &err);
    CHECK_OK(ser_timnet_new(&t->net, shape, &err), &err);
    CHECK_OK(ser_timnet_work_new(&t->work, shape, t->nn, true, &err), &err);
    t->gradients = ser_alloc(t->net->n_trained, sizeof *t->gradients);
    for (size_t i = 0; i < N; i++) {
        char name[16];
        size_t dims[2] = {0};
        snprintf(name, sizeof name, "frames%zu", i);
        t->frames[i] = golden(steps, name, NULL, dims);
        t->n_frames[i] = dims[0];
    }
    t->batch = (ser_timnet_batch){N, t->frames, t->n_frames};
    return true;
}

static void bench_release(bench *t)
{
    for (size_t i = 0; i < N; i++)
        ser_free((void *)t->frames[i]);
    ser_free(t->gradients);
    ser_timnet_work_free(&t->work);
    ser_timnet_free(&t->net);
    ser_nn_work_free(&t->nn);
    ser_nn_ops_free(&t->ops);
}

/* The loss of the golden batch, and its gradient by the logits. */
static double loss_of(const float *logits, float *dlogits)
{
    double loss = 0;
    for (size_t i = 0; i < N; i++) {
        float target[N_LABELS] = {0};
        target[labels[i]] = 1;
        loss += ser_nn_softmax_cross_entropy(dlogits ? dlogits + i * N_LABELS : NULL, logits + i * N_LABELS,
                                             target, N_LABELS, 0.1, weights[i] / N);
    }
    return loss;
}

static double forward_and_backward(bench *t, uint64_t seed, float *logits)
{
    ser_error err = {0};
    float dlogits[N * N_LABELS];
    CHECK_OK(ser_timnet_forward(t->net, t->work, &t->batch, seed, logits, &err), &err);
    double loss = loss_of(logits, dlogits);
    CHECK_OK(ser_timnet_backward(t->net, t->work, dlogits, NULL, t->gradients, &err), &err);
    return loss;
}

static void check_tensor(const ser_safetensors *f, const char *name, const float *x, double relative,
                         double absolute)
{
    size_t n;
    float *expected = golden(f, name, &n, NULL);
    if (expected)
        check_close(name, x, expected, n, relative, absolute);
    ser_free(expected);
}

static bool is_compared(const ser_timnet *net, const ser_timnet_param *p)
{
    /* PyTorch's biases before a normalisation are moved by rounding errors. */
    return p->offset < net->n_trained && (!strstr(p->name, "conv") || strstr(p->name, "kernel"));
}

/* Ten steps of training without dropout, then an answer by the running averages. */
static void test_ten_steps(ser_engine engine, ser_precision precision, int n_threads)
{
    bench t;
    ser_error err = {0};
    ser_timnet_shape shape = golden_shape(SER_RELU, 0);
    if (!bench_init(&t, &shape, engine, precision, n_threads))
        return;
    bool half = precision == SER_PRECISION_BF16;
    ser_adam adam;
    float logits[N * N_LABELS], losses[N_STEPS];
    CHECK_OK(ser_timnet_load(t.net, initial, "", &err), &err);
    CHECK_OK(ser_adam_init(&adam, t.net->n_trained, 0.93, 0.98, &err), &err);
    for (int i = 0; i < N_STEPS; i++) {
        losses[i] = (float)forward_and_backward(&t, SEED, logits);
        if (i == 0)
            check_tensor(steps, "first_logits", logits, half ? 0.03 : 1e-5, half ? 0.03 : 1e-5);
        ser_adam_step(&adam, t.net->values, t.gradients, 1e-2);
    }
    check_tensor(steps, "losses", losses, half ? 0.03 : 1e-4, 0);
    for (size_t i = 0; i < t.net->n_params && !half; i++) {
        const ser_timnet_param *p = &t.net->params[i];
        if (!strstr(p->name, "conv") ||
            strstr(p->name, "kernel")) /* PyTorch's are moved by rounding errors */
            check_tensor(steps, p->name, t.net->values + p->offset, 1e-4, 1e-4);
    }
    CHECK_OK(ser_timnet_predict(t.net, t.work, &t.batch, logits, &err), &err);
    check_tensor(steps, "answers", logits, half ? 0.1 : 1e-4, half ? 0.1 : 1e-4);
    ser_adam_release(&adam);
    bench_release(&t);
}

/* One pass with dropout: the same channels and units as the reference dropped. */
static void test_dropout(ser_nonlinearity f, const char *golden_path)
{
    bench t;
    ser_error err = {0};
    ser_timnet_shape shape = golden_shape(f, 0.4);
    ser_safetensors *file = open_golden(golden_path);
    if (file && bench_init(&t, &shape, SER_ENGINE_ONEDNN, SER_PRECISION_FP32, 2)) {
        float logits[N * N_LABELS];
        CHECK_OK(ser_timnet_load(t.net, initial, "", &err), &err);
        forward_and_backward(&t, SEED, logits);
        check_tensor(file, "logits", logits, 1e-5, 1e-5);
        for (size_t i = 0; i < t.net->n_params; i++) {
            const ser_timnet_param *p = &t.net->params[i];
            if (is_compared(t.net, p))
                check_tensor(file, p->name, t.gradients + p->offset, 1e-4, 2e-6);
        }
        bench_release(&t);
    }
    ser_safetensors_close(&file);
}

/* In bf16 a single gradient may be far off; all together must point where they should, and be as large. */
static void test_bf16(void)
{
    bench t;
    ser_error err = {0};
    ser_timnet_shape shape = golden_shape(SER_TANH, 0.4);
    ser_safetensors *file = open_golden("timnet/dropout_tanh.safetensors");
    if (file && bench_init(&t, &shape, SER_ENGINE_ONEDNN, SER_PRECISION_BF16, 2)) {
        float logits[N * N_LABELS];
        double wrong = 0, all = 0;
        CHECK_OK(ser_timnet_load(t.net, initial, "", &err), &err);
        forward_and_backward(&t, SEED, logits);
        check_tensor(file, "logits", logits, 0.03, 0.03);
        for (size_t i = 0; i < t.net->n_params; i++) {
            const ser_timnet_param *p = &t.net->params[i];
            float *expected = is_compared(t.net, p) ? golden(file, p->name, NULL, NULL) : NULL;
            for (size_t j = 0; expected && j < p->n; j++) {
                wrong += pow((double)t.gradients[p->offset + j] - (double)expected[j], 2);
                all += pow((double)expected[j], 2);
            }
            ser_free(expected);
        }
        if (!(wrong < 0.02 * 0.02 * all))
            fprintf(stderr, "bf16 gradients are off by %.4f of their size\n", sqrt(wrong / all));
        CHECK(wrong < 0.02 * 0.02 * all);
        bench_release(&t);
    }
    ser_safetensors_close(&file);
}

/* The gradient of the loss of t's batch along a direction, against a difference of losses. The direction is
 * random, but for the most part uphill, where the difference stands out from rounding. */
static void check_slope(bench *t)
{
    static const float step = 2e-4f;
    ser_error err = {0};
    float logits[N * N_LABELS];
    size_t n = t->net->n_trained;
    float *before = ser_alloc(n, sizeof *before), *direction = ser_alloc(n, sizeof *direction);
    forward_and_backward(t, SEED, logits);
    memcpy(before, t->net->values, n * sizeof *before);
    ser_random random;
    ser_random_init(&random, SEED);
    double slope = 0, losses[2];
    for (size_t i = 0; i < n; i++) {
        direction[i] = t->gradients[i] * (float)(1 + ser_random_normal(&random));
        slope += (double)direction[i] * (double)t->gradients[i];
    }
    for (int sign = 0; sign < 2; sign++) {
        for (size_t i = 0; i < n; i++)
            t->net->values[i] = before[i] + (sign ? -step : step) * direction[i];
        CHECK_OK(ser_timnet_forward(t->net, t->work, &t->batch, SEED, logits, &err), &err);
        losses[sign] = loss_of(logits, NULL);
    }
    double expected = (losses[0] - losses[1]) / (2 * (double)step);
    CHECK(fabs(slope - expected) < 2e-3 * fabs(expected));
    if (fabs(slope - expected) >= 2e-3 * fabs(expected))
        fprintf(stderr, "slope %g, by difference %g\n", slope, expected);
    ser_free(before);
    ser_free(direction);
}

static void test_difference(void)
{
    bench t;
    ser_error err = {0};
    ser_timnet_shape shape = golden_shape(SER_SWISH, 0.4);
    if (!bench_init(&t, &shape, SER_ENGINE_ONEDNN, SER_PRECISION_FP32, 1))
        return;
    CHECK_OK(ser_timnet_load(t.net, initial, "", &err), &err);
    check_slope(&t);
    bench_release(&t);
}

/* Same bits for any number of threads, and again. */
static void test_same_bits(ser_precision precision)
{
    ser_timnet_shape shape = golden_shape(SER_RELU, 0.4);
    float logits[2][N * N_LABELS], *gradients[2] = {NULL, NULL};
    size_t n = 0;
    for (int i = 0; i < 2; i++) {
        bench t;
        if (!bench_init(&t, &shape, SER_ENGINE_ONEDNN, precision, i + 1))
            return;
        ser_timnet_randomise(t.net, SEED);
        forward_and_backward(&t, SEED, logits[i]);
        n = t.net->n_trained;
        gradients[i] = t.gradients;
        t.gradients = NULL;
        bench_release(&t);
    }
    CHECK(memcmp(logits[0], logits[1], sizeof *logits) == 0);
    CHECK(memcmp(gradients[0], gradients[1], n * sizeof **gradients) == 0);
    ser_free(gradients[0]);
    ser_free(gradients[1]);
}

/* ---- sizes of practice: several groups of recordings, products in pieces, a wide input ---- */

enum { WIDE = 520 };
static const size_t long_lengths[N] = {300, 9, 260, 131, 77}, short_lengths[N] = {60, 9, 31, 5, 3};

static ser_timnet_shape wide_shape(void)
{
    ser_timnet_shape s = golden_shape(SER_RELU, 0.4);
    s.n_in = WIDE;
    s.n_filters = 64;
    return s;
}

/* One pass, as far as there is such an engine: logits (N, N_LABELS), and the gradients, which the caller
 * frees. first: lengths of a batch whose pass comes before, or NULL. */
static float *wide_pass(float *logits, size_t *n_gradients, const float *const *frames, const size_t *first,
                        const size_t *lengths, ser_engine engine, ser_precision precision, int n_threads)
{
    bench t;
    ser_timnet_shape shape = wide_shape();
    if (!bench_init(&t, &shape, engine, precision, n_threads))
        return NULL;
    ser_timnet_randomise(t.net, SEED);
    if (first) {
        t.batch = (ser_timnet_batch){N, frames, first};
        forward_and_backward(&t, SEED, logits);
        memset(t.gradients, 0, t.net->n_trained * sizeof *t.gradients);
    }
    t.batch = (ser_timnet_batch){N, frames, lengths};
    forward_and_backward(&t, SEED, logits);
    float *gradients = t.gradients;
    *n_gradients = t.net->n_trained;
    t.gradients = NULL;
    bench_release(&t);
    return gradients;
}

/* How far x is from expected, of expected's size. */
static double distance(const float *x, const float *expected, size_t n)
{
    double wrong = 0, all = 0;
    for (size_t i = 0; i < n; i++) {
        wrong += pow((double)x[i] - (double)expected[i], 2);
        all += pow((double)expected[i], 2);
    }
    return sqrt(wrong / all);
}

/* What oneDNN computes, on two threads and in a memory in which a larger batch has left its numbers, is what
 * plain C computes. */
static void test_engines(const float *const *frames, const size_t *lengths)
{
    static const struct {
        ser_precision precision;
        double of_logits, of_gradients; /* a unit of the dense layers on the other side of 0 is a tenth */
    } cases[] = {{SER_PRECISION_FP32, 1e-5, 1e-5}, {SER_PRECISION_BF16, 0.03, 0.2}};
    float expected_logits[N * N_LABELS], logits[N * N_LABELS], again[N * N_LABELS];
    size_t n = 0;
    float *expected =
        wide_pass(expected_logits, &n, frames, NULL, lengths, SER_ENGINE_REF, SER_PRECISION_FP32, 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        float *x = wide_pass(logits, &n, frames, NULL, lengths, SER_ENGINE_ONEDNN, cases[i].precision, 1);
        if (!x)
            continue;
        check_close("logits", logits, expected_logits, N * N_LABELS, cases[i].of_logits, cases[i].of_logits);
        double d = distance(x, expected, n);
        if (!(d < cases[i].of_gradients))
            fprintf(stderr, "gradients are off by %g of their size\n", d);
        CHECK(d < cases[i].of_gradients);
        float *y =
            wide_pass(again, &n, frames, long_lengths, lengths, SER_ENGINE_ONEDNN, cases[i].precision, 2);
        CHECK(memcmp(again, logits, sizeof logits) == 0 && memcmp(x, y, n * sizeof *x) == 0);
        ser_free(x);
        ser_free(y);
    }
    ser_free(expected);
}

static void test_wide_difference(const float *const *frames)
{
    bench t;
    ser_timnet_shape shape = wide_shape();
    shape.activation = SER_SWISH; /* without kinks */
    if (!bench_init(&t, &shape, SER_ENGINE_ONEDNN, SER_PRECISION_FP32, 2))
        return;
    ser_timnet_randomise(t.net, SEED);
    t.batch = (ser_timnet_batch){N, frames, long_lengths};
    check_slope(&t);
    bench_release(&t);
}

static void test_sizes_of_practice(void)
{
    size_t n = long_lengths[0] * WIDE;
    float *x = ser_alloc(n + N, sizeof *x);
    const float *frames[N];
    ser_random random;
    ser_random_init(&random, SEED);
    for (size_t i = 0; i < n + N; i++)
        x[i] = (float)ser_random_normal(&random);
    for (size_t i = 0; i < N; i++)
        frames[i] = x + i;
    test_engines(frames, long_lengths);
    test_engines(frames, short_lengths);
    test_wide_difference(frames);
    ser_free(x);
}

/* A recording's answer depends on no other in its batch; a network that reads backwards sees the end first.
 */
static void test_neighbours(void)
{
    bench t;
    ser_error err = {0};
    ser_timnet_shape shape = golden_shape(SER_RELU, 0.4);
    if (!bench_init(&t, &shape, SER_ENGINE_ONEDNN, SER_PRECISION_FP32, 2))
        return;
    ser_timnet_work *small = NULL;
    float together[N * N_LABELS], alone[N_LABELS];
    CHECK_OK(ser_timnet_work_new(&small, &shape, t.nn, false, &err), &err);
    CHECK_OK(ser_timnet_load(t.net, initial, "", &err), &err);
    CHECK_OK(ser_timnet_predict(t.net, t.work, &t.batch, together, &err), &err);
    for (size_t i = 0; i < N; i++) {
        ser_timnet_batch one = {1, t.frames + i, t.n_frames + i};
        CHECK_OK(ser_timnet_predict(t.net, small, &one, alone, &err), &err);
        check_close("alone", alone, together + i * N_LABELS, N_LABELS, 1e-6, 1e-6);
    }
    size_t none = 0;
    ser_timnet_batch empty = {1, t.frames, &none};
    CHECK_FAILS(ser_timnet_predict(t.net, small, &empty, alone, &err), SER_E_ARG, &err, "no frames");
    empty.n = 0;
    CHECK_FAILS(ser_timnet_predict(t.net, small, &empty, alone, &err), SER_E_ARG, &err, "without recordings");
    CHECK_FAILS(ser_timnet_forward(t.net, small, &t.batch, 1, together, &err), SER_E_ARG, &err,
                "for training");
    ser_timnet_work_free(&small);
    bench_release(&t);
}

/* A second loss by the features adds its gradient. */
static void test_features(void)
{
    bench t;
    ser_error err = {0};
    ser_timnet_shape shape = golden_shape(SER_RELU, 0);
    if (!bench_init(&t, &shape, SER_ENGINE_ONEDNN, SER_PRECISION_FP32, 1))
        return;
    enum { N_FEATURES = N * SER_TIMNET_DENSE_2 };
    float logits[N * N_LABELS], none[N * N_LABELS] = {0}, dfeatures[N_FEATURES];
    CHECK_OK(ser_timnet_load(t.net, initial, "", &err), &err);
    double loss[2];
    for (size_t i = 0; i < N_FEATURES; i++)
        dfeatures[i] = (float)((double)(i % 7) - 2.5);
    size_t place = t.net->dense[0].bias + 3;
    CHECK_OK(ser_timnet_forward(t.net, t.work, &t.batch, SEED, logits, &err), &err);
    CHECK_OK(ser_timnet_backward(t.net, t.work, none, dfeatures, t.gradients, &err), &err);
    for (int sign = 0; sign < 2; sign++) {
        t.net->values[place] += sign ? -4e-3f : 2e-3f;
        CHECK_OK(ser_timnet_forward(t.net, t.work, &t.batch, SEED, logits, &err), &err);
        loss[sign] = 0;
        for (size_t i = 0; i < N_FEATURES; i++)
            loss[sign] += (double)dfeatures[i] * (double)ser_timnet_features(t.work)[i];
    }
    double expected = (loss[0] - loss[1]) / 4e-3;
    CHECK(fabs(expected) > 0.01 && fabs(expected - (double)t.gradients[place]) < 0.02 * fabs(expected));
    bench_release(&t);
}

static void test_files(void)
{
    ser_error err = {0};
    ser_timnet *net = NULL, *again = NULL;
    ser_timnet_shape shape = golden_shape(SER_RELU, 0.4);
    CHECK_OK(ser_timnet_new(&net, &shape, &err), &err);
    CHECK_OK(ser_timnet_new(&again, &shape, &err), &err);
    ser_timnet_randomise(net, SEED);
    ser_tensor *tensors = ser_alloc(net->n_params, sizeof *tensors);
    ser_timnet_name *names = ser_alloc(net->n_params, sizeof *names);
    ser_timnet_tensors(net, "timnet.", tensors, names);
    char path[] = "/tmp/ser-timnet-XXXXXX";
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    close(fd);
    CHECK_OK(ser_safetensors_write(path, tensors, net->n_params, NULL, 0, &err), &err);
    ser_safetensors *f = NULL;
    CHECK_OK(ser_safetensors_open(&f, path, &err), &err);
    CHECK_OK(ser_timnet_load(again, f, "timnet.", &err), &err);
    CHECK(memcmp(net->values, again->values, net->n_values * sizeof *net->values) == 0);
    CHECK_FAILS(ser_timnet_load(again, f, "other.", &err), SER_E_FORMAT, &err, "missing");
    ser_timnet_free(&again);
    shape.kernel_size = 2;
    CHECK_OK(ser_timnet_new(&again, &shape, &err), &err);
    CHECK_FAILS(ser_timnet_load(again, f, "timnet.", &err), SER_E_FORMAT, &err, "other sizes");
    ser_timnet_free(&again);
    ser_safetensors_close(&f);
    net->values[net->params[1].offset] = NAN;
    CHECK_OK(ser_safetensors_write(path, tensors, net->n_params, NULL, 0, &err), &err);
    CHECK_OK(ser_safetensors_open(&f, path, &err), &err);
    CHECK_FAILS(ser_timnet_load(net, f, "timnet.", &err), SER_E_FORMAT, &err, "not finite");
    ser_safetensors_close(&f);
    unlink(path);
    ser_free(tensors);
    ser_free(names);
    ser_timnet_free(&net);
}

static void test_shapes(void)
{
    ser_error err = {0};
    ser_timnet *net = NULL;
    ser_timnet_shape shape = ser_timnet_default_shape(128, 7);
    CHECK_OK(ser_timnet_new(&net, &shape, &err), &err);
    CHECK(ser_timnet_n_blocks(net) == 24 && net->n_trained > 4760000 && net->n_trained < 4860000);
    double sum = 0, limit = sqrt(6.0 / (3 * 256));
    ser_timnet_randomise(net, SEED);
    const float *kernel = net->values + net->convs[0].kernel;
    for (size_t i = 0; i < 3 * 128 * 128; i++) {
        CHECK(fabsf(kernel[i]) <= (float)limit);
        sum += (double)kernel[i] * (double)kernel[i];
    }
    CHECK(fabs(sum / (3 * 128 * 128) / (limit * limit / 3) - 1) < 0.02);
    CHECK(net->values[net->weighting + 23] == 1.f / 24 && net->values[net->convs[5].gamma] == 1);
    CHECK(net->values[net->convs[95].running_variance + 127] == 1 &&
          net->values[net->convs[95].running_mean] == 0);
    ser_timnet_free(&net);
    shape.n_labels = 1;
    CHECK_FAILS(ser_timnet_new(&net, &shape, &err), SER_E_ARG, &err, "number of emotions");
    shape.n_labels = 7;
    shape.n_dilations = 40;
    CHECK_FAILS(ser_timnet_new(&net, &shape, &err), SER_E_ARG, &err, "dilation size");
    shape.n_dilations = 8;
    shape.dropout = 1;
    CHECK_FAILS(ser_timnet_new(&net, &shape, &err), SER_E_ARG, &err, "dropout");
}

static void test_out_of_memory(void)
{
    bench t;
    ser_error err = {0};
    ser_timnet_shape shape = golden_shape(SER_RELU, 0.4);
    if (!bench_init(&t, &shape, SER_ENGINE_REF, SER_PRECISION_FP32, 1))
        return;
    ser_status status = SER_E_NOMEM;
    for (long i = 0; status != SER_OK; i++) {
        ser_timnet *net;
        failing_at(i);
        status = ser_timnet_new(&net, &shape, &err);
        CHECK(status == SER_OK || (status == SER_E_NOMEM && !net));
        ser_timnet_free(&net);
    }
    status = SER_E_NOMEM;
    for (long i = 0; status != SER_OK; i++) {
        ser_timnet_work *work;
        float logits[N * N_LABELS];
        failing_at(i);
        status = ser_timnet_work_new(&work, &shape, t.nn, true, &err);
        CHECK(status == SER_OK || (status == SER_E_NOMEM && !work));
        if (status == SER_OK)
            status = ser_timnet_forward(t.net, work, &t.batch, 1, logits, &err);
        CHECK(status == SER_OK || status == SER_E_NOMEM);
        ser_timnet_work_free(&work);
    }
    failing_at(-1);
    bench_release(&t);
}

static volatile sig_atomic_t n_signals;

static void on_alarm(int number)
{
    (void)number;
    n_signals++;
}

/* Signals come all the time, as Ctrl-C may: oneDNN 2.6's product for AVX-512 keeps data where their frames
 * go. */
static void set_timer(long us)
{
    const struct itimerval timer = {{0, us}, {0, us}};
    struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &timer, NULL);
}

int main(void)
{
    set_timer(500);
    steps = open_golden("timnet/ten_steps.safetensors");
    initial = open_golden("timnet/initial.safetensors");
    if (!steps || !initial)
        return test_summary();
    test_ten_steps(SER_ENGINE_REF, SER_PRECISION_FP32, 1);
    test_ten_steps(SER_ENGINE_ONEDNN, SER_PRECISION_FP32, 2);
    test_ten_steps(SER_ENGINE_ONEDNN, SER_PRECISION_BF16, 2);
    test_dropout(SER_RELU, "timnet/dropout_relu.safetensors");
    test_dropout(SER_TANH, "timnet/dropout_tanh.safetensors");
    test_bf16();
    test_difference();
    test_same_bits(SER_PRECISION_FP32);
    test_same_bits(SER_PRECISION_BF16);
    test_sizes_of_practice();
    test_neighbours();
    test_features();
    test_files();
    test_shapes();
    test_out_of_memory();
    ser_safetensors_close(&steps);
    ser_safetensors_close(&initial);
    set_timer(0);
    CHECK(n_signals > 0);
    return test_summary();
}
