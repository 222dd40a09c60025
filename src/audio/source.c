#include "audio/source.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static ser_status fail_open(ser_error *err)
{
    return ser_fail(err, SER_E_IO, "it cannot be opened (%s): check the path and its permissions",
                    strerror(errno));
}

/* A link whose content was not fetched looks like a file that is not there. */
static ser_status fail_open_path(const char *path, ser_error *err)
{
    int reason = errno;
    char target[4096];
    ssize_t n = reason == ENOENT || reason == ELOOP ? readlink(path, target, sizeof target) : -1;
    if (n > 0 && memmem(target, (size_t)n, "annex/objects/", 14))
        return ser_fail(err, SER_E_IO,
                        "its content is not here: fetch it with git annex get, or datalad get");
    if (n > 0)
        return ser_fail(err, SER_E_IO, "it is a link that leads nowhere: copy what it should lead to");
    if (reason == ENOENT && strstr(path, "://"))
        return ser_fail(err, SER_E_IO,
                        "it is an address, and no file is called so: fetch the recording first");
    errno = reason;
    return fail_open(err);
}

static int open_temporary(void)
{
    const char *folder = getenv("TMPDIR");
    char name[4096];
    int n = snprintf(name, sizeof name, "%s/ser-XXXXXX", folder && *folder ? folder : "/tmp");
    if (n < 0 || (size_t)n >= sizeof name) {
        errno = ENAMETOOLONG;
        return -1;
    }
    int fd = mkostemp(name, O_CLOEXEC);
    if (fd >= 0)
        unlink(name);
    return fd;
}

static bool write_all(int fd, const char *bytes, size_t n)
{
    while (n) {
        ssize_t k = write(fd, bytes, n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return false;
        bytes += k;
        n -= (size_t)k;
    }
    return true;
}

/* Replaces the pipe *fd by a file with its content, because decoders go back and forth. */
static ser_status spool(int *fd, ser_error *err)
{
    enum { N_BUFFER = 1 << 16 };
    char *buffer = ser_alloc(N_BUFFER, 1);
    if (!buffer)
        return ser_fail_nomem(err);
    ser_status status = SER_OK;
    int file = open_temporary();
    if (file < 0)
        status =
            ser_fail(err, SER_E_IO, "a temporary file cannot be made (%s): set TMPDIR to a folder for it",
                     strerror(errno));
    while (status == SER_OK) {
        ssize_t n = read(*fd, buffer, N_BUFFER);
        if (n == 0)
            break;
        if (n < 0 && errno != EINTR)
            status = ser_fail(err, SER_E_IO, "it cannot be read (%s): try again", strerror(errno));
        else if (n > 0 && !write_all(file, buffer, (size_t)n))
            status =
                ser_fail(err, SER_E_IO, "no room to keep it (%s): set TMPDIR to a folder with more space",
                         strerror(errno));
    }
    ser_free(buffer);
    if (status == SER_OK) {
        close(*fd);
        *fd = file;
    } else if (file >= 0)
        close(file);
    return status;
}

void ser_source_reset(ser_source *s)
{
    s->n = s->end - s->start;
    s->position = 0;
    s->n_patch = s->n_head = 0;
}

void ser_source_skip(ser_source *s, uint64_t n)
{
    s->start += n;
    s->n -= n;
}

/* Players' programs put ID3v2 tags in front of anything; they state their own length (id3.org, ID3v2.4.0
 * section 3.1). */
static void skip_tags(ser_source *s)
{
    unsigned char h[10];
    for (int i = 0; i < 8 && ser_source_read_at(s, 0, h, sizeof h) == sizeof h && memcmp(h, "ID3", 3) == 0;
         i++) {
        uint64_t n_tag =
            10u + ((uint64_t)(h[6] & 0x7f) << 21 | (h[7] & 0x7f) << 14 | (h[8] & 0x7f) << 7 | (h[9] & 0x7f)) +
            (h[5] & 0x10 ? 10u : 0u);
        if (n_tag > s->n)
            return;
        ser_source_skip(s, n_tag);
    }
}

/* Only regular files remain: pipes are spooled, the rest is refused. */
static ser_status make_regular(int *fd, bool is_stdin, ser_error *err)
{
    struct stat st;
    if (fstat(*fd, &st) != 0)
        return fail_open(err);
    if (S_ISREG(st.st_mode))
        return SER_OK;
    if (S_ISDIR(st.st_mode))
        return ser_fail(err, SER_E_IO, "it is a folder: name a recording in it");
    if (isatty(*fd))
        return ser_fail(err, SER_E_IO, "it is a terminal: pipe a recording into the program");
    if (is_stdin || S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode))
        return spool(fd, err);
    return ser_fail(err, SER_E_IO, "it is a device: write its sound to a file first");
}

