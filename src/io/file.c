#include "io/file.h"
#include "base/memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdint.h>
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

/* A file descriptor, and the size of the regular file behind it. */
static ser_status open_regular(int *fd, size_t *n, const char *path, size_t n_max, ser_error *err)
{
    struct stat st;
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* not to wait for somebody who writes to a pipe */
    if (*fd < 0)
        return fail_open(err);
    if (fstat(*fd, &st) != 0)
        return ser_fail(err, SER_E_IO, "it cannot be examined (%s): try again", strerror(errno));
    if (S_ISDIR(st.st_mode))
        return ser_fail(err, SER_E_FORMAT, "it is a folder: name a file");
    if (!S_ISREG(st.st_mode))
        return ser_fail(err, SER_E_FORMAT, "it is no regular file: write its content to a file first");
    *n = (size_t)st.st_size;
    if (n_max && *n > n_max)
        return ser_fail(err, SER_E_FORMAT,
                        "it has %zu bytes and should have at most %zu: is it the right file?", *n, n_max);
    return SER_OK;
}

static ser_status read_whole(ser_bytes *out, int fd, size_t n, ser_error *err)
{
    unsigned char *copy = ser_alloc(n + 1, 1);
    if (!copy)
        return ser_fail_nomem(err);
    size_t n_read = 0;
    while (n_read < n) {
        ssize_t k = read(fd, copy + n_read, n - n_read);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0) {
            ser_free(copy);
            return ser_fail(err, SER_E_IO, "it cannot be read (%s): try again",
                            k < 0 ? strerror(errno) : "it became shorter meanwhile");
        }
        n_read += (size_t)k;
    }
    *out = (ser_bytes){.data = copy, .n = n};
    return SER_OK;
}

