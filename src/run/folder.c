#include "run/folder.h"
#include "base/memory.h"
#include "io/file.h"
#include "io/json.h"
#include "report/formats.h"
#include "run/pictures.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* runs/<command>-<corpus>[-<target>]-<features>-<date>-<time>; NULL: out of memory. */
static char *own_path(const char *job, const ser_run_naming *naming)
{
    char when[32];
    time_t now = time(NULL);
    struct tm local;
    ser_text t = {0};
    localtime_r(&now, &local);
    strftime(when, sizeof when, "%Y%m%d-%H%M%S", &local);
    ser_text_appendf(&t, "runs/%s-%s-", job, naming->corpus);
    if (naming->target)
        ser_text_appendf(&t, "%s-", naming->target);
    ser_feature_spec_type(naming->spec, &t);
    ser_text_appendf(&t, "-%s", when);
    if (t.failed)
        ser_text_release(&t);
    for (char *c = t.s ? t.s + strlen("runs/") : NULL; c && *c; c++)
        *c = isalnum((unsigned char)*c) || *c == '-' || *c == '.' ? (char)tolower((unsigned char)*c) : '-';
    for (int n = 2; t.s && access(t.s, F_OK) == 0; n++) { /* another run of the same second */
        t.s[strcspn(t.s, "~")] = 0;
        t.n = strlen(t.s);
        ser_text_appendf(&t, "~%d", n);
        if (t.failed)
            ser_text_release(&t);
    }
    return t.s;
}

/* ---- opening ---- */

static ser_status take_lock(ser_run_folder *f, ser_error *err)
{
    bool taken = false;
    char *path = ser_io_join(f->path, SER_RUN_LOCK);
    ser_status st = path ? ser_lock_try(&f->lock, &taken, path, err) : ser_fail_nomem(err);
    if (st == SER_OK && !taken)
        st = ser_fail(err, SER_E_IO, "%s: another ser is at work in it: wait for it, or name another folder",
                      f->path);
    ser_free(path);
    if (st == SER_OK)
        ser_run_record_sign(f->lock.fd);
    return st;
}

/* Whoever named a folder with other things in it meant another one. */
static ser_status check_empty(const char *folder, ser_error *err)
{
    DIR *dir = opendir(folder);
    if (!dir) /* it can only be made yet, else */
        return errno == ENOMEM ? ser_fail_nomem(err) : SER_OK;
    bool empty = true, run = false;
    for (const struct dirent *entry; (entry = readdir(dir));) {
        const char *name = entry->d_name;
        run = run || strcmp(name, "config.json") == 0;
        empty =
            empty && (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, SER_RUN_LOCK) == 0 ||
                      strncmp(name, SER_TEMPORARY_PREFIX, strlen(SER_TEMPORARY_PREFIX)) == 0);
    }
    closedir(dir);
    if (run)
        return ser_fail(err, SER_E_ARG,
                        "%s: it holds a run already: go on with --resume, or name another folder", folder);
    return empty ? SER_OK
                 : ser_fail(err, SER_E_ARG,
                            "%s: it is no run folder, and not empty: name another folder with --run", folder);
}

static bool holds(const char *folder, const char *name)
{
    char *path = ser_io_join(folder, name);
    bool yes = path && access(path, F_OK) == 0;
    ser_free(path);
    return yes;
}

ser_status ser_run_read_config(json_t **out, const char *folder, ser_error *err)
{
    enum { MAX_CONFIG = 1 << 20 };
    *out = NULL;
    if (!holds(folder, "config.json"))
        return ser_fail(err, SER_E_IO, "%s: it holds no run (config.json is missing): begin one with --run",
                        folder);
    char *path = ser_io_join(folder, "config.json");
    ser_status st = path ? ser_json_read(out, path, MAX_CONFIG, 0, err) : ser_fail_nomem(err);
    if (st == SER_OK && !json_is_object(*out)) {
        json_decref(*out);
        *out = NULL;
        st = ser_fail(err, SER_E_FORMAT, "it holds no settings");
    }
    if (st != SER_OK && path)
        st = ser_fail_within(err, st, "%s: ", path);
    ser_free(path);
    return st;
}

static ser_status save_text(const char *folder, const char *name, const char *text, ser_error *err)
{
    char *path = ser_io_join(folder, name);
    ser_status st = path && text ? ser_io_write(path, text, strlen(text), err) : ser_fail_nomem(err);
    if (st != SER_OK && path)
        ser_fail_within(err, st, "%s: ", path);
    ser_free(path);
    return st;
}

ser_status ser_run_save_json(const char *folder, const char *name, const json_t *object, ser_error *err)
{
    char *text = ser_json_dump(object, SER_RUN_JSON);
    ser_status st = save_text(folder, name, text, err);
    free(text);
    return st;
}

/* With the name of the job, so that no other goes on with it. */
static ser_status save_config(const ser_run_folder *f, const ser_run_job *job, const json_t *config,
                              ser_error *err)
{
    json_t *all = json_pack("{s:s}", "command", job->name);
    ser_status st = all && json_object_update(all, (json_t *)config) == 0
                        ? ser_run_save_json(f->path, "config.json", all, err)
                        : ser_fail_nomem(err);
    json_decref(all);
    return st;
}

static ser_status open_new(ser_run_folder *f, const ser_run_job *job, const json_t *config, ser_error *err)
{
    ser_status st = check_empty(f->path, err);
    if (st == SER_OK)
        st = ser_io_make_folder(f->path, err);
    if (st == SER_OK)
        st = take_lock(f, err);
    if (st == SER_OK) /* once more: another process may have been quicker */
        st = check_empty(f->path, err);
    if (st == SER_OK) /* one that was killed before it had its settings in the folder */
        st = ser_run_record_open(&f->record, f->path, err);
    if (st == SER_OK)
        ser_run_record_sweep(&f->record, f->path);
    return st == SER_OK ? save_config(f, job, config, err) : st;
}

