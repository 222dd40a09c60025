#include "cli/network_options.h"
#include "cli/settings.h"

#include <string.h>

enum { INNER_FOLDS = 5, BEST_NETWORKS = 3 };

void ser_set_size(size_t *to, long given)
{
    if (given >= 0)
        *to = (size_t)given;
}

void ser_set_number(double *to, double given)
{
    if (given >= 0)
        *to = given;
}

static bool is_best(const ser_workbench_options *bench)
{
    return strcmp(bench->preset, "best") == 0;
}

/* An encoder's frames have seen what lies around them, and there are thousands of numbers in each. */
static bool has_encoder(const ser_workbench_options *bench)
{
    ser_feature_spec spec;
    return ser_feature_spec_parse(&spec, bench->feature_type, NULL) == SER_OK &&
           ser_feature_spec_encoder(&spec);
}

ser_timnet_settings ser_network_settings(const ser_network_options *o, const ser_workbench_options *bench)
{
    ser_timnet_settings s = ser_timnet_default_settings();
    ser_timnet_shape *shape = &s.shape;
    if (is_best(bench)) {
        shape->n_filters = 48;
        shape->n_dilations = 4;
        shape->n_stacks = 1;
        shape->dropout = 0.2;
        s.n_epochs = has_encoder(bench) ? 12 : 30;
        s.rate = 2e-3;
        s.decay = 1;
        s.validation_share = 1.0 / 6;
        s.patience = 0;
        s.n_average = 3;
        s.mixup = 0.5;
    }
    ser_set_size(&s.n_epochs, o->n_epochs);
    ser_set_size(&s.batch_size, o->batch_size);
    ser_set_size(&s.patience, o->patience);
    ser_set_size(&s.n_average, o->n_average);
    ser_set_size(&s.n_warmup_epochs, o->n_warmup_epochs);
    ser_set_size(&s.n_time_masks, o->n_time_masks);
    ser_set_size(&s.n_feature_masks, o->n_feature_masks);
    ser_set_size(&shape->n_filters, o->n_filters);
    ser_set_size(&shape->kernel_size, o->kernel_size);
    ser_set_size(&shape->n_dilations, o->n_dilations);
    ser_set_size(&shape->n_stacks, o->n_stacks);
    ser_set_number(&s.rate, o->rate);
    ser_set_number(&s.beta1, o->beta1);
    ser_set_number(&s.beta2, o->beta2);
    ser_set_number(&shape->dropout, o->dropout);
    ser_set_number(&s.label_smoothing, o->label_smoothing);
    ser_set_number(&s.validation_share, o->validation_share);
    ser_set_number(&s.decay, o->decay);
    ser_set_number(&s.mixup, o->mixup);
    if (s.n_average > s.n_epochs && o->n_average < 0)
        s.n_average = s.n_epochs;
    s.class_weights = o->class_weights;
    if (o->activation)
        ser_nonlinearity_parse(&shape->activation, o->activation);
    return s;
}

ser_condense ser_network_condense(const ser_network_options *o, const ser_workbench_options *bench)
{
    ser_condense c = {0};
    if (is_best(bench))
        c = (ser_condense){.n_averaged = has_encoder(bench) ? 8 : 4, .trim = true};
    ser_set_size(&c.n_averaged, o->n_averaged_frames);
    if (o->trim >= 0)
        c.trim = o->trim > 0;
    return c;
}

bool ser_model_type_has_linear(const char *model_type)
{
    return strncmp(model_type, "linear", 6) == 0;
}

bool ser_model_type_has_networks(const char *model_type)
{
    return strstr(model_type, "timnet") != NULL;
}

