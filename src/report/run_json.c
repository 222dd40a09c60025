#include "report/run_json.h"
#include "report/escape.h"

#include <math.h>
#include <string.h>

static json_t *text(const char *s)
{
    return s ? ser_text_json(s) : json_null();
}

static json_t *pair(const double x[2])
{
    return json_pack("[o, o]", ser_number_json(x[0]), ser_number_json(x[1]));
}

/* Both or none. */
static json_t *interval(const double x[2])
{
    return isfinite(x[0]) && isfinite(x[1]) ? pair(x) : json_null();
}

static json_t *labels_json(const char *const *labels, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        ser_json_add(&list, ser_text_json(labels[i]));
    return list;
}

/* Under a label, which may be any bytes. */
static void set_by_label(json_t **to, const char *label, json_t *value)
{
    json_t *key = ser_text_json(label);
    ser_json_set(to, json_string_value(key), value);
    json_decref(key);
}

static json_t *confusion_json(const ser_matrix *m)
{
    json_t *rows = json_array();
    for (size_t t = 0; t < m->n_truths; t++) {
        json_t *row = json_array();
        for (size_t p = 0; p < m->n_answers; p++)
            ser_json_add(&row, json_integer((json_int_t)m->counts[t * m->n_answers + p]));
        ser_json_add(&rows, row);
    }
    return rows;
}

/* ---- layers ---- */

static bool several_encoders(const ser_run_block *blocks, size_t n)
{
    const char *first = NULL;
    for (size_t i = 0; i < n; i++) {
        if (first && blocks[i].encoder && strcmp(first, blocks[i].encoder) != 0)
            return true;
        first = blocks[i].encoder ? blocks[i].encoder : first;
    }
    return false;
}

/* One entry for each hidden state that is used: its weight, or without weights its number. */
static json_t *per_layer_json(const ser_run_block *blocks, size_t n, uint64_t used, const float *weight)
{
    bool several = several_encoders(blocks, n);
    json_t *all = several ? json_object() : json_array();
    for (size_t i = 0; i < n; i++) {
        const ser_run_block *b = &blocks[i];
        if (!b->encoder)
            continue;
        if (several && !json_object_get(all, b->encoder))
            ser_json_set(&all, b->encoder, json_array());
        json_t *list = several ? json_object_get(all, b->encoder) : all;
        json_t *value = weight ? json_real((double)weight[i]) : json_integer(b->layer);
        if (!(used >> i & 1))
            json_decref(value);
        else if (!list || json_array_append_new(list, value) != 0) {
            json_decref(all);
            return NULL;
        }
    }
    return all;
}

json_t *ser_run_layers_json(const ser_run_block *blocks, size_t n, uint64_t used)
{
    return per_layer_json(blocks, n, used, NULL);
}

json_t *ser_run_layer_weights_json(const ser_run_block *blocks, size_t n, const float *weight)
{
    return per_layer_json(blocks, n, UINT64_MAX, weight);
}

/* ---- folds ---- */

static json_t *not_scored_json(const size_t *counts, const char *const *labels, size_t n)
{
    json_t *all = json_object();
    for (size_t k = 0; counts && k < n; k++)
        if (counts[k])
            set_by_label(&all, labels[k], json_integer((json_int_t)counts[k]));
    return all;
}

static void add_choice(json_t **fold, const ser_run_report *r, const ser_run_choice *c)
{
    ser_json_update(fold, json_pack("{s:b, s:f, s:f, s:f, s:f, s:f}", "active", c->active, "spread_weight",
                                    c->spread_weight, "c", c->c, "temperature", c->temperature, "inner_ua",
                                    c->inner_ua, "inner_loss", c->inner_loss));
    if (c->layer_weights)
        ser_json_set(fold, "layer_weights",
                     ser_run_layer_weights_json(r->blocks, r->n_blocks, c->layer_weights));
}

static json_t *voice_json(const ser_run_voice *v)
{
    return json_pack("{s:I, s:o, s:o}", "n", (json_int_t)v->n, "ua_restricted",
                     ser_number_json(v->ua_restricted), "ua_open", ser_number_json(v->ua_open));
}

static json_t *voices_json(const ser_run_left_out *c)
{
    json_t *list = json_array();
    for (size_t i = 0; i < c->n_voices; i++) {
        const ser_run_voice *v = &c->voices[i];
        json_t *voice = json_pack("{s:o, s:s?}", "speaker", text(v->name), "sex", v->sex);
        ser_json_update(&voice, voice_json(v));
        ser_json_add(&list, voice);
    }
    return list;
}

