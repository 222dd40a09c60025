#include "report/text.h"
#include "report/escape.h"
#include "report/run_report.h"

#include <langinfo.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { MIN_WIDTH = 40, USUAL_WIDTH = 80, LONGEST_LABEL = 16 };

ser_style ser_style_of(FILE *stream)
{
    struct winsize size;
    ser_style style = {.width = USUAL_WIDTH, .utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0};
    int fd = fileno(stream);
    style.terminal = fd >= 0 && isatty(fd);
    if (!style.terminal)
        return style;
    if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col)
        style.width = size.ws_col < MIN_WIDTH ? MIN_WIDTH : size.ws_col;
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    style.colour = !(no_color && *no_color) && term && strcmp(term, "dumb") != 0;
    return style;
}

void ser_append_bold(ser_text *t, ser_style style)
{
    if (style.colour)
        ser_text_append(t, "\033[1m");
}

void ser_append_plain(ser_text *t, ser_style style)
{
    if (style.colour)
        ser_text_append(t, "\033[0m");
}

static void append_spaces(ser_text *t, size_t n)
{
    ser_text_appendf(t, "%*s", (int)n, "");
}

static void append_field(ser_text *t, const char *text, size_t width, bool right, ser_style style)
{
    ser_text cut = {0};
    ser_append_line(&cut, text, width, style.utf8);
    size_t n = cut.n ? ser_columns(cut.s) : 0;
    size_t n_spaces = n < width ? width - n : 0;
    append_spaces(t, right ? n_spaces : 0);
    if (cut.n)
        ser_text_append(t, cut.s);
    append_spaces(t, right ? 0 : n_spaces);
    t->failed |= cut.failed;
    ser_text_release(&cut);
}

void ser_append_left(ser_text *t, const char *text, size_t width, ser_style style)
{
    append_field(t, text, width, false, style);
}

static void append_right(ser_text *t, const char *text, size_t width, ser_style style)
{
    append_field(t, text, width, true, style);
}

/* The bytes of the colour sequences that text begins with, which take no column. */
static size_t sequence_length(const char *text)
{
    size_t n = 0;
    while (text[n] == '\033') {
        size_t length = strcspn(text + n, "m");
        n += length + (text[n + length] == 'm');
    }
    return n;
}

/* Whether a line is of fields with wide gaps between them, which should not be torn apart. */
static bool has_fields(const char *line)
{
    const char *end = strchr(line, '\n'), *gap = strstr(line + strspn(line, " "), "   ");
    return gap && (!end || gap < end);
}

/* What a word, up to the next space (of fields: two of them) or newline, takes: bytes, and columns without
 * its colours. */
static size_t word_length(const char *text, bool fields, size_t *columns)
{
    const char *s = text;
    *columns = 0;
    for (;;) {
        s += sequence_length(s);
        if (!*s || *s == '\n' || (*s == ' ' && (!fields || s[1] == ' ')))
            return (size_t)(s - text);
        *columns += ser_character_columns(ser_utf8_next(&s));
    }
}

void ser_append_fitted(ser_text *t, const char *text, ser_style style)
{
    enum { INDENT = 2 };
    size_t column = 0, columns;
    if (!style.terminal) {
        ser_text_append(t, text);
        return;
    }
    bool fields = has_fields(text);
    while (*text) {
        size_t n_spaces = strspn(text, " "), n = word_length(text + n_spaces, fields, &columns);
        if (column > INDENT && columns && column + n_spaces + columns > style.width) {
            ser_text_appendf(t, "\n%*s", INDENT, "");
            column = INDENT;
            text += n_spaces;
            n_spaces = 0;
        }
        ser_text_append_n(t, text, n_spaces + n);
        column += n_spaces + columns;
        text += n_spaces + n;
        if (*text == '\n') {
            ser_text_append(t, "\n");
            column = 0;
            text++;
            fields = has_fields(text);
        }
    }
}

void ser_append_bar(ser_text *t, double share, size_t width, ser_style style)
{
    static const char *const eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    if (!(share > 0))
        share = 0;
    share = fmin(share, 1);
    size_t n_parts = (size_t)lround(share * (double)width * (style.utf8 ? 8 : 1));
    size_t n_full = style.utf8 ? n_parts / 8 : n_parts, n_part = style.utf8 ? n_parts % 8 : 0;
    for (size_t i = 0; i < n_full; i++)
        ser_text_append(t, style.utf8 ? "█" : "#");
    ser_text_append(t, eighths[n_part]);
    for (size_t i = n_full + (n_part > 0); i < width; i++)
        ser_text_append(t, style.utf8 ? " " : ".");
}

