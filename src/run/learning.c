#include "run/learning.h"
#include "base/sha256.h"
#include "run/tuned_head.h"

enum { BEST_COPIES = 2, BEST_NETWORKS = 3 };
static const double USUAL_C = 300;
/* Of c, where the penalty pulls to a head that knows much already: tools/check_few_labels.py. */
static const double SHARE_OF_C_BESIDE_A_HEAD = 0.1;

/* ---- presets ---- */

static void set_int(int *to, size_t value)
{
    if (*to < 0)
        *to = (int)value;
}

static void set_double(double *to, double value)
{
    if (*to < 0)
        *to = value;
}

/* An encoder's frames have seen what lies around them, and there are thousands of numbers in each. */
static ser_timnet_settings preset_network(ser_run_preset preset, bool has_encoder)
{
    ser_timnet_settings s = ser_timnet_default_settings();
    if (preset != SER_RUN_BEST)
        return s;
    s.shape.n_filters = 48;
    s.shape.n_dilations = 4;
    s.shape.n_stacks = 1;
    s.shape.dropout = 0.2;
    s.n_epochs = has_encoder ? 12 : 30;
    s.rate = 2e-3;
    s.decay = 1;
    s.validation_share = 1.0 / 6;
    s.patience = 0;
    s.n_average = 3;
    s.mixup = 0.5;
    return s;
}

void ser_run_resolve_network(ser_run_network *n, ser_run_preset preset, const ser_feature_spec *spec)
{
    bool best = preset == SER_RUN_BEST, has_encoder = ser_feature_spec_encoder(spec) != NULL;
    const ser_timnet_settings s = preset_network(preset, has_encoder);
    set_int(&n->n_averaged_frames, !best ? 0 : has_encoder ? 8 : 4);
    set_int(&n->trim, best);
    set_int(&n->n_epochs, s.n_epochs);
    set_int(&n->batch_size, s.batch_size);
    set_double(&n->rate, s.rate);
    set_double(&n->beta1, s.beta1);
    set_double(&n->beta2, s.beta2);
    set_int(&n->n_warmup_epochs, s.n_warmup_epochs);
    set_double(&n->decay, s.decay);
    set_int(&n->patience, s.patience);
    set_double(&n->validation_share, s.validation_share);
    set_int(&n->n_average, s.n_average < (size_t)n->n_epochs ? s.n_average : (size_t)n->n_epochs);
    set_int(&n->n_networks, best ? BEST_NETWORKS : 1);
    set_double(&n->label_smoothing, s.label_smoothing);
    set_int(&n->n_time_masks, s.n_time_masks);
    set_int(&n->n_feature_masks, s.n_feature_masks);
    set_double(&n->mixup, s.mixup);
    set_double(&n->dropout, s.shape.dropout);
    set_int(&n->n_filters, s.shape.n_filters);
    set_int(&n->kernel_size, s.shape.kernel_size);
    set_int(&n->n_dilations, s.shape.n_dilations);
    set_int(&n->n_stacks, s.shape.n_stacks);
    if (n->activation < 0)
        n->activation = (ser_run_activation)s.shape.activation;
}

void ser_run_resolve(ser_run_learning *l, ser_run_network *n, const ser_feature_spec *spec,
                     ser_run_models models)
{
    set_int(&l->n_copies, l->preset == SER_RUN_BEST ? BEST_COPIES : 0);
    if (models.linear && l->c <= 0)
        l->c = USUAL_C;
    if (models.networks)
        ser_run_resolve_network(n, l->preset, spec);
}

ser_timnet_settings ser_run_timnet_settings(const ser_run_network *n)
{
    ser_timnet_settings s = ser_timnet_default_settings();
    s.shape.n_filters = (size_t)n->n_filters;
    s.shape.kernel_size = (size_t)n->kernel_size;
    s.shape.n_dilations = (size_t)n->n_dilations;
    s.shape.n_stacks = (size_t)n->n_stacks;
    s.shape.activation = (ser_nonlinearity)n->activation;
    s.shape.dropout = n->dropout;
    s.n_epochs = (size_t)n->n_epochs;
    s.batch_size = (size_t)n->batch_size;
    s.micro_batch = (size_t)n->micro_batch;
    s.rate = n->rate;
    s.beta1 = n->beta1;
    s.beta2 = n->beta2;
    s.n_warmup_epochs = (size_t)n->n_warmup_epochs;
    s.decay = n->decay;
    s.patience = (size_t)n->patience;
    s.validation_share = n->validation_share;
    s.n_average = (size_t)n->n_average;
    s.label_smoothing = n->label_smoothing;
    s.class_weights = n->class_weights;
    s.n_time_masks = (size_t)n->n_time_masks;
    s.n_feature_masks = (size_t)n->n_feature_masks;
    s.mixup = n->mixup;
    return s;
}

