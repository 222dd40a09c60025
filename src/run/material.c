#include "run/material.h"
#include "base/memory.h"
#include "io/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

ser_status ser_run_material_init(ser_run_material *m, const ser_folds *folds, ser_error *err)
{
    *m = (ser_run_material){.folds = ser_alloc(folds->n_folds + 1, sizeof *m->folds)};
    if (!m->folds)
        return ser_fail_nomem(err);
    m->report.folds = m->folds;
    m->report.n_folds = folds->n_folds;
    m->report.notes = m->notes;
    m->report.extra = m->figures;
    return SER_OK;
}

void ser_run_material_release(ser_run_material *m)
{
    for (size_t i = 0; m->folds && i < m->report.n_folds; i++)
        ser_free((void *)m->folds[i].epochs);
    for (size_t i = 0; i < m->n_facts; i++)
        ser_free((void *)m->facts[i].value);
    for (size_t i = 0; i < m->report.n_notes; i++)
        ser_free(m->texts[i]);
    for (size_t i = 0; m->choices && i < m->report.n_folds; i++)
        ser_free(m->choices[i]);
    ser_free(m->choices);
    ser_text_release(&m->setup);
    ser_text_release(&m->drawn);
    ser_free(m->folds);
    ser_free(m->facts);
    ser_free(m->predictions);
    ser_free(m->classes);
    ser_free(m->shared);
    ser_free(m->right);
    *m = (ser_run_material){0};
}

ser_status ser_run_material_add_note(ser_run_material *m, bool serious, const char *text, ser_error *err)
{
    size_t n = m->report.n_notes;
    if (n == SER_MAX_RUN_NOTES)
        return SER_OK;
    if (!(m->texts[n] = ser_strdup(text)))
        return ser_fail_nomem(err);
    m->notes[n] = (ser_run_note){.text = m->texts[n], .serious = serious};
    m->report.n_notes++;
    return SER_OK;
}

static ser_status add_text(ser_run_material *m, const ser_text *t, ser_error *err)
{
    return t->failed ? ser_fail_nomem(err) : t->n ? ser_run_material_add_note(m, false, t->s, err) : SER_OK;
}

static ser_status add_projection(ser_run_fold *f, const ser_adapted *a, ser_error *err)
{
    ser_run_epoch *epochs = ser_alloc(a->n_epochs, sizeof *epochs);
    if (!epochs)
        return ser_fail_nomem(err);
    for (size_t i = 0; i < a->n_epochs; i++)
        epochs[i] = (ser_run_epoch){.epoch = a->history[i].epoch,
                                    .train_loss = a->history[i].source_loss,
                                    .train_accuracy = a->history[i].source_accuracy,
                                    .validation_loss = NAN,
                                    .validation_accuracy = NAN,
                                    .rate = a->history[i].rate,
                                    .seconds = NAN};
    f->epochs = epochs;
    f->n_epochs = f->kept_epoch = a->n_epochs;
    return SER_OK;
}

ser_status ser_run_material_add_history(ser_run_material *m, size_t fold, const ser_learned *models,
                                        ser_error *err)
{
    ser_run_fold *f = &m->folds[fold];
    if (models->adapted.n_epochs)
        return add_projection(f, &models->adapted, err);
    if (!models->n_networks)
        return SER_OK;
    const ser_timnet_fit *fit = &models->networks[0];
    ser_run_epoch *epochs = ser_alloc(fit->n_epochs, sizeof *epochs);
    if (!epochs)
        return ser_fail_nomem(err);
    for (size_t i = 0; i < fit->n_epochs; i++) {
        const ser_timnet_epoch *e = &fit->history[i];
        epochs[i] = (ser_run_epoch){.epoch = e->epoch,
                                    .train_loss = e->train_loss,
                                    .validation_loss = e->validation_loss,
                                    .train_accuracy = e->train_accuracy,
                                    .validation_accuracy = e->validation_accuracy,
                                    .rate = e->rate,
                                    .seconds = e->seconds};
    }
    f->epochs = epochs;
    f->n_epochs = fit->n_epochs;
    f->kept_epoch = fit->epoch_kept;
    f->n_validation = fit->n_validation;
    return *fit->note ? ser_run_material_add_note(m, false, fit->note, err) : SER_OK;
}