static ser_status open_again(ser_run_folder *f, ser_error *err)
{
    ser_status st = take_lock(f, err);
    f->complete = st == SER_OK && holds(f->path, "report.json");
    if (st == SER_OK)
        st = ser_run_record_open(&f->record, f->path, err);
    if (st == SER_OK && f->complete) /* killed after that and before it was tidy */
        ser_run_folder_tidy(f);
    return st;
}

ser_status ser_run_folder_open(ser_run_folder *f, const ser_run_job *job, const ser_run_place *place,
                               const ser_run_naming *naming, const json_t *config, ser_error *err)
{
    *f = (ser_run_folder){.lock = {-1}};
    if (place->without)
        return SER_OK;
    f->path = place->folder ? ser_strdup(place->folder) : own_path(job->name, naming);
    ser_status st = !f->path        ? ser_fail_nomem(err)
                    : place->resume ? open_again(f, err)
                                    : open_new(f, job, config, err);
    if (st != SER_OK)
        ser_run_folder_close(f);
    return st;
}

/* Some file systems tell late of what another machine wrote. */
static bool appears(const char *folder, const char *name)
{
    enum { PATIENCE_MS = 5000, STEP_MS = 50 };
    const struct timespec step = {.tv_nsec = STEP_MS * 1000000L};
    for (int ms = 0; !holds(folder, name) && ms < PATIENCE_MS; ms += STEP_MS)
        nanosleep(&step, NULL);
    return holds(folder, name);
}

ser_status ser_run_folder_share(ser_run_folder *f, const ser_team *team, ser_error *err)
{
    ser_text block = {0};
    if (!team)
        return SER_OK;
    if (ser_team_is_first(team))
        ser_text_appendf(&block, "%c%s", f->complete ? 'c' : 'n', f->path ? f->path : "");
    ser_status st = ser_team_share(team, &block, err);
    if (st == SER_OK && !ser_team_is_first(team)) {
        *f = (ser_run_folder){.lock = {-1}, .complete = *block.s == 'c'};
        if (block.n > 1 && !(f->path = ser_strdup(block.s + 1)))
            st = ser_fail_nomem(err);
        if (f->path && !appears(f->path, "config.json"))
            st = ser_fail(
                err, SER_E_IO,
                "%s: the run that rank 0 began is not there: it must be in a folder that all ranks share",
                f->path);
    }
    ser_text_release(&block);
    return st;
}

void ser_run_folder_close(ser_run_folder *f)
{
    char *lock = f->path ? ser_io_join(f->path, SER_RUN_LOCK) : NULL;
    ser_lock_release(&f->lock, lock);
    ser_free(lock);
    ser_run_record_release(&f->record);
    ser_free(f->path);
    *f = (ser_run_folder){.lock = {-1}};
}

/* ---- contents ---- */

typedef struct run_format {
    const char *file;
    ser_status (*save)(const char *path, const ser_run_report *r, ser_error *err);
} run_format;

static ser_status save_format(const ser_run_folder *f, const run_format *format, const ser_run_report *r,
                              ser_error *err)
{
    char *path = ser_io_join(f->path, format->file);
    ser_status st = path ? format->save(path, r, err) : ser_fail_nomem(err);
    if (st != SER_OK && path)
        ser_fail_within(err, st, "%s: ", path);
    ser_free(path);
    return st;
}

ser_status ser_run_save(const ser_run_folder *f, const ser_run_report *r, const char *json, ser_error *err)
{
#define FORMAT(file, save) {file, save},
    static const run_format formats[] = {SER_RUN_FORMATS(FORMAT)};
#undef FORMAT
    if (!f->path)
        return SER_OK;
    ser_status st = ser_run_pictures_save(f->path, r, err);
    for (size_t i = 0; i < sizeof formats / sizeof *formats && st == SER_OK; i++)
        st = save_format(f, &formats[i], r, err);
    return st == SER_OK ? save_text(f->path, "report.json", json, err) : st;
}

/* A path with a new line in it cannot be told: its file stays. */
static void add_states(ser_run_record *r, const char *name, size_t n)
{
    ser_text file = {0};
    for (size_t k = 1; k <= n && !strchr(name, '\n'); k++) {
        ser_text_clear(&file);
        ser_text_appendf(&file, "%s-%zu.safetensors", name, k);
        ser_run_record_add(r, file.s ? file.s : "");
    }
    r->lines.failed = r->lines.failed || file.failed;
    ser_text_release(&file);
}

ser_status ser_run_folder_begin(ser_run_folder *f, const ser_folds *folds, const char *prefix,
                                const char *const *names, size_t n_networks, ser_error *err)
{
    if (!f->path)
        return SER_OK;
    ser_run_record_release(&f->record); /* what it says stands in the folder */
    ser_status st = ser_run_record_open(&f->record, f->path, err);
    for (size_t i = 0; folds && i < folds->n_folds && st == SER_OK; i++) {
        char *state = ser_fold_path(f->path, prefix, folds->names[i], "/state");
        if (state)
            add_states(&f->record, state + strlen(f->path) + 1, n_networks);
        st = state ? SER_OK : ser_fail_nomem(err);
        ser_free(state);
    }
    for (; *names; names++)
        add_states(&f->record, *names, n_networks);
    return st == SER_OK ? ser_run_record_save(&f->record, f->path, err) : st;
}

void ser_run_folder_tidy(ser_run_folder *f)
{
    if (f->path)
        ser_run_record_clear(&f->record, f->path);
}
