#include "base/lock.h"
#include "base/memory.h"
#include "base/text.h"
#include "io/file.h"
#include "net/fetch.h"
#include "net/listing.h"
#include "net/pull.h"
#include "net/unpack.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_RECORD = 4 << 20 };

/* The largest that is known has 1,440 files of 600 MB in all. */
static const ser_unpack_limits limits = {.n_bytes = UINT64_C(3000000000), .n_entries = 20000};

/* All paths lie in the data folder, the temporary ones hidden. */
typedef struct corpus_paths {
    char *folder, *archive, *unpacking, *lock;
} corpus_paths;

static void release_paths(corpus_paths *p)
{
    ser_free(p->archive);
    ser_free(p->unpacking);
    ser_free(p->lock);
    ser_free(p->folder);
}

static ser_status make_paths(corpus_paths *p, const ser_publication *c, const char *data_dir, ser_error *err)
{
    char archive[48], unpacking[48], lock[48];
    snprintf(archive, sizeof archive, SER_TEMPORARY_PREFIX "%s.zip", c->folder);
    snprintf(unpacking, sizeof unpacking, SER_TEMPORARY_PREFIX "%s.unpacking", c->folder);
    snprintf(lock, sizeof lock, SER_TEMPORARY_PREFIX "%s.lock", c->folder);
    *p = (corpus_paths){ser_io_join(data_dir, c->name), ser_io_join(data_dir, archive),
                        ser_io_join(data_dir, unpacking), ser_io_join(data_dir, lock)};
    return p->folder && p->archive && p->unpacking && p->lock ? ser_io_make_folder(data_dir, err)
                                                              : ser_fail_nomem(err);
}

static ser_status ask_record(ser_listed *listed, ser_http *http, const ser_publication *c,
                             const ser_pull_settings *s, ser_error *err)
{
    ser_text url = {0}, answer = {0};
    long code;
    ser_text_appendf(&url, "%s%s", s->endpoint ? s->endpoint : c->host, c->record);
    ser_status st = url.failed ? ser_fail_nomem(err)
                               : ser_fetch_text(&answer, http, url.s, MAX_RECORD, &s->progress, &code, err);
    if (st == SER_OK)
        st = ser_record_parse(listed, c->key, answer.s ? answer.s : "", answer.n, err);
    ser_text_release(&answer);
    ser_text_release(&url);
    return st;
}

static ser_status fetch_archive(const corpus_paths *p, const ser_publication *c, const ser_pull_settings *s,
                                ser_error *err)
{
    ser_http *http = NULL;
    ser_listed stated = {0};
    ser_text url = {0}, told = {0};
    struct stat info;
    const ser_http_settings settings = {
        .certificates = s->certificates, .timeout_s = s->timeout_s, .progress = s->progress};
    if (!s->endpoint && strncmp(c->host, "http:", 5) == 0)
        return ser_fail(err, SER_E_UNSUPPORTED,
                        "its publisher has it at an address without encryption alone: if that is fine, %s",
                        c->if_plain);
    ser_text_appendf(&url, "%s%s", s->endpoint ? s->endpoint : c->host, c->archive);
    ser_status st = url.failed ? ser_fail_nomem(err) : ser_http_open(&http, &settings, err);
    if (st == SER_OK && c->record)
        st = ask_record(&stated, http, c, s, err);
    const ser_fetch f = {.url = url.s,
                         .path = p->archive,
                         .name = c->name,
                         .hash = stated.hash,
                         .has_size = c->record,
                         .size = stated.size};
    if (st == SER_OK)
        st = ser_fetch_file(http, &f, &s->progress, err);
    if (st == SER_OK && s->tell && stat(p->archive, &info) == 0) {
        ser_text_appendf(&told, "%.1f MB, ", (double)info.st_size / 1e6);
        if (c->record)
            ser_text_appendf(&told, "%s as the publisher states", ser_hash_name(stated.hash.kind));
        else
            ser_text_append(&told, "as many bytes as the server has; the publisher states no hash");
        if (!told.failed)
            s->tell(told.s);
        ser_text_release(&told);
    }
    ser_http_close(&http);
    ser_text_release(&url);
    return st;
}