/* The value alone; of an object "linear 1 / timnet 0.3". */
static void append_setting(ser_text *t, const json_t *value)
{
    const char *key;
    json_t *part;
    char *text = json_is_object(value) || json_is_string(value)
                     ? NULL
                     : ser_json_dump(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(4));
    if (text || json_is_string(value))
        ser_text_append(t, text ? text : json_string_value(value));
    else if (!json_is_object(value))
        t->failed = true;
    free(text);
    json_object_foreach((json_t *)value, key, part)
    {
        ser_text_appendf(t, "%s%s ",
                         json_object_iter((json_t *)value) == json_object_key_to_iter(key) ? "" : " / ", key);
        append_setting(t, part);
    }
}

static ser_status list_facts(ser_run_material *m, const json_t *config, ser_error *err)
{
    const char *key;
    json_t *value;
    m->facts = ser_alloc(json_object_size(config) + 1, sizeof *m->facts);
    if (!m->facts)
        return ser_fail_nomem(err);
    json_object_foreach((json_t *)config, key, value)
    {
        if (json_is_null(value))
            continue;
        ser_text text = {0};
        append_setting(&text, value);
        char *own = text.failed ? NULL : ser_strdup(text.s ? text.s : "");
        ser_text_release(&text);
        if (!own)
            return ser_fail_nomem(err);
        m->facts[m->n_facts++] = (ser_run_fact){.name = key, .value = own};
    }
    m->report.configuration = m->facts;
    m->report.n_configuration = m->n_facts;
    return SER_OK;
}

static void fill_folds(ser_run_material *m, const ser_report_facts *facts)
{
    const ser_leaks *leaks = facts->leaks;
    for (size_t i = 0; i < facts->evaluation->n_folds; i++) {
        ser_run_fold *f = &m->folds[i];
        const ser_fold_result *r = &facts->evaluation->folds[i];
        f->name = facts->folds->names[i];
        f->n_train = r->n_train - f->n_validation;
        f->n_test = r->n_test;
        f->ua = r->ua, f->wa = r->wa, f->f1 = r->f1, f->loss = r->loss, f->lenient = r->acc_lenient;
        f->seconds = r->seconds;
        f->shared = (ser_run_shared){.speakers = leaks->speakers[i],
                                     .texts = leaks->texts[i],
                                     .duplicates = leaks->duplicates[i],
                                     .takes = leaks->takes[i]};
    }
}

static void append_json(ser_text *t, const char *name, json_t *value)
{
    char *text = ser_json_dump(value, JSON_COMPACT | JSON_REAL_PRECISION(2));
    ser_text_appendf(t, "%s%s %s", t->n ? "  " : "", name, text ? text : "");
    free(text);
    json_decref(value);
}

/* "layers [2,3]  spread 0.5  c 300": where something was chosen. */
static ser_status list_choices(ser_run_material *m, const ser_report_facts *f, ser_error *err)
{
    const ser_evaluation *e = f->evaluation;
    if (!(m->choices = ser_alloc(m->report.n_folds + 1, sizeof *m->choices)))
        return ser_fail_nomem(err);
    for (size_t i = 0; i < e->n_folds; i++) {
        const ser_fold_result *r = &e->folds[i];
        ser_text t = {0};
        if (!r->has_choice)
            continue;
        if (ser_feature_spec_encoder(f->spec))
            append_json(&t, "layers", ser_chosen_layers_json(f->spec, r->chosen.blocks));
        ser_text_appendf(&t, "%sspread %g  c %g", t.n ? "  " : "", r->chosen.spread_weight, r->chosen.c);
        if (r->chosen.weighted)
            append_json(&t, "weights", ser_layer_weights_json(f->spec, r->layer_weight));
        m->folds[i].choice = m->choices[i] = t.s;
        if (t.failed)
            return ser_fail_nomem(err);
    }
    return SER_OK;
}

