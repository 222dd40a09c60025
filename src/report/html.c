#include "report/html.h"
#include "io/file.h"
#include "report/escape.h"
#include "report/html_style.h"
#include "report/pictures.h"
#include "report/report_data.h"

#include <math.h>
#include <string.h>

enum { N_MISTAKES_SHOWN = 20 };

typedef struct page {
    ser_text *t;
    const json_t *report;
    const ser_report_data *data;
} page;

static const char *string_of(const json_t *object, const char *key)
{
    const char *s = json_string_value(json_object_get(object, key));
    return s ? s : "";
}

static bool number_of(double *x, const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    *x = json_number_value(value);
    return json_is_number(value) && isfinite(*x);
}

static void append_element(ser_text *t, const char *tag, const char *text)
{
    ser_text_appendf(t, "<%s>", tag);
    ser_append_xml(t, text);
    ser_text_appendf(t, "</%.*s>\n", (int)strcspn(tag, " "), tag);
}

static void append_number(ser_text *t, const json_t *object, const char *key, int decimals, const char *unit)
{
    double x;
    if (number_of(&x, object, key))
        ser_text_appendf(t, "%.*f%s", decimals, x, unit);
    else
        ser_text_append(t, "–");
}

static void append_scalar(ser_text *t, const json_t *value)
{
    if (json_is_string(value))
        ser_append_xml(t, json_string_value(value));
    else if (json_is_integer(value))
        ser_text_appendf(t, "%lld", (long long)json_integer_value(value));
    else if (json_is_real(value))
        ser_text_appendf(t, "%.9g", json_real_value(value));
    else
        ser_text_append(t, json_is_true(value) ? "yes" : json_is_false(value) ? "no" : "–");
}

/* Any value, as somebody would say it: lists with commas, objects as "name: value". */
static void append_value(ser_text *t, json_t *value)
{
    json_t *item;
    const char *key;
    size_t i;
    bool first = true;
    if (!json_is_array(value) && !json_is_object(value))
        append_scalar(t, value);
    json_array_foreach(value, i, item)
    {
        ser_text_append(t, i ? ", " : "");
        append_value(t, item);
    }
    json_object_foreach(value, key, item)
    {
        ser_text_append(t, first ? "" : ", ");
        ser_append_xml(t, key);
        ser_text_append(t, ": ");
        append_value(t, item);
        first = false;
    }
}

static void append_head(page *p)
{
    ser_text *t = p->t;
    ser_text_append(t, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                       "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                       "<meta name=\"color-scheme\" content=\"light dark\">\n<title>");
    ser_append_xml(t, string_of(p->report, "corpus"));
    ser_text_append(t, " – ser report</title>\n<style>\n");
    ser_text_append(t, ser_html_style);
    ser_text_append(t, "</style>\n</head>\n<body>\n<header>\n");
    append_element(t, "h1", string_of(p->report, "corpus"));
    static const struct {
        const char *name, *key;
    } facts[] = {{"Protocol", "protocol"},
                 {"Features", "feature_type"},
                 {"Model", "model_type"},
                 {"Recordings", "n"},
                 {"Version", "version"}};
    ser_text_append(t, "<p class=\"facts\">");
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
        json_t *value = json_object_get(p->report, facts[i].key);
        if (!value)
            continue;
        ser_text_appendf(t, "<span>%s <b>", facts[i].name);
        append_value(t, value);
        ser_text_append(t, "</b></span>\n");
    }
    ser_text_append(t, "</p>\n</header>\n");
}

/* The interval as a band on a scale from 0 to 100, and in words. */
static void append_interval(page *p, const char *key, double value)
{
    const json_t *ci = json_object_get(p->report, key);
    double low = json_number_value(json_array_get(ci, 0)), high = json_number_value(json_array_get(ci, 1));
    if (json_array_size(ci) != 2 || !(low >= 0 && low <= high && high <= 100))
        return;
    ser_text_appendf(p->t,
                     "<div class=\"scale\"><i style=\"left:%.2f%%;width:%.2f%%\"></i>"
                     "<b style=\"left:%.2f%%\"></b></div><p>%.1f to %.1f</p>\n",
                     low, high - low, value, low, high);
}

