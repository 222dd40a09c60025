/* Items handed out over all ranks. Rank 0 does its share with as many threads as the others, and has one
 * more, which hands out, takes answers and tells how far it is. */
#include "base/memory.h"
#include "base/threads.h"
#include "run/ranks_parts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Of several failures that of the first item is told; one that has a reason before one that was only stopped.
 */
static void fail_deal(ser_ranks *r, ser_status status, uint64_t item, const char *text)
{
    ser_ranks_dealing *g = r->deal;
    pthread_mutex_lock(&r->lock);
    bool has_reason = status != SER_E_CANCELLED,
         had_reason = g->status != SER_OK && g->status != SER_E_CANCELLED;
    if (g->status == SER_OK || (has_reason && (!had_reason || item < g->failed_item))) {
        g->status = ser_fail(&g->error, status, "%s", text);
        g->failed_item = item;
    }
    g->stop = true;
    pthread_cond_broadcast(&r->wake);
    pthread_mutex_unlock(&r->lock);
}

bool ser_ranks_within(void *context, const char *what, size_t done, size_t total)
{
    ser_ranks *r = context;
    (void)what;
    if (!r->deal)
        return ser_ranks_go_on(r);
    pthread_mutex_lock(&r->lock);
    r->deal->share = total ? (double)done / (double)total : 0;
    bool go_on = !r->deal->stop;
    pthread_mutex_unlock(&r->lock);
    return go_on;
}

static void take(ser_ranks *r, size_t item, const void *answer, size_t n)
{
    ser_error error = {0};
    pthread_mutex_lock(&r->listening);
    pthread_mutex_lock(&r->lock);
    r->deal->n_done++;
    pthread_mutex_unlock(&r->lock);
    ser_status st =
        r->deal->d->take ? r->deal->d->take(r->deal->d->context, item, answer, n, &error) : SER_OK;
    pthread_mutex_unlock(&r->listening);
    if (st != SER_OK)
        fail_deal(r, st, item, error.text);
}

/* Rank 0: the next items for whoever asks, *item and those behind it; returns how many. n_ranks as in
 * ser_deal_some. */
static size_t hand_out(ser_ranks *r, size_t *item, int n_ranks)
{
    ser_ranks_dealing *g = r->deal;
    pthread_mutex_lock(&r->lock);
    bool some = !g->stop && g->next < g->d->n_items;
    size_t n = some ? ser_deal_some(g->d, g->next, &g->left, n_ranks) : 0;
    *item = g->next;
    g->next += n;
    pthread_mutex_unlock(&r->lock);
    return n;
}

/* The others: asks rank 0, where there are many items already while the last one before is worked on. */
static bool fetch(ser_ranks *r, size_t *item)
{
    enum { MANY = 32 };
    ser_ranks_dealing *g = r->deal;
    bool ask, many = g->d->n_items / (size_t)r->team.n > MANY;
    pthread_mutex_lock(&r->lock);
    for (bool got = false; !got;) {
        ask = !g->asked && !g->no_more && !g->stop && g->item == g->end;
        g->asked = g->asked || ask;
        if (ask) {
            pthread_mutex_unlock(&r->lock);
            ser_ranks_tell(r, 0, SER_RANKS_UP, SER_RANKS_ASK, SER_OK, NULL);
            pthread_mutex_lock(&r->lock); /* the answer may have come meanwhile, and another have taken it */
        } else if (g->item == g->end && !g->no_more && !g->stop) {
            g->n_waiting++;
            pthread_cond_wait(&r->wake, &r->lock);
            g->n_waiting--;
        }
        got = g->item < g->end || g->no_more || g->stop; /* not so where another worker took the last one */
    }
    bool some = g->item < g->end && !g->stop;
    *item = g->item;
    g->item += some;
    ask = some && many && g->item == g->end && !g->asked && !g->no_more;
    g->asked = g->asked || ask;
    pthread_mutex_unlock(&r->lock);
    if (ask)
        ser_ranks_tell(r, 0, SER_RANKS_UP, SER_RANKS_ASK, SER_OK, NULL);
    return some;
}

/* ser_work: one worker's items, all of them. */
static ser_status work_along(void *context, size_t unused, int worker, ser_error *err)
{
    ser_ranks *r = context;
    const ser_deal *d = r->deal->d;
    (void)unused, (void)err;
    for (size_t item; r->team.rank ? fetch(r, &item) : hand_out(r, &item, 0) > 0;) {
        ser_text answer = {0};
        ser_error error = {0};
        ser_status st = d->work(d->context, item, worker, &answer, &error);
        if (st == SER_OK && answer.failed)
            st = ser_fail_nomem(&error);
        const ser_ranks_head h = {.kind = SER_RANKS_ANSWER, .item = item};
        if (st == SER_OK && r->team.rank)
            st = ser_ranks_send(r, 0, SER_RANKS_UP, &h, answer.s, answer.n, &error);
        else if (st == SER_OK)
            take(r, item, answer.s, answer.n);
        if (st != SER_OK)
            fail_deal(r, st, item, error.text);
        ser_ranks_within(r, "", 0, 0);
        ser_text_release(&answer);
    }
    return SER_OK;
}

