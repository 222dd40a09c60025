#include "report/html_parts.h"
#include "report/escape.h"
#include "report/html_style.h"

#include <math.h>
#include <string.h>

void ser_html_begin(ser_text *t, const char *title)
{
    ser_text_append(t, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                       "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                       "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
                       "style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">\n"
                       "<meta name=\"color-scheme\" content=\"light dark\">\n<title>");
    ser_append_xml(t, title);
    ser_text_append(t, " – ser report</title>\n<style>\n");
    ser_text_append(t, ser_html_style);
    ser_text_append(t, "</style>\n</head>\n<body>\n<header>\n");
    ser_html_element(t, "h1", title);
}

void ser_html_end(ser_text *t)
{
    ser_text_append(t, "</body>\n</html>\n");
}

void ser_html_element(ser_text *t, const char *tag, const char *text)
{
    ser_text_appendf(t, "<%s>", tag);
    ser_append_xml(t, text ? text : "");
    ser_text_appendf(t, "</%.*s>\n", (int)strcspn(tag, " "), tag);
}

static void append_interval(ser_text *t, double value, const double interval[2], bool percent)
{
    double low = interval[0], high = interval[1];
    if (percent && low >= 0 && low <= high && high <= 100)
        ser_text_appendf(t,
                         "<div class=\"scale\"><i style=\"left:%.2f%%;width:%.2f%%\"></i>"
                         "<b style=\"left:%.2f%%\"></b></div><p>%.1f to %.1f</p>\n",
                         low, high - low, fmin(100, fmax(0, value)), low, high);
}

void ser_html_card(ser_text *t, const char *name, const char *meaning, const char *unit, double value,
                   const double *interval)
{
    bool percent = strchr(unit, '%') != NULL;
    ser_text_append(t, "<div class=\"card\"><h3>");
    ser_append_xml(t, name);
    ser_text_appendf(t, "</h3><p class=\"big\">%.*f<small>%s</small></p>\n", percent ? 1 : 3, value, unit);
    if (interval)
        append_interval(t, value, interval, percent);
    ser_html_element(t, "p", meaning);
    ser_text_append(t, "</div>\n");
}

void ser_html_table_begin(ser_text *t, const ser_html_column *columns, size_t n, bool many)
{
    ser_text_append(t, many ? "<table class=\"many\"><thead><tr>" : "<table><thead><tr>");
    for (size_t i = 0; i < n; i++)
        if (!columns[i].left_out)
            ser_text_appendf(t, "<th%s>%s</th>", columns[i].is_text && i ? " class=\"word\"" : "",
                             columns[i].name);
    ser_text_append(t, "</tr></thead>\n<tbody>\n");
}

void ser_html_table_end(ser_text *t)
{
    ser_text_append(t, "</tbody></table></section>\n");
}

static void begin_cell(ser_text *t, const char *class, const ser_html_column *column)
{
    ser_text_append(t, "<td");
    if (class)
        ser_text_appendf(t, " class=\"%s\"", class);
    ser_text_appendf(t, " data-name=\"%s\">", column->name);
}

void ser_html_number(ser_text *t, double x, int decimals, const ser_html_column *column)
{
    if (column->left_out)
        return;
    begin_cell(t, isfinite(x) ? NULL : "none", column);
    if (isfinite(x))
        ser_text_appendf(t, "%.*f</td>", decimals, x);
    else
        ser_text_append(t, "–</td>");
}

void ser_html_share(ser_text *t, double share, const ser_html_column *column)
{
    if (column->left_out)
        return;
    begin_cell(t, isfinite(share) ? "bar" : "none", column);
    if (isfinite(share))
        ser_text_appendf(t, "<i style=\"--share:%.3f\"></i><span>%.1f %%</span></td>",
                         fmin(1, fmax(0, share)), 100 * share);
    else
        ser_text_append(t, "–</td>");
}

void ser_html_word(ser_text *t, const char *text, const ser_html_column *column)
{
    begin_cell(t, "word", column);
    ser_append_xml(t, text ? text : "");
    ser_text_append(t, "</td>");
}

ser_status ser_html_chart(ser_text *t, ser_chart *c, const char *class, ser_error *err)
{
    ser_text_appendf(t, class ? "<figure class=\"%s\">" : "<figure>", class);
    ser_status st = ser_chart_append(c, t, err);
    ser_text_append(t, "</figure>\n");
    return st;
}

