#include "serve/workers.h"
#include "base/clock.h"
#include "base/memory.h"

#include <pthread.h>
#include <signal.h>

typedef struct worker {
    ser_workers *pool;
    int number;
    pthread_t thread;
    double since_s; /* when its task began; 0: it has none */
} worker;

struct ser_workers {
    pthread_mutex_t mutex;
    pthread_cond_t work_came;
    worker *workers;
    int n_workers, n_started, capacity, n_waiting, n_long;
    ser_task *first, **last;
    bool stopping;
    void (*start)(void *context, int worker);
    void *context;
};

/* The first that may run now, taken out of the queue. */
static ser_task *take(ser_workers *p)
{
    int most_long = p->n_workers > 1 ? p->n_workers - 1 : 1;
    for (ser_task **t = &p->first; *t; t = &(*t)->next) {
        ser_task *task = *t;
        if (task->is_long && p->n_long >= most_long)
            continue;
        *t = task->next;
        if (!task->next)
            p->last = t;
        p->n_waiting--;
        return task;
    }
    return NULL;
}

static void run(worker *w, ser_task *task)
{
    ser_workers *p = w->pool;
    bool was_long = task->is_long; /* the task may be gone afterwards */
    p->n_long += was_long;
    w->since_s = ser_clock_s();
    pthread_mutex_unlock(&p->mutex);
    task->run(task, w->number);
    pthread_mutex_lock(&p->mutex);
    w->since_s = 0;
    p->n_long -= was_long;
    if (was_long)
        pthread_cond_broadcast(&p->work_came);
}

static void *work(void *context)
{
    worker *w = context;
    ser_workers *p = w->pool;
    if (p->start)
        p->start(p->context, w->number);
    pthread_mutex_lock(&p->mutex);
    while (!p->stopping) {
        ser_task *task = take(p);
        if (task)
            run(w, task);
        else
            pthread_cond_wait(&p->work_came, &p->mutex);
    }
    pthread_mutex_unlock(&p->mutex);
    return NULL;
}

ser_status ser_workers_new(ser_workers **out, int n_workers, int capacity,
                           void (*start)(void *context, int worker), void *context, ser_error *err)
{
    sigset_t all, before;
    *out = NULL;
    ser_workers *p = ser_alloc(1, sizeof *p);
    if (!p)
        return ser_fail_nomem(err);
    *p = (ser_workers){.n_workers = n_workers, .capacity = capacity, .start = start, .context = context};
    p->last = &p->first;
    pthread_mutex_init(&p->mutex, NULL);
    pthread_cond_init(&p->work_came, NULL);
    p->workers = ser_alloc((size_t)n_workers, sizeof *p->workers);
    sigfillset(&all); /* signals are for the loop's thread */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (; p->workers && p->n_started < n_workers; p->n_started++) {
        worker *w = &p->workers[p->n_started];
        *w = (worker){.pool = p, .number = p->n_started};
        if (pthread_create(&w->thread, NULL, work, w) != 0)
            break;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (p->n_started < n_workers) {
        ser_workers_free(&p);
        return ser_fail(err, SER_E_NOMEM, "no threads for %d workers", n_workers);
    }
    *out = p;
    return SER_OK;
}

void ser_workers_free(ser_workers **pool)
{
    ser_workers *p = pool ? *pool : NULL;
    if (!p)
        return;
    pthread_mutex_lock(&p->mutex);
    p->stopping = true;
    pthread_cond_broadcast(&p->work_came);
    pthread_mutex_unlock(&p->mutex);
    for (int i = 0; i < p->n_started; i++)
        pthread_join(p->workers[i].thread, NULL);
    pthread_cond_destroy(&p->work_came);
    pthread_mutex_destroy(&p->mutex);
    ser_free(p->workers);
    ser_free(p);
    *pool = NULL;
}

bool ser_workers_add(ser_workers *p, ser_task *task, bool urgent)
{
    pthread_mutex_lock(&p->mutex);
    bool room = urgent || p->n_waiting < p->capacity;
    if (room) {
        task->next = NULL;
        *p->last = task;
        p->last = &task->next;
        p->n_waiting++;
        pthread_cond_signal(&p->work_came);
    }
    pthread_mutex_unlock(&p->mutex);
    return room;
}

int ser_workers_n_waiting(ser_workers *p)
{
    pthread_mutex_lock(&p->mutex);
    int n = p->n_waiting;
    pthread_mutex_unlock(&p->mutex);
    return n;
}

int ser_workers_n_running(ser_workers *p)
{
    int n = 0;
    pthread_mutex_lock(&p->mutex);
    for (int i = 0; i < p->n_workers; i++)
        n += p->workers[i].since_s > 0;
    pthread_mutex_unlock(&p->mutex);
    return n;
}

double ser_workers_longest_s(ser_workers *p)
{
    double longest = 0, now = ser_clock_s();
    pthread_mutex_lock(&p->mutex);
    for (int i = 0; i < p->n_workers; i++)
        if (p->workers[i].since_s > 0 && now - p->workers[i].since_s > longest)
            longest = now - p->workers[i].since_s;
    pthread_mutex_unlock(&p->mutex);
    return longest;
}