static void answer_ask(ser_ranks *r, int from)
{
    ser_ranks_head h = {.kind = SER_RANKS_NO_ITEM};
    size_t item;
    r->deal->n_asks++;
    size_t n = hand_out(r, &item, r->team.n);
    if (n)
        h = (ser_ranks_head){.kind = SER_RANKS_ITEM, .item = item, .n = n};
    ser_ranks_send(r, from, SER_RANKS_DOWN, &h, NULL, 0, NULL);
}

static void handle_up(ser_ranks *r, const ser_ranks_message *m)
{
    ser_ranks_dealing *g = r->deal;
    switch (m->h.kind) {
    case SER_RANKS_ASK:
        answer_ask(r, m->from);
        break;
    case SER_RANKS_ANSWER:
        g->shares[m->from] = 0;
        take(r, m->h.item, m->bytes, m->n);
        break;
    case SER_RANKS_SHARE:
        g->shares[m->from] = m->h.share;
        break;
    case SER_RANKS_NOTE:
        ser_ranks_handle_note(r, m->bytes, m->n);
        break;
    case SER_RANKS_STOPPING:
        fail_deal(r, SER_E_CANCELLED, UINT64_MAX, "interrupted");
        break;
    default:
        g->finished[m->from] = true;
        if (m->h.status == SER_OK)
            break;
        char text[sizeof g->error.text];
        snprintf(text, sizeof text, "rank %d (%s): %s", m->from, r->hosts[m->from], m->bytes);
        fail_deal(r, (ser_status)m->h.status, m->h.item, m->h.status == SER_E_CANCELLED ? m->bytes : text);
    }
}

static void handle_down(ser_ranks *r, const ser_ranks_message *m)
{
    ser_ranks_dealing *g = r->deal;
    if (m->h.kind == SER_RANKS_STOP || (m->h.kind == SER_RANKS_END && m->h.status != SER_OK))
        fail_deal(r, m->h.kind == SER_RANKS_END ? (ser_status)m->h.status : SER_E_CANCELLED, 0,
                  m->n ? m->bytes : "interrupted");
    pthread_mutex_lock(&r->lock);
    if (m->h.kind == SER_RANKS_ITEM || m->h.kind == SER_RANKS_NO_ITEM)
        g->asked = false;
    g->no_more = g->no_more || m->h.kind == SER_RANKS_NO_ITEM;
    if (m->h.kind == SER_RANKS_ITEM) {
        g->item = m->h.item;
        g->end = m->h.item + m->h.n;
    }
    if (m->h.kind == SER_RANKS_END) {
        g->ended = true;
        g->status = (ser_status)m->h.status;
        ser_fail(&g->error, g->status, "%s", m->bytes);
    }
    pthread_cond_broadcast(&r->wake);
    pthread_mutex_unlock(&r->lock);
}

/* How far all ranks are together. */
static void count(ser_ranks *r, size_t *done, size_t *total)
{
    const ser_ranks_dealing *g = r->deal;
    pthread_mutex_lock(&r->lock);
    double all = (double)g->n_done + g->share;
    for (int k = 0; k < r->team.n; k++)
        all += g->shares[k];
    *done = g->d->long_items ? (size_t)(100 * fmin(all, (double)g->d->n_items)) : g->n_done;
    pthread_mutex_unlock(&r->lock);
    *total = g->d->long_items ? 100 * g->d->n_items : g->d->n_items;
}

static bool all_are_finished(const ser_ranks *r)
{
    bool all = r->deal->ready;
    for (int k = 1; k < r->team.n; k++)
        all = all && (r->deal->finished[k] || r->gone[k]);
    return all;
}

static void look_after_zero(ser_ranks *r)
{
    ser_ranks_dealing *g = r->deal;
    size_t done, total;
    for (ser_ranks_message m; ser_ranks_receive(r, SER_RANKS_UP, &m); ser_free(m.bytes))
        handle_up(r, &m);
    count(r, &done, &total);
    if (g->d->progress && !g->stop && ser_ranks_want_to_stop(r, g->d->progress, g->d->what, done, total)) {
        if (g->d->on_stop)
            g->d->on_stop(g->d->context);
        fail_deal(r, SER_E_CANCELLED, UINT64_MAX, "interrupted");
    }
    if (g->stop && !g->told_stop)
        ser_ranks_tell_others(r, SER_RANKS_DOWN, SER_RANKS_STOP, SER_E_CANCELLED, NULL);
    g->told_stop = g->stop;
}

