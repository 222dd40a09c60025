/* What it costs that several ranks do one job.
 *
 *   mpirun -n 4 bench-ranks deal [ITEMS]
 *       handing out recordings that take no time; then a message to rank 0 and back
 *   mpirun -n 2 bench-ranks add [VALUES [PARTS]]
 *       adding up the gradients of a network's batch; the usual one's without VALUES
 *   mpirun -n 2 bench-ranks step [MICRO_BATCH]
 *       a training of the usual network, one thread a rank: what share of it gradients are added
 *   bench-ranks simulate [RANKS [RECORDINGS [COST [SERVICE_US [LATENCY_US]]]]]
 *       many ranks: COST seconds of work for a second of sound, SERVICE_US that rank 0 computes for each
 *       recording, LATENCY_US for a message there and back (deal measures both); lengths are log-normal
 * around 3 s
 */
#include "base/clock.h"
#include "base/memory.h"
#include "base/random.h"
#include "model/timnet.h"
#include "run/ranks.h"
#include "train/timnet_fit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static double argument(int argc, char **argv, int i, double usual)
{
    return argc > i ? strtod(argv[i], NULL) : usual;
}

static ser_status do_nothing(void *context, size_t item, int worker, ser_text *answer, ser_error *err)
{
    static const char as_long_as_an_answer[100];
    const ser_team *team = context;
    (void)item, (void)worker, (void)err;
    if (team && !team->rank) /* so that all others go by messages */
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    ser_text_append_n(answer, as_long_as_an_answer, sizeof as_long_as_an_answer);
    return SER_OK;
}

static ser_status take_nothing(void *context, size_t item, const void *answer, size_t n, ser_error *err)
{
    (void)context, (void)item, (void)answer, (void)n, (void)err;
    return SER_OK;
}

