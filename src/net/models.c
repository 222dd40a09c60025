#include "base/lock.h"
#include "base/memory.h"
#include "base/text.h"
#include "io/checkpoint.h"
#include "io/file.h"
#include "io/hub.h"
#include "net/fetch.h"
#include "net/listing.h"
#include "net/pull.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_LISTING = 16 << 20, MAX_PATH = 4096 };

static const char hub[] = "https://huggingface.co";

typedef struct pulling {
    const char *name, *endpoint;
    const ser_pull_settings *s;
    ser_http *http;
    ser_listing listing;
    ser_text root, locks, snapshot; /* folders: of the model, of its locks, of the commit */
} pulling;

static ser_status path_in(char path[MAX_PATH], ser_error *err, const char *format, ...) SER_PRINTF(3, 4);

static ser_status path_in(char path[MAX_PATH], ser_error *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(path, MAX_PATH, format, args);
    va_end(args);
    return n > 0 && n < MAX_PATH ? SER_OK
                                 : ser_fail(err, SER_E_ARG, "the cache's path is too long: set HF_HOME");
}

/* ---- what there is ---- */

static ser_status fail_listing(const pulling *p, long code, ser_status st, ser_error *err)
{
    if (code != 401 && code != 403 && code != 404)
        return st;
    if (code == 403)
        return ser_fail(err, SER_E_IO,
                        "%s gives it only to those whom its owner allows: ask at %s/%s, then set HF_TOKEN",
                        p->endpoint, p->endpoint, p->name);
    return ser_fail(err, SER_E_IO, "%s has no such model%s: check the name", p->endpoint,
                    p->s->token   ? " that HF_TOKEN may see"
                    : code == 401 ? ", or it needs an HF_TOKEN"
                                  : "");
}

static ser_status ask(pulling *p, ser_error *err)
{
    ser_text url = {0}, answer = {0};
    long code = 0;
    ser_text_appendf(&url, "%s/api/models/%s/revision/main?blobs=true", p->endpoint, p->name);
    ser_status st = url.failed
                        ? ser_fail_nomem(err)
                        : ser_fetch_text(&answer, p->http, url.s, MAX_LISTING, &p->s->progress, &code, err);
    if (st == SER_E_IO)
        st = fail_listing(p, code, st, err);
    if (st == SER_OK)
        st = ser_listing_parse(&p->listing, answer.s ? answer.s : "", answer.n, err);
    if (st == SER_OK) {
        ser_text_appendf(&p->snapshot, "%s/snapshots/%s", p->root.s, p->listing.commit);
        st = p->snapshot.failed ? ser_fail_nomem(err) : SER_OK;
    }
    ser_text_release(&answer);
    ser_text_release(&url);
    return st;
}

/* ---- one file ---- */

static void tell(const pulling *p, const ser_listed *f, bool was_there)
{
    ser_text t = {0};
    if (f->size < 100000)
        ser_text_appendf(&t, "%s: %.0f bytes, ", f->name, (double)f->size);
    else
        ser_text_appendf(&t, "%s: %.1f MB, ", f->name, (double)f->size / 1e6);
    ser_text_appendf(&t, "%s as the hub states%s", ser_hash_name(f->hash.kind),
                     was_there ? ", was there" : "");
    if (p->s->tell && !t.failed)
        p->s->tell(t.s);
    ser_text_release(&t);
}

/* A file of the cache may be damaged since. */
static ser_status look_at(bool *right, const ser_listed *f, const char *blob, const ser_progress *progress,
                          ser_error *err)
{
    struct stat info;
    *right = false;
    if (stat(blob, &info) != 0 || (uint64_t)info.st_size != f->size)
        return SER_OK;
    ser_status st = ser_hash_check(&f->hash, blob, progress, err);
    *right = st == SER_OK;
    return st == SER_E_FORMAT ? SER_OK : st;
}

