#include "report/prediction.h"
#include "io/json.h"
#include "report/acoustics.h"
#include "report/escape.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* NULL for SER_NOTE_NONE. */
static const char *note_text(ser_note note)
{
    switch (note) {
    case SER_NOTE_SILENCE:
        return "silence";
    case SER_NOTE_NO_VOICE:
        return "no voice";
    case SER_NOTE_UNLIKE:
        return "unlike the training recordings";
    case SER_NOTE_NONE:
        break;
    }
    return NULL;
}

static float confidence_of(const ser_prediction_form *form, int label, const float *scores)
{
    return label >= 0 && (size_t)label < form->n_labels ? scores[label] : 0;
}

const char *ser_prediction_label(const ser_prediction_form *form, int label, const float *scores)
{
    if (label < 0 || (size_t)label >= form->n_labels)
        return NULL;
    return (double)scores[label] < form->min_confidence[label] ? "uncertain" : form->labels[label];
}

static void append_float(ser_text *t, float x)
{
    if (isfinite(x))
        ser_text_appendf(t, "%.9g", (double)x);
}

/* ---- JSON ---- */

/* To the millisecond. */
static json_t *json_time(double s)
{
    return ser_number_json(round(s * 1000) / 1000);
}

/* label, confidence and scores of an object. */
static void add_answer(json_t **object, const ser_prediction_form *form, int label, const float *scores)
{
    const char *name = ser_prediction_label(form, label, scores);
    json_t *list = name ? json_object() : json_null();
    for (size_t i = 0; i < form->n_labels && name; i++) {
        ser_text key = {0};
        ser_utf8_append_clean(&key, form->labels[i]);
        json_t *score = key.failed ? NULL : ser_number_json((double)scores[i]);
        if (json_object_set_new_nocheck(list, key.n ? key.s : "", score) != 0) {
            json_decref(list);
            list = NULL;
        }
        ser_text_release(&key);
    }
    ser_json_set(object, "label", name ? ser_text_json(name) : json_null());
    ser_json_set(object, "confidence", name ? ser_number_json((double)scores[label]) : json_integer(0));
    ser_json_set(object, "scores", list);
}

static json_t *segments_json(const ser_prediction_form *form, const ser_result *r)
{
    json_t *list = json_array();
    for (size_t i = 0; i < r->n_segments; i++) {
        const ser_segment *s = &r->segments[i];
        json_t *segment = json_pack("{s:o, s:o}", "start", json_time(s->start_s), "end", json_time(s->end_s));
        add_answer(&segment, form, s->label, s->scores);
        ser_json_add(&list, segment);
    }
    return list;
}

/* Nine digits give back the same float, so that printed scores add up as well as the computed ones. */
static void append_object(ser_text *t, json_t *object)
{
    char *line = ser_json_dump(object, JSON_REAL_PRECISION(9));
    if (line)
        ser_text_appendf(t, "%s\n", line);
    t->failed |= !line;
    free(line);
    json_decref(object);
}

/* The figures of the sound, and in words before all else how unlike the recording is. */
static json_t *sound_json(const ser_result *r)
{
    json_t *sound = ser_acoustics_json(&r->sound);
    ser_text line = {0};
    if (ser_unlike_append(&line, r->unlike)) {
        json_t *text = line.failed ? NULL : json_string(line.s);
        if (json_array_insert_new(json_object_get(sound, "notes"), 0, text) != 0) {
            json_decref(sound);
            sound = NULL;
        }
    }
    ser_text_release(&line);
    return sound;
}

void ser_prediction_json(ser_text *t, const ser_prediction_form *form, const char *file, const ser_result *r)
{
    json_t *object =
        json_pack("{s:o, s:o}", "file", ser_text_json(file), "duration", json_time(r->duration_s));
    add_answer(&object, form, r->label, r->scores);
    if (note_text(r->note))
        ser_json_set(&object, "note", json_string(note_text(r->note)));
    if (form->explain)
        ser_json_set(&object, "sound", sound_json(r));
    if (form->explain)
        ser_json_set(&object, "unlike",
                     r->unlike > 0 ? ser_number_json(round((double)r->unlike * 1000) / 1000) : json_null());
    if (form->timeline)
        ser_json_set(&object, "segments", segments_json(form, r));
    append_object(t, object);
}

void ser_prediction_json_error(ser_text *t, const char *file, const char *error)
{
    append_object(t, json_pack("{s:o, s:o}", "file", ser_text_json(file), "error", ser_text_json(error)));
}

static const char *event_name(ser_event_kind kind)
{
    switch (kind) {
    case SER_EVENT_SPEECH_START:
        return "speech_start";
    case SER_EVENT_MEASUREMENT:
        return "measurement";
    case SER_EVENT_SPEECH_END:
        return "speech_end";
    }
    return "unknown";
}

void ser_prediction_event(ser_text *t, const ser_prediction_form *form, const ser_event *e)
{
    json_t *object = json_pack("{s:s, s:o, s:o}", "event", event_name(e->kind), "start",
                               json_time(e->start_s), "end", json_time(e->end_s));
    if (e->kind == SER_EVENT_MEASUREMENT)
        ser_json_set(&object, "final", json_boolean(e->final));
    add_answer(&object, form, e->label, e->scores);
    append_object(t, object);
}

