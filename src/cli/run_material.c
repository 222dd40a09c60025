#include "cli/run_material.h"
#include "base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

ser_status ser_run_material_init(ser_run_material *m, const ser_folds *folds, ser_error *err)
{
    *m = (ser_run_material){.folds = ser_alloc(folds->n_folds, sizeof *m->folds)};
    if (!m->folds)
        return ser_fail_nomem(err);
    m->report.folds = m->folds;
    m->report.n_folds = folds->n_folds;
    m->report.notes = m->notes;
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

ser_status ser_run_material_add_history(ser_run_material *m, size_t fold, const ser_learned *models,
                                        ser_error *err)
{
    ser_run_fold *f = &m->folds[fold];
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
        char *text =
            json_is_string(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
        char *own = ser_strdup(text ? text : json_is_string(value) ? json_string_value(value) : "");
        free(text);
        if (!own)
            return ser_fail_nomem(err);
        m->facts[m->n_facts++] = (ser_run_fact){.name = key, .value = own};
    }
    m->report.configuration = m->facts;
    m->report.n_configuration = m->n_facts;
    return SER_OK;
}

static void fill_folds(ser_run_material *m, const ser_folds *folds, const ser_leaks *leaks,
                       const ser_evaluation *e)
{
    for (size_t i = 0; i < e->n_folds; i++) {
        ser_run_fold *f = &m->folds[i];
        const ser_fold_result *r = &e->folds[i];
        f->name = folds->names[i];
        f->n_train = r->n_train - f->n_validation;
        f->n_test = r->n_test;
        f->ua = r->ua, f->wa = r->wa, f->f1 = r->f1, f->loss = r->loss;
        f->seconds = r->seconds;
        f->shared = (ser_run_shared){.speakers = leaks->speakers[i],
                                     .texts = leaks->texts[i],
                                     .duplicates = leaks->duplicates[i],
                                     .takes = leaks->takes[i]};
    }
}

static ser_status list_predictions(ser_run_material *m, const ser_corpus *corpus, const ser_folds *folds,
                                   const ser_evaluation *e, ser_error *err)
{
    m->predictions = ser_alloc(e->n, sizeof *m->predictions);
    if (!m->predictions)
        return ser_fail_nomem(err);
    for (size_t u = 0; u < e->n; u++) {
        const float *scores = e->scores + u * e->n_labels;
        m->predictions[u] = (ser_run_prediction){.file = corpus->utterances[u].file,
                                                 .fold = folds->names[folds->test_fold[u]],
                                                 .truth = (size_t)corpus->utterances[u].label,
                                                 .predicted = (size_t)ser_argmax(scores, e->n_labels),
                                                 .scores = scores};
    }
    m->report.predictions = m->predictions;
    m->report.n_predictions = e->n;
    return SER_OK;
}

ser_status ser_run_material_finish(ser_run_material *m, const ser_workbench *w, const ser_folds *folds,
                                   const ser_leaks *leaks, const ser_evaluation *e, const char *protocol,
                                   const char *model_type, const json_t *config, ser_error *err)
{
    ser_text type = {0};
    time_t now = time(NULL);
    struct tm local;
    bool has_speakers = true;
    ser_feature_spec_type(&w->spec, &type);
    snprintf(m->features, sizeof m->features, "%s", type.s ? type.s : "");
    ser_text_release(&type);
    localtime_r(&now, &local);
    strftime(m->date, sizeof m->date, "%Y-%m-%d %H:%M", &local);
    for (size_t u = 0; u < w->corpus->n_utterances; u++)
        has_speakers = has_speakers && w->corpus->utterances[u].speaker >= 0;
    m->report.title = m->report.corpus = w->corpus->name;
    m->report.protocol = protocol;
    m->report.features = m->features;
    m->report.model_type = model_type;
    m->report.version = "ser " SER_VERSION;
    m->report.date = m->date;
    m->report.labels = (const char *const *)w->corpus->labels;
    m->report.figures = &e->figures;
    m->report.intervals_over = has_speakers ? "speakers" : "recordings";
    fill_folds(m, folds, leaks, e);
    ser_status st = list_facts(m, config, err);
    return st == SER_OK ? list_predictions(m, w->corpus, folds, e, err) : st;
}
