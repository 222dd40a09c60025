/* Corpora that are a CSV file: a recording in each row. */
#include "audio/audio.h"
#include "base/memory.h"
#include "corpus/draft.h"
#include "corpus/folds.h"
#include "io/csv.h"
#include "io/file.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

typedef struct columns {
    int file, emotion, speaker, sex, text, fold, votes, start, end; /* -1: not there */
} columns;

typedef struct manifest {
    ser_draft *draft;
    const ser_csv *csv;
    const char *root; /* the folder of the CSV file */
    columns at;
    size_t first; /* of the draft's rows */
    size_t n_missing, n_repeated, first_repeated;
    char *missing; /* the first file that is not there */
} manifest;

static ser_status check_columns(const ser_csv *csv, ser_error *err)
{
    static const char *const names[] = {"file", "emotion", "speaker", "text", "fold", "start", "end"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (ser_csv_is_twice(csv, names[i]))
            return ser_fail(err, SER_E_FORMAT, "it has two columns '%s': rename or remove one", names[i]);
    return SER_OK;
}

static ser_status find_columns(columns *c, const ser_csv *csv, bool is_target, ser_error *err)
{
    *c = (columns){.file = ser_csv_column(csv, "file"),
                   .emotion = ser_csv_column(csv, "emotion"),
                   .speaker = ser_csv_column(csv, "speaker"),
                   .sex = ser_csv_column(csv, "sex"),
                   .text = ser_csv_column(csv, "text"),
                   .fold = ser_csv_column(csv, "fold"),
                   .votes = ser_csv_column(csv, "votes"),
                   .start = ser_csv_column(csv, "start"),
                   .end = ser_csv_column(csv, "end")};
    if (c->sex < 0)
        c->sex = ser_csv_column(csv, "gender");
    if (c->file >= 0 && (c->emotion >= 0 || is_target))
        return check_columns(csv, err);
    ser_text there = {0};
    ser_csv_append_columns(&there, csv);
    ser_status st =
        there.failed
            ? ser_fail_nomem(err)
            : ser_fail(err, SER_E_FORMAT,
                       "it has no column '%s' (its first line names %s): name the columns file,emotion and, "
                       "where they are known, speaker,sex,text,fold,votes,start,end",
                       c->file < 0 ? "file" : "emotion", there.s);
    ser_text_release(&there);
    return st;
}

static char *trim(char *field)
{
    field += strspn(field, " \t");
    size_t n = strlen(field);
    while (n && strchr(" \t", field[n - 1]))
        n--;
    field[n] = 0;
    return field;
}

/* As pandas and spreadsheets write a value that is not there. Of these, "NA", "None" and "null" may also be
 * somebody's name. */
static bool is_missing(const char *field, bool is_name)
{
    static const char *const missing[] = {"",     "nan",  "NaN", "-nan", "-NaN",
                                          "<NA>", "#N/A", "NaT", "N/A",  "n/a"},
                             *const perhaps[] = {"NA", "None", "NULL", "null"};
    for (size_t i = 0; i < sizeof missing / sizeof *missing; i++)
        if (strcmp(field, missing[i]) == 0)
            return true;
    for (size_t i = 0; i < sizeof perhaps / sizeof *perhaps && !is_name; i++)
        if (strcmp(field, perhaps[i]) == 0)
            return true;
    return false;
}

/* NULL for a column that is not there, and for a value that is not. */
static char *field(char *const *row, int column, bool is_name)
{
    char *value = column < 0 ? NULL : trim(row[column]);
    return value && !is_missing(value, is_name) ? value : NULL;
}

static ser_status read_fold(int *fold, const char *text, size_t row, ser_error *err)
{
    long value;
    if (!ser_fold_parse(&value, text, INT_MAX))
        return ser_fail(err, SER_E_FORMAT,
                        "row %zu: the fold '%s' is no number: number the folds 1, 2, 3, ...", row, text);
    *fold = (int)value;
    return SER_OK;
}

/* "f", "Female", "m", "male" */
static ser_sex read_sex(const char *text)
{
    if (!text)
        return SER_SEX_UNKNOWN;
    return strcasecmp(text, "f") == 0 || strcasecmp(text, "female") == 0 ? SER_SEX_FEMALE
           : strcasecmp(text, "m") == 0 || strcasecmp(text, "male") == 0 ? SER_SEX_MALE
                                                                         : SER_SEX_UNKNOWN;
}

/* *out: file, where there is such a file in folder root; else it is left as it is. */
static ser_status find_one(char **out, const char *root, char *file, ser_error *err)
{
    struct stat st;
    char *path = ser_io_join(root, file);
    if (!path)
        return ser_fail_nomem(err);
    if (stat(path, &st) == 0)
        *out = file;
    ser_free(path);
    return SER_OK;
}

/* What file is called here: as it is written, without blanks around it, or with '/' for the '\' of Windows.
 * NULL: there is no such file. Writes into it. */
static ser_status find_file(char **out, const manifest *m, char *file, ser_error *err)
{
    *out = NULL;
    ser_status st = find_one(out, m->root, file, err);
    if (st == SER_OK && !*out)
        st = find_one(out, m->root, file = trim(file), err);
    char *back = *out ? NULL : strchr(file, '\\');
    for (char *c = back; c && *c; c++)
        *c = *c == '\\' ? '/' : *c;
    return st == SER_OK && back ? find_one(out, m->root, file, err) : st;
}

static ser_status check_text(const char *text, const char *what, size_t row, ser_error *err)
{
    return !text || ser_text_is_utf8(text)
               ? SER_OK
               : ser_fail(err, SER_E_FORMAT, "row %zu: its %s is not UTF-8: save the file as UTF-8 text", row,
                          what);
}

/* A decimal comma becomes a point. */
static void mend_comma(char *number)
{
    char *comma = number && !strchr(number, '.') ? strchr(number, ',') : NULL;
    if (comma)
        *comma = '.';
}

/* Seconds, "2.5", or as audformat and pandas write times, "0 days 00:00:02.500000". */
static bool parse_time(double *out, const char *text)
{
    double days = 0, hours = 0, minutes = 0, seconds;
    bool has_days = false; /* alone where all of a column's times are whole days: "0 days" */
    char *end;
    double value = strtod(text, &end);
    if (end != text && strncasecmp(end, " day", 4) == 0) {
        has_days = true;
        days = value;
        end += 4 + (end[4] == 's' || end[4] == 'S');
        text = end + strspn(end, " ");
        value = *text ? strtod(text, &end) : 0;
    }
    if (end != text && *end == ':') {
        hours = value;
        text = end + 1;
        minutes = strtod(text, &end);
        if (end == text || *end != ':')
            return false;
        text = end + 1;
        value = strtod(text, &end);
    }
    seconds = value;
    *out = ((days * 24 + hours) * 60 + minutes) * 60 + seconds;
    return (end != text || has_days) && !*end && days >= 0 && hours >= 0 && minutes >= 0 && seconds >= 0 &&
           *out < 1e9;
}

static ser_status read_stretch(ser_draft_row *r, char *start, char *end, size_t row, ser_error *err)
{
    mend_comma(start);
    mend_comma(end);
    if ((start && !parse_time(&r->start_s, start)) || (end && !parse_time(&r->end_s, end)))
        return ser_fail(err, SER_E_FORMAT,
                        "row %zu: '%.40s' is no time: write seconds, 2.5, or 0 days 00:00:02.500000", row,
                        start && !parse_time(&r->start_s, start) ? start : end);
    if (end && r->end_s <= r->start_s)
        return ser_fail(err, SER_E_FORMAT,
                        "row %zu: its stretch begins at %g s and ends at %g s: swap or mend them", row,
                        r->start_s, r->end_s);
    return SER_OK;
}

static ser_status add_row(manifest *m, char *file, char *const *row, size_t number, ser_error *err)
{
    const columns *c = &m->at;
    ser_draft *d = m->draft;
    ser_draft_row r = {.label = field(row, c->emotion, false),
                       .speaker = field(row, c->speaker, true),
                       .sex = read_sex(field(row, c->sex, false)),
                       .text = field(row, c->text, true),
                       .fold = -1,
                       .line = number};
    if (!r.label && !d->is_target) {
        const char *written = trim(row[c->emotion]);
        return ser_fail(err, SER_E_FORMAT, "row %zu names no emotion%s%s%s: complete or remove it", number,
                        *written ? " ('" : "", written,
                        *written ? "' stands for a value that is missing)" : "");
    }
    ser_status st = check_text(r.label, "emotion", number, err);
    if (st == SER_OK)
        st = check_text(r.speaker, "speaker", number, err);
    if (st == SER_OK)
        st = check_text(r.text, "text", number, err);
    const char *fold = field(row, c->fold, false), *votes = field(row, c->votes, false);
    if (st == SER_OK && fold)
        st = read_fold(&r.fold, fold, number, err);
    if (st == SER_OK)
        st = read_stretch(&r, field(row, c->start, false), field(row, c->end, false), number, err);
    if (st == SER_OK)
        st = find_file(&r.file, m, file, err);
    if (st == SER_OK && !r.file) {
        m->missing = m->n_missing++ ? m->missing : ser_io_join(m->root, file);
        return m->missing ? SER_OK : ser_fail_nomem(err);
    }
    if (st == SER_OK)
        st = ser_draft_add(d, m->root, &r, err);
    return st == SER_OK && votes ? ser_draft_parse_votes(d, &d->rows[d->n_rows - 1], votes, number, err) : st;
}

/* Whether a file may be the one that is called missing: it differs in case alone, or is a recording that
 * differs in case or behind the last point alone. */
static bool is_near(const char *file, const char *missing)
{
    const char *dot_f = strrchr(file, '.'), *dot_m = strrchr(missing, '.');
    size_t n_f = dot_f ? (size_t)(dot_f - file) : strlen(file),
           n_m = dot_m ? (size_t)(dot_m - missing) : strlen(missing);
    bool recording = n_f && n_f == n_m && strncasecmp(file, missing, n_f) == 0 && ser_audio_is_named_so(file);
    return strcmp(file, missing) != 0 && (strcasecmp(file, missing) == 0 || recording);
}

/* What lies where a file is missing and may be meant, the first by name; empty: nothing. */
static void find_near(char *out, size_t n_out, const char *missing)
{
    const char *slash = strrchr(missing, '/'), *name = slash ? slash + 1 : missing;
    char *folder = ser_strndup(slash ? missing : ".", slash ? (size_t)(slash - missing) + 1 : 1);
    DIR *dir = folder ? opendir(folder) : NULL;
    *out = 0;
    for (const struct dirent *d; dir && (d = readdir(dir));)
        if (is_near(d->d_name, name) && (!*out || strcmp(d->d_name, out) < 0))
            snprintf(out, n_out, "%s", d->d_name);
    if (dir)
        closedir(dir);
    ser_free(folder);
}

static bool has_accents(const char *s)
{
    while (*s && !((unsigned char)*s & 0x80))
        s++;
    return *s;
}

static ser_status fail_missing(const manifest *m, ser_error *err)
{
    char near[256];
    struct stat link;
    const char *scheme = strstr(m->missing, "://");
    if (scheme)
        return ser_fail(err, SER_E_UNSUPPORTED,
                        "it lists addresses, '...%s' the first: fetch the recordings, and give their paths "
                        "relative to the CSV file",
                        scheme);
    if (lstat(m->missing, &link) == 0)
        return ser_fail(
            err, SER_E_IO,
            "%zu of the %zu files listed are missing, the first is '%s', a link to nothing: fetch "
            "its content, such as with git annex get",
            m->n_missing, m->csv->n_rows - 1, m->missing);
    find_near(near, sizeof near, m->missing);
    if (*near)
        return ser_fail(
            err, SER_E_IO,
            "%zu of the %zu files listed are missing, the first is '%s', where '%s' lies: give names "
            "as the files have them",
            m->n_missing, m->csv->n_rows - 1, m->missing, near);
    return ser_fail(
        err, SER_E_IO,
        "%zu of the %zu files listed are missing, the first is '%s': give paths relative to the CSV file%s",
        m->n_missing, m->csv->n_rows - 1, m->missing,
        !ser_text_is_utf8(m->missing) ? ", and save it as UTF-8 text"
        : has_accents(m->missing) ? "; of the two ways to write letters with accents, as the files have them"
                                  : "");
}

static ser_status read_rows(manifest *m, ser_error *err)
{
    ser_status st = SER_OK;
    for (size_t i = 1; st == SER_OK && i < m->csv->n_rows; i++) {
        char *const *row = m->csv->rows[i];
        char *file = row[m->at.file];
        if (ser_csv_is_blank(m->csv, i))
            continue;
        if (!file[strspn(file, " \t")])
            return ser_fail(err, SER_E_FORMAT, "row %zu names no file: complete or remove it", i + 1);
        st = add_row(m, file, row, i + 1, err);
    }
    return st == SER_OK && m->n_missing ? fail_missing(m, err) : st;
}

/* ---- rows that stand twice ---- */

static int compare_files(const void *a, const void *b)
{
    const ser_draft_row *x = a, *y = b;
    int order = ser_draft_compare_sound(x, y);
    return order ? order : (x->line > y->line) - (x->line < y->line);
}

static bool same_sound(const ser_draft_row *a, const ser_draft_row *b)
{
    return ser_draft_compare_sound(a, b) == 0;
}

static bool same_field(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_values(const ser_draft_row *a, const ser_draft_row *b)
{
    return same_field(a->label, b->label) && same_field(a->speaker, b->speaker) &&
           same_field(a->text, b->text) && a->fold == b->fold;
}

/* A row that repeats another is left out; one that says something else of the same recording is an error. */
static ser_status leave_out_repeated(manifest *m, ser_error *err)
{
    ser_draft *d = m->draft;
    if (d->n_rows == m->first)
        return SER_OK;
    qsort(d->rows + m->first, d->n_rows - m->first, sizeof *d->rows, compare_files);
    size_t n_kept = m->first;
    for (size_t i = m->first; i < d->n_rows; i++) {
        ser_draft_row *before = n_kept > m->first ? &d->rows[n_kept - 1] : NULL, *r = &d->rows[i];
        if (!before || !same_sound(before, r)) {
            if (n_kept != i) {
                d->rows[n_kept] = *r;
                *r = (ser_draft_row){0};
            }
            n_kept++;
            continue;
        }
        if (!same_values(before, r))
            return ser_fail(
                err, SER_E_FORMAT,
                "rows %zu and %zu name the same recording, '%s', with different values: remove one of them",
                before->line, r->line, r->file);
        m->first_repeated = m->n_repeated++ && m->first_repeated < r->line ? m->first_repeated : r->line;
        ser_draft_row_release(r);
    }
    d->n_rows = n_kept;
    return m->n_repeated
               ? ser_draft_warn(d, err, "rows that repeat another left out: %zu, the first is row %zu",
                                m->n_repeated, m->first_repeated)
               : SER_OK;
}

/* lists/mine.csv: lists/mine.votes.csv. */
static ser_status read_votes_beside(ser_draft *d, size_t first, const char *path, ser_error *err)
{
    ser_text table = {0};
    size_t n = strlen(path);
    ser_text_append_n(&table, path, n > 4 && strcasecmp(path + n - 4, ".csv") == 0 ? n - 4 : n);
    ser_text_append(&table, ".votes.csv");
    ser_status st = table.failed ? ser_fail_nomem(err) : ser_draft_read_votes(d, first, table.s, NULL, err);
    ser_text_release(&table);
    return st;
}

ser_status ser_draft_read_csv(ser_draft *d, const char *path, ser_error *err)
{
    ser_csv csv;
    const char *slash = strrchr(path, '/');
    char *root = ser_strndup(path, slash ? (size_t)(slash - path) + 1 : 0);
    manifest m = {.draft = d, .csv = &csv, .root = root, .first = d->n_rows};
    ser_status st = ser_csv_read(&csv, path, err);
    if (st == SER_OK && !root)
        st = ser_fail_nomem(err);
    if (st == SER_OK)
        st = find_columns(&m.at, &csv, d->is_target, err);
    if (st == SER_OK)
        st = read_rows(&m, err);
    if (st == SER_OK)
        st = leave_out_repeated(&m, err);
    if (st == SER_OK)
        st = ser_draft_warn_of_classes(d, m.first, err);
    if (st == SER_OK)
        st = read_votes_beside(d, m.first, path, err);
    ser_csv_release(&csv);
    ser_free(m.missing);
    ser_free(root);
    return st;
}