ser_status ser_source_open(ser_source *out, const char *path, ser_error *err)
{
    *out = (ser_source){.fd = -1};
    bool is_stdin = strcmp(path, "-") == 0;
    int fd = is_stdin ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return is_stdin ? fail_open(err) : fail_open_path(path, err);
    /* Somebody else may have read a part of standard input, when that is a file: what is left counts. */
    off_t start = is_stdin ? lseek(fd, 0, SEEK_CUR) : 0;
    struct stat st = {0};
    ser_status status = make_regular(&fd, is_stdin, err);
    if (status == SER_OK && fstat(fd, &st) != 0)
        status = fail_open(err);
    if (status != SER_OK) {
        close(fd);
        return status;
    }
    if (start < 0 || start > st.st_size)
        start = 0;
    *out = (ser_source){.fd = fd,
                        .origin = (uint64_t)start,
                        .start = (uint64_t)start,
                        .end = (uint64_t)st.st_size,
                        .n = (uint64_t)(st.st_size - start)};
    skip_tags(out);
    return SER_OK;
}

void ser_source_open_memory(ser_source *out, const void *bytes, size_t n)
{
    *out = (ser_source){.fd = -1, .bytes = bytes, .end = n, .n = n};
    skip_tags(out);
}

void ser_source_close(ser_source *s)
{
    if (s->fd > 0) /* never standard input itself */
        close(s->fd);
    *s = (ser_source){.fd = -1};
}

static size_t read_file(ser_source *s, uint64_t offset, unsigned char *out, size_t n)
{
    size_t n_read = 0;
    while (n_read < n) {
        ssize_t k = pread(s->fd, out + n_read, n - n_read, (off_t)(s->start + offset + n_read));
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            s->failure = errno;
        if (k <= 0)
            break;
        n_read += (size_t)k;
    }
    return n_read;
}

static size_t read_bytes(ser_source *s, uint64_t offset, unsigned char *out, size_t n)
{
    if (s->fd >= 0)
        return read_file(s, offset, out, n);
    memcpy(out, s->bytes + s->start + offset, n);
    return n;
}

/* head, then what lies from body_at on. */
static size_t read_view(ser_source *s, uint64_t offset, unsigned char *out, size_t n)
{
    size_t n_done = 0;
    if (offset < s->n_head) {
        n_done = n < s->n_head - offset ? n : s->n_head - (size_t)offset;
        memcpy(out, s->head + offset, n_done);
    }
    if (n_done < n)
        n_done += read_bytes(s, s->body_at + (offset + n_done - s->n_head), out + n_done, n - n_done);
    return n_done;
}

size_t ser_source_read_at(ser_source *s, uint64_t offset, void *out, size_t n)
{
    if (offset >= s->n)
        return 0;
    if (n > s->n - offset)
        n = (size_t)(s->n - offset);
    n = s->n_head ? read_view(s, offset, out, n) : read_bytes(s, offset, out, n);
    for (size_t i = 0; i < s->n_patch; i++) {
        uint64_t at = s->patch_at + i;
        if (at >= offset && at - offset < n)
            ((unsigned char *)out)[at - offset] = s->patch[i];
    }
    return n;
}

/* Copies what the source holds from origin on into file, from its beginning. */
static ser_status copy_into(int file, ser_source *s, ser_error *err)
{
    enum { N_BUFFER = 1 << 16 };
    char *buffer = ser_alloc(N_BUFFER, 1);
    if (!buffer)
        return ser_fail_nomem(err);
    ser_status st = SER_OK;
    size_t n;
    for (uint64_t at = 0; st == SER_OK && (n = ser_source_read_at(s, at, buffer, N_BUFFER)) > 0; at += n)
        if (!write_all(file, buffer, n))
            st = ser_fail(err, SER_E_IO, "no room to keep it (%s): set TMPDIR to a folder with more space",
                          strerror(errno));
    ser_free(buffer);
    return st;
}

ser_status ser_source_descriptor(const ser_source *s, int *fd, ser_error *err)
{
    /* The whole, without mending. */
    ser_source whole = {.fd = s->fd, .bytes = s->bytes, .start = s->origin, .n = s->end - s->origin};
    if (s->fd >= 0 && !s->origin) {
        *fd = fcntl(s->fd, F_DUPFD_CLOEXEC, 3);
        return *fd >= 0 ? SER_OK : fail_open(err);
    }
    *fd = s->fd < 0 ? memfd_create("ser", MFD_CLOEXEC) : -1;
    if (*fd < 0)
        *fd = open_temporary();
    if (*fd < 0)
        return ser_fail(err, SER_E_IO, "a temporary file cannot be made (%s): set TMPDIR to a folder for it",
                        strerror(errno));
    ser_status st = copy_into(*fd, &whole, err);
    if (st != SER_OK) {
        close(*fd);
        *fd = -1;
    }
    return st;
}
