/* Whose turn it is, and who finds no place: a worker is held by a task until all others wait. */
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
static ser_workers *pool;   /* of the tasks that ask for something */
static bool became_long[2]; /* what it said */

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

static void hold_long(ser_task *task, int worker)
{
    became_long[0] = ser_workers_become_long(pool, worker);
    hold(task, worker);
}

static void try_to_be_long(ser_task *task, int worker)
{
    became_long[1] = ser_workers_become_long(pool, worker);
    note(task, worker);
}

/* As a stream with more sound does, and a request that is put aside. */
static void wait_again(ser_task *task, int worker)
{
    ser_task_rank rank = ((told *)task)->name == 'a' ? SER_TASK_STREAM : SER_TASK_AGAIN;
    (void)worker;
    pthread_mutex_lock(&mutex);
    is_held = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
    ser_workers_add(pool, task, rank);
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

static void wait_for_run(int n)
{
    pthread_mutex_lock(&mutex);
    while (n_run < n)
        pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
}

static void let_go_and_wait(void)
{
    pthread_mutex_lock(&mutex);
    may_go_on = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
    wait_for_run(n_expected);
}

static void make_tasks(told tasks[MAX_TASKS], void (*run)(ser_task *task, int worker))
{
    n_run = n_expected = n_dropped = 0;
    is_held = may_go_on = false;
    memset(order, 0, sizeof order);
    for (int i = 0; i < MAX_TASKS; i++)
        tasks[i] = (told){.task = {.run = run, .drop = drop}, .name = (char)('a' + i)};
}

static void test_turns(void)
{
    ser_error err;
    ser_workers *p = NULL;
    ser_task first = {.run = hold, .drop = drop};
    told tasks[MAX_TASKS];
    make_tasks(tasks, note);
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
    ser_workers_free(&p);
    CHECK(!p && n_run == n_expected && n_dropped == 0);
}

/* Two workers, one of them held by a long task: no other long one has its turn, and short ones have. */
static void test_long_tasks(void)
{
    ser_error err;
    ser_task first = {.run = hold_long, .drop = drop};
    told tasks[MAX_TASKS];
    make_tasks(tasks, note);
    CHECK_OK(ser_workers_new(&pool, 2, MAX_TASKS, &err), &err);
    CHECK(ser_workers_add(pool, &first, SER_TASK_REQUEST));
    wait_until_held();
    tasks[0].task.is_long = tasks[1].task.is_long = true;
    tasks[3].task.run = try_to_be_long;
    CHECK(add(pool, &tasks[0], SER_TASK_REQUEST) && add(pool, &tasks[1], SER_TASK_STREAM));
    CHECK(add(pool, &tasks[2], SER_TASK_REQUEST) && add(pool, &tasks[3], SER_TASK_REQUEST));
    wait_for_run(2);
    CHECK(became_long[0] && !became_long[1]);
    CHECK(strcmp(order, "cd") == 0 && ser_workers_n_waiting(pool) == 1);
    let_go_and_wait();
    CHECK(n_run == 4 && strchr(order, 'a') && strchr(order, 'b'));
    ser_workers_free(&pool);
    CHECK(n_dropped == 0);
}

/* What waits at the end is dropped: here always something does. */
static void test_dropped(void)
{
    ser_error err;
    told tasks[MAX_TASKS];
    make_tasks(tasks, wait_again);
    CHECK_OK(ser_workers_new(&pool, 1, MAX_TASKS, &err), &err);
    CHECK(ser_workers_add(pool, &tasks[0].task, SER_TASK_STREAM));
    CHECK(ser_workers_add(pool, &tasks[1].task, SER_TASK_REQUEST));
    wait_until_held();
    ser_workers_free(&pool);
    CHECK(!pool && n_dropped == 2);
}

int main(void)
{
    test_turns();
    test_long_tasks();
    test_dropped();
    return test_summary();
}
