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

void ser_html_share(ser_text *t, double share)
{
    if (isfinite(share))
        ser_text_appendf(t, "<td class=\"bar\"><i style=\"--share:%.3f\"></i><span>%.1f %%</span></td>",
                         fmin(1, fmax(0, share)), 100 * share);
    else
        ser_text_append(t, "<td>–</td>");
}

ser_status ser_html_chart(ser_text *t, ser_chart *c, ser_error *err)
{
    ser_text_append(t, "<figure>");
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

void ser_html_per_class(ser_text *t, const char *const *labels, const ser_class_figures *figures,
                        size_t n_labels)
{
    ser_text_append(t, "<section><h2>Each emotion</h2>\n<table><thead><tr><th>Emotion</th><th>Precision</th>"
                       "<th>Recall</th><th>F1</th><th>Recordings</th></tr></thead>\n<tbody>\n");
    for (size_t i = 0; i < n_labels; i++) {
        const ser_class_figures *f = &figures[i];
        ser_text_append(t, "<tr><th scope=\"row\">");
        ser_append_xml(t, labels[i]);
        ser_text_append(t, "</th>");
        ser_html_share(t, f->precision);
        ser_html_share(t, f->recall);
        ser_html_share(t, f->f1);
        ser_text_appendf(t, "<td>%zu</td></tr>\n", f->support);
    }
    ser_text_append(t, "</tbody></table></section>\n");
}

void ser_html_mistakes_begin(ser_text *t, size_t n_shown, size_t n)
{
    if (n_shown)
        ser_text_appendf(
            t,
            "<section><h2>The most confident mistakes</h2>\n<p class=\"note\">%zu of %zu, worth a "
            "listen: some may be labelled wrongly.</p>\n<table><thead><tr><th>Recording</th>"
            "<th class=\"word\">Truth</th><th class=\"word\">Answer</th><th>Confidence</th></tr>"
            "</thead>\n<tbody>\n",
            n_shown, n);
}

void ser_html_mistake(ser_text *t, const char *file, const char *truth, const char *answer, double confidence)
{
    ser_text_append(t, "<tr>");
    ser_html_element(t, "th scope=\"row\"", file);
    ser_html_element(t, "td class=\"word\"", truth);
    ser_html_element(t, "td class=\"word\"", answer);
    ser_html_share(t, fmin(1, fmax(0, confidence)));
    ser_text_append(t, "</tr>\n");
}

void ser_html_mistakes_end(ser_text *t, size_t n_shown)
{
    if (n_shown)
        ser_text_append(t, "</tbody></table></section>\n");
}
