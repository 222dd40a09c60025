#include "base/memory.h"
#include "base/spelling.h"
#include "io/json.h"
#include "run/settings.h"

#include <limits.h>
#include <string.h>

static json_t *list_json(const char *const *items, size_t n)
{
    if (n == 1) /* one as it is, which is what there mostly is */
        return json_string(items[0]);
    json_t *array = json_array();
    for (size_t i = 0; i < n; i++)
        ser_json_add(&array, json_string(items[i]));
    return array;
}

static json_t *value_json(const ser_field *f, const void *settings)
{
    const void *at = ser_field_at(f, settings);
    if (!ser_field_is_given(f, settings))
        return json_null();
    switch (f->kind) {
    case SER_FIELD_FLAG:
        return json_boolean(*(const int *)at);
    case SER_FIELD_INT:
    case SER_FIELD_LONG:
        return json_integer((json_int_t)ser_field_number(f, settings));
    case SER_FIELD_DOUBLE:
        return json_real(ser_field_number(f, settings));
    case SER_FIELD_LIST:
        return list_json(*(const char *const *const *)at, ((const size_t *)at)[1]);
    default: {
        ser_text t = {0};
        ser_field_append(&t, f, settings);
        json_t *value = t.failed ? NULL : json_string(t.s ? t.s : "");
        ser_text_release(&t);
        return value;
    }
    }
}

json_t *ser_run_settings_to_json(const ser_run_job *job, const void *settings)
{
    json_t *object = json_object();
    for (const ser_field *f = job->fields; f->kind != SER_FIELD_END; f++)
        if (json_object_set_new(object, f->name, value_json(f, settings)) != 0) {
            json_decref(object);
            return NULL;
        }
    return object;
}

static ser_status fail_type(const ser_field *f, ser_error *err)
{
    const char *wanted = f->kind == SER_FIELD_FLAG                               ? "true or false"
                         : f->kind == SER_FIELD_DOUBLE                           ? "a number"
                         : f->kind == SER_FIELD_INT || f->kind == SER_FIELD_LONG ? "a whole number"
                         : f->kind == SER_FIELD_COUNT ? "a whole number, or \"none\""
                         : f->kind == SER_FIELD_LIST  ? "text, or a list of texts"
                                                      : "text";
    return ser_fail(err, SER_E_FORMAT, "%s: its value is of a wrong type: give %s", f->name, wanted);
}

static ser_status set_list(const ser_field *f, void *settings, const json_t *value, ser_run_listed *room,
                           ser_error *err)
{
    size_t n = json_is_array(value) ? json_array_size(value) : 1;
    if (n > SER_RUN_MAX_LISTED)
        return ser_fail(err, SER_E_FORMAT, "%s: %zu are named, up to %d are possible", f->name, n,
                        SER_RUN_MAX_LISTED);
    for (size_t i = 0; i < n; i++)
        if (!(room->items[i] = json_string_value(json_is_array(value) ? json_array_get(value, i) : value)))
            return fail_type(f, err);
    void *at = ser_field_at(f, settings);
    *(const char *const **)at = room->items;
    ((size_t *)at)[1] = n;
    return SER_OK;
}

static bool takes_whole(const ser_field *f)
{
    return f->kind == SER_FIELD_INT || f->kind == SER_FIELD_LONG || f->kind == SER_FIELD_COUNT;
}

static ser_status set_value(const ser_field *f, void *settings, const json_t *value, ser_run_listed *room,
                            ser_error *err)
{
    bool is_text = f->kind == SER_FIELD_TEXT || f->kind == SER_FIELD_WORD || f->kind == SER_FIELD_COUNT;
    if (json_is_null(value))
        return SER_OK;
    if (f->kind == SER_FIELD_LIST)
        return set_list(f, settings, value, room, err);
    if (f->kind == SER_FIELD_FLAG && json_is_boolean(value))
        *(int *)ser_field_at(f, settings) = json_is_true(value);
    else if (is_text && json_is_string(value))
        return ser_field_set_text(f, settings, json_string_value(value), f->name, err);
    else if (f->kind == SER_FIELD_DOUBLE ? json_is_number(value) : takes_whole(f) && json_is_integer(value))
        return ser_field_set_number(f, settings, json_number_value(value), f->name, err);
    else
        return fail_type(f, err);
    return SER_OK;
}

/* Here nobody typed it. */
static ser_status as_format(ser_status st, ser_error *err)
{
    if (st == SER_E_ARG && err)
        err->status = SER_E_FORMAT;
    return st == SER_E_ARG ? SER_E_FORMAT : st;
}

ser_status ser_run_settings_from_json(const ser_run_job *job, void *settings, const json_t *object,
                                      ser_run_listed *room, const char **unknown, ser_error *err)
{
    const char *key;
    json_t *value;
    ser_status st = SER_OK;
    if (unknown)
        *unknown = NULL;
    json_object_foreach((json_t *)object, key, value)
    {
        const ser_field *f = ser_field_find(job->fields, key);
        if (!f && unknown)
            f = ser_field_find(job->places, key);
        if (!f && unknown && !*unknown)
            *unknown = key;
        if (f && (st = as_format(set_value(f, settings, value, room, err), err)) != SER_OK)
            break;
    }
    return st;
}

static const char *nearest(const ser_field *fields, const char *name, unsigned *best_distance)
{
    const char *best = NULL;
    unsigned distance;
    for (const ser_field *f = fields; f->kind != SER_FIELD_END; f++)
        if (ser_spelling_near(name, f->name, &distance) && distance < *best_distance) {
            best = f->name;
            *best_distance = distance;
        }
    return best;
}

static ser_status fail_unknown(const ser_run_job *job, const char *name, ser_error *err)
{
    unsigned distance = UINT_MAX;
    const char *best = nearest(job->fields, name, &distance), *nearer = nearest(job->places, name, &distance);
    if (nearer)
        best = nearer;
    return ser_fail(err, SER_E_ARG, "%s: there is no such setting%s%s%s", name, best ? ": did you mean " : "",
                    best ? best : "", best ? "?" : "");
}

ser_status ser_run_json(ser_run_result **out, const char *name, const char *text,
                        const ser_run_listener *listener, ser_error *err)
{
    const ser_run_job *job = ser_run_job_find(name);
    const char *unknown = NULL;
    ser_run_listed room;
    json_error_t at;
    *out = NULL;
    if (!job)
        return ser_fail(err, SER_E_ARG, "%s: there is no such job", name);
    json_t *object;
    ser_status loaded = ser_json_load(&object, text, strlen(text), 0, &at);
    void *settings = ser_alloc(1, job->size);
    ser_status st = settings && loaded != SER_E_NOMEM ? SER_OK : ser_fail_nomem(err);
    if (st == SER_OK && !json_is_object(object))
        st = ser_fail(err, SER_E_ARG, "the settings are no JSON object%s%s", object ? "" : ": ",
                      object ? "" : at.text);
    if (st == SER_OK) {
        job->init(settings, job->size);
        st = ser_run_settings_from_json(job, settings, object, &room, &unknown, err);
        if (st == SER_E_FORMAT)
            st = err ? (err->status = SER_E_ARG) : SER_E_ARG;
    }
    if (st == SER_OK && unknown)
        st = fail_unknown(job, unknown, err);
    if (st == SER_OK)
        st = job->run(out, settings, listener, err);
    ser_free(settings);
    json_decref(object);
    return st;
}
