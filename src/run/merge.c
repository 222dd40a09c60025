/* Which shares belong together, and those of predict: files whose pieces, one a recording, are put in order.
 */
#include "run/merge.h"
#include "base/memory.h"
#include "io/file.h"
#include "report/prediction.h"
#include "run/merge_parts.h"

#include <string.h>

/* ---- answers ---- */

/* Where a recording's bytes lie. */
typedef struct piece {
    const unsigned char *data;
    size_t n;
} piece;

typedef struct joining {
    const ser_manifest *manifests;
    size_t n;
    ser_bytes *files; /* (n) */
    piece header;     /* the same in all of them */
    piece *pieces;    /* (n_listed) */
} joining;

static bool read_size(size_t *out, const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    *out = (size_t)json_integer_value(value);
    return json_is_integer(value) && json_integer_value(value) >= 0;
}

static ser_status fail_part(const ser_manifest *m, ser_error *err)
{
    return ser_fail(err, SER_E_FORMAT, "%s: it is not what its manifest says: run its shard again", m->part);
}

static bool is_hash_of(const json_t *expected, const ser_bytes *bytes)
{
    char hex[65];
    ser_sha256_of(hex, bytes->data, bytes->n);
    return json_is_string(expected) && strcmp(json_string_value(expected), hex) == 0;
}

static ser_status cut(joining *j, size_t part, ser_error *err)
{
    const ser_manifest *m = &j->manifests[part];
    ser_bytes *file = &j->files[part];
    size_t at;
    ser_status st = ser_io_map(file, m->part, 0, err);
    if (st != SER_OK)
        return ser_fail_within(err, st, "%s: ", m->part);
    if (!is_hash_of(json_object_get(m->root, "output_sha256"), file) ||
        !read_size(&at, m->root, "header_bytes") || at > file->n)
        return fail_part(m, err);
    if (part == 0)
        j->header = (piece){file->data, at};
    else if (at != j->header.n || (at && memcmp(file->data, j->header.data, at) != 0))
        return fail_part(m, err);
    for (size_t i = 0; i < json_array_size(m->recordings); i++) {
        const json_t *r = json_array_get(m->recordings, i);
        piece *p = &j->pieces[ser_noted_position(r)];
        if (!read_size(&p->n, r, "bytes") || p->n > file->n - at)
            return fail_part(m, err);
        p->data = file->data + at;
        at += p->n;
    }
    return at == file->n ? SER_OK : fail_part(m, err);
}

static bool add_counts(ser_prediction_counts *all, const json_t *counts)
{
    size_t n[4 + SER_MAX_LABELS] = {0}, n_counts = json_array_size(counts);
    bool ok = n_counts >= 4 && n_counts <= 4 + SER_MAX_LABELS;
    for (size_t i = 0; i < n_counts && ok; i++) {
        json_int_t value = json_integer_value(json_array_get(counts, i));
        ok = value >= 0;
        n[i] = (size_t)value;
    }
    all->n += n[0];
    all->n_uncertain += n[1];
    all->n_without += n[2];
    all->n_failed += n[3];
    for (size_t k = 0; k < SER_MAX_LABELS; k++)
        all->n_of[k] += n[4 + k];
    return ok;
}

/* The line below the answers, where a person reads them. */
static ser_status append_summary(ser_text *t, const joining *j, ser_style style, ser_error *err)
{
    const json_t *options = j->manifests[0].options, *list = json_object_get(options, "labels");
    const char *format = json_string_value(json_object_get(options, "format"));
    ser_prediction_counts counts = {0};
    if (!format || strcmp(format, "text") != 0 || j->manifests[0].n_listed < 2)
        return SER_OK;
    ser_prediction_form form = {.n_labels = json_array_size(list), .style = style};
    bool ok = form.n_labels <= SER_MAX_LABELS;
    for (size_t k = 0; k < form.n_labels && ok; k++)
        ok = (form.labels[k] = json_string_value(json_array_get(list, k))) != NULL;
    for (size_t i = 0; i < j->n && ok; i++)
        ok = add_counts(&counts, json_object_get(j->manifests[i].root, "counts"));
    if (!ok)
        return fail_part(&j->manifests[0], err);
    ser_prediction_counts_text(t, &form, &counts);
    return t->failed ? ser_fail_nomem(err) : SER_OK;
}

