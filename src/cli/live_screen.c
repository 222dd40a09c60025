#include "cli/live_screen.h"

#include <math.h>
#include <string.h>

void ser_live_screen_init(ser_live_screen *s, const ser_prediction_form *form)
{
    *s = (ser_live_screen){.form = form, .label = -1};
    for (size_t i = 0; i < SER_SCREEN_MINUTE; i++)
        s->minute[i] = SER_SCREEN_NO_VOICE;
}

void ser_live_screen_hear(ser_live_screen *s, const float *samples, size_t n, double seconds)
{
    size_t before = (size_t)s->heard_s;
    s->heard_s += seconds;
    s->loudest *= exp(-3 * seconds);
    for (size_t i = 0; i < n; i++)
        s->loudest = fmax(s->loudest, fabs((double)samples[i]));
    for (size_t i = before + 1; i <= (size_t)s->heard_s; i++)
        s->minute[i % SER_SCREEN_MINUTE] = SER_SCREEN_NO_VOICE;
}

/* What is known of the seconds from start to end. */
static void fill_minute(ser_live_screen *s, double start_s, double end_s, int label)
{
    size_t now = (size_t)s->heard_s;
    for (size_t i = (size_t)start_s; (double)i < end_s && i <= now; i++)
        if (i + SER_SCREEN_MINUTE > now)
            s->minute[i % SER_SCREEN_MINUTE] = label;
}

void ser_live_screen_event(ser_live_screen *s, const ser_event *e)
{
    if (e->kind == SER_EVENT_SPEECH_START)
        s->speaking = true;
    if (e->kind == SER_EVENT_SPEECH_END)
        s->speaking = false;
    if (e->label < 0)
        return;
    s->label = e->label;
    memcpy(s->scores, e->scores, sizeof s->scores);
    if (e->kind == SER_EVENT_MEASUREMENT)
        fill_minute(s, e->final ? e->start_s : fmax(e->start_s, e->end_s - 1), e->end_s,
                    (double)e->confidence < s->form->min_confidence[e->label] ? SER_SCREEN_UNSURE : e->label);
}

static void end_line(ser_text *t, ser_live_screen *s)
{
    ser_text_append(t, "\033[K\r\n");
    s->n_lines++;
}

/* -60 dB to full scale. */
static void append_level(ser_text *t, ser_live_screen *s, ser_style style)
{
    enum { AROUND = 30 };
    double share = fmin(1, fmax(0, 1 + 20 * log10(fmax(s->loudest, 1e-6)) / 60));
    ser_text_appendf(t, " %5ld:%02ld  ", (long)s->heard_s / 60, (long)s->heard_s % 60);
    ser_append_bar(t, share, style.width > AROUND + 8 ? style.width - AROUND : 8, style);
    ser_text_append(t, s->loudest >= 0.999 ? "  too loud" : s->speaking ? "  voice" : "  no voice");
    end_line(t, s);
}

static void append_emotions(ser_text *t, ser_live_screen *s, ser_style style)
{
    enum { NAME = 12, AROUND = NAME + 12 };
    for (size_t i = 0; i < s->form->n_labels; i++) {
        bool best = (int)i == s->label && s->speaking;
        s->shown[i] += 0.35f * (s->scores[i] - s->shown[i]);
        ser_text_append(t, "  ");
        if (best)
            ser_append_bold(t, style);
        ser_append_left(t, s->form->labels[i], NAME, style);
        ser_append_bar(t, (double)s->shown[i], style.width > AROUND + 8 ? style.width - AROUND : 8, style);
        ser_text_appendf(t, " %3.0f %%", 100 * (double)s->shown[i]);
        if (best)
            ser_append_plain(t, style);
        end_line(t, s);
    }
}

/* One column, whatever the label is. */
static void append_letter(ser_text *t, const char *label)
{
    size_t n = 1;
    while (*label && ((unsigned char)label[n] & 0xc0) == 0x80)
        n++;
    if ((unsigned char)*label <= ' ' || *label == 0x7f)
        ser_text_append(t, "?");
    else
        ser_text_append_n(t, label, n);
}

/* The first letter of each second's emotion, which two may share: their names stand above. */
static void append_minute(ser_text *t, ser_live_screen *s, ser_style style)
{
    size_t now = (size_t)s->heard_s, n = style.width > SER_SCREEN_MINUTE + 14 ? SER_SCREEN_MINUTE : 20;
    ser_text_append(t, "  last minute ");
    for (size_t i = 0; i < n; i++) {
        size_t back = n - 1 - i;
        int label = back <= now ? s->minute[(now - back) % SER_SCREEN_MINUTE] : SER_SCREEN_NO_VOICE;
        if (label >= 0)
            append_letter(t, s->form->labels[label]);
        else if (label == SER_SCREEN_UNSURE)
            ser_text_append(t, "?");
        else
            ser_text_append(t, style.utf8 ? "·" : ".");
    }
    end_line(t, s);
}

void ser_live_screen_draw(ser_live_screen *s, ser_text *t, ser_style style)
{
    if (s->n_lines)
        ser_text_appendf(t, "\033[%zuA\r", s->n_lines);
    s->n_lines = 0;
    append_level(t, s, style);
    append_emotions(t, s, style);
    append_minute(t, s, style);
}

void ser_live_screen_leave(ser_live_screen *s)
{
    s->n_lines = 0;
}