/* Where some of its recordings are scored. */
static void add_left_out(json_t **fold, const ser_run_left_out *c)
{
    const ser_run_voice *worst = ser_run_worst_voice(c);
    if (!c->n)
        return;
    ser_json_update(fold, json_pack("{s:I, s:o, s:o, s:s, s:o, s:o}", "n_scored", (json_int_t)c->n,
                                    "ua_restricted_ci95", pair(c->restricted_ci95), "ua_open_ci95",
                                    pair(c->open_ci95), "ci95_over", c->intervals_over, "by_sex",
                                    json_pack("{s:o, s:o}", "female", voice_json(&c->female), "male",
                                              voice_json(&c->male)),
                                    "by_speaker", voices_json(c)));
    if (worst)
        ser_json_set(fold, "worst_speaker", text(worst->name));
}

/* Over the corpora left out. */
static void add_means(json_t **to, const ser_run_left_out *c)
{
    ser_json_update(to, json_pack("{s:o, s:o, s:o, s:o}", "ua_restricted", ser_number_json(c->ua_restricted),
                                  "ua_open", ser_number_json(c->ua_open), "ua_restricted_ci95",
                                  interval(c->restricted_ci95), "ua_open_ci95", interval(c->open_ci95)));
}

static json_t *fold_json(const ser_run_report *r, const ser_run_fold *f)
{
    json_t *fold =
        json_pack("{s:o, s:I, s:I, s:o, s:o, s:o, s:o, s:o}", "fold", text(f->name), "n_train",
                  (json_int_t)(f->n_train + f->n_validation), "n_test", (json_int_t)f->n_test, "ua",
                  ser_number_json(f->ua), "wa", ser_number_json(f->wa), "f1", ser_number_json(f->f1), "loss",
                  ser_number_json(f->loss), "layers", ser_run_layers_json(r->blocks, r->n_blocks, f->blocks));
    const ser_run_left_out *out = &f->left_out;
    if (r->corpora_left_out) {
        ser_json_update(
            &fold, json_pack("{s:o, s:o, s:o, s:o}", "ua_restricted", ser_number_json(out->ua_restricted),
                             "ua_open", ser_number_json(out->ua_open), "ece", ser_number_json(out->ece),
                             "excluded", not_scored_json(out->excluded, r->labels, r->figures->n_labels)));
        add_left_out(&fold, out);
    }
    if (r->cross)
        ser_json_set(&fold, "acc_lenient", ser_number_json(f->lenient));
    if (f->choice)
        add_choice(&fold, r, f->choice);
    return fold;
}

static json_t *folds_json(const ser_run_report *r)
{
    json_t *list = json_array();
    for (size_t i = 0; i < r->n_folds; i++)
        if (!r->folds[i].combined)
            ser_json_add(&list, fold_json(r, &r->folds[i]));
    return list;
}

/* A count for each fold. */
static json_t *leaks_json(const ser_run_report *r)
{
    json_t *speakers = json_array(), *texts = json_array(), *duplicates = json_array(), *takes = json_array();
    for (size_t i = 0; i < r->n_folds; i++) {
        const ser_run_shared *s = &r->folds[i].shared;
        if (r->folds[i].combined)
            continue;
        ser_json_add(&speakers, json_integer(s->speakers));
        ser_json_add(&texts, json_integer(s->texts));
        ser_json_add(&duplicates, json_integer(s->duplicates));
        ser_json_add(&takes, json_integer(s->takes));
    }
    return json_pack("{s:o, s:o, s:o, s:o}", "speakers", speakers, "texts", texts, "duplicates", duplicates,
                     "takes", takes);
}

/* ---- predictions ---- */

/* Names are made once, however many recordings there are: answers, truths. */
static json_t *prediction_json(const ser_run_report *r, const ser_matrix *m, const ser_run_prediction *p,
                               const json_t *answers, const json_t *truths)
{
    json_t *scores = json_object();
    for (size_t k = 0; k < m->n_answers; k++)
        ser_json_set(&scores, json_string_value(json_array_get(answers, k)),
                     ser_number_json((double)p->scores[k]));
    json_t *truth = p->truth == SER_RUN_NO_TRUTH ? json_null() : json_array_get(truths, p->truth);
    json_t *prediction = json_pack("{s:o, s:O, s:O, s:o}", "file", text(p->file), "label", truth, "predicted",
                                   json_array_get(answers, p->predicted), "scores", scores);
    if (prediction && (p->start_s > 0 || p->end_s > 0)) {
        ser_json_set(&prediction, "start", json_real(p->start_s));
        ser_json_set(&prediction, "end", p->end_s > 0 ? json_real(p->end_s) : json_null());
    }
    if (prediction && r->cross)
        ser_json_set(&prediction, "right",
                     ser_run_is_scored(m, p) ? json_boolean(ser_matrix_is_right(m, p->truth, p->predicted))
                                             : json_null());
    return prediction;
}