/* Of this process, all threads. */
static double processor_s(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static ser_status measure_deal(const ser_team *team, size_t n, ser_error *err)
{
    enum { N_MEETINGS = 1000 };
    const ser_deal deal = {
        .n_items = n, .n_threads = 1, .work = do_nothing, .take = take_nothing, .context = (void *)team};
    double start = ser_clock_s(), before_s = processor_s();
    ser_status st = ser_team_deal(team, &deal, err);
    double seconds = ser_clock_s() - start, cpu_s = processor_s() - before_s;
    if (st == SER_OK && ser_team_is_first(team))
        printf(
            "%zu recordings over %d ranks in %.3f s: %.4f ms a recording, of which rank 0 computes %.4f ms\n",
            n, team ? team->n : 1, seconds, 1000 * seconds / (double)n, 1000 * cpu_s / (double)n);
    start = ser_clock_s();
    for (int i = 0; i < N_MEETINGS && st == SER_OK; i++)
        st = ser_team_meet(team, err);
    seconds = ser_clock_s() - start;
    if (st == SER_OK && ser_team_is_first(team))
        printf("to rank 0 and back: %.3f ms\n", 1000 * seconds / N_MEETINGS);
    return st;
}

static ser_status n_values_of_usual(size_t *n, ser_error *err)
{
    const ser_timnet_shape shape = ser_timnet_default_shape(128, 7);
    ser_timnet *net;
    ser_status st = ser_timnet_new(&net, &shape, err);
    if (st == SER_OK)
        *n = net->n_values;
    ser_timnet_free(&net);
    return st;
}

static ser_status measure_add(const ser_team *team, size_t n, size_t n_parts, ser_error *err)
{
    enum { TIMES = 20 };
    ser_sum sum = {0};
    size_t first, end;
    ser_status st = n ? SER_OK : n_values_of_usual(&n, err);
    float *out = ser_alloc(n, sizeof *out);
    if (!team)
        return ser_fail(err, SER_E_ARG, "start it with mpirun");
    sum.n_values = n;
    ser_team_leaves(&first, &end, n_parts, team->rank, team->n);
    double seconds = 0;
    for (int i = 0; i < TIMES && st == SER_OK; i++) {
        ser_sum_clear(&sum);
        for (size_t leaf = first; leaf < end && st == SER_OK; leaf++) {
            float *x;
            if ((st = ser_sum_vector(&sum, &x, err)) == SER_OK)
                ser_sum_push(&sum, x, leaf, 1);
        }
        if (st == SER_OK)
            st = ser_team_meet(team, err);
        double start = ser_clock_s();
        if (st == SER_OK)
            st = team->add(team->context, out, &sum, n_parts, err);
        seconds += (ser_clock_s() - start) / TIMES;
    }
    double share = (double)(team->n - 1) / team->n;
    if (st == SER_OK && !team->rank)
        printf("%zu values of %zu parts over %d ranks: %.2f ms; over a wire of 10 Gbit/s %.2f ms at least\n",
               n, n_parts, team->n, 1000 * seconds, 1000 * 2 * share * (double)n * 32 / 10e9);
    ser_sum_release(&sum);
    ser_free(out);
    return st;
}

/* ---- a training ---- */

/* Adds as the team does, and takes the time, that which a rank waits for another included. */
typedef struct timed {
    const ser_team *team;
    double seconds;
    size_t n;
} timed;

static ser_status add_timed(void *context, float *out, const ser_sum *sum, size_t n_leaves, ser_error *err)
{
    timed *t = context;
    double start = ser_clock_s();
    ser_status st = t->team->add(t->team->context, out, sum, n_leaves, err);
    t->seconds += ser_clock_s() - start;
    t->n++;
    return st;
}

static ser_status train_timed(const ser_team *team, const ser_timnet_rows *rows, size_t micro_batch,
                              ser_error *err)
{
    timed t = {team, 0, 0};
    ser_team own = *team;
    ser_timnet_settings s = ser_timnet_default_settings();
    ser_timnet_fit fit = {0};
    ser_nn_ops *ops = NULL;
    own.context = &t;
    own.add = add_timed;
    s.team = &own;
    s.micro_batch = micro_batch;
    s.n_epochs = 3;
    s.validation_share = 0;
    s.patience = 0;
    s.n_threads = 1;
    ser_status st = ser_nn_ops_new(&ops, SER_ENGINE_ONEDNN, SER_PRECISION_FP32, err);
    s.ops = ops;
    double start = ser_clock_s();
    if (st == SER_OK)
        st = ser_timnet_train(&fit, rows, &s, err);
    double seconds = ser_clock_s() - start;
    if (st == SER_OK && !team->rank)
        printf(
            "%zu steps of %zu recordings in parts of %zu on %d ranks: %.1f ms each, of which gradients are "
            "added in %.1f ms: %.1f %%\n",
            t.n, s.batch_size, micro_batch, team->n, 1000 * seconds / (double)t.n,
            1000 * t.seconds / (double)t.n, 100 * t.seconds / seconds);
    ser_timnet_fit_release(&fit);
    ser_nn_ops_free(&ops);
    return st;
}

static ser_status measure_step(const ser_team *team, size_t micro_batch, ser_error *err)
{
    enum { N = 160, N_FRAMES = 300, N_IN = 128, N_LABELS = 7 }; /* 3 s of sound each */
    static size_t n_frames[N];
    static const float *frames[N];
    static int label[N];
    float *values = ser_alloc((size_t)N * N_FRAMES * N_IN, sizeof *values);
    ser_random random;
    if (!team || !micro_batch || !values) {
        ser_free(values);
        return ser_fail(err, SER_E_ARG, "start it with mpirun, and parts of at least one recording");
    }
    ser_random_init(&random, 46);
    for (size_t i = 0; i < (size_t)N * N_FRAMES * N_IN; i++)
        values[i] = (float)ser_random_normal(&random);
    for (size_t i = 0; i < N; i++) {
        frames[i] = values + i * N_FRAMES * N_IN;
        n_frames[i] = N_FRAMES;
        label[i] = (int)(i % N_LABELS);
    }
    const ser_timnet_rows rows = {
        .frames = frames, .n_frames = n_frames, .label = label, .n = N, .n_in = N_IN, .n_labels = N_LABELS};
    ser_status st = train_timed(team, &rows, micro_batch, err);
    ser_free(values);
    return st;
}

/* ---- many ranks ---- */

/* A rank's next request at rank 0: a heap by time. */
typedef struct request {
    double at_s;
    size_t rank;
} request;

static void sift(request *heap, size_t n)
{
    for (size_t i = 0, child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && heap[child + 1].at_s < heap[child].at_s)
            child++;
        if (heap[i].at_s <= heap[child].at_s)
            return;
        request r = heap[i];
        heap[i] = heap[child];
        heap[child] = r;
    }
}

