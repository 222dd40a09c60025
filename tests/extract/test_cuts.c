/* Windows computed beside whoever cuts them: in their order, with all that a failure or an end in their midst
 * asks for. */
#include "base/memory.h"
#include "base/random.h"
#include "extract/cuts.h"
#include "failures/failing.h"
#include "test.h"

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
    ser_status st = SER_E_NOMEM;
    for (long n = 0; st == SER_E_NOMEM && n < 1000; n++) {
        failing_at(n);
        st = hear(&beside, 3, 0, true, &err);
        failing_at(-1);
        CHECK(st == SER_OK || strstr(err.text, "memory"));
    }
    CHECK(st == SER_OK && beside.n == N_CUTS);
    ser_extractor_free(&extractor);
    ser_free(sound);
    return test_summary();
}
