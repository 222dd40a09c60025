#include "corpus/draft.h"
#include "base/memory.h"
#include "base/text.h"
#include "io/file.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static void free_strings(char **strings, size_t n)
{
    for (size_t i = 0; strings && i < n; i++)
        ser_free(strings[i]);
    ser_free(strings);
}

static void release_row(ser_draft_row *r)
{
    ser_free(r->name);
    ser_free(r->file);
    ser_free(r->path);
    ser_free(r->label);
    ser_free(r->speaker);
    ser_free(r->text);
}

void ser_draft_release(ser_draft *d)
{
    for (size_t i = 0; i < d->n_rows; i++)
        release_row(&d->rows[i]);
    ser_free(d->rows);
    free_strings(d->warnings, d->n_warnings);
    *d = (ser_draft){0};
}

static char *base_name(const char *file)
{
    const char *slash = strrchr(file, '/'), *base = slash ? slash + 1 : file, *dot = strrchr(base, '.');
    return ser_strndup(base, dot > base ? (size_t)(dot - base) : strlen(base));
}

/* "part/s", or s where nothing is joined. Takes s over; NULL (no memory) stays NULL. */
static char *within_part(const ser_draft *d, char *s)
{
    if (!s || !d->part)
        return s;
    char *joined = ser_io_join(d->part, s);
    ser_free(s);
    return joined;
}

ser_status ser_draft_add(ser_draft *d, const char *root, const ser_draft_row *row, ser_error *err)
{
    if (!ser_grow(&d->rows, &d->rows_capacity, d->n_rows + 1, sizeof *d->rows))
        return ser_fail_nomem(err);
    const char *emotion = row->label ? ser_emotion_from_spelling(row->label) : NULL;
    ser_draft_row *copy = &d->rows[d->n_rows++];
    *copy = (ser_draft_row){
        .name = within_part(d, base_name(row->file)),
        .file = within_part(d, ser_strdup(row->file)),
        .path = ser_io_join(root, row->file),
        .label = row->label ? ser_strdup(emotion ? emotion : row->label) : NULL,
        .speaker = row->speaker ? within_part(d, ser_strdup(row->speaker)) : NULL,
        .text = row->text ? within_part(d, ser_strdup(row->text)) : NULL,
        .fold = row->fold,
    };
    if (!copy->name || !copy->file || !copy->path || !copy->label != !row->label ||
        !copy->speaker != !row->speaker || !copy->text != !row->text)
        return ser_fail_nomem(err);
    return SER_OK;
}

ser_status ser_draft_warn(ser_draft *d, ser_error *err, const char *format, ...)
{
    ser_text line = {0};
    va_list args;
    char text[512];
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    ser_text_appendf(&line, "%s%s%s", d->part ? d->part : "", d->part ? ": " : "", text);
    if (line.failed ||
        !ser_grow(&d->warnings, &d->warnings_capacity, d->n_warnings + 1, sizeof *d->warnings)) {
        ser_text_release(&line);
        return ser_fail_nomem(err);
    }
    d->warnings[d->n_warnings++] = line.s;
    return SER_OK;
}

static int compare_rows(const void *a, const void *b)
{
    const ser_draft_row *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    return order ? order : strcmp(x->file, y->file);
}

