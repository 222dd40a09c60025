#include "export/folder.h"
#include "base/memory.h"
#include "io/file.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static ser_status fail_in_use(const ser_export_folder *f, ser_error *err)
{
    return ser_fail(err, SER_E_ARG, "%s is there already: name a folder that is not, or an empty one (-o)",
                    f->path);
}

/* The rename at the end wants an empty folder or nothing: so this is only to say it before the work. */
static bool is_in_use(const char *path)
{
    struct stat st;
    const struct dirent *entry;
    if (lstat(path, &st) != 0)
        return false;
    DIR *dir = S_ISDIR(st.st_mode) ? opendir(path) : NULL;
    if (!dir)
        return true;
    do
        entry = readdir(dir);
    while (entry && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0));
    closedir(dir);
    return entry != NULL;
}

/* "PARENT/.ser-PID-COUNTER", beside the folder, so that it can be renamed. */
static ser_status make_temporary(ser_export_folder *f, ser_error *err)
{
    const char *slash = strrchr(f->path, '/');
    int n_parent = slash ? (int)(slash - f->path) + 1 : 0;
    size_t size = (size_t)n_parent + 48;
    char *name = ser_alloc(size, 1);
    if (!name)
        return ser_fail_nomem(err);
    for (unsigned i = 0;; i++) {
        snprintf(name, size, "%.*s" SER_TEMPORARY_PREFIX "%ld-%u", n_parent, f->path, (long)getpid(), i);
        if (mkdir(name, 0777) == 0)
            break;
        if (errno == EEXIST)
            continue;
        ser_status st = ser_fail(err, SER_E_IO, "%s cannot be made (%s)", f->path, strerror(errno));
        ser_free(name);
        return st;
    }
    f->temporary = name;
    return SER_OK;
}

ser_status ser_export_folder_open(ser_export_folder *f, const char *path, ser_error *err)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    *f = (ser_export_folder){.path = ser_strndup(path, n)};
    if (!f->path)
        return ser_fail_nomem(err);
    return is_in_use(f->path) ? fail_in_use(f, err) : make_temporary(f, err);
}

ser_status ser_export_folder_write(ser_export_folder *f, const char *name, const void *bytes, size_t n,
                                   ser_error *err)
{
    char *path = ser_io_join(f->temporary, name);
    if (!path)
        return ser_fail_nomem(err);
    f->names[f->n_names++] = name;
    ser_status st = ser_io_write(path, bytes, n, err);
    ser_free(path);
    return st == SER_OK ? st : ser_fail_within(err, st, "%s: ", name);
}

ser_status ser_export_folder_commit(ser_export_folder *f, ser_error *err)
{
    if (rename(f->temporary, f->path) != 0)
        return errno == EEXIST || errno == ENOTEMPTY || errno == ENOTDIR
                   ? fail_in_use(f, err)
                   : ser_fail(err, SER_E_IO, "%s cannot be made (%s)", f->path, strerror(errno));
    ser_status st = ser_io_sync_name(f->path, err);
    if (st != SER_OK && rename(f->path, f->temporary) == 0) /* for abort to remove */
        return st;
    ser_free(f->temporary);
    f->temporary = NULL;
    return st;
}

void ser_export_folder_abort(ser_export_folder *f)
{
    for (size_t i = 0; i < f->n_names && f->temporary; i++) {
        char *path = ser_io_join(f->temporary, f->names[i]);
        if (path)
            unlink(path);
        ser_free(path);
    }
    if (f->temporary)
        rmdir(f->temporary);
    ser_free(f->temporary);
    ser_free(f->path);
    *f = (ser_export_folder){0};
}
