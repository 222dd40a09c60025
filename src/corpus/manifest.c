#include "base/memory.h"
#include "corpus/draft.h"
#include "io/csv.h"
#include "io/file.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct columns {
    int file, emotion, speaker, text, fold; /* -1: not there */
} columns;

static ser_status find_columns(columns *c, const ser_csv *csv, bool is_target, ser_error *err)
{
    *c = (columns){.file = ser_csv_column(csv, "file"),
                   .emotion = ser_csv_column(csv, "emotion"),
                   .speaker = ser_csv_column(csv, "speaker"),
                   .text = ser_csv_column(csv, "text"),
                   .fold = ser_csv_column(csv, "fold")};
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

static ser_status read_row(ser_draft *d, char *const *row, size_t number, const columns *c, const char *root,
                           ser_error *err)
{
    ser_draft_row r = {.file = field(row, c->file),
                       .label = field(row, c->emotion),
                       .speaker = field(row, c->speaker),
                       .text = field(row, c->text),
                       .fold = -1};
    if (!r.file || (!r.label && !d->is_target))
        return ser_fail(err, SER_E_FORMAT, "row %zu names no %s: complete or remove it", number,
                        r.file ? "emotion" : "file");
    const char *fold = field(row, c->fold);
    ser_status st = fold ? read_fold(&r.fold, fold, number, err) : SER_OK;
    return st == SER_OK ? ser_draft_add(d, root, &r, err) : st;
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
    ser_csv_release(&csv);
    ser_free(root);
    return st;
}