static void append_card(page *p, const char *key, const char *name, const char *meaning, const char *unit,
                        const char *ci_key)
{
    double value;
    if (!number_of(&value, p->report, key))
        return;
    ser_text_appendf(p->t, "<div class=\"card\"><h3>%s</h3><p class=\"big\">%.*f<small>%s</small></p>\n",
                     name, *unit ? 1 : 3, value, unit);
    if (ci_key)
        append_interval(p, ci_key, value);
    ser_text_appendf(p->t, "<p>%s</p></div>\n", meaning);
}

static void append_headline(page *p)
{
    ser_text *t = p->t;
    ser_text_append(t, "<section class=\"cards\">\n");
    append_card(p, "ua", "UA", "unweighted accuracy: the mean recall of the emotions", " %", "ua_ci95");
    append_card(p, "wa", "WA", "accuracy over all recordings", " %", "wa_ci95");
    append_card(p, "f1", "F1", "macro F1", " %", NULL);
    append_card(p, "ece", "ECE", "calibration error: how far confidence is from the truth", " %", NULL);
    append_card(p, "loss", "Loss", "mean negative log probability of the truth", "", NULL);
    ser_text_append(t, "</section>\n<p class=\"note\">");
    if (json_object_get(p->report, "ua_ci95")) {
        const char *over = string_of(p->report, "ci95_over");
        ser_text_append(t, "Bands: 95 % intervals by resampling ");
        ser_append_xml(t, *over ? over : "speakers");
        ser_text_append(t, ". ");
    }
    if (json_object_get(p->report, "ua_mean")) {
        ser_text_appendf(t, "Over %zu seeds UA is ", json_array_size(json_object_get(p->report, "seeds")));
        append_number(t, p->report, "ua_mean", 1, " %");
        ser_text_append(t, ", standard deviation ");
        append_number(t, p->report, "ua_sd", 1, ".");
    }
    ser_text_append(t, "</p>\n");
}

/* In how many folds something is shared, and the largest count. */
static size_t count_leaks(const json_t *leaks, const char *key, json_int_t *most)
{
    const json_t *per_fold = json_object_get(leaks, key);
    size_t n = 0;
    *most = 0;
    for (size_t i = 0; i < json_array_size(per_fold); i++) {
        json_int_t count = json_integer_value(json_array_get(per_fold, i));
        n += count > 0;
        *most = count > *most ? count : *most;
    }
    return n;
}

static void append_leaks(page *p)
{
    static const struct {
        const char *key, *what, *meaning;
        bool serious;
    } kinds[] = {
        {"speakers", "speakers", "the figures hold for known voices; new ones will be recognised less well",
         true},
        {"duplicates", "recordings", "the model has seen what it was tested on", true},
        {"texts", "sentences", "usual for acted corpora, but spoken words may give the emotion away", false},
    };
    const json_t *leaks = json_object_get(p->report, "leaks");
    size_t n_folds = json_array_size(json_object_get(p->report, "folds")), n_serious = 0, n_found = 0;
    json_int_t most;
    if (!json_is_object(leaks))
        return;
    for (size_t i = 0; i < 3; i++) {
        bool found = count_leaks(leaks, kinds[i].key, &most) > 0;
        n_found += found;
        n_serious += found && kinds[i].serious;
    }
    ser_text_appendf(p->t, "<section class=\"box %s\"><h2>%s</h2>\n", n_serious ? "bad" : "good",
                     n_serious ? "Training and test parts are not independent"
                               : "Training and test parts share no speaker and no recording");
    ser_text_append(p->t, n_found ? "<ul>\n" : "");
    for (size_t i = 0; i < 3; i++) {
        size_t n = count_leaks(leaks, kinds[i].key, &most);
        if (n)
            ser_text_appendf(p->t, "<li><b>%s</b> shared in %zu of %zu folds, up to %lld: %s.</li>\n",
                             kinds[i].what, n, n_folds, (long long)most, kinds[i].meaning);
    }
    ser_text_append(p->t, n_found ? "</ul></section>\n" : "</section>\n");
}

