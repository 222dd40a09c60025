#include "run/material.h"
#include "base/memory.h"
#include "report/setup.h"
#include "run/identity.h"

#include <math.h>
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
    return SER_OK;
}

void ser_run_material_release(ser_run_material *m)
{
    for (size_t i = 0; m->folds && i < m->report.n_folds; i++)
        ser_free((void *)m->folds[i].epochs);
    for (size_t i = 0; i < m->report.n_notes; i++)
        ser_free(m->texts[i]);
    for (size_t i = 0; i < m->n_crosses; i++)
        ser_free(m->classes[i]);
    ser_text_release(&m->drawn);
    ser_free(m->folds);
    ser_free(m->choices);
    ser_free(m->predictions);
    ser_free(m->voices);
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

size_t ser_run_blocks(ser_run_block out[SER_MAX_BLOCKS], const ser_feature_spec *spec)
{
    size_t n = 0;
    for (size_t i = 0; i < spec->n_parts; i++) {
        const ser_feature_part *p = &spec->parts[i];
        bool is_encoder = ser_feature_kind_is_encoder(p->kind);
        for (size_t l = 0; l < (is_encoder ? p->n_layers : 1) && n < SER_MAX_BLOCKS; l++)
            out[n++] = is_encoder ? (ser_run_block){ser_feature_kind_name(p->kind), p->layers[l]}
                                  : (ser_run_block){NULL, 0};
    }
    return n;
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
        f->blocks = r->chosen.blocks;
        f->left_out = (ser_run_left_out){
            .ua_restricted = r->ua_restricted, .ua_open = r->ua_open, .ece = r->ece, .excluded = r->excluded};
        f->shared = (ser_run_shared){.speakers = leaks->speakers[i],
                                     .texts = leaks->texts[i],
                                     .duplicates = leaks->duplicates[i],
                                     .takes = leaks->takes[i]};
    }
}

static const char *sex_name(ser_sex sex)
{
    return sex == SER_SEX_FEMALE ? "female" : sex == SER_SEX_MALE ? "male" : NULL;
}

static ser_run_voice voice_of(const ser_group_result *g, const char *name, ser_sex sex)
{
    return (ser_run_voice){.name = name,
                           .sex = sex_name(sex),
                           .n = g->n,
                           .ua_restricted = g->ua_restricted,
                           .ua_open = g->ua_open};
}

/* Of corpora left out: who was asked, and what is not scored because no other corpus has it. */
static ser_status list_voices(ser_run_material *m, const ser_report_facts *facts, ser_error *err)
{
    const ser_evaluation *e = facts->evaluation;
    const ser_corpus *c = facts->corpus;
    size_t n = 0;
    if (!(m->voices = ser_alloc(e->n_voices ? e->n_voices : 1, sizeof *m->voices)))
        return ser_fail_nomem(err);
    for (size_t i = 0; i < e->n_folds; i++) {
        const ser_fold_result *r = &e->folds[i];
        ser_run_left_out *out = &m->folds[i].left_out;
        out->voices = m->voices + n;
        for (size_t s = 0; s < e->n_voices; s++)
            if (e->voices[s].n && e->voices[s].fold == (int)i)
                m->voices[n++] = voice_of(&e->voices[s], c->speakers[s], c->sexes[s]);
        out->n_voices = (size_t)(m->voices + n - out->voices);
        out->n = r->n_test;
        for (size_t l = 0; l < e->n_labels; l++)
            out->n -= r->excluded[l];
        for (int side = 0; side < 2; side++) {
            out->restricted_ci95[side] = r->restricted_ci95[side];
            out->open_ci95[side] = r->open_ci95[side];
        }
        out->intervals_over = r->by_speakers ? "speakers" : "recordings";
        out->female = voice_of(&r->sexes[SER_SEX_FEMALE], "women", SER_SEX_FEMALE);
        out->male = voice_of(&r->sexes[SER_SEX_MALE], "men", SER_SEX_MALE);
    }
    return SER_OK;
}

/* Whether all recordings of a fold that are scored have the same. */
static bool has_one_emotion(const ser_report_facts *facts, size_t fold)
{
    uint64_t emotions = 0;
    for (size_t u = 0; u < facts->evaluation->n; u++)
        if (facts->folds->test_fold[u] == (int)fold && facts->evaluation->scored[u])
            emotions |= UINT64_C(1) << facts->corpus->utterances[u].label;
    return emotions && !(emotions & (emotions - 1));
}

