#include "run/report_json.h"
#include "base/memory.h"
#include "base/sha256.h"
#include "base/text.h"
#include "io/json.h"
#include "report/escape.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void ser_cpu_name(char *name, size_t n)
{
    char line[256];
    snprintf(name, n, "unknown");
    FILE *file = fopen("/proc/cpuinfo", "r");
    while (file && fgets(line, sizeof line, file)) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !colon)
            continue;
        line[strcspn(line, "\n")] = 0;
        snprintf(name, n, "%s", colon + 1 + strspn(colon + 1, " \t"));
        break;
    }
    if (file)
        fclose(file);
}

/* ---- hashes ---- */

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static ser_status hash_lines(char hex[65], char **lines, size_t n, ser_error *err)
{
    ser_sha256 h;
    ser_sha256_init(&h);
    for (size_t i = 0; i < n; i++)
        if (!lines[i])
            return ser_fail_nomem(err);
    qsort(lines, n, sizeof *lines, compare_lines);
    for (size_t i = 0; i < n; i++)
        ser_sha256_add(&h, lines[i], strlen(lines[i]));
    ser_sha256_finish(&h, hex);
    return SER_OK;
}

ser_status ser_report_hashes(char data_sha256[65], char split_sha256[65], const ser_corpus *corpus,
                             const ser_folds *folds, const ser_store *store, ser_error *err)
{
    size_t n = corpus->n_utterances;
    char **data = ser_alloc(n, sizeof *data), **split = ser_alloc(n, sizeof *split);
    ser_status st = data && split ? SER_OK : ser_fail_nomem(err);
    for (size_t u = 0; u < n && st == SER_OK; u++) {
        ser_text t = {0}, s = {0};
        ser_text_appendf(&t, "%s\t%s\n", corpus->utterances[u].name, store->recordings[u].sha256);
        ser_text_appendf(&s, "%s\t%s\n", corpus->utterances[u].name, folds->names[folds->test_fold[u]]);
        data[u] = t.s;
        split[u] = s.s;
    }
    if (st == SER_OK)
        st = hash_lines(data_sha256, data, n, err);
    if (st == SER_OK)
        st = hash_lines(split_sha256, split, n, err);
    for (size_t u = 0; u < n; u++) {
        if (data)
            ser_free(data[u]);
        if (split)
            ser_free(split[u]);
    }
    ser_free(data);
    ser_free(split);
    return st;
}

/* ---- parts of the object ---- */

static json_t *pair(const double x[2])
{
    return json_pack("[o, o]", ser_number_json(x[0]), ser_number_json(x[1]));
}

static json_t *labels_json(char *const *labels, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        ser_json_add(&list, ser_text_json(labels[i]));
    return list;
}

static json_t *confusion_json(const size_t *counts, size_t n_rows, size_t n_columns)
{
    json_t *rows = json_array();
    for (size_t t = 0; t < n_rows; t++) {
        json_t *row = json_array();
        for (size_t p = 0; p < n_columns; p++)
            ser_json_add(&row, json_integer((json_int_t)counts[t * n_columns + p]));
        ser_json_add(&rows, row);
    }
    return rows;
}

static json_t *matrix_json(const ser_report_facts *f)
{
    if (f->cross)
        return confusion_json(f->cross->confusion, f->mapping->n_target, f->mapping->n_source);
    const ser_figures *figures = &f->evaluation->figures;
    return confusion_json(figures->confusion, figures->n_labels, figures->n_labels);
}

/* One entry for each hidden state of blocks: its weight, or without weights its number. */
static json_t *per_layer_json(const ser_feature_spec *spec, uint64_t blocks, const float *weight)
{
    bool several = ser_feature_spec_n_encoders(spec) > 1;
    json_t *all = several ? json_object() : json_array();
    size_t block = 0;
    for (size_t i = 0; i < spec->n_parts; i++) {
        const ser_feature_part *p = &spec->parts[i];
        if (!ser_feature_kind_is_encoder(p->kind)) {
            block++;
            continue;
        }
        json_t *list = several ? json_array() : all;
        for (size_t l = 0; l < p->n_layers; l++, block++)
            if (blocks >> block & 1)
                ser_json_add(&list, weight ? json_real((double)weight[block]) : json_integer(p->layers[l]));
        if (several)
            ser_json_set(&all, ser_feature_kind_name(p->kind), list);
    }
    return all;
}

