/* Worker threads and what waits for them: a bounded queue, in order; long work never takes the last worker.
 */
#ifndef SER_SERVE_WORKERS_H
#define SER_SERVE_WORKERS_H

#include "base/status.h"
#include <stdbool.h>

typedef struct ser_workers ser_workers;
typedef struct ser_task ser_task;

/* Embedded in what the work is about. */
struct ser_task {
    void (*run)(ser_task *task, int worker); /* on a worker's thread */
    bool is_long;                            /* may be read while it waits only */
    ser_task *next;
};

/* start runs first on each worker's thread (NULL: nothing does). capacity: of tasks that wait. */
ser_status ser_workers_new(ser_workers **out, int n_workers, int capacity,
                           void (*start)(void *context, int worker), void *context, ser_error *err);
/* Waits for what is running; what waits is not run. */
void ser_workers_free(ser_workers **p);

/* false: the queue is full. urgent: past the capacity too, for work that is bounded elsewhere. */
bool ser_workers_add(ser_workers *p, ser_task *task, bool urgent);
int ser_workers_n_waiting(ser_workers *p);
int ser_workers_n_running(ser_workers *p);
/* For how long the slowest task has been running, seconds; 0: none is. */
double ser_workers_longest_s(ser_workers *p);

#endif
