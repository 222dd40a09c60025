/* A model as one ONNX graph: sound in, scores out. */
#include "base/memory.h"
#include "base/text.h"
#include "export/export.h"
#include "export/onnx_parts.h"
#include "export/read.h"
#include "export/sources.h"
#include "io/checkpoint.h"
#include "model/pooled.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

typedef struct graph {
    ser_onnx *g;
    const ser_model_data *m;
    const ser_safetensors *file;
    bool is_builtin;
    const char *encoder;      /* as the user named it, or NULL */
    ser_timnet_layout layout; /* of the frames */
    ser_onnx_value waveform, frames, active;
} graph;

/* ---- what can be written ---- */

static ser_status check_part(const ser_model_data *m, const ser_feature_part *p, ser_error *err)
{
    if (!ser_feature_kind_is_encoder(p->kind))
        return SER_OK;
    if (p->kind != SER_FEATURE_WHISPER)
        return ser_fail(err, SER_E_UNSUPPORTED, "reads %s: of the encoders only WHISPER becomes ONNX",
                        ser_feature_kind_name(p->kind));
    return m->spec.pad_s ? ser_fail(err, SER_E_UNSUPPORTED,
                                    "pads recordings to %d s: only models trained without --pad become ONNX",
                                    m->spec.pad_s)
                         : SER_OK;
}

/* ---- sound to frames ---- */

static void add_block(ser_timnet_layout *l, size_t dims)
{
    l->offset[l->n_blocks] = l->dims;
    l->block_dims[l->n_blocks++] = dims;
    l->dims += dims;
}

/* Log-mel, or what of it MFCC takes: (1, frames, dims). */
static ser_status add_mel(graph *b, ser_onnx_value *x, ser_feature_kind kind, ser_error *err)
{
    const int64_t order[] = {0, 2, 1};
    const ser_mel_settings s = ser_logmel_settings(b->m->spec.hop_samples);
    ser_status st = ser_onnx_mel(b->g, x, b->waveform, &s, err);
    if (st != SER_OK)
        return st;
    *x = SER_ONNX(b->g, "Transpose", ser_onnx_bounded_log(b->g, *x, 10, 0));
    ser_onnx_ints(b->g, "perm", 3, order);
    add_block(&b->layout, kind == SER_FEATURE_MFCC ? SER_MFCC_DIMS : SER_LOGMEL_DIMS);
    if (kind != SER_FEATURE_MFCC)
        return SER_OK;
    ser_onnx_value dct;
    float *table, *to = ser_onnx_floats(b->g, &dct, 2, (const size_t[]){SER_LOGMEL_DIMS, SER_MFCC_DIMS});
    st = ser_dct_new(&table, SER_MFCC_DIMS, SER_LOGMEL_DIMS, err);
    if (st == SER_OK && to)
        memcpy(to, table, SER_LOGMEL_DIMS * SER_MFCC_DIMS * sizeof *to);
    ser_free(table);
    *x = SER_ONNX(b->g, "MatMul", *x, dct);
    return st;
}

/* What the model carries. */
static ser_status find_carried(graph *b, ser_encoder_plan *plan, int last_layer, ser_error *err)
{
    json_t *config;
    ser_status st = ser_config_parse(&config, b->m->encoder_configs[0], err);
    if (st == SER_OK)
        st = ser_encoder_whisper.plan(plan, config, last_layer, err);
    json_decref(config);
    return st;
}

