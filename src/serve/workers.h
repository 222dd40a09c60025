/* Worker threads and what waits for them: so many requests and no more, and streams, of which the connections
 * count. Streams go before requests, but of four tasks at least one is a request's; long work never takes the
 * last worker, and a short clip never waits behind it. */
#ifndef SER_SERVE_WORKERS_H
#define SER_SERVE_WORKERS_H

#include "base/status.h"
#include <stdbool.h>

typedef struct ser_workers ser_workers;
typedef struct ser_task ser_task;

/* Embedded in what the work is about. */
struct ser_task {
    void (*run)(ser_task *task, int worker); /* on a worker's thread */
    void (*drop)(ser_task *task);            /* instead of run: the workers end before its turn came */
    bool is_long;                            /* may be written while it does not wait only */
    ser_task *next;
};

typedef enum ser_task_rank {
    SER_TASK_REQUEST, /* refused where too many wait */
    SER_TASK_AGAIN,   /* a request that waited before */
    SER_TASK_STREAM   /* bounded elsewhere */
} ser_task_rank;

/* capacity: of requests that wait. */
ser_status ser_workers_new(ser_workers **out, int n_workers, int capacity, ser_error *err);
/* Waits for what is running; what waits is dropped. */
void ser_workers_free(ser_workers **p);

/* false: the queue is full. The task must not wait already. */
bool ser_workers_add(ser_workers *p, ser_task *task, ser_task_rank rank);
/* true: it waited, and does not any more. */
bool ser_workers_remove(ser_workers *p, ser_task *task);
/* On a worker's thread: its task turns out to be long. false: enough of those run, it has to be put aside. */
bool ser_workers_become_long(ser_workers *p, int worker);
int ser_workers_n_waiting(ser_workers *p); /* requests */
int ser_workers_n_running(ser_workers *p);
/* For how long the slowest task has been running, seconds; 0: none is. */
double ser_workers_longest_s(ser_workers *p);

#endif
