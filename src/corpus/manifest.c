#include "base/memory.h"
#include "corpus/draft.h"
#include "io/csv.h"
#include "io/file.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

typedef struct columns {
    int file, emotion, speaker, sex, text, fold, votes; /* -1: not there */
} columns;

static ser_status find_columns(columns *c, const ser_csv *csv, bool is_target, ser_error *err)
{
    *c = (columns){.file = ser_csv_column(csv, "file"),
                   .emotion = ser_csv_column(csv, "emotion"),
                   .speaker = ser_csv_column(csv, "speaker"),
                   .sex = ser_csv_column(csv, "sex"),
                   .text = ser_csv_column(csv, "text"),
                   .fold = ser_csv_column(csv, "fold"),
                   .votes = ser_csv_column(csv, "votes")};
    if (c->sex < 0)
        c->sex = ser_csv_column(csv, "gender");
    if (c->file < 0 || (c->emotion < 0 && !is_target))
        return ser_fail(
            err, SER_E_FORMAT,
            "it has no column '%s': its first line has to name the columns file,emotion and, where "
            "they are known, speaker,text,fold",
            c->file < 0 ? "file" : "emotion");
    return SER_OK;
}

/* NULL for a column that is not there, and for an empty field. */
static char *field(char *const *row, int column)
{
    return column < 0 || !row[column][0] ? NULL : row[column];
}

static ser_status read_fold(int *fold, const char *text, size_t row, ser_error *err)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (*end || end == text || errno || value < 0 || value > INT_MAX)
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

static ser_status read_row(ser_draft *d, char *const *row, size_t number, const columns *c, const char *root,
                           ser_error *err)
{
    ser_draft_row r = {.file = field(row, c->file),
                       .label = field(row, c->emotion),
                       .speaker = field(row, c->speaker),
                       .sex = read_sex(field(row, c->sex)),
                       .text = field(row, c->text),
                       .fold = -1};
    if (!r.file || (!r.label && !d->is_target))
        return ser_fail(err, SER_E_FORMAT, "row %zu names no %s: complete or remove it", number,
                        r.file ? "emotion" : "file");
    const char *fold = field(row, c->fold), *votes = field(row, c->votes);
    ser_status st = fold ? read_fold(&r.fold, fold, number, err) : SER_OK;
    if (st == SER_OK)
        st = ser_draft_add(d, root, &r, err);
    return st == SER_OK && votes ? ser_draft_parse_votes(d, &d->rows[d->n_rows - 1], votes, number, err) : st;
}

static ser_status check_files(const ser_draft *d, size_t first, ser_error *err)
{
    const ser_draft_row *missing = NULL;
    size_t n_missing = 0;
    for (size_t i = first; i < d->n_rows; i++) {
        struct stat st;
        if (stat(d->rows[i].path, &st) == 0)
            continue;
        n_missing++;
        missing = missing ? missing : &d->rows[i];
    }
    if (!missing)
        return SER_OK;
    return ser_fail(
        err, SER_E_IO,
        "%zu of the %zu files listed are missing, the first is '%s': give paths relative to the CSV "
        "file",
        n_missing, d->n_rows - first, missing->path);
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
    columns c;
    size_t first = d->n_rows;
    const char *slash = strrchr(path, '/');
    char *root = ser_strndup(path, slash ? (size_t)(slash - path) + 1 : 0);
    ser_status st = ser_csv_read(&csv, path, err);
    if (st == SER_OK && !root)
        st = ser_fail_nomem(err);
    if (st == SER_OK)
        st = find_columns(&c, &csv, d->is_target, err);
    for (size_t i = 1; st == SER_OK && i < csv.n_rows; i++)
        st = read_row(d, csv.rows[i], i + 1, &c, root, err);
    if (st == SER_OK)
        st = check_files(d, first, err);
    if (st == SER_OK)
        st = read_votes_beside(d, first, path, err);
    ser_csv_release(&csv);
    ser_free(root);
    return st;
}
