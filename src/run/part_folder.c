#include "run/part_folder.h"
#include "base/memory.h"
#include "base/text.h"
#include "io/file.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static ser_status set_names(ser_part_folder *f, const char *folder, ser_error *err)
{
    size_t n = strlen(folder);
    while (n > 1 && folder[n - 1] == '/')
        n--;
    if ((f->folder = ser_strndup(folder, n))) {
        f->work = ser_format("%s.partial", f->folder);
        f->lock_path = ser_format("%s.lock", f->folder);
    }
    return f->work && f->lock_path ? SER_OK : ser_fail_nomem(err);
}

static ser_status lock(ser_part_folder *f, ser_error *err)
{
    char *slash = strrchr(f->lock_path, '/');
    ser_status st = SER_OK;
    if (slash && slash != f->lock_path) { /* the folder that it lies in */
        *slash = 0;
        st = ser_io_make_folder(f->lock_path, err);
        *slash = '/';
    }
    if (st == SER_OK)
        st = ser_lock_try(&f->lock, &f->locked, f->lock_path, err);
    if (st == SER_OK && !f->locked)
        st = ser_fail(err, SER_E_IO, "%s: another process is at work on this shard: wait for it", f->folder);
    return st;
}

static bool is_same_share(const ser_manifest *m, const ser_part *part)
{
    return json_equal(json_object_get(m->root, "command"), json_object_get(part->root, "command")) &&
           json_equal(json_object_get(m->root, "version"), json_object_get(part->root, "version")) &&
           m->shard.index == part->shard.index && m->shard.count == part->shard.count &&
           json_equal(m->options, part->options);
}

/* A share that is whole becomes one that is gone on with: its recordings are looked at again, and those that
 * failed are tried again. */
static ser_status reopen(ser_part_folder *f, const ser_part *part, ser_error *err)
{
    ser_manifest m = {0};
    struct stat info;
    if (lstat(f->folder, &info) != 0)
        return SER_OK;
    ser_status st = ser_manifest_read(&m, f->folder, err);
    if (st != SER_OK || !is_same_share(&m, part))
        st = ser_fail(err, SER_E_UNSUPPORTED,
                      "%s: it holds something else than this shard: --features-dir takes another folder",
                      f->folder);
    if (st == SER_OK && rename(f->folder, f->work) != 0)
        st = ser_fail(err, SER_E_IO, "%s: it cannot be gone on with (%s): remove %s", f->folder,
                      strerror(errno), f->work);
    char *manifest = st == SER_OK ? ser_manifest_path(f->work, true) : NULL;
    if (st == SER_OK && !manifest)
        st = ser_fail_nomem(err);
    if (st == SER_OK)
        unlink(manifest);
    ser_free(manifest);
    ser_manifest_release(&m);
    return st;
}

ser_status ser_part_folder_open(ser_part_folder *out, const char *folder, const ser_part *part,
                                ser_error *err)
{
    *out = (ser_part_folder){0};
    ser_status st = set_names(out, folder, err);
    if (st == SER_OK)
        st = lock(out, err);
    if (st == SER_OK)
        st = reopen(out, part, err);
    return st == SER_OK ? ser_io_make_folder(out->work, err) : st;
}

ser_status ser_part_folder_publish(ser_part_folder *f, ser_part *part, ser_error *err)
{
    char *manifest = ser_manifest_path(f->work, true);
    ser_status st = manifest ? ser_part_write(part, manifest, err) : ser_fail_nomem(err);
    if (st == SER_OK && rename(f->work, f->folder) != 0)
        st = ser_fail(err, SER_E_IO, "%s: it cannot be named so (%s): remove what is there", f->folder,
                      strerror(errno));
    if (st == SER_OK)
        st = ser_io_sync_name(f->folder, err);
    ser_free(manifest);
    return st;
}

void ser_part_folder_close(ser_part_folder *f)
{
    if (f->locked)
        ser_lock_release(&f->lock, f->lock_path);
    ser_free(f->folder);
    ser_free(f->work);
    ser_free(f->lock_path);
    *f = (ser_part_folder){0};
}
