#include "io/checkpoint.h"
#include "base/memory.h"
#include "io/foreign.h"
#include "io/json.h"
#include "io/tensors.h"
#include "io/torch.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_INDEX = 16 << 20, MAX_SHARDS = 1000 };

const char *const ser_checkpoint_forms[SER_CHECKPOINT_N_FORMS] = {
    "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"};

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), n_end = strlen(end);
    return n >= n_end && strcmp(s + n - n_end, end) == 0;
}

/* SER_E_ARG: it is not there. */
static ser_status look_for(const char *folder, const char *name, ser_error *err)
{
    char *path = ser_io_join(folder, name);
    if (!path)
        return ser_fail_nomem(err);
    bool is_there = access(path, F_OK) == 0;
    ser_free(path);
    return is_there ? SER_OK : SER_E_ARG;
}

/* The first of the usual files that is there; else an error. */
static ser_status choose_file(const char **name, const char *folder, ser_error *err)
{
    for (size_t i = 0; i < SER_CHECKPOINT_N_FORMS; i++) {
        *name = ser_checkpoint_forms[i];
        ser_status status = look_for(folder, *name, err);
        if (status != SER_E_ARG)
            return status;
    }
    ser_status st = ser_foreign_check_folder(folder, err);
    return st == SER_OK
               ? ser_fail(err, SER_E_IO,
                          "%s: there are no weights in this folder, under this or another usual name: "
                          "fetch them from where its config.json comes",
                          ser_checkpoint_forms[0])
               : st;
}

static ser_status open_file(ser_safetensors **out, const char *folder, const char *name, ser_error *err)
{
    *out = NULL;
    char *path = ser_io_join(folder, name);
    if (!path)
        return ser_fail_nomem(err);
    ser_status status =
        ends_with(name, ".bin") ? ser_torch_open(out, path, err) : ser_safetensors_open(out, path, err);
    ser_free(path);
    return status == SER_OK ? SER_OK : ser_fail_within(err, status, "%s: ", name);
}

/* ---- an index and its shards ---- */