static ser_status write_joined(const joining *j, const char *output, ser_error *err)
{
    ser_output out = {0};
    ser_text summary = {0};
    ser_status st = ser_output_open(&out, output, err);
    if (st == SER_OK && j->header.n)
        fwrite(j->header.data, 1, j->header.n, out.file);
    for (size_t i = 0; i < j->manifests[0].n_listed && st == SER_OK; i++)
        if (j->pieces[i].n)
            fwrite(j->pieces[i].data, 1, j->pieces[i].n, out.file);
    if (st == SER_OK && (st = append_summary(&summary, j, ser_style_of(out.file), err)) != SER_OK)
        goto done;
    if (st == SER_OK && summary.n)
        fwrite(summary.s, 1, summary.n, out.file);
    if (st == SER_OK)
        st = ser_output_commit(&out, err); /* sees whether all was written */
    if (st != SER_OK)
        ser_fail_within(err, st, "%s: ", output);
done:
    ser_output_abort(&out);
    ser_text_release(&summary);
    return st;
}

static ser_status merge_answers(const ser_manifest *manifests, size_t n, const char *output, ser_error *err)
{
    joining j = {.manifests = manifests,
                 .n = n,
                 .files = ser_alloc(n, sizeof *j.files),
                 .pieces = ser_alloc(manifests[0].n_listed, sizeof *j.pieces)};
    ser_status st = j.files && j.pieces ? SER_OK : ser_fail_nomem(err);
    for (size_t i = 0; i < n && st == SER_OK; i++)
        st = cut(&j, i, err);
    if (st == SER_OK)
        st = write_joined(&j, output, err);
    for (size_t i = 0; i < n && j.files; i++)
        ser_bytes_release(&j.files[i]);
    ser_free(j.files);
    ser_free(j.pieces);
    return st;
}

/* ---- all ---- */

/* The same bits are promised on one kind of processor. */
static void tell_processors(const ser_manifest *manifests, size_t n, const ser_run_host *host)
{
    const json_t *first = json_object_get(manifests[0].root, "cpu");
    for (size_t i = 1; i < n; i++) {
        const json_t *cpu = json_object_get(manifests[i].root, "cpu");
        if (json_equal(first, cpu))
            continue;
        ser_run_tell(
            host, SER_RUN_WARNING,
            "%s: made on another processor (%.100s) than %s (%.100s): its last bits may not be those "
            "of one run",
            manifests[i].part, json_is_string(cpu) ? json_string_value(cpu) : "unknown", manifests[0].part,
            json_is_string(first) ? json_string_value(first) : "unknown");
        return;
    }
}

static ser_status merge(const ser_manifest *manifests, size_t n, const char *output, const ser_run_host *host,
                        ser_error *err)
{
    ser_status st = ser_manifests_check(manifests, n, err);
    if (st != SER_OK)
        return st;
    tell_processors(manifests, n, host);
    if (strcmp(manifests[0].command, "predict") == 0 && !manifests[0].is_folder)
        return merge_answers(manifests, n, output, err);
    if (strcmp(manifests[0].command, "extract") == 0 && manifests[0].is_folder)
        return ser_merge_trees(manifests, n, output, host, err);
    if (strcmp(manifests[0].command, "evaluate") == 0 && manifests[0].is_folder)
        return ser_merge_folds(manifests, n, output, host, err);
    return ser_fail(err, SER_E_FORMAT, "%s: it is no share of predict, extract or evaluate",
                    manifests[0].part);
}

ser_status ser_run_merge(ser_merged *out, const char *const *parts, size_t n, const char *output,
                         const ser_run_host *host, ser_error *err)
{
    ser_manifest *manifests = ser_alloc(n, sizeof *manifests);
    ser_status st = manifests ? SER_OK : ser_fail_nomem(err);
    *out = (ser_merged){0};
    for (size_t i = 0; i < n && st == SER_OK; i++)
        st = ser_manifest_read(&manifests[i], parts[i], err);
    if (st == SER_OK)
        st = merge(manifests, n, output, host, err);
    for (size_t i = 0; i < n && manifests; i++) {
        out->n += json_array_size(manifests[i].recordings);
        out->n_failed += manifests[i].n_failed;
        ser_manifest_release(&manifests[i]);
    }
    ser_free(manifests);
    return st;
}