static void append_row(page *p, const char *name, json_t *value)
{
    if (!value)
        return;
    ser_text_append(p->t, "<tr><th scope=\"row\">");
    ser_append_xml(p->t, name);
    ser_text_append(p->t, "</th><td>");
    append_value(p->t, value);
    ser_text_append(p->t, "</td></tr>\n");
}

/* Only reports across corpora have these. */
static void append_across(page *p)
{
    static const char *const rows[][2] = {{"Trained on", "source"},
                                          {"Tested on", "target"},
                                          {"UA over the shared emotions (%)", "ua_shared"},
                                          {"Accuracy by the mapping table (%)", "acc_lenient"},
                                          {"Shared emotions", "shared_labels"},
                                          {"Recordings left out", "excluded"},
                                          {"Before the adaptation", "before"},
                                          {"Model kept", "kept"},
                                          {"Because", "reason"}};
    if (!json_object_get(p->report, "target"))
        return;
    ser_text_append(p->t, "<section><h2>Across corpora</h2>\n<table class=\"facts\">\n");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        append_row(p, rows[i][0], json_object_get(p->report, rows[i][1]));
    ser_text_append(p->t, "</table></section>\n");
}

static ser_status append_chart(page *p, ser_chart *c, ser_error *err)
{
    ser_text_append(p->t, "<figure>");
    ser_status st = ser_chart_append(c, p->t, err);
    ser_text_append(p->t, "</figure>\n");
    return st;
}

static ser_status append_pictures(page *p, ser_error *err)
{
    const ser_report_data *d = p->data;
    ser_chart *c = NULL;
    char subtitle[64];
    ser_confusion_picture confusion = {.title = "Who is taken for whom",
                                       .subtitle = "Share and number of each row",
                                       .labels = d->labels,
                                       .n_labels = d->n_labels,
                                       .counts = d->counts};
    ser_text_append(p->t, "<section class=\"pictures\">\n");
    ser_status st = ser_draw_confusion(&c, SER_CHART_HTML, &confusion, err);
    if (st == SER_OK)
        st = append_chart(p, c, err);
    ser_chart_free(&c);
    if (st == SER_OK && d->has_reliability) {
        snprintf(subtitle, sizeof subtitle, "Calibration error (ECE) %.1f %%", d->reliability.ece);
        ser_reliability_picture reliability = {
            .title = "Are the probabilities right?", .subtitle = subtitle, .reliability = &d->reliability};
        st = ser_draw_reliability(&c, SER_CHART_HTML, &reliability, err);
        if (st == SER_OK)
            st = append_chart(p, c, err);
        ser_chart_free(&c);
    }
    ser_text_append(p->t, "</section>\n");
    return st;
}

/* A share in percent with a bar behind it. */
static void append_share(ser_text *t, double share)
{
    ser_text_appendf(t, "<td class=\"bar\"><i style=\"--share:%.3f\"></i><span>%.1f %%</span></td>",
                     fmin(1, fmax(0, share)), 100 * share);
}

static void append_per_class(page *p)
{
    ser_text_append(p->t,
                    "<section><h2>Each emotion</h2>\n<table><thead><tr><th>Emotion</th><th>Precision</th>"
                    "<th>Recall</th><th>F1</th><th>Recordings</th></tr></thead>\n<tbody>\n");
    for (size_t i = 0; i < p->data->n_labels; i++) {
        const ser_class_figures *f = &p->data->per_class[i];
        ser_text_append(p->t, "<tr><th scope=\"row\">");
        ser_append_xml(p->t, p->data->labels[i]);
        ser_text_append(p->t, "</th>");
        append_share(p->t, f->precision);
        append_share(p->t, f->recall);
        append_share(p->t, f->f1);
        ser_text_appendf(p->t, "<td>%zu</td></tr>\n", f->support);
    }
    ser_text_append(p->t, "</tbody></table></section>\n");
}

