#include "report/html.h"
#include "io/file.h"
#include "report/escape.h"
#include "report/html_parts.h"
#include "report/pictures.h"
#include "report/report_data.h"

#include <math.h>
#include <string.h>

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
    ser_html_begin(t, string_of(p->report, "corpus"));
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

static void append_card(page *p, const char *key, const char *name, const char *meaning, const char *unit,
                        const char *ci_key)
{
    double value;
    const json_t *ci = json_object_get(p->report, ci_key);
    double interval[2] = {json_number_value(json_array_get(ci, 0)), json_number_value(json_array_get(ci, 1))};
    if (number_of(&value, p->report, key))
        ser_html_card(p->t, name, meaning, unit, value, json_array_size(ci) == 2 ? interval : NULL);
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

static ser_shared_count count_leaks(const json_t *per_fold)
{
    ser_shared_count count = {.known = json_is_array(per_fold), .of = json_array_size(per_fold)};
    for (size_t i = 0; i < count.of; i++) {
        json_int_t n = json_integer_value(json_array_get(per_fold, i));
        count.n_folds += n > 0;
        count.most = n > count.most ? (long)n : count.most;
    }
    return count;
}

static void append_leaks(page *p)
{
    const json_t *leaks = json_object_get(p->report, "leaks");
    ser_shared_count counts[SER_N_SHARED];
    for (size_t i = 0; i < SER_N_SHARED; i++)
        counts[i] = count_leaks(json_object_get(leaks, ser_shared_kinds[i].key));
    ser_html_shared(p->t, counts);
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
        st = ser_html_chart(p->t, c, err);
    ser_chart_free(&c);
    if (st == SER_OK && d->has_reliability) {
        snprintf(subtitle, sizeof subtitle, "Calibration error (ECE) %.1f %%", d->reliability.ece);
        ser_reliability_picture reliability = {
            .title = "Are the probabilities right?", .subtitle = subtitle, .reliability = &d->reliability};
        st = ser_draw_reliability(&c, SER_CHART_HTML, &reliability, err);
        if (st == SER_OK)
            st = ser_html_chart(p->t, c, err);
        ser_chart_free(&c);
    }
    ser_text_append(p->t, "</section>\n");
    return st;
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
        ser_html_share(p->t, number_of(&ua, fold, "ua") ? ua / 100 : 0);
        ser_html_share(p->t, number_of(&wa, fold, "wa") ? wa / 100 : 0);
        ser_text_append(p->t, "</tr>\n");
    }
    ser_text_append(p->t, "</tbody></table></section>\n");
}

static void append_mistakes(page *p)
{
    size_t n = p->data->n_mistakes < SER_HTML_MISTAKES ? p->data->n_mistakes : SER_HTML_MISTAKES;
    ser_html_mistakes_begin(p->t, n, p->data->n_mistakes);
    for (size_t i = 0; i < n; i++) {
        const json_t *m = p->data->mistakes[i];
        ser_html_mistake(p->t, string_of(m, "file"), string_of(m, "label"), string_of(m, "predicted"),
                         ser_report_confidence(m));
    }
    ser_html_mistakes_end(p->t, n);
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
    ser_html_per_class(out, data.labels, data.per_class, data.n_labels);
    append_folds(&p);
    append_mistakes(&p);
    append_configuration(&p);
    ser_html_end(out);
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
