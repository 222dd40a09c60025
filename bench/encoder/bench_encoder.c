/* Times an encoder on noise, of 3.7, 10 and 30 s unless lengths are given.
 * Usage: bench-encoder FOLDER auto|fp32|bf16|int8|ref LAST_LAYER N_THREADS N_ROUNDS [SECONDS...]
 *    or: bench-encoder FOLDER PRECISION LAST_LAYER --hear PCM HIDDEN [N_THREADS]
 * which reads 32-bit floats at 16 kHz from a file and writes the layer's hidden state to another.
 * Prints what opening and the first 3 s cost in this process, then for each length the fastest round of one
 * recording on N_THREADS threads, and of N_THREADS recordings side by side, one thread each, as RTF (seconds
 * of computing for a second of sound) and times real time; then the processor's time that a recording took,
 * which counts on a machine that has other work, too. */
#include "base/memory.h"
#include "base/random.h"
#include "base/threads.h"
#include "encoder/encoder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { N_SECONDS_MAX = 30, RECORDINGS_EACH = 4 };

static double now_s(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* By the system's clock, to 10 ms: what the loader did before main is in it. */
static double age_s(void)
{
    unsigned long long start = 0;
    FILE *f = fopen("/proc/self/stat", "r");
    if (f &&
        fscanf(f, "%*d %*s %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
               &start) != 1)
        start = 0;
    if (f)
        fclose(f);
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9 - (double)start / 100;
}

typedef struct bench {
    ser_encoder *encoder;
    ser_encoder_work **works; /* n_threads + 1: the last one uses all threads */
    float *pcm, **hidden;
    size_t n_samples;
    int last_layer, n_threads;
} bench;

static ser_status run(void *context, size_t item, int worker, ser_error *err)
{
    (void)item;
    bench *b = context;
    return ser_encoder_run(b->encoder, b->works[worker], b->hidden[worker], b->pcm, b->n_samples, 0,
                           &b->last_layer, 1, err);
}

static ser_status init(bench *b, const char *folder, const char *precision, ser_error *err)
{
    static const struct {
        const char *name;
        ser_engine engine;
        ser_precision precision;
    } words[] = {{"auto", SER_ENGINE_ONEDNN, SER_PRECISION_AUTO},
                 {"fp32", SER_ENGINE_ONEDNN, SER_PRECISION_FP32},
                 {"bf16", SER_ENGINE_ONEDNN, SER_PRECISION_BF16},
                 {"int8", SER_ENGINE_ONEDNN, SER_PRECISION_INT8},
                 {"ref", SER_ENGINE_REF, SER_PRECISION_FP32}};
    ser_status status = ser_fail(err, SER_E_ARG, "no such precision");
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(words[i].name, precision) == 0)
            status = ser_encoder_open(&b->encoder, folder, b->last_layer, words[i].engine, words[i].precision,
                                      err);
    if (status != SER_OK)
        return status;
    size_t n_works = (size_t)b->n_threads + 1;
    b->works = ser_alloc(n_works, sizeof *b->works);
    b->hidden = ser_alloc(n_works, sizeof *b->hidden);
    if (!b->works || !b->hidden)
        return ser_fail_nomem(err);
    for (size_t i = 0; i < n_works && status == SER_OK; i++)
        status =
            ser_encoder_work_new(&b->works[i], b->encoder, (int)i == b->n_threads ? b->n_threads : 1, err);
    return status;
}

/* Noise of this length, and room for what comes out. */
static ser_status prepare(bench *b, double length_s, ser_error *err)
{
    ser_encoder_info info;
    ser_encoder_get_info(b->encoder, &info);
    b->n_samples = (size_t)(length_s * SER_SAMPLE_RATE_HZ);
    ser_free(b->pcm);
    b->pcm = ser_alloc(b->n_samples, sizeof *b->pcm);
    if (!b->pcm)
        return ser_fail_nomem(err);
    ser_random r;
    ser_random_init(&r, 46);
    for (size_t i = 0; i < b->n_samples; i++)
        b->pcm[i] = (float)ser_random_between(&r, -0.1, 0.1);
    for (int i = 0; i <= b->n_threads; i++) {
        ser_free(b->hidden[i]);
        b->hidden[i] = ser_alloc(ser_encoder_n_frames(b->encoder, b->n_samples) * info.dims, sizeof(float));
        if (!b->hidden[i])
            return ser_fail_nomem(err);
    }
    return SER_OK;
}

static void release(bench *b)
{
    for (int i = 0; i <= b->n_threads; i++) {
        if (b->works)
            ser_encoder_work_free(&b->works[i]);
        if (b->hidden)
            ser_free(b->hidden[i]);
    }
    ser_free(b->works);
    ser_free(b->hidden);
    ser_free(b->pcm);
    ser_encoder_close(&b->encoder);
}

