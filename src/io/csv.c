#include "io/csv.h"
#include "base/memory.h"
#include "base/sniff.h"
#include "io/file.h"

#include <string.h>
#include <strings.h>

enum { MAX_BYTES = 1 << 28 };

/* Fields are unquoted in place: a field never becomes longer. */
typedef struct reader {
    char *at, *end; /* of the text; *end is 0 */
    size_t line;
    char separator;
    bool cr_ends_lines;
    char **fields; /* all rows', one after the other */
    size_t n_fields, capacity;
    ser_error *err;
} reader;

static bool at_line_end(const reader *r)
{
    return r->at == r->end || *r->at == '\n' ||
           (*r->at == '\r' && (r->cr_ends_lines || r->at + 1 == r->end || r->at[1] == '\n'));
}

static void skip_line_end(reader *r)
{
    bool is_cr = r->at < r->end && *r->at == '\r';
    r->at += is_cr;
    bool is_lf = r->at < r->end && *r->at == '\n';
    r->at += is_lf;
    r->line += is_lf || (is_cr && r->cr_ends_lines);
}

/* Behind "sep=;" and its line's end, as spreadsheets begin their files; or where *at is. */
static void skip_separator_line(reader *r)
{
    static const char *const separators = ",;\t";
    if (r->end - r->at < 5 || strncasecmp(r->at, "sep=", 4) != 0 || !strchr(separators, r->at[4]))
        return;
    char separator = r->at[4], *before = r->at;
    r->at += 5;
    if (at_line_end(r) && r->at < r->end) {
        r->separator = separator;
        skip_line_end(r);
    } else {
        r->at = before;
    }
}

/* What stands between the fields of the first line that is not empty: of the usual separators the most
 * frequent. */
static char find_separator(const reader *r)
{
    size_t n_commas = 0, n_semicolons = 0, n_tabs = 0;
    reader ahead = *r;
    while (ahead.at < ahead.end && at_line_end(&ahead))
        skip_line_end(&ahead);
    for (bool quoted = false; ahead.at < ahead.end && (quoted || !at_line_end(&ahead)); ahead.at++) {
        quoted = quoted != (*ahead.at == '"');
        n_commas += !quoted && *ahead.at == ',';
        n_semicolons += !quoted && *ahead.at == ';';
        n_tabs += !quoted && *ahead.at == '\t';
    }
    if (n_commas >= n_semicolons && n_commas >= n_tabs)
        return ',';
    return n_semicolons >= n_tabs ? ';' : '\t';
}

/* Behind the opening quote; *end is where the field's text ends afterwards. */
static ser_status read_quoted(reader *r, char **end)
{
    char *to = r->at;
    size_t first_line = r->line;
    for (;; r->at++) {
        if (r->at == r->end)
            return ser_fail(r->err, SER_E_FORMAT, "the quote opened in line %zu is never closed: add it",
                            first_line);
        if (*r->at == '"' && *++r->at != '"')
            break;
        r->line += *r->at == '\n';
        *to++ = *r->at;
    }
    *end = to;
    if (*r->at != r->separator && !at_line_end(r))
        return ser_fail(r->err, SER_E_FORMAT,
                        "line %zu has text behind a closing quote: write quotes inside a field twice",
                        r->line);
    return SER_OK;
}

/* One field; *last: it ends its row. */
static ser_status read_field(reader *r, bool *last)
{
    char *field = r->at, *end = field;
    if (*field == '"') {
        field = ++r->at;
        ser_status status = read_quoted(r, &end);
        if (status != SER_OK)
            return status;
    } else {
        while (*r->at != r->separator && !at_line_end(r))
            r->at++;
        end = r->at;
    }
    *last = at_line_end(r);
    if (*last)
        skip_line_end(r);
    else
        r->at++;
    *end = 0; /* only now: it may be where the separator was */
    if (!ser_grow(&r->fields, &r->capacity, r->n_fields + 1, sizeof *r->fields))
        return ser_fail_nomem(r->err);
    r->fields[r->n_fields++] = field;
    return SER_OK;
}

