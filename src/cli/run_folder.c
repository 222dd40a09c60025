#include "cli/run_folder.h"
#include "base/memory.h"
#include "cli/progress.h"
#include "cli/settings.h"
#include "io/file.h"
#include "report/pictures.h"
#include "report/run_page.h"
#include "report/spreadsheet.h"

#include <ctype.h>
#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* runs/<command>-<corpus>[-<target>]-<features>-<date>-<time>; NULL: out of memory. */
static char *own_path(const char *command, const ser_run_place *place)
{
    char when[32];
    time_t now = time(NULL);
    struct tm local;
    ser_text t = {0};
    localtime_r(&now, &local);
    strftime(when, sizeof when, "%Y%m%d-%H%M%S", &local);
    ser_text_appendf(&t, "runs/%s-%s-", command, place->corpus);
    if (place->target)
        ser_text_appendf(&t, "%s-", place->target);
    ser_feature_spec_type(place->spec, &t);
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

static const char LOCK[] = ".lock";

static ser_status take_lock(ser_run_folder *f, ser_error *err)
{
    bool taken = false;
    char *path = ser_io_join(f->path, LOCK);
    ser_status st = path ? ser_lock_try(&f->lock, &taken, path, err) : ser_fail_nomem(err);
    if (st == SER_OK && !taken)
        st = ser_fail(err, SER_E_IO, "%s: another ser is at work in it: wait for it, or name another folder",
                      f->path);
    ser_free(path);
    return st;
}

/* Whoever named a folder with other things in it meant another one. */
static ser_status check_empty(const char *folder, ser_error *err)
{
    DIR *dir = opendir(folder);
    if (!dir) /* it can only be made yet */
        return SER_OK;
    bool empty = true, run = false;
    for (const struct dirent *entry; (entry = readdir(dir));) {
        const char *name = entry->d_name;
        run = run || strcmp(name, "config.json") == 0;
        empty = empty && (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, LOCK) == 0);
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

/* The caller does json_decref. */
static ser_status read_config(json_t **out, const char *folder, ser_error *err)
{
    enum { MAX_CONFIG = 1 << 20 };
    ser_bytes bytes = {0};
    json_error_t at;
    *out = NULL;
    if (!holds(folder, "config.json"))
        return ser_fail(err, SER_E_IO, "%s: it holds no run (config.json is missing): begin one with --run",
                        folder);
    char *path = ser_io_join(folder, "config.json");
    ser_status st = path ? ser_io_read(&bytes, path, MAX_CONFIG, err) : ser_fail_nomem(err);
    if (st == SER_OK && !(*out = json_loadb((const char *)bytes.data, bytes.n, 0, &at)))
        st = ser_fail(err, SER_E_FORMAT, "line %d: %s", at.line, at.text);
    if (st == SER_OK && !json_is_object(*out)) {
        json_decref(*out);
        *out = NULL;
        st = ser_fail(err, SER_E_FORMAT, "it holds no settings");
    }
    if (st != SER_OK && path)
        st = ser_fail_within(err, st, "%s: ", path);
    ser_bytes_release(&bytes);
    ser_free(path);
    return st;
}

/* The number of threads changes nothing, so a run may go on with another. */
static ser_status compare_config(const char *folder, const json_t *config, ser_error *err)
{
    json_t *have = NULL, *value;
    const char *key;
    ser_status st = read_config(&have, folder, err);
    if (st != SER_OK)
        return st;
    json_object_foreach((json_t *)config, key, value)
    {
        if (strcmp(key, "jobs") != 0 && !json_equal(value, json_object_get(have, key))) {
            st = ser_fail(err, SER_E_ARG,
                          "%s: its run has another --%s: resume it without that option, or begin a new run",
                          folder, key);
            break;
        }
    }
    json_decref(have);
    return st;
}

ser_status ser_run_save_json(const char *folder, const char *name, const json_t *object, ser_error *err)
{
    char *path = ser_io_join(folder, name),
         *text = json_dumps(object, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
    ser_status st = path && text ? ser_io_write(path, text, strlen(text), err) : ser_fail_nomem(err);
    ser_free(path);
    free(text);
    return st;
}

/* Written anew also when a run goes on, because what was made before is told again. A log is worth no
 * failure: NULL where it cannot be written. */
static FILE *open_history(const ser_run_folder *f)
{
    char *path = ser_io_join(f->path, "history.jsonl");
    FILE *file = path ? fopen(path, "we") : NULL;
    ser_free(path);
    return file;
}

static ser_status open_new(ser_run_folder *f, ser_error *err)
{
    ser_status st = check_empty(f->path, err);
    if (st == SER_OK)
        st = ser_io_make_folder(f->path, err);
    if (st == SER_OK)
        st = take_lock(f, err);
    if (st == SER_OK) /* once more: another process may have been quicker */
        st = check_empty(f->path, err);
    return st == SER_OK ? ser_run_save_json(f->path, "config.json", f->config, err) : st;
}

static ser_status open_again(ser_run_folder *f, ser_error *err)
{
    ser_status st = take_lock(f, err);
    if (st == SER_OK)
        st = compare_config(f->path, f->config, err);
    f->complete = st == SER_OK && holds(f->path, "report.json");
    if (f->complete) { /* killed after that and before it was tidy */
        st = ser_run_record_open(&f->record, f->path, err);
        if (st == SER_OK)
            ser_run_folder_tidy(f);
    }
    return st;
}

ser_status ser_run_folder_open(ser_run_folder *f, const ser_command *command, const ser_run_place *place,
                               ser_error *err)
{
    const char *named = place->resume ? place->resume : place->path;
    *f = (ser_run_folder){.path = named ? ser_strdup(named) : own_path(command->name, place),
                          .config = ser_settings_to_json(command),
                          .lock = {-1}};
    ser_status st = !f->path || !f->config ? ser_fail_nomem(err)
                    : place->resume        ? open_again(f, err)
                                           : open_new(f, err);
    if (st != SER_OK)
        ser_run_folder_close(f);
    return st;
}

void ser_run_folder_close(ser_run_folder *f)
{
    if (f->history)
        fclose(f->history);
    char *lock = f->path ? ser_io_join(f->path, LOCK) : NULL;
    ser_lock_release(&f->lock, lock);
    ser_free(lock);
    ser_run_record_release(&f->record);
    json_decref(f->config);
    ser_free(f->path);
    *f = (ser_run_folder){.lock = {-1}};
}

/* ---- contents ---- */

static json_t *number_or_null(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

/* Takes the line. */
static void write_history(ser_run_folder *f, json_t *line)
{
    char *text = line ? json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    if (text && (f->history || (f->history = open_history(f)))) {
        fprintf(f->history, "%s\n", text);
        fflush(f->history);
    }
    free(text);
    json_decref(line);
}

void ser_run_folder_tell(ser_run_folder *f, const char *part, size_t network, const ser_timnet_epoch *e)
{
    json_t *line =
        json_pack("{s:s, s:I, s:I, s:o, s:o, s:o, s:o, s:f, s:f}", "part", part, "network",
                  (json_int_t)network, "epoch", (json_int_t)e->epoch, "train_loss",
                  number_or_null(e->train_loss), "train_accuracy", number_or_null(e->train_accuracy),
                  "validation_loss", number_or_null(e->validation_loss), "validation_accuracy",
                  number_or_null(e->validation_accuracy), "rate", e->rate, "seconds", e->seconds);
    if (line && e->entropy > 0) {
        json_object_set_new(line, "lmmd", json_real(e->lmmd));
        json_object_set_new(line, "entropy", json_real(e->entropy));
        json_object_set_new(line, "balance", json_real(e->balance));
    }
    write_history(f, line);
}

void ser_run_folder_tell_adapt(ser_run_folder *f, const char *part, const ser_adapt_epoch *e)
{
    write_history(f, json_pack("{s:s, s:I, s:f, s:f, s:f, s:f, s:f, s:f}", "part", part, "epoch",
                               (json_int_t)e->epoch, "train_loss", e->source_loss, "train_accuracy",
                               e->source_accuracy, "lmmd", e->lmmd, "entropy", e->entropy, "balance",
                               e->balance, "rate", e->rate));
}

/* One picture in both formats. */
static ser_status save_both(const char *folder, const char *name,
                            ser_status (*save)(const char *path, const void *picture, ser_error *err),
                            const void *picture, ser_error *err)
{
    static const char *const endings[] = {"png", "svg"};
    ser_status st = SER_OK;
    for (size_t i = 0; i < 2 && st == SER_OK; i++) {
        ser_text path = {0};
        ser_text_appendf(&path, "%s/%s.%s", folder, name, endings[i]);
        st = path.failed ? ser_fail_nomem(err) : save(path.s, picture, err);
        ser_text_release(&path);
    }
    return st;
}

static ser_status save_confusion(const char *path, const void *picture, ser_error *err)
{
    return ser_save_confusion(path, picture, err);
}

static ser_status save_curves(const char *path, const void *picture, ser_error *err)
{
    return ser_save_curves(path, picture, err);
}

ser_status ser_run_save_confusion(const char *folder, const char *name, const ser_confusion_picture *p,
                                  ser_error *err)
{
    return save_both(folder, name, save_confusion, p, err);
}

static ser_status save_losses(const char *path, const void *picture, ser_error *err)
{
    return ser_save_losses(path, picture, err);
}

ser_status ser_run_save_losses(const char *folder, const char *name, const ser_losses_picture *p,
                               ser_error *err)
{
    return save_both(folder, name, save_losses, p, err);
}

static ser_status save_map(const char *path, const void *picture, ser_error *err)
{
    return ser_save_map(path, picture, err);
}

ser_status ser_run_save_map(const char *folder, const char *name, const ser_map_picture *p, ser_error *err)
{
    return save_both(folder, name, save_map, p, err);
}

static void append_subtitle(ser_text *t, const ser_run_report *r)
{
    const ser_figures *f = r->figures;
    if (r->cross)
        ser_text_appendf(t, "%s to %s", r->cross->source, r->cross->target);
    else
        ser_text_appendf(t, "%s, %s", r->corpus, r->protocol);
    if (f->n)
        ser_text_appendf(t, ": UA %.1f %%, WA %.1f %%%s", f->ua, f->wa, r->cross ? " (shared emotions)" : "");
    if (r->cross)
        ser_text_append(t, "; framed: counts as right");
}

static ser_status save_pictures(const char *folder, const ser_run_report *r, ser_error *err)
{
    const ser_matrix matrix = ser_run_matrix(r);
    ser_text subtitle = {0};
    append_subtitle(&subtitle, r);
    const ser_confusion_picture confusion = {
        .title = "Confusion matrix", .subtitle = subtitle.s, .matrix = &matrix};
    ser_status st = subtitle.failed ? ser_fail_nomem(err) : SER_OK;
    if (st == SER_OK && matrix.n_truths)
        st = ser_run_save_confusion(folder, "confusion", &confusion, err);
    ser_text_release(&subtitle);
    bool has_epochs = false;
    for (size_t i = 0; i < r->n_folds; i++)
        has_epochs = has_epochs || r->folds[i].n_epochs;
    ser_curves_picture curves = {.title = "Loss", .folds = r->folds, .n_folds = r->n_folds};
    if (st == SER_OK && has_epochs)
        st = save_both(folder, "loss", save_curves, &curves, err);
    curves.title = "Accuracy";
    curves.what = SER_CURVE_ACCURACY;
    if (st == SER_OK && has_epochs)
        st = save_both(folder, "accuracy", save_curves, &curves, err);
    return st;
}

ser_status ser_run_save(const ser_run_folder *f, const ser_run_report *r, const json_t *report,
                        const char *json_path, ser_error *err)
{
    char *sheet = ser_io_join(f->path, "metrics.xlsx"), *page = ser_io_join(f->path, "report.html");
    ser_status st = sheet && page ? save_pictures(f->path, r, err) : ser_fail_nomem(err);
    if (st == SER_OK)
        st = ser_spreadsheet_save(sheet, r, err);
    if (st == SER_OK)
        st = ser_run_page_save(page, r, err);
    if (st == SER_OK)
        st = ser_run_save_json(f->path, "report.json", report, err);
    if (st == SER_OK && json_path)
        st = ser_run_save_json("", json_path, report, err);
    ser_free(sheet);
    ser_free(page);
    return st;
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

ser_status ser_run_folder_begin(ser_run_folder *f, const ser_folds *folds, const char *const *names,
                                size_t n_networks, ser_error *err)
{
    ser_status st = ser_run_record_open(&f->record, f->path, err);
    for (size_t i = 0; folds && i < folds->n_folds && st == SER_OK; i++) {
        char *state = ser_fold_path(f->path, folds->names[i], "/state");
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
    ser_run_record_clear(&f->record, f->path);
}

enum { MAX_OPTIONS = 128 };

/* Forgets the list that an option filled, where it did. */
static void forget_lists(const ser_command *command, const bool *filled)
{
    for (size_t i = 0; i < MAX_OPTIONS && command->options[i].kind != SER_OPTION_END; i++)
        if (filled[i])
            ser_option_list_release(command->options[i].value);
}

bool ser_run_options_start(const ser_command *command, int argc, char **argv, const char **resume_path,
                           json_t **config, ser_option_list *rest, int *status)
{
    ser_error err = {0};
    bool filled[MAX_OPTIONS] = {false};
    *config = NULL;
    if (!ser_options_start(command, argc, argv, rest, status))
        return false;
    if (!*resume_path)
        return true;
    for (size_t i = 0; i < MAX_OPTIONS && command->options[i].kind != SER_OPTION_END; i++)
        filled[i] = command->options[i].kind == SER_OPTION_LIST &&
                    ((ser_option_list *)command->options[i].value)->n > 0;
    ser_status st = read_config(config, *resume_path, &err);
    if (st == SER_OK)
        st = ser_settings_from_json(command, *config, &err);
    if (st != SER_OK) {
        ser_say("%s", err.text);
        *status = ser_exit_status(st);
        return false;
    }
    ser_option_list_release(rest); /* once more: what is given besides is compared with the run's */
    forget_lists(command, filled);
    return ser_options_start(command, argc, argv, rest, status);
}