/* ---- CSV ---- */

void ser_prediction_csv_header(ser_text *t, const ser_prediction_form *form)
{
    ser_text_append(t, form->timeline ? "file,start,end,duration,label,confidence,"
                                      : "file,duration,label,confidence,");
    for (size_t i = 0; i < form->n_labels; i++) {
        ser_append_csv(t, form->labels[i]);
        ser_text_append(t, ",");
    }
    if (form->explain)
        ser_acoustics_csv_header(t);
    ser_text_append(t, form->explain ? "unlike,note,error\n" : "note,error\n");
}

/* r NULL: all empty. */
static void append_csv_sound(ser_text *t, const ser_result *r)
{
    ser_acoustics_csv(t, r ? &r->sound : NULL);
    if (r && r->unlike > 0)
        ser_text_appendf(t, "%.3f", (double)r->unlike);
    ser_text_append(t, ",");
}

/* From the label to the end of the row, r being the whole recording's result. */
static void append_csv_answer(ser_text *t, const ser_prediction_form *form, int label, const float *scores,
                              const ser_result *r)
{
    const char *name = ser_prediction_label(form, label, scores);
    ser_append_csv(t, name ? name : "");
    ser_text_append(t, ",");
    append_float(t, confidence_of(form, label, scores));
    for (size_t i = 0; i < form->n_labels; i++) {
        ser_text_append(t, ",");
        if (name)
            append_float(t, scores[i]);
    }
    ser_text_append(t, ",");
    if (form->explain)
        append_csv_sound(t, r);
    const char *note = note_text(r->note);
    ser_text_appendf(t, "%s,\n", note ? note : "");
}

void ser_prediction_csv(ser_text *t, const ser_prediction_form *form, const char *file, const ser_result *r)
{
    /* What has no segments is one of its whole length. */
    ser_segment whole = {.end_s = r->duration_s, .label = r->label};
    const ser_segment *segments = r->n_segments ? r->segments : &whole;
    if (!form->timeline) {
        ser_append_csv(t, file);
        ser_text_appendf(t, ",%.3f,", r->duration_s);
        append_csv_answer(t, form, r->label, r->scores, r);
        return;
    }
    memcpy(whole.scores, r->scores, sizeof whole.scores);
    for (size_t i = 0; i < (r->n_segments ? r->n_segments : 1); i++) {
        ser_append_csv(t, file);
        ser_text_appendf(t, ",%.3f,%.3f,%.3f,", segments[i].start_s, segments[i].end_s, r->duration_s);
        append_csv_answer(t, form, segments[i].label, segments[i].scores, r);
    }
}

void ser_prediction_csv_error(ser_text *t, const ser_prediction_form *form, const char *file,
                              const char *error)
{
    ser_append_csv(t, file);
    ser_text_append(t, form->timeline ? ",,,,," : ",,,");
    for (size_t i = 0; i < form->n_labels; i++)
        ser_text_append(t, ",");
    ser_text_append(t, ",");
    if (form->explain)
        append_csv_sound(t, NULL);
    ser_text_append(t, ",");
    ser_append_csv(t, error);
    ser_text_append(t, "\n");
}

/* ---- text ---- */

static bool is_in_doubt(const ser_prediction_form *form, int label, const float *scores)
{
    const char *name = ser_prediction_label(form, label, scores);
    return name && name != form->labels[label];
}

/* "neutral 34 %, sad 29 %": what it may be, rather than a bare winner. */
static void append_doubt(ser_text *t, const ser_prediction_form *form, int label, const float *scores)
{
    int second = label == 0;
    for (int i = 0; (size_t)i < form->n_labels; i++)
        if (i != label && scores[i] > scores[second])
            second = i;
    ser_append_line(t, form->labels[label], 0, form->style.utf8);
    ser_text_appendf(t, " %.0f %%", 100.0 * (double)scores[label]);
    if (form->n_labels < 2)
        return;
    ser_text_append(t, ", ");
    ser_append_line(t, form->labels[second], 0, form->style.utf8);
    ser_text_appendf(t, " %.0f %%", 100.0 * (double)scores[second]);
}

