#include "net/unpack.h"
#include "base/memory.h"
#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zip.h>

enum { BLOCK = 1 << 18, MAX_DEPTH = 16, MAX_COMPONENT = 255 };

typedef struct unpacking {
    zip_t *zip;
    const char *folder;
    const ser_unpack_limits *limits;
    const ser_progress *progress;
    unsigned char *block; /* BLOCK bytes */
    uint64_t n_written;   /* of all files so far */
    char name[80];        /* the entry's, short and printable, for messages */
} unpacking;

/* ---- names ---- */

/* A relative path of plain components; "folder/" is one too. */
static bool is_inside(const char *name)
{
    size_t depth = 0;
    for (const char *p = name; *p; depth++) {
        size_t n = strcspn(p, "/");
        if (!n || n > MAX_COMPONENT || depth == MAX_DEPTH || (n == 1 && p[0] == '.') ||
            (n == 2 && p[0] == '.' && p[1] == '.'))
            return false;
        for (size_t i = 0; i < n; i++)
            if ((unsigned char)p[i] < 32 || p[i] == 127 || p[i] == '\\')
                return false;
        p += n + (p[n] != 0);
    }
    return depth > 0;
}

static void shorten(char out[80], const char *name)
{
    snprintf(out, 80, "%s", name);
    for (char *p = out; *p; p++)
        if ((unsigned char)*p < 32 || *p == 127)
            *p = '?';
}

/* Archives made on Unix say what an entry is. */
static bool is_file_or_folder(zip_t *zip, zip_uint64_t i)
{
    zip_uint8_t system;
    zip_uint32_t attributes;
    if (zip_file_get_external_attributes(zip, i, 0, &system, &attributes) != 0 || system != ZIP_OPSYS_UNIX)
        return true;
    unsigned type = attributes >> 16 & S_IFMT;
    return !type || type == S_IFREG || type == S_IFDIR;
}

/* ---- entries ---- */

static ser_status fail_entry(const unpacking *u, const char *what, ser_error *err)
{
    return ser_fail(err, SER_E_FORMAT, "the archive's '%s' %s: nothing was unpacked, fetch it again", u->name,
                    what);
}

static ser_status write_block(unpacking *u, int fd, size_t n, ser_error *err)
{
    for (size_t done = 0; done < n;) {
        ssize_t k = write(fd, u->block + done, n - done);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return ser_fail(err, SER_E_IO, "%s cannot be written (%s): free some space", u->folder,
                            strerror(errno));
        done += (size_t)k;
    }
    return SER_OK;
}

/* size: what the directory promises; libzip checks the sum at the end. */
static ser_status copy(unpacking *u, zip_file_t *in, int fd, uint64_t size, ser_error *err)
{
    uint64_t n_copied = 0;
    ser_status st = SER_OK;
    while (st == SER_OK) {
        zip_int64_t n = zip_fread(in, u->block, BLOCK);
        if (n < 0 || n_copied + (uint64_t)n > size)
            return fail_entry(u, "is damaged", err);
        if (!n)
            break;
        n_copied += (uint64_t)n;
        u->n_written += (uint64_t)n;
        if (u->n_written > u->limits->n_bytes)
            return ser_fail(err, SER_E_FORMAT,
                            "the archive would grow to more than %" PRIu64
                            " MB, which the corpus is not: nothing was unpacked",
                            u->limits->n_bytes / 1000000);
        if (!ser_progress_report(u->progress, "MB unpacked", u->n_written / 1000000, 0))
            return ser_fail(err, SER_E_CANCELLED, "interrupted while unpacking");
        st = write_block(u, fd, (size_t)n, err);
    }
    return st == SER_OK && n_copied != size ? fail_entry(u, "is damaged", err) : st;
}

static ser_status unpack_file(unpacking *u, zip_uint64_t i, const char *path, uint64_t size, ser_error *err)
{
    zip_file_t *in = zip_fopen_index(u->zip, i, 0);
    if (!in)
        return fail_entry(u, "is damaged, or packed in a way that is not known", err);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
    ser_status st = fd >= 0           ? copy(u, in, fd, size, err)
                    : errno == EEXIST ? fail_entry(u, "is there twice", err)
                                      : ser_fail(err, SER_E_IO, "%s cannot be written (%s): check its folder",
                                                 path, strerror(errno));
    if (fd >= 0 && close(fd) != 0 && st == SER_OK)
        st = ser_fail(err, SER_E_IO, "%s cannot be written (%s): free some space", path, strerror(errno));
    zip_fclose(in);
    return st;
}

static ser_status unpack_entry(unpacking *u, zip_uint64_t i, ser_error *err)
{
    zip_stat_t info;
    const zip_uint64_t needed = ZIP_STAT_NAME | ZIP_STAT_SIZE;
    if (zip_stat_index(u->zip, i, 0, &info) != 0 || (info.valid & needed) != needed)
        return ser_fail(err, SER_E_FORMAT, "the archive is damaged: nothing was unpacked");
    shorten(u->name, info.name);
    if (!is_inside(info.name))
        return fail_entry(u, "would lie outside its folder", err);
    if (!is_file_or_folder(u->zip, i))
        return fail_entry(u, "is a link or a device", err);
    char *path = ser_io_join(u->folder, info.name);
    if (!path)
        return ser_fail_nomem(err);
    char *slash = strrchr(path, '/');
    bool is_folder = slash[1] == 0;
    *slash = 0;
    struct stat parent;
    ser_status st = ser_io_make_folder(path, err);
    if (st != SER_OK && (stat(path, &parent) == 0 || errno == ENOTDIR))
        st = fail_entry(u, "lies in a file", err);
    *slash = '/';
    if (st == SER_OK && !is_folder)
        st = unpack_file(u, i, path, info.size, err);
    ser_free(path);
    return st;
}

ser_status ser_unpack(const char *archive, const char *folder, const ser_unpack_limits *limits,
                      const ser_progress *progress, ser_error *err)
{
    int why = 0;
    unpacking u = {.folder = folder, .limits = limits, .progress = progress};
    u.zip = zip_open(archive, ZIP_RDONLY, &why);
    if (!u.zip)
        return why == ZIP_ER_MEMORY
                   ? ser_fail_nomem(err)
                   : ser_fail(err, SER_E_FORMAT,
                              "what came is no zip archive: try again later, or another --endpoint");
    u.block = ser_alloc(BLOCK, 1);
    ser_status st = u.block ? SER_OK : ser_fail_nomem(err);
    zip_int64_t n = zip_get_num_entries(u.zip, 0);
    if (st == SER_OK && (n <= 0 || (uint64_t)n > limits->n_entries))
        st = ser_fail(err, SER_E_FORMAT,
                      "the archive has %lld entries, which the corpus has not: nothing was unpacked",
                      (long long)n);
    for (zip_int64_t i = 0; i < n && st == SER_OK; i++)
        st = unpack_entry(&u, (zip_uint64_t)i, err);
    ser_free(u.block);
    zip_discard(u.zip);
    return st;
}

/* ---- removing ---- */

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *at)
{
    (void)info;
    (void)type;
    (void)at;
    remove(path);
    return 0;
}

void ser_remove_folder(const char *folder)
{
    nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