static ser_status list_predictions(ser_run_material *m, const ser_report_facts *f, ser_error *err)
{
    const ser_evaluation *e = f->evaluation;
    m->predictions = ser_alloc(e->n, sizeof *m->predictions);
    if (!m->predictions)
        return ser_fail_nomem(err);
    for (size_t u = 0; u < e->n; u++) {
        const float *scores = e->scores + u * e->n_labels;
        const ser_utterance *utterance = &f->corpus->utterances[u];
        int truth = utterance->label;
        m->predictions[u] = (ser_run_prediction){.file = utterance->file,
                                                 .fold = f->folds->names[f->folds->test_fold[u]],
                                                 .truth = truth < 0 ? SER_RUN_NO_TRUTH : (size_t)truth,
                                                 .predicted = (size_t)ser_argmax(scores, e->n_labels),
                                                 .scores = scores};
    }
    m->report.predictions = m->predictions;
    m->report.n_predictions = e->n;
    return SER_OK;
}

void ser_run_material_add_figure(ser_run_material *m, const char *name, const char *meaning, double value,
                                 const double interval[2])
{
    if (m->report.n_extra < SER_MAX_RUN_FIGURES)
        m->figures[m->report.n_extra++] =
            (ser_run_figure){.name = name,
                             .meaning = meaning,
                             .unit = "%",
                             .value = value,
                             .interval = {interval ? interval[0] : NAN, interval ? interval[1] : NAN}};
}

/* ---- across corpora ---- */

/* "Answers: 12 neutral, 5 angry", for a target that cannot be scored. */
static void append_answers(ser_text *t, const ser_run_material *m, const ser_mapping *mapping)
{
    bool any = false;
    ser_text_append(t, ". Answers: ");
    for (size_t k = 0; k < mapping->n_source; k++) {
        size_t n = 0;
        for (size_t i = 0; i < m->report.n_predictions; i++)
            n += m->predictions[i].predicted == k;
        if (n)
            ser_text_appendf(t, "%s%zu %s", any ? ", " : "", n, mapping->source_labels[k]);
        any = any || n;
    }
}

static ser_status note_unscored(ser_run_material *m, const ser_mapping *mapping, const ser_cross *c,
                                ser_error *err)
{
    ser_text t = {0};
    size_t n_unknown = c->n - c->n_known;
    if (!c->n_known) {
        ser_text_appendf(&t, "%s has no labels: there is nothing to score", mapping->target);
        append_answers(&t, m, mapping);
    } else if (n_unknown) {
        ser_text_appendf(&t, "%zu of %zu recordings are not scored: their emotion is not known", n_unknown,
                         c->n);
    }
    ser_status st = add_text(m, &t, err);
    ser_text_clear(&t);
    for (size_t i = 0; i < mapping->n_target; i++)
        if (c->per_class[i].excluded && c->per_class[i].support)
            ser_text_appendf(&t, "%s%zu of %s", t.n ? ", " : "", c->per_class[i].support,
                             mapping->target_labels[i]);
    if (t.n)
        ser_text_appendf(&t, ": not scored, because no emotion of %s counts as it", mapping->source);
    if (st == SER_OK)
        st = add_text(m, &t, err);
    if (st == SER_OK && mapping->n_shared < 2 && mapping->n_target)
        st = ser_run_material_add_note(m, false,
                                       mapping->n_shared
                                           ? "The corpora share one emotion alone: a model that is "
                                             "asked for nothing else is always right"
                                           : "The corpora share no emotion: there is no UA",
                                       err);
    ser_text_release(&t);
    return st;
}

