/* What recordings and classes are called in the end: what can only be told when all rows are there. */
#include "base/memory.h"
#include "base/text.h"
#include "corpus/draft.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* The file's path without extension, as a name that lies below any folder: "../x/a.wav" is "__/x/a". */
static char *path_name(const char *part, const char *file)
{
    ser_text t = {0};
    size_t n_part = part ? strlen(part) : 0;
    if (part && (strncmp(file, part, n_part) != 0 || file[n_part] != '/'))
        ser_text_append(&t, part);
    for (const char *at = file; *at;) {
        size_t n = strcspn(at, "/");
        bool is_last = !at[n];
        if (is_last) {
            const char *dot = strrchr(at, '.');
            n = dot && dot > at ? (size_t)(dot - at) : n;
        }
        bool is_up = n == 2 && at[0] == '.' && at[1] == '.';
        if (n && !(n == 1 && at[0] == '.')) {
            ser_text_append(&t, t.n ? "/" : "");
            ser_text_append_n(&t, is_up ? "__" : at, n);
        }
        at += is_last ? strlen(at) : n + 1;
    }
    return ser_text_take(&t);
}

int ser_draft_compare_sound(const ser_draft_row *x, const ser_draft_row *y)
{
    int order = strcmp(x->file, y->file);
    if (!order)
        order = (x->start_s > y->start_s) - (x->start_s < y->start_s);
    return order ? order : (x->end_s > y->end_s) - (x->end_s < y->end_s);
}

static int compare_rows(const void *a, const void *b)
{
    const ser_draft_row *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    return order ? order : ser_draft_compare_sound(x, y);
}

/* "wav/a_0.1-0.4": a stretch of a file of which there are several. */
static char *stretch_name(const ser_draft_row *r)
{
    ser_text t = {0};
    ser_text_appendf(&t, "%s_%.9g-", r->name, r->start_s);
    if (r->end_s > 0)
        ser_text_appendf(&t, "%.9g", r->end_s);
    return ser_text_take(&t);
}

/* Rows that share a name with another, sorted, get another: from their paths, or, by_stretch, from what they
 * are of their file. */
static ser_status rename_equal(ser_draft *d, bool by_stretch, ser_error *err)
{
    qsort(d->rows, d->n_rows, sizeof *d->rows, compare_rows);
    for (size_t from = 0, end; from < d->n_rows; from = end) {
        for (end = from + 1; end < d->n_rows && strcmp(d->rows[from].name, d->rows[end].name) == 0;)
            end++;
        for (size_t i = from; end - from > 1 && i < end; i++) {
            ser_draft_row *r = &d->rows[i];
            bool is_stretch = r->start_s > 0 || r->end_s > 0;
            if (by_stretch && !is_stretch)
                continue;
            char *name = by_stretch ? stretch_name(r)
                                    : path_name(d->n_parts > 1 ? d->parts[r->part].name : NULL, r->file);
            if (!name)
                return ser_fail_nomem(err);
            ser_free(r->name);
            r->name = name;
        }
    }
    return SER_OK;
}

ser_status ser_draft_name_rows(ser_draft *d, ser_error *err)
{
    ser_status st = rename_equal(d, false, err);
    if (st == SER_OK)
        st = rename_equal(d, true, err);
    qsort(d->rows, d->n_rows, sizeof *d->rows, compare_rows);
    for (size_t i = 1; i < d->n_rows && st == SER_OK; i++) {
        const ser_draft_row *a = &d->rows[i - 1], *b = &d->rows[i];
        if (strcmp(a->name, b->name) == 0)
            st = ser_fail(err, SER_E_FORMAT,
                          "two recordings are called '%s', %s and %s: rename one, or leave it out", a->name,
                          a->file, b->file);
    }
    return st;
}

/* ---- classes ---- */