static int longer_first(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

/* Each rank asks for the next recording when it begins one, as ranks_deal.c does. free_s: when a rank is done
 * with what it has. */
static ser_status simulate(size_t n_ranks, size_t n, double cost, double service_s, double latency_s,
                           ser_error *err)
{
    double *work_s = ser_alloc(n, sizeof *work_s), *free_s = ser_alloc(n_ranks, sizeof *free_s), server_s = 0,
           busy_s = 0, end_s = 0;
    request *heap = ser_alloc(n_ranks, sizeof *heap);
    char **answers =
        ser_alloc(n, sizeof *answers); /* as rank 0 keeps them until their turn comes: here all of them */
    bool ok = work_s && free_s && heap && answers;
    ser_random random;
    ser_random_init(&random, 46);
    for (size_t i = 0; i < n && ok; i++)
        work_s[i] = cost * 3 * exp(0.6 * ser_random_normal(&random));
    if (ok)
        qsort(work_s, n, sizeof *work_s, longer_first);
    for (size_t k = 0; k < n_ranks && ok; k++)
        heap[k] = (request){latency_s / 2, k};
    for (size_t i = 0; i < n && ok; i++) {
        size_t rank = heap[0].rank;
        server_s = fmax(server_s, heap[0].at_s) + service_s;
        double begin_s = fmax(free_s[rank], server_s + latency_s / 2);
        free_s[rank] = begin_s + work_s[i];
        busy_s += work_s[i];
        end_s = fmax(end_s, free_s[rank]);
        heap[0].at_s = begin_s + latency_s / 2;
        sift(heap, n_ranks);
        ok = (answers[i] = ser_alloc(100, 1)) != NULL;
    }
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    if (ok)
        printf("%zu recordings on %zu ranks: %.1f s, idle %.3f %%; rank 0 holds %ld MB\n", n, n_ranks, end_s,
               100 * (1 - busy_s / (end_s * (double)n_ranks)), usage.ru_maxrss / 1024);
    for (size_t i = 0; i < n && answers; i++)
        ser_free(answers[i]);
    ser_free(answers);
    ser_free(work_s);
    ser_free(free_s);
    ser_free(heap);
    return ok ? SER_OK : ser_fail_nomem(err);
}

int main(int argc, char **argv)
{
    ser_ranks *ranks = NULL;
    ser_error err = {0};
    char warning[256];
    const ser_progress nobody = {0};
    ser_status st = SER_E_ARG;
    const char *what = argc > 1 ? argv[1] : "";
    if (strcmp(what, "simulate") == 0) {
        st = simulate((size_t)argument(argc, argv, 2, 1000), (size_t)argument(argc, argv, 3, 1e6),
                      argument(argc, argv, 4, 0.05), 1e-6 * argument(argc, argv, 5, 50),
                      1e-6 * argument(argc, argv, 6, 200), &err);
    } else if (strcmp(what, "deal") == 0 || strcmp(what, "add") == 0 || strcmp(what, "step") == 0) {
        st = ser_ranks_open(&ranks, &nobody, argc, argv, warning, &err);
        const ser_team *team = ser_ranks_team(ranks);
        if (st == SER_OK && *what == 'd')
            st = measure_deal(team, (size_t)argument(argc, argv, 2, 20000), &err);
        else if (st == SER_OK && *what == 's')
            st = measure_step(team, (size_t)argument(argc, argv, 2, 8), &err);
        else if (st == SER_OK)
            st = measure_add(team, (size_t)argument(argc, argv, 2, 0), (size_t)argument(argc, argv, 3, 4),
                             &err);
        ser_ranks_close(&ranks, &st, &err);
    } else
        ser_fail(&err, st, "say deal, add, step or simulate");
    if (st != SER_OK)
        fprintf(stderr, "%s\n", err.text);
    return st != SER_OK;
}
