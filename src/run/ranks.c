/* Messages go from each rank to rank 0 and back, never between others, so that one place decides. Nobody
 * waits inside MPI, whose waiting takes a whole core: it is asked from time to time. */
#include "base/clock.h"
#include "base/memory.h"
#include "run/ranks_parts.h"

#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifdef SER_MPI

#include <mpi.h>

/* ---- messages ---- */

/* SHORT: what MPI takes over at once, whoever waits for it. */
enum { SHORT = 2048 };

/* Until what is under way is done. Whoever is to take part in it may have failed. */
static ser_status wait_inside(ser_ranks *r, MPI_Request *request, ser_error *err)
{
    enum { LONGEST_US = 50 };
    int done = 0;
    for (long pause_us = 1; !done;) {
        pthread_mutex_lock(&r->mpi);
        MPI_Test(request, &done, MPI_STATUS_IGNORE);
        pthread_mutex_unlock(&r->mpi);
        if (done)
            break;
        if (!r->deal) /* else a thread of its own does */
            ser_ranks_look_for_urgent(r);
        if (r->failed) {
            r->is_torn = true;
            return ser_ranks_failure(r, err);
        }
        ser_ranks_rest(&pause_us, LONGEST_US);
    }
    return SER_OK;
}

ser_status ser_ranks_send(ser_ranks *r, int to, int tag, const ser_ranks_head *h, const void *bytes, size_t n,
                          ser_error *err)
{
    if (n > INT_MAX - sizeof *h)
        return ser_fail(err, SER_E_UNSUPPORTED, "%zu bytes are more than ranks send each other at once", n);
    char *all = ser_alloc(sizeof *h + n, 1);
    if (!all)
        return ser_fail_nomem(err);
    memcpy(all, h, sizeof *h);
    if (n)
        memcpy(all + sizeof *h, bytes, n);
    MPI_Request request;
    pthread_mutex_lock(&r->mpi);
    if (n <= SHORT)
        MPI_Send(all, (int)(sizeof *h + n), MPI_BYTE, to, tag, MPI_COMM_WORLD);
    else
        MPI_Isend(all, (int)(sizeof *h + n), MPI_BYTE, to, tag, MPI_COMM_WORLD, &request);
    pthread_mutex_unlock(&r->mpi);
    ser_status st = n <= SHORT ? SER_OK : wait_inside(r, &request, err);
    if (st == SER_OK) /* else MPI has its hands in it still */
        ser_free(all);
    return st;
}

/* Short ones that nobody can do anything about. */
void ser_ranks_tell(ser_ranks *r, int to, int tag, ser_ranks_kind k, ser_status status, const char *text)
{
    const ser_ranks_head h = {.kind = (int)k, .status = (int)status};
    ser_ranks_send(r, to, tag, &h, text, text ? strlen(text) : 0, NULL);
}

void ser_ranks_tell_others(ser_ranks *r, int tag, ser_ranks_kind k, ser_status status, const char *text)
{
    for (int to = 1; to < r->team.n; to++)
        ser_ranks_tell(r, to, tag, k, status, text);
}

