#include "cli/run_material.h"
#include "base/memory.h"
#include "cli/settings.h"
#include "report/text.h"

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
        ser_append_setting(&text, value);
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

void ser_run_material_add_figure(ser_run_material *m, const ser_run_figure *figure)
{
    if (m->report.n_extra < SER_MAX_RUN_FIGURES)
        m->figures[m->report.n_extra++] = *figure;
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
    ser_status st = SER_OK;
    if (t.n)
        st = t.failed ? ser_fail_nomem(err) : ser_run_material_add_note(m, false, t.s, err);
    ser_text_clear(&t);
    for (size_t i = 0; i < mapping->n_target; i++)
        if (c->per_class[i].excluded && c->per_class[i].support)
            ser_text_appendf(&t, "%s%zu of %s", t.n ? ", " : "", c->per_class[i].support,
                             mapping->target_labels[i]);
    if (st == SER_OK && t.n) {
        ser_text_appendf(&t, ": not scored, because no emotion of %s counts as it", mapping->source);
        st = t.failed ? ser_fail_nomem(err) : ser_run_material_add_note(m, false, t.s, err);
    }
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
    ser_run_material_add_figure(m, &(ser_run_figure){.name = "Accuracy by the mapping",
                                                     .meaning = "answers that count as the truth, over the "
                                                                "recordings for which some answer can",
                                                     .unit = "%",
                                                     .value = c->acc_lenient,
                                                     .interval = {c->lenient_ci95[0], c->lenient_ci95[1]}});
    return note_unscored(m, mapping, c, err);
}

ser_status ser_run_material_finish(ser_run_material *m, const ser_report_facts *f, ser_error *err)
{
    ser_text type = {0};
    time_t now = time(NULL);
    struct tm local;
    bool has_speakers = true;
    ser_feature_spec_type(f->spec, &type);
    snprintf(m->features, sizeof m->features, "%s", type.s ? type.s : "");
    ser_text_release(&type);
    localtime_r(&now, &local);
    strftime(m->date, sizeof m->date, "%Y-%m-%d %H:%M", &local);
    for (size_t u = 0; u < f->corpus->n_utterances; u++)
        has_speakers = has_speakers && f->corpus->utterances[u].speaker >= 0;
    m->report.title = m->report.corpus = f->corpus->name;
    m->report.protocol = f->protocol;
    m->report.features = m->features;
    m->report.model_type = f->model_type;
    m->report.version = "ser " SER_VERSION;
    m->report.date = m->date;
    m->report.labels = (const char *const *)f->corpus->labels;
    m->report.figures = &f->evaluation->figures;
    m->report.intervals_over = has_speakers ? "speakers" : "recordings";
    fill_folds(m, f);
    ser_status st = list_facts(m, f->config, err);
    if (st == SER_OK)
        st = list_predictions(m, f, err);
    return st == SER_OK && f->cross ? set_cross(m, f->mapping, f->cross, err) : st;
}

void ser_run_material_print_cross(const ser_run_material *m, const ser_mapping *mapping, const ser_cross *c,
                                  const char *title)
{
    ser_style style = ser_style_of(stdout);
    const ser_run_report *r = &m->report;
    ser_text t = {0};
    ser_text_appendf(&t, "%s to %s, emotions mapped by %s\n\n", mapping->source, mapping->target,
                     mapping->name);
    ser_append_cross_models(&t, r->folds, r->n_folds, style);
    ser_text_append(&t, "\n");
    if (r->cross->matrix.n_truths) {
        if (title)
            ser_text_appendf(&t, "%s\n", title);
        ser_append_cross_classes(&t, r->cross, style);
        ser_text_append(&t, "\n");
        ser_append_matrix(&t, &r->cross->matrix, style);
        ser_text_append(&t, "\n");
    }
    for (size_t i = 0; i < r->n_notes; i++)
        if (!r->notes[i].serious)
            ser_text_appendf(&t, "%s\n", r->notes[i].text);
    if (c->figures.n) {
        ser_text_append(&t, "Shared emotions: ");
        ser_append_headline(&t, &c->figures, style);
    }
    if (c->n_lenient)
        ser_text_appendf(&t, "By the mapping: accuracy %.1f %% (%.1f to %.1f)   n %zu\n", c->acc_lenient,
                         c->lenient_ci95[0], c->lenient_ci95[1], c->n_lenient);
    if (!t.failed)
        fwrite(t.s, 1, t.n, stdout);
    ser_text_release(&t);
}