/* "angry 93 %", or the note where there is no label, in a field as wide where padded. */
static void append_label(ser_text *t, const ser_prediction_form *form, int label, const float *scores,
                         size_t width, const char *note, bool padded)
{
    enum { PERCENT = 6 };
    const char *name = ser_prediction_label(form, label, scores);
    bool in_doubt = is_in_doubt(form, label, scores);
    if (in_doubt && !padded) {
        ser_text_appendf(t, "%s: ", name);
        append_doubt(t, form, label, scores);
        return;
    }
    if (!name || in_doubt) {
        ser_append_left(t, in_doubt ? name : note, padded ? width + PERCENT : 0, form->style);
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

static void append_told(ser_text *t, const ser_prediction_form *form, const char *prefix,
                        const ser_text *told)
{
    ser_text line = {0};
    ser_text_appendf(&line, "  %s%s\n", prefix, told->failed ? "" : told->s);
    t->failed |= told->failed || line.failed;
    if (!t->failed)
        ser_append_fitted(t, line.s, form->style);
    ser_text_release(&line);
}

/* What is worth telling of the recording: how unlike it is, then how it sounds. */
static void append_sound(ser_text *t, const ser_prediction_form *form, const ser_result *r)
{
    ser_gravity least = form->explain ? SER_GRAVITY_TOLD : SER_GRAVITY_SERIOUS;
    size_t n_told = 0, n_most = form->explain ? SER_N_FINDINGS : form->warns ? 1 : 0;
    ser_text told = {0};
    if (n_most && ser_unlike_append(&told, r->unlike)) {
        append_told(t, form, form->explain ? "" : "note: ", &told);
        n_told++;
    }
    for (int f = 0; f < SER_N_FINDINGS && (form->explain || n_told < n_most); f++) {
        if (ser_finding_gravity((ser_finding)f, &r->sound) < least)
            continue;
        n_told++;
        ser_text_clear(&told);
        ser_finding_append(&told, (ser_finding)f, &r->sound);
        append_told(t, form, form->explain ? "" : "note: ", &told);
    }
    if (form->explain && !n_told) {
        ser_acoustics_append(&told, &r->sound);
        append_told(t, form, "", &told);
    }
    ser_text_release(&told);
}

void ser_prediction_text(ser_text *t, const ser_prediction_form *form, const char *file, const ser_result *r)
{
    enum { LONGEST = 20 };
    size_t width = 9; /* "uncertain" */
    for (size_t i = 0; i < form->n_labels; i++)
        width = ser_columns(form->labels[i]) > width ? ser_columns(form->labels[i]) : width;
    width = width < LONGEST ? width : LONGEST;
    const char *note = note_text(r->note);
    append_label(t, form, r->label, r->scores, width, note ? note : "no label", true);
    ser_text_appendf(t, "  %7.2f s  ", r->duration_s);
    ser_append_line(t, file, 0, form->style.utf8);
    if (is_in_doubt(form, r->label, r->scores)) {
        ser_text_append(t, "  ");
        append_doubt(t, form, r->label, r->scores);
    }
    ser_text_append(t, "\n");
    if (form->bars && r->label >= 0)
        append_bars(t, form, r, width);
    if (form->explain || r->label >= 0) /* else the answer says why there is none */
        append_sound(t, form, r);
    for (size_t i = 0; form->timeline && i < r->n_segments; i++) {
        const ser_segment *s = &r->segments[i];
        if (s->label < 0 && s->end_s - s->start_s < 0.05) /* too short to be seen in these figures */
            continue;
        ser_text_append(t, "  ");
        append_time(t, s->start_s);
        ser_text_append(t, form->style.utf8 ? " – " : " - ");
        append_time(t, s->end_s);
        ser_text_append(t, "  ");
        append_label(t, form, s->label, s->scores, width, r->label < 0 ? "no voice" : "pause", false);
        ser_text_append(t, "\n");
    }
}

void ser_prediction_event_text(ser_text *t, const ser_prediction_form *form, const ser_event *e)
{
    ser_text_append(t, "  ");
    append_time(t, e->start_s);
    ser_text_append(t, form->style.utf8 ? " – " : " - ");
    append_time(t, e->end_s);
    ser_text_append(t, "  ");
    append_label(t, form, e->label, e->scores, 9, "no label", false);
    ser_text_append(t, "\n");
}

void ser_prediction_counts_add(ser_prediction_counts *c, const ser_prediction_form *form, const ser_result *r)
{
    const char *label = ser_prediction_label(form, r->label, r->scores);
    c->n++;
    if (!label)
        c->n_without++;
    else if (label != form->labels[r->label])
        c->n_uncertain++;
    else
        c->n_of[r->label]++;
}

/* "12 angry", the most frequent first. */
void ser_prediction_counts_text(ser_text *t, const ser_prediction_form *form, const ser_prediction_counts *c)
{
    const char *comma = ": ";
    bool told[SER_MAX_LABELS] = {false};
    ser_text_appendf(t, "%zu recordings", c->n);
    for (size_t i = 0; i < form->n_labels; i++) {
        size_t best = SIZE_MAX;
        for (size_t k = 0; k < form->n_labels; k++)
            if (!told[k] && c->n_of[k] && (best == SIZE_MAX || c->n_of[k] > c->n_of[best]))
                best = k;
        if (best == SIZE_MAX)
            break;
        told[best] = true;
        ser_text_appendf(t, "%s%zu ", comma, c->n_of[best]);
        ser_append_line(t, form->labels[best], 0, form->style.utf8);
        comma = ", ";
    }
    if (c->n_uncertain)
        ser_text_appendf(t, "%s%zu uncertain", comma, c->n_uncertain), comma = ", ";
    if (c->n_without)
        ser_text_appendf(t, "%s%zu without a voice", comma, c->n_without), comma = ", ";
    if (c->n_failed)
        ser_text_appendf(t, "%s%zu not read", comma, c->n_failed);
    ser_text_append(t, "\n");
}