json_t *ser_chosen_layers_json(const ser_feature_spec *spec, uint64_t blocks)
{
    return per_layer_json(spec, blocks, NULL);
}

json_t *ser_layer_weights_json(const ser_feature_spec *spec, const float *weight)
{
    return per_layer_json(spec, UINT64_MAX, weight);
}

static json_t *excluded_json(const ser_fold_result *r, const ser_corpus *corpus)
{
    json_t *counts = json_object();
    for (size_t k = 0; k < corpus->n_labels; k++) {
        json_t *key = ser_text_json(corpus->labels[k]);
        if (r->excluded[k])
            ser_json_set(&counts, json_string_value(key), json_integer((json_int_t)r->excluded[k]));
        json_decref(key);
    }
    return counts;
}

static json_t *folds_json(const ser_report_facts *f)
{
    json_t *list = json_array();
    for (size_t i = 0; i < f->evaluation->n_folds; i++) {
        const ser_fold_result *r = &f->evaluation->folds[i];
        json_t *fold = json_pack(
            "{s:o, s:I, s:I, s:o, s:o, s:o, s:o, s:o}", "fold", ser_text_json(f->folds->names[i]), "n_train",
            (json_int_t)r->n_train, "n_test", (json_int_t)r->n_test, "ua", ser_number_json(r->ua), "wa",
            ser_number_json(r->wa), "f1", ser_number_json(r->f1), "loss", ser_number_json(r->loss), "layers",
            ser_chosen_layers_json(f->spec, r->chosen.blocks));
        if (fold && f->evaluation->across)
            ser_json_update(&fold, json_pack("{s:o, s:o, s:o, s:o}", "ua_restricted",
                                             ser_number_json(r->ua_restricted), "ua_open",
                                             ser_number_json(r->ua_open), "ece", ser_number_json(r->ece),
                                             "excluded", excluded_json(r, f->corpus)));
        if (fold && f->cross)
            ser_json_set(&fold, "acc_lenient", ser_number_json(r->acc_lenient));
        if (fold && r->has_choice)
            ser_json_update(&fold, json_pack("{s:b, s:f, s:f, s:f, s:f, s:f}", "active", r->chosen.active,
                                             "spread_weight", r->chosen.spread_weight, "c", r->chosen.c,
                                             "temperature", (double)r->temperature, "inner_ua", r->inner_ua,
                                             "inner_loss", r->inner_loss));
        if (fold && r->has_choice && r->chosen.weighted)
            ser_json_set(&fold, "layer_weights", ser_layer_weights_json(f->spec, r->layer_weight));
        ser_json_add(&list, fold);
    }
    return list;
}

/* The emotions that the model tells apart, which are the corpus's own but across corpora. */
static json_t *answers_json(const ser_report_facts *f)
{
    return f->cross ? labels_json(f->mapping->source_labels, f->mapping->n_source)
                    : labels_json(f->corpus->labels, f->corpus->n_labels);
}

/* Whether an answer across corpora counts as right; null: there is nothing to compare it with. */
static json_t *right_json(const ser_report_facts *f, int truth, size_t answer)
{
    return truth < 0 || f->cross->per_class[truth].excluded
               ? json_null()
               : json_boolean(ser_mapping_counts(f->mapping, answer, (size_t)truth));
}

static json_t *predictions_json(const ser_report_facts *f)
{
    json_t *list = json_array(), *answers = answers_json(f),
           *truths = labels_json(f->corpus->labels, f->corpus->n_labels);
    const ser_evaluation *e = f->evaluation;
    for (size_t u = 0; u < e->n; u++) {
        const ser_utterance *utterance = &f->corpus->utterances[u];
        const float *scores = e->scores + u * e->n_labels;
        json_t *object = json_object();
        for (size_t k = 0; k < e->n_labels; k++)
            ser_json_set(&object, json_string_value(json_array_get(answers, k)),
                         ser_number_json((double)scores[k]));
        size_t predicted = (size_t)ser_argmax(scores, e->n_labels);
        json_t *truth = utterance->label < 0 ? json_null() : json_array_get(truths, (size_t)utterance->label);
        json_t *prediction =
            json_pack("{s:o, s:O, s:O, s:o}", "file", ser_text_json(utterance->file), "label", truth,
                      "predicted", json_array_get(answers, predicted), "scores", object);
        if (prediction &&
            (utterance->start_s > 0 || utterance->end_s > 0)) { /* a stretch: the file has others */
            ser_json_set(&prediction, "start", json_real(utterance->start_s));
            ser_json_set(&prediction, "end",
                         utterance->end_s > 0 ? json_real(utterance->end_s) : json_null());
        }
        if (prediction && f->cross)
            ser_json_set(&prediction, "right", right_json(f, utterance->label, predicted));
        ser_json_add(&list, prediction);
    }
    json_decref(answers);
    json_decref(truths);
    return list;
}

