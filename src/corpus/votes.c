/* Votes: how many listeners heard which emotion in a recording, as soft targets of training. */
#include "base/memory.h"
#include "corpus/draft.h"
#include "io/csv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Shares of listeners are written with two decimals and more: so many may be missing from 1. */
static const double rounding = 0.02;

/* Index into d->voted of an emotion in any spelling; it is added where it is new. */
static ser_status find_voted(size_t *out, ser_draft *d, const char *spelling, ser_error *err)
{
    const char *emotion = ser_emotion_from_spelling(spelling);
    emotion = emotion ? emotion : spelling;
    for (*out = 0; *out < d->n_voted; ++*out)
        if (strcmp(d->voted[*out], emotion) == 0)
            return SER_OK;
    if (d->n_voted == SER_MAX_LABELS)
        return ser_fail(err, SER_E_UNSUPPORTED,
                        "there are votes for more than %d different emotions: merge some", SER_MAX_LABELS);
    if (!(d->voted[d->n_voted] = ser_strdup(emotion)))
        return ser_fail_nomem(err);
    d->n_voted++;
    return SER_OK;
}

/* The number at text, up to *end; end NULL: nothing else stands there. */
static ser_status read_number(float *out, const char *text, char **end, const char *emotion, size_t row,
                              ser_error *err)
{
    char *behind;
    double value = strtod(text, &behind);
    bool read = behind != text && (end || !*behind) && value >= 0 && value <= 1e6;
    if (end)
        *end = behind;
    if (!read)
        return ser_fail(err, SER_E_FORMAT,
                        "row %zu: its votes for '%.60s' are no number: count listeners, 0, 1, 2, ...", row,
                        emotion);
    *out = (float)value;
    return SER_OK;
}

/* Whole numbers are counts; others are shares, and have to add up to 1. */
static ser_status check_sum(const float *votes, size_t row, ser_error *err)
{
    double sum = 0;
    bool whole = true;
    for (size_t k = 0; k < SER_MAX_LABELS; k++) {
        sum += (double)votes[k];
        whole = whole && votes[k] == floorf(votes[k]);
    }
    if (!(sum > 0))
        return ser_fail(err, SER_E_FORMAT, "row %zu: it has no votes at all: remove it", row);
    if (!whole && fabs(sum - 1) > rounding)
        return ser_fail(
            err, SER_E_FORMAT,
            "row %zu: its votes do not add up: shares of listeners have to give 1, these give %.4g", row,
            sum);
    return SER_OK;
}

static bool make_room(ser_draft_row *r)
{
    return r->votes || (r->votes = ser_alloc(SER_MAX_LABELS, sizeof *r->votes));
}

ser_status ser_draft_parse_votes(ser_draft *d, ser_draft_row *r, const char *field, size_t row,
                                 ser_error *err)
{
    if (!make_room(r))
        return ser_fail_nomem(err);
    for (const char *at = field; *(at += strspn(at, " ;,"));) {
        size_t n = strcspn(at, ":=;,"), k;
        if (!n || (at[n] != ':' && at[n] != '='))
            return ser_fail(err, SER_E_FORMAT,
                            "row %zu: its votes '%.60s' cannot be read: write them as angry:3 sad:1", row,
                            field);
        char *emotion = ser_strndup(at, n), *end = NULL;
        ser_status st = emotion ? find_voted(&k, d, emotion, err) : ser_fail_nomem(err);
        if (st == SER_OK)
            st = read_number(&r->votes[k], at + n + 1, &end, emotion, row, err);
        ser_free(emotion);
        if (st != SER_OK)
            return st;
        at = end;
    }
    return check_sum(r->votes, row, err);
}

/* ---- a table ---- */

/* Votes of recordings that are not there. */
typedef struct strangers {
    size_t n;
    const char *first;
} strangers;

typedef struct table {
    ser_draft *draft;
    ser_draft_row *rows; /* (n_rows), sorted by name */
    size_t n_rows, n_prefix;
    const ser_csv *csv;
    int utterance, total;           /* columns; -1: not there */
    size_t emotion[SER_MAX_LABELS]; /* of each column, from its index */
    size_t *row_of;                 /* (n_rows): where a recording's votes stand; 0: nowhere */
    const char *const *misnamed;
} table;

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const ser_draft_row *)a)->name, ((const ser_draft_row *)b)->name);
}

/* Whether the recording's path without extension is this one. */
static bool has_path(const ser_draft_row *r, size_t n_prefix, const char *path)
{
    size_t n = strlen(path);
    return strlen(r->file) > n_prefix + n && strncmp(r->file + n_prefix, path, n) == 0 &&
           r->file[n_prefix + n] == '.' && !strpbrk(r->file + n_prefix + n + 1, "./");
}

/* By base name or path, both without extension and without the corpus's name in front. *n_called: how many
 * recordings are called so. */
static ser_draft_row *find_row(size_t *n_called, const table *t, const char *utterance)
{
    if (t->misnamed && strcmp(utterance, t->misnamed[1]) == 0)
        utterance = t->misnamed[0];
    const char *slash = strrchr(utterance, '/'), *base = slash ? slash + 1 : utterance;
    size_t low = 0, high = t->n_rows;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(t->rows[middle].name + t->n_prefix, base) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    ser_draft_row *found = NULL;
    *n_called = 0;
    for (size_t i = low; i < t->n_rows && strcmp(t->rows[i].name + t->n_prefix, base) == 0; i++) {
        if (slash && !has_path(&t->rows[i], t->n_prefix, utterance))
            continue;
        found = &t->rows[i];
        ++*n_called;
    }
    return found;
}

