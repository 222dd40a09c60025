/* One pass forward and backward against PyTorch, by both engines and in bf16; batches and threads. */
#include "tiny.h"
#include "tune/loss.h"

typedef struct passes {
    float pooled[N_ROWS * 256], logits[N_ROWS * N_LABELS], losses[N_ROWS];
    float *gradients;
} passes;

static float *sound;

static void run_batch(passes *p, ser_tune_net *net, ser_tune_work *work, const ser_tune_batch *batch)
{
    ser_error err = {0};
    float dlogits[N_ROWS * N_LABELS];
    const ser_tune_loss how = {.smoothing = 0.1};
    CHECK_OK(ser_tune_forward(work, batch, p->pooled, &err), &err);
    ser_tune_head_forward(net, p->logits, p->pooled, NULL, batch->n);
    for (size_t i = 0; i < batch->n; i++)
        p->losses[i] =
            (float)(N_ROWS * ser_tune_cross_entropy(dlogits + i * N_LABELS, p->logits + i * N_LABELS,
                                                    targets + i * N_LABELS, masks + i * N_LABELS, N_LABELS,
                                                    &how, 1.0 / N_ROWS));
    CHECK_OK(ser_tune_backward(work, dlogits, p->pooled, NULL, p->gradients, &err), &err);
}

/* All recordings, twice, the second time over what the first one has left behind. */
static void run(passes *p, ser_tune_net *net, ser_engine engine, ser_precision precision, int n_threads,
                size_t memory)
{
    ser_nn_ops *ops = NULL;
    ser_nn_work *nn = NULL;
    ser_tune_work *work = NULL;
    ser_error err = {0};
    const float *pcm[N_ROWS] = {sound, sound, sound, sound};
    ser_tune_batch batch = {.n = N_ROWS, .pcm = pcm, .n_samples = lengths};
    p->gradients = ser_alloc(net->n_values - net->n_frozen, sizeof *p->gradients);
    CHECK_OK(ser_nn_ops_new(&ops, engine, precision, &err), &err);
    CHECK_OK(ser_nn_work_new(&nn, ops, n_threads, &err), &err);
    CHECK_OK(ser_tune_work_new(&work, net, nn, true, memory, &err), &err);
    if (work && p->gradients) {
        run_batch(p, net, work, &batch);
        run_batch(p, net, work, &batch);
    }
    ser_tune_work_free(&work);
    ser_nn_work_free(&nn);
    ser_nn_ops_free(&ops);
}

static void check_pass(const passes *p, const ser_tune_net *net, const ser_safetensors *f, double relative,
                       double absolute)
{
    const struct {
        const char *name;
        const float *x;
    } all[] = {{"pooled", p->pooled}, {"logits", p->logits}, {"losses", p->losses}};
    for (int i = 0; i < 3; i++) {
        size_t n = 0;
        float *expected = golden(f, all[i].name, &n, NULL);
        check_close(all[i].name, all[i].x, expected, n, relative, absolute);
        ser_free(expected);
    }
    check_tensors(net, p->gradients, net->n_frozen, f, "gradient", relative, absolute);
}

/* |a - b| in units of |b|. */
static double distance(const float *a, const float *b, size_t n)
{
    double sum = 0, all = 0;
    for (size_t i = 0; i < n; i++) {
        sum += pow((double)a[i] - (double)b[i], 2);
        all += pow((double)b[i], 2);
    }
    return sqrt(sum / all);
}

/* Products in 16 bits, where this processor has them, lose what those lose and no more. */
static void test_bf16(void)
{
    ser_safetensors *f = open_golden("tune/steps.safetensors");
    ser_tune_net *net = open_tiny(f, 0);
    ser_nn_ops *ops = NULL;
    static passes exact, half, again;
    if (net && ser_nn_ops_new(&ops, SER_ENGINE_ONEDNN, SER_PRECISION_BF16, NULL) == SER_OK) {
        run(&exact, net, SER_ENGINE_ONEDNN, SER_PRECISION_FP32, 1, 0);
        run(&half, net, SER_ENGINE_ONEDNN, SER_PRECISION_BF16, 1, 0);
        run(&again, net, SER_ENGINE_ONEDNN, SER_PRECISION_BF16, 3, 1);
        size_t n = net->n_values - net->n_frozen;
        CHECK(distance(half.pooled, exact.pooled, N_ROWS * net->n_in) < 0.02);
        CHECK(distance(half.gradients, exact.gradients, n) < 0.05);
        CHECK(distance(half.gradients, exact.gradients, n) > 1e-5); /* it is 16 bits indeed */
        CHECK(memcmp(half.gradients, again.gradients, n * sizeof(float)) == 0);
    }
    ser_nn_ops_free(&ops);
    ser_free(exact.gradients);
    ser_free(half.gradients);
    ser_free(again.gradients);
    ser_tune_net_free(&net);
    ser_safetensors_close(&f);
}

static void test_golden(void)
{
    ser_safetensors *f = open_golden("tune/steps.safetensors");
    ser_tune_net *net = open_tiny(f, 0);
    static passes p[4];
    if (net) {
        run(&p[0], net, SER_ENGINE_ONEDNN, SER_PRECISION_FP32, 1, 0);
        check_pass(&p[0], net, f, 1e-4, 2e-5);
        run(&p[1], net, SER_ENGINE_REF, SER_PRECISION_FP32, 1, 0);
        check_pass(&p[1], net, f, 1e-4, 2e-5);
        run(&p[2], net, SER_ENGINE_ONEDNN, SER_PRECISION_FP32, 3, 0);
        CHECK(memcmp(p[0].gradients, p[2].gradients, (net->n_values - net->n_frozen) * sizeof(float)) == 0);
        CHECK(memcmp(p[0].logits, p[2].logits, sizeof p[0].logits) == 0);
        /* With so little memory each layer is computed again. */
        run(&p[3], net, SER_ENGINE_ONEDNN, SER_PRECISION_FP32, 1, 1);
        CHECK(memcmp(p[0].gradients, p[3].gradients, (net->n_values - net->n_frozen) * sizeof(float)) == 0);
    }
    for (int i = 0; i < 4; i++)
        ser_free(p[i].gradients);
    ser_tune_net_free(&net);
    ser_safetensors_close(&f);
}