/* Into blobs/HASH. The lock is the one that the hub's own tools take. */
static ser_status pull_blob(pulling *p, const ser_listed *f, ser_error *err)
{
    char blob[MAX_PATH], lock_path[MAX_PATH];
    ser_lock lock = {-1};
    bool right = false;
    ser_status st = path_in(blob, err, "%s/blobs/%s", p->root.s, f->hash.hex);
    if (st == SER_OK)
        st = path_in(lock_path, err, "%s/%s.lock", p->locks.s, f->hash.hex);
    if (st == SER_OK)
        st = ser_lock_take(&lock, lock_path, &p->s->progress, err);
    if (st == SER_OK)
        st = look_at(&right, f, blob, &p->s->progress, err);
    if (st == SER_OK && !right) {
        char *url = ser_format("%s/%s/resolve/%s/%s", p->endpoint, p->name, p->listing.commit, f->name);
        const ser_fetch fetch = {url, blob, f->name, f->hash, true, f->size};
        st = url ? ser_fetch_file(p->http, &fetch, &p->s->progress, err) : ser_fail_nomem(err);
        ser_free(url);
    }
    ser_lock_release(&lock, NULL);
    if (st == SER_OK)
        tell(p, f, right);
    return st;
}

/* Links and refs get their names from temporary ones, one process at a time: so what a killed one left in
 * that folder is nobody's, and goes. */
static ser_status begin_naming(ser_lock *lock, const pulling *p, const char *folder, ser_error *err)
{
    char path[MAX_PATH];
    ser_status st = path_in(path, err, "%s/names.lock", p->locks.s);
    if (st == SER_OK)
        st = ser_lock_take(lock, path, &p->s->progress, err);
    DIR *dir = st == SER_OK && lock->fd >= 0 ? opendir(folder) : NULL;
    for (const struct dirent *entry; dir && (entry = readdir(dir));)
        if (strncmp(entry->d_name, SER_TEMPORARY_PREFIX, strlen(SER_TEMPORARY_PREFIX)) == 0)
            unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir)
        closedir(dir);
    return st;
}

/* snapshots/COMMIT/NAME -> ../../blobs/HASH, whatever was there before. */
static ser_status link_blob(const pulling *p, const ser_listed *f, ser_error *err)
{
    char path[MAX_PATH], temporary[MAX_PATH], target[128];
    ser_lock lock = {-1};
    snprintf(target, sizeof target, "../../blobs/%s", f->hash.hex);
    ser_status st = path_in(path, err, "%s/%s", p->snapshot.s, f->name);
    if (st == SER_OK)
        st = path_in(temporary, err, "%s/" SER_TEMPORARY_PREFIX "%ld", p->snapshot.s, (long)getpid());
    if (st == SER_OK)
        st = begin_naming(&lock, p, p->snapshot.s, err);
    if (st == SER_OK && (symlink(target, temporary) != 0 || rename(temporary, path) != 0))
        st = ser_fail(err, SER_E_IO, "%s cannot be linked (%s): set HF_HOME to another folder", path,
                      strerror(errno));
    ser_lock_release(&lock, NULL);
    return st;
}

static ser_status pull_file(pulling *p, const char *name, ser_error *err)
{
    const ser_listed *f = ser_listing_find(&p->listing, name);
    if (!f)
        return ser_fail(err, SER_E_FORMAT, "the hub has no %s of it: choose another model", name);
    ser_status st =
        f->hash.kind == SER_HASH_NONE
            ? ser_fail(err, SER_E_FORMAT, "the hub states no size and hash: try another --endpoint")
            : pull_blob(p, f, err);
    if (st == SER_OK)
        st = link_blob(p, f, err);
    return st == SER_OK ? SER_OK : ser_fail_within(err, st, "%s: ", name);
}

/* ---- the model ---- */

/* The form of weights that is read first, in the order of ser_checkpoint_open. */
static const char *choose_weights(const ser_listing *l)
{
    for (size_t i = 0; i < SER_CHECKPOINT_N_FORMS; i++)
        if (ser_listing_find(l, ser_checkpoint_forms[i]))
            return ser_checkpoint_forms[i];
    return NULL;
}

