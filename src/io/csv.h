/* CSV as of RFC 4180: quotes, commas and line breaks in quotes; CR LF or LF; a UTF-8 byte order mark is
 * skipped. And as spreadsheets write it: semicolons or tabs for commas, where the first line has more of
 * them, or the line "sep=;" says so; CR alone, where there is no LF at all. */
#ifndef SER_IO_CSV_H
#define SER_IO_CSV_H

#include "base/status.h"
#include "base/text.h"
#include <stdbool.h>

typedef struct ser_csv {
    char ***rows; /* rows[i][j]: 0-terminated; every row has n_columns fields; row 0 is the header */
    size_t n_rows, n_columns;
    char *text; /* holds the fields */
} ser_csv;

/* Every row must be as wide as the first (SER_E_FORMAT names the line); a 0 byte is refused. */
ser_status ser_csv_read(ser_csv *out, const char *path, ser_error *err);
ser_status ser_csv_read_memory(ser_csv *out, const char *bytes, size_t n, ser_error *err);
void ser_csv_release(ser_csv *c);
/* The column called so, else the first that is but for case and blanks around it; -1: none. */
int ser_csv_column(const ser_csv *c, const char *name);
/* Whether another column is called so just as well. */
bool ser_csv_is_twice(const ser_csv *c, const char *name);
/* Whether all fields of a row are empty or blanks, as spreadsheets leave them behind the last row. */
bool ser_csv_is_blank(const ser_csv *c, size_t row);
/* What the columns are called, "file, label", for messages. */
void ser_csv_append_columns(ser_text *t, const ser_csv *c);
/* Appends one field, quoted where needed. */
void ser_csv_append_field(ser_text *t, const char *field);

#endif