ser_condense ser_run_condense(const ser_run_network *n)
{
    return (ser_condense){.n_averaged = (size_t)n->n_averaged_frames, .trim = n->trim > 0};
}

/* ---- learning ---- */

/* What the inner cross-validation tries: sets of layers, and how much deviations count. One penalty, because
 * several, chosen inside, did no better. */
static size_t list_candidates(ser_candidate *out, const ser_workbench *w, bool active, double c)
{
    static const double spread_weights[] = {0.5, 1};
    uint64_t sets[SER_MAX_SETS];
    size_t n_sets = ser_workbench_sets(sets, w), n = 0;
    for (size_t s = 0; s < n_sets; s++)
        for (size_t i = 0; i < sizeof spread_weights / sizeof *spread_weights; i++)
            out[n++] = (ser_candidate){.blocks = sets[s],
                                       .weighted = w->layers == SER_LAYERS_WEIGHTED,
                                       .active = active,
                                       .spread_weight = spread_weights[i],
                                       .c = c};
    return n;
}

ser_status ser_run_network_ops(ser_nn_ops **out, const ser_run_data *data, ser_error *err)
{
    return ser_nn_ops_new(out, data->engine,
                          data->precision == SER_PRECISION_INT8 ? SER_PRECISION_FP32 : data->precision, err);
}

ser_status ser_learning_open(ser_learning *l, const ser_workbench *w, const ser_run_learning *settings,
                             const ser_run_network *n, ser_run_models models, const ser_run_data *data,
                             const ser_run_host *host, ser_error *err)
{
    *l = (ser_learning){
        .models = models,
        .data = {.corpus = w->corpus, .extractor = w->extractor, .store = w->store, .frames = w->frames},
        .settings = {.linear = models.linear,
                     .candidates = l->candidates,
                     .n_inner_folds = settings->n_inner_folds,
                     .more = l->models.more,
                     .n_more = models.n_more,
                     .seed = (uint64_t)settings->seed,
                     .engine = data->engine,
                     .n_threads = w->n_threads,
                     .progress = &host->progress,
                     .team = host->team}};
    l->settings.n_candidates = list_candidates(l->candidates, w, settings->pooling == SER_RUN_POOLING_BOTH,
                                               settings->c > 0 ? settings->c : USUAL_C);
    l->n_baseline_candidates = list_candidates(l->baseline_candidates, w, true, USUAL_C);
    if (!models.networks)
        return SER_OK;
    l->settings.n_networks = (size_t)n->n_networks;
    l->settings.timnet = ser_run_timnet_settings(n);
    ser_status st = ser_run_network_ops(&l->ops, data, err);
    l->settings.timnet.ops = l->ops;
    return st;
}

static void hash_head(char hex[65], const ser_linear *head)
{
    ser_sha256 h;
    ser_sha256_init(&h);
    ser_sha256_add(&h, head->mean, head->n_in * sizeof *head->mean);
    ser_sha256_add(&h, head->scale, head->n_in * sizeof *head->scale);
    ser_sha256_add(&h, head->w, head->n_labels * head->n_in * sizeof *head->w);
    ser_sha256_add(&h, head->bias, head->n_labels * sizeof *head->bias);
    ser_sha256_finish(&h, hex);
}

/* Candidates that have all blocks of the head, and another c. */
static void start_from(ser_learning *l, uint64_t blocks)
{
    size_t n = 0;
    for (size_t i = 0; i < l->settings.n_candidates; i++)
        if (!(blocks & ~l->candidates[i].blocks)) {
            l->candidates[n] = l->candidates[i];
            l->candidates[n++].c *= SHARE_OF_C_BESIDE_A_HEAD;
        }
    l->settings.n_candidates = n;
    l->settings.origin = &l->origin;
    hash_head(l->head_sha256, &l->origin);
}

ser_status ser_learning_start_from_head(ser_learning *l, const ser_workbench *w, const ser_run_host *host,
                                        ser_error *err)
{
    uint64_t blocks;
    ser_status st = ser_tuned_head_read(&l->origin, &blocks, w, err);
    if (st == SER_OK && l->origin.n_in)
        start_from(l, blocks);
    if (st == SER_OK && host->team)
        st = host->team->compare(host->team->context, "heads of the encoder", l->head_sha256, err);
    return st;
}

void ser_learning_close(ser_learning *l)
{
    ser_linear_release(&l->origin);
    ser_nn_ops_free(&l->ops);
}
