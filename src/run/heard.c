#include "run/heard.h"
#include "base/memory.h"
#include "io/file.h"
#include "report/escape.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char FILE_NAME[] = "learned-from.json";
enum { MAX_BYTES = 1 << 28, MAX_NAME = 1000 /* a folder's 255 bytes, each of them U+FFFD */ };

/* ---- recordings ---- */

ser_status ser_heard_add(ser_heard *h, const char *sha256, ser_error *err)
{
    if (!ser_grow(&h->hashes, &h->capacity, h->n + 1, sizeof *h->hashes))
        return ser_fail_nomem(err);
    snprintf(h->hashes[h->n++], sizeof *h->hashes, "%.*s", SER_HALF_HASH, sha256);
    return SER_OK;
}

static int compare_hashes(const void *a, const void *b)
{
    return strcmp(a, b);
}

void ser_heard_sort(ser_heard *h)
{
    if (h->n)
        qsort(h->hashes, h->n, sizeof *h->hashes, compare_hashes);
}

bool ser_heard_has(const ser_heard *h, const char *sha256)
{
    char half[SER_HALF_HASH + 1];
    snprintf(half, sizeof half, "%.*s", SER_HALF_HASH, sha256);
    return h->n && bsearch(half, h->hashes, h->n, sizeof *h->hashes, compare_hashes);
}

ser_status ser_heard_check(const ser_heard *h, const char *encoder, const char *corpus, const char *first,
                           size_t stride, size_t n, ser_error *err)
{
    size_t n_heard = 0;
    for (size_t i = 0; i < n; i++)
        n_heard += ser_heard_has(h, first + i * stride);
    return !n_heard
               ? SER_OK
               : ser_fail(
                     err, SER_E_ARG,
                     "the encoder %s learned from %zu of the %zu recordings of %s, which would be tested: "
                     "name one that did not, such as 'ser train --fine-tune --keep-encoders' keeps",
                     encoder, n_heard, n, corpus);
}

void ser_heard_release(ser_heard *h)
{
    ser_free(h->hashes);
    ser_text_release(&h->corpora);
    *h = (ser_heard){0};
}

/* ---- corpora ---- */

static bool has_corpus(const ser_heard *h, const char *name)
{
    size_t n = strlen(name);
    for (const char *at = h->corpora.s; at; at = strchr(at, '+')) {
        at += *at == '+';
        if (strncmp(at, name, n) == 0 && (at[n] == '+' || !at[n]))
            return true;
    }
    return false;
}

/* Names stand in one text, with + between them, and terminals show it. */
void ser_heard_add_corpus(ser_heard *h, const char *name)
{
    char *shown = ser_strdup(name);
    for (char *c = shown; c && *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f || *c == '+')
            *c = '_';
    if (!shown)
        h->corpora.failed = true;
    else if (!has_corpus(h, shown))
        ser_text_appendf(&h->corpora, "%s%s", h->corpora.n ? "+" : "", shown);
    ser_free(shown);
}

/* ---- an encoder's file ---- */

static bool is_hash(const char *hash)
{
    return hash && strlen(hash) == SER_HALF_HASH && strspn(hash, "0123456789abcdef") == SER_HALF_HASH;
}

static ser_status take(ser_heard *h, const json_t *object, ser_error *err)
{
    const json_t *corpora = json_object_get(object, "corpora"),
                 *recordings = json_object_get(object, "recordings");
    if (!json_array_size(corpora) || !json_array_size(recordings))
        return ser_fail(err, SER_E_FORMAT, "it has no lists of \"corpora\" and \"recordings\"");
    for (size_t i = 0; i < json_array_size(corpora); i++) {
        const char *name = json_string_value(json_array_get(corpora, i));
        if (!name || !*name || strlen(name) > MAX_NAME)
            return ser_fail(err, SER_E_FORMAT, "corpora[%zu] is no corpus's name", i);
        ser_heard_add_corpus(h, name);
    }
    for (size_t i = 0; i < json_array_size(recordings); i++) {
        const char *hash = json_string_value(json_array_get(recordings, i));
        if (!is_hash(hash))
            return ser_fail(err, SER_E_FORMAT, "recordings[%zu] is not %d hexadecimal digits", i,
                            SER_HALF_HASH);
        ser_status st = ser_heard_add(h, hash, err);
        if (st != SER_OK)
            return st;
    }
    ser_heard_sort(h);
    return h->corpora.failed ? ser_fail_nomem(err) : SER_OK;
}

static ser_status read_file(ser_heard *h, const char *path, ser_error *err)
{
    json_t *object = NULL;
    ser_status st = ser_json_read(&object, path, MAX_BYTES, JSON_REJECT_DUPLICATES, err);
    if (st == SER_OK)
        st = take(h, object, err);
    json_decref(object);
    return st == SER_OK ? st : ser_fail_within(err, st, "%s: ", path);
}

ser_status ser_heard_read(ser_heard *h, const char *folder, ser_error *err)
{
    char *path = ser_io_join(folder, FILE_NAME);
    ser_status st = !path ? ser_fail_nomem(err) : access(path, F_OK) != 0 ? SER_OK : read_file(h, path, err);
    ser_free(path);
    return st;
}

ser_status ser_heard_write(const ser_heard *h, const char *folder, ser_error *err)
{
    json_t *corpora = json_array(), *recordings = json_array();
    char *names = ser_strdup(h->corpora.s ? h->corpora.s : ""), *rest = names;
    for (char *name; names && (name = strsep(&rest, "+"));)
        ser_json_add(&corpora, ser_text_json(name));
    for (size_t i = 0; i < h->n; i++)
        ser_json_add(&recordings, json_string(h->hashes[i]));
    json_t *object = json_pack("{s:o, s:o}", "corpora", corpora, "recordings", recordings);
    char *text = object && names && !h->corpora.failed ? ser_json_dump(object, JSON_COMPACT) : NULL;
    char *path = ser_io_join(folder, FILE_NAME);
    ser_status st = text && path ? ser_io_write(path, text, strlen(text), err) : ser_fail_nomem(err);
    json_decref(object);
    free(text);
    ser_free(path);
    ser_free(names);
    return st;
}
