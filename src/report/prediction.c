#include "report/prediction.h"
#include "io/csv.h"
#include "report/escape.h"

#include <math.h>

const char *ser_note_text(ser_note note)
{
    switch (note) {
    case SER_NOTE_SILENCE:
        return "silence";
    case SER_NOTE_NO_VOICE:
        return "no voice";
    case SER_NOTE_NONE:
        break;
    }
    return NULL;
}

static float confidence_of(const ser_prediction_form *form, int label, const float *scores)
{
    return label >= 0 && (size_t)label < form->n_labels ? scores[label] : 0;
}

/* NULL without a label. */
static const char *label_of(const ser_prediction_form *form, int label, const float *scores)
{
    if (label < 0 || (size_t)label >= form->n_labels)
        return NULL;
    return confidence_of(form, label, scores) < form->min_confidence ? "uncertain" : form->labels[label];
}

/* Nine digits give back the same float, so that printed scores add up as well as the computed ones. */
static void append_float(ser_text *t, float x)
{
    if (isfinite(x))
        ser_text_appendf(t, "%.9g", (double)x);
    else
        ser_text_append(t, "null");
}

static void append_answer(ser_text *t, const ser_prediction_form *form, int label, const float *scores)
{
    const char *name = label_of(form, label, scores);
    ser_text_append(t, "\"label\": ");
    if (!name) {
        ser_text_append(t, "null, \"confidence\": 0, \"scores\": null");
        return;
    }
    ser_append_json(t, name);
    ser_text_append(t, ", \"confidence\": ");
    append_float(t, scores[label]);
    ser_text_append(t, ", \"scores\": {");
    for (size_t i = 0; i < form->n_labels; i++) {
        ser_text_append(t, i ? ", " : "");
        ser_append_json(t, form->labels[i]);
        ser_text_append(t, ": ");
        append_float(t, scores[i]);
    }
    ser_text_append(t, "}");
}

void ser_prediction_json(ser_text *t, const ser_prediction_form *form, const char *file, const ser_result *r)
{
    ser_text_append(t, "{\"file\": ");
    ser_append_json(t, file);
    ser_text_appendf(t, ", \"duration\": %.3f, ", r->duration_s);
    append_answer(t, form, r->label, r->scores);
    if (ser_note_text(r->note))
        ser_text_appendf(t, ", \"note\": \"%s\"", ser_note_text(r->note));
    if (form->timeline) {
        ser_text_append(t, ", \"segments\": [");
        for (size_t i = 0; i < r->n_segments; i++) {
            const ser_segment *s = &r->segments[i];
            ser_text_appendf(t, "%s{\"start\": %.3f, \"end\": %.3f, ", i ? ", " : "", s->start_s, s->end_s);
            append_answer(t, form, s->label, s->scores);
            ser_text_append(t, "}");
        }
        ser_text_append(t, "]");
    }
    ser_text_append(t, "}\n");
}

void ser_prediction_json_error(ser_text *t, const char *file, const char *error)
{
    ser_text_append(t, "{\"file\": ");
    ser_append_json(t, file);
    ser_text_append(t, ", \"error\": ");
    ser_append_json(t, error);
    ser_text_append(t, "}\n");
}

/* A reader that expects UTF-8 would give up on the whole file because of one name that is not. */
static void append_field(ser_text *t, const char *s)
{
    ser_text clean = {0};
    uint32_t c;
    while ((c = ser_utf8_next(&s)) != 0)
        ser_utf8_append(&clean, c);
    t->failed |= clean.failed;
    ser_csv_append_field(t, clean.n ? clean.s : "");
    ser_text_release(&clean);
}

void ser_prediction_csv_header(ser_text *t, const ser_prediction_form *form)
{
    ser_text_append(t, "file,duration,label,confidence,");
    for (size_t i = 0; i < form->n_labels; i++) {
        append_field(t, form->labels[i]);
        ser_text_append(t, ",");
    }
    ser_text_append(t, "note,error\n");
}

