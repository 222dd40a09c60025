#include "base/memory.h"
#include "base/random.h"
#include "failures/failing.h"
#include "model/moments.h"
#include "test.h"
#include "train/select.h"
#include "train/softmax_regression.h"

#include <pthread.h>

/* 150 recordings of 6 speakers, each with one altered copy behind it. Features 0 ... 9 tell the label, the
 * others are noise. More rows than one panel of inner products has, and more features than rows. */
enum { N_RECORDINGS = 150, N = 2 * N_RECORDINGS, N_IN = 400, N_TELLING = 10, N_LABELS = 3, N_FOLDS = 3 };

static float values[N][N_IN], mean[N_IN], scale[N_IN], weight[N];
static float all[N_IN], telling[N_IN], again[N_IN], noise[N_IN], nothing[N_IN];
static const float *rows[N];
static int label[N], fold[N];
static unsigned char is_copy[N];
static ser_nn_ops *ops;

static ser_select_data make_data(void)
{
    ser_random r;
    ser_random_init(&r, 7);
    for (size_t i = 0; i < N; i++) {
        rows[i] = values[i];
        is_copy[i] = i % 2;
        label[i] = i % 2 ? label[i - 1] : (int)ser_random_below(&r, N_LABELS);
        fold[i] = (int)(i / 2 % 6 / 2);
        weight[i] = 0.5f;
        for (size_t j = 0; j < N_IN; j++)
            values[i][j] = 5 + (i % 2 ? values[i - 1][j] - 5 + 0.1f * (float)ser_random_normal(&r)
                                      : (float)ser_random_normal(&r) +
                                            (j < N_TELLING && (int)(j % N_LABELS) == label[i] ? 1.5f : 0));
    }
    for (size_t j = 0; j < N_IN; j++) {
        all[j] = 1 / sqrtf(N_IN);
        again[j] = telling[j] = j < N_TELLING ? 1 / sqrtf(N_TELLING) : 0;
        noise[j] = j < N_TELLING ? 0 : 1 / sqrtf(N_IN - N_TELLING);
    }
    ser_error err = {0};
    CHECK_OK(ser_standardise(mean, scale, rows, N, N_IN, &err), &err);
    return (ser_select_data){.x = rows,
                             .mean = mean,
                             .scale = scale,
                             .label = label,
                             .weight = weight,
                             .fold = fold,
                             .is_copy = is_copy,
                             .n = N,
                             .n_in = N_IN,
                             .n_labels = N_LABELS};
}

static ser_select_settings settings_for(int n_threads)
{
    return (ser_select_settings){.ops = ops, .n_threads = n_threads, .what = "candidates"};
}

/* Candidate by candidate what ser_linear_fit says about the rows left out. */
static void check_against_fits(const ser_selection *s, const ser_select_candidate *candidate, size_t index)
{
    static float z[N][N_IN], zt[N][N_IN], expected[N_RECORDINGS * N_LABELS];
    int labels[N];
    float weights[N];
    ser_error err = {0};
    ser_nn_work *work = NULL;
    CHECK_OK(ser_nn_work_new(&work, ops, 1, &err), &err);
    for (int f = 0; f < N_FOLDS; f++) {
        size_t n = 0;
        for (size_t i = 0; i < N; i++) {
            for (size_t j = 0; j < N_IN; j++)
                zt[i][j] = (values[i][j] - mean[j]) * scale[j] * candidate->emphasis[j];
            if (fold[i] == f)
                continue;
            memcpy(z[n], zt[i], sizeof *z);
            labels[n] = label[i];
            weights[n++] = weight[i];
        }
        ser_linear l = {0};
        const ser_softmax_fit fit = {.c = candidate->c, .tolerance = 1e-5, .max_iterations = 1000};
        CHECK_OK(ser_linear_init(&l, N_IN, N_LABELS, &err), &err);
        CHECK_OK(ser_linear_fit(&l, z[0], labels, weights, n, &fit, work, &err), &err);
        for (size_t i = 0; i < N; i += 2)
            if (fold[i] == f)
                ser_linear_logits(&l, expected + i / 2 * N_LABELS, zt[i]);
        ser_linear_release(&l);
    }
    check_close("logits", s->logits + index * s->n_scored * N_LABELS, expected, N_RECORDINGS * N_LABELS, 0.03,
                0.03); /* the default tolerance of the fits */
    ser_nn_work_free(&work);
}