static size_t label_width(const char *const *labels, size_t n_labels)
{
    size_t widest = 5; /* "truth" */
    for (size_t i = 0; i < n_labels; i++)
        if (ser_columns(labels[i]) > widest)
            widest = ser_columns(labels[i]);
    return widest < LONGEST_LABEL ? widest : LONGEST_LABEL;
}

/* The larger the share, the more visible, on a dark ground as on a light one: as it is, a blue that both let
 * read, white on strong blue. */
static void append_shade(ser_text *t, double share)
{
    if (share >= 0.5)
        ser_text_append(t, "\033[48;5;25;38;5;231m");
    else if (share >= 0.1)
        ser_text_append(t, "\033[38;5;33m");
}

static void append_count(ser_text *t, size_t count, size_t n_row, bool right, size_t width, ser_style style)
{
    char text[32] = "";
    snprintf(text, sizeof text, "%zu", count);
    if (count && style.colour)
        append_shade(t, (double)count / (double)n_row);
    if (right)
        ser_append_bold(t, style);
    append_right(t, count ? text : style.utf8 ? "·" : ".", width - 1, style);
    ser_text_append(t, " ");
    if (count || right)
        ser_append_plain(t, style);
}

/* Columns are as wide as the longest label where all fit, else their labels are cut. */
static size_t column_width(const ser_matrix *m, size_t left, ser_style style)
{
    enum { RIGHT = 8, LEAST = 4 };
    size_t wanted = 0, most = 0, room = 0;
    char text[32];
    for (size_t i = 0; i < m->n_answers; i++)
        wanted = ser_columns(m->answers[i]) > wanted ? ser_columns(m->answers[i]) : wanted;
    for (size_t i = 0; i < m->n_truths * m->n_answers; i++)
        most = m->counts[i] > most ? m->counts[i] : most;
    size_t n_digits = (size_t)snprintf(text, sizeof text, "%zu", most);
    wanted = (wanted < LONGEST_LABEL ? wanted : LONGEST_LABEL) + 2;
    if (style.width > left + RIGHT && m->n_answers)
        room = (style.width - left - RIGHT) / m->n_answers;
    size_t width = wanted < room ? wanted : room;
    width = width > n_digits + 2 ? width : n_digits + 2;
    return width > LEAST ? width : LEAST;
}

void ser_append_matrix(ser_text *t, const ser_matrix *m, ser_style style)
{
    size_t left = label_width(m->truths, m->n_truths) + 1, width = column_width(m, left, style);
    ser_append_left(t, "truth", left, style);
    for (size_t j = 0; j < m->n_answers; j++) {
        ser_text_append(t, " ");
        append_right(t, m->answers[j], width - 2, style);
        ser_text_append(t, " ");
    }
    ser_text_append(t, "  right\n");
    for (size_t i = 0; i < m->n_truths; i++) {
        size_t n_row = ser_matrix_row_sum(m, i);
        ser_append_left(t, m->truths[i], left, style);
        for (size_t j = 0; j < m->n_answers; j++)
            append_count(t, m->counts[i * m->n_answers + j], n_row, ser_matrix_is_right(m, i, j), width,
                         style);
        if (n_row && ser_matrix_can_be_right(m, i))
            ser_text_appendf(t, " %4.0f %%\n", 100 * (double)ser_matrix_n_right(m, i) / (double)n_row);
        else
            ser_text_append(t, "      -\n");
    }
}

void ser_append_confusion(ser_text *t, const char *const *labels, const size_t *counts, size_t n_labels,
                          ser_style style)
{
    const ser_matrix m = ser_matrix_square(labels, counts, n_labels);
    ser_append_matrix(t, &m, style);
}

static void append_header(ser_text *t, const char *first, size_t left, const char *columns, ser_style style)
{
    ser_append_bold(t, style);
    ser_append_left(t, first, left, style);
    ser_text_append(t, columns);
    ser_append_plain(t, style);
    ser_text_append(t, "\n");
}

/* A dash for what is NAN. */
static void append_share(ser_text *t, int width, double share)
{
    if (isfinite(share))
        ser_text_appendf(t, "  %*.2f", width, share);
    else
        ser_text_appendf(t, "  %*s", width, "-");
}