/* false: there is none. */
bool ser_ranks_receive(ser_ranks *r, int tag, ser_ranks_message *m)
{
    MPI_Status status;
    int there = 0, n = 0;
    *m = (ser_ranks_message){0};
    pthread_mutex_lock(&r->mpi);
    MPI_Iprobe(MPI_ANY_SOURCE, tag, MPI_COMM_WORLD, &there, &status);
    char *all = NULL;
    if (there) {
        MPI_Get_count(&status, MPI_BYTE, &n);
        if (!(all = ser_alloc((size_t)n + 1, 1)))
            MPI_Abort(MPI_COMM_WORLD, 1); /* there is no way to say no to a message */
        MPI_Recv(all, n, MPI_BYTE, status.MPI_SOURCE, tag, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    }
    pthread_mutex_unlock(&r->mpi);
    if (!all)
        return false;
    m->from = status.MPI_SOURCE;
    memcpy(&m->h, all, sizeof m->h);
    m->n = (size_t)n - sizeof m->h;
    memmove(all, all + sizeof m->h, m->n + 1);
    m->bytes = all;
    return true;
}

/* A moment longer each time that there was nothing to do. */
void ser_ranks_rest(long *pause_us, long longest_us)
{
    nanosleep(&(struct timespec){.tv_nsec = *pause_us * 1000}, NULL);
    *pause_us = *pause_us * 2 < longest_us ? *pause_us * 2 : longest_us;
}

/* The first failure is kept, but one that only says that work was stopped gives way to a reason. */
static void note_failure(ser_ranks *r, int from, ser_status status, const char *text)
{
    pthread_mutex_lock(&r->lock);
    if (!r->failed || r->failure.status == SER_E_CANCELLED) {
        r->failed = true;
        if (from && status != SER_E_CANCELLED)
            ser_fail(&r->failure, status, "rank %d (%s): %s", from, r->hosts[from], text);
        else
            ser_fail(&r->failure, status, "%s", text);
    }
    pthread_mutex_unlock(&r->lock);
}

void ser_ranks_look_for_urgent(ser_ranks *r)
{
    for (ser_ranks_message m; ser_ranks_receive(r, SER_RANKS_URGENT, &m); ser_free(m.bytes)) {
        r->has_verdict =
            r->has_verdict || m.h.kind == SER_RANKS_VERDICT || m.h.kind == SER_RANKS_TORN_VERDICT;
        r->is_torn = r->is_torn || m.h.kind == SER_RANKS_TORN_VERDICT || m.h.kind == SER_RANKS_TORN_LEAVING;
        bool leaves = m.h.kind == SER_RANKS_LEAVING || m.h.kind == SER_RANKS_TORN_LEAVING;
        if (m.h.status != SER_OK)
            note_failure(r, m.from, (ser_status)m.h.status, m.bytes);
        if (r->left && m.from) {
            r->gone[m.from] = true;
            r->left[m.from] = leaves;
        }
    }
}

/* Whether somebody at this rank wants to stop; asked ten times a second. */
bool ser_ranks_want_to_stop(ser_ranks *r, const ser_progress *p, const char *what, size_t done, size_t total)
{
    double now = ser_clock_s();
    if (now - r->last_asked_s < 0.1)
        return false;
    r->last_asked_s = now;
    pthread_mutex_lock(&r->listening);
    bool go_on = ser_progress_report(p, what, done, total);
    pthread_mutex_unlock(&r->listening);
    return !go_on;
}

ser_status ser_ranks_failure(ser_ranks *r, ser_error *err)
{
    return ser_fail(err, r->failure.status, "%s", r->failure.text);
}

bool ser_ranks_go_on(ser_ranks *r)
{
    if (r && !r->deal)
        ser_ranks_look_for_urgent(r);
    return !r || !(r->failed || (r->deal && r->deal->stop));
}

void ser_ranks_set_handler(ser_ranks *r, void (*handler)(void *, const void *, size_t), void *context)
{
    if (!r)
        return;
    r->handler = handler;
    r->handler_context = context;
}

void ser_ranks_handle_note(ser_ranks *r, const void *note, size_t n)
{
    pthread_mutex_lock(&r->listening);
    if (r->handler)
        r->handler(r->handler_context, note, n);
    pthread_mutex_unlock(&r->listening);
}

void ser_ranks_note(ser_ranks *r, const void *note, size_t n)
{
    const ser_ranks_head h = {.kind = SER_RANKS_NOTE};
    if (r->team.rank == 0)
        ser_ranks_handle_note(r, note, n);
    else if (r->deal)
        ser_ranks_send(r, 0, SER_RANKS_UP, &h, note, n, NULL);
}

/* ---- sums ---- */

/* The nodes that a rank's leaves make; their vectors are elsewhere. */
static ser_sum nodes_of(size_t n_leaves, const ser_team *team, int rank)
{
    ser_sum s = {0};
    size_t first, end;
    ser_team_leaves(&first, &end, n_leaves, rank, team->n);
    for (size_t leaf = first; leaf < end; leaf++)
        ser_sum_push(&s, NULL, leaf, 1);
    return s;
}

/* The values at ... at + n - 1 of all nodes. */
typedef struct values {
    const ser_sum *sum;
    size_t at, n, n_leaves;
} values;

/* What goes to and comes from each rank in one exchange: (n) each, in floats. */
typedef struct traffic {
    int *n_sent, *sent_at, *n_received, *received_at, *length, *at; /* length, at: the stretch of the values
                                                                       that each rank adds up for all */
    float *sent, *received;
} traffic;

static void traffic_release(traffic *t)
{
    ser_free(t->n_sent);
    ser_free(t->sent);
    ser_free(t->received);
}

static ser_status traffic_plan(traffic *t, const ser_team *team, const values *v, ser_error *err)
{
    size_t n = (size_t)team->n, n_sent = 0, n_received = 0;
    *t = (traffic){.n_sent = ser_alloc(6 * n, sizeof *t->n_sent)};
    if (!t->n_sent)
        return ser_fail_nomem(err);
    int **parts[] = {&t->n_sent, &t->sent_at, &t->n_received, &t->received_at, &t->length, &t->at};
    for (size_t i = 0; i < 6; i++)
        *parts[i] = t->n_sent + i * n;
    for (size_t k = 0; k < n; k++) {
        size_t first, end;
        ser_team_leaves(&first, &end, v->n, (int)k, team->n);
        t->at[k] = (int)first;
        t->length[k] = (int)(end - first);
    }
    for (int k = 0; k < team->n; k++) {
        t->n_sent[k] = (int)v->sum->n * t->length[k];
        t->sent_at[k] = (int)n_sent;
        n_sent += (size_t)t->n_sent[k];
        t->n_received[k] = (int)nodes_of(v->n_leaves, team, k).n * t->length[team->rank];
        t->received_at[k] = (int)n_received;
        n_received += (size_t)t->n_received[k];
    }
    t->sent = ser_alloc(n_sent, sizeof *t->sent);
    t->received = ser_alloc(n_received, sizeof *t->received);
    return t->sent && t->received ? SER_OK : ser_fail_nomem(err);
}

/* This rank's stretch of all nodes, which traffic brought. */
static ser_status add_stretch(float *out, const ser_team *team, const traffic *t, size_t n_leaves,
                              ser_error *err)
{
    ser_sum all = {.n_values = (size_t)t->length[team->rank]};
    ser_status st = SER_OK;
    const float *x = t->received;
    for (int k = 0; k < team->n && st == SER_OK; k++) {
        ser_sum theirs = nodes_of(n_leaves, team, k);
        for (size_t i = 0; i < theirs.n && st == SER_OK; i++, x += all.n_values) {
            float *copy;
            if ((st = ser_sum_vector(&all, &copy, err)) != SER_OK)
                break;
            memcpy(copy, x, all.n_values * sizeof *copy);
            ser_sum_push(&all, copy, theirs.nodes[i].first, theirs.nodes[i].n_leaves);
        }
    }
    if (st == SER_OK)
        ser_sum_total(&all, out);
    ser_sum_release(&all);
    return st;
}

/* Each rank adds up one stretch of the values, and gives it to all: nobody is sent more than twice what there
 * is. out: where they begin. */
static ser_status add_values(ser_ranks *r, float *out, const values *v, ser_error *err)
{
    traffic t;
    MPI_Request request;
    ser_status st = traffic_plan(&t, &r->team, v, err);
    for (int k = 0; k < r->team.n && st == SER_OK; k++)
        for (size_t i = 0; i < v->sum->n; i++)
            memcpy(t.sent + t.sent_at[k] + i * (size_t)t.length[k], v->sum->nodes[i].x + v->at + t.at[k],
                   (size_t)t.length[k] * sizeof *t.sent);
    if (st == SER_OK) {
        pthread_mutex_lock(&r->mpi);
        MPI_Ialltoallv(t.sent, t.n_sent, t.sent_at, MPI_FLOAT, t.received, t.n_received, t.received_at,
                       MPI_FLOAT, MPI_COMM_WORLD, &request);
        pthread_mutex_unlock(&r->mpi);
        st = wait_inside(r, &request, err);
    }
    if (st == SER_OK)
        st = add_stretch(out + t.at[r->team.rank], &r->team, &t, v->n_leaves, err);
    if (st == SER_OK) {
        pthread_mutex_lock(&r->mpi);
        MPI_Iallgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, out, t.length, t.at, MPI_FLOAT, MPI_COMM_WORLD,
                        &request);
        pthread_mutex_unlock(&r->mpi);
        st = wait_inside(r, &request, err);
    }
    if (!r->is_torn) /* else MPI has its hands in them still */
        traffic_release(&t);
    return st;
}