static ser_status unpack(const corpus_paths *p, const ser_pull_settings *s, ser_error *err)
{
    ser_remove_folder(p->unpacking); /* of a process that was killed */
    ser_status st = ser_io_make_folder(p->unpacking, err);
    if (st == SER_OK)
        st = ser_unpack(p->archive, p->unpacking, &limits, &s->progress, err);
    if (st == SER_OK) /* thousands of files at once */
        st = ser_io_sync(p->unpacking, err);
    if (st == SER_OK && rename(p->unpacking, p->folder) != 0)
        st = ser_fail(err, SER_E_IO, "%s cannot be made (%s): choose another --data-dir", p->folder,
                      strerror(errno));
    else if (st == SER_OK)
        st = ser_io_sync_name(p->folder, err);
    if (st != SER_OK)
        ser_remove_folder(p->unpacking);
    if (st == SER_OK || st == SER_E_FORMAT) /* else the next call need not fetch it again */
        unlink(p->archive);
    return st;
}

/* The corpus's folder in either spelling, if it is there. */
static char *find_folder(const ser_publication *c, const char *data_dir)
{
    const char *const names[] = {c->name, c->folder};
    struct stat info;
    for (int i = 0; i < 2; i++) {
        char *path = ser_io_join(data_dir, names[i]);
        if (path && stat(path, &info) == 0)
            return path;
        ser_free(path);
    }
    return NULL;
}

/* Of the path's first n characters those before its last name. */
static size_t without_name(const char *path, size_t n)
{
    while (n && path[n - 1] == '/')
        n--;
    while (n && path[n - 1] != '/')
        n--;
    while (n && path[n - 1] == '/')
        n--;
    return n;
}

/* Of the path that part which is there: as many characters. */
static size_t part_that_exists(const char *path)
{
    bool is_there = false;
    size_t n = strlen(path);
    while (n && !is_there) {
        char *part = ser_strndup(path, n);
        is_there = !part || access(part, F_OK) == 0;
        ser_free(part);
        if (!is_there)
            n = without_name(path, n);
    }
    return n;
}

/* Folders that were made for nothing; those that others wrote into meanwhile stay. */
static void remove_empty(const char *path, size_t n_kept)
{
    char *part = ser_strdup(path);
    for (size_t n = part ? strlen(part) : 0; n > n_kept && rmdir(part) == 0; part[n] = 0)
        n = without_name(part, n);
    ser_free(part);
}

/* Whoever had the lock may have taken the folder away that it had made for nothing. */
static ser_status take_lock(ser_lock *lock, const corpus_paths *p, const ser_pull_settings *s, ser_error *err)
{
    ser_status st = ser_lock_take(lock, p->lock, &s->progress, err);
    if (st != SER_E_IO || access(s->data_dir, F_OK) == 0)
        return st;
    st = ser_io_make_folder(s->data_dir, err);
    return st == SER_OK ? ser_lock_take(lock, p->lock, &s->progress, err) : st;
}

ser_status ser_pull_corpus(char **folder, const ser_publication *c, const ser_pull_settings *s,
                           ser_error *err)
{
    corpus_paths p = {0};
    ser_lock lock = {-1};
    size_t n_there = part_that_exists(s->data_dir);
    *folder = NULL;
    ser_status st = make_paths(&p, c, s->data_dir, err);
    if (st == SER_OK)
        st = take_lock(&lock, &p, s, err);
    if (st == SER_OK && (*folder = find_folder(c, s->data_dir))) {
        if (s->tell)
            s->tell("it was there already; to fetch it anew, remove its folder first");
    } else if (st == SER_OK) {
        if (access(p.archive, F_OK) != 0)
            st = fetch_archive(&p, c, s, err);
        if (st == SER_OK)
            st = unpack(&p, s, err);
        if (st == SER_OK && s->tell)
            s->tell(c->terms);
        if (st == SER_OK && !(*folder = ser_strdup(p.folder)))
            st = ser_fail_nomem(err);
    }
    ser_lock_release(&lock, p.lock);
    if (st != SER_OK)
        remove_empty(s->data_dir, n_there);
    release_paths(&p);
    return st;
}