static void append_class(ser_text *t, const char *name, const ser_class_figures *f, size_t n, ser_style style)
{
    ser_append_left(t, name, LONGEST_LABEL, style); /* also the width of "weighted average" */
    append_share(t, 9, f ? f->precision : NAN);
    append_share(t, 6, f ? f->recall : NAN);
    append_share(t, 8, f ? f->f1 : NAN);
    ser_text_appendf(t, "  %7zu", n);
}

static void append_means(ser_text *t, const ser_figures *f, ser_style style)
{
    ser_class_means means;
    ser_class_means_compute(&means, f);
    ser_text_append(t, "\n");
    ser_append_left(t, "accuracy", LONGEST_LABEL, style);
    ser_text_appendf(t, "  %9s  %6s  %8.2f  %7zu\n", "", "", means.accuracy, f->n);
    append_class(t, "macro average", &means.macro, means.macro.support, style);
    ser_text_append(t, "\n");
    append_class(t, "weighted average", &means.weighted, means.weighted.support, style);
    ser_text_append(t, "\n");
}

void ser_append_classification(ser_text *t, const ser_run_report *r, ser_style style)
{
    append_header(t, "emotion", LONGEST_LABEL,
                  r->cross ? "  precision  recall  f1-score  support  by mapping"
                           : "  precision  recall  f1-score  support",
                  style);
    for (size_t i = 0; i < ser_run_n_classes(r); i++) {
        ser_class_row row = ser_run_class_row(r, i);
        append_class(t, row.name, row.figures, row.n, style);
        if (r->cross)
            append_share(t, 10, row.lenient);
        ser_text_append(t, "\n");
    }
    if (r->figures->n)
        append_means(t, r->figures, style);
    if (r->cross)
        ser_text_append(t, "Precision, recall and f1-score are those among the shared emotions.\n");
}

/* "66.1 %", or "-", right-aligned in 10 columns. */
static void append_percent(ser_text *t, double percent)
{
    if (isfinite(percent))
        ser_text_appendf(t, "%8.1f %%", percent);
    else
        ser_text_appendf(t, "%10s", "-");
}

void ser_append_cross_models(ser_text *t, const ser_run_fold *models, size_t n_models, ser_style style)
{
    size_t left = 7;
    for (size_t i = 0; i < n_models; i++)
        left = ser_columns(models[i].name) > left ? ser_columns(models[i].name) : left;
    left = left < LONGEST_LABEL ? left : LONGEST_LABEL;
    append_header(t, "model", left, "  UA shared   WA shared  by mapping", style);
    for (size_t i = 0; i < n_models; i++) {
        const ser_run_fold *f = &models[i];
        ser_append_left(t, f->name, left, style);
        append_percent(t, f->ua);
        ser_text_append(t, "  ");
        append_percent(t, f->wa);
        ser_text_append(t, "  ");
        append_percent(t, f->lenient);
        if (f->shared.duplicates > 0)
            ser_text_appendf(t, "  trained on %ld of these recordings", f->shared.duplicates);
        ser_text_append(t, "\n");
    }
}

static void append_figure(ser_text *t, const char *name, double value, const double *ci95, ser_style style)
{
    ser_append_bold(t, style);
    ser_text_appendf(t, "%s %.1f %%", name, value);
    ser_append_plain(t, style);
    if (ci95 && ci95[1] > ci95[0])
        ser_text_appendf(t, " (%.1f%s%.1f)", ci95[0], style.utf8 ? "–" : "-", ci95[1]);
}

void ser_append_with_interval(ser_text *t, double percent, const double interval[2])
{
    ser_text_appendf(t, "%.1f %%", percent);
    if (interval[1] > interval[0])
        ser_text_appendf(t, " (%.1f to %.1f)", interval[0], interval[1]);
}

void ser_append_headline(ser_text *t, const ser_figures *f, ser_style style)
{
    append_figure(t, "UA", f->ua, f->ua_ci95, style);
    ser_text_append(t, "   ");
    append_figure(t, "WA", f->wa, f->wa_ci95, style);
    ser_text_append(t, "   ");
    append_figure(t, "F1", f->f1, NULL, style);
    ser_text_append(t, "   ");
    append_figure(t, "ECE", f->ece, NULL, style);
    ser_text_appendf(t, "   n %zu\n", f->n);
}