/* So many values at once that MPI can count all that is sent, and that little memory is needed beside them.
 */
static ser_status add(void *context, float *out, const ser_sum *sum, size_t n_leaves, ser_error *err)
{
    enum { AT_ONCE = 1 << 22 };
    ser_ranks *r = context;
    size_t most = (size_t)INT_MAX / SER_SUM_MAX_NODES / (size_t)r->team.n;
    values v = {.sum = sum, .n_leaves = n_leaves};
    ser_status st = SER_OK;
    most = most < AT_ONCE ? most : AT_ONCE;
    for (; v.at < sum->n_values && st == SER_OK; v.at += v.n) {
        v.n = sum->n_values - v.at < most ? sum->n_values - v.at : most;
        st = add_values(r, out + v.at, &v, err);
    }
    return st;
}

/* ---- beginning and ending ---- */

static void release(ser_ranks *r)
{
    pthread_mutex_destroy(&r->mpi);
    pthread_mutex_destroy(&r->lock);
    pthread_mutex_destroy(&r->listening);
    pthread_cond_destroy(&r->wake);
    ser_free(r->hosts);
    ser_free(r->gone);
    ser_free(r->left);
    ser_free(r);
}

static bool is_told_of_others(void)
{
    return getenv("OMPI_COMM_WORLD_SIZE") || getenv("PMIX_RANK") || getenv("PMI_SIZE");
}

