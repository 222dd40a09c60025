/* Work on many items with several threads. */
#ifndef SER_BASE_THREADS_H
#define SER_BASE_THREADS_H

#include "base/status.h"

/* One item; worker is 0 ... n_threads-1 and tells whose working memory to use. */
typedef ser_status (*ser_work)(void *context, size_t item, int worker, ser_error *err);

int ser_n_cores(void); /* that this process might use when it first asked; at least 1 */

/* Calls work for items 0 ... n_items-1, handed out in order to n_threads threads (0: all cores). After the
 * first failure no further item is handed out; the failure of the lowest item is returned. With n_threads 1
 * everything runs on the caller's thread. */
ser_status ser_parallel_for(int n_threads, size_t n_items, ser_work work, void *context, ser_error *err);

#endif