static ser_status read_rows(reader *r, size_t *n_rows, size_t *n_columns)
{
    while (r->at < r->end) {
        if (at_line_end(r)) { /* an empty line is no row */
            skip_line_end(r);
            continue;
        }
        size_t line = r->line, n_before = r->n_fields;
        for (bool last = false; !last;) {
            ser_status status = read_field(r, &last);
            if (status != SER_OK)
                return status;
        }
        size_t n = r->n_fields - n_before;
        if (!(*n_rows)++)
            *n_columns = n;
        if (n != *n_columns)
            return ser_fail(r->err, SER_E_FORMAT,
                            "line %zu has %zu fields, the first line has %zu: make them equal", line, n,
                            *n_columns);
    }
    if (!*n_rows)
        return ser_fail(r->err, SER_E_FORMAT, "it is empty: it needs a line with the names of the columns");
    return SER_OK;
}

/* A list or an object of something in quotes or brackets; a column may be called "[id]". */
static bool is_json(const char *bytes, size_t n)
{
    size_t at = 1;
    while (at < n && bytes[at] && strchr(" \t\r\n", bytes[at]))
        at++;
    return at < n && (*bytes == '{' || *bytes == '[') && bytes[at] && strchr("\"{[", bytes[at]);
}

/* What is given in place of a table, and what to do about it; NULL: nothing is known of it. */
static const char *other_form(const char *bytes, size_t n)
{
    static const struct {
        const char *begins;
        size_t n;
        const char *advice;
    } forms[] = {
        {"\xd0\xcf\x11\xe0", 4, "it is an Excel workbook: save it as CSV UTF-8"},
        {"\x1f\x8b", 2, "it is compressed (gzip): unpack it first"},
        {"\xff\xfe", 2, "it is UTF-16 text: save it as UTF-8 text"},
        {"\xfe\xff", 2, "it is UTF-16 text: save it as UTF-8 text"},
    };
    enum { LOOKED_AT = 4096 }; /* of an archive, in which the names of the first files stand */
    if (n >= 4 && memcmp(bytes, "PK\3\4", 4) == 0) {
        size_t n_head = n < LOOKED_AT ? n : LOOKED_AT;
        bool is_sheet = memmem(bytes, n_head, "[Content_Types].xml", 19) ||
                        memmem(bytes, n_head, "opendocument.spreadsheet", 24) ||
                        memmem(bytes, n_head, "xl/", 3);
        return is_sheet ? "it is a workbook of Excel or LibreOffice: save it as CSV UTF-8"
                        : "it is an archive (ZIP): unpack it first";
    }
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (n >= forms[i].n && memcmp(bytes, forms[i].begins, forms[i].n) == 0)
            return forms[i].advice;
    if (is_json(bytes, n))
        return "it is JSON: write it as CSV, such as with to_csv of pandas";
    if (n >= 4 && memcmp(bytes, "PAR1", 4) == 0 &&
        memchr(bytes, 0, n)) /* as text it may be a column's name */
        return "it is Parquet: write it as CSV, such as with to_csv of pandas";
    return ser_is_web_page(bytes, n) ? "it is a web page, no table: fetch the file itself"
                                     : ser_pointer_advice(bytes, n);
}