/* Ranks that are all on this machine need no network, and Open MPI takes a quarter of a second to look for
 * one.
 */
static void begin_at_once(int n)
{
    if (ser_ranks_number("OMPI_COMM_WORLD_LOCAL_SIZE", 0) == n)
        setenv("OMPI_MCA_pml", "ob1", 0);
}

ser_status ser_ranks_open(ser_ranks **out, const ser_progress *progress, int argc, char **argv,
                          char warning[256], ser_error *err)
{
    int rank, n, provided;
    *out = NULL;
    *warning = 0;
    ser_ranks_look(&rank, &n);
    if (n <= 1)
        return SER_OK;
    if (!is_told_of_others()) /* MPI would end the program, in many words */
        return ser_fail(
            err, SER_E_UNSUPPORTED,
            "%d ranks were started, and MPI is not told of them: start with mpirun, or srun --mpi=pmix", n);
    ser_ranks *r = ser_alloc(1, sizeof *r);
    if (!r)
        return ser_fail_nomem(err);
    begin_at_once(n);
    MPI_Init_thread(NULL, NULL, MPI_THREAD_SERIALIZED, &provided);
    MPI_Comm_rank(MPI_COMM_WORLD, &r->team.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &r->team.n);
    r->team.context = r;
    r->team.deal = ser_ranks_deal;
    r->team.share = ser_ranks_share;
    r->team.compare = ser_ranks_compare;
    r->team.add = add;
    r->team.within = (ser_progress){ser_ranks_within, r};
    r->progress = *progress;
    pthread_mutex_init(&r->mpi, NULL);
    pthread_mutex_init(&r->lock, NULL);
    pthread_mutex_init(&r->listening, NULL);
    pthread_cond_init(&r->wake, NULL);
    *out = r;
    if (r->team.n != n || provided < MPI_THREAD_SERIALIZED)
        return ser_fail(
            err, SER_E_UNSUPPORTED,
            "%d ranks were started, and MPI sees %d of them: start with mpirun, or srun --mpi=pmix", n,
            r->team.n);
    r->hosts = ser_alloc((size_t)r->team.n, sizeof *r->hosts);
    r->gone = ser_alloc((size_t)r->team.n, sizeof *r->gone);
    r->left = ser_alloc((size_t)r->team.n, sizeof *r->left);
    return r->hosts && r->gone && r->left ? ser_ranks_meet(r, argc, argv, warning, err) : ser_fail_nomem(err);
}

