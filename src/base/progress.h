/* How long work tells its caller how far it is, and learns that it should stop. */
#ifndef SER_BASE_PROGRESS_H
#define SER_BASE_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>

/* Called from any one thread at a time. what: "features", "fold 3", ... done of total items are finished.
 * Returns false when the work should stop as soon as it can (SER_E_CANCELLED). */
typedef bool (*ser_progress_fn)(void *context, const char *what, size_t done, size_t total);

typedef struct ser_progress {
    ser_progress_fn fn; /* NULL: nobody listens */
    void *context;
} ser_progress;

static inline bool ser_progress_report(const ser_progress *p, const char *what, size_t done, size_t total)
{
    return !p || !p->fn || p->fn(p->context, what, done, total);
}

#endif
