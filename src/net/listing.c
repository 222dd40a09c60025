#include "net/listing.h"
#include "base/memory.h"
#include "io/json.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_FILES = 10000, MAX_NAME = 200 };

static ser_status fail_answer(ser_error *err, const char *what)
{
    return ser_fail(err, SER_E_FORMAT, "the server's answer %s: is it the right --endpoint?", what);
}

static ser_status load(json_t **out, const void *json, size_t n, ser_error *err)
{
    ser_status st = ser_json_load(out, json, n, JSON_REJECT_DUPLICATES, NULL);
    if (st == SER_E_NOMEM)
        return ser_fail_nomem(err);
    return st == SER_OK ? st : fail_answer(err, "is not JSON");
}

static bool read_size(uint64_t *size, const json_t *value)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return false;
    *size = (uint64_t)json_integer_value(value);
    return true;
}

/* ---- models ---- */

/* A name that can only lie in its own folder, and mean nothing special in an address. */
static bool is_plain(const char *name)
{
    size_t n = strlen(name);
    return n && n < MAX_NAME && name[0] != '.' && name[0] != '-' &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == n;
}

/* Large files have their SHA-256 in "lfs", where "blobId" names only a pointer to them. */
static ser_status read_file(ser_listed *f, const json_t *item, ser_error *err)
{
    const json_t *lfs = json_object_get(item, "lfs"), *size = json_object_get(item, "size");
    if (json_is_object(lfs))
        ser_hash_set(&f->hash, SER_HASH_SHA256, json_string_value(json_object_get(lfs, "sha256")));
    else
        ser_hash_set(&f->hash, SER_HASH_GIT, json_string_value(json_object_get(item, "blobId")));
    if (!size && json_is_object(lfs))
        size = json_object_get(lfs, "size");
    if (!read_size(&f->size, size) || f->hash.kind == SER_HASH_NONE)
        f->hash = (ser_hash){0}; /* not enough to be checked: not to be fetched */
    f->name = ser_strdup(json_string_value(json_object_get(item, "rfilename")));
    return f->name ? SER_OK : ser_fail_nomem(err);
}

static int compare_listed(const void *a, const void *b)
{
    return strcmp(((const ser_listed *)a)->name, ((const ser_listed *)b)->name);
}

static ser_status read_files(ser_listing *out, const json_t *siblings, ser_error *err)
{
    ser_status st = SER_OK;
    size_t n = json_array_size(siblings);
    if (n > MAX_FILES)
        return fail_answer(err, "lists more files than a model has");
    out->files = ser_alloc(n, sizeof *out->files);
    if (!out->files)
        return ser_fail_nomem(err);
    for (size_t i = 0; i < n && st == SER_OK; i++) {
        const json_t *item = json_array_get(siblings, i);
        const char *name = json_string_value(json_object_get(item, "rfilename"));
        if (name && is_plain(name))
            st = read_file(&out->files[out->n++], item, err);
    }
    if (st != SER_OK)
        return st;
    qsort(out->files, out->n, sizeof *out->files, compare_listed);
    for (size_t i = 1; i < out->n; i++)
        if (strcmp(out->files[i - 1].name, out->files[i].name) == 0)
            return fail_answer(err, "lists a file twice");
    return SER_OK;
}

ser_status ser_listing_parse(ser_listing *out, const void *json, size_t n, ser_error *err)
{
    json_t *root = NULL;
    ser_hash commit;
    *out = (ser_listing){0};
    ser_status st = load(&root, json, n, err);
    if (st != SER_OK)
        return st;
    const json_t *siblings = json_object_get(root, "siblings");
    if (!ser_hash_set(&commit, SER_HASH_GIT, json_string_value(json_object_get(root, "sha"))))
        st = fail_answer(err, "names no commit");
    else if (!json_is_array(siblings))
        st = fail_answer(err, "lists no files");
    else
        st = read_files(out, siblings, err);
    if (st == SER_OK)
        memcpy(out->commit, commit.hex, sizeof out->commit);
    json_decref(root);
    return st;
}

void ser_listing_release(ser_listing *l)
{
    for (size_t i = 0; i < l->n; i++)
        ser_free(l->files[i].name);
    ser_free(l->files);
    *l = (ser_listing){0};
}

const ser_listed *ser_listing_find(const ser_listing *l, const char *name)
{
    for (size_t i = 0; i < l->n; i++)
        if (strcmp(l->files[i].name, name) == 0)
            return &l->files[i];
    return NULL;
}

/* ---- records ---- */

ser_status ser_record_parse(ser_listed *out, const char *key, const void *json, size_t n, ser_error *err)
{
    json_t *root = NULL;
    const json_t *item;
    size_t i;
    *out = (ser_listed){0};
    ser_status st = load(&root, json, n, err);
    if (st != SER_OK)
        return st;
    st = fail_answer(err, "does not list the corpus");
    json_array_foreach(json_object_get(root, "files"), i, item)
    {
        const char *name = json_string_value(json_object_get(item, "key"));
        const char *checksum = json_string_value(json_object_get(item, "checksum"));
        if (!name || strcmp(name, key) != 0)
            continue;
        st = read_size(&out->size, json_object_get(item, "size")) && checksum &&
                     strncmp(checksum, "md5:", 4) == 0 && ser_hash_set(&out->hash, SER_HASH_MD5, checksum + 4)
                 ? SER_OK
                 : fail_answer(err, "states no size and MD5 of the corpus");
        break;
    }
    json_decref(root);
    return st;
}