static ser_status read_index(json_t **index, const char *folder, const char *name, ser_error *err)
{
    *index = NULL;
    ser_bytes bytes = {0};
    char *path = ser_io_join(folder, name);
    ser_status status = path ? ser_io_read(&bytes, path, MAX_INDEX, err) : ser_fail_nomem(err);
    if (status == SER_OK) {
        json_error_t why;
        if (ser_json_load(index, (const char *)bytes.data, bytes.n, JSON_REJECT_DUPLICATES, &why) ==
            SER_E_NOMEM)
            status = ser_fail_nomem(err);
        else if (!json_is_object(json_object_get(*index, "weight_map")))
            status = ser_fail(err, SER_E_FORMAT, "it has no 'weight_map': fetch it again");
    }
    if (status != SER_OK)
        ser_fail_within(err, status, "%s: ", name);
    ser_bytes_release(&bytes);
    ser_free(path);
    return status;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* A file beside the index and nowhere else. */
static bool is_plain_name(const char *name)
{
    return name && *name && *name != '.' && !strchr(name, '/') &&
           (ends_with(name, ".safetensors") || ends_with(name, ".bin"));
}

/* The different files of the map, sorted. */
static ser_status list_shards(char ***names, size_t *n_names, json_t *map, ser_error *err)
{
    const char *key;
    json_t *value;
    size_t capacity = 0, n = 0;
    char **found = NULL;
    ser_status status = SER_OK;
    json_object_foreach(map, key, value)
    {
        const char *name = json_string_value(value);
        size_t i = 0;
        if (!is_plain_name(name)) {
            status = ser_fail(err, SER_E_FORMAT,
                              "tensor '%.80s' is said to lie in no file beside it: fetch it again", key);
            break;
        }
        while (i < n && strcmp(found[i], name) != 0)
            i++;
        if (i < n)
            continue;
        if (n == MAX_SHARDS)
            status = ser_fail(err, SER_E_UNSUPPORTED, "more than %d files: join them", (int)MAX_SHARDS);
        else if (!ser_grow(&found, &capacity, n + 1, sizeof *found) || !(found[n] = ser_strdup(name)))
            status = ser_fail_nomem(err);
        if (status != SER_OK)
            break;
        n++;
    }
    if (status != SER_OK) {
        ser_io_free_list(found, n);
        return status;
    }
    if (n)
        qsort(found, n, sizeof *found, compare_texts);
    *names = found;
    *n_names = n;
    return SER_OK;
}

/* One table of the tensors in the map, each from the file that the map names. */
static ser_status join_shards(ser_safetensors *f, json_t *map, char **names, ser_error *err)
{
    const char *key;
    json_t *value;
    f->tensors = ser_alloc(json_object_size(map), sizeof *f->tensors);
    if (!f->tensors)
        return ser_fail_nomem(err);
    json_object_foreach(map, key, value)
    {
        const char *name = json_string_value(value);
        char **shard = bsearch(&name, names, f->n_parts, sizeof *names, compare_texts);
        const ser_tensor *t = shard ? ser_safetensors_find(f->parts[shard - names], key) : NULL;
        if (!t)
            return ser_fail(err, SER_E_FORMAT,
                            "tensor '%.80s' is not in %s, where the index has it: fetch both again", key,
                            name);
        f->tensors[f->n++] = *t; /* its name is the shard's */
    }
    return ser_tensors_sort(f, err);
}

static ser_status open_shards(ser_safetensors **out, const char *folder, const char *index_name,
                              ser_error *err)
{
    json_t *index = NULL;
    char **names = NULL;
    size_t n_names = 0;
    ser_safetensors *f = ser_alloc(1, sizeof *f);
    ser_status status = f ? read_index(&index, folder, index_name, err) : ser_fail_nomem(err);
    json_t *map = json_object_get(index, "weight_map");
    if (status == SER_OK && (status = list_shards(&names, &n_names, map, err)) != SER_OK)
        ser_fail_within(err, status, "%s: ", index_name);
    if (status == SER_OK && !(f->parts = ser_alloc(n_names, sizeof(ser_safetensors *))))
        status = ser_fail_nomem(err);
    for (size_t i = 0; i < n_names && status == SER_OK; i++)
        if ((status = open_file(&f->parts[i], folder, names[i], err)) == SER_OK)
            f->n_parts++;
    if (status == SER_OK && (status = join_shards(f, map, names, err)) != SER_OK)
        ser_fail_within(err, status, "%s: ", index_name);
    json_decref(index);
    ser_io_free_list(names, n_names);
    if (status == SER_OK)
        *out = f;
    else
        ser_safetensors_close(&f);
    return status;
}

ser_status ser_checkpoint_open(ser_safetensors **out, const char **file, const char *folder, ser_error *err)
{
    *out = NULL;
    const char *name;
    ser_status status = choose_file(&name, folder, err);
    *file = name;
    if (status != SER_OK)
        return status;
    return ends_with(name, ".index.json") ? open_shards(out, folder, name, err)
                                          : open_file(out, folder, name, err);
}

ser_status ser_checkpoint_files(char ***names, size_t *n_names, const char *folder, ser_error *err)
{
    const char *name;
    json_t *index = NULL;
    *names = NULL;
    *n_names = 0;
    ser_status status = choose_file(&name, folder, err);
    if (status == SER_OK && ends_with(name, ".index.json")) {
        status = read_index(&index, folder, name, err);
        if (status == SER_OK)
            status = list_shards(names, n_names, json_object_get(index, "weight_map"), err);
        json_decref(index);
        return status;
    }
    if (status == SER_OK && (!(*names = ser_alloc(1, sizeof **names)) || !(**names = ser_strdup(name))))
        status = ser_fail_nomem(err);
    if (status == SER_OK) {
        *n_names = 1;
    } else {
        ser_free(*names);
        *names = NULL;
    }
    return status;
}
