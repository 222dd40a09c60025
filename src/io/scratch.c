#include "io/scratch.h"
#include "base/memory.h"
#include "io/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <unistd.h>

ser_status ser_scratch_open(ser_scratch *out, const char *what, ser_error *err)
{
    char *folder = ser_io_cache_folder("scratch");
    char *path = folder ? ser_io_join(folder, SER_TEMPORARY_PREFIX "XXXXXX") : NULL;
    ser_status st =
        path ? ser_io_make_folder(folder, err)
        : ser_io_has_cache()
            ? ser_fail_nomem(err)
            : ser_fail(err, SER_E_IO, "there is no cache folder for %s: set XDG_CACHE_HOME", what);
    *out = (ser_scratch){.fd = st == SER_OK ? mkostemp(path, 02000000 /* O_CLOEXEC */) : -1};
    if (st == SER_OK && out->fd < 0)
        st = ser_fail(err, SER_E_IO, "%s: no file can be made there: %s", folder, strerror(errno));
    if (out->fd >= 0)
        unlink(path);
    ser_free(path);
    ser_free(folder);
    return st;
}

ser_status ser_scratch_check_room(const ser_scratch *s, const char *what, double n_bytes, ser_error *err)
{
    struct statvfs disk;
    if (fstatvfs(s->fd, &disk) != 0) /* then writing will tell */
        return SER_OK;
    double n_free = ser_io_room(&disk);
    return n_free >= n_bytes
               ? SER_OK
               : ser_fail(err, SER_E_IO,
                          "%s take %.1f GB in the cache folder, whose disk has %.1f GB left: free "
                          "some, or set XDG_CACHE_HOME",
                          what, n_bytes / 1e9, n_free / 1e9);
}

ser_status ser_scratch_write(const ser_scratch *s, const char *what, const void *bytes, size_t n, size_t at,
                             ser_error *err)
{
    size_t done = 0;
    while (done < n) {
        ssize_t written = pwrite(s->fd, (const char *)bytes + done, n - done, (off_t)(at + done));
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return ser_fail(err, SER_E_IO, "%s cannot be kept in the cache folder: %s", what,
                            strerror(errno));
        done += (size_t)written;
    }
    return SER_OK;
}

ser_status ser_scratch_map(ser_scratch *s, size_t n, ser_error *err)
{
    void *mapped = mmap(NULL, n, PROT_READ, MAP_SHARED, s->fd, 0);
    if (mapped == MAP_FAILED)
        return ser_fail_nomem(err);
    close(s->fd);
    *s = (ser_scratch){.fd = -1, .data = mapped, .n = n};
    return SER_OK;
}

void ser_scratch_close(ser_scratch *s)
{
    if (s->data)
        munmap((void *)s->data, s->n);
    if (s->fd >= 0)
        close(s->fd);
    *s = (ser_scratch){.fd = -1};
}
