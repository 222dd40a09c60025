#include "io/hub.h"
#include "base/memory.h"
#include "io/checkpoint.h"
#include "io/file.h"
#include "io/foreign.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_NAME = 96, COMMIT_DIGITS = 40 };

bool ser_hub_is_name(const char *name)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_";
    size_t n = strlen(name), n_owner = strcspn(name, "/");
    return n <= MAX_NAME && name[n_owner] == '/' && !strchr(name + n_owner + 1, '/') &&
           strchr(letters, name[0]) && name[0] && name[n_owner + 1] && strchr(letters, name[n_owner + 1]) &&
           !strstr(name, "..") && !strstr(name, "--") &&
           strspn(name, "/.-ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") == n;
}

static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

static void append_cache(ser_text *t)
{
    const char *cache = variable("HF_HUB_CACHE"), *home = variable("HF_HOME");
    const char *caches = variable("XDG_CACHE_HOME"), *user = variable("HOME");
    if (cache)
        ser_text_append(t, cache);
    else if (home)
        ser_text_appendf(t, "%s/hub", home);
    else if (caches)
        ser_text_appendf(t, "%s/huggingface/hub", caches);
    else
        ser_text_appendf(t, "%s/.cache/huggingface/hub", user ? user : "");
}

void ser_hub_append_folder(ser_text *t, const char *inside, const char *name)
{
    append_cache(t);
    ser_text_appendf(t, "/%smodels--", inside);
    for (const char *c = name; *c; c++)
        ser_text_append_n(t, *c == '/' ? "--" : c, *c == '/' ? 2 : 1);
}

static bool is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* Whether all is there that an encoder is read from; other programs may have fetched only some of it. */
static bool is_whole(const char *folder)
{
    char **names = NULL;
    size_t n_names = 0;
    char *config = ser_io_join(folder, "config.json");
    bool whole = config && access(config, R_OK) == 0 &&
                 ser_checkpoint_files(&names, &n_names, folder, NULL) == SER_OK && n_names;
    for (size_t i = 0; i < n_names && whole; i++) {
        char *path = ser_io_join(folder, names[i]);
        whole = path && access(path, R_OK) == 0;
        ser_free(path);
    }
    ser_io_free_list(names, n_names);
    ser_free(config);
    return whole;
}

static bool is_file(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

/* path: a model's folder in the cache -> its current commit's folder. */
static ser_status enter_snapshot(ser_text *path, ser_error *err)
{
    ser_bytes commit = {0};
    size_t n_root = path->n;
    ser_text_append(path, "/refs/main");
    ser_status st =
        path->failed ? ser_fail_nomem(err) : ser_io_read(&commit, path->s, COMMIT_DIGITS + 2, NULL);
    if (st != SER_OK)
        return st;
    size_t n = strspn((const char *)commit.data, "0123456789abcdef");
    path->n = n_root;
    ser_text_append(path, "/snapshots/");
    ser_text_append_n(path, (const char *)commit.data, n);
    ser_bytes_release(&commit);
    return path->failed ? ser_fail_nomem(err) : n == COMMIT_DIGITS && is_whole(path->s) ? SER_OK : SER_E_IO;
}

static ser_status find_snapshot(ser_text *path, const char *name, ser_error *err)
{
    ser_hub_append_folder(path, "", name);
    return enter_snapshot(path, err);
}

/* A checkpoint's folder as it is; of a model's folder in the cache, which people name too, the snapshot. */
static ser_status find_in_folder(char **folder, const char *name, ser_error *err)
{
    ser_text path = {0};
    ser_text_append(&path, name);
    char *config = ser_io_join(name, "config.json");
    ser_status st = config && !path.failed ? SER_OK : ser_fail_nomem(err);
    if (st == SER_OK && !is_file(config) && enter_snapshot(&path, NULL) != SER_OK) {
        ser_text_clear(&path); /* opening it will say what is missing */
        ser_text_append(&path, name);
    }
    if (st == SER_OK && path.failed)
        st = ser_fail_nomem(err);
    if (st == SER_OK)
        *folder = path.s;
    else
        ser_text_release(&path);
    ser_free(config);
    return st;
}

bool ser_hub_has(const char *name)
{
    ser_text path = {0};
    bool found = ser_hub_is_name(name) && find_snapshot(&path, name, NULL) == SER_OK;
    ser_text_release(&path);
    return found;
}

ser_status ser_hub_find(char **folder, const char *name, ser_error *err)
{
    ser_text path = {0};
    *folder = NULL;
    if (is_folder(name))
        return find_in_folder(folder, name, err);
    if (is_file(name)) {
        ser_status st = ser_foreign_check_file(name, err);
        return st != SER_OK ? ser_fail_within(err, st, "%s: ", name)
                            : ser_fail(err, SER_E_IO, "%s: it is a file: name its folder", name);
    }
    if (!ser_hub_is_name(name))
        return ser_fail(err, SER_E_IO,
                        "there is no folder '%s': name one with a checkpoint, or a model such as "
                        "openai/whisper-base",
                        name);
    ser_status st = find_snapshot(&path, name, err);
    if (st == SER_OK)
        *folder = path.s;
    else
        ser_text_release(&path);
    return st == SER_OK || st == SER_E_NOMEM
               ? st
               : ser_fail(err, SER_E_IO, "%s is not in the model cache: fetch it with: ser pull %s", name,
                          name);
}
