/* Windows computed beside whoever cuts them: in their order, with all that a failure or an end in their midst
 * asks for. */
#include "base/memory.h"
#include "base/random.h"
#include "extract/cuts.h"
#include "failures/failing.h"
#include "test.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <time.h>

enum { N_CUTS = 40, N_MOST = 8000 };

static ser_extractor *extractor;
static float *sound; /* (N_CUTS + N_MOST) */

typedef struct listener {
    size_t n, fails_at;
    double sums[N_CUTS];
    bool in_order;
} listener;

static ser_status receive(void *context, const ser_cut *cut, ser_error *err)
{
    listener *l = context;
    size_t dims = ser_extractor_dims(extractor);
    double sum = 0;
    for (size_t i = 0; i < cut->frames.n * dims; i++)
        sum += (double)cut->frames.x[i] * (double)(i + 1);
    l->in_order = l->in_order && cut->start == l->n;
    l->sums[l->n] = sum;
    return ++l->n == l->fails_at ? ser_fail(err, SER_E_CANCELLED, "enough") : SER_OK;
}

/* Every fifth has no sound; posts n of them. */
static ser_status post(ser_cuts *c, listener *l, size_t n, ser_error *err)
{
    ser_status st = SER_OK;
    for (size_t i = 0; i < n && st == SER_OK; i++) {
        const ser_cut cut = {.pcm = i % 5 ? sound + i : NULL,
                             .n_samples = i % 5 ? N_MOST - 150 * i : 0,
                             .to = SIZE_MAX,
                             .start = i};
        st = ser_cuts_post(c, &cut, receive, l, err);
    }
    return st;
}

static ser_status hear(listener *l, int n_threads, size_t fails_at, bool drained, ser_error *err)
{
    ser_cuts *c = NULL;
    ser_extractor_work *w = NULL;
    *l = (listener){.fails_at = fails_at, .in_order = true};
    ser_status st = ser_extractor_work_new(&w, extractor, n_threads, err);
    if (st == SER_OK)
        st = ser_cuts_new(&c, extractor, w, true, N_MOST, err);
    if (st == SER_OK)
        st = post(c, l, N_CUTS, err);
    if (st == SER_OK && drained)
        st = ser_cuts_drain(c, err);
    ser_cuts_free(&c);
    ser_extractor_work_free(&w);
    return st;
}

/* ---- threads that do not start (--wrap=pthread_create) ---- */

static int n_startable = INT_MAX;

typedef void *thread_fn(void *);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, thread_fn *run, void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, thread_fn *run, void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, thread_fn *run, void *argument)
{
    return n_startable-- > 0 ? __real_pthread_create(thread, attr, run, argument) : EAGAIN;
}

static void test_threads_that_do_not_start(const listener *alone)
{
    ser_error err = {0};
    listener l;
    for (int n = 0; n < 3; n++) {
        n_startable = n;
        CHECK_OK(hear(&l, 4, 0, true, &err), &err);
        CHECK(n_startable < 0); /* so one did not */
        CHECK(l.n == N_CUTS && l.in_order && memcmp(l.sums, alone->sums, sizeof alone->sums) == 0);
    }
    n_startable = INT_MAX;
}

/* ---- memory ---- */

enum { N_HELD = 3 }; /* cuts that two threads hold: posting so many computes none */

/* All cuts that are held are computed by one thread: whoever drains where no other starts, else the helper,
 * whose n-th allocation fails before anything is drained: posting makes none. n_made: how many were made. */
static ser_status hear_of_one(listener *l, bool by_helper, long n, long *n_made, ser_error *err)
{
    ser_cuts *c = NULL;
    ser_extractor_work *w = NULL;
    char by[FAILING_NAME];
    const struct timespec pause = {.tv_nsec = 100000};
    *l = (listener){.in_order = true};
    ser_status st = ser_extractor_work_new(&w, extractor, 2, err);
    n_startable = by_helper;
    if (st == SER_OK)
        st = ser_cuts_new(&c, extractor, w, true, N_MOST, err);
    n_startable = INT_MAX;
    failing_arm(FAILING_OURS, n, by, false);
    if (st == SER_OK)
        st = post(c, l, N_HELD, err);
    while (by_helper && st == SER_OK && !failing_hit())
        nanosleep(&pause, NULL);
    if (st == SER_OK)
        st = ser_cuts_drain(c, err);
    ser_cuts_free(&c);
    *n_made = failing_disarm();
    ser_extractor_work_free(&w);
    return st;
}

/* How many allocations the computing of the cuts held takes. */
static long test_no_memory_in_a_helper(void)
{
    ser_error err = {0};
    listener l;
    long n_all, n_made;
    CHECK_OK(hear_of_one(&l, false, LONG_MAX, &n_all, &err), &err);
    CHECK(l.n == N_HELD && n_all > 2);
    for (long n = 0; n < n_all; n++) {
        CHECK_FAILS(hear_of_one(&l, true, n, &n_made, &err), SER_E_NOMEM, &err, "memory");
        CHECK(l.n < N_HELD && l.in_order);
    }
    return n_all;
}

/* Of whichever thread. How many runs had one that failed. */
static long test_no_memory(void)
{
    ser_error err = {0};
    listener l;
    char by[FAILING_NAME];
    bool hit = true;
    long n = -1;
    while (hit && ++n < 1000) {
        failing_arm(FAILING_OURS, n, by, false);
        ser_status st = hear(&l, 3, 0, true, &err);
        failing_disarm();
        hit = failing_hit();
        CHECK(st == (hit ? SER_E_NOMEM : SER_OK) && (st == SER_OK ? l.n == N_CUTS : l.n < N_CUTS));
        CHECK(st == SER_OK || strstr(err.text, "memory"));
    }
    CHECK(!hit);
    return n;
}

int main(void)
{
    ser_error err = {0};
    ser_feature_spec spec;
    ser_random r;
    listener alone, beside;
    ser_random_init(&r, 7);
    sound = ser_alloc(N_CUTS + N_MOST, sizeof *sound);
    for (size_t i = 0; i < N_CUTS + N_MOST; i++)
        sound[i] = (float)ser_random_below(&r, 2001) / 1000 - 1;
    CHECK_OK(ser_feature_spec_parse(&spec, "LOGMEL+MFCC", &err), &err);
    CHECK_OK(ser_extractor_new(&extractor, &spec, NULL, &err), &err);
    CHECK_OK(hear(&alone, 1, 0, true, &err), &err);
    for (int n = 2; n <= 5; n++) {
        CHECK_OK(hear(&beside, n, 0, true, &err), &err);
        CHECK(beside.n == N_CUTS && beside.in_order &&
              memcmp(beside.sums, alone.sums, sizeof alone.sums) == 0);
        CHECK(hear(&beside, n, 9, true, &err) == SER_E_CANCELLED &&
              beside.n == 9);                             /* nothing comes after it */
        CHECK_OK(hear(&beside, n, 0, false, &err), &err); /* threads end that are still at work */
        CHECK(beside.n < N_CUTS);
    }
    test_threads_that_do_not_start(&alone);
    long n_of_one = test_no_memory_in_a_helper();
    CHECK(test_no_memory() > n_of_one);
    ser_extractor_free(&extractor);
    ser_free(sound);
    return test_summary();
}