/* ---- against finite differences ---- */

static double loss_of(ser_tune_net *net, ser_tune_work *work, float *gradients)
{
    const ser_tune_loss how = {.smoothing = 0.1, .open_share = 0.3};
    const float *pcm[N_ROWS] = {sound, sound, sound, sound};
    ser_tune_batch batch = {.n = N_ROWS, .pcm = pcm, .n_samples = lengths};
    float pooled[N_ROWS * 256], logits[N_ROWS * N_LABELS], dlogits[N_ROWS * N_LABELS];
    ser_error err = {0};
    double loss = 0;
    CHECK_OK(ser_tune_refresh(work, &err), &err);
    CHECK_OK(ser_tune_forward(work, &batch, pooled, &err), &err);
    ser_tune_head_forward(net, logits, pooled, NULL, N_ROWS);
    for (size_t i = 0; i < N_ROWS; i++)
        loss += ser_tune_cross_entropy(dlogits + i * N_LABELS, logits + i * N_LABELS, targets + i * N_LABELS,
                                       masks + i * N_LABELS, N_LABELS, &how, 1.0 / (double)N_ROWS);
    if (gradients)
        CHECK_OK(ser_tune_backward(work, dlogits, pooled, NULL, gradients, &err), &err);
    return loss;
}

/* A step along the gradient of each tensor alone: the loss falls as fast as its length says. */
static void test_differences(void)
{
    ser_safetensors *f = open_golden("tune/steps.safetensors");
    ser_tune_net *net = open_tiny(f, 1);
    ser_nn_ops *ops = NULL;
    ser_nn_work *nn = NULL;
    ser_tune_work *work = NULL;
    ser_error err = {0};
    size_t n = net->n_values - net->n_frozen;
    float *gradients = ser_alloc(n, sizeof *gradients), *before = ser_alloc(net->n_values, sizeof *before);
    CHECK_OK(ser_nn_ops_new(&ops, SER_ENGINE_ONEDNN, SER_PRECISION_FP32, &err), &err);
    CHECK_OK(ser_nn_work_new(&nn, ops, 1, &err), &err);
    CHECK_OK(ser_tune_work_new(&work, net, nn, true, 0, &err), &err);
    memcpy(before, net->values, net->n_values * sizeof *before);
    loss_of(net, work, gradients);
    for (size_t i = 0; i < net->n_tensors; i++) {
        const ser_tune_tensor *t = &net->tensors[i];
        if (t->at < net->n_frozen)
            continue;
        const float *g = gradients + (t->at - net->n_frozen);
        double length = 0, losses[2];
        for (size_t k = 0; k < t->n; k++)
            length += (double)g[k] * (double)g[k];
        double step = 0.005 / sqrt(length);
        for (int side = 0; side < 2; side++) {
            for (size_t k = 0; k < t->n; k++)
                net->values[t->at + k] = before[t->at + k] + (float)((side ? step : -step) * (double)g[k]);
            losses[side] = loss_of(net, work, NULL);
        }
        memcpy(net->values, before, net->n_values * sizeof *before);
        double slope = (losses[1] - losses[0]) / (2 * step);
        if (fabs(slope - length) > 0.01 * length)
            fprintf(stderr, "%s: %g instead of %g\n", t->name, slope, length);
        CHECK(fabs(slope - length) <= 0.01 * length);
    }
    ser_free(gradients);
    ser_free(before);
    ser_tune_work_free(&work);
    ser_nn_work_free(&nn);
    ser_nn_ops_free(&ops);
    ser_tune_net_free(&net);
    ser_safetensors_close(&f);
}

/* ---- what cannot be fine-tuned ---- */

static void check_refused(const char *folder, const ser_tune_shape *shape, ser_status expected,
                          const char *words)
{
    ser_tune_net *net = NULL;
    ser_error err = {0};
    CHECK_FAILS(ser_tune_net_open(&net, folder, shape, &err), expected, &err, words);
    CHECK(!net);
}

static void test_refused(void)
{
    char other[512];
    snprintf(other, sizeof other, "%s/../../encoder/hubert_base", tiny_folder());
    const ser_tune_shape good = {.pooled = {1, 2}, .n_pooled = 2, .n_labels = N_LABELS};
    ser_tune_shape s = good;
    check_refused(other, &s, SER_E_UNSUPPORTED, "only Whisper's");
    s.from = 2;
    check_refused(tiny_folder(), &s, SER_E_ARG, "it can start at 0 to 1");
    s = good;
    s.pooled[1] = 3;
    check_refused(tiny_folder(), &s, SER_E_ARG, "layer 3 does not exist");
    s.pooled[1] = 1;
    check_refused(tiny_folder(), &s, SER_E_ARG, "ascending");
    s = good;
    s.n_labels = 1;
    check_refused(tiny_folder(), &s, SER_E_ARG, "two labels");
    check_refused("/nowhere", &good, SER_E_IO, "config.json");
}

int main(void)
{
    sound = make_signal(MAX_SAMPLES);
    test_golden();
    test_bf16();
    test_differences();
    test_refused();
    ser_free(sound);
    return test_summary();
}