static void check_verdict(const ser_selection *s, size_t index)
{
    float scores[N_RECORDINGS * N_LABELS];
    int truth[N_RECORDINGS];
    double loss = 0;
    memcpy(scores, s->logits + index * s->n_scored * N_LABELS, sizeof scores);
    for (size_t i = 0; i < N_RECORDINGS; i++)
        truth[i] = label[2 * i];
    float t = ser_temperature_fit(scores, truth, N_RECORDINGS, N_LABELS);
    for (size_t i = 0; i < N_RECORDINGS; i++) {
        ser_softmax(scores + i * N_LABELS, N_LABELS, t);
        loss -= log((double)scores[i * N_LABELS + (size_t)truth[i]]) / N_RECORDINGS;
    }
    CHECK(s->verdicts[index].temperature == t && fabs(s->verdicts[index].loss - loss) < 1e-9);
}

static void test_choice(const ser_select_data *data)
{
    const ser_select_candidate candidates[] = {{noise, 1},    {noise, 30}, {all, 1},
                                               {all, 10},     {all, 100},  {telling, 1},
                                               {telling, 10}, {again, 1},  {again, 10}};
    const size_t n = sizeof candidates / sizeof *candidates;
    ser_selection s = {0}, threads = {0};
    ser_error err = {0};
    ser_select_settings settings = settings_for(1);
    CHECK_OK(ser_select(&s, data, candidates, n, &settings, &err), &err);
    CHECK(s.n_scored == N_RECORDINGS && s.n_candidates == n && candidates[s.best].emphasis == telling);
    CHECK(s.verdicts[s.best].ua > 80 && s.verdicts[0].ua < 60);
    for (size_t i = 0; i < n; i++) {
        CHECK(s.verdicts[s.best].loss <= s.verdicts[i].loss);
        check_against_fits(&s, &candidates[i], i);
        check_verdict(&s, i);
    }
    CHECK(s.verdicts[s.best].loss == s.verdicts[s.best + 2].loss); /* the first of equals */
    settings = settings_for(3);
    CHECK_OK(ser_select(&threads, data, candidates, n, &settings, &err), &err);
    CHECK(memcmp(s.logits, threads.logits, n * N_RECORDINGS * N_LABELS * sizeof *s.logits) == 0);
    CHECK(s.best == threads.best);
    ser_selection_release(&s);
    ser_selection_release(&threads);
}

/* Of two that hardly differ, the first is taken, in either order. */
static void test_the_first_of_peers(const ser_select_data *data)
{
    const ser_select_candidate candidates[] = {{telling, 10}, {again, 12}, {telling, 10}};
    for (size_t first = 0; first < 2; first++) {
        ser_selection s = {0};
        ser_error err = {0};
        ser_select_settings settings = settings_for(1);
        CHECK_OK(ser_select(&s, data, candidates + first, 2, &settings, &err), &err);
        CHECK(s.verdicts[0].loss != s.verdicts[1].loss && s.best == 0);
        ser_selection_release(&s);
    }
}

/* Copies of the rows in one's own fold must neither train nor be scored: poison them. */
static void test_copies(const ser_select_data *data)
{
    const ser_select_candidate candidate = {all, 10};
    const ser_select_settings settings = settings_for(1);
    ser_selection a = {0}, b = {0};
    ser_error err = {0};
    CHECK_OK(ser_select(&a, data, &candidate, 1, &settings, &err), &err);
    for (size_t i = 1; i < N; i += 2)
        if (fold[i] == 0)
            for (size_t j = 0; j < N_IN; j++)
                values[i][j] += 100;
    CHECK_OK(ser_select(&b, data, &candidate, 1, &settings, &err), &err);
    for (size_t i = 0; i < N_RECORDINGS; i++) {
        bool same =
            memcmp(a.logits + i * N_LABELS, b.logits + i * N_LABELS, N_LABELS * sizeof *a.logits) == 0;
        CHECK(same == (fold[2 * i] == 0));
    }
    for (size_t i = 1; i < N; i += 2)
        if (fold[i] == 0)
            for (size_t j = 0; j < N_IN; j++)
                values[i][j] -= 100;
    ser_selection_release(&a);
    ser_selection_release(&b);
}