void ser_html_shared(ser_text *t, const ser_shared_count counts[SER_N_SHARED])
{
    static const char *const looks[] = {
        [SER_VERDICT_GOOD] = " good", [SER_VERDICT_UNKNOWN] = "", [SER_VERDICT_BAD] = " bad"};
    const ser_verdict verdict = ser_shared_verdict(counts);
    size_t n_found = 0;
    for (size_t i = 0; i < SER_N_SHARED; i++)
        n_found += counts[i].n_folds > 0;
    if (verdict == SER_VERDICT_NONE)
        return;
    ser_text_appendf(t, "<section class=\"box%s\"><h2>%s</h2>\n", looks[verdict], ser_verdict_text(verdict));
    ser_text_append(t, n_found ? "<ul>\n" : "");
    for (size_t i = 0; i < SER_N_SHARED; i++)
        if (counts[i].n_folds) {
            ser_text_appendf(t, "<li><b>%s</b> ", ser_shared_kinds[i].what);
            ser_append_shared(t, i, counts[i]);
            ser_text_append(t, ".</li>\n");
        }
    ser_text_append(t, n_found ? "</ul></section>\n" : "</section>\n");
}

/* Across corpora there is more to say of each than fits beside it on a narrow page. */
void ser_html_per_class(ser_text *t, const ser_run_report *r)
{
    const ser_run_cross *cross = r->cross;
    const ser_html_column columns[] = {
        {.name = "Emotion"},
        {.name = "Precision"},
        {.name = "Recall"},
        {.name = "F1"},
        {.name = "Recordings"},
        {.name = "By the mapping", .left_out = !cross},
        {.name = "Answers that count as it", .left_out = !cross, .is_text = true}};
    const size_t n_columns = sizeof columns / sizeof *columns;
    if (cross && !cross->matrix.n_truths)
        return;
    ser_text_append(t, "<section><h2>Each emotion</h2>\n");
    if (cross)
        ser_text_append(
            t, "<p class=\"note\">Precision, recall and F1 are those among the shared emotions.</p>\n");
    ser_html_table_begin(t, columns, n_columns, cross);
    for (size_t i = 0; i < ser_run_n_classes(r); i++) {
        const ser_class_row row = ser_run_class_row(r, i);
        const ser_class_figures *f = row.figures;
        ser_text_append(t, "<tr>");
        ser_html_element(t, "th scope=\"row\"", row.name);
        ser_html_share(t, f ? f->precision : NAN, &columns[1]);
        ser_html_share(t, f ? f->recall : NAN, &columns[2]);
        ser_html_share(t, f ? f->f1 : NAN, &columns[3]);
        ser_html_number(t, (double)row.n, 0, &columns[4]);
        ser_html_share(t, row.lenient, &columns[5]);
        if (cross) {
            ser_text answers = {0};
            ser_append_answers(&answers, &cross->matrix, i);
            t->failed |= answers.failed;
            ser_html_word(t, answers.s, &columns[6]);
            ser_text_release(&answers);
        }
        ser_text_append(t, "</tr>\n");
    }
    ser_html_table_end(t);
}

static const ser_html_column mistake_columns[] = {{.name = "Recording"},
                                                  {.name = "Truth", .is_text = true},
                                                  {.name = "Answer", .is_text = true},
                                                  {.name = "Confidence"}};

void ser_html_mistakes_begin(ser_text *t, size_t n_shown, size_t n)
{
    if (!n_shown)
        return;
    ser_text_appendf(t,
                     "<section><h2>The most confident mistakes</h2>\n<p class=\"note\">%zu of %zu, worth a "
                     "listen: some may be labelled wrongly.</p>\n",
                     n_shown, n);
    ser_html_table_begin(t, mistake_columns, sizeof mistake_columns / sizeof *mistake_columns, true);
}

void ser_html_mistake(ser_text *t, const char *file, const char *truth, const char *answer, double confidence)
{
    ser_text_append(t, "<tr>");
    ser_html_element(t, "th scope=\"row\"", file);
    ser_html_word(t, truth, &mistake_columns[1]);
    ser_html_word(t, answer, &mistake_columns[2]);
    ser_html_share(t, fmin(1, fmax(0, confidence)), &mistake_columns[3]);
    ser_text_append(t, "</tr>\n");
}

void ser_html_mistakes_end(ser_text *t, size_t n_shown)
{
    if (n_shown)
        ser_html_table_end(t);
}
