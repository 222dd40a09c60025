/* One epoch of training the default temporal network: 535 recordings of 96 frames of 128 numbers, 7 emotions,
 * batches of 32, dropout. Prints the seconds each epoch took, the processor's seconds, and the peak memory.
 *
 * Usage: bench-train [PRECISION [N_EPOCHS [N_THREADS [N_RECORDINGS]]]] */
#include "base/memory.h"
#include "base/random.h"
#include "model/timnet.h"
#include "nn/adam.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { N_FRAMES = 96, N_IN = 128, N_LABELS = 7, N_BATCH = 32 };

static double seconds(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

typedef struct training {
    ser_timnet *net;
    ser_timnet_work *work;
    ser_adam adam;
    float *gradients;
    const float *frames[N_BATCH];
    size_t n_frames[N_BATCH];
} training;

static ser_status step(training *t, const float *x, size_t n, double *loss, ser_error *err)
{
    float logits[N_BATCH * N_LABELS], dlogits[N_BATCH * N_LABELS];
    for (size_t b = 0; b < n; b++) {
        t->frames[b] = x + b * N_FRAMES * N_IN;
        t->n_frames[b] = N_FRAMES;
    }
    ser_timnet_batch batch = {n, t->frames, t->n_frames};
    ser_status status = ser_timnet_forward(t->net, t->work, &batch, t->adam.step, logits, err);
    *loss = 0;
    for (size_t b = 0; b < n; b++) {
        float target[N_LABELS] = {0};
        target[b % N_LABELS] = 1;
        *loss += ser_nn_softmax_cross_entropy(dlogits + b * N_LABELS, logits + b * N_LABELS, target, N_LABELS,
                                              0.1, 1 / (double)n);
    }
    if (status == SER_OK)
        status = ser_timnet_backward(t->net, t->work, dlogits, NULL, t->gradients, err);
    if (status == SER_OK)
        ser_adam_step(&t->adam, t->net->values, t->gradients, 3e-4);
    return status;
}

static ser_status run(training *t, const float *x, size_t n, int n_epochs, ser_error *err)
{
    ser_status status = SER_OK;
    for (int e = 0; e < n_epochs && status == SER_OK; e++) {
        double loss = 0, wall = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
        for (size_t i = 0; i < n && status == SER_OK; i += N_BATCH)
            status = step(t, x + i * N_FRAMES * N_IN, n - i < N_BATCH ? n - i : N_BATCH, &loss, err);
        printf("epoch %d: %.3f s, %.3f s of the processor, loss %.4f\n", e, seconds(CLOCK_MONOTONIC) - wall,
               seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu, loss);
        fflush(stdout);
    }
    return status;
}

int main(int argc, char **argv)
{
    ser_precision precision =
        argc > 1 && strcmp(argv[1], "bf16") == 0 ? SER_PRECISION_BF16 : SER_PRECISION_FP32;
    int n_epochs = argc > 2 ? atoi(argv[2]) : 3, n_threads = argc > 3 ? atoi(argv[3]) : 0;
    size_t n = argc > 4 ? (size_t)atoi(argv[4]) : 535;
    ser_error err = {0};
    ser_nn_ops *ops = NULL;
    ser_nn_work *nn = NULL;
    training t = {0};
    ser_timnet_shape shape = ser_timnet_default_shape(N_IN, N_LABELS);
    float *x = ser_alloc(n * N_FRAMES * N_IN, sizeof *x);
    ser_status status = x ? ser_nn_ops_new(&ops, SER_ENGINE_ONEDNN, precision, &err) : ser_fail_nomem(&err);
    if (status == SER_OK)
        status = ser_nn_work_new(&nn, ops, n_threads, &err);
    if (status == SER_OK)
        status = ser_timnet_new(&t.net, &shape, &err);
    if (status == SER_OK)
        status = ser_timnet_work_new(&t.work, &shape, nn, true, &err);
    if (status == SER_OK)
        status = ser_adam_init(&t.adam, t.net->n_trained, 0.93, 0.98, &err);
    if (status == SER_OK && !(t.gradients = ser_alloc(t.net->n_trained, sizeof *t.gradients)))
        status = ser_fail_nomem(&err);
    if (status == SER_OK) {
        ser_random random;
        ser_random_init(&random, 46);
        for (size_t i = 0; i < n * N_FRAMES * N_IN; i++)
            x[i] = (float)ser_random_normal(&random);
        ser_timnet_randomise(t.net, 46);
        status = run(&t, x, n, n_epochs, &err);
    }
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    if (status == SER_OK)
        printf("peak memory: %ld MB\n", usage.ru_maxrss / 1024);
    else
        fprintf(stderr, "bench-train: %s\n", err.text);
    ser_adam_release(&t.adam);
    ser_free(t.gradients);
    ser_free(x);
    ser_timnet_work_free(&t.work);
    ser_timnet_free(&t.net);
    ser_nn_work_free(&nn);
    ser_nn_ops_free(&ops);
    return status == SER_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
