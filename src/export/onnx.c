/* A model as one ONNX graph: sound in, scores out. */
#include "base/memory.h"
#include "base/text.h"
#include "export/export.h"
#include "export/onnx_parts.h"
#include "export/read.h"
#include "export/sources.h"
#include "io/checkpoint.h"
#include "io/json.h"
#include "model/pooled.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct graph {
    ser_onnx *g;
    const ser_model_data *m;
    const ser_safetensors *file;
    const ser_export_onnx_options *options;
    bool is_builtin;
    ser_timnet_layout layout;               /* of the frames */
    ser_onnx_source sources[SER_MAX_PARTS]; /* of the encoders, in the order of the specification */
    ser_safetensors *checkpoints[SER_MAX_PARTS];
} graph;

/* ---- where weights come from, and the layout of a frame ---- */

/* What the model carries. */
static ser_status find_carried(graph *b, size_t i, int last_layer, ser_error *err)
{
    const ser_encoder_kind *kind;
    ser_onnx_source *s = &b->sources[i];
    s->file = b->file;
    ser_model_encoder_prefix(s->prefix, i);
    return ser_encoder_plan_config(&s->plan, &kind, b->m->encoder_configs[i], last_layer, err);
}

/* The checkpoints that the model was trained with. */
static ser_status find_checkpoints(graph *b, ser_error *err)
{
    char sha256[SER_ENCODERS_SHA256];
    const ser_encoder_kind *kind;
    const char *name;
    ser_encoders e;
    ser_status st = ser_encoders_open(&e, &b->m->spec, b->options->encoders, b->options->n_encoders,
                                      SER_ENGINE_REF, SER_PRECISION_FP32, err);
    if (st == SER_OK)
        st = ser_encoders_sha256(&e, sha256, err);
    if (st == SER_OK && strcmp(sha256, b->m->encoder_sha256) != 0)
        st = ser_fail(
            err, SER_E_ARG,
            "%s is not what this model was trained with (sha256 %.12s..., wanted %.12s...): name another "
            "encoder",
            e.folders[0], sha256, b->m->encoder_sha256);
    for (size_t i = 0; i < e.n && st == SER_OK; i++) {
        const ser_feature_part *part = ser_feature_spec_encoder_at(&b->m->spec, i);
        st = ser_encoder_plan_folder(&b->sources[i].plan, &kind, e.folders[i],
                                     ser_feature_part_last_layer(part), err);
        if (st == SER_OK)
            st = ser_checkpoint_open(&b->checkpoints[i], &name, e.folders[i], err);
        b->sources[i].file = b->checkpoints[i];
    }
    ser_encoders_close(&e);
    return st;
}

static ser_status add_block(ser_timnet_layout *l, size_t dims, ser_error *err)
{
    if (l->n_blocks == SER_TIMNET_MAX_BLOCKS)
        return ser_fail(err, SER_E_UNSUPPORTED,
                        "reads more than %d hidden states and spectra, which is what ONNX gets",
                        SER_TIMNET_MAX_BLOCKS);
    l->offset[l->n_blocks] = l->dims;
    l->block_dims[l->n_blocks++] = dims;
    l->dims += dims;
    return SER_OK;
}

static ser_status find_layout(graph *b, ser_error *err)
{
    const ser_feature_spec *spec = &b->m->spec;
    ser_status st = SER_OK;
    for (size_t i = 0, encoder = 0; i < spec->n_parts && st == SER_OK; i++) {
        const ser_feature_part *p = &spec->parts[i];
        if (!ser_feature_kind_is_encoder(p->kind)) {
            st = add_block(&b->layout, p->kind == SER_FEATURE_MFCC ? SER_MFCC_DIMS : SER_LOGMEL_DIMS, err);
            continue;
        }
        for (size_t k = 0; k < p->n_layers && st == SER_OK; k++)
            st = add_block(&b->layout, b->sources[encoder].plan.sizes.dims, err);
        encoder++;
    }
    return st;
}