/* A label that a fold's training rows lack, features that are constant, a fold without recordings. */
static void test_degenerate(ser_select_data data)
{
    const ser_select_candidate candidates[] = {{all, 10}, {telling, 10}};
    const ser_select_settings settings = settings_for(2);
    ser_selection s = {0};
    ser_error err = {0};
    int rare[N], gap[N];
    float kept = scale[3];
    for (size_t i = 0; i < N; i++) {
        rare[i] = label[i] == 2 ? 0 : label[i];
        gap[i] = fold[i] == 1 ? 7 : fold[i];
    }
    for (size_t i = 0; i < N; i++)
        if (fold[i] == 1)
            rare[i] = i / 6 % 2 ? 2 : rare[i]; /* label 2 in fold 1 only */
    data.label = rare;
    scale[3] = 0;
    CHECK_OK(ser_select(&s, &data, candidates, 2, &settings, &err), &err);
    for (size_t i = 0; i < 2 * N_RECORDINGS * N_LABELS; i++)
        CHECK(isfinite(s.logits[i]));
    ser_selection_release(&s);
    scale[3] = kept;
    data.label = label;
    data.fold = gap;
    CHECK_OK(ser_select(&s, &data, candidates, 2, &settings, &err), &err);
    CHECK(s.n_scored == N_RECORDINGS && s.verdicts[0].ua > 40);
    ser_selection_release(&s);
    data.weight = NULL;
    data.is_copy = NULL;
    CHECK_OK(ser_select(&s, &data, candidates, 1, &settings, &err), &err);
    CHECK(s.n_scored == N);
    ser_selection_release(&s);
}

static void test_bad_input(ser_select_data data)
{
    const ser_select_candidate candidates[] = {{telling, 10}, {nothing, 10}, {all, -1}};
    const ser_select_settings settings = settings_for(2);
    ser_selection s = {0};
    ser_error err = {0};
    int one_fold[N] = {0}, bad[N];
    CHECK_FAILS(ser_select(&s, &data, candidates, 0, &settings, &err), SER_E_ARG, &err, "no candidates");
    CHECK_FAILS(ser_select(&s, &data, candidates, 2, &settings, &err), SER_E_ARG, &err,
                "candidate 1 uses no feature");
    CHECK_FAILS(ser_select(&s, &data, candidates + 2, 1, &settings, &err), SER_E_ARG, &err,
                "c must be positive");
    data.fold = one_fold;
    CHECK_FAILS(ser_select(&s, &data, candidates, 1, &settings, &err), SER_E_ARG, &err, "two folds");
    for (size_t i = 0; i < N; i++)
        one_fold[i] = 1;
    CHECK_FAILS(ser_select(&s, &data, candidates, 1, &settings, &err), SER_E_ARG, &err, "no recordings");
    memcpy(bad, fold, sizeof bad);
    bad[5] = -1;
    data.fold = bad;
    CHECK_FAILS(ser_select(&s, &data, candidates, 1, &settings, &err), SER_E_ARG, &err, "fold -1");
    bad[5] = N;
    CHECK_FAILS(ser_select(&s, &data, candidates, 1, &settings, &err), SER_E_ARG, &err, "fold 300");
    data.fold = fold;
    memcpy(bad, label, sizeof bad);
    bad[5] = N_LABELS;
    data.label = bad;
    CHECK_FAILS(ser_select(&s, &data, candidates, 1, &settings, &err), SER_E_ARG, &err, "label 3 of 3");
    data.label = label;
    float kept = values[8][2];
    values[8][2] = NAN;
    CHECK_FAILS(ser_select(&s, &data, candidates, 1, &settings, &err), SER_E_FORMAT, &err,
                "row 8 has features");
    values[8][2] = kept;
    data.n = 0;
    CHECK_FAILS(ser_select(&s, &data, candidates, 1, &settings, &err), SER_E_ARG, &err, "two folds");
    CHECK(!s.logits && !s.verdicts);
}

/* Asked within a fit, too, where nothing more is done than before. */
typedef struct listener {
    size_t n_calls, n_done;
    size_t last_call, last_done; /* of which it says stop */
} listener;

static bool stop_at(void *context, const char *what, size_t done, size_t total)
{
    listener *l = context;
    CHECK(strcmp(what, "candidates") == 0 && total == 2 * N_FOLDS);
    CHECK(done == l->n_done || done == l->n_done + 1);
    l->n_done = done;
    return ++l->n_calls != l->last_call && done < l->last_done;
}

