#include "run/record.h"
#include "base/memory.h"
#include "io/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char RECORD[] = ".made", FILE_KEY[] = "file ", PROCESS_KEY[] = "process ";

void ser_run_record_sign(int lock)
{
    lseek(lock, 0, SEEK_END);
    dprintf(lock, "%s%ld\n", PROCESS_KEY, (long)getpid()); /* where that is not possible, a file may stay */
}

static ser_status append_file(ser_text *t, const char *folder, const char *name, ser_error *err)
{
    enum { MAX_RECORD = 1 << 20 };
    ser_bytes bytes = {0};
    char *path = ser_io_join(folder, name);
    ser_status st = path ? ser_io_read(&bytes, path, MAX_RECORD, err) : ser_fail_nomem(err);
    if (st == SER_OK)
        ser_text_append_n(t, (const char *)bytes.data, strlen((const char *)bytes.data));
    ser_bytes_release(&bytes);
    ser_free(path);
    return st == SER_E_NOMEM ? st : SER_OK; /* one that is not there, or not to be read, names nothing */
}

ser_status ser_run_record_open(ser_run_record *out, const char *folder, ser_error *err)
{
    *out = (ser_run_record){0};
    ser_status st = append_file(&out->lines, folder, RECORD, err);
    if (st == SER_OK)
        st = append_file(&out->lines, folder, SER_RUN_LOCK, err);
    ser_text_appendf(&out->lines, "%s%ld\n", PROCESS_KEY, (long)getpid());
    return st == SER_OK && out->lines.failed ? ser_fail_nomem(err) : st;
}

void ser_run_record_add(ser_run_record *r, const char *name)
{
    ser_text_appendf(&r->lines, "%s%s\n", FILE_KEY, name);
}

ser_status ser_run_record_save(const ser_run_record *r, const char *folder, ser_error *err)
{
    char *path = r->lines.failed ? NULL : ser_io_join(folder, RECORD);
    ser_status st = path ? ser_io_write(path, r->lines.s, r->lines.n, err) : ser_fail_nomem(err);
    if (st != SER_OK && path)
        ser_fail_within(err, st, "%s: ", path);
    ser_free(path);
    return st;
}

/* The file's folder and its name there; the record lies where everybody may write, so that it is believed
 * only as far as it cannot lead out of the run. -1: it does not lead to a file. */
static int open_folder_of(const char **name, const char *folder, const char *file)
{
    char own[256];
    const char *slash = strchr(file, '/');
    int root = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *name = slash ? slash + 1 : file;
    if (!slash || root < 0)
        return root;
    int fd = -1;
    if (*file != '.' && snprintf(own, sizeof own, "%.*s", (int)(slash - file), file) < (int)sizeof own)
        fd = openat(root, own, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    close(root);
    return fd;
}

static void remove_file(int folder, const char *name)
{
    struct stat info;
    if (*name && !strchr(name, '/') && fstatat(folder, name, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
        S_ISREG(info.st_mode))
        unlinkat(folder, name, 0);
}

/* .ser-PID-0 and so on; of every process of the record. */
static bool is_temporary(const ser_run_record *r, const char *name)
{
    char line[64];
    size_t n = strlen(SER_TEMPORARY_PREFIX),
           n_digits = strspn(name + (strlen(name) < n ? 0 : n), "0123456789");
    if (strncmp(name, SER_TEMPORARY_PREFIX, n) != 0 || !n_digits || n_digits > 20 ||
        name[n + n_digits] != '-')
        return false;
    snprintf(line, sizeof line, "%s%.*s\n", PROCESS_KEY, (int)n_digits, name + n);
    const char *at = strstr(r->lines.s, line);
    return at && (at == r->lines.s || at[-1] == '\n');
}

/* Takes the descriptor. */
static void remove_temporaries(const ser_run_record *r, int folder)
{
    DIR *dir = fdopendir(folder);
    if (!dir) {
        close(folder);
        return;
    }
    for (const struct dirent *entry; (entry = readdir(dir));)
        if (is_temporary(r, entry->d_name))
            remove_file(dirfd(dir), entry->d_name);
    closedir(dir);
}

void ser_run_record_sweep(const ser_run_record *r, const char *folder)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        remove_temporaries(r, fd);
}

/* In the folders of folds, too, where models are written. */
static void remove_all_temporaries(const ser_run_record *r, int folder)
{
    int again = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = again < 0 ? NULL : fdopendir(again);
    for (const struct dirent *entry; dir && (entry = readdir(dir));) {
        int own = strcmp(entry->d_name, "..") == 0
                      ? -1
                      : openat(folder, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (own >= 0)
            remove_temporaries(r, own);
    }
    if (dir)
        closedir(dir);
    else if (again >= 0)
        close(again);
}

void ser_run_record_clear(ser_run_record *r, const char *folder)
{
    char file[512];
    const char *name;
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    remove_all_temporaries(r, fd);
    for (const char *line = r->lines.s; line && *line; line += strcspn(line, "\n"), line += *line == '\n') {
        size_t n = strcspn(line, "\n"), n_key = strlen(FILE_KEY);
        if (strncmp(line, FILE_KEY, n_key) != 0 || n - n_key >= sizeof file)
            continue;
        snprintf(file, sizeof file, "%.*s", (int)(n - n_key), line + n_key);
        int own = open_folder_of(&name, folder, file);
        if (own < 0)
            continue;
        remove_file(own, name);
        close(own);
        if (name != file) { /* a folder for states alone is empty now */
            file[name - file - 1] = 0;
            unlinkat(fd, file, AT_REMOVEDIR);
        }
    }
    remove_file(fd, RECORD);
    close(fd);
}

void ser_run_record_release(ser_run_record *r)
{
    ser_text_release(&r->lines);
    *r = (ser_run_record){0};
}