static ser_status list_classes(ser_run_material *m, const ser_mapping *mapping, const ser_cross *c,
                               ser_error *err)
{
    m->classes = ser_alloc(mapping->n_target, sizeof *m->classes);
    m->shared = ser_alloc(mapping->n_shared, sizeof *m->shared);
    if (!m->classes || !m->shared)
        return ser_fail_nomem(err);
    for (size_t t = 0; t < mapping->n_target; t++) {
        int shared = c->per_class[t].shared;
        m->classes[t] = (ser_run_class){
            .lenient = c->per_class[t].right,
            .shared = shared >= 0 && c->figures.per_class ? &c->figures.per_class[shared] : NULL};
    }
    for (size_t k = 0; k < mapping->n_shared; k++)
        m->shared[k] = mapping->target_labels[mapping->shared_target[k]];
    return SER_OK;
}

static void set_matrix(ser_run_material *m, const ser_mapping *mapping, const ser_cross *c)
{
    m->cross = (ser_run_cross){.source = mapping->source,
                               .target = mapping->target,
                               .matrix = {.truths = (const char *const *)mapping->target_labels,
                                          .answers = (const char *const *)mapping->source_labels,
                                          .n_truths = mapping->n_target,
                                          .n_answers = mapping->n_source,
                                          .counts = c->confusion,
                                          .right = m->right},
                               .classes = m->classes,
                               .reliability = &c->reliability,
                               .n = c->n};
}

void ser_run_material_add_average(ser_run_material *m, const ser_cross *c)
{
    const ser_figures *f = &c->figures;
    if (m->report.n_folds > 1)
        m->folds[m->report.n_folds++] = (ser_run_fold){.name = "average",
                                                       .combined = true,
                                                       .n_test = c->n,
                                                       .ua = f->ua,
                                                       .wa = f->wa,
                                                       .f1 = f->f1,
                                                       .loss = f->loss,
                                                       .lenient = c->acc_lenient};
}

static ser_status set_cross(ser_run_material *m, const ser_mapping *mapping, const ser_cross *c,
                            ser_error *err)
{
    size_t n_cells = mapping->n_target * mapping->n_source;
    ser_status st = list_classes(m, mapping, c, err);
    if (st == SER_OK && !(m->right = ser_alloc(n_cells, sizeof *m->right)))
        st = ser_fail_nomem(err);
    if (st != SER_OK)
        return st;
    for (size_t t = 0; t < mapping->n_target; t++)
        for (size_t s = 0; s < mapping->n_source; s++)
            m->right[t * mapping->n_source + s] = ser_mapping_counts(mapping, s, t);
    set_matrix(m, mapping, c);
    snprintf(m->title, sizeof m->title, "%.100s to %.100s", mapping->source, mapping->target);
    m->report.cross = &m->cross;
    for (size_t i = 0; i < m->report.n_folds; i++)
        m->folds[i].is_model = true;
    m->report.title = m->title;
    m->report.figures = &c->figures;
    m->report.labels = m->shared;
    if (!c->n_lenient && !c->figures.n)
        m->report.intervals_over = NULL;
    ser_run_material_add_figure(
        m, "Accuracy by the mapping",
        "answers that count as the truth, over the recordings for which some answer can", c->acc_lenient,
        c->lenient_ci95);
    return note_unscored(m, mapping, c, err);
}

/* ---- the lines above the figures ---- */

/* Settings that a person wants to see. */
static const char *const told_settings[] = {
    "augment",       "networks",       "epoch",           "batch_size",     "lr",
    "beta1",         "beta2",          "warmup",          "decay",          "patience",
    "validation",    "average",        "label_smoothing", "class_weights",  "time_masks",
    "feature_masks", "mixup",          "filter_size",     "kernel_size",    "dilation_size",
    "stack_size",    "dropout",        "activation",      "average_frames", "trim",
    "lmmd_weight",   "entropy_weight", "balance_weight"};