/* The checkpoint that the model was trained with. */
static ser_status find_checkpoint(graph *b, ser_encoder_plan *plan, ser_safetensors **file, int last_layer,
                                  ser_error *err)
{
    char sha256[SER_ENCODERS_SHA256];
    const ser_encoder_kind *kind;
    const char *name;
    ser_encoders e;
    ser_status st = ser_encoders_open(&e, &b->m->spec, &b->encoder, b->encoder != NULL, SER_ENGINE_REF,
                                      SER_PRECISION_FP32, err);
    if (st == SER_OK)
        st = ser_encoders_sha256(&e, sha256, err);
    if (st == SER_OK && strcmp(sha256, b->m->encoder_sha256) != 0)
        st = ser_fail(
            err, SER_E_ARG,
            "%s is not what this model was trained with (sha256 %.12s..., wanted %.12s...): name another "
            "--encoder",
            e.folders[0], sha256, b->m->encoder_sha256);
    if (st == SER_OK)
        st = ser_encoder_plan_folder(plan, &kind, e.folders[0], last_layer, err);
    if (st == SER_OK)
        st = ser_checkpoint_open(file, &name, e.folders[0], err);
    ser_encoders_close(&e);
    return st;
}

static ser_status add_whisper(graph *b, ser_onnx_value *x, const ser_feature_part *p, ser_error *err)
{
    bool is_carried = b->m->encoder_configs[0] != NULL;
    char prefix[SER_MODEL_PREFIX_BYTES] = "";
    int last_layer = ser_feature_part_last_layer(p);
    ser_encoder_plan plan = {0};
    ser_safetensors *checkpoint = NULL;
    ser_status st = is_carried ? find_carried(b, &plan, last_layer, err)
                               : find_checkpoint(b, &plan, &checkpoint, last_layer, err);
    if (is_carried)
        ser_model_encoder_prefix(prefix, 0);
    if (st == SER_OK)
        st = ser_onnx_whisper(b->g, x, b->waveform, &plan, is_carried ? b->file : checkpoint, prefix, p, err);
    for (size_t i = 0; i < p->n_layers && st == SER_OK; i++)
        add_block(&b->layout, plan.sizes.dims);
    ser_safetensors_close(&checkpoint);
    ser_free(plan.specs);
    return st;
}

/* The parts side by side, all cut to the shortest one's length. */
static ser_status add_frames(graph *b, ser_error *err)
{
    const ser_feature_spec *spec = &b->m->spec;
    const int64_t zero = 0;
    ser_onnx_value parts[SER_MAX_PARTS + 1] = {NULL}, lengths[SER_MAX_PARTS + 1] = {NULL};
    size_t n_blocks = 0;
    ser_status st = SER_OK;
    for (size_t i = 0; i < spec->n_parts && st == SER_OK; i++) {
        const ser_feature_part *p = &spec->parts[i];
        st = check_part(b->m, p, err);
        n_blocks += ser_feature_kind_is_encoder(p->kind) ? p->n_layers : 1;
        if (st == SER_OK && n_blocks > SER_TIMNET_MAX_BLOCKS)
            st = ser_fail(err, SER_E_UNSUPPORTED,
                          "reads %zu hidden states and spectra: at most %d become ONNX", n_blocks,
                          SER_TIMNET_MAX_BLOCKS);
        if (st == SER_OK)
            st = ser_feature_kind_is_encoder(p->kind) ? add_whisper(b, &parts[i], p, err)
                                                      : add_mel(b, &parts[i], p->kind, err);
        if (st == SER_OK)
            lengths[i] = ser_onnx_length(b->g, parts[i], 1);
    }
    if (st != SER_OK)
        return st;
    ser_onnx_value n_frames = ser_onnx_node(b->g, "Min", lengths);
    for (size_t i = 0; i < spec->n_parts; i++)
        parts[i] = ser_onnx_slice(b->g, parts[i], ser_onnx_i64(b->g, 1, &zero), n_frames, 1);
    b->frames = ser_onnx_node(b->g, "Concat", parts);
    ser_onnx_int(b->g, "axis", 2);
    b->active = ser_onnx_active(b->g, b->waveform, n_frames, spec->hop_samples);
    return SER_OK;
}

/* ---- frames to scores ---- */