static ser_status find_columns(table *t, ser_error *err)
{
    const ser_csv *csv = t->csv;
    t->utterance = ser_csv_column(csv, "utterance");
    t->total = ser_csv_column(csv, "total");
    if (t->utterance < 0)
        return ser_fail(
            err, SER_E_FORMAT,
            "it has no column 'utterance': its first line has to name the columns utterance and one per "
            "emotion");
    if (csv->n_columns > SER_MAX_LABELS)
        return ser_fail(err, SER_E_FORMAT, "it has %zu columns: one per emotion, up to %d", csv->n_columns,
                        SER_MAX_LABELS);
    ser_status st = SER_OK;
    for (size_t j = 0; j < csv->n_columns && st == SER_OK; j++)
        if ((int)j != t->utterance && (int)j != t->total)
            st = find_voted(&t->emotion[j], t->draft, csv->rows[0][j], err);
    return st;
}

static ser_status check_total(const table *t, const float *votes, size_t row, ser_error *err)
{
    double sum = 0;
    float total = 0;
    for (size_t k = 0; k < SER_MAX_LABELS; k++)
        sum += (double)votes[k];
    const char *field = t->csv->rows[row - 1][t->total];
    ser_status st = read_number(&total, field, NULL, "total", row, err);
    if (st == SER_OK && fabs((double)total - sum) > 1e-6 * sum)
        st = ser_fail(err, SER_E_FORMAT,
                      "row %zu: its votes do not add up: their sum is %g, the column 'total' says %s", row,
                      sum, field);
    return st;
}

static ser_status read_row(table *t, strangers *s, size_t row, ser_error *err)
{
    char *const *fields = t->csv->rows[row - 1];
    size_t n_called;
    if (ser_csv_is_blank(t->csv, row - 1))
        return SER_OK;
    ser_draft_row *r = find_row(&n_called, t, fields[t->utterance]);
    if (!r) {
        s->first = s->n++ ? s->first : fields[t->utterance];
        return SER_OK;
    }
    if (n_called > 1)
        return ser_fail(err, SER_E_FORMAT,
                        "row %zu: %zu recordings are called '%.60s': name them by their paths", row, n_called,
                        fields[t->utterance]);
    size_t *before = &t->row_of[r - t->rows];
    if (*before)
        return ser_fail(err, SER_E_FORMAT,
                        "row %zu: the votes for '%.60s' stand in row %zu already: remove one", row,
                        fields[t->utterance], *before);
    *before = row;
    if (!make_room(r))
        return ser_fail_nomem(err);
    memset(r->votes, 0, SER_MAX_LABELS * sizeof *r->votes);
    ser_status st = SER_OK;
    for (size_t j = 0; j < t->csv->n_columns && st == SER_OK; j++) {
        const char *field = fields[j];
        if ((int)j == t->utterance || (int)j == t->total || !*field)
            continue;
        float n = 0;
        st = read_number(&n, field, NULL, t->csv->rows[0][j], row, err);
        if (st == SER_OK)
            r->votes[t->emotion[j]] += n;
    }
    if (st == SER_OK)
        st = check_sum(r->votes, row, err);
    return st == SER_OK && t->total >= 0 ? check_total(t, r->votes, row, err) : st;
}

static ser_status read_table(table *t, const char *path, ser_error *err)
{
    strangers s = {0};
    ser_status st = find_columns(t, err);
    for (size_t i = 1; i < t->csv->n_rows && st == SER_OK; i++)
        st = read_row(t, &s, i + 1, err);
    if (st == SER_OK && s.n && s.n + 1 == t->csv->n_rows)
        st = ser_fail(
            err, SER_E_FORMAT,
            "none of its %zu votes is for a recording of this corpus, the first is for '%.60s': its column "
            "'utterance' has to hold recordings' names without extension",
            s.n, s.first);
    else if (st == SER_OK && s.n)
        st = ser_draft_warn(t->draft, err,
                            "%s: votes for recordings that are not there: %zu, the first is '%.60s'", path,
                            s.n, s.first);
    return st;
}

ser_status ser_draft_read_votes(ser_draft *d, size_t first, const char *path, const char *const *misnamed,
                                ser_error *err)
{
    if (access(path, F_OK) != 0 || first == d->n_rows)
        return SER_OK;
    ser_csv csv;
    ser_status st = ser_csv_read(&csv, path, err);
    if (st != SER_OK)
        return ser_fail_within(err, st, "%s: ", path);
    table t = {.draft = d,
               .rows = d->rows + first,
               .n_rows = d->n_rows - first,
               .n_prefix = d->part ? strlen(d->part) + 1 : 0,
               .csv = &csv,
               .row_of = ser_alloc(d->n_rows - first, sizeof *t.row_of),
               .misnamed = misnamed};
    qsort(t.rows, t.n_rows, sizeof *t.rows, compare_names);
    st = t.row_of ? read_table(&t, path, err) : ser_fail_nomem(err);
    ser_csv_release(&csv);
    ser_free(t.row_of);
    return st == SER_OK ? st : ser_fail_within(err, st, "%s: ", path);
}