static json_t *counts_json(const int *counts, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        ser_json_add(&list, json_integer(counts[i]));
    return list;
}

static json_t *leaks_json(const ser_leaks *l)
{
    return json_pack("{s:o, s:o, s:o, s:o}", "speakers", counts_json(l->speakers, l->n_folds), "texts",
                     counts_json(l->texts, l->n_folds), "duplicates", counts_json(l->duplicates, l->n_folds),
                     "takes", counts_json(l->takes, l->n_folds));
}

ser_status ser_report_json(json_t **out, const ser_report_facts *f, ser_error *err)
{
    char data_sha256[65], split_sha256[65], cpu[128];
    ser_text type = {0};
    const ser_figures *figures = f->cross ? &f->cross->figures : &f->evaluation->figures;
    ser_status st = ser_report_hashes(data_sha256, split_sha256, f->corpus, f->folds, f->store, err);
    *out = NULL;
    if (st != SER_OK)
        return st;
    ser_cpu_name(cpu, sizeof cpu);
    ser_feature_spec_type(f->spec, &type);
    uint64_t blocks = 0;
    for (size_t i = 0; i < f->evaluation->n_folds; i++)
        blocks |= f->evaluation->folds[i].chosen.blocks;
    json_t *report = json_pack(
        "{s:s, s:s, s:s, s:s, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:o}", "corpus", f->corpus->name,
        "protocol", f->protocol, "feature_type", type.s ? type.s : "", "model_type", f->model_type, "n",
        (json_int_t)f->evaluation->n, "ua", ser_number_json(figures->ua), "wa", ser_number_json(figures->wa),
        "f1", ser_number_json(figures->f1), "loss", ser_number_json(figures->loss), "ua_ci95",
        pair(figures->ua_ci95), "wa_ci95", pair(figures->wa_ci95), "ci95_over",
        ser_corpus_has_speakers(f->corpus) ? "speakers" : "recordings", "ece", ser_number_json(figures->ece));
    json_t *rest =
        json_pack("{s:o, s:o, s:o, s:o, s:O, s:o, s:s, s:s, s:s, s:I, s:i, s:s, s:s, s:s, s:s, s:o}",
                  "labels", labels_json(f->corpus->labels, f->corpus->n_labels), "confusion", matrix_json(f),
                  "folds", folds_json(f), "predictions", predictions_json(f), "config", f->config, "layers",
                  ser_chosen_layers_json(f->spec, blocks), "precision", f->precision, "encoder_sha256",
                  f->encoder_sha256, "normalize", f->normalize, "seed", (json_int_t)f->seed, "jobs", f->jobs,
                  "cpu", cpu, "version", SER_VERSION, "data_sha256", data_sha256, "split_sha256",
                  split_sha256, "leaks", leaks_json(f->leaks));
    if (rest && f->encoder_learned_from)
        ser_json_set(&rest, "encoder_learned_from", ser_text_json(f->encoder_learned_from));
    if (rest && f->evaluation->across)
        ser_json_update(&rest, json_pack("{s:o, s:o, s:o}", "ua_restricted",
                                         ser_number_json(f->evaluation->ua_restricted), "ua_open",
                                         ser_number_json(f->evaluation->ua_open), "ece",
                                         ser_number_json(f->evaluation->ece)));
    if (rest && f->cross) {
        ser_json_set(&rest, "predicted_labels", answers_json(f));
        ser_json_update(&rest, ser_cross_json(f->cross, f->mapping));
    }
    if (type.failed || !report || !rest || json_object_update(report, rest) != 0) {
        json_decref(report);
        report = NULL;
        st = ser_fail_nomem(err);
    }
    json_decref(rest);
    ser_text_release(&type);
    *out = report;
    return st;
}
