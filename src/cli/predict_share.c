#include "cli/predict_share.h"
#include "base/memory.h"
#include "io/file.h"
#include "io/json.h"
#include "model/builtin.h"
#include "report/escape.h"

#include <string.h>

ser_status ser_predict_share_open(ser_predict_share *out, const ser_shard *shard, ser_inputs *inputs,
                                  ser_error *err)
{
    size_t n = 0;
    *out = (ser_predict_share){.positions = ser_alloc(inputs->n, sizeof *out->positions)};
    ser_status st = out->positions ? ser_part_open(&out->part, "predict", shard, err) : ser_fail_nomem(err);
    for (size_t i = 0; i < inputs->n && st == SER_OK; i++) {
        ser_input *item = &inputs->items[i];
        if (ser_part_deal(&out->part, item->name, item->name + item->relative)) {
            out->positions[n] = i;
            inputs->items[n++] = *item;
        } else {
            ser_free(item->path);
            ser_free(item->name);
        }
    }
    if (st == SER_OK)
        inputs->n = n;
    return st;
}

/* ---- options ---- */

static ser_status add_file(ser_sha256 *h, const char *path, ser_error *err)
{
    ser_bytes bytes = {0};
    ser_status st = ser_io_map(&bytes, path, 0, err);
    if (st == SER_OK)
        ser_sha256_add(h, bytes.data, bytes.n);
    else
        ser_fail_within(err, st, "%s: ", path);
    ser_bytes_release(&bytes);
    return st;
}

static ser_status hash_model(char hex[65], const char *path, ser_error *err)
{
    ser_sha256 h;
    size_t n = 0;
    const void *bytes = path ? NULL : ser_builtin_model(&n);
    ser_status st = SER_OK;
    ser_sha256_init(&h);
    if (path)
        st = add_file(&h, path, err);
    else if (bytes)
        ser_sha256_add(&h, bytes, n);
    ser_sha256_finish(&h, hex);
    return st;
}

static ser_status hash_voice(char hex[65], const ser_inputs *voice, ser_error *err)
{
    ser_sha256 h;
    ser_status st = SER_OK;
    ser_sha256_init(&h);
    for (size_t i = 0; i < voice->n && st == SER_OK; i++)
        st = add_file(&h, voice->items[i].path, err);
    ser_sha256_finish(&h, hex);
    return st;
}