static void test_interruption(const ser_select_data *data)
{
    const ser_select_candidate candidates[] = {{all, 1}, {all, 10}};
    listener l = {.last_done = 3};
    const ser_progress progress = {stop_at, &l};
    ser_select_settings settings = settings_for(1);
    ser_selection s = {0};
    ser_error err = {0};
    settings.progress = &progress;
    CHECK_FAILS(ser_select(&s, data, candidates, 2, &settings, &err), SER_E_CANCELLED, &err, "interrupted");
    CHECK(l.n_done == 3 && l.n_calls > 3 && !s.logits);
    l = (listener){.last_call = 1, .last_done = 3};
    CHECK_FAILS(ser_select(&s, data, candidates, 2, &settings, &err), SER_E_CANCELLED, &err, "interrupted");
    CHECK(l.n_done == 0 && l.n_calls == 1 && !s.logits);
    settings.progress = NULL;
    ser_status st = SER_E_NOMEM;
    for (long at = 0; st != SER_OK && at < 10000; at++) {
        failing_at(at);
        st = ser_select(&s, data, candidates, 1, &settings, &err);
        CHECK(st == SER_OK || (st == SER_E_NOMEM && !s.logits));
    }
    failing_at(-1);
    CHECK(st == SER_OK);
    ser_selection_release(&s);
}

/* Only fold 0 has label 2, and folds 1 and 2 could not have said it: its own recordings of that label are not
 * judged when it is left out, and theirs never get it. */
static void test_masks(ser_select_data data)
{
    static int labels[N];
    static uint64_t mask[N];
    ser_error err = {0};
    ser_selection s;
    const ser_select_candidate candidate = {telling, 1};
    const ser_select_settings settings = settings_for(2);
    size_t n_judged = 0, at = 0;
    for (size_t i = 0; i < N; i++) {
        labels[i] = fold[i] ? label[i] % 2 : label[i];
        mask[i] = fold[i] ? 3 : 7;
        n_judged += !is_copy[i] && labels[i] != 2;
    }
    data.label = labels;
    data.mask = mask;
    CHECK_OK(ser_select(&s, &data, &candidate, 1, &settings, &err), &err);
    CHECK(s.n_scored == n_judged && n_judged < N_RECORDINGS && s.verdicts[0].ua > 60);
    for (size_t i = 0; i < N; i++)
        if (!is_copy[i] && labels[i] != 2) {
            const float *logits = s.logits + at++ * N_LABELS;
            CHECK(logits[2] < -1000 && fabsf(logits[0]) < 100 && fabsf(logits[1]) < 100);
        }
    ser_selection_release(&s);
}

/* Logits that rows have whatever is learned: with a penalty that lets hardly anything be, answers out of fold
 * are these and a bias of the fold. */
static void test_offsets(ser_select_data data)
{
    static float offset[N * N_LABELS];
    ser_error err = {0};
    ser_selection s;
    const ser_select_candidate candidate = {telling, 1e-7};
    const ser_select_settings settings = settings_for(2);
    size_t at = 0, first[N_FOLDS];
    for (size_t i = 0; i < N * N_LABELS; i++)
        offset[i] = (float)(i * 7 % 11) / 4;
    for (size_t f = 0; f < N_FOLDS; f++)
        first[f] = N;
    data.offset = offset;
    CHECK_OK(ser_select(&s, &data, &candidate, 1, &settings, &err), &err);
    for (size_t i = 0; i < N; i++) {
        if (is_copy[i])
            continue;
        float *left = s.logits + at++ * N_LABELS;
        for (size_t k = 0; k < N_LABELS; k++)
            left[k] -= offset[i * N_LABELS + k];
        size_t *one = &first[fold[i]];
        *one = *one == N ? at - 1 : *one;
        for (size_t k = 0; k < N_LABELS; k++)
            CHECK(fabsf(left[k] - s.logits[*one * N_LABELS + k]) < 1e-3f);
    }
    ser_selection_release(&s);
}

/* ---- shared by ranks ---- */

/* Ranks of one process, in a thread each: items go round, and rank 0 is told of all. */
enum { MAX_RANKS = 5, MAX_ITEMS = 64 };
static struct {
    pthread_barrier_t barrier;
    ser_text answers[MAX_ITEMS], block;
    size_t n_items;
} shared;

typedef struct rank {
    ser_team team;
    const ser_select_data *data;
    const ser_select_candidate *candidates;
    size_t n_candidates, n_done;
    ser_selection selection;
} rank;