static void append_folds(page *p)
{
    const json_t *folds = json_object_get(p->report, "folds");
    if (!json_array_size(folds))
        return;
    ser_text_append(p->t,
                    "<section><h2>Folds</h2>\n<table><thead><tr><th>Fold</th><th>Training</th><th>Test</th>"
                    "<th>UA</th><th>WA</th></tr></thead>\n<tbody>\n");
    for (size_t i = 0; i < json_array_size(folds); i++) {
        const json_t *fold = json_array_get(folds, i);
        ser_text_append(p->t, "<tr><th scope=\"row\">");
        append_value(p->t, json_object_get(fold, "fold"));
        ser_text_append(p->t, "</th><td>");
        append_number(p->t, fold, "n_train", 0, "</td><td>");
        append_number(p->t, fold, "n_test", 0, "</td>");
        double ua, wa;
        append_share(p->t, number_of(&ua, fold, "ua") ? ua / 100 : 0);
        append_share(p->t, number_of(&wa, fold, "wa") ? wa / 100 : 0);
        ser_text_append(p->t, "</tr>\n");
    }
    ser_text_append(p->t, "</tbody></table></section>\n");
}

static void append_mistakes(page *p)
{
    size_t n = p->data->n_mistakes < N_MISTAKES_SHOWN ? p->data->n_mistakes : N_MISTAKES_SHOWN;
    if (!n)
        return;
    ser_text_appendf(p->t,
                     "<section><h2>The most confident mistakes</h2>\n<p class=\"note\">%zu of %zu, worth a "
                     "listen: some may be labelled wrongly.</p>\n<table><thead><tr><th>Recording</th>"
                     "<th class=\"word\">Truth</th><th "
                     "class=\"word\">Answer</th><th>Confidence</th></tr></thead>\n<tbody>\n",
                     n, p->data->n_mistakes);
    for (size_t i = 0; i < n; i++) {
        const json_t *m = p->data->mistakes[i];
        ser_text_append(p->t, "<tr>");
        append_element(p->t, "th scope=\"row\"", string_of(m, "file"));
        append_element(p->t, "td class=\"word\"", string_of(m, "label"));
        append_element(p->t, "td class=\"word\"", string_of(m, "predicted"));
        append_share(p->t, fmin(1, fmax(0, ser_report_confidence(m))));
        ser_text_append(p->t, "</tr>\n");
    }
    ser_text_append(p->t, "</tbody></table></section>\n");
}

static void append_configuration(page *p)
{
    static const char *const keys[] = {"layers",      "precision",   "normalize", "seed",
                                       "jobs",        "cpu",         "version",   "encoder_sha256",
                                       "data_sha256", "split_sha256"};
    const char *key;
    json_t *value;
    json_t *config = json_object_get(p->report, "config");
    ser_text_append(p->t, "<section><h2>How it was made</h2>\n<table class=\"facts\">\n");
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        append_row(p, keys[i], json_object_get(p->report, keys[i]));
    ser_text_append(p->t, "</table>\n");
    if (json_object_size(config)) {
        ser_text_append(p->t,
                        "<details open><summary>Every option in force</summary>\n<table class=\"facts\">\n");
        json_object_foreach(config, key, value) append_row(p, key, value);
        ser_text_append(p->t, "</table></details>\n");
    }
    ser_text_append(p->t, "</section>\n");
}

ser_status ser_report_html(ser_text *out, const json_t *report, ser_error *err)
{
    ser_report_data data;
    ser_status st = ser_report_data_init(&data, report, err);
    if (st != SER_OK)
        return st;
    page p = {.t = out, .report = report, .data = &data};
    append_head(&p);
    append_headline(&p);
    append_leaks(&p);
    append_across(&p);
    st = append_pictures(&p, err);
    append_per_class(&p);
    append_folds(&p);
    append_mistakes(&p);
    append_configuration(&p);
    ser_text_append(out, "</body>\n</html>\n");
    ser_report_data_release(&data);
    return st == SER_OK && out->failed ? ser_fail_nomem(err) : st;
}

ser_status ser_report_html_save(const char *path, const json_t *report, ser_error *err)
{
    ser_text t = {0};
    ser_status st = ser_report_html(&t, report, err);
    if (st == SER_OK)
        st = ser_io_write(path, t.s, t.n, err);
    ser_text_release(&t);
    return st;
}