const ser_team *ser_ranks_team(const ser_ranks *r)
{
    return r ? &r->team : NULL;
}

/* Rank 0: until all have left. */
static void wait_for_leaving(ser_ranks *r)
{
    bool all = false;
    for (long pause_us = 20; !all; ser_ranks_rest(&pause_us, SER_RANKS_REST_US)) {
        ser_ranks_look_for_urgent(r);
        all = true;
        for (int k = 1; k < r->team.n; k++)
            all = all && r->left[k];
    }
}

/* A reason that another rank told is better than none, and than that work was stopped. */
static void take_failure(const ser_ranks *r, ser_status *st, ser_error *err)
{
    if (r->failed && (*st == SER_OK || (*st == SER_E_CANCELLED && r->failure.status != SER_E_CANCELLED)))
        *st = ser_fail(err, r->failure.status, "%s", r->failure.text);
}

void ser_ranks_close(ser_ranks **ranks, ser_status *st, ser_error *err)
{
    ser_ranks *r = *ranks;
    if (!r)
        return;
    if (r->team.rank) {
        if (*st != SER_OK && !r->failed)
            ser_ranks_tell(r, 0, SER_RANKS_URGENT, SER_RANKS_FAILED, *st, err->text);
        ser_ranks_tell(r, 0, SER_RANKS_URGENT, r->is_torn ? SER_RANKS_TORN_LEAVING : SER_RANKS_LEAVING,
                       SER_OK, NULL);
        for (long pause_us = 20; !r->has_verdict; ser_ranks_rest(&pause_us, SER_RANKS_REST_US))
            ser_ranks_look_for_urgent(r);
    } else if (r->left) {
        if (*st != SER_OK)
            ser_ranks_tell_others(r, SER_RANKS_URGENT, SER_RANKS_FAILED, *st, err->text);
        wait_for_leaving(r);
    }
    take_failure(r, st, err);
    if (!r->team.rank)
        ser_ranks_tell_others(r, SER_RANKS_URGENT, r->is_torn ? SER_RANKS_TORN_VERDICT : SER_RANKS_VERDICT,
                              *st, *st == SER_OK ? NULL : err->text);
    *ranks = NULL;
    if (!r->is_torn) {
        MPI_Finalize();
        release(r);
    } else if (r->team
                   .rank) { /* MPI would wait for ever, and mpirun ends all once one has gone without that: */
        nanosleep(&(struct timespec){.tv_sec = 1}, NULL); /* rank 0 says first why */
    }
}

#else /* a build without MPI */

ser_status ser_ranks_open(ser_ranks **out, const ser_progress *progress, int argc, char **argv,
                          char warning[256], ser_error *err)
{
    int rank, n;
    (void)progress, (void)argc, (void)argv;
    *out = NULL;
    *warning = 0;
    ser_ranks_look(&rank, &n);
    return n <= 1
               ? SER_OK
               : ser_fail(err, SER_E_UNSUPPORTED,
                          "%d ranks were started, and this ser was built without MPI, so that each would do "
                          "all of it: build with -Dmpi=enabled after 'sh setup.sh packages-cluster', set "
                          "SER_RANKS=0 where each is on its own, or give each a --shard",
                          n);
}

const ser_team *ser_ranks_team(const ser_ranks *r)
{
    (void)r;
    return NULL;
}

bool ser_ranks_go_on(ser_ranks *r)
{
    (void)r;
    return true;
}

void ser_ranks_set_handler(ser_ranks *r, void (*handler)(void *, const void *, size_t), void *context)
{
    (void)r, (void)handler, (void)context;
}

void ser_ranks_note(ser_ranks *r, const void *note, size_t n)
{
    (void)r, (void)note, (void)n;
}

void ser_ranks_close(ser_ranks **r, ser_status *st, ser_error *err)
{
    (void)r, (void)st, (void)err;
}

#endif