static int compare_strings(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* All rows with the label from get the label to. */
static ser_status rename_class(ser_draft *d, const char *from, const char *to, ser_error *err)
{
    size_t n = 0;
    for (size_t i = 0; i < d->n_rows; i++) {
        ser_draft_row *r = &d->rows[i];
        if (!r->label || strcmp(r->label, from) != 0)
            continue;
        char *label = ser_strdup(to);
        if (!label)
            return ser_fail_nomem(err);
        ser_free(r->label);
        r->label = label;
        n++;
    }
    return ser_draft_warn(d, err,
                          "'%.60s' is taken for '%.60s', from which it differs in case or blanks alone: %zu",
                          from, to, n);
}

/* Classes of the user's own that differ in case or blanks alone become the last of them in byte order: small
 * letters come behind large ones. More classes than a model could have are an error later. */
ser_status ser_draft_merge_classes(ser_draft *d, ser_error *err)
{
    enum { MOST = 4 * SER_MAX_LABELS };
    char *classes[MOST];
    size_t n = 0;
    ser_status st = SER_OK;
    for (size_t i = 0; i < d->n_rows && n < MOST && st == SER_OK; i++) {
        const char *label = d->rows[i].label;
        size_t k = 0;
        while (label && k < n && strcmp(classes[k], label) != 0)
            k++;
        if (label && k == n && !(classes[n++] = ser_strdup(label)))
            st = ser_fail_nomem(err);
    }
    if (st == SER_OK && n)
        qsort(classes, n, sizeof *classes, compare_strings);
    for (size_t k = 0; k < n && st == SER_OK; k++)
        for (size_t last = n - 1; last > k; last--)
            if (ser_emotion_same_class(classes[k], classes[last])) {
                st = rename_class(d, classes[k], classes[last], err);
                break;
            }
    for (size_t k = 0; k < n; k++)
        ser_free(classes[k]);
    return st;
}

ser_status ser_draft_warn_of_classes(ser_draft *d, size_t first, ser_error *err)
{
    enum { N_NAMED = 4 };
    const char *named[N_NAMED + 1] = {0};
    size_t n_named = 0, n_known = 0;
    for (size_t i = first; i < d->n_rows && !d->is_target; i++) {
        const char *label = d->rows[i].label;
        size_t k = 0;
        bool is_known = label && ser_emotion_from_spelling(label);
        n_known += is_known;
        while (label && k < n_named && !ser_emotion_same_class(named[k], label))
            k++;
        if (label && !is_known && k == n_named && n_named <= N_NAMED)
            named[n_named++] = label;
    }
    if (!n_named)
        return SER_OK;
    ser_text list = {0};
    for (size_t k = 0; k < n_named && k < N_NAMED; k++)
        ser_text_appendf(&list, "%s'%.40s'", k ? ", " : "", named[k]);
    ser_text_append(&list, n_named > N_NAMED ? " and others" : "");
    ser_status st =
        list.failed ? ser_fail_nomem(err)
        : n_known
            ? ser_draft_warn(d, err, "no known names of emotions, and taken for classes of their own: %s",
                             list.s)
            : ser_draft_warn(d, err,
                             "none of its emotions has a known name: %s are taken for classes of their own",
                             list.s);
    ser_text_release(&list);
    return st;
}

/* ---- speakers ---- */

static int compare_speakers(const void *a, const void *b)
{
    const ser_draft_row *x = *(ser_draft_row *const *)a, *y = *(ser_draft_row *const *)b;
    if (x->part != y->part)
        return x->part < y->part ? -1 : 1;
    int order = strcasecmp(x->speaker, y->speaker);
    return order ? order : strcmp(x->speaker, y->speaker);
}

/* Recordings whose speaker was renamed, and the first as an example. */
typedef struct renamed {
    size_t n;
    char from[61];
    const char *to;
} renamed;

/* Voices of two sexes are two, however alike their names are. */
static bool have_one_sex(ser_draft_row *const *rows, size_t n)
{
    ser_sex known = SER_SEX_UNKNOWN;
    for (size_t i = 0; i < n; i++) {
        if (known != SER_SEX_UNKNOWN && rows[i]->sex != SER_SEX_UNKNOWN && rows[i]->sex != known)
            return false;
        known = rows[i]->sex != SER_SEX_UNKNOWN ? rows[i]->sex : known;
    }
    return true;
}

/* rows (n): one voice, its name in several spellings, which becomes the last. */
static ser_status rename_speaker(renamed *r, ser_draft_row **rows, size_t n, ser_error *err)
{
    const char *name = rows[n - 1]->speaker;
    for (size_t i = 0; i < n && strcmp(rows[i]->speaker, name) != 0; i++) {
        char *copy = ser_strdup(name);
        if (!copy)
            return ser_fail_nomem(err);
        if (!r->n++) {
            snprintf(r->from, sizeof r->from, "%s", rows[i]->speaker);
            r->to = name;
        }
        ser_free(rows[i]->speaker);
        rows[i]->speaker = copy;
    }
    return SER_OK;
}

/* Else one voice would be learned from and tested. */
ser_status ser_draft_merge_speakers(ser_draft *d, ser_error *err)
{
    size_t n = 0;
    renamed all = {0};
    ser_status st = SER_OK;
    ser_draft_row **rows = ser_alloc(d->n_rows, sizeof *rows);
    if (!rows)
        return ser_fail_nomem(err);
    for (size_t i = 0; i < d->n_rows; i++)
        if (d->rows[i].speaker)
            rows[n++] = &d->rows[i];
    if (n)
        qsort(rows, n, sizeof *rows, compare_speakers);
    for (size_t from = 0, end; from < n && st == SER_OK; from = end) {
        for (end = from + 1; end < n && rows[end]->part == rows[from]->part &&
                             strcasecmp(rows[end]->speaker, rows[from]->speaker) == 0;)
            end++;
        if (have_one_sex(rows + from, end - from))
            st = rename_speaker(&all, rows + from, end - from, err);
    }
    ser_free(rows);
    return st == SER_OK && all.n
               ? ser_draft_warn(
                     d, err,
                     "speakers whose names differ in case alone are taken for one, such as '%s' for "
                     "'%.60s': %zu recordings; give them other names if they are two",
                     all.from, all.to, all.n)
               : st;
}
