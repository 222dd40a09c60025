/* A corpus being read: rows in any order, with their strings. Readers append rows; ser_draft_finish makes the
 * corpus. */
#ifndef SER_CORPUS_DRAFT_H
#define SER_CORPUS_DRAFT_H

#include "corpus/corpus.h"
#include <stdbool.h>

typedef struct ser_draft_row {
    char *name, *file, *path;
    char *label, *speaker, *text; /* NULL: unknown */
    int fold;                     /* -1: none */
} ser_draft_row;

/* A zeroed struct is an empty draft. */
typedef struct ser_draft {
    const char
        *part; /* of a joined corpus, or NULL: goes in front of names, files, speakers, texts, warnings */
    bool is_target; /* labels may be unknown: see ser_corpus_open_target */
    ser_draft_row *rows;
    size_t n_rows, rows_capacity;
    char **warnings;
    size_t n_warnings, warnings_capacity;
} ser_draft;

void ser_draft_release(ser_draft *d);

/* Copies all strings of row; name and path are made from root and row->file and must be NULL. label becomes
 * the project's name for the emotion where it is one of its spellings. */
ser_status ser_draft_add(ser_draft *d, const char *root, const ser_draft_row *row, ser_error *err);
ser_status ser_draft_warn(ser_draft *d, ser_error *err, const char *format, ...) SER_PRINTF(3, 4);

typedef enum ser_layout { SER_LAYOUT_EMODB, SER_LAYOUT_RAVDESS, SER_LAYOUT_BY_CONTENT } ser_layout;

/* All recordings below folder root. BY_CONTENT: EMO-DB or RAVDESS if it looks like one of them, else one
 * subfolder per emotion. */
ser_status ser_draft_read_folder(ser_draft *d, const char *root, ser_layout layout, ser_error *err);
/* The columns file, emotion and where they are there speaker, text, fold. */
ser_status ser_draft_read_csv(ser_draft *d, const char *path, ser_error *err);

/* Moves what it can out of *d. Checks names and labels. */
ser_status ser_draft_finish(ser_corpus **out, ser_draft *d, const char *name, ser_error *err);

#endif
