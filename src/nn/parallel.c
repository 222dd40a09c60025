#include "nn/engine.h"

/* By the engine's threads: they wait for the next product in a loop, and threads of our own would have to
 * fight them for the cores. omp.h comes with the compiler, and not with every clang. */
int omp_get_thread_num(void);

ser_status ser_nn_parallel_for(ser_nn_work *work, size_t n_items, ser_nn_task task, void *context,
                               ser_error *err)
{
    ser_status status = SER_OK;
    if (work->n_threads == 1 || n_items < 2) {
        for (size_t i = 0; i < n_items && status == SER_OK; i++)
            status = task(context, i, work->workers ? work->workers[0] : work, err);
        return status;
    }
    size_t failed_item = n_items;
#ifdef _OPENMP
#pragma omp parallel for num_threads(work->n_threads) schedule(dynamic)
#endif
    for (size_t i = 0; i < n_items; i++) {
        ser_error e = {0};
        ser_status s = task(context, i, work->workers[omp_get_thread_num()], &e);
#ifdef _OPENMP
#pragma omp critical(ser_nn_parallel_for)
#endif
        if (s != SER_OK && i < failed_item) {
            failed_item = i;
            status = s;
            if (err)
                *err = e;
        }
    }
    return status;
}