static ser_status pull_shards(pulling *p, ser_error *err)
{
    char **names = NULL;
    size_t n_names = 0;
    ser_status st = ser_checkpoint_files(&names, &n_names, p->snapshot.s, err);
    for (size_t i = 0; i < n_names && st == SER_OK; i++)
        st = pull_file(p, names[i], err);
    ser_io_free_list(names, n_names);
    return st;
}

static ser_status pull_files(pulling *p, ser_error *err)
{
    /* What inputs it takes: transformers 5 writes the second alone. */
    static const char *const inputs[] = {"preprocessor_config.json", "processor_config.json"};
    const char *weights = choose_weights(&p->listing);
    if (!weights)
        return ser_fail(
            err, SER_E_UNSUPPORTED,
            "the hub has neither model.safetensors nor pytorch_model.bin of it: choose another model");
    ser_status st = pull_file(p, "config.json", err);
    for (size_t i = 0; i < 2 && st == SER_OK; i++)
        if (ser_listing_find(&p->listing, inputs[i]))
            st = pull_file(p, inputs[i], err);
    if (st == SER_OK)
        st = pull_file(p, weights, err);
    return st == SER_OK && strstr(weights, ".index.json") ? pull_shards(p, err) : st;
}

static ser_status make_folders(pulling *p, ser_error *err)
{
    static const char *const inside[] = {"blobs", "refs"};
    ser_status st = ser_io_make_folder(p->locks.s, err);
    char path[MAX_PATH];
    for (size_t i = 0; i < sizeof inside / sizeof *inside && st == SER_OK; i++) {
        st = path_in(path, err, "%s/%s", p->root.s, inside[i]);
        if (st == SER_OK)
            st = ser_io_make_folder(path, err);
    }
    return st == SER_OK ? ser_io_make_folder(p->snapshot.s, err) : st;
}

/* Last, because from now on the model is found. */
static ser_status point_to_commit(const pulling *p, ser_error *err)
{
    char folder[MAX_PATH], path[MAX_PATH];
    ser_lock lock = {-1};
    ser_status st = path_in(folder, err, "%s/refs", p->root.s);
    if (st == SER_OK)
        st = path_in(path, err, "%s/refs/main", p->root.s);
    if (st == SER_OK)
        st = begin_naming(&lock, p, folder, err);
    if (st == SER_OK &&
        (st = ser_io_write(path, p->listing.commit, strlen(p->listing.commit), err)) != SER_OK)
        ser_fail_within(err, st, "%s: ", path);
    ser_lock_release(&lock, NULL);
    return st;
}

ser_status ser_pull_model(char **folder, const char *name, const ser_pull_settings *s, ser_error *err)
{
    pulling p = {.name = name, .endpoint = s->endpoint ? s->endpoint : hub, .s = s};
    const ser_http_settings settings = {.token = s->token,
                                        .certificates = s->certificates,
                                        .timeout_s = s->timeout_s,
                                        .progress = s->progress};
    *folder = NULL;
    if (!ser_hub_is_name(name))
        return ser_fail(err, SER_E_ARG, "it is no name of a model, such as openai/whisper-base");
    ser_hub_append_folder(&p.root, "", name);
    ser_hub_append_folder(&p.locks, ".locks/", name);
    ser_status st =
        p.root.failed || p.locks.failed ? ser_fail_nomem(err) : ser_http_open(&p.http, &settings, err);
    if (st == SER_OK)
        st = ask(&p, err);
    if (st == SER_OK)
        st = make_folders(&p, err);
    if (st == SER_OK)
        st = pull_files(&p, err);
    if (st == SER_OK)
        st = point_to_commit(&p, err);
    if (st == SER_OK && !(*folder = ser_strdup(p.snapshot.s)))
        st = ser_fail_nomem(err);
    ser_http_close(&p.http);
    ser_listing_release(&p.listing);
    ser_text_release(&p.root);
    ser_text_release(&p.locks);
    ser_text_release(&p.snapshot);
    return st;
}
