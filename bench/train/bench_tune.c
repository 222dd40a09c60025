/* Steps of fine-tuning Whisper's encoder: a batch of recordings of one length (noise) forward, backward,
 * AdamW on all that learns. Prints each step's seconds, the processor's, the rate of products, and the peak
 * memory.
 *
 * Usage: bench-tune WHISPER_FOLDER [PRECISION [N_STEPS [N_THREADS [N_RECORDINGS [SECONDS [FROM [LAST]]]]]]]
 */
#include "base/memory.h"
#include "base/random.h"
#include "nn/adam.h"
#include "tune/loss.h"
#include "tune/whisper_tune.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { N_LABELS = 9 };

static double seconds(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

typedef struct bench {
    ser_nn_ops *ops;
    ser_nn_work *nn;
    ser_tune_net *net;
    ser_tune_work *work;
    size_t n, n_samples;
    const float **pcm;
    size_t *lengths;
    float *sound, *pooled, *logits, *dlogits, *gradients, *mean, *square;
    uint64_t step;
} bench;

static ser_status step(bench *b, double times[3], ser_error *err)
{
    ser_tune_batch batch = {.n = b->n, .pcm = b->pcm, .n_samples = b->lengths};
    const ser_tune_loss how = {0};
    double loss = 0, start = seconds(CLOCK_MONOTONIC);
    ser_status status = ser_tune_forward(b->work, &batch, b->pooled, err);
    times[0] = seconds(CLOCK_MONOTONIC);
    ser_tune_head_forward(b->net, b->logits, b->pooled, NULL, b->n);
    for (size_t i = 0; i < b->n; i++) {
        float target[N_LABELS] = {0};
        target[i % N_LABELS] = 1;
        loss += ser_tune_cross_entropy(b->dlogits + i * N_LABELS, b->logits + i * N_LABELS, target, NULL,
                                       N_LABELS, &how, 1 / (double)b->n);
    }
    if (status == SER_OK)
        status = ser_tune_backward(b->work, b->dlogits, b->pooled, NULL, b->gradients, err);
    times[1] = seconds(CLOCK_MONOTONIC);
    ser_adamw adam = {.rate = 1e-4, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .decay = 0.01};
    adam.gradient_scale = 1;
    adam.step = ++b->step;
    ser_adamw_arrays arrays = {.values = b->net->values + b->net->n_frozen,
                               .mean = b->mean,
                               .square = b->square,
                               .gradients = b->gradients,
                               .n = b->net->n_values - b->net->n_frozen};
    ser_adamw_step(&adam, &arrays);
    if (status == SER_OK)
        status = ser_tune_refresh(b->work, err);
    times[2] = seconds(CLOCK_MONOTONIC);
    for (int i = 2; i >= 0; i--)
        times[i] -= i ? times[i - 1] : start;
    printf("loss %.4f: ", loss);
    return status;
}

/* Multiplications and additions of the products of one step; 1 for each. */
static double work_of(const bench *b)
{
    const ser_tune_shape *s = &b->net->shape;
    double rows = (double)b->n * (double)(b->n_samples / 320), d = (double)s->dims, f = (double)s->n_ffn;
    double frames = rows / (double)b->n, total = 0;
    double layer = 2 * rows * (4 * d * d + 2 * d * f) + 4 * rows * frames * d;
    for (int i = 0; i < s->last; i++)
        total += (i >= s->from ? 3 : 1) * layer;
    double first = 2 * 2 * rows * 3 * (double)s->n_mels * d, second = 2 * rows * 3 * d * d;
    return total + (s->from ? first + second : 2 * first + 3 * second);
}

static ser_status allocate(bench *b, ser_error *err)
{
    size_t n_learned = b->net->n_values - b->net->n_frozen;
    b->pcm = ser_alloc(b->n, sizeof *b->pcm);
    b->lengths = ser_alloc(b->n, sizeof *b->lengths);
    b->sound = ser_alloc(b->n * b->n_samples, sizeof *b->sound);
    b->pooled = ser_alloc(b->n * b->net->n_in, sizeof *b->pooled);
    b->logits = ser_alloc(b->n * N_LABELS, sizeof *b->logits);
    b->dlogits = ser_alloc(b->n * N_LABELS, sizeof *b->dlogits);
    b->gradients = ser_alloc(n_learned, sizeof *b->gradients);
    b->mean = ser_alloc(n_learned, sizeof *b->mean);
    b->square = ser_alloc(n_learned, sizeof *b->square);
    if (!b->pcm || !b->lengths || !b->sound || !b->pooled || !b->logits || !b->dlogits || !b->gradients ||
        !b->mean || !b->square)
        return ser_fail_nomem(err);
    ser_random random;
    ser_random_init(&random, 46);
    for (size_t i = 0; i < b->n * b->n_samples; i++)
        b->sound[i] = 0.1f * (float)ser_random_normal(&random);
    for (size_t i = 0; i < b->n; i++) {
        b->pcm[i] = b->sound + i * b->n_samples;
        b->lengths[i] = b->n_samples;
    }
    return SER_OK;
}

static ser_status run(bench *b, int n_steps, ser_error *err)
{
    ser_status status = allocate(b, err);
    for (int i = 0; i < n_steps && status == SER_OK; i++) {
        double times[3] = {0}, wall = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
        status = step(b, times, err);
        wall = seconds(CLOCK_MONOTONIC) - wall;
        cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
        printf(
            "step %d: %.3f s, %.3f s of the processor, %.0f GFLOP/s, %.0f of the processor's; forward %.3f, "
            "backward %.3f, update %.3f s\n",
            i, wall, cpu, 1e-9 * work_of(b) / wall, 1e-9 * work_of(b) / cpu, times[0], times[1], times[2]);
        fflush(stdout);
    }
    return status;
}

static void release(bench *b)
{
    ser_tune_work_free(&b->work);
    ser_tune_net_free(&b->net);
    ser_nn_work_free(&b->nn);
    ser_nn_ops_free(&b->ops);
    ser_free(b->pcm);
    ser_free(b->lengths);
    ser_free(b->sound);
    ser_free(b->pooled);
    ser_free(b->logits);
    ser_free(b->dlogits);
    ser_free(b->gradients);
    ser_free(b->mean);
    ser_free(b->square);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr,
                "usage: bench-tune WHISPER_FOLDER [PRECISION [N_STEPS [N_THREADS [N_RECORDINGS [SECONDS "
                "[FROM [LAST]]]]]]]\n");
        return EXIT_FAILURE;
    }
    ser_precision precision =
        argc > 2 && strcmp(argv[2], "fp32") == 0 ? SER_PRECISION_FP32 : SER_PRECISION_BF16;
    int n_steps = argc > 3 ? atoi(argv[3]) : 5, n_threads = argc > 4 ? atoi(argv[4]) : 0;
    bench b = {.n = argc > 5 ? (size_t)atoi(argv[5]) : 16,
               .n_samples = (size_t)(16000 * (argc > 6 ? atof(argv[6]) : 4))};
    int last = argc > 8 ? atoi(argv[8]) : 4;
    ser_tune_shape shape = {.from = argc > 7 ? atoi(argv[7]) : 0, .pooled = {last}, .n_pooled = 1};
    shape.n_labels = N_LABELS;
    ser_error err = {0};
    ser_status status = ser_nn_ops_new(&b.ops, SER_ENGINE_ONEDNN, precision, &err);
    if (status == SER_OK)
        status = ser_nn_work_new(&b.nn, b.ops, n_threads, &err);
    if (status == SER_OK)
        status = ser_tune_net_open(&b.net, argv[1], &shape, &err);
    if (status == SER_OK)
        status = ser_tune_work_new(&b.work, b.net, b.nn, true, 0, &err);
    if (status == SER_OK)
        status = run(&b, n_steps, &err);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    if (status == SER_OK)
        printf("peak memory: %ld MB\n", usage.ru_maxrss / 1024);
    else
        fprintf(stderr, "bench-tune: %s\n", err.text);
    release(&b);
    return status == SER_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