void ser_prediction_csv(ser_text *t, const ser_prediction_form *form, const char *file, const ser_result *r)
{
    const char *label = label_of(form, r->label, r->scores), *note = ser_note_text(r->note);
    append_field(t, file);
    ser_text_appendf(t, ",%.3f,", r->duration_s);
    append_field(t, label ? label : "");
    ser_text_append(t, ",");
    append_float(t, confidence_of(form, r->label, r->scores));
    for (size_t i = 0; i < form->n_labels; i++) {
        ser_text_append(t, ",");
        if (label)
            append_float(t, r->scores[i]);
    }
    ser_text_appendf(t, ",%s,\n", note ? note : "");
}

void ser_prediction_csv_error(ser_text *t, const ser_prediction_form *form, const char *file,
                              const char *error)
{
    append_field(t, file);
    ser_text_append(t, ",,,");
    for (size_t i = 0; i < form->n_labels; i++)
        ser_text_append(t, ",");
    ser_text_append(t, ",,");
    append_field(t, error);
    ser_text_append(t, "\n");
}

/* "angry 93 %", or the note where there is no label, in a field as wide where padded. */
static void append_label(ser_text *t, const ser_prediction_form *form, int label, const float *scores,
                         size_t width, const char *note, bool padded)
{
    enum { PERCENT = 6 };
    const char *name = label_of(form, label, scores);
    if (!name) {
        ser_append_left(t, note, padded ? width + PERCENT : 0, form->style);
        return;
    }
    ser_append_bold(t, form->style);
    ser_append_left(t, name, width, form->style);
    ser_append_plain(t, form->style);
    ser_text_appendf(t, " %3.0f %%", 100.0 * (double)scores[label]);
}

static void append_bars(ser_text *t, const ser_prediction_form *form, const ser_result *r, size_t width)
{
    enum { BAR = 40, AROUND = 12 };
    size_t room = form->style.width > width + AROUND ? form->style.width - width - AROUND : 1;
    for (size_t i = 0; i < form->n_labels; i++) {
        bool best = (int)i == r->label;
        ser_text_append(t, "  ");
        if (best)
            ser_append_bold(t, form->style);
        ser_append_left(t, form->labels[i], width, form->style);
        ser_text_append(t, " ");
        ser_append_bar(t, r->scores[i], room < BAR ? room : BAR, form->style);
        ser_text_appendf(t, " %5.1f %%", 100.0 * (double)r->scores[i]);
        if (best)
            ser_append_plain(t, form->style);
        ser_text_append(t, "\n");
    }
}

static void append_time(ser_text *t, double seconds)
{
    long tenths = lround(seconds * 10);
    if (tenths < 36000)
        ser_text_appendf(t, "%5ld:%02ld.%ld", tenths / 600, tenths / 10 % 60, tenths % 10);
    else
        ser_text_appendf(t, "%2ld:%02ld:%02ld.%ld", tenths / 36000, tenths / 600 % 60, tenths / 10 % 60,
                         tenths % 10);
}

void ser_prediction_text(ser_text *t, const ser_prediction_form *form, const char *file, const ser_result *r)
{
    enum { LONGEST = 20 };
    size_t width = 9; /* "uncertain" */
    for (size_t i = 0; i < form->n_labels; i++)
        width = ser_columns(form->labels[i]) > width ? ser_columns(form->labels[i]) : width;
    width = width < LONGEST ? width : LONGEST;
    const char *note = ser_note_text(r->note);
    append_label(t, form, r->label, r->scores, width, note ? note : "no label", true);
    ser_text_appendf(t, "  %7.2f s  ", r->duration_s);
    ser_append_line(t, file, 0, form->style.utf8);
    ser_text_append(t, "\n");
    if (form->bars && r->label >= 0)
        append_bars(t, form, r, width);
    for (size_t i = 0; form->timeline && i < r->n_segments; i++) {
        const ser_segment *s = &r->segments[i];
        ser_text_append(t, "  ");
        append_time(t, s->start_s);
        ser_text_append(t, form->style.utf8 ? " – " : " - ");
        append_time(t, s->end_s);
        ser_text_append(t, "  ");
        append_label(t, form, s->label, s->scores, width, "no voice", false);
        ser_text_append(t, "\n");
    }
}
