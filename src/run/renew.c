#include "run/renew.h"
#include "base/memory.h"
#include "io/file.h"
#include "model/model_file.h"
#include "report/escape.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void ser_run_tell_unlike(json_t **origin, const ser_unlike *u)
{
    ser_json_set(origin, "reach", ser_number_json((double)u->reach));
    ser_json_set(origin, "temperature_per_reach", ser_number_json((double)ser_unlike_factor(2) - 1));
}

/* The same of what was told before: each part gets its distances. */
static ser_status tell_again(json_t **origin, const ser_run_tuning *measured, ser_error *err)
{
    json_t *parts = json_object_get(*origin, "parts_left_out");
    bool ok = json_array_size(parts) == json_array_size(measured->figures);
    for (size_t i = 0; i < json_array_size(parts) && ok; i++)
        ok = json_is_object(json_array_get(parts, i));
    if (!ok)
        return ser_fail(err, SER_E_FORMAT, "report.json is not of this run");
    for (size_t i = 0; i < json_array_size(parts); i++)
        if (json_object_update(json_array_get(parts, i), json_array_get(measured->figures, i)) != 0)
            return ser_fail_nomem(err);
    ser_run_tell_unlike(origin, &measured->unlike);
    return *origin ? SER_OK : ser_fail_nomem(err);
}

static ser_status renew_origin(ser_model_data *m, const ser_run_tuning *measured, ser_error *err)
{
    json_t *origin = NULL;
    const char *text = m->provenance ? m->provenance : "{}";
    ser_status st = ser_json_load(&origin, text, strlen(text), 0, NULL);
    if (st != SER_OK)
        return ser_fail(err, st, "its provenance cannot be read");
    st = tell_again(&origin, measured, err);
    char *now = st == SER_OK ? ser_json_dump(origin, JSON_COMPACT) : NULL;
    json_decref(origin);
    if (st != SER_OK)
        return st;
    ser_free(m->provenance);
    m->provenance = now ? ser_strdup(now) : NULL;
    free(now);
    return m->provenance ? SER_OK : ser_fail_nomem(err);
}

/* The encoders' tensors go over as they lie in the file. */
static ser_status write_model(const ser_model_data *m, const ser_safetensors *file, const char *path,
                              ser_error *err)
{
    size_t n = 0;
    ser_tensor *carried = ser_alloc(ser_safetensors_n(file), sizeof *carried);
    if (!carried)
        return ser_fail_nomem(err);
    for (size_t i = 0; i < ser_safetensors_n(file); i++)
        if (strncmp(ser_safetensors_at(file, i)->name, "encoder", strlen("encoder")) == 0)
            carried[n++] = *ser_safetensors_at(file, i);
    ser_status st = ser_model_data_write(m, path, carried, n, err);
    ser_free(carried);
    return st;
}

static ser_status renew_report(const char *folder, const ser_run_tuning *measured, ser_error *err)
{
    enum { MOST_BYTES = 1 << 28 };
    json_t *report = NULL;
    char *path = ser_io_join(folder, "report.json");
    ser_status st = path ? ser_json_read(&report, path, MOST_BYTES, 0, err) : ser_fail_nomem(err);
    if (st == SER_OK)
        st = tell_again(&report, measured, err);
    if (st == SER_OK)
        st = ser_run_save_json(folder, "report.json", report, err);
    json_decref(report);
    ser_free(path);
    return st;
}

/* The model last: it says that all is done. */
static ser_status renew(ser_model_data *m, const ser_safetensors *file, const char *path,
                        const ser_run_train_settings *s, const ser_run_features *features,
                        const ser_run_host *host, const ser_run_folder *folder, ser_error *err)
{
    ser_run_tuning measured;
    bool kept;
    ser_status st = ser_run_tune_unlike(&measured, &kept, m->plain.n_in, s, features, host, folder, err);
    if (st != SER_OK || !kept) {
        ser_run_tuning_release(&measured);
        return st;
    }
    st = renew_report(folder->path, &measured, err);
    if (st == SER_OK)
        st = renew_origin(m, &measured, err);
    if (st == SER_OK) {
        m->unlike = measured.unlike; /* moves */
        measured.unlike = (ser_unlike){0};
        st = write_model(m, file, path, err);
    }
    ser_run_tuning_release(&measured);
    return st;
}

/* Whether some may be there, before anything is opened; which of them, the corpus says. */
static bool has_encoders(const char *folder)
{
    DIR *d = opendir(folder);
    bool found = !d && errno == ENOMEM; /* then what opens them says so */
    for (const struct dirent *e; d && !found && (e = readdir(d));)
        found = strncmp(e->d_name, "encoder-without-", strlen("encoder-without-")) == 0;
    if (d)
        closedir(d);
    return found;
}

ser_status ser_run_renew(const ser_run_train_settings *s, const ser_run_features *features,
                         const ser_run_host *host, const ser_run_folder *folder, ser_error *err)
{
    ser_model_data m = {0};
    ser_safetensors *file = NULL;
    if (!s->keep_encoders || !has_encoders(folder->path))
        return SER_OK;
    char *path = ser_io_join(folder->path, "model.safetensors");
    if (path && access(path, F_OK) != 0) { /* whoever took it away wants none */
        ser_free(path);
        return SER_OK;
    }
    ser_status st = path ? ser_safetensors_open(&file, path, err) : ser_fail_nomem(err);
    if (st == SER_OK)
        st = ser_model_data_read(&m, file, err);
    if (st == SER_OK && m.plain.n_in && !m.unlike.n_in)
        st = renew(&m, file, path, s, features, host, folder, err);
    ser_model_data_release(&m);
    ser_safetensors_close(&file);
    ser_free(path);
    return st;
}
