#include "data/index.h"
#include "base/memory.h"
#include "base/text.h"
#include "corpus/draft.h"
#include "io/file.h"
#include "io/json.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { FORMAT_VERSION = 1, MAX_INDEX_BYTES = 1 << 30, MAX_NAME_BYTES = 4000, MAX_DIMS = 1 << 20 };

/* ---- reading ---- */

bool ser_tree_is_safe_name(const char *name)
{
    if (strlen(name) > MAX_NAME_BYTES)
        return false;
    for (const char *at = name;; at++) {
        size_t n = strcspn(at, "/");
        if (n == 0 || (n == 1 && at[0] == '.') || (n == 2 && strncmp(at, "..", 2) == 0))
            return false;
        at += n;
        if (!*at)
            return true;
    }
}

static bool copy_sha256(char out[65], const json_t *value)
{
    const char *text = json_string_value(value);
    if (!text || strlen(text) != 64 || strspn(text, "0123456789abcdef") != 64)
        return false;
    memcpy(out, text, 65);
    return true;
}

static bool copy_size(size_t *out, const json_t *value, json_int_t max)
{
    json_int_t n = json_integer_value(value);
    *out = (size_t)n;
    return json_is_integer(value) && n > 0 && n <= max;
}

static bool is_text_or_null(const json_t *value)
{
    return json_is_null(value) || (json_is_string(value) && *json_string_value(value));
}

/* false: something is missing or of a wrong kind. */
static bool parse_recording(ser_tree_recording *r, const json_t *object, bool *no_memory)
{
    const char *utterance = json_string_value(json_object_get(object, "utterance")),
               *file = json_string_value(json_object_get(object, "file")),
               *label = json_string_value(json_object_get(object, "label"));
    const json_t *speaker = json_object_get(object, "speaker"), *text = json_object_get(object, "text"),
                 *fold = json_object_get(object, "fold");
    if (!utterance || !ser_tree_is_safe_name(utterance) || !file || !label || !*label ||
        !is_text_or_null(speaker) || !is_text_or_null(text) ||
        (!json_is_null(fold) && !json_is_integer(fold)) ||
        !copy_sha256(r->sha256, json_object_get(object, "sha256")) ||
        !copy_sha256(r->file_sha256, json_object_get(object, "file_sha256")) ||
        !copy_size(&r->n_frames, json_object_get(object, "n_frames"), INT_MAX) ||
        !copy_size(&r->n_samples, json_object_get(object, "n_samples"), LLONG_MAX))
        return false;
    json_int_t fold_number = json_is_integer(fold) ? json_integer_value(fold) : -1;
    r->fold = fold_number >= 0 && fold_number <= INT_MAX ? (int)fold_number : -1;
    r->utterance = ser_strdup(utterance);
    r->file = ser_strdup(file);
    r->label = ser_strdup(label);
    r->speaker = json_is_string(speaker) ? ser_strdup(json_string_value(speaker)) : NULL;
    r->text = json_is_string(text) ? ser_strdup(json_string_value(text)) : NULL;
    *no_memory = !r->utterance || !r->file || !r->label || !r->speaker == json_is_string(speaker) ||
                 !r->text == json_is_string(text);
    return !*no_memory;
}

static ser_status parse_recordings(ser_tree_index *index, const json_t *list, ser_error *err)
{
    size_t n = json_array_size(list);
    index->recordings = ser_alloc(n, sizeof *index->recordings);
    if (!index->recordings)
        return ser_fail_nomem(err);
    for (size_t i = 0; i < n; i++) {
        ser_tree_recording *r = &index->recordings[index->n_recordings++];
        bool no_memory = false;
        if (!parse_recording(r, json_array_get(list, i), &no_memory))
            return no_memory ? ser_fail_nomem(err)
                             : ser_fail(err, SER_E_FORMAT,
                                        "recording %zu lacks something, or it is of a wrong kind: "
                                        "extract the features again with --overwrite",
                                        i + 1);
        if (i && strcmp(r[-1].utterance, r->utterance) >= 0)
            return ser_fail(err, SER_E_FORMAT,
                            "'%.80s' is listed twice, or not in its place: extract the features again with "
                            "--overwrite",
                            r->utterance);
    }
    return SER_OK;
}

