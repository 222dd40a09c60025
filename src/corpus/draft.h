/* A corpus being read: rows in any order, with their strings. Readers append rows; ser_draft_finish makes the
 * corpus. */
#ifndef SER_CORPUS_DRAFT_H
#define SER_CORPUS_DRAFT_H

#include "corpus/known.h"

typedef struct ser_draft_row {
    char *name, *file, *path;
    char *label, *speaker, *text; /* NULL: unknown */
    int fold;                     /* -1: none */
    int part;                     /* ser_draft_add sets it */
    ser_sex sex;                  /* of the speaker, where the corpus says it */
    double start_s, end_s;        /* as in ser_utterance */
    size_t line;                  /* of the table that names it, from 1; 0: none does */
    float *votes;                 /* (SER_MAX_LABELS): of the draft's voted emotions; NULL: none */
} ser_draft_row;

typedef struct ser_draft_part {
    char *name;
    const ser_known_corpus *known; /* whose layout it has, or NULL */
} ser_draft_part;

/* A zeroed struct is an empty draft. */
typedef struct ser_draft {
    const char
        *part; /* of a joined corpus, or NULL: goes in front of names, files, speakers, texts, warnings */
    bool is_target; /* labels may be unknown: see ser_corpus_open_target */
    ser_draft_row *rows;
    size_t n_rows, rows_capacity;
    ser_draft_part *parts;
    size_t n_parts, parts_capacity;
    char *voted[SER_MAX_LABELS]; /* emotions that somebody was asked about */
    size_t n_voted;
    char **warnings;
    size_t n_warnings, warnings_capacity;
} ser_draft;

void ser_draft_release(ser_draft *d);
void ser_draft_row_release(ser_draft_row *r);

/* Copies all strings of row; name and path are made from root and row->file and must be NULL. label becomes
 * the project's name for the emotion where it is one of its spellings. */
ser_status ser_draft_add(ser_draft *d, const char *root, const ser_draft_row *row, ser_error *err);
ser_status ser_draft_warn(ser_draft *d, ser_error *err, const char *format, ...) SER_PRINTF(3, 4);

/* Of the rows from first on, which labels are no emotion's name: numbers that stand for them, a column of
 * another meaning, slips of the pen. Nothing of a target, of which that may be of no matter. */
ser_status ser_draft_warn_of_classes(ser_draft *d, size_t first, ser_error *err);

/* The rows that follow belong to the corpus of this name. */
ser_status ser_draft_begin_part(ser_draft *d, const char *name, ser_error *err);
/* All recordings below folder root, in the layout of a known corpus. NULL: of the one that it looks like,
 * else one subfolder per emotion. */
ser_status ser_draft_read_folder(ser_draft *d, const char *root, const ser_known_corpus *layout,
                                 ser_error *err);
/* The columns file, emotion and where they are there speaker, sex, text, fold, votes. */
ser_status ser_draft_read_csv(ser_draft *d, const char *path, ser_error *err);

/* In annotated.c: a TextGrid, whose recording lies beside it under the same name; its tier "emotion", or its
 * only one, says the emotions. Intervals without text are left out. */
ser_status ser_draft_read_textgrid(ser_draft *d, const char *path, ser_error *err);
bool ser_draft_is_textgrid(const char *path);
/* Those below folder root that have a tier "emotion"; *found: whether there are any. */
ser_status ser_draft_read_textgrids(ser_draft *d, const char *root, bool *found, ser_error *err);

/* Of a folder's files (n, in byte order), leaves out those that lie in it a second time, in a copy of the
 * folder inside itself, in copies.c. */
ser_status ser_draft_leave_out_nested(ser_draft *d, char **files, size_t *n, const char *root,
                                      ser_error *err);
/* Of the rows from first on, of a folder, leaves out what lies there a second time, in copies.c. known: as
 * above. */
ser_status ser_draft_leave_out_copies(ser_draft *d, size_t first, const ser_known_corpus *known,
                                      ser_error *err);

/* Votes of listeners, in votes.c. A column's field, such as "angry:3 sad:1"; number: of the row. */
ser_status ser_draft_parse_votes(ser_draft *d, ser_draft_row *r, const char *field, size_t number,
                                 ser_error *err);
/* The table at path, if there is one, for the rows from first on: CSV with the columns utterance and one per
 * emotion. misnamed: as in ser_known_corpus, or NULL. */
ser_status ser_draft_read_votes(ser_draft *d, size_t first, const char *path, const char *const *misnamed,
                                ser_error *err);

/* In names.c. Sorts the rows by name: the base name of the file, or its path without extension where several
 * have that; no name is left twice. */
ser_status ser_draft_name_rows(ser_draft *d, ser_error *err);
/* By file and stretch. */
int ser_draft_compare_sound(const ser_draft_row *a, const ser_draft_row *b);
/* Labels that differ in case or blanks alone become one, and speakers of one part that differ in case. */
ser_status ser_draft_merge_classes(ser_draft *d, ser_error *err);
ser_status ser_draft_merge_speakers(ser_draft *d, ser_error *err);

/* Moves what it can out of *d. Checks names and labels. Where no part was begun, parts are told by name, as
 * ser_corpus_open joins them: "EMODB+mine". */
ser_status ser_draft_finish(ser_corpus **out, ser_draft *d, const char *name, ser_error *err);

#endif
