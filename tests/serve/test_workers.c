/* Whose turn it is, and who finds no place: one worker, held by a task until all others wait. */
#include "serve/workers.h"
#include "test.h"

#include <pthread.h>

enum { MAX_TASKS = 16 };

typedef struct told {
    ser_task task; /* first */
    char name;
} told;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool is_held, may_go_on;
static char order[MAX_TASKS + 1];
static int n_expected, n_run, n_dropped;

static void hold(ser_task *task, int worker)
{
    (void)task, (void)worker;
    pthread_mutex_lock(&mutex);
    is_held = true;
    pthread_cond_broadcast(&changed);
    while (!may_go_on)
        pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
}

static void note(ser_task *task, int worker)
{
    (void)worker;
    pthread_mutex_lock(&mutex);
    order[n_run++] = ((told *)task)->name;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
}

static void drop(ser_task *task)
{
    (void)task;
    n_dropped++;
}

static void wait_until_held(void)
{
    pthread_mutex_lock(&mutex);
    while (!is_held)
        pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
}

/* Of tasks that note. */
static bool add(ser_workers *p, told *t, ser_task_rank rank)
{
    bool room = ser_workers_add(p, &t->task, rank);
    n_expected += room;
    return room;
}

static bool take_away(ser_workers *p, told *t)
{
    bool waited = ser_workers_remove(p, &t->task);
    n_expected -= waited;
    return waited;
}

static void let_go_and_wait(void)
{
    pthread_mutex_lock(&mutex);
    may_go_on = true;
    pthread_cond_broadcast(&changed);
    while (n_run < n_expected)
        pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
}

int main(void)
{
    ser_error err;
    ser_workers *p = NULL;
    ser_task first = {.run = hold, .drop = drop};
    told tasks[MAX_TASKS];
    for (int i = 0; i < MAX_TASKS; i++)
        tasks[i] = (told){.task = {.run = note, .drop = drop}, .name = (char)('a' + i)};
    CHECK_OK(ser_workers_new(&p, 1, 2, &err), &err);
    CHECK(ser_workers_add(p, &first, SER_TASK_REQUEST));
    wait_until_held();
    /* Streams take no place from requests, of which two may wait. */
    for (int i = 0; i < 5; i++)
        CHECK(add(p, &tasks[i], SER_TASK_STREAM));
    CHECK(add(p, &tasks[5], SER_TASK_REQUEST));
    CHECK(add(p, &tasks[6], SER_TASK_REQUEST));
    CHECK(!add(p, &tasks[7], SER_TASK_REQUEST));
    CHECK(add(p, &tasks[7], SER_TASK_AGAIN));
    CHECK(ser_workers_n_waiting(p) == 3 && ser_workers_n_running(p) == 1);
    CHECK(take_away(p, &tasks[6]) && !take_away(p, &tasks[6]));
    CHECK(ser_workers_n_waiting(p) == 2);
    /* Three streams, then a request. */
    let_go_and_wait();
    CHECK(strcmp(order, "abcfdeh") == 0);
    /* What still waits at the end is dropped. */
    is_held = may_go_on = false;
    CHECK(ser_workers_add(p, &first, SER_TASK_REQUEST));
    wait_until_held();
    CHECK(add(p, &tasks[0], SER_TASK_REQUEST));
    CHECK(take_away(p, &tasks[0]));
    let_go_and_wait();
    ser_workers_free(&p);
    CHECK(!p && n_run == n_expected && n_dropped == 0);
    return test_summary();
}