static ser_status note_excluded(ser_run_material *m, const ser_report_facts *facts, ser_error *err)
{
    const ser_evaluation *e = facts->evaluation;
    ser_status st = SER_OK;
    for (size_t i = 0; i < e->n_folds && st == SER_OK; i++) {
        ser_text t = {0};
        for (size_t l = 0; l < e->n_labels; l++)
            if (e->folds[i].excluded[l])
                ser_text_appendf(&t, "%s%zu of %s", t.n ? ", " : "", e->folds[i].excluded[l],
                                 facts->corpus->labels[l]);
        if (t.n)
            ser_text_appendf(&t, ": not scored in %s, because no other corpus has %s", m->folds[i].name,
                             m->folds[i].left_out.n ? "that" : "any of its emotions");
        st = add_text(m, &t, err);
        ser_text_clear(&t);
        if (has_one_emotion(facts, i))
            ser_text_appendf(&t, "%s: one emotion alone is scored: the mean over emotions says little",
                             m->folds[i].name);
        if (st == SER_OK)
            st = add_text(m, &t, err);
        ser_text_release(&t);
    }
    return st;
}

static ser_status list_choices(ser_run_material *m, const ser_report_facts *f, ser_error *err)
{
    const ser_evaluation *e = f->evaluation;
    if (!(m->choices = ser_alloc(e->n_folds, sizeof *m->choices)))
        return ser_fail_nomem(err);
    for (size_t i = 0; i < e->n_folds; i++) {
        const ser_fold_result *r = &e->folds[i];
        m->choices[i] = (ser_run_choice){.active = r->chosen.active,
                                         .spread_weight = r->chosen.spread_weight,
                                         .c = r->chosen.c,
                                         .temperature = (double)r->temperature,
                                         .inner_ua = r->inner_ua,
                                         .inner_loss = r->inner_loss,
                                         .layer_weights = r->chosen.weighted ? r->layer_weight : NULL};
        m->folds[i].choice = r->has_choice ? &m->choices[i] : NULL;
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
                                                 .start_s = utterance->start_s,
                                                 .end_s = utterance->end_s,
                                                 .fold = f->folds->names[f->folds->test_fold[u]],
                                                 .truth = truth < 0 ? SER_RUN_NO_TRUTH : (size_t)truth,
                                                 .predicted = (size_t)ser_argmax(scores, e->n_labels),
                                                 .scores = scores,
                                                 .excluded = e->across && !e->scored[u]};
    }
    m->report.predictions = m->predictions;
    m->report.n_predictions = e->n;
    return SER_OK;
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

ser_status ser_run_material_add_cross(const ser_run_cross **out, ser_run_material *m,
                                      const ser_mapping *mapping, const ser_cross *c, ser_error *err)
{
    size_t i = m->n_crosses++;
    ser_run_class *classes = m->classes[i] = ser_alloc(mapping->n_target, sizeof *classes);
    if (!classes)
        return ser_fail_nomem(err);
    for (size_t t = 0; t < mapping->n_target; t++) {
        int shared = c->per_class[t].shared;
        classes[t] = (ser_run_class){
            .lenient = c->per_class[t].right,
            .shared = shared >= 0 && c->figures.per_class ? &c->figures.per_class[shared] : NULL};
    }
    m->crosses[i] = (ser_run_cross){.source = mapping->source,
                                    .target = mapping->target,
                                    .mapping = mapping->name,
                                    .matrix = {.truths = (const char *const *)mapping->target_labels,
                                               .answers = (const char *const *)mapping->source_labels,
                                               .n_truths = mapping->n_target,
                                               .n_answers = mapping->n_source,
                                               .counts = c->confusion,
                                               .right = m->right},
                                    .classes = classes,
                                    .shared = m->shared,
                                    .n_shared = mapping->n_shared,
                                    .figures = &c->figures,
                                    .reliability = &c->reliability,
                                    .n = c->n,
                                    .n_known = c->n_known,
                                    .n_lenient = c->n_lenient,
                                    .lenient = c->acc_lenient,
                                    .lenient_ci95 = {c->lenient_ci95[0], c->lenient_ci95[1]}};
    *out = &m->crosses[i];
    return SER_OK;
}

