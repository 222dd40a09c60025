#include "base/threads.h"
#include "base/memory.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

typedef struct shared_work {
    ser_work work;
    void *context;
    size_t n_items;
    pthread_mutex_t lock; /* guards all below */
    size_t next_item, failed_item;
    ser_status status;
    ser_error error;
} shared_work;

typedef struct worker {
    shared_work *shared;
    int index;
    pthread_t thread;
    bool started;
} worker;

int ser_n_cores(void)
{
    /* Asked once: it may change while a program runs (taskset, a container's limits), and who asks before the
     * work has working memory for that many threads. */
    static _Atomic int cache;
    int n = atomic_load_explicit(&cache, memory_order_relaxed);
    if (!n) {
        cpu_set_t set;
        n = sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0 ? CPU_COUNT(&set) : 1;
        if (!atomic_compare_exchange_strong(&cache, &(int){0}, n))
            n = atomic_load_explicit(&cache, memory_order_relaxed);
    }
    return n;
}

static void note_failure(shared_work *s, size_t item, ser_status status, const ser_error *error)
{
    if (s->status == SER_OK || item < s->failed_item) {
        s->status = status;
        s->failed_item = item;
        s->error = *error;
    }
}

static void *run_worker(void *argument)
{
    worker *w = argument;
    shared_work *s = w->shared;
    pthread_mutex_lock(&s->lock);
    while (s->status == SER_OK && s->next_item < s->n_items) {
        size_t item = s->next_item++;
        pthread_mutex_unlock(&s->lock);
        ser_error error = {0};
        ser_status status = s->work(s->context, item, w->index, &error);
        pthread_mutex_lock(&s->lock);
        if (status != SER_OK)
            note_failure(s, item, status, &error);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

ser_status ser_parallel_for(int n_threads, size_t n_items, ser_work work, void *context, ser_error *err)
{
    if (n_threads <= 0)
        n_threads = ser_n_cores();
    if ((size_t)n_threads > n_items)
        n_threads = n_items ? (int)n_items : 1;
    shared_work shared = {.work = work, .context = context, .n_items = n_items};
    worker *workers = ser_alloc((size_t)n_threads, sizeof *workers);
    if (!workers)
        return ser_fail_nomem(err);
    pthread_mutex_init(&shared.lock, NULL);
    for (int i = 0; i < n_threads; i++)
        workers[i] = (worker){.shared = &shared, .index = i};
    /* The caller is worker 0. A thread that cannot start is no failure: the others do its share. */
    for (int i = 1; i < n_threads; i++)
        workers[i].started = pthread_create(&workers[i].thread, NULL, run_worker, &workers[i]) == 0;
    run_worker(&workers[0]);
    for (int i = 1; i < n_threads; i++)
        if (workers[i].started)
            pthread_join(workers[i].thread, NULL);
    pthread_mutex_destroy(&shared.lock);
    ser_free(workers);
    if (shared.status != SER_OK && err)
        *err = shared.error;
    return shared.status;
}