static ser_status deal(void *context, const ser_deal *d, ser_error *err)
{
    rank *r = context;
    CHECK(d->n_items <= MAX_ITEMS);
    for (size_t i = (size_t)r->team.rank; i < d->n_items; i += (size_t)r->team.n, r->n_done++)
        CHECK_OK(d->work(d->context, i, 0, &shared.answers[i], err), err);
    pthread_barrier_wait(&shared.barrier);
    for (size_t i = 0; i < d->n_items && !r->team.rank; i++) {
        CHECK_OK(d->take(d->context, i, shared.answers[i].s, shared.answers[i].n, err), err);
        CHECK(d->take(d->context, i, shared.answers[i].s, shared.answers[i].n - 1, err) == SER_E_FORMAT);
        ser_text_release(&shared.answers[i]);
    }
    shared.n_items = d->n_items;
    return SER_OK;
}

static ser_status share(void *context, ser_text *block, ser_error *err)
{
    const rank *r = context;
    (void)err;
    if (!r->team.rank)
        ser_text_append_n(&shared.block, block->s, block->n);
    pthread_barrier_wait(&shared.barrier);
    if (r->team.rank)
        ser_text_append_n(block, shared.block.s, shared.block.n);
    pthread_barrier_wait(&shared.barrier);
    if (!r->team.rank)
        ser_text_release(&shared.block);
    return SER_OK;
}

static void *select_as_rank(void *context)
{
    rank *r = context;
    ser_error err = {0};
    ser_select_settings settings = settings_for(1 + r->team.rank % 2);
    settings.team = &r->team;
    CHECK_OK(ser_select(&r->selection, r->data, r->candidates, r->n_candidates, &settings, &err), &err);
    return NULL;
}

/* Each rank tries some, and all know everything in the end, to the bits of one process. */
static void test_ranks(const ser_select_data *data, const ser_select_candidate *candidates,
                       size_t n_candidates, int n_ranks, size_t n_items)
{
    rank ranks[MAX_RANKS];
    pthread_t threads[MAX_RANKS];
    ser_selection alone = {0};
    ser_error err = {0};
    const ser_select_settings settings = settings_for(2);
    CHECK_OK(ser_select(&alone, data, candidates, n_candidates, &settings, &err), &err);
    pthread_barrier_init(&shared.barrier, NULL, (unsigned)n_ranks);
    for (int i = 0; i < n_ranks; i++) {
        ranks[i] =
            (rank){.team = {.rank = i, .n = n_ranks, .context = &ranks[i], .deal = deal, .share = share},
                   .data = data,
                   .candidates = candidates,
                   .n_candidates = n_candidates};
        CHECK(pthread_create(&threads[i], NULL, select_as_rank, &ranks[i]) == 0);
    }
    for (int i = 0; i < n_ranks; i++) {
        rank *r = &ranks[i];
        pthread_join(threads[i], NULL);
        CHECK(r->n_done > 0 && r->selection.best == alone.best);
        CHECK(memcmp(r->selection.logits, alone.logits,
                     n_candidates * N_RECORDINGS * N_LABELS * sizeof *alone.logits) == 0);
        ser_selection_release(&r->selection);
    }
    CHECK(shared.n_items == n_items);
    pthread_barrier_destroy(&shared.barrier);
    ser_selection_release(&alone);
}

static void test_dealt(const ser_select_data *data)
{
    const ser_select_candidate candidates[] = {{noise, 1}, {noise, 30}, {telling, 1}, {all, 1}};
    test_ranks(data, candidates, 4, 2, 3); /* noise is one item */
    test_ranks(data, candidates, 1, 3, N_FOLDS);
    test_ranks(data, candidates, 4, 5, 6); /* the folds of each in two shares */
}

int main(void)
{
    ser_error err = {0};
    CHECK_OK(ser_nn_ops_new(&ops, SER_ENGINE_ONEDNN, SER_PRECISION_FP32, &err), &err);
    ser_select_data data = make_data();
    test_choice(&data);
    test_the_first_of_peers(&data);
    test_copies(&data);
    test_degenerate(data);
    test_bad_input(data);
    test_interruption(&data);
    test_masks(data);
    test_offsets(data);
    test_dealt(&data);
    ser_nn_ops_free(&ops);
    return test_summary();
}
