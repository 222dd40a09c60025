#include "base/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Whoever had the lock may have removed the file that fd is: then it locks nothing any more. */
static bool still_there(int fd, const char *path)
{
    struct stat ours, there;
    return fstat(fd, &ours) == 0 && stat(path, &there) == 0 && ours.st_ino == there.st_ino &&
           ours.st_dev == there.st_dev;
}

ser_status ser_lock_try(ser_lock *lock, bool *taken, const char *path, ser_error *err)
{
    for (*taken = false;;) {
        lock->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
        if (lock->fd < 0)
            return ser_fail(err, SER_E_IO, "%s cannot be written (%s): check its folder's permissions", path,
                            strerror(errno));
        int result;
        do
            result = flock(lock->fd, LOCK_EX | LOCK_NB);
        while (result != 0 && errno == EINTR);
        /* Some network file systems have no locks: go on as if alone. */
        *taken = result != 0 ? errno != EWOULDBLOCK : still_there(lock->fd, path);
        if (*taken)
            return SER_OK;
        ser_lock_release(lock, NULL);
        if (result != 0)
            return SER_OK;
    }
}

ser_status ser_lock_take(ser_lock *lock, const char *path, const ser_progress *progress, ser_error *err)
{
    const struct timespec pause = {.tv_nsec = 100 * 1000 * 1000};
    for (bool taken;;) {
        ser_status st = ser_lock_try(lock, &taken, path, err);
        if (st != SER_OK || taken)
            return st;
        if (!ser_progress_report(progress, "waiting for another ser", 0, 0))
            return ser_fail(err, SER_E_CANCELLED, "interrupted while another process was at work");
        nanosleep(&pause, NULL);
    }
}

void ser_lock_release(ser_lock *lock, const char *path)
{
    if (lock->fd < 0)
        return;
    if (path)
        unlink(path);
    close(lock->fd);
    lock->fd = -1;
}
