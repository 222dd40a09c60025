#include "base/memory.h"
#include "nn/engine.h"

#include <pthread.h>

typedef struct helper {
    ser_nn_pool *pool;
    ser_nn_work *work;
    pthread_t thread;
    bool started;
} helper;

struct ser_nn_pool {
    helper *helpers; /* n_threads; the first is the caller */
    int n_threads;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t wake, finished;
    bool stopping;
    ser_nn_task task;
    void *context;
    size_t n_items, next_item, n_running;
    size_t failed_item;
    ser_status status;
    ser_error error;
};

/* With the lock held: takes items while there are some. */
static void work_off(ser_nn_pool *p, ser_nn_work *work)
{
    while (p->next_item < p->n_items) {
        size_t item = p->next_item++;
        p->n_running++;
        pthread_mutex_unlock(&p->lock);
        ser_error error = {0};
        ser_status status = p->task(p->context, item, work, &error);
        pthread_mutex_lock(&p->lock);
        p->n_running--;
        if (status != SER_OK && (p->status == SER_OK || item < p->failed_item)) {
            p->status = status;
            p->failed_item = item;
            p->error = error;
            p->next_item = p->n_items;
        }
    }
}

static void *help(void *argument)
{
    helper *h = argument;
    ser_nn_pool *p = h->pool;
    pthread_mutex_lock(&p->lock);
    while (!p->stopping) {
        work_off(p, h->work);
        if (p->n_running == 0)
            pthread_cond_signal(&p->finished);
        if (!p->stopping)
            pthread_cond_wait(&p->wake, &p->lock);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

ser_status ser_nn_pool_new(ser_nn_pool **out, const ser_nn_ops *ops, int n_threads, ser_error *err)
{
    *out = NULL;
    ser_nn_pool *p = ser_alloc(1, sizeof *p);
    if (!p)
        return ser_fail_nomem(err);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    pthread_cond_init(&p->finished, NULL);
    p->n_threads = n_threads;
    p->helpers = ser_alloc((size_t)n_threads, sizeof *p->helpers);
    ser_status status = p->helpers ? SER_OK : ser_fail_nomem(err);
    for (int i = 0; i < n_threads && status == SER_OK; i++)
        status = ser_nn_work_new(&p->helpers[i].work, ops, 1, err);
    /* A thread that cannot start is no failure: the others do its share. */
    for (int i = 1; i < n_threads && status == SER_OK; i++) {
        helper *h = &p->helpers[i];
        h->pool = p;
        h->started = pthread_create(&h->thread, NULL, help, h) == 0;
    }
    if (status == SER_OK)
        *out = p;
    else
        ser_nn_pool_free(&p);
    return status;
}

void ser_nn_pool_free(ser_nn_pool **pool)
{
    ser_nn_pool *p = *pool;
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->stopping = true;
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    for (int i = 0; p->helpers && i < p->n_threads; i++) {
        if (p->helpers[i].started)
            pthread_join(p->helpers[i].thread, NULL);
        ser_nn_work_free(&p->helpers[i].work);
    }
    pthread_cond_destroy(&p->wake);
    pthread_cond_destroy(&p->finished);
    pthread_mutex_destroy(&p->lock);
    ser_free(p->helpers);
    ser_free(p);
    *pool = NULL;
}

static ser_status run_alone(ser_nn_work *work, size_t n_items, ser_nn_task task, void *context,
                            ser_error *err)
{
    ser_status status = SER_OK;
    for (size_t i = 0; i < n_items && status == SER_OK; i++)
        status = task(context, i, work, err);
    return status;
}

ser_status ser_nn_parallel_for(ser_nn_work *work, size_t n_items, ser_nn_task task, void *context,
                               ser_error *err)
{
    ser_nn_pool *p = work->pool;
    if (!p || n_items < 2)
        return run_alone(p ? p->helpers[0].work : work, n_items, task, context, err);
    pthread_mutex_lock(&p->lock);
    p->task = task;
    p->context = context;
    p->n_items = n_items;
    p->next_item = 0;
    p->status = SER_OK;
    pthread_cond_broadcast(&p->wake);
    work_off(p, p->helpers[0].work);
    while (p->n_running > 0)
        pthread_cond_wait(&p->finished, &p->lock);
    ser_status status = p->status;
    if (status != SER_OK && err)
        *err = p->error;
    pthread_mutex_unlock(&p->lock);
    return status;
}

ser_nn_work *ser_nn_pool_work(const ser_nn_pool *pool, int thread)
{
    return pool->helpers[thread].work;
}
