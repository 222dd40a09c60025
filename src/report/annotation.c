#include "report/annotation.h"
#include "report/escape.h"

#include <math.h>
#include <string.h>

static const struct {
    const char *name, *suffix;
    bool joins;
} kinds[SER_N_ANNOTATIONS] = {{"textgrid", ".TextGrid", false}, {"eaf", ".eaf", false},
                              {"rttm", ".rttm", true},          {"webvtt", ".vtt", false},
                              {"srt", ".srt", false},           {"audacity", ".txt", false},
                              {"audformat", ".csv", true}};

ser_annotation ser_annotation_from_name(const char *name)
{
    int i = 0;
    while (i < SER_N_ANNOTATIONS && strcmp(kinds[i].name, name) != 0)
        i++;
    return (ser_annotation)i;
}

const char *ser_annotation_suffix(ser_annotation kind)
{
    return kinds[kind].suffix;
}

bool ser_annotation_joins(ser_annotation kind)
{
    return kinds[kind].joins;
}

/* ---- what all formats ask of a segment ---- */

/* label NULL: a pause. */
typedef struct stretch {
    long long start_ms, end_ms;
    const char *label;
    const float *scores;
    double confidence;
} stretch;

static long long ms(double s)
{
    return llround(s * 1000);
}

static stretch stretch_of(const ser_prediction_form *form, const ser_segment *s)
{
    stretch x = {.start_ms = ms(s->start_s), .end_ms = ms(s->end_s)};
    if (s->label >= 0 && (size_t)s->label < form->n_labels) {
        x.scores = s->scores;
        x.confidence = (double)s->scores[s->label];
        x.label = ser_prediction_label(form, s->label, s->scores);
    }
    return x;
}

/* One line of valid UTF-8; blanks: what stands for each blank, where the format separates fields by them. */
static void append_word(ser_text *t, const char *s, char blank)
{
    ser_text line = {0};
    ser_append_line(&line, s, 0, true);
    for (size_t i = 0; i < line.n; i++)
        if (line.s[i] == ' ')
            line.s[i] = blank;
    ser_text_append(t, line.n ? line.s : "<NA>");
    t->failed |= line.failed;
    ser_text_release(&line);
}

/* "angry 0.930 happy 0.021 ...", the likeliest first as far as it counts. */
static void append_scores(ser_text *t, const ser_prediction_form *form, const float *scores)
{
    for (size_t i = 0; i < form->n_labels; i++) {
        ser_text_append(t, i ? " " : "");
        append_word(t, form->labels[i], '_');
        ser_text_appendf(t, " %.3f", (double)scores[i]);
    }
}

/* ---- Praat: a TextGrid in its long form (Praat's manual, "TextGrid file formats") ---- */

static void append_praat_text(ser_text *t, const char *s)
{
    ser_text line = {0};
    ser_append_line(&line, s, 0, true);
    ser_text_append(t, "\"");
    for (size_t i = 0; i < line.n; i++)
        ser_text_append_n(t, line.s[i] == '"' ? "\"\"" : &line.s[i], line.s[i] == '"' ? 2 : 1);
    ser_text_append(t, "\"");
    t->failed |= line.failed;
    ser_text_release(&line);
}

static void append_interval(ser_text *t, size_t number, long long start_ms, long long end_ms,
                            const char *text)
{
    ser_text_appendf(
        t, "        intervals [%zu]:\n            xmin = %.3f\n            xmax = %.3f\n            text = ",
        number, (double)start_ms / 1000, (double)end_ms / 1000);
    append_praat_text(t, text);
    ser_text_append(t, "\n");
}

/* Praat wants a tier to be full: what lies between segments is empty. Counts only where t is NULL. */
static size_t append_intervals(ser_text *t, const ser_prediction_form *form, const ser_result *r,
                               bool with_scores)
{
    ser_text text = {0};
    long long at = 0, end = ms(r->duration_s);
    size_t n = 0;
    for (size_t i = 0; i < r->n_segments; i++) {
        stretch s = stretch_of(form, &r->segments[i]);
        s.end_ms = s.end_ms < end ? s.end_ms : end;
        if (s.end_ms <= s.start_ms || s.start_ms < at)
            continue;
        ser_text_clear(&text);
        if (s.label && with_scores)
            append_scores(&text, form, s.scores);
        if (s.start_ms > at && ++n && t)
            append_interval(t, n, at, s.start_ms, "");
        if (++n && t)
            append_interval(t, n, s.start_ms, s.end_ms,
                            !s.label                ? ""
                            : with_scores && text.s ? text.s
                                                    : s.label);
        at = s.end_ms;
    }
    if (at < end && ++n && t)
        append_interval(t, n, at, end, "");
    if (t)
        t->failed |= text.failed;
    ser_text_release(&text);
    return n;
}