/* Whether the model's parts fit the frames. */
static ser_status check_scores(const graph *b, ser_error *err)
{
    const ser_model_data *m = b->m;
    if (m->plain.n_in && m->plain.n_in != SER_N_STATISTICS * b->layout.dims)
        return ser_fail(
            err, SER_E_FORMAT,
            "the model's weights take %zu features, its specification gives %zu: the file is damaged",
            m->plain.n_in, SER_N_STATISTICS * b->layout.dims);
    return m->n_networks ? ser_timnet_members_check(m->networks, m->n_networks, &b->layout, err) : SER_OK;
}

static ser_status find_parts(graph *b, ser_error *err)
{
    size_t n = ser_feature_spec_n_encoders(&b->m->spec);
    bool is_carried = n && b->m->encoder_configs[0];
    if (is_carried && b->options->n_encoders)
        return ser_fail(err, SER_E_ARG, "the model carries its encoder: %s has no say in its answers",
                        b->options->encoders[0]);
    ser_status st = n && !is_carried ? find_checkpoints(b, err) : SER_OK;
    for (size_t i = 0; i < n && is_carried && st == SER_OK; i++) {
        const ser_feature_part *part = ser_feature_spec_encoder_at(&b->m->spec, i);
        st = find_carried(b, i, ser_feature_part_last_layer(part), err);
    }
    if (st == SER_OK)
        st = find_layout(b, err);
    return st == SER_OK ? check_scores(b, err) : st;
}

/* ---- sound to frames ---- */

static ser_status add_power(graph *b, ser_onnx_value *power, ser_onnx_value window, ser_error *err)
{
    const ser_mel_settings s = ser_logmel_settings(b->m->spec.hop_samples);
    return ser_onnx_mel(b->g, power, window, &s, err);
}

/* ser_onnx_hearer */
static ser_status measure(void *context, ser_onnx_value *power, ser_onnx_value window, ser_error *err)
{
    graph *b = context;
    ser_status st = add_power(b, power, window, err);
    *power = SER_ONNX(b->g, "Reshape", SER_ONNX(b->g, "ReduceMax", *power), ser_onnx_integer(b->g, 1));
    return st;
}

/* Log-mel, or what of it MFCC takes: (1, frames, dims). */
static ser_status add_mel(graph *b, ser_onnx_value *x, ser_onnx_value window, ser_onnx_value largest,
                          ser_feature_kind kind, ser_error *err)
{
    const int64_t order[] = {0, 2, 1};
    ser_onnx_value dct;
    float *table = NULL;
    ser_status st = add_power(b, x, window, err);
    *x = SER_ONNX(b->g, "Transpose", ser_onnx_bounded_log(b->g, *x, largest, 10, 0));
    ser_onnx_ints(b->g, "perm", 3, order);
    if (st != SER_OK || kind != SER_FEATURE_MFCC)
        return st;
    float *to = ser_onnx_floats(b->g, &dct, 2, (const size_t[]){SER_LOGMEL_DIMS, SER_MFCC_DIMS});
    st = ser_dct_new(&table, SER_MFCC_DIMS, SER_LOGMEL_DIMS, err);
    if (st == SER_OK && to)
        memcpy(to, table, SER_LOGMEL_DIMS * SER_MFCC_DIMS * sizeof *to);
    ser_free(table);
    *x = SER_ONNX(b->g, "MatMul", *x, dct);
    return st;
}

/* ser_onnx_hearer: the parts side by side, all cut to the shortest one's length. */
static ser_status hear(void *context, ser_onnx_value *frames, ser_onnx_value *active, ser_onnx_value window,
                       ser_onnx_value largest, ser_error *err)
{
    graph *b = context;
    ser_onnx *g = b->g;
    const ser_feature_spec *spec = &b->m->spec;
    ser_onnx_value parts[SER_MAX_PARTS + 1] = {NULL}, lengths[SER_MAX_PARTS + 1] = {NULL};
    ser_status st = SER_OK;
    for (size_t i = 0, encoder = 0; i < spec->n_parts && st == SER_OK; i++) {
        const ser_feature_part *p = &spec->parts[i];
        st = ser_feature_kind_is_encoder(p->kind)
                 ? ser_onnx_encode(g, &parts[i], window, &b->sources[encoder++], p, spec->pad_s, err)
                 : add_mel(b, &parts[i], window, largest, p->kind, err);
        if (st == SER_OK)
            lengths[i] = ser_onnx_length(g, parts[i], 1);
    }
    if (st != SER_OK)
        return st;
    ser_onnx_value n_frames = ser_onnx_node(g, "Min", lengths);
    for (size_t i = 0; i < spec->n_parts; i++)
        parts[i] = ser_onnx_slice(g, parts[i], ser_onnx_integer(g, 0), n_frames, 1);
    *frames = ser_onnx_node(g, "Concat", parts);
    ser_onnx_int(g, "axis", 2);
    *active = ser_onnx_active(g, window, n_frames, spec->hop_samples);
    return SER_OK;
}

