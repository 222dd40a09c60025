/* What it costs that several ranks do one job.
 *
 *   mpirun -n 4 bench-ranks deal [ITEMS]
 *       handing out recordings that take no time, one by one and several at a time; a message there and back
 *   mpirun -n 2 bench-ranks add [VALUES [PARTS]]
 *       adding up the gradients of a network's batch; the usual one's without VALUES
 *   mpirun -n 2 bench-ranks step [MICRO_BATCH]
 *       a training of the usual network, one thread a rank: what share of it gradients are added
 *   bench-ranks simulate [RANKS [RECORDINGS [COST [ASK_US [ANSWER_US [LATENCY_US]]]]]]
 *       many ranks: COST seconds of work for a second of sound; what rank 0 computes for each time that it
 *       hands out, and for each recording's answer; a message there and back (deal measures the three);
 *       lengths are log-normal around 3 s
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

/* sizes: as of ser_deal. */
static ser_status measure_hand_out(const ser_team *team, size_t n, const size_t *sizes, ser_error *err)
{
    const ser_deal deal = {.n_items = n,
                           .sizes = sizes,
                           .n_threads = 1,
                           .work = do_nothing,
                           .take = take_nothing,
                           .context = (void *)team};
    double start = ser_clock_s(), before_s = processor_s();
    ser_status st = ser_team_deal(team, &deal, err);
    double seconds = ser_clock_s() - start, cpu_s = processor_s() - before_s;
    if (st == SER_OK && ser_team_is_first(team))
        printf("%zu recordings over %d ranks, %s, in %.3f s: %.4f ms a recording, of which rank 0 computes "
               "%.4f ms\n",
               n, team ? team->n : 1, sizes ? "several at a time" : "one by one", seconds,
               1000 * seconds / (double)n, 1000 * cpu_s / (double)n);
    return st;
}

static ser_status measure_deal(const ser_team *team, size_t n, ser_error *err)
{
    enum { N_MEETINGS = 1000 };
    size_t *sizes = ser_alloc(n, sizeof *sizes);
    ser_status st = sizes ? measure_hand_out(team, n, NULL, err) : ser_fail_nomem(err);
    for (size_t i = 0; i < n && sizes; i++)
        sizes[i] = 100000;
    if (st == SER_OK)
        st = measure_hand_out(team, n, sizes, err);
    ser_free(sizes);
    double start = ser_clock_s();
    for (int i = 0; i < N_MEETINGS && st == SER_OK; i++)
        st = ser_team_meet(team, err);
    double seconds = ser_clock_s() - start;
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

/* A rank, and its next message to rank 0: it asks when it begins the last recording that it has, as
 * ranks_deal.c does, and answers each. */
typedef struct simulated {
    double at_s, ready_s, done_s; /* of the message; when it has what it asked for; when it is free */
    bool asks, works;
    size_t at, end, next, next_end; /* which it has and has not begun; which it asked for */
} simulated;

typedef struct simulation {
    ser_deal deal;
    int n_ranks;
    double cost, ask_s, answer_s, latency_s;
    uint64_t left;
    size_t n_handed_out, n_asked, n_answers;
    double server_s, busy_s; /* when rank 0 is free; of all ranks */
    simulated *heap;         /* (n_heap): by at_s */
    size_t n_heap;
    char **answers; /* as rank 0 keeps them until their turn comes: here all of them */
} simulation;

enum { BYTES_A_SECOND = 32000 };

static void sift(simulated *heap, size_t n)
{
    for (size_t i = 0, child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && heap[child + 1].at_s < heap[child].at_s)
            child++;
        if (heap[i].at_s <= heap[child].at_s)
            return;
        simulated r = heap[i];
        heap[i] = heap[child];
        heap[child] = r;
    }
}

static int longer_first(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return (x < y) - (x > y);
}

/* A rank that is free takes its next recording; false: there is none. */
static bool begin(simulation *s, simulated *r)
{
    double begin_s = r->done_s;
    if (r->at == r->end) {
        begin_s = fmax(begin_s, r->ready_s);
        r->at = r->next;
        r->end = r->next_end;
    }
    if (!(r->works = r->at < r->end))
        return false;
    double work_s = s->cost * (double)s->deal.sizes[r->at++] / BYTES_A_SECOND;
    r->done_s = begin_s + work_s;
    s->busy_s += work_s;
    r->asks = r->at == r->end;
    r->at_s = r->asks ? begin_s : r->done_s;
    return true;
}

/* Rank 0 sees to the earliest message. */
static bool serve(simulation *s)
{
    simulated *r = s->heap;
    bool asked = r->asks, more = true;
    s->server_s = fmax(s->server_s, r->at_s + s->latency_s / 2) + (asked ? s->ask_s : s->answer_s);
    if (asked) {
        s->n_asked++;
        r->next = s->n_handed_out;
        if (r->next < s->deal.n_items)
            s->n_handed_out += ser_deal_some(&s->deal, r->next, &s->left, s->n_ranks);
        r->next_end = s->n_handed_out;
        r->ready_s = s->server_s + s->latency_s / 2;
        r->asks = false;
        r->at_s = r->done_s;
    } else if (!(s->answers[s->n_answers++] = ser_alloc(100, 1)))
        return false;
    if (!asked || !r->works)
        more = begin(s, r);
    if (!more)
        s->heap[0] = s->heap[--s->n_heap];
    sift(s->heap, s->n_heap);
    return true;
}

static ser_status simulate(simulation *s, ser_error *err)
{
    size_t n = s->deal.n_items, *sizes = ser_alloc(n, sizeof *sizes);
    ser_random random;
    s->n_heap = (size_t)s->n_ranks;
    s->heap = ser_alloc(s->n_heap, sizeof *s->heap);
    s->answers = ser_alloc(n, sizeof *s->answers);
    bool ok = sizes && s->heap && s->answers;
    ser_random_init(&random, 46);
    for (size_t i = 0; i < n && ok; i++)
        s->left += sizes[i] = (size_t)(BYTES_A_SECOND * 3 * exp(0.6 * ser_random_normal(&random)));
    if (ok)
        qsort(sizes, n, sizeof *sizes, longer_first);
    s->deal.sizes = sizes;
    for (size_t k = 0; k < s->n_heap && ok; k++)
        s->heap[k] = (simulated){.asks = true};
    while (ok && s->n_heap)
        ok = serve(s);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    if (ok)
        printf(
            "%zu recordings on %d ranks, which asked %zu times: %.1f s, idle %.3f %%; rank 0 holds %ld MB\n",
            s->n_answers, s->n_ranks, s->n_asked, s->server_s,
            100 * (1 - s->busy_s / (s->server_s * s->n_ranks)), usage.ru_maxrss / 1024);
    for (size_t i = 0; s->answers && i < s->n_answers; i++)
        ser_free(s->answers[i]);
    ser_free(s->answers);
    ser_free(sizes);
    ser_free(s->heap);
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
        simulation s = {.n_ranks = (int)argument(argc, argv, 2, 1000),
                        .deal.n_items = (size_t)argument(argc, argv, 3, 1e6),
                        .cost = argument(argc, argv, 4, 0.05),
                        .ask_s = 1e-6 * argument(argc, argv, 5, 25),
                        .answer_s = 1e-6 * argument(argc, argv, 6, 25),
                        .latency_s = 1e-6 * argument(argc, argv, 7, 200)};
        st = simulate(&s, &err);
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