static void look_after_other(ser_ranks *r)
{
    ser_ranks_dealing *g = r->deal;
    double before_s = r->last_asked_s;
    for (ser_ranks_message m; !g->ended && ser_ranks_receive(r, SER_RANKS_DOWN, &m); ser_free(m.bytes))
        handle_down(r, &m);
    if (!g->told_stop && ser_ranks_want_to_stop(r, g->d->progress, g->d->what, 0, 0)) {
        if (g->d->on_stop)
            g->d->on_stop(g->d->context);
        ser_ranks_tell(r, 0, SER_RANKS_UP, SER_RANKS_STOPPING, SER_E_CANCELLED, NULL);
        g->told_stop = true;
    }
    if (g->d->long_items && !g->ready && r->last_asked_s > before_s) {
        const ser_ranks_head h = {.kind = SER_RANKS_SHARE, .share = g->share};
        ser_ranks_send(r, 0, SER_RANKS_UP, &h, NULL, 0, NULL);
    }
}

/* Sees to messages while workers work, and seldom where they have work: each look takes them the processor,
 * and what its caches hold. Whoever waits for an item looks at once again, and rank 0 while others ask, or
 * have so much to tell that they might have to wait until it listens. */
static void *look_after(void *context)
{
    enum { BUSY_US = 4000, MANY = 8 };
    ser_ranks *r = context;
    ser_ranks_dealing *g = r->deal;
    bool over = false, hurry, ready = false;
    for (long pause_us = 20; !over; ser_ranks_rest(&pause_us, ready ? SER_RANKS_REST_US : BUSY_US)) {
        pthread_mutex_lock(&r->lock);
        size_t n_asks = g->n_asks, n_done = g->n_done;
        pthread_mutex_unlock(&r->lock);
        ser_ranks_look_for_urgent(r);
        if (r->failed && !g->stop)
            fail_deal(r, r->failure.status, 0, r->failure.text);
        if (r->team.rank)
            look_after_other(r);
        else
            look_after_zero(r);
        pthread_mutex_lock(&r->lock);
        hurry = g->n_asks != n_asks || g->n_done - n_done > MANY || (g->n_waiting && g->d->n_items > 1);
        if (hurry || (g->ready && !ready))
            pause_us = 20;
        ready = g->ready;
        over = r->team.rank ? g->ended || (r->failed && g->ready) : all_are_finished(r);
        pthread_mutex_unlock(&r->lock);
    }
    return NULL;
}

static ser_status run_deal(ser_ranks *r, ser_error *err)
{
    ser_ranks_dealing *g = r->deal;
    pthread_t thread;
    int n_threads = g->d->n_threads > 0 ? g->d->n_threads : ser_n_cores();
    if (pthread_create(&thread, NULL, look_after, r) != 0)
        return ser_fail(err, SER_E_NOMEM, "no thread can be started: close other programs");
    ser_parallel_for(n_threads, (size_t)n_threads, work_along, r, NULL);
    if (r->team.rank) {
        pthread_mutex_lock(&r->lock);
        const ser_ranks_head h = {
            .kind = SER_RANKS_FINISHED, .status = (int)g->status, .item = g->failed_item};
        ser_error error = g->error;
        pthread_mutex_unlock(&r->lock);
        ser_ranks_send(r, 0, SER_RANKS_UP, &h, error.text, strlen(error.text), NULL);
    }
    pthread_mutex_lock(&r->lock);
    g->ready = true;
    pthread_mutex_unlock(&r->lock);
    pthread_join(thread, NULL);
    if (!r->team.rank)
        ser_ranks_tell_others(r, SER_RANKS_DOWN, SER_RANKS_END, g->status, g->error.text);
    if (r->failed && g->status == SER_OK)
        return ser_ranks_failure(r, err);
    return g->status == SER_OK ? SER_OK : ser_fail(err, g->status, "%s", g->error.text);
}

ser_status ser_ranks_deal(void *context, const ser_deal *d, ser_error *err)
{
    ser_ranks *r = context;
    ser_ranks_dealing g = {.d = d};
    g.shares = ser_alloc((size_t)r->team.n, sizeof *g.shares);
    g.finished = ser_alloc((size_t)r->team.n, sizeof *g.finished);
    for (size_t i = 0; i < d->n_items && d->sizes; i++)
        g.left += d->sizes[i];
    r->deal = &g;
    ser_status st = g.shares && g.finished ? run_deal(r, err) : ser_fail_nomem(err);
    r->deal = NULL;
    ser_free(g.shares);
    ser_free(g.finished);
    return st;
}
