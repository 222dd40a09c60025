/* One process at a time: a file that is locked while somebody works on what it stands for. */
#ifndef SER_BASE_LOCK_H
#define SER_BASE_LOCK_H

#include "base/progress.h"
#include "base/status.h"

typedef struct ser_lock {
    int fd; /* -1: none, or a file system that has no locks */
} ser_lock;

/* *taken: whether it is ours now; false: somebody else has it. Whoever is killed lets go. */
ser_status ser_lock_try(ser_lock *lock, bool *taken, const char *path, ser_error *err);
/* Waits for other processes. SER_E_CANCELLED. */
ser_status ser_lock_take(ser_lock *lock, const char *path, const ser_progress *progress, ser_error *err);
/* Also removes the file when path is not NULL. Fine when nothing was taken: then the file is left alone. */
void ser_lock_release(ser_lock *lock, const char *path);

#endif
