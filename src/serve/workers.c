#include "serve/workers.h"
#include "base/clock.h"
#include "base/memory.h"

#include <pthread.h>
#include <signal.h>

enum { STREAMS_IN_TURN = 3 }; /* before a request has its turn */

typedef struct worker {
    ser_workers *pool;
    int number;
    pthread_t thread;
    double since_s; /* when its task began; 0: it has none */
    bool is_long;   /* its task is */
} worker;

typedef struct task_list {
    ser_task *first, **last;
    int n;
} task_list;

struct ser_workers {
    pthread_mutex_t mutex;
    pthread_cond_t work_came;
    worker *workers;
    int n_workers, n_started, capacity, n_long, n_streams_in_turn;
    task_list requests, streams;
    bool stopping;
};

static int most_long(const ser_workers *p)
{
    return p->n_workers > 1 ? p->n_workers - 1 : 1;
}

/* *at, out of its list. */
static ser_task *unlink_task(task_list *list, ser_task **at)
{
    ser_task *task = *at;
    *at = task->next;
    if (!task->next)
        list->last = at;
    task->next = NULL;
    list->n--;
    return task;
}

/* The first of a list that may run now. */
static ser_task *take_of(ser_workers *p, task_list *list)
{
    for (ser_task **t = &list->first; *t; t = &(*t)->next)
        if (!(*t)->is_long || p->n_long < most_long(p))
            return unlink_task(list, t);
    return NULL;
}

static ser_task *take(ser_workers *p)
{
    ser_task *task = p->n_streams_in_turn < STREAMS_IN_TURN ? take_of(p, &p->streams) : NULL;
    if (task) {
        p->n_streams_in_turn++;
        return task;
    }
    p->n_streams_in_turn = 0;
    task = take_of(p, &p->requests);
    return task ? task : take_of(p, &p->streams);
}

static void run(worker *w, ser_task *task)
{
    ser_workers *p = w->pool;
    w->is_long = task->is_long;
    p->n_long += w->is_long;
    w->since_s = ser_clock_s();
    pthread_mutex_unlock(&p->mutex);
    task->run(task, w->number); /* the task may be gone afterwards */
    pthread_mutex_lock(&p->mutex);
    w->since_s = 0;
    p->n_long -= w->is_long;
    if (w->is_long) /* another may wait for its place */
        pthread_cond_broadcast(&p->work_came);
    w->is_long = false;
}

static void *work(void *context)
{
    worker *w = context;
    ser_workers *p = w->pool;
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

ser_status ser_workers_new(ser_workers **out, int n_workers, int capacity, ser_error *err)
{
    sigset_t all, before;
    *out = NULL;
    ser_workers *p = ser_alloc(1, sizeof *p);
    if (!p)
        return ser_fail_nomem(err);
    *p = (ser_workers){.n_workers = n_workers, .capacity = capacity};
    p->requests.last = &p->requests.first;
    p->streams.last = &p->streams.first;
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

static void drop_all(task_list *list)
{
    while (list->first) {
        ser_task *task = unlink_task(list, &list->first);
        task->drop(task);
    }
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
    drop_all(&p->requests);
    drop_all(&p->streams);
    pthread_cond_destroy(&p->work_came);
    pthread_mutex_destroy(&p->mutex);
    ser_free(p->workers);
    ser_free(p);
    *pool = NULL;
}

bool ser_workers_add(ser_workers *p, ser_task *task, ser_task_rank rank)
{
    pthread_mutex_lock(&p->mutex);
    bool room = rank != SER_TASK_REQUEST || p->requests.n < p->capacity;
    if (room) {
        task_list *list = rank == SER_TASK_STREAM ? &p->streams : &p->requests;
        task->next = NULL;
        *list->last = task;
        list->last = &task->next;
        list->n++;
        pthread_cond_signal(&p->work_came);
    }
    pthread_mutex_unlock(&p->mutex);
    return room;
}

bool ser_workers_remove(ser_workers *p, ser_task *task)
{
    task_list *const lists[] = {&p->requests, &p->streams};
    bool found = false;
    pthread_mutex_lock(&p->mutex);
    for (int i = 0; i < 2 && !found; i++)
        for (ser_task **t = &lists[i]->first; *t && !found; t = &(*t)->next)
            if ((found = *t == task)) {
                unlink_task(lists[i], t);
                break;
            }
    pthread_mutex_unlock(&p->mutex);
    return found;
}

bool ser_workers_become_long(ser_workers *p, int number)
{
    worker *w = &p->workers[number];
    pthread_mutex_lock(&p->mutex);
    if (!w->is_long && p->n_long < most_long(p)) {
        w->is_long = true;
        p->n_long++;
    }
    bool is_long = w->is_long;
    pthread_mutex_unlock(&p->mutex);
    return is_long;
}

int ser_workers_n_waiting(ser_workers *p)
{
    pthread_mutex_lock(&p->mutex);
    int n = p->requests.n;
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