/* Where things lie, how fast and how loud it goes: what changes no answer, or stands in it by its content. */
static bool is_place(const char *name)
{
    static const char *const names[] = {"model", "output", "picture", "shard",  "baseline",
                                        "jobs",  "quiet",  "verbose", "encoder"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

/* A folder to adapt to is hashed, and whether there is one is an option. NULL: no memory, or no kind of
 * option that predict has. */
static json_t *value_json(const ser_option *o)
{
    switch (o->kind) {
    case SER_OPTION_FLAG:
        return json_boolean(*(const bool *)o->value);
    case SER_OPTION_INT:
        return json_integer(*(const long *)o->value);
    case SER_OPTION_DOUBLE:
        return json_real(*(const double *)o->value);
    case SER_OPTION_STRING:
    case SER_OPTION_CHOICE: {
        const char *text = *(const char *const *)o->value;
        return !text ? json_null() : json_string(strcmp(o->name, "adapt") == 0 ? "given" : text);
    }
    default:
        return NULL;
    }
}

static ser_status set_options(json_t *to, const ser_option *options, ser_error *err)
{
    for (const ser_option *o = options; o->kind != SER_OPTION_END; o++)
        if (o->name && !is_place(o->name) && json_object_set_new(to, o->name, value_json(o)) != 0)
            return ser_fail_nomem(err);
    return SER_OK;
}

ser_status ser_predict_share_describe(ser_predict_share *s, const char *model_path,
                                      const ser_prediction_form *form, const ser_option *options,
                                      const ser_inputs *voice, ser_error *err)
{
    char model[65], voices[65];
    json_t *labels = json_array(), *to = s->part.options;
    ser_status st = hash_model(model, model_path, err);
    if (st == SER_OK)
        st = hash_voice(voices, voice, err);
    if (st == SER_OK)
        st = set_options(to, options, err);
    bool ok = st != SER_OK || (json_object_set_new(to, "model_sha256", json_string(model)) == 0 &&
                               json_object_set_new(to, "voice_sha256", json_string(voices)) == 0);
    for (size_t k = 0; k < form->n_labels && ok; k++)
        ok = json_array_append_new(labels, ser_text_json(form->labels[k])) == 0;
    return json_object_set_new(to, "labels", labels) == 0 && ok ? st : ser_fail_nomem(err);
}

ser_status ser_predict_identity(char hex[65], const ser_inputs *inputs, const char *model_path,
                                const ser_prediction_form *form, const ser_option *options,
                                const ser_inputs *voice, ser_error *err)
{
    ser_predict_share all = {0};
    ser_status st = ser_part_open(&all.part, "predict", &(ser_shard){0}, err);
    for (size_t i = 0; i < inputs->n && st == SER_OK; i++)
        ser_part_deal(&all.part, inputs->items[i].name, "");
    if (st == SER_OK)
        st = ser_predict_share_describe(&all, model_path, form, options, voice, err);
    if (st == SER_OK)
        st = ser_part_identity(&all.part, hex, err);
    ser_predict_share_close(&all);
    return st;
}

/* ---- recordings ---- */

static size_t bytes_in(FILE *out)
{
    off_t at = ftello(out);
    return at < 0 ? 0 : (size_t)at;
}

void ser_predict_share_begin(ser_predict_share *s, FILE *out)
{
    s->header_bytes = s->noted_bytes = bytes_in(out);
}

void ser_predict_share_note(ser_predict_share *s, size_t i, const char *name, const char *failure, FILE *out)
{
    ser_error err;
    size_t end = bytes_in(out);
    json_t *more = json_pack("{s:I}", "bytes", (json_int_t)(end - s->noted_bytes));
    s->noted_bytes = end;
    if (s->noted == SER_OK)
        s->noted = more ? ser_part_note(&s->part, s->positions[i], name, failure, more, &err) : SER_E_NOMEM;
    else
        json_decref(more);
}

static json_t *counts_json(const ser_prediction_counts *c, size_t n_labels)
{
    json_t *list = json_pack("[I, I, I, I]", (json_int_t)c->n, (json_int_t)c->n_uncertain,
                             (json_int_t)c->n_without, (json_int_t)c->n_failed);
    for (size_t k = 0; k < n_labels && list; k++)
        ser_json_add(&list, json_integer((json_int_t)c->n_of[k]));
    return list;
}

ser_status ser_predict_share_write(ser_predict_share *s, const ser_prediction_counts *counts, FILE *file,
                                   const char *file_path, const char *output, ser_error *err)
{
    char hex[65];
    ser_sha256 h;
    size_t n_labels = json_array_size(json_object_get(s->part.options, "labels"));
    if (s->noted != SER_OK)
        return ser_fail_nomem(err);
    if (fflush(file) != 0)
        return ser_fail(err, SER_E_IO, "%s: it cannot be written: free some space or choose another path",
                        output);
    ser_sha256_init(&h);
    ser_status st = add_file(&h, file_path, err);
    ser_sha256_finish(&h, hex);
    char *path = ser_manifest_path(output, false);
    json_t *root = s->part.root;
    if (st == SER_OK &&
        (!path || json_object_set_new(root, "header_bytes", json_integer((json_int_t)s->header_bytes)) != 0 ||
         json_object_set_new(root, "output_sha256", json_string(hex)) != 0 ||
         json_object_set_new(root, "counts", counts_json(counts, n_labels)) != 0))
        st = ser_fail_nomem(err);
    if (st == SER_OK)
        st = ser_part_write(&s->part, path, err);
    ser_free(path);
    return st;
}

void ser_predict_share_close(ser_predict_share *s)
{
    ser_part_close(&s->part);
    ser_free(s->positions);
    *s = (ser_predict_share){0};
}