static ser_status add_scores(graph *b, ser_error *err)
{
    const ser_model_data *m = b->m;
    ser_text n_labels = {0};
    ser_onnx_value scores = NULL;
    if (m->plain.n_in && m->plain.n_in != SER_N_STATISTICS * b->layout.dims)
        return ser_fail(
            err, SER_E_FORMAT,
            "the model's weights take %zu features, its specification gives %zu: the file is damaged",
            m->plain.n_in, SER_N_STATISTICS * b->layout.dims);
    ser_status st =
        m->n_networks ? ser_timnet_members_check(m->networks, m->n_networks, &b->layout, err) : SER_OK;
    if (st != SER_OK)
        return st;
    if (m->plain.n_in)
        scores =
            ser_onnx_linear(b->g, b->frames, b->active, &m->plain, b->layout.block_dims, b->layout.n_blocks);
    if (m->n_networks) {
        ser_onnx_value others =
            ser_onnx_networks(b->g, b->frames, b->active, m->networks, m->n_networks, &b->layout);
        scores = scores
                     ? SER_ONNX(b->g, "Div", SER_ONNX(b->g, "Add", scores, others), ser_onnx_scalar(b->g, 2))
                     : others;
    }
    ser_text_appendf(&n_labels, "%zu", m->n_labels);
    if (n_labels.failed)
        st = ser_fail_nomem(err);
    else
        ser_onnx_output(b->g, "scores", scores, 2, (const char *const[]){"1", n_labels.s});
    ser_text_release(&n_labels);
    return st;
}

/* ---- what is said about it ---- */

static void add_licence(graph *b, ser_text *t)
{
    ser_text_append(t, "The graph: written by ser.\n\n");
    ser_text_append(t, ser_export_licence);
    ser_text_append(
        t, b->is_builtin ? "\nThe weights:\n\n"
                         : "\nThe weights are under the terms of the model and of what it was made from: see "
                           "provenance.\n");
    if (b->is_builtin)
        ser_text_append(t, ser_export_notice);
}

static ser_status add_metadata(graph *b, ser_error *err)
{
    ser_text features = {0}, licence = {0};
    json_t *list = json_array();
    for (size_t i = 0; i < b->m->n_labels; i++)
        json_array_append_new(list, json_string(b->m->labels[i]));
    char *labels = json_array_size(list) == b->m->n_labels ? json_dumps(list, JSON_COMPACT) : NULL;
    ser_feature_spec_key(&b->m->spec, &features);
    add_licence(b, &licence);
    ser_status st = labels && !features.failed && !licence.failed ? SER_OK : ser_fail_nomem(err);
    if (st == SER_OK) {
        ser_onnx_metadata(b->g, "labels", labels);
        ser_onnx_metadata(b->g, "sample_rate_hz", "16000");
        ser_onnx_metadata(b->g, "model_type", ser_model_data_type(b->m));
        ser_onnx_metadata(b->g, "features", features.s);
        ser_onnx_metadata(b->g, "license", licence.s);
        if (b->m->provenance)
            ser_onnx_metadata(b->g, "provenance", b->m->provenance);
    }
    free(labels);
    json_decref(list);
    ser_text_release(&features);
    ser_text_release(&licence);
    return st;
}

ser_status ser_export_onnx(const char *model, const char *encoder, const char *path, ser_error *err)
{
    ser_model_data m;
    ser_safetensors *file;
    graph b = {.m = &m, .is_builtin = !model, .encoder = encoder};
    ser_status st = ser_export_read(&m, &file, model, err);
    b.file = file;
    if (st == SER_OK)
        st = ser_onnx_new(&b.g, "ser", err);
    if (st == SER_OK) {
        b.waveform = ser_onnx_input(b.g, "waveform", 2, (const char *const[]){"1", "samples"});
        st = add_frames(&b, err);
    }
    if (st == SER_OK)
        st = add_scores(&b, err);
    if (st == SER_OK)
        st = add_metadata(&b, err);
    if (st != SER_OK)
        st = ser_fail_within(err, st, "%s: ", model ? model : "the built-in model");
    if (st == SER_OK && (st = ser_onnx_write(b.g, path, err)) != SER_OK)
        st = ser_fail_within(err, st, "%s: ", path);
    ser_onnx_free(&b.g);
    ser_model_data_release(&m);
    ser_safetensors_close(&file);
    return st;
}