ser_status ser_learning_open(ser_learning *l, const ser_workbench *w, const ser_workbench_options *o,
                             const ser_network_options *network, const char *model_type,
                             const ser_progress *progress, ser_error *err)
{
    ser_settings engine;
    ser_default_settings(&engine);
    ser_engine_options_apply(&o->engine, &engine);
    *l = (ser_learning){
        .data = {.corpus = w->corpus, .extractor = w->extractor, .store = w->store, .frames = w->frames},
        .settings = {.linear = ser_model_type_has_linear(model_type),
                     .candidates = w->candidates,
                     .n_candidates = w->n_candidates,
                     .n_inner_folds = INNER_FOLDS,
                     .timnet = ser_network_settings(network, o),
                     .seed = (uint64_t)o->seed,
                     .engine = engine.engine,
                     .n_threads = w->n_threads,
                     .progress = progress}};
    if (!ser_model_type_has_networks(model_type))
        return SER_OK;
    ser_precision precision =
        engine.precision == SER_PRECISION_INT8 ? SER_PRECISION_FP32 : engine.precision; /* no int8 training */
    l->settings.n_networks = is_best(o) ? BEST_NETWORKS : 1;
    ser_set_size(&l->settings.n_networks, network->n_networks);
    ser_status st = ser_nn_ops_new(&l->ops, engine.engine, precision, err);
    l->settings.timnet.ops = l->ops;
    return st;
}

void ser_learning_close(ser_learning *l)
{
    ser_nn_ops_free(&l->ops);
    *l = (ser_learning){0};
}

static json_t *network_settings(const ser_learning *l, const ser_network_options *o,
                                const ser_workbench_options *bench)
{
    const ser_timnet_settings *s = &l->settings.timnet;
    const ser_condense condense = ser_network_condense(o, bench);
    return json_pack(
        "{s:I, s:I, s:I, s:f, s:f, s:f, s:I, s:f, s:I, s:f, s:I, s:f, s:b, s:I, s:I, s:f, s:I, s:I, s:I, "
        "s:I, s:f, s:s, s:I, s:i}",
        "networks", (json_int_t)l->settings.n_networks, "epoch", (json_int_t)s->n_epochs, "batch_size",
        (json_int_t)s->batch_size, "lr", s->rate, "beta1", s->beta1, "beta2", s->beta2, "warmup",
        (json_int_t)s->n_warmup_epochs, "decay", s->decay, "patience", (json_int_t)s->patience, "validation",
        s->validation_share, "average", (json_int_t)s->n_average, "label_smoothing", s->label_smoothing,
        "class_weights", s->class_weights, "time_masks", (json_int_t)s->n_time_masks, "feature_masks",
        (json_int_t)s->n_feature_masks, "mixup", s->mixup, "filter_size", (json_int_t)s->shape.n_filters,
        "kernel_size", (json_int_t)s->shape.kernel_size, "dilation_size", (json_int_t)s->shape.n_dilations,
        "stack_size", (json_int_t)s->shape.n_stacks, "dropout", s->shape.dropout, "activation",
        ser_nonlinearity_name(s->shape.activation), "average_frames", (json_int_t)condense.n_averaged, "trim",
        (int)condense.trim);
}

json_t *ser_learning_config(const json_t *config, const ser_learning *l, const ser_workbench *w,
                            const ser_network_options *o, const ser_workbench_options *bench)
{
    json_t *all = json_deep_copy(config);
    bool ok = all && json_object_set_new(all, "augment", json_sprintf("%zu", w->n_copies)) == 0;
    if (l->settings.linear)
        ok = ok && json_object_set_new(all, "c", json_real(l->settings.candidates[0].c)) == 0;
    if (l->settings.n_networks)
        ok = ok && json_object_update_new(all, network_settings(l, o, bench)) == 0;
    if (!ok) {
        json_decref(all);
        all = NULL;
    }
    return all;
}

void ser_append_network_settings(ser_text *t, const ser_learning *l, const ser_network_options *o,
                                 const ser_workbench_options *bench)
{
    json_t *settings = l->settings.n_networks ? network_settings(l, o, bench) : NULL;
    ser_append_settings(t, settings);
    json_decref(settings);
}