static void append_textgrid(ser_text *t, const ser_prediction_form *form, const ser_result *r)
{
    static const char *const tiers[] = {"emotion", "scores"};
    double end_s = (double)ms(r->duration_s) / 1000;
    ser_text_appendf(t,
                     "File type = \"ooTextFile\"\nObject class = \"TextGrid\"\n\nxmin = 0\nxmax = "
                     "%.3f\ntiers? <exists>\nsize = 2\n"
                     "item []:\n",
                     end_s);
    for (int i = 0; i < 2; i++) {
        ser_text_appendf(
            t,
            "    item [%d]:\n        class = \"IntervalTier\"\n        name = \"%s\"\n        xmin = 0\n"
            "        xmax = %.3f\n        intervals: size = %zu\n",
            i + 1, tiers[i], end_s, append_intervals(NULL, form, r, i == 1));
        append_intervals(t, form, r, i == 1);
    }
}

/* ---- ELAN: EAF 3.0 (https://www.mpi.nl/tools/elan/EAF_Annotation_Format_3.0_and_ELAN.pdf) ---- */

static void append_eaf_tier(ser_text *t, const ser_prediction_form *form, const ser_result *r,
                            bool with_scores)
{
    ser_text_appendf(t, "  <TIER LINGUISTIC_TYPE_REF=\"default-lt\" TIER_ID=\"%s\">\n",
                     with_scores ? "scores" : "emotion");
    for (size_t i = 0; i < r->n_segments; i++) {
        const stretch s = stretch_of(form, &r->segments[i]);
        if (!s.label)
            continue;
        ser_text value = {0};
        if (with_scores)
            append_scores(&value, form, s.scores);
        ser_text_appendf(
            t,
            "    <ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID=\"%c%zu\" TIME_SLOT_REF1=\"ts%zu\" "
            "TIME_SLOT_REF2=\"ts%zu\"><ANNOTATION_VALUE>",
            with_scores ? 's' : 'a', i + 1, 2 * i + 1, 2 * i + 2);
        ser_append_xml(t, with_scores && value.s ? value.s : s.label);
        ser_text_append(t, "</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>\n");
        t->failed |= value.failed;
        ser_text_release(&value);
    }
    ser_text_append(t, "  </TIER>\n");
}

static void append_eaf(ser_text *t, const ser_prediction_form *form, const char *file, const ser_result *r)
{
    ser_text_append(
        t, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
           "<ANNOTATION_DOCUMENT AUTHOR=\"ser\" DATE=\"1970-01-01T00:00:00Z\" FORMAT=\"3.0\" VERSION=\"3.0\" "
           "xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" "
           "xsi:noNamespaceSchemaLocation=\"http://www.mpi.nl/tools/elan/EAFv3.0.xsd\">\n"
           "  <HEADER MEDIA_FILE=\"\" TIME_UNITS=\"milliseconds\">\n    <MEDIA_DESCRIPTOR MEDIA_URL=\"");
    ser_append_xml(t, file);
    ser_text_append(t, "\" MIME_TYPE=\"audio/*\"/>\n  </HEADER>\n  <TIME_ORDER>\n");
    for (size_t i = 0; i < r->n_segments; i++) {
        const stretch s = stretch_of(form, &r->segments[i]);
        ser_text_appendf(t,
                         "    <TIME_SLOT TIME_SLOT_ID=\"ts%zu\" TIME_VALUE=\"%lld\"/>\n"
                         "    <TIME_SLOT TIME_SLOT_ID=\"ts%zu\" TIME_VALUE=\"%lld\"/>\n",
                         2 * i + 1, s.start_ms, 2 * i + 2, s.end_ms);
    }
    ser_text_append(t, "  </TIME_ORDER>\n");
    append_eaf_tier(t, form, r, false);
    append_eaf_tier(t, form, r, true);
    ser_text_append(t, "  <LINGUISTIC_TYPE GRAPHIC_REFERENCES=\"false\" LINGUISTIC_TYPE_ID=\"default-lt\" "
                       "TIME_ALIGNABLE=\"true\"/>\n"
                       "</ANNOTATION_DOCUMENT>\n");
}

