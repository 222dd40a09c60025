#include "base/team.h"
#include "base/memory.h"
#include "base/threads.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

typedef struct alone {
    const ser_deal *deal;
    pthread_mutex_t lock; /* guards what follows, and who is told */
    size_t n_done;
} alone;

static ser_status work(void *context, size_t item, int worker, ser_error *err)
{
    alone *a = context;
    const ser_deal *d = a->deal;
    ser_text answer = {0};
    ser_status st = d->work(d->context, item, worker, &answer, err);
    if (st == SER_OK && answer.failed)
        st = ser_fail_nomem(err);
    pthread_mutex_lock(&a->lock);
    if (st == SER_OK)
        st = d->take(d->context, item, answer.s, answer.n, err);
    if (st == SER_OK && !ser_progress_report(d->progress, d->what, ++a->n_done, d->n_items)) {
        if (d->on_stop)
            d->on_stop(d->context);
        st = ser_fail(err, SER_E_CANCELLED, "interrupted");
    }
    pthread_mutex_unlock(&a->lock);
    ser_text_release(&answer);
    return st;
}

size_t ser_deal_some(const ser_deal *d, size_t at, uint64_t *left, int n_ranks)
{
    enum { SHARES = 4 }; /* what a rank is given is done when the others have this much still */
    uint64_t most = n_ranks ? *left / SHARES / (uint64_t)n_ranks : 0, sum = 0;
    size_t n = 0;
    if (!d->sizes)
        return 1;
    do
        sum += d->sizes[at + n++];
    while (at + n < d->n_items && sum + d->sizes[at + n] < most);
    *left -= sum;
    return n;
}

ser_status ser_team_deal(const ser_team *team, const ser_deal *deal, ser_error *err)
{
    if (team)
        return team->deal(team->context, deal, err);
    alone a = {.deal = deal};
    pthread_mutex_init(&a.lock, NULL);
    ser_status st = ser_parallel_for(deal->n_threads, deal->n_items, work, &a, err);
    pthread_mutex_destroy(&a.lock);
    return st;
}

ser_status ser_team_sum(const ser_team *team, float *out, ser_sum *sum, size_t n_leaves, ser_team_leaf write,
                        void *context, ser_error *err)
{
    size_t first = 0, end = n_leaves;
    ser_status st = SER_OK;
    if (team)
        ser_team_leaves(&first, &end, n_leaves, team->rank, team->n);
    ser_sum_clear(sum);
    for (size_t m = first; m < end && st == SER_OK; m++) {
        float *leaf;
        if ((st = ser_sum_vector(sum, &leaf, err)) != SER_OK)
            break;
        st = write(context, leaf, m, err);
        ser_sum_push(sum, leaf, m, 1);
    }
    if (st == SER_OK && team)
        st = team->add(team->context, out, sum, n_leaves, err);
    else if (st == SER_OK)
        ser_sum_total(sum, out);
    return st;
}

ser_status ser_team_share(const ser_team *team, ser_text *block, ser_error *err)
{
    if (block->failed)
        return ser_fail_nomem(err);
    return team ? team->share(team->context, block, err) : SER_OK;
}

ser_status ser_team_share_parts(const ser_team *team, const ser_team_part *parts, size_t n, ser_error *err)
{
    ser_text block = {0};
    size_t n_all = 0;
    for (size_t i = 0; i < n; n_all += parts[i++].n_bytes)
        if (parts[i].n_bytes && ser_team_is_first(team))
            ser_text_append_n(&block, parts[i].data, parts[i].n_bytes);
    ser_status st = ser_team_share(team, &block, err);
    if (st == SER_OK && block.n != n_all)
        st = ser_fail(err, SER_E_FORMAT, "rank 0 learns another network");
    const char *at = block.s;
    for (size_t i = 0; i < n && st == SER_OK && !ser_team_is_first(team); at += parts[i++].n_bytes)
        if (parts[i].n_bytes)
            memcpy(parts[i].data, at, parts[i].n_bytes);
    ser_text_release(&block);
    return st;
}

ser_status ser_team_meet(const ser_team *team, ser_error *err)
{
    return team ? team->compare(team->context, "things", "", err) : SER_OK;
}

/* ---- what is to be done ---- */

static int compare(const void *a, const void *b)
{
    const ser_todo_item *x = a, *y = b;
    if (x->alone != y->alone)
        return x->alone ? -1 : 1;
    if (x->size != y->size)
        return x->size > y->size ? -1 : 1;
    return (x->item > y->item) - (x->item < y->item);
}

ser_status ser_todo_share(ser_todo *out, const ser_team *team, ser_todo_item *all, size_t n, ser_error *err)
{
    ser_text block = {0};
    *out = (ser_todo){0};
    if (ser_team_is_first(team)) {
        if (!(out->sizes = ser_alloc(n, sizeof *out->sizes)))
            block.failed = true;
        qsort(all, n, sizeof *all, compare);
        for (size_t i = 0; i < n && out->sizes; i++) {
            out->n_alone += all[i].alone;
            out->sizes[i] = all[i].size;
        }
        ser_text_append_n(&block, (const char *)&out->n_alone, sizeof out->n_alone);
        for (size_t i = 0; i < n; i++)
            ser_text_append_n(&block, (const char *)&all[i].item, sizeof all[i].item);
    }
    ser_status st = ser_team_share(team, &block, err);
    if (st == SER_OK && block.n < sizeof out->n_alone)
        st = ser_fail(err, SER_E_FORMAT, "rank 0 sent no list of what is to be done");
    if (st == SER_OK && !(out->items = ser_alloc(block.n / sizeof *out->items, sizeof *out->items)))
        st = ser_fail_nomem(err);
    if (st == SER_OK) {
        out->n = block.n / sizeof *out->items - 1;
        memcpy(&out->n_alone, block.s, sizeof out->n_alone);
        memcpy(out->items, block.s + sizeof out->n_alone, out->n * sizeof *out->items);
    }
    ser_text_release(&block);
    return st;
}

void ser_todo_release(ser_todo *t)
{
    ser_free(t->items);
    ser_free(t->sizes);
    *t = (ser_todo){0};
}