ser_status ser_io_map(ser_bytes *out, const char *path, size_t n_max, ser_error *err)
{
    int fd;
    size_t n = 0;
    *out = (ser_bytes){0};
    ser_status status = open_regular(&fd, &n, path, n_max, err);
    if (status == SER_OK) {
        /* Empty files and some network file systems cannot be mapped. */
        void *p = n ? mmap(NULL, n, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
        if (p != MAP_FAILED)
            *out = (ser_bytes){.data = p, .n = n, .mapped = true};
        else
            status = read_whole(out, fd, n, err);
    }
    if (fd >= 0)
        close(fd);
    return status;
}

ser_status ser_io_read(ser_bytes *out, const char *path, size_t n_max, ser_error *err)
{
    int fd;
    size_t n = 0;
    *out = (ser_bytes){0};
    ser_status status = open_regular(&fd, &n, path, n_max, err);
    if (status == SER_OK)
        status = read_whole(out, fd, n, err);
    if (fd >= 0)
        close(fd);
    return status;
}

void ser_bytes_release(ser_bytes *b)
{
    if (b->mapped)
        munmap((void *)b->data, b->n);
    else
        ser_free((void *)b->data);
    *b = (ser_bytes){0};
}

void ser_bytes_forget(const ser_bytes *b, const void *data, size_t n)
{
    if (!b->mapped)
        return;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from = ((uintptr_t)data + page - 1) / page * page;
    uintptr_t to = ((uintptr_t)data + n) / page * page;
    if (from < to) /* whole pages only: others are in use beside them */
        madvise((void *)from, to - from, MADV_DONTNEED);
}

/* "folder/.ser-PID-COUNTER": short, so that the longest possible file name still has a temporary one. Its
 * mode is what the user's umask leaves, unlike mkstemp's. */
static FILE *create_temporary(char **name, const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t n_folder = slash ? (size_t)(slash - path) + 1 : 0;
    size_t size = n_folder + 48;
    char *s = ser_alloc(size, 1);
    if (!s) {
        errno = ENOMEM;
        return NULL;
    }
    int fd = -1;
    for (unsigned i = 0; fd < 0; i++) {
        snprintf(s, size, "%.*s" SER_TEMPORARY_PREFIX "%ld-%u", (int)n_folder, path, (long)getpid(), i);
        fd = open(s, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd < 0 && errno != EEXIST)
            break;
    }
    FILE *file = fd < 0 ? NULL : fdopen(fd, "wb");
    if (!file) {
        int reason = errno;
        if (fd >= 0) {
            close(fd);
            unlink(s);
        }
        ser_free(s);
        errno = reason;
        return NULL;
    }
    *name = s;
    return file;
}

static ser_status fail_create(ser_error *err)
{
    if (errno == ENOENT || errno == ENOTDIR)
        return ser_fail(err, SER_E_IO, "its folder does not exist: make it or choose another path");
    if (errno == EISDIR)
        return ser_fail(err, SER_E_IO, "it is a folder: add a file name");
    if (errno == ENOMEM)
        return ser_fail_nomem(err);
    return ser_fail(err, SER_E_IO, "it cannot be written (%s): choose another path", strerror(errno));
}

ser_status ser_output_open(ser_output *out, const char *path, ser_error *err)
{
    *out = (ser_output){0};
    struct stat st;
    bool exists = stat(path, &st) == 0;
    if (!*path || path[strlen(path) - 1] == '/' || (exists && S_ISDIR(st.st_mode))) {
        errno = *path ? EISDIR : ENOENT;
        return fail_create(err);
    }
    /* A link stays a link: what it points to is replaced. */
    bool is_regular = exists && S_ISREG(st.st_mode);
    char *target = is_regular ? realpath(path, NULL) : NULL;
    if (is_regular && !target && errno == ENOMEM)
        return ser_fail_nomem(err);
    out->path = ser_strdup(target ? target : path);
    free(target);
    if (!out->path)
        return ser_fail_nomem(err);
    /* A device or a pipe has no name to replace, nor what /dev/stdout was opened as and is removed since: a
     * file without a link. Where no full name is found of one that has some, as behind a folder that may not
     * be searched, the file is there to lose. */
    bool nameless = exists && (!is_regular || st.st_nlink == 0);
    out->file = nameless ? fopen(path, "wbe") : create_temporary(&out->temporary_path, out->path);
    if (out->file)
        return SER_OK;
    ser_status status = fail_create(err);
    ser_output_abort(out);
    return status;
}

/* The name, after a power cut too. 0, or why not. Some file systems have nothing to flush of a folder. */
static int sync_folder_of(char *path)
{
    char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, first = *name;
    *name = 0; /* for the moment */
    int fd = open(*path ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int reason = fd < 0 || fsync(fd) != 0 ? errno : 0; /* one that may not be read cannot be flushed either */
    *name = first;
    if (fd >= 0)
        close(fd);
    return reason == EINVAL || reason == ENOTSUP || reason == EROFS || reason == EACCES ? 0 : reason;
}

ser_status ser_output_commit(ser_output *out, ser_error *err)
{
    /* Where a write failed, errno is still its own: commit comes right behind. */
    bool failed = ferror(out->file) || fflush(out->file) != 0;
    /* Pipes, terminals and some network file systems have nothing to flush to. */
    if (!failed && !out->unsynced && fsync(fileno(out->file)) != 0)
        failed = errno != EINVAL && errno != ENOTSUP && errno != EROFS;
    int reason = failed ? errno : 0;
    if (fclose(out->file) != 0 && !failed) {
        failed = true;
        reason = errno;
    }
    out->file = NULL;
    bool renamed = !failed && out->temporary_path && rename(out->temporary_path, out->path) == 0;
    if (!failed && out->temporary_path && !renamed) {
        failed = true;
        reason = errno;
    }
    if (renamed) {
        ser_free(out->temporary_path);
        out->temporary_path = NULL;
        reason = out->unsynced ? 0 : sync_folder_of(out->path);
        failed = reason != 0;
    }
    ser_output_abort(out);
    if (failed && reason == ENAMETOOLONG)
        return ser_fail(err, SER_E_IO, "its name is too long for this file system: shorten it");
    return failed
               ? ser_fail(err, SER_E_IO, "it cannot be written (%s): free some space or choose another path",
                          strerror(reason ? reason : EIO))
               : SER_OK;
}

void ser_output_abort(ser_output *out)
{
    if (out->file)
        fclose(out->file);
    if (out->temporary_path)
        unlink(out->temporary_path);
    ser_free(out->temporary_path);
    ser_free(out->path);
    *out = (ser_output){0};
}

ser_status ser_io_sync_name(const char *path, ser_error *err)
{
    char *own = ser_strdup(path);
    if (!own)
        return ser_fail_nomem(err);
    for (size_t n = strlen(own); n > 1 && own[n - 1] == '/'; n--) /* what was named as a folder */
        own[n - 1] = 0;
    int reason = sync_folder_of(own);
    ser_free(own);
    return reason
               ? ser_fail(err, SER_E_IO, "%s cannot be written (%s): free some space or choose another path",
                          path, strerror(reason))
               : SER_OK;
}

ser_status ser_io_sync(const char *folder, ser_error *err)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int reason = fd < 0 || syncfs(fd) != 0 ? errno : 0;
    if (fd >= 0)
        close(fd);
    return reason ? ser_fail(err, SER_E_IO,
                             "it cannot be written (%s): free some space or choose another folder",
                             strerror(reason))
                  : SER_OK;
}

ser_status ser_io_write(const char *path, const void *bytes, size_t n, ser_error *err)
{
    ser_output out;
    ser_status status = ser_output_open(&out, path, err);
    if (status != SER_OK)
        return status;
    if (n)
        fwrite(bytes, 1, n, out.file); /* commit sees whether it worked */
    return ser_output_commit(&out, err);
}

static ser_status make_one_folder(const char *path, ser_error *err)
{
    struct stat st;
    if (mkdir(path, 0777) == 0)
        return SER_OK;
    int reason = errno;
    if (stat(path, &st) == 0) {
        if (S_ISDIR(st.st_mode))
            return SER_OK;
        return ser_fail(err, SER_E_IO, "'%s' is a file where a folder should be: choose another path", path);
    }
    return ser_fail(err, SER_E_IO, "the folder '%s' cannot be made (%s): choose another path", path,
                    strerror(reason));
}

ser_status ser_io_make_folder(const char *path, ser_error *err)
{
    char *s = ser_strdup(path);
    if (!s)
        return ser_fail_nomem(err);
    ser_status status = SER_OK;
    for (char *p = s; *p && status == SER_OK; p++)
        if (*p == '/' && p > s && p[-1] != '/') {
            *p = 0;
            status = make_one_folder(s, err);
            *p = '/';
        }
    if (status == SER_OK)
        status = make_one_folder(s, err);
    ser_free(s);
    return status;
}

ser_status ser_io_make_folder_of(const char *path, ser_error *err)
{
    char *folder = ser_strndup(path, (size_t)(strrchr(path, '/') - path));
    ser_status st = folder ? ser_io_make_folder(folder, err) : ser_fail_nomem(err);
    ser_free(folder);
    return st;
}

double ser_io_room(const struct statvfs *disk)
{
    return disk->f_blocks ? (double)disk->f_bavail * (double)disk->f_frsize : INFINITY;
}

char *ser_io_join(const char *folder, const char *name)
{
    if (!*folder || name[0] == '/')
        return ser_strdup(name);
    size_t n_folder = strlen(folder), n_name = strlen(name);
    bool slash = folder[n_folder - 1] != '/';
    char *s = ser_alloc(n_folder + n_name + 2, 1);
    if (s) {
        memcpy(s, folder, n_folder);
        if (slash)
            s[n_folder] = '/';
        memcpy(s + n_folder + slash, name, n_name);
    }
    return s;
}

typedef struct path_list {
    char **items;
    size_t n, capacity;
} path_list;

/* Takes the path over, also on failure. NULL: out of memory already. */
static bool list_push(path_list *list, char *path)
{
    if (!path || !ser_grow(&list->items, &list->capacity, list->n + 1, sizeof *list->items)) {
        ser_free(path);
        return false;
    }
    list->items[list->n++] = path;
    return true;
}

typedef struct path_lists {
    path_list files, folders, dangling, folder_links, closed;
} path_lists;

/* Where an entry belongs; NULL: nowhere. */
static path_list *list_of_entry(path_lists *lists, int folder, const char *name)
{
    struct stat st;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
        fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return NULL;
    bool is_link = S_ISLNK(st.st_mode);
    if (is_link && fstatat(folder, name, &st, 0) != 0)
        return &lists->dangling;
    if (S_ISREG(st.st_mode))
        return &lists->files;
    return !S_ISDIR(st.st_mode) ? NULL : is_link ? &lists->folder_links : &lists->folders;
}

static ser_status fail_closed(const char *path, int reason, ser_error *err)
{
    return reason == ENOMEM
               ? ser_fail_nomem(err)
               : ser_fail(err, SER_E_IO, "the folder '%s' cannot be read (%s): check it and its permissions",
                          path, strerror(reason));
}

/* What file systems and other users keep for themselves is nobody's recordings. */
static bool is_of_system(const char *relative)
{
    const char *slash = strrchr(relative, '/');
    return ser_io_is_hidden(relative) || strcmp(slash ? slash + 1 : relative, "lost+found") == 0;
}

/* Of a folder below the root, which was not opened for this reason. */
static ser_status note_closed(path_lists *lists, const char *path, const char *relative, int reason,
                              ser_error *err)
{
    if (reason != EACCES && reason != EPERM && reason != ENAMETOOLONG)
        return fail_closed(path, reason, err);
    if (is_of_system(relative))
        return SER_OK;
    return list_push(&lists->closed, ser_strdup(relative)) ? SER_OK : ser_fail_nomem(err);
}

/* One folder's entries, relative to root. */
static ser_status list_folder(path_lists *lists, const char *root, const char *relative, ser_error *err)
{
    ser_status status = SER_OK;
    char *path = ser_io_join(root, relative);
    DIR *dir = path ? opendir(path) : NULL;
    if (!path)
        return ser_fail_nomem(err);
    if (!dir) {
        int reason = errno;
        status = *relative ? note_closed(lists, path, relative, reason, err) : fail_closed(path, reason, err);
        ser_free(path);
        return status;
    }
    ser_free(path);
    const struct dirent *entry;
    while (status == SER_OK && (errno = 0, entry = readdir(dir))) {
        path_list *list = list_of_entry(lists, dirfd(dir), entry->d_name);
        if (list && !list_push(list, ser_io_join(relative, entry->d_name)))
            status = ser_fail_nomem(err);
    }
    if (status == SER_OK && errno)
        status = ser_fail(err, SER_E_IO, "the folder '%s/%s' cannot be read (%s): try again", root, relative,
                          strerror(errno));
    closedir(dir);
    return status;
}

static int compare_paths(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void take_list(char ***paths, size_t *n_paths, path_list *list)
{
    if (list->n)
        qsort(list->items, list->n, sizeof *list->items, compare_paths);
    *paths = list->items;
    *n_paths = list->n;
}

bool ser_io_is_hidden(const char *relative)
{
    return relative[0] == '.' || strstr(relative, "/.");
}

ser_status ser_io_list(ser_io_listing *out, const char *folder, ser_error *err)
{
    path_lists lists = {0};
    ser_status status = SER_OK;
    if (!list_push(&lists.folders, ser_strdup("")))
        status = ser_fail_nomem(err);
    while (status == SER_OK &&
           lists.folders.n) { /* no recursion: folders may be nested as deep as they like */
        char *relative = lists.folders.items[--lists.folders.n];
        status = list_folder(&lists, *folder ? folder : ".", relative, err);
        ser_free(relative);
    }
    ser_io_free_list(lists.folders.items, lists.folders.n);
    take_list(&out->files, &out->n_files, &lists.files);
    take_list(&out->dangling, &out->n_dangling, &lists.dangling);
    take_list(&out->folder_links, &out->n_folder_links, &lists.folder_links);
    take_list(&out->closed, &out->n_closed, &lists.closed);
    if (status != SER_OK)
        ser_io_listing_release(out);
    return status;
}

ser_status ser_io_check_closed(const ser_io_listing *l, const char *folder, ser_error *err)
{
    return l->n_closed ? ser_fail(err, SER_E_IO,
                                  "the folder '%s/%s' cannot be read: check its permissions, or leave it out",
                                  folder, l->closed[0])
                       : SER_OK;
}

void ser_io_listing_release(ser_io_listing *l)
{
    ser_io_free_list(l->files, l->n_files);
    ser_io_free_list(l->dangling, l->n_dangling);
    ser_io_free_list(l->folder_links, l->n_folder_links);
    ser_io_free_list(l->closed, l->n_closed);
    *l = (ser_io_listing){0};
}

ser_status ser_io_list_files(char ***paths, size_t *n_paths, const char *folder, ser_error *err)
{
    ser_io_listing listing = {0};
    ser_status status = ser_io_list(&listing, folder, err);
    *paths = NULL;
    *n_paths = 0;
    if (status == SER_OK)
        status = ser_io_check_closed(&listing, folder, err);
    if (status == SER_OK) {
        *paths = listing.files;
        *n_paths = listing.n_files;
        listing.files = NULL;
        listing.n_files = 0;
    }
    ser_io_listing_release(&listing);
    return status;
}

void ser_io_free_list(char **paths, size_t n_paths)
{
    for (size_t i = 0; i < n_paths; i++)
        ser_free(paths[i]);
    ser_free(paths);
}

/* The specification ignores relative ones. */
static const char *named_cache(void)
{
    const char *cache = getenv("XDG_CACHE_HOME");
    return cache && cache[0] == '/' ? cache : NULL;
}

bool ser_io_has_cache(void)
{
    const char *home = getenv("HOME");
    return named_cache() || (home && *home);
}

char *ser_io_cache_folder(const char *name)
{
    const char *cache = named_cache(), *home = getenv("HOME");
    char *base = NULL, *ours = NULL, *folder = NULL;
    if (cache)
        base = ser_strdup(cache);
    else if (home && *home)
        base = ser_io_join(home, ".cache");
    if (base)
        ours = ser_io_join(base, "ser");
    if (ours)
        folder = ser_io_join(ours, name);
    ser_free(ours);
    ser_free(base);
    return folder;
}