static int compare_strings(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The different strings among values (n; NULLs are left out), in alphabetical order. */
static ser_status list_different(char ***out, size_t *n_out, char *const *values, size_t n, ser_error *err)
{
    char **list = ser_alloc(n, sizeof *list);
    if (!list)
        return ser_fail_nomem(err);
    size_t n_values = 0, n_different = 0;
    for (size_t i = 0; i < n; i++)
        if (values[i])
            list[n_values++] = values[i];
    if (n_values)
        qsort(list, n_values, sizeof *list, compare_strings);
    for (size_t i = 0; i < n_values; i++)
        if (!n_different || strcmp(list[i], list[n_different - 1]) != 0)
            list[n_different++] = list[i];
    *out = list;
    for (*n_out = 0; *n_out < n_different; ++*n_out)
        if (!(list[*n_out] = ser_strdup(list[*n_out])))
            return ser_fail_nomem(err);
    return SER_OK;
}

/* The lists of different labels, speakers and texts. */
static ser_status make_lists(ser_corpus *c, const ser_draft *d, ser_error *err)
{
    size_t n = d->n_rows;
    char **values = ser_alloc(n, sizeof *values);
    if (!values)
        return ser_fail_nomem(err);
    for (size_t i = 0; i < n; i++)
        values[i] = d->rows[i].label;
    ser_status st = list_different(&c->labels, &c->n_labels, values, n, err);
    for (size_t i = 0; i < n; i++)
        values[i] = d->rows[i].speaker;
    if (st == SER_OK)
        st = list_different(&c->speakers, &c->n_speakers, values, n, err);
    for (size_t i = 0; i < n; i++)
        values[i] = d->rows[i].text;
    if (st == SER_OK)
        st = list_different(&c->texts, &c->n_texts, values, n, err);
    ser_free(values);
    return st;
}

static int index_of(const char *value, char **list, size_t n)
{
    if (!value)
        return -1;
    char **found = bsearch(&value, list, n, sizeof *list, compare_strings);
    return (int)(found - list);
}

static ser_status check_labels(const ser_corpus *c, size_t n_rows, bool is_target, ser_error *err)
{
    if (c->n_labels < 2 && !is_target)
        return ser_fail(err, SER_E_FORMAT,
                        "all of its %zu recordings are '%s': at least two emotions are needed", n_rows,
                        c->labels[0]);
    if (c->n_labels > SER_MAX_LABELS)
        return ser_fail(err, SER_E_UNSUPPORTED,
                        "it has %zu different emotions, such as '%s' and '%s': merge them to at most %d",
                        c->n_labels, c->labels[0], c->labels[1], SER_MAX_LABELS);
    return SER_OK;
}

static ser_status check_names(const ser_draft *d, ser_error *err)
{
    for (size_t i = 1; i < d->n_rows; i++) {
        const ser_draft_row *a = &d->rows[i - 1], *b = &d->rows[i];
        if (strcmp(a->name, b->name) == 0)
            return ser_fail(err, SER_E_FORMAT,
                            "two recordings are called '%s', %s and %s: rename one, or leave it out", a->name,
                            a->file, b->file);
    }
    return SER_OK;
}

ser_status ser_draft_finish(ser_corpus **out, ser_draft *d, const char *name, ser_error *err)
{
    *out = NULL;
    if (!d->n_rows)
        return ser_fail(err, SER_E_FORMAT, "it lists no recordings: add some");
    qsort(d->rows, d->n_rows, sizeof *d->rows, compare_rows);
    ser_status st = check_names(d, err);
    if (st != SER_OK)
        return st;
    ser_corpus *c = ser_alloc(1, sizeof *c);
    if (!c || !(c->name = ser_strdup(name)) || !(c->utterances = ser_alloc(d->n_rows, sizeof *c->utterances)))
        st = ser_fail_nomem(err);
    if (st == SER_OK)
        st = make_lists(c, d, err);
    if (st == SER_OK)
        st = check_labels(c, d->n_rows, d->is_target, err);
    if (st != SER_OK) {
        ser_corpus_free(&c);
        return st;
    }
    for (size_t i = 0; i < d->n_rows; i++) {
        ser_draft_row *r = &d->rows[i];
        c->utterances[i] = (ser_utterance){.name = r->name,
                                           .file = r->file,
                                           .path = r->path,
                                           .label = index_of(r->label, c->labels, c->n_labels),
                                           .speaker = index_of(r->speaker, c->speakers, c->n_speakers),
                                           .text = index_of(r->text, c->texts, c->n_texts),
                                           .fold = r->fold};
        r->name = r->file = r->path = NULL;
    }
    c->n_utterances = d->n_rows;
    c->warnings = d->warnings;
    c->n_warnings = d->n_warnings;
    d->warnings = NULL;
    d->n_warnings = d->warnings_capacity = 0;
    *out = c;
    return SER_OK;
}

void ser_corpus_free(ser_corpus **corpus)
{
    ser_corpus *c = *corpus;
    if (!c)
        return;
    for (size_t i = 0; i < c->n_utterances; i++) {
        ser_free(c->utterances[i].name);
        ser_free(c->utterances[i].file);
        ser_free(c->utterances[i].path);
    }
    ser_free(c->utterances);
    free_strings(c->labels, c->n_labels);
    free_strings(c->speakers, c->n_speakers);
    free_strings(c->texts, c->n_texts);
    free_strings(c->warnings, c->n_warnings);
    ser_free(c->name);
    ser_free(c);
    *corpus = NULL;
}