static ser_status list_mapping(ser_run_material *m, const ser_mapping *mapping, ser_error *err)
{
    m->right = ser_alloc(mapping->n_target * mapping->n_source, sizeof *m->right);
    m->shared = ser_alloc(mapping->n_shared, sizeof *m->shared);
    if (!m->right || !m->shared)
        return ser_fail_nomem(err);
    for (size_t t = 0; t < mapping->n_target; t++)
        for (size_t s = 0; s < mapping->n_source; s++)
            m->right[t * mapping->n_source + s] = ser_mapping_counts(mapping, s, t);
    for (size_t k = 0; k < mapping->n_shared; k++)
        m->shared[k] = mapping->target_labels[mapping->shared_target[k]];
    return SER_OK;
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
    ser_status st = list_mapping(m, mapping, err);
    if (st == SER_OK)
        st = ser_run_material_add_cross(&m->report.cross, m, mapping, c, err);
    if (st != SER_OK)
        return st;
    snprintf(m->title, sizeof m->title, "%.100s to %.100s", mapping->source, mapping->target);
    for (size_t i = 0; i < m->report.n_folds; i++)
        m->folds[i].is_model = true;
    m->report.title = m->title;
    m->report.figures = &c->figures;
    m->report.labels = m->shared;
    return note_unscored(m, mapping, c, err);
}

/* ---- the lines above the figures ---- */

void ser_run_tell_settings(const ser_run_host *h, const json_t *config)
{
    ser_text t = {0};
    ser_append_settings(&t, config);
    for (char *line = t.s, *end; line && !t.failed && (end = strchr(line, '\n')); line = end + 1) {
        *end = '\0';
        ser_run_tell(h, SER_RUN_SETTINGS, "%s", line);
    }
    ser_text_release(&t);
}

/* ---- all of it ---- */

ser_run_left_out ser_run_left_out_of(const ser_evaluation *e)
{
    return (ser_run_left_out){.ua_restricted = e->ua_restricted,
                              .ua_open = e->ua_open,
                              .ece = e->ece,
                              .restricted_ci95 = {e->restricted_ci95[0], e->restricted_ci95[1]},
                              .open_ci95 = {e->open_ci95[0], e->open_ci95[1]}};
}

/* What is the same for all kinds of runs. */
static void set_plain(ser_run_material *m, const ser_report_facts *f)
{
    ser_run_report *r = &m->report;
    time_t now = time(NULL);
    struct tm local;
    localtime_r(&now, &local);
    strftime(m->date, sizeof m->date, "%Y-%m-%d %H:%M", &local);
    ser_cpu_name(m->cpu, sizeof m->cpu);
    r->title = r->corpus = f->corpus->name;
    r->protocol = f->protocol;
    r->features = m->features;
    r->model_type = f->model_type;
    r->version = SER_VERSION;
    r->date = m->date;
    r->normalize = f->normalize;
    r->precision = f->precision;
    r->encoder_sha256 = f->encoder_sha256;
    r->encoder_learned_from = f->encoder_learned_from;
    r->starts_from_head = f->starts_from_head;
    r->cpu = m->cpu;
    r->data_sha256 = m->data_sha256;
    r->split_sha256 = m->split_sha256;
    r->seed = f->seed;
    r->n_threads = f->jobs;
    r->config = f->config;
    r->labels = (const char *const *)f->corpus->labels;
    r->figures = &f->evaluation->figures;
    r->intervals_over = ser_corpus_has_speakers(f->corpus) ? "speakers" : "recordings";
    r->corpora_left_out = f->evaluation->across;
    r->left_out = ser_run_left_out_of(f->evaluation);
    r->blocks = m->blocks;
    r->n_blocks = ser_run_blocks(m->blocks, f->spec);
}

static ser_status note_encoder(ser_run_material *m, const ser_report_facts *f, ser_error *err)
{
    ser_text t = {0};
    if (f->encoder_learned_from)
        ser_text_appendf(&t, "The encoder has learned from %s%s", f->encoder_learned_from,
                         f->starts_from_head ? ", and the linear model starts from its head" : "");
    ser_status st = add_text(m, &t, err);
    ser_text_release(&t);
    return st;
}

ser_status ser_run_material_finish(ser_run_material *m, const ser_report_facts *f, ser_error *err)
{
    ser_text type = {0};
    ser_feature_spec_type(f->spec, &type);
    snprintf(m->features, sizeof m->features, "%s", type.s ? type.s : "");
    ser_status st = type.failed ? ser_fail_nomem(err) : SER_OK;
    ser_text_release(&type);
    set_plain(m, f);
    fill_folds(m, f);
    if (st == SER_OK)
        st = ser_report_hashes(m->data_sha256, m->split_sha256, f->corpus, f->folds, f->store, err);
    if (st == SER_OK)
        st = note_encoder(m, f, err);
    if (st == SER_OK && f->evaluation->across)
        st = list_voices(m, f, err);
    if (st == SER_OK && f->evaluation->across)
        st = note_excluded(m, f, err);
    if (st == SER_OK)
        st = list_choices(m, f, err);
    if (st == SER_OK)
        st = list_predictions(m, f, err);
    return st == SER_OK && f->cross ? set_cross(m, f->mapping, f->cross, err) : st;
}