/* ---- frames to scores ---- */

/* ser_onnx_hearer */
static ser_onnx_value judge(void *context, ser_onnx_value frames, ser_onnx_value active)
{
    graph *b = context;
    const ser_model_data *m = b->m;
    ser_onnx_value scores = NULL, others = NULL;
    ser_onnx_value pooled =
        m->plain.n_in ? ser_onnx_pool(b->g, frames, active, b->layout.block_dims, b->layout.n_blocks) : NULL;
    if (pooled)
        scores = ser_onnx_linear(b->g, pooled, &m->plain);
    if (m->n_networks)
        others = ser_onnx_networks(b->g, frames, active, m->networks, m->n_networks, &b->layout);
    if (!scores || !others)
        scores = scores ? scores : others;
    else
        scores = SER_ONNX(b->g, "Div", SER_ONNX(b->g, "Add", scores, others), ser_onnx_scalar(b->g, 2));
    return pooled && m->unlike.n_in ? ser_onnx_even_out(b->g, scores, pooled, &m->unlike) : scores;
}

static ser_status add_all(graph *b, ser_error *err)
{
    const ser_feature_spec *spec = &b->m->spec;
    bool has_log_mel = false;
    for (size_t i = 0; i < spec->n_parts; i++)
        has_log_mel = has_log_mel || !ser_feature_kind_is_encoder(spec->parts[i].kind);
    const ser_onnx_hearer h = {.context = b,
                               .dims = b->layout.dims,
                               .n_labels = b->m->n_labels,
                               .hop_samples = spec->hop_samples,
                               .cells = b->m->n_networks ? ser_timeline_of_networks()
                                                         : ser_timeline_of_statistics(),
                               .measure = has_log_mel ? measure : NULL,
                               .hear = hear,
                               .judge = judge};
    char n_labels[24];
    ser_onnx_value scores;
    const ser_onnx_kind in = {SER_ONNX_FLOAT, 2, {"1", "samples"}},
                        out = {SER_ONNX_FLOAT, 2, {"1", n_labels}};
    snprintf(n_labels, sizeof n_labels, "%zu", b->m->n_labels);
    ser_status st = ser_onnx_listen(b->g, &scores, ser_onnx_input(b->g, "waveform", in), &h, err);
    ser_onnx_output(b->g, "scores", scores, out);
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
        ser_json_add(&list, json_string(b->m->labels[i]));
    char *labels = list ? ser_json_dump(list, JSON_COMPACT) : NULL;
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

ser_status ser_export_onnx(const char *model, const ser_export_onnx_options *options, const char *path,
                           ser_error *err)
{
    static const ser_export_onnx_options defaults = {0};
    ser_model_data m;
    ser_safetensors *file;
    graph b = {.m = &m, .is_builtin = !model, .options = options ? options : &defaults};
    ser_status st = ser_export_read(&m, &file, model, err);
    b.file = file;
    if (st == SER_OK)
        st = ser_onnx_new(&b.g, "ser", err);
    if (st == SER_OK)
        st = find_parts(&b, err);
    if (st == SER_OK)
        st = add_all(&b, err);
    if (st == SER_OK)
        st = add_metadata(&b, err);
    if (st != SER_OK)
        st = ser_fail_within(err, st, "%s: ", model ? model : "the built-in model");
    if (st == SER_OK && (st = ser_onnx_write(b.g, path, b.options->max_bytes, err)) != SER_OK)
        st = ser_fail_within(err, st, "%s: ", path);
    ser_onnx_free(&b.g);
    for (size_t i = 0; i < SER_MAX_PARTS; i++) {
        ser_safetensors_close(&b.checkpoints[i]);
        ser_free(b.sources[i].plan.specs);
    }
    ser_model_data_release(&m);
    ser_safetensors_close(&file);
    return st;
}