/* ---- a line or two for each segment ---- */

static void append_clock(ser_text *t, long long at_ms, char point)
{
    ser_text_appendf(t, "%02lld:%02lld:%02lld%c%03lld", at_ms / 3600000, at_ms / 60000 % 60,
                     at_ms / 1000 % 60, point, at_ms % 1000);
}

static void append_subtitle(ser_text *t, const stretch *s, size_t number, bool srt)
{
    if (srt)
        ser_text_appendf(t, "%zu\n", number);
    append_clock(t, s->start_ms, srt ? ',' : '.');
    ser_text_append(t, " --> ");
    append_clock(t, s->end_ms, srt ? ',' : '.');
    ser_text_append(t, "\n");
    ser_append_xml(t, s->label);
    ser_text_appendf(t, " %.0f %%\n\n", 100 * s->confidence);
}

/* NIST's Rich Transcription Time Marked, with the emotion where a speaker's name stands. */
static void append_rttm(ser_text *t, const stretch *s, const char *file)
{
    ser_text_append(t, "SPEAKER ");
    append_word(t, file, '_');
    ser_text_appendf(t, " 1 %.3f %.3f <NA> <NA> ", (double)s->start_ms / 1000,
                     (double)(s->end_ms - s->start_ms) / 1000);
    append_word(t, s->label, '_');
    ser_text_appendf(t, " %.3f <NA>\n", s->confidence);
}

static void append_audacity(ser_text *t, const stretch *s)
{
    ser_text_appendf(t, "%.6f\t%.6f\t", (double)s->start_ms / 1000, (double)s->end_ms / 1000);
    append_word(t, s->label, ' ');
    ser_text_appendf(t, " %.0f %%\n", 100 * s->confidence);
}

/* A table of audformat, segmented: times as pandas writes a Timedelta. */
static void append_audformat(ser_text *t, const ser_prediction_form *form, const stretch *s, const char *file)
{
    ser_append_csv(t, file);
    for (int i = 0; i < 2; i++) {
        long long at = i ? s->end_ms : s->start_ms;
        ser_text_appendf(t, ",%lld days ", at / 86400000);
        append_clock(t, at % 86400000, '.');
        ser_text_append(t, "000");
    }
    ser_text_append(t, ",");
    ser_append_csv(t, s->label);
    ser_text_appendf(t, ",%.9g", s->confidence);
    for (size_t i = 0; i < form->n_labels; i++)
        ser_text_appendf(t, ",%.9g", (double)s->scores[i]);
    ser_text_append(t, "\n");
}

void ser_annotation_begin(ser_text *t, ser_annotation kind, const ser_prediction_form *form)
{
    if (kind == SER_ANNOTATION_WEBVTT)
        ser_text_append(t, "WEBVTT\n\n");
    if (kind != SER_ANNOTATION_AUDFORMAT)
        return;
    ser_text_append(t, "file,start,end,emotion,confidence");
    for (size_t i = 0; i < form->n_labels; i++) {
        ser_text_append(t, ",");
        ser_append_csv(t, form->labels[i]);
    }
    ser_text_append(t, "\n");
}

void ser_annotation_append(ser_text *t, ser_annotation kind, const ser_prediction_form *form,
                           const char *file, const ser_result *r)
{
    size_t number = 0;
    if (kind == SER_ANNOTATION_TEXTGRID)
        append_textgrid(t, form, r);
    if (kind == SER_ANNOTATION_EAF)
        append_eaf(t, form, file, r);
    for (size_t i = 0; i < r->n_segments; i++) {
        const stretch s = stretch_of(form, &r->segments[i]);
        if (!s.label || s.end_ms <= s.start_ms)
            continue;
        number++;
        if (kind == SER_ANNOTATION_WEBVTT || kind == SER_ANNOTATION_SRT)
            append_subtitle(t, &s, number, kind == SER_ANNOTATION_SRT);
        else if (kind == SER_ANNOTATION_RTTM)
            append_rttm(t, &s, file);
        else if (kind == SER_ANNOTATION_AUDACITY)
            append_audacity(t, &s);
        else if (kind == SER_ANNOTATION_AUDFORMAT)
            append_audformat(t, form, &s, file);
    }
}
