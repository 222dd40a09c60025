/* One process at a time: a file that is locked while somebody works on what it stands for. */
#ifndef SER_NET_LOCK_H
#define SER_NET_LOCK_H

#include "base/progress.h"
#include "base/status.h"

typedef struct ser_lock {
    int fd; /* -1: none, or a file system that has no locks */
} ser_lock;

/* Waits for other processes; whoever is killed lets go. SER_E_CANCELLED. */
ser_status ser_lock_take(ser_lock *lock, const char *path, const ser_progress *progress, ser_error *err);
/* Also removes the file when path is not NULL. Fine when nothing was taken. */
void ser_lock_release(ser_lock *lock, const char *path);

#endif