static json_t *predictions_json(const ser_run_report *r, const ser_matrix *m)
{
    json_t *list = json_array(), *answers = labels_json(m->answers, m->n_answers),
           *truths = labels_json(m->truths, m->n_truths);
    for (size_t i = 0; i < r->n_predictions; i++)
        ser_json_add(&list, prediction_json(r, m, &r->predictions[i], answers, truths));
    json_decref(answers);
    json_decref(truths);
    return list;
}

/* ---- across corpora ---- */

static json_t *mapping_json(const ser_run_cross *c)
{
    const ser_matrix *m = &c->matrix;
    json_t *pairs = json_object();
    for (size_t s = 0; s < m->n_answers; s++) {
        json_t *images = json_array();
        for (size_t t = 0; t < m->n_truths; t++)
            if (ser_matrix_is_right(m, t, s))
                ser_json_add(&images, ser_text_json(m->truths[t]));
        set_by_label(&pairs, m->answers[s], images);
    }
    return json_pack("{s:o, s:o}", "name", text(c->mapping), "counts_as", pairs);
}

static json_t *excluded_json(const ser_matrix *m)
{
    json_t *counts = json_object();
    for (size_t t = 0; t < m->n_truths; t++)
        if (!ser_matrix_can_be_right(m, t))
            set_by_label(&counts, m->truths[t], json_integer((json_int_t)ser_matrix_row_sum(m, t)));
    return counts;
}

static json_t *classes_json(const ser_run_cross *c)
{
    json_t *list = json_array();
    for (size_t t = 0; t < c->matrix.n_truths; t++) {
        const ser_class_figures *f = c->classes[t].shared;
        json_t *object = json_pack("{s:o, s:I, s:o}", "label", ser_text_json(c->matrix.truths[t]), "n",
                                   (json_int_t)ser_matrix_row_sum(&c->matrix, t), "lenient",
                                   ser_number_json(100 * c->classes[t].lenient));
        if (object && f)
            ser_json_update(&object, json_pack("{s:f, s:f, s:f}", "precision", 100 * f->precision, "recall",
                                               100 * f->recall, "f1", 100 * f->f1));
        ser_json_add(&list, object);
    }
    return list;
}

static json_t *cross_json(const ser_run_cross *c)
{
    const ser_figures *f = c->figures;
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:o, s:o, s:I, s:I, s:o, s:o, s:o}", "source",
                     text(c->source), "target", text(c->target), "mapping", mapping_json(c), "ua_shared",
                     ser_number_json(f->ua), "ua_shared_ci95", interval(f->ua_ci95), "wa_shared",
                     ser_number_json(f->wa), "f1_shared", ser_number_json(f->f1), "n_shared",
                     (json_int_t)f->n, "acc_lenient", ser_number_json(c->lenient), "acc_lenient_ci95",
                     interval(c->lenient_ci95), "n_lenient", (json_int_t)c->n_lenient, "n_known",
                     (json_int_t)c->n_known, "shared_labels", labels_json(c->shared, c->n_shared), "excluded",
                     excluded_json(&c->matrix), "per_class", classes_json(c));
}

static void add_cross(json_t **report, const ser_run_report *r)
{
    const ser_matrix *m = &r->cross->matrix;
    ser_json_set(report, "predicted_labels", labels_json(m->answers, m->n_answers));
    ser_json_update(report, cross_json(r->cross));
}

static void add_adaptation(json_t **report, const ser_run_adaptation *a)
{
    ser_json_set(report, "before", cross_json(a->before));
    ser_json_set(report, "adapted", cross_json(a->adapted));
    ser_json_set(report, "kept", json_string(a->kept_adapted ? "adapted" : "source"));
    ser_json_set(report, "reason", text(a->reason));
    ser_json_set(report, "agreement", ser_number_json(a->agreement));
}

/* ---- beside the usual figures ---- */

static json_t *honest_json(const ser_run_honest *row)
{
    const ser_figures *f = row->figures;
    if (*row->reason)
        return json_pack("{s:s, s:s, s:s}", "what", row->what, "protocol", row->protocol, "reason",
                         row->reason);
    json_t *json =
        json_pack("{s:s, s:s, s:f, s:[f, f], s:f, s:[f, f], s:f, s:f}", "what", row->what, "protocol",
                  row->protocol, "ua", f->ua, "ua_ci95", f->ua_ci95[0], f->ua_ci95[1], "wa", f->wa, "wa_ci95",
                  f->wa_ci95[0], f->wa_ci95[1], "f1", f->f1, "ece", f->ece);
    if (row->corpora_left_out)
        add_means(&json, &row->left_out);
    ser_json_set(&json, "lost", ser_number_json(row->lost));
    return json;
}

