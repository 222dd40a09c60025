#include "corpus/draft.h"
#include "base/memory.h"
#include "base/text.h"
#include "io/file.h"

#include <stdarg.h>
#include <string.h>

void ser_draft_row_release(ser_draft_row *r)
{
    ser_free(r->name);
    ser_free(r->file);
    ser_free(r->path);
    ser_free(r->label);
    ser_free(r->speaker);
    ser_free(r->text);
    ser_free(r->votes);
    *r = (ser_draft_row){0};
}

void ser_draft_release(ser_draft *d)
{
    for (size_t i = 0; i < d->n_rows; i++)
        ser_draft_row_release(&d->rows[i]);
    ser_free(d->rows);
    for (size_t i = 0; i < d->n_parts; i++)
        ser_free(d->parts[i].name);
    ser_free(d->parts);
    for (size_t i = 0; i < d->n_voted; i++)
        ser_free(d->voted[i]);
    ser_io_free_list(d->warnings, d->n_warnings);
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
        .part = d->n_parts ? (int)d->n_parts - 1 : 0,
        .sex = row->sex,
        .start_s = row->start_s,
        .end_s = row->end_s,
        .line = row->line,
    };
    if (!copy->name || !copy->file || !copy->path || !copy->label != !row->label ||
        !copy->speaker != !row->speaker || !copy->text != !row->text)
        return ser_fail_nomem(err);
    return SER_OK;
}

ser_status ser_draft_begin_part(ser_draft *d, const char *name, ser_error *err)
{
    if (!ser_grow(&d->parts, &d->parts_capacity, d->n_parts + 1, sizeof *d->parts) ||
        !(d->parts[d->n_parts].name = ser_strdup(name)))
        return ser_fail_nomem(err);
    d->n_parts++;
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
