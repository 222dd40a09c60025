#include "cli/model_output.h"
#include "base/memory.h"
#include "io/file.h"
#include "keras/weights.h"
#include "protocol/evaluate.h"
#include "protocol/report_json.h"

#include <stdio.h>
#include <stdlib.h>

json_t *ser_model_output_heard(const ser_store *store, const int *fold, int test_fold)
{
    json_t *list = json_array();
    for (size_t u = 0; u < store->n; u++)
        if ((fold ? fold[u] : -1) != test_fold)
            json_array_append_new(list, json_stringn(store->recordings[u].sha256, 16));
    return list;
}

json_t *ser_model_output_head(const ser_workbench *w, const ser_head_fit *fit)
{
    return json_pack("{s:o, s:f, s:f, s:f, s:f, s:f}", "layers",
                     ser_chosen_layers_json(&w->spec, fit->chosen.blocks), "spread_weight",
                     fit->chosen.spread_weight, "c", fit->chosen.c, "temperature", (double)fit->temperature,
                     "inner_ua", fit->inner_ua, "inner_loss", fit->inner_loss);
}

static int last_layer(const ser_feature_spec *spec)
{
    const ser_feature_part *part = ser_feature_spec_encoder(spec);
    int last = 0;
    for (size_t i = 0; part && i < part->n_layers; i++)
        last = part->layers[i] > last ? part->layers[i] : last;
    return last;
}

ser_status ser_model_output_save(ser_model_data *m, const ser_workbench *w, const json_t *origin,
                                 const char *path, bool embed, ser_error *err)
{
    ser_tensor *tensors = NULL;
    size_t n_tensors = 0;
    char *text = json_dumps(origin, JSON_COMPACT);
    m->provenance = text ? ser_strdup(text) : NULL;
    free(text);
    ser_status st = m->provenance ? SER_OK : ser_fail_nomem(err);
    snprintf(m->encoder_sha256, sizeof m->encoder_sha256, "%s", w->encoder_sha256);
    if (st == SER_OK && embed && w->encoder) {
        st = ser_encoder_export(&tensors, &n_tensors, w->encoder_folder, last_layer(&m->spec),
                                SER_MODEL_ENCODER_PREFIX, err);
        if (st == SER_OK)
            st = ser_encoder_export_config(&m->encoder_config, w->encoder_folder, err);
    }
    if (st == SER_OK)
        st = ser_model_data_write(m, path, tensors, n_tensors, err);
    ser_encoder_free_export(tensors, n_tensors);
    return st;
}

ser_status ser_model_output_keras(const char *folder, const char *fold, const ser_timnet_member *networks,
                                  size_t n_networks, ser_error *err)
{
    char *own = ser_fold_path(folder, fold, "");
    ser_status st = !own ? ser_fail_nomem(err) : n_networks ? ser_io_make_folder(own, err) : SER_OK;
    ser_free(own);
    for (size_t i = 0; i < n_networks && st == SER_OK; i++) {
        char name[40] = "/weights.h5";
        if (i)
            snprintf(name, sizeof name, "/weights-%zu.h5", i + 1);
        char *path = ser_fold_path(folder, fold, name);
        ser_timnet *net = NULL;
        st = path ? ser_timnet_member_unscaled(&net, &networks[i], err) : ser_fail_nomem(err);
        if (st == SER_OK)
            st = ser_keras_weights_write(path, net, err);
        ser_timnet_free(&net);
        ser_free(path);
    }
    return st;
}