static void add_honest(json_t **report, const ser_run_report *r)
{
    json_t *list = json_array();
    for (size_t i = 0; i < r->n_honest; i++)
        ser_json_add(&list, honest_json(&r->honest[i]));
    ser_json_set(report, "honest", list);
}

static void add_seeds(json_t **report, const ser_run_report *r)
{
    json_t *list = json_array();
    for (size_t i = 0; i < r->seeds.n; i++)
        ser_json_add(&list, json_pack("{s:I, s:f}", "seed", (json_int_t)(r->seed + i), "ua", r->seeds.ua[i]));
    ser_json_set(report, "seeds", list);
    ser_json_set(report, "ua_mean", ser_number_json(r->seeds.mean));
    ser_json_set(report, "ua_sd", ser_number_json(r->seeds.deviation));
}

static json_t *unheard_json(const ser_figures *f)
{
    return json_pack("{s:I, s:f, s:f, s:f, s:f, s:f, s:[f, f], s:[f, f]}", "n", (json_int_t)f->n, "ua", f->ua,
                     "wa", f->wa, "f1", f->f1, "loss", f->loss, "ece", f->ece, "ua_ci95", f->ua_ci95[0],
                     f->ua_ci95[1], "wa_ci95", f->wa_ci95[0], f->wa_ci95[1]);
}

/* ---- all of it ---- */

static json_t *figures_json(const ser_run_report *r)
{
    const ser_figures *f = r->figures;
    return json_pack("{s:o, s:o, s:o, s:o, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "corpus",
                     text(r->corpus), "protocol", text(r->protocol), "feature_type", text(r->features),
                     "model_type", text(r->model_type), "n", (json_int_t)r->n_predictions, "ua",
                     ser_number_json(f->ua), "wa", ser_number_json(f->wa), "f1", ser_number_json(f->f1),
                     "loss", ser_number_json(f->loss), "ua_ci95", pair(f->ua_ci95), "wa_ci95",
                     pair(f->wa_ci95), "ci95_over", text(r->intervals_over), "ece",
                     ser_number_json(r->corpora_left_out ? r->left_out.ece : f->ece));
}

static json_t *details_json(const ser_run_report *r)
{
    const ser_matrix m = ser_run_matrix(r);
    uint64_t blocks = 0;
    for (size_t i = 0; i < r->n_folds; i++)
        blocks |= r->folds[i].blocks;
    return json_pack("{s:o, s:o, s:o, s:o, s:O?, s:o, s:o, s:o, s:o, s:I, s:i, s:o, s:o, s:o, s:o, s:o}",
                     "labels", labels_json(m.truths, m.n_truths), "confusion", confusion_json(&m), "folds",
                     folds_json(r), "predictions", predictions_json(r, &m), "config", r->config, "layers",
                     ser_run_layers_json(r->blocks, r->n_blocks, blocks), "precision", text(r->precision),
                     "encoder_sha256", text(r->encoder_sha256), "normalize", text(r->normalize), "seed",
                     (json_int_t)r->seed, "jobs", r->n_threads, "cpu", text(r->cpu), "version",
                     text(r->version), "data_sha256", text(r->data_sha256), "split_sha256",
                     text(r->split_sha256), "leaks", leaks_json(r));
}

json_t *ser_run_report_json(const ser_run_report *r)
{
    json_t *report = figures_json(r);
    ser_json_update(&report, details_json(r));
    if (r->encoder_learned_from)
        ser_json_set(&report, "encoder_learned_from", ser_text_json(r->encoder_learned_from));
    if (r->starts_from_head)
        ser_json_set(&report, "starts_from_head", json_true());
    if (r->corpora_left_out)
        add_means(&report, &r->left_out);
    if (r->cross)
        add_cross(&report, r);
    if (r->n_ranks)
        ser_json_set(&report, "ranks", json_integer(r->n_ranks));
    if (r->n_honest)
        add_honest(&report, r);
    if (r->seeds.n)
        add_seeds(&report, r);
    if (r->unheard)
        ser_json_set(&report, "unheard", unheard_json(r->unheard));
    if (r->unheard_across)
        ser_json_set(&report, "unheard", cross_json(r->unheard_across));
    if (r->adaptation)
        add_adaptation(&report, r->adaptation);
    if (r->n_encoder_heard)
        ser_json_set(&report, "encoder_heard", json_integer((json_int_t)r->n_encoder_heard));
    return report;
}
