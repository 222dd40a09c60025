#include "run/model_output.h"
#include "base/memory.h"
#include "io/file.h"
#include "io/json.h"
#include "keras/weights.h"
#include "learn/evaluate.h"
#include "report/escape.h"
#include "report/run_json.h"
#include "run/material.h"

#include <stdio.h>
#include <stdlib.h>

json_t *ser_model_output_heard(const ser_store *store, const int *fold, int test_fold)
{
    json_t *list = json_array();
    for (size_t u = 0; u < store->n; u++)
        if ((fold ? fold[u] : -1) != test_fold)
            ser_json_add(&list, json_stringn(store->recordings[u].sha256, SER_HALF_HASH));
    return list;
}

void ser_model_output_origin(json_t **origin, const ser_workbench *w, const int *fold, int test_fold)
{
    json_t *list = ser_model_output_heard(w->store, fold, test_fold);
    ser_heard own = {0};
    size_t n_own = json_array_size(list);
    bool complete = true;
    for (size_t u = 0; u < w->store->n && w->heard.n && complete; u++)
        complete = ser_heard_add(&own, w->store->recordings[u].sha256, NULL) == SER_OK;
    ser_heard_sort(&own);
    for (size_t i = 0; i < w->heard.n && complete; i++)
        if (!ser_heard_has(&own, w->heard.hashes[i]))
            ser_json_add(&list, json_string(w->heard.hashes[i]));
    ser_heard_release(&own);
    if (!complete) {
        json_decref(list);
        list = NULL;
    }
    bool besides = json_array_size(list) > n_own;
    ser_json_set(origin, "trained_on", list);
    if (besides)
        ser_json_set(origin, "encoder_learned_from", ser_text_json(w->heard.corpora.s));
}

json_t *ser_model_output_head(const ser_workbench *w, const ser_head_fit *fit)
{
    ser_run_block blocks[SER_MAX_BLOCKS];
    size_t n = ser_run_blocks(blocks, &w->spec);
    json_t *head = json_pack(
        "{s:o, s:f, s:f, s:f, s:f, s:f}", "layers", ser_run_layers_json(blocks, n, fit->chosen.blocks),
        "spread_weight", fit->chosen.spread_weight, "c", fit->chosen.c, "temperature",
        (double)fit->temperature, "inner_ua", fit->inner_ua, "inner_loss", fit->inner_loss);
    if (head && fit->chosen.weighted)
        ser_json_set(&head, "layer_weights", ser_run_layer_weights_json(blocks, n, fit->layer_weight));
    return head;
}

/* The layers that the model needs of each encoder, into its file. */
typedef struct carried {
    ser_tensor *tensors[SER_MAX_PARTS];
    size_t n[SER_MAX_PARTS];
    ser_tensor *all;
    size_t n_all;
} carried;

static void release_carried(carried *c)
{
    for (size_t i = 0; i < SER_MAX_PARTS; i++)
        ser_encoder_free_export(c->tensors[i], c->n[i]);
    ser_free(c->all);
}

static ser_status carry_encoders(carried *c, ser_model_data *m, const ser_encoders *encoders, ser_error *err)
{
    ser_status st = SER_OK;
    for (size_t i = 0; i < encoders->n && st == SER_OK; i++) {
        char prefix[SER_MODEL_PREFIX_BYTES];
        const ser_feature_part *part = ser_feature_spec_encoder_at(&m->spec, i);
        ser_model_encoder_prefix(prefix, i);
        st = ser_encoder_export(&c->tensors[i], &c->n[i], encoders->folders[i],
                                ser_feature_part_last_layer(part), prefix, err);
        if (st == SER_OK)
            st = ser_encoder_export_config(&m->encoder_configs[i], encoders->folders[i], err);
        c->n_all += c->n[i];
    }
    if (st == SER_OK && !(c->all = ser_alloc(c->n_all, sizeof *c->all)))
        st = ser_fail_nomem(err);
    ser_tensor *at = c->all;
    for (size_t i = 0; i < encoders->n && st == SER_OK; i++)
        for (size_t k = 0; k < c->n[i]; k++)
            *at++ = c->tensors[i][k];
    return st;
}

ser_status ser_model_output_save(ser_model_data *m, const ser_workbench *w, const json_t *origin,
                                 const char *path, bool embed, ser_error *err)
{
    carried c = {0};
    char *text = ser_json_dump(origin, JSON_COMPACT);
    m->provenance = text ? ser_strdup(text) : NULL;
    free(text);
    ser_status st = m->provenance ? SER_OK : ser_fail_nomem(err);
    snprintf(m->encoder_sha256, sizeof m->encoder_sha256, "%s", w->encoder_sha256);
    if (st == SER_OK && embed)
        st = carry_encoders(&c, m, &w->encoders, err);
    if (st == SER_OK)
        st = ser_model_data_write(m, path, c.all, c.n_all, err);
    if (st != SER_OK)
        ser_fail_within(err, st, "%s: ", path);
    release_carried(&c);
    return st;
}

ser_status ser_model_output_keras(const char *folder, const char *fold, const ser_timnet_member *networks,
                                  size_t n_networks, ser_error *err)
{
    char *own = ser_fold_path(folder, NULL, fold, "");
    ser_status st = !own ? ser_fail_nomem(err) : n_networks ? ser_io_make_folder(own, err) : SER_OK;
    ser_free(own);
    for (size_t i = 0; i < n_networks && st == SER_OK; i++) {
        char name[40] = "/weights.h5";
        if (i)
            snprintf(name, sizeof name, "/weights-%zu.h5", i + 1);
        char *path = ser_fold_path(folder, NULL, fold, name);
        ser_timnet *net = NULL;
        st = path ? ser_timnet_member_unscaled(&net, &networks[i], err) : ser_fail_nomem(err);
        if (st == SER_OK)
            st = ser_keras_weights_write(path, net, err);
        if (st != SER_OK && path)
            ser_fail_within(err, st, "%s: ", path);
        ser_timnet_free(&net);
        ser_free(path);
    }
    return st;
}