/* "epoch 12, lr 0.002, ..." in lines of 100 columns; what is null or false is left out. */
static void append_settings(ser_text *t, const json_t *config)
{
    enum { WIDTH = 80 };
    size_t line = t->n;
    ser_text one = {0};
    for (size_t k = 0; k < sizeof told_settings / sizeof *told_settings; k++) {
        const json_t *value = json_object_get(config, told_settings[k]);
        if (!value || json_is_null(value) || json_is_false(value))
            continue;
        ser_text_clear(&one);
        ser_text_appendf(&one, "%s ", told_settings[k]);
        append_setting(&one, value);
        bool is_first = t->n == line;
        if (!is_first && t->n + one.n + 3 > line + WIDTH) {
            ser_text_append(t, ",\n");
            line = t->n;
            is_first = true;
        }
        ser_text_appendf(t, "%s%s", is_first ? "" : ", ", one.s ? one.s : "");
    }
    t->failed = t->failed || one.failed;
    ser_text_release(&one);
    if (t->n > line)
        ser_text_append(t, "\n");
}

void ser_run_tell_settings(const ser_run_host *h, const json_t *config)
{
    ser_text t = {0};
    append_settings(&t, config);
    for (char *line = t.s, *end; line && !t.failed && (end = strchr(line, '\n')); line = end + 1) {
        *end = '\0';
        ser_run_tell(h, SER_RUN_SETTINGS, "%s", line);
    }
    ser_text_release(&t);
}

/* What it was, then "epoch 12, lr 0.002, ...". */
static ser_status set_setup(ser_run_material *m, const ser_report_facts *f, ser_error *err)
{
    ser_text *t = &m->setup;
    if (f->cross)
        ser_text_appendf(t, "%s to %s, emotions mapped by %s, ", f->mapping->source, f->mapping->target,
                         f->mapping->name);
    else
        ser_text_appendf(t, "%s, %s, ", f->corpus->name, f->protocol);
    ser_text_appendf(t, "%s, %s, normalize %s, precision %s, seed %llu\n", m->features, f->model_type,
                     f->normalize, f->precision, (unsigned long long)f->seed);
    append_settings(t, f->config);
    m->report.setup = t->s;
    return t->failed ? ser_fail_nomem(err) : SER_OK;
}

/* ---- all of it ---- */

ser_status ser_run_material_finish(ser_run_material *m, const ser_report_facts *f, ser_error *err)
{
    ser_text type = {0}, encoder = {0};
    time_t now = time(NULL);
    struct tm local;
    ser_feature_spec_type(f->spec, &type);
    snprintf(m->features, sizeof m->features, "%s", type.s ? type.s : "");
    if (f->encoder_learned_from)
        ser_text_appendf(&encoder, "The encoder has learned from %s", f->encoder_learned_from);
    localtime_r(&now, &local);
    strftime(m->date, sizeof m->date, "%Y-%m-%d %H:%M", &local);
    m->report.title = m->report.corpus = f->corpus->name;
    m->report.protocol = f->protocol;
    m->report.features = m->features;
    m->report.model_type = f->model_type;
    m->report.version = "ser " SER_VERSION;
    m->report.date = m->date;
    m->report.labels = (const char *const *)f->corpus->labels;
    m->report.figures = &f->evaluation->figures;
    m->report.intervals_over = ser_corpus_has_speakers(f->corpus) ? "speakers" : "recordings";
    fill_folds(m, f);
    ser_status st = type.failed ? ser_fail_nomem(err) : list_facts(m, f->config, err);
    if (st == SER_OK)
        st = add_text(m, &encoder, err);
    ser_text_release(&type);
    ser_text_release(&encoder);
    if (st == SER_OK && !f->cross)
        st = list_choices(m, f, err);
    if (st == SER_OK)
        st = list_predictions(m, f, err);
    if (st == SER_OK && f->cross)
        st = set_cross(m, f->mapping, f->cross, err);
    return st == SER_OK ? set_setup(m, f, err) : st;
}