static ser_status parse_object(ser_tree_index *index, const json_t *root, ser_error *err)
{
    const json_t *format = json_object_get(root, "format_version"),
                 *list = json_object_get(root, "recordings"), *complete = json_object_get(root, "complete");
    const char *corpus = json_string_value(json_object_get(root, "corpus"));
    json_t *parameters = json_object_get(root, "parameters");
    if (json_integer_value(format) > FORMAT_VERSION)
        return ser_fail(err, SER_E_UNSUPPORTED,
                        "its format_version is %lld, and this program knows %d: use a newer ser",
                        (long long)json_integer_value(format), FORMAT_VERSION);
    if (json_integer_value(format) != FORMAT_VERSION || !corpus || !*corpus || !json_is_object(parameters) ||
        !json_is_boolean(complete) || !json_is_array(list) ||
        !copy_size(&index->dims, json_object_get(root, "dims"), MAX_DIMS))
        return ser_fail(err, SER_E_FORMAT, "it is no index of features: extract them again with --overwrite");
    index->parameters = json_incref(parameters);
    index->complete = json_is_true(complete);
    if (!(index->corpus = ser_strdup(corpus)))
        return ser_fail_nomem(err);
    return parse_recordings(index, list, err);
}

ser_status ser_tree_index_parse(ser_tree_index *out, const void *text, size_t n, ser_error *err)
{
    json_error_t at;
    *out = (ser_tree_index){0};
    json_t *root;
    ser_status loaded = ser_json_load(&root, text, n, JSON_REJECT_DUPLICATES, &at);
    if (loaded == SER_E_NOMEM)
        return ser_fail_nomem(err);
    if (loaded != SER_OK)
        return ser_fail(err, SER_E_FORMAT, "line %d: %.100s: extract the features again with --overwrite",
                        at.line, at.text);
    ser_status st = parse_object(out, root, err);
    json_decref(root);
    if (st != SER_OK)
        ser_tree_index_release(out);
    return st;
}

ser_status ser_tree_index_read(ser_tree_index *out, const char *path, ser_error *err)
{
    ser_bytes bytes;
    *out = (ser_tree_index){0};
    ser_status st = ser_io_read(&bytes, path, MAX_INDEX_BYTES, err);
    if (st == SER_OK)
        st = ser_tree_index_parse(out, bytes.data, bytes.n, err);
    ser_bytes_release(&bytes);
    return st;
}

static void release_recording(ser_tree_recording *r)
{
    ser_free(r->utterance);
    ser_free(r->file);
    ser_free(r->label);
    ser_free(r->speaker);
    ser_free(r->text);
}

void ser_tree_index_release(ser_tree_index *index)
{
    for (size_t i = 0; i < index->n_recordings; i++)
        release_recording(&index->recordings[i]);
    ser_free(index->recordings);
    ser_free(index->corpus);
    json_decref(index->parameters);
    *index = (ser_tree_index){0};
}

/* ---- writing ---- */

static json_t *recording_json(const ser_tree_recording *r)
{
    json_t *fold = r->fold >= 0 ? json_integer(r->fold) : json_null();
    return json_pack("{s:s, s:s, s:s, s:s?, s:s?, s:o, s:I, s:I, s:s, s:s}", "utterance", r->utterance,
                     "file", r->file, "label", r->label, "speaker", r->speaker, "text", r->text, "fold", fold,
                     "n_frames", (json_int_t)r->n_frames, "n_samples", (json_int_t)r->n_samples, "sha256",
                     r->sha256, "file_sha256", r->file_sha256);
}

