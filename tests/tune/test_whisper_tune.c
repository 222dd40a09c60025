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
static void run(passes *p, ser_tune_net *net, ser_engine engine, ser_precision precision, int n_threads)
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
    CHECK_OK(ser_tune_work_new(&work, net, nn, &err), &err);
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

static void test_golden(void)
{
    ser_safetensors *f = open_golden("tune/steps.safetensors");
    ser_tune_net *net = open_tiny(f, 0);
    static passes p[3];
    if (net) {
        run(&p[0], net, SER_ENGINE_ONEDNN, SER_PRECISION_FP32, 1);
        check_pass(&p[0], net, f, 1e-4, 2e-5);
        run(&p[1], net, SER_ENGINE_REF, SER_PRECISION_FP32, 1);
        check_pass(&p[1], net, f, 1e-4, 2e-5);
        run(&p[2], net, SER_ENGINE_ONEDNN, SER_PRECISION_FP32, 3);
        CHECK(memcmp(p[0].gradients, p[2].gradients, (net->n_values - net->n_frozen) * sizeof(float)) == 0);
        CHECK(memcmp(p[0].logits, p[2].logits, sizeof p[0].logits) == 0);
    }
    for (int i = 0; i < 3; i++)
        ser_free(p[i].gradients);
    ser_tune_net_free(&net);
    ser_safetensors_close(&f);
}

int main(void)
{
    sound = make_signal(MAX_SAMPLES);
    test_golden();
    ser_free(sound);
    return test_summary();
}