static ser_status measure(bench *b, double length_s, int n_rounds, ser_error *err)
{
    ser_status status = prepare(b, length_s, err);
    size_t n_side_by_side = (size_t)(b->n_threads * RECORDINGS_EACH);
    double one_s = 1e9, many_s = 1e9, cpu_s = 1e9;
    for (int k = 0; k < n_rounds && status == SER_OK; k++) {
        double start = now_s(CLOCK_MONOTONIC);
        status = run(b, 0, b->n_threads, err);
        double middle = now_s(CLOCK_MONOTONIC), cpu_middle = now_s(CLOCK_PROCESS_CPUTIME_ID);
        if (status == SER_OK)
            status = ser_parallel_for(b->n_threads, n_side_by_side, run, b, err);
        double end = now_s(CLOCK_MONOTONIC), cpu_end = now_s(CLOCK_PROCESS_CPUTIME_ID);
        cpu_s = cpu_end - cpu_middle < cpu_s ? cpu_end - cpu_middle : cpu_s;
        one_s = middle - start < one_s ? middle - start : one_s;
        many_s = end - middle < many_s ? end - middle : many_s;
    }
    double rtf_one = one_s / length_s, rtf_many = many_s / (double)n_side_by_side / length_s;
    printf(
        "%4.1f s  one: %7.2f ms, RTF %.5f, %5.1f x   side by side: RTF %.5f, %5.1f x   processor: %.2f ms\n",
        length_s, one_s * 1e3, rtf_one, 1 / rtf_one, rtf_many, 1 / rtf_many,
        cpu_s / (double)n_side_by_side * 1e3);
    return status;
}

/* Reads b->n_samples from a file. */
static ser_status read_sound(bench *b, const char *path, ser_error *err)
{
    FILE *f = fopen(path, "rb");
    size_t n = 0;
    if (f && (b->pcm = ser_alloc(N_SECONDS_MAX * SER_SAMPLE_RATE_HZ, sizeof *b->pcm)))
        n = fread(b->pcm, sizeof *b->pcm, N_SECONDS_MAX * SER_SAMPLE_RATE_HZ, f);
    if (f)
        fclose(f);
    b->n_samples = n;
    return n ? SER_OK : ser_fail(err, SER_E_IO, "%s: no sound could be read", path);
}

static ser_status hear(bench *b, const char *from, const char *to, ser_error *err)
{
    ser_encoder_info info;
    ser_encoder_get_info(b->encoder, &info);
    ser_status status = read_sound(b, from, err);
    size_t n = status == SER_OK ? ser_encoder_n_frames(b->encoder, b->n_samples) * info.dims : 0;
    if (status == SER_OK && !(b->hidden[b->n_threads] = ser_alloc(n, sizeof(float))))
        status = ser_fail_nomem(err);
    if (status == SER_OK)
        status = run(b, 0, b->n_threads, err);
    FILE *f = status == SER_OK ? fopen(to, "wb") : NULL;
    bool written = f && fwrite(b->hidden[b->n_threads], sizeof(float), n, f) == n;
    if (f && fclose(f) != 0)
        written = false;
    return status != SER_OK || written ? status : ser_fail(err, SER_E_IO, "%s: it cannot be written", to);
}

int main(int argc, char **argv)
{
    static const char *const usual_lengths[] = {"3.7", "10", "30"};
    if (argc < 6) {
        fprintf(stderr,
                "usage: %s FOLDER auto|fp32|bf16|int8|ref LAST_LAYER N_THREADS N_ROUNDS [SECONDS...]\n",
                argv[0]);
        return 2;
    }
    ser_error err = {0};
    bool hears = (argc == 7 || argc == 8) && strcmp(argv[4], "--hear") == 0;
    bench b = {.last_layer = atoi(argv[3]),
               .n_threads = !hears      ? atoi(argv[4])
                            : argc == 8 ? atoi(argv[7])
                                        : 1};
    double start = now_s(CLOCK_MONOTONIC);
    ser_status status = init(&b, argv[1], argv[2], &err);
    if (hears) {
        if (status == SER_OK)
            status = hear(&b, argv[5], argv[6], &err);
        if (status != SER_OK)
            fprintf(stderr, "bench-encoder: %s\n", err.text);
        release(&b);
        return status == SER_OK ? EXIT_SUCCESS : EXIT_FAILURE;
    }
    double opened = now_s(CLOCK_MONOTONIC), cpu_opened = now_s(CLOCK_PROCESS_CPUTIME_ID);
    if (status == SER_OK)
        status = prepare(&b, 3, &err);
    double prepared = now_s(CLOCK_MONOTONIC), cpu_prepared = now_s(CLOCK_PROCESS_CPUTIME_ID);
    if (status == SER_OK)
        status = run(&b, 0, b.n_threads, &err);
    double first = now_s(CLOCK_MONOTONIC), cpu_first = now_s(CLOCK_PROCESS_CPUTIME_ID);
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    printf("opening %.1f ms (processor, with the loader: %.1f), first 3 s %.1f ms (processor: %.1f), since "
           "the process "
           "started %.0f ms, peak memory %.0f MB\n",
           (opened - start) * 1e3, cpu_opened * 1e3, (first - prepared) * 1e3,
           (cpu_first - cpu_prepared) * 1e3, age_s() * 1e3, (double)use.ru_maxrss / 1024);
    int n_lengths = argc > 6 ? argc - 6 : (int)(sizeof usual_lengths / sizeof *usual_lengths);
    for (int i = 0; i < n_lengths && atoi(argv[5]) > 0 && status == SER_OK; i++) {
        double length_s = atof(argc > 6 ? argv[6 + i] : usual_lengths[i]);
        status = length_s > 0 && length_s <= N_SECONDS_MAX
                     ? measure(&b, length_s, atoi(argv[5]), &err)
                     : ser_fail(&err, SER_E_ARG, "lengths are above 0 and at most %d s", (int)N_SECONDS_MAX);
    }
    if (status != SER_OK)
        fprintf(stderr, "bench-encoder: %s\n", err.text);
    release(&b);
    return status == SER_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