ser_status ser_tree_index_write(const ser_tree_index *index, const char *path, ser_error *err)
{
    json_t *list = json_array();
    bool ok = list != NULL;
    for (size_t i = 0; i < index->n_recordings && ok; i++)
        ok = json_array_append_new(list, recording_json(&index->recordings[i])) == 0;
    json_t *root = json_pack("{s:i, s:b, s:s, s:O, s:I, s:o}", "format_version", FORMAT_VERSION, "complete",
                             index->complete, "corpus", index->corpus, "parameters", index->parameters,
                             "dims", (json_int_t)index->dims, "recordings", list);
    char *text = ok && root ? ser_json_dump(root, JSON_INDENT(1)) : NULL;
    ser_status st = text ? ser_io_write(path, text, strlen(text), err) : ser_fail_nomem(err);
    free(text);
    json_decref(root);
    return st;
}

/* ---- corpora ---- */

static int compare_utterance(const void *key, const void *item)
{
    return strcmp(key, ((const ser_tree_recording *)item)->utterance);
}

const ser_tree_recording *ser_tree_index_find(const ser_tree_index *index, const char *utterance)
{
    return index->n_recordings ? bsearch(utterance, index->recordings, index->n_recordings,
                                         sizeof *index->recordings, compare_utterance)
                               : NULL;
}

ser_status ser_tree_recording_describe(ser_tree_recording *r, const ser_corpus *corpus, size_t utterance,
                                       ser_error *err)
{
    const ser_utterance *u = &corpus->utterances[utterance];
    const char *label = corpus->labels[u->label],
               *speaker = u->speaker >= 0 ? corpus->speakers[u->speaker] : NULL,
               *text = u->text >= 0 ? corpus->texts[u->text] : NULL;
    /* JSON is UTF-8, and file names are any bytes. */
    if (!ser_text_is_utf8(u->name) || !ser_text_is_utf8(u->file) || !ser_text_is_utf8(label) ||
        (speaker && !ser_text_is_utf8(speaker)) || (text && !ser_text_is_utf8(text)))
        return ser_fail(err, SER_E_FORMAT,
                        "its name, label, speaker or text is not UTF-8, and an index can hold nothing else: "
                        "rename it");
    r->utterance = ser_strdup(u->name);
    r->file = ser_strdup(u->file);
    r->label = ser_strdup(label);
    r->speaker = speaker ? ser_strdup(speaker) : NULL;
    r->text = text ? ser_strdup(text) : NULL;
    r->fold = u->fold;
    if (!r->utterance || !r->file || !r->label || !r->speaker != !speaker || !r->text != !text)
        return ser_fail_nomem(err);
    return SER_OK;
}

ser_status ser_tree_index_corpus(ser_corpus **out, const ser_tree_index *index, ser_error *err)
{
    ser_draft draft = {0};
    ser_status st = SER_OK;
    *out = NULL;
    for (size_t i = 0; i < index->n_recordings && st == SER_OK; i++) {
        const ser_tree_recording *r = &index->recordings[i];
        if (!ser_grow(&draft.rows, &draft.rows_capacity, draft.n_rows + 1, sizeof *draft.rows)) {
            st = ser_fail_nomem(err);
            break;
        }
        ser_draft_row *row = &draft.rows[draft.n_rows++];
        *row = (ser_draft_row){.name = ser_strdup(r->utterance),
                               .file = ser_strdup(r->file),
                               .path = ser_strdup(r->file),
                               .label = ser_strdup(r->label),
                               .speaker = r->speaker ? ser_strdup(r->speaker) : NULL,
                               .text = r->text ? ser_strdup(r->text) : NULL,
                               .fold = r->fold};
        if (!row->name || !row->file || !row->path || !row->label || !row->speaker != !r->speaker ||
            !row->text != !r->text)
            st = ser_fail_nomem(err);
    }
    if (st == SER_OK)
        st = ser_draft_finish(out, &draft, index->corpus, err);
    ser_draft_release(&draft);
    return st;
}
