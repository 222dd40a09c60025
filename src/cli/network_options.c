#include "cli/network_options.h"

#include <string.h>

enum { INNER_FOLDS = 5, BEST_NETWORKS = 3 };

static void set_size(size_t *to, long given, long unset)
{
    if (given != unset)
        *to = (size_t)given;
}

static void set_share(double *to, double given, double unset)
{
    if (given > unset)
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
    set_size(&s.n_epochs, o->n_epochs, 0);
    set_size(&s.batch_size, o->batch_size, 0);
    set_size(&s.patience, o->patience, -1);
    set_size(&s.n_average, o->n_average, -1);
    set_size(&s.n_warmup_epochs, o->n_warmup_epochs, -1);
    set_size(&s.n_time_masks, o->n_time_masks, -1);
    set_size(&s.n_feature_masks, o->n_feature_masks, -1);
    set_size(&shape->n_filters, o->n_filters, 0);
    set_size(&shape->kernel_size, o->kernel_size, 0);
    set_size(&shape->n_dilations, o->n_dilations, 0);
    set_size(&shape->n_stacks, o->n_stacks, 0);
    set_share(&s.rate, o->rate, 0);
    set_share(&s.beta1, o->beta1, 0);
    set_share(&s.beta2, o->beta2, 0);
    set_share(&shape->dropout, o->dropout, -1);
    set_share(&s.label_smoothing, o->label_smoothing, -1);
    set_share(&s.validation_share, o->validation_share, -1);
    set_share(&s.decay, o->decay, -1);
    set_share(&s.mixup, o->mixup, -1);
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
    set_size(&c.n_averaged, o->n_averaged_frames, -1);
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
                     .n_threads = w->n_threads,
                     .progress = progress}};
    if (!ser_model_type_has_networks(model_type))
        return SER_OK;
    ser_precision precision =
        engine.precision == SER_PRECISION_INT8 ? SER_PRECISION_FP32 : engine.precision; /* no int8 training */
    l->settings.n_networks = network->n_networks ? (size_t)network->n_networks
                             : is_best(o)        ? BEST_NETWORKS
                                                 : 1;
    ser_status st = ser_nn_ops_new(&l->ops, engine.engine, precision, err);
    l->settings.timnet.ops = l->ops;
    return st;
}

void ser_learning_close(ser_learning *l)
{
    ser_nn_ops_free(&l->ops);
    *l = (ser_learning){0};
}