ser_status ser_csv_read_memory(ser_csv *out, const char *bytes, size_t n, ser_error *err)
{
    *out = (ser_csv){0};
    if (n >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0) { /* byte order mark */
        bytes += 3;
        n -= 3;
    }
    const char *advice = n ? other_form(bytes, n) : NULL;
    if (advice)
        return ser_fail(err, SER_E_FORMAT, "%s", advice);
    if (n && memchr(bytes, 0, n))
        return ser_fail(err, SER_E_FORMAT, "it has a 0 byte: save it as UTF-8 text");
    out->text = ser_strndup(n ? bytes : "", n);
    if (!out->text)
        return ser_fail_nomem(err);
    reader r = {.at = out->text,
                .end = out->text + n,
                .line = 1,
                .cr_ends_lines = n && !memchr(out->text, '\n', n),
                .err = err};
    skip_separator_line(&r);
    if (!r.separator)
        r.separator = find_separator(&r);
    ser_status status = read_rows(&r, &out->n_rows, &out->n_columns);
    if (status == SER_OK && !(out->rows = ser_alloc(out->n_rows, sizeof *out->rows)))
        status = ser_fail_nomem(err);
    if (status != SER_OK) {
        ser_free(r.fields);
        out->n_rows = 0;
        ser_csv_release(out);
        return status;
    }
    for (size_t i = 0; i < out->n_rows; i++)
        out->rows[i] = r.fields + i * out->n_columns;
    return SER_OK;
}

ser_status ser_csv_read(ser_csv *out, const char *path, ser_error *err)
{
    *out = (ser_csv){0};
    ser_bytes bytes;
    ser_status status = ser_io_read(&bytes, path, MAX_BYTES, err);
    if (status == SER_OK)
        status = ser_csv_read_memory(out, (const char *)bytes.data, bytes.n, err);
    ser_bytes_release(&bytes);
    return status;
}

void ser_csv_release(ser_csv *c)
{
    if (c->n_rows)
        ser_free(c->rows[0]); /* all fields are one block */
    ser_free(c->rows);
    ser_free(c->text);
    *c = (ser_csv){0};
}

/* Whether a column is called name: exactly, or but for case and blanks around it. */
static bool is_called(const char *column, const char *name, bool exactly)
{
    if (exactly)
        return strcmp(column, name) == 0;
    size_t n = strlen(name);
    column += strspn(column, " \t");
    return strncasecmp(column, name, n) == 0 && !column[n + strspn(column + n, " \t")];
}

int ser_csv_column(const ser_csv *c, const char *name)
{
    for (int exactly = 1; exactly >= 0; exactly--)
        for (size_t j = 0; c->n_rows && j < c->n_columns; j++)
            if (is_called(c->rows[0][j], name, exactly))
                return (int)j;
    return -1;
}

bool ser_csv_is_twice(const ser_csv *c, const char *name)
{
    int first = ser_csv_column(c, name);
    bool exactly = first >= 0 && strcmp(c->rows[0][first], name) == 0, twice = false;
    for (size_t j = (size_t)(first + 1); first >= 0 && j < c->n_columns; j++)
        twice = twice || is_called(c->rows[0][j], name, exactly);
    return twice;
}

bool ser_csv_is_blank(const ser_csv *c, size_t row)
{
    for (size_t j = 0; j < c->n_columns; j++)
        if (c->rows[row][j][strspn(c->rows[row][j], " \t")])
            return false;
    return true;
}

void ser_csv_append_columns(ser_text *t, const ser_csv *c)
{
    size_t n_named = c->n_columns < 20 ? c->n_columns : 20;
    for (size_t j = 0; c->n_rows && j < n_named; j++)
        ser_text_appendf(t, "%s%.40s", j ? ", " : "", c->rows[0][j]);
    ser_text_append(t, c->n_rows && n_named < c->n_columns ? ", ..." : "");
}

void ser_csv_append_field(ser_text *t, const char *field)
{
    if (!strpbrk(field, ",;\t\"\r\n")) {
        ser_text_append(t, field);
        return;
    }
    ser_text_append(t, "\"");
    for (const char *quote; (quote = strchr(field, '"')); field = quote + 1) {
        ser_text_append_n(t, field, (size_t)(quote - field) + 1);
        ser_text_append(t, "\"");
    }
    ser_text_append(t, field);
    ser_text_append(t, "\"");
}
