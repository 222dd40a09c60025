#include "run/settings.h"
#include "data/condition.h"
#include "data/normalize.h"
#include "learn/fine_tune.h"
#include "learn/kind.h"
#include "model/condense.h"
#include "nn/trainable.h"
#include "run/folder.h"
#include "run/shard.h"

#include <string.h>

/* The public words are the inner ones. */
_Static_assert((int)SER_RUN_NORMALIZE_SPEAKER == (int)SER_NORMALIZE_SPEAKER &&
                   (int)SER_RUN_NORMALIZE_CORPUS == (int)SER_NORMALIZE_CORPUS,
               "normalize");
_Static_assert((int)SER_RUN_CONDITION_NOISE == (int)SER_CONDITION_NOISE &&
                   (int)SER_RUN_CONDITION_CLIPPED == (int)SER_CONDITION_CLIPPED &&
                   (int)SER_CONDITION_CLIPPED + 1 == (int)SER_N_CONDITIONS,
               "test_condition");
_Static_assert(offsetof(ser_run_train_settings, data) == offsetof(ser_run_evaluate_settings, data) &&
                   offsetof(ser_run_train_settings, data) == offsetof(ser_run_test_settings, data) &&
                   offsetof(ser_run_train_settings, data) == offsetof(ser_run_test_across_settings, data) &&
                   offsetof(ser_run_train_settings, data) == offsetof(ser_run_adapt_settings, data) &&
                   offsetof(ser_run_train_settings, data) == offsetof(ser_run_extract_settings, data),
               "data come first");
_Static_assert((int)SER_RUN_RELU == (int)SER_RELU && (int)SER_RUN_TANH == (int)SER_TANH, "activation");

#define PRECISION_WORDS "auto|fp32|bf16|int8"
#define ENGINE_WORDS    "onednn|ref"

/* ---- tables ---- */

/* clang-format off */
#define FLAG(name, member)                     {name, SER_FIELD_FLAG, offsetof(SETTINGS, member)}
#define TEXT(name, member)                     {name, SER_FIELD_TEXT, offsetof(SETTINGS, member)}
#define LIST(name, member)                     {name, SER_FIELD_LIST, offsetof(SETTINGS, member)}
#define INT(name, member, low, high)           {name, SER_FIELD_INT, offsetof(SETTINGS, member), low, high}
#define LONG(name, member, low, high)          {name, SER_FIELD_LONG, offsetof(SETTINGS, member), low, high}
#define DOUBLE(name, member, low, high)        {name, SER_FIELD_DOUBLE, offsetof(SETTINGS, member), low, high}
#define WORD(name, member, list)               {name, SER_FIELD_WORD, offsetof(SETTINGS, member), .words = list}
/* Where the preset decides for those who say nothing. */
#define MAY_INT(name, member, low, high)       {name, SER_FIELD_INT, offsetof(SETTINGS, member), low, high, true}
#define MAY_COUNT(name, member, low, high)     {name, SER_FIELD_COUNT, offsetof(SETTINGS, member), low, high, true}
#define MAY_DOUBLE(name, member, low, high)    {name, SER_FIELD_DOUBLE, offsetof(SETTINGS, member), low, high, true}
#define MAY_WORD(name, member, list)           {name, SER_FIELD_WORD, offsetof(SETTINGS, member), 0, 0, true, list}
#define END                                    {NULL, SER_FIELD_END, 0}

#define DATA_FIELDS \
    TEXT("data", data.corpus), TEXT("data_dir", data.data_dir), TEXT("features_dir", data.features_dir), \
    TEXT("feature_type", data.feature_type), TEXT("layers", data.layers), \
    INT("hop_length", data.hop_samples, 16, 16000), INT("pad", data.pad_s, 0, 30), \
    FLAG("pool_encoder", data.pool_encoder), LIST("encoder", data.encoders), \
    WORD("precision", data.precision, PRECISION_WORDS), WORD("engine", data.engine, ENGINE_WORDS), \
    INT("jobs", data.n_threads, 0, 1024)

#define SEED(member) LONG("seed", member, 0, 1e15)
#define LEARNING_FIELDS \
    TEXT("model_type", learning.model_type), WORD("preset", learning.preset, "original|best"), \
    MAY_COUNT("augment", learning.n_copies, 0, 100), SEED(learning.seed)
#define LINEAR_FIELDS \
    INT("inner_folds", learning.n_inner_folds, 2, 20), WORD("pooling", learning.pooling, "all|both"), \
    MAY_DOUBLE("c", learning.c, 1e-6, 1e6)

#define SHAPE_FIELDS \
    MAY_INT("average_frames", network.n_averaged_frames, 0, SER_MAX_AVERAGED), MAY_INT("trim", network.trim, 0, 1), \
    MAY_INT("filter_size", network.n_filters, 1, 1024), MAY_INT("kernel_size", network.kernel_size, 1, 15), \
    MAY_INT("dilation_size", network.n_dilations, 1, 12), MAY_INT("stack_size", network.n_stacks, 1, 12), \
    MAY_WORD("activation", network.activation, "relu|elu|swish|tanh")
#define NETWORK_FIELDS \
    MAY_INT("epoch", network.n_epochs, 1, 100000), MAY_INT("batch_size", network.batch_size, 1, 4096), \
    MAY_DOUBLE("lr", network.rate, 1e-9, 10), MAY_DOUBLE("beta1", network.beta1, 0, 0.9999), \
    MAY_DOUBLE("beta2", network.beta2, 0, 0.99999), MAY_INT("warmup", network.n_warmup_epochs, 0, 100000), \
    MAY_DOUBLE("decay", network.decay, 0, 1), MAY_INT("patience", network.patience, 0, 100000), \
    MAY_DOUBLE("validation", network.validation_share, 0, 0.9), MAY_INT("average", network.n_average, 0, 100000), \
    MAY_INT("networks", network.n_networks, 1, 32), MAY_DOUBLE("label_smoothing", network.label_smoothing, 0, 0.9), \
    FLAG("class_weights", network.class_weights), MAY_INT("time_masks", network.n_time_masks, 0, 16), \
    MAY_INT("feature_masks", network.n_feature_masks, 0, 16), MAY_DOUBLE("mixup", network.mixup, 0, 2), \
    MAY_DOUBLE("dropout", network.dropout, 0, 0.95), SHAPE_FIELDS

#define TUNING_FIELDS \
    FLAG("fine_tune", fine_tuning.on), INT("fine_tune_from", fine_tuning.from, 0, 31), \
    INT("fine_tune_steps", fine_tuning.n_steps, 0, 1000000), DOUBLE("fine_tune_rate", fine_tuning.rate, 0, 1), \
    INT("fine_tune_soup", fine_tuning.n_soup, 1, 10), DOUBLE("fine_tune_blend", fine_tuning.blend, 0, 1), DOUBLE("fine_tune_pull", fine_tuning.pull, 0, 1e6), \
    INT("lora", fine_tuning.lora_rank, 0, 1024), DOUBLE("lora_alpha", fine_tuning.lora_alpha, 1e-3, 1e6), \
    INT("fine_tune_copies", fine_tuning.n_copies, 0, 100), DOUBLE("fine_tune_mixup", fine_tuning.mixup, 0, 2), FLAG("fine_tune_plain", fine_tuning.no_variety), \
    DOUBLE("fine_tune_balance", fine_tuning.balance, 0, 1), DOUBLE("fine_tune_neutral", fine_tuning.neutral, 0.01, 100), \
    DOUBLE("fine_tune_votes", fine_tuning.votes, 0, 1)

#define PLACE_FIELDS TEXT("run", place.folder), FLAG("resume", place.resume), FLAG("visualize", place.pictures), END

#define SETTINGS ser_run_train_settings
static const ser_field train_fields[] = {
    DATA_FIELDS, LEARNING_FIELDS, LINEAR_FIELDS, NETWORK_FIELDS, INT("micro_batch", network.micro_batch, 0, 4096), INT("split_fold", n_folds, 0, 1000),
    TEXT("protocol", protocol), TEXT("folds", folds), FLAG("embed_encoder", embed_encoder),
    TUNING_FIELDS, FLAG("keep_encoders", keep_encoders), END};
static const ser_field train_places[] = {PLACE_FIELDS};
#undef SETTINGS
#define SETTINGS ser_run_evaluate_settings
static const ser_field evaluate_fields[] = {
    TEXT("protocol", protocol), TEXT("folds", folds), WORD("test_condition", condition, SER_CONDITION_WORDS),
    INT("seeds", n_seeds, 1, 100), FLAG("honest", honest), WORD("normalize", normalize, SER_NORMALIZE_WORDS), DATA_FIELDS, LEARNING_FIELDS,
    LINEAR_FIELDS, NETWORK_FIELDS, INT("micro_batch", network.micro_batch, 0, 4096), TUNING_FIELDS, END};
static const ser_field evaluate_places[] = {INT("fold", fold, 0, SER_MAX_SHARDS), PLACE_FIELDS};
#undef SETTINGS
#define SETTINGS ser_run_test_settings
static const ser_field test_fields[] = {
    TEXT("test_path", models), DATA_FIELDS, WORD("preset", preset, "original|best"), SHAPE_FIELDS, SEED(seed), END};
static const ser_field test_places[] = {PLACE_FIELDS};
#undef SETTINGS
#define SETTINGS ser_run_test_across_settings
static const ser_field across_fields[] = {
    TEXT("test_path", models), TEXT("target", target), TEXT("mapping", mapping),
    WORD("normalize", normalize, SER_NORMALIZE_WORDS), DATA_FIELDS, WORD("preset", preset, "original|best"),
    SHAPE_FIELDS, SEED(seed), END};
static const ser_field across_places[] = {PLACE_FIELDS};
#undef SETTINGS
#define SETTINGS ser_run_adapt_settings
static const ser_field adapt_fields[] = {
    TEXT("target", target), TEXT("mapping", mapping), MAY_WORD("normalize", normalize, SER_NORMALIZE_WORDS),
    MAY_DOUBLE("lmmd_weight", lmmd_weight, 0, 1000), DOUBLE("entropy_weight", entropy_weight, 0, 1000),
    DOUBLE("balance_weight", balance_weight, 0, 1000), DATA_FIELDS, LEARNING_FIELDS, NETWORK_FIELDS, END};
static const ser_field adapt_places[] = {PLACE_FIELDS};
#undef SETTINGS
#define SETTINGS ser_run_extract_settings
static const ser_field extract_fields[] = {DATA_FIELDS, FLAG("overwrite", overwrite), TEXT("recording", recording),
                                           TEXT("output", output), TEXT("shard", shard), END};
static const ser_field no_places[] = {END};
#undef SETTINGS
/* clang-format on */

/* ---- defaults ---- */

static ser_run_data default_data(void)
{
    return (ser_run_data){.features_dir = "data/features",
                          .feature_type = "WHISPER",
                          .layers = "auto",
                          .hop_samples = SER_DEFAULT_HOP,
                          .precision = SER_PRECISION_FP32};
}

static ser_run_learning default_learning(const char *model_type, ser_run_preset preset)
{
    return (ser_run_learning){.model_type = model_type,
                              .preset = preset,
                              .n_copies = -1,
                              .n_inner_folds = 5,
                              .seed = 46,
                              .pooling = SER_RUN_POOLING_BOTH};
}

static ser_run_network default_network(void)
{
    return (ser_run_network){.n_averaged_frames = -1,
                             .trim = -1,
                             .n_epochs = -1,
                             .batch_size = -1,
                             .rate = -1,
                             .beta1 = -1,
                             .beta2 = -1,
                             .n_warmup_epochs = -1,
                             .decay = -1,
                             .patience = -1,
                             .validation_share = -1,
                             .n_average = -1,
                             .n_networks = -1,
                             .label_smoothing = -1,
                             .n_time_masks = -1,
                             .n_feature_masks = -1,
                             .mixup = -1,
                             .dropout = -1,
                             .n_filters = -1,
                             .kernel_size = -1,
                             .n_dilations = -1,
                             .n_stacks = -1,
                             .activation = SER_RUN_ACTIVATION_USUAL};
}

static ser_run_fine_tuning default_fine_tuning(void)
{
    const ser_fine_tune_settings s = ser_fine_tune_default_settings();
    const ser_crops_settings c = ser_crops_default_settings();
    return (ser_run_fine_tuning){.n_steps = 500,
                                 .rate = s.tune.rate,
                                 .n_soup = (int)s.n_soup,
                                 .blend = s.blend,
                                 .pull = s.tune.pull,
                                 .lora_alpha = s.tune.lora_alpha,
                                 .mixup = c.mixup,
                                 .balance = c.corpus_exponent,
                                 .neutral = c.neutral,
                                 .votes = c.votes_share};
}

/* As much of the library's own defaults as the program has room for. */
static void give(void *settings, size_t size, const void *own, size_t own_size)
{
    memset(settings, 0, size);
    memcpy(settings, own, size < own_size ? size : own_size);
}

void ser_run_train_settings_init(ser_run_train_settings *s, size_t size)
{
    const ser_run_train_settings own = {.size = size,
                                        .data = default_data(),
                                        .learning = default_learning("timnet", SER_RUN_ORIGINAL),
                                        .network = default_network(),
                                        .n_folds = 2,
                                        .fine_tuning = default_fine_tuning()};
    give(s, size, &own, sizeof own);
}

void ser_run_evaluate_settings_init(ser_run_evaluate_settings *s, size_t size)
{
    const ser_run_evaluate_settings own = {.size = size,
                                           .data = default_data(),
                                           .learning = default_learning("linear", SER_RUN_BEST),
                                           .network = default_network(),
                                           .n_seeds = 1,
                                           .fine_tuning = default_fine_tuning()};
    give(s, size, &own, sizeof own);
}

void ser_run_test_settings_init(ser_run_test_settings *s, size_t size)
{
    ser_run_test_settings own = {
        .size = size, .data = default_data(), .network = default_network(), .seed = 46};
    own.data.feature_type = NULL;
    give(s, size, &own, sizeof own);
}

void ser_run_test_across_settings_init(ser_run_test_across_settings *s, size_t size)
{
    ser_run_test_across_settings own = {
        .size = size, .data = default_data(), .network = default_network(), .seed = 46};
    own.data.feature_type = NULL;
    give(s, size, &own, sizeof own);
}

void ser_run_adapt_settings_init(ser_run_adapt_settings *s, size_t size)
{
    const ser_run_adapt_settings own = {.size = size,
                                        .data = default_data(),
                                        .learning = default_learning("linear", SER_RUN_BEST),
                                        .network = default_network(),
                                        .normalize = SER_RUN_NORMALIZE_BY_PRESET,
                                        .lmmd_weight = -1,
                                        .entropy_weight = 0.1,
                                        .balance_weight = 0.1};
    give(s, size, &own, sizeof own);
}

void ser_run_extract_settings_init(ser_run_extract_settings *s, size_t size)
{
    ser_run_extract_settings own = {.size = size, .data = default_data()};
    own.data.feature_type = "FUSION";
    own.data.layers = NULL;
    give(s, size, &own, sizeof own);
}

void ser_run_listener_init(ser_run_listener *l, size_t size)
{
    const ser_run_listener own = {.size = size};
    give(l, size, &own, sizeof own);
}

int ser_run_api_version(void)
{
    return SER_RUN_API_VERSION;
}

/* ---- what texts say ---- */

const char *ser_precision_name(ser_precision p)
{
    static const char *const names[] = {"auto", "fp32", "bf16", "int8"};
    return names[p];
}

const char *ser_engine_name(ser_engine e)
{
    return e == SER_ENGINE_REF ? "ref" : "onednn";
}

ser_status ser_run_features_parse(ser_run_features *out, const ser_run_data *data, const char *type,
                                  ser_error *err)
{
    *out = (ser_run_features){.layers = SER_LAYERS_NAMED};
    ser_status st = ser_feature_spec_parse(&out->spec, type, err);
    out->spec.hop_samples = data->hop_samples;
    out->spec.pad_s = data->pad_s;
    out->spec.pool_encoder = data->pool_encoder;
    if (!data->layers || strcmp(data->layers, "auto") == 0)
        out->layers = SER_LAYERS_AUTO;
    else if (strcmp(data->layers, "weighted") == 0)
        out->layers = SER_LAYERS_WEIGHTED;
    else if (st == SER_OK)
        st = ser_feature_spec_set_layers(&out->spec, data->layers, err);
    return st;
}

static const ser_model_kind *find_kind(const char *name, size_t n)
{
    for (const ser_model_kind *const *k = ser_model_kinds(); *k; k++)
        if (strlen((*k)->name) == n && strncmp((*k)->name, name, n) == 0)
            return *k;
    return NULL;
}

static ser_status fail_kind(const char *model_type, ser_error *err)
{
    ser_text names = {0};
    for (const ser_model_kind *const *k = ser_model_kinds(); *k; k++)
        ser_text_appendf(&names, "%s%s", names.n ? ", " : "", (*k)->name);
    ser_status st = names.failed
                        ? ser_fail_nomem(err)
                        : ser_fail(err, SER_E_ARG,
                                   "model_type: '%s' does not fit: give one of %s, or several joined with +",
                                   model_type, names.s);
    ser_text_release(&names);
    return st;
}

ser_status ser_run_models_parse(ser_run_models *out, const char *model_type, ser_error *err)
{
    *out = (ser_run_models){0};
    for (const char *word = model_type;; word++) {
        size_t n = strcspn(word, "+");
        const ser_model_kind *kind = find_kind(word, n);
        bool again = kind == &ser_kind_linear ? out->linear : kind == &ser_kind_timnet && out->networks;
        for (size_t i = 0; i < out->n_more; i++)
            again = again || out->more[i].kind == kind;
        if (!kind || again || out->n_more == SER_MAX_MODEL_KINDS)
            return fail_kind(model_type, err);
        if (kind == &ser_kind_linear)
            out->linear = true;
        else if (kind == &ser_kind_timnet)
            out->networks = true;
        else
            out->more[out->n_more++] = (ser_more_kind){.kind = kind};
        word += n;
        if (!*word)
            return SER_OK;
    }
}

/* ---- checks ---- */

static ser_status check_data(const ser_run_data *d, ser_error *err)
{
    ser_run_features features;
    if (!d->features_dir)
        return ser_fail(err, SER_E_ARG, "features_dir: it is missing: name a folder");
    if (d->n_encoders && !d->encoders)
        return ser_fail(err, SER_E_ARG, "encoder: %zu are counted and none is there", d->n_encoders);
    return d->feature_type ? ser_run_features_parse(&features, d, d->feature_type, err) : SER_OK;
}

static ser_status check_corpus(const ser_run_data *d, ser_error *err)
{
    return d->corpus ? check_data(d, err) : ser_fail(err, SER_E_ARG, "data: no corpus is named: give one");
}

static ser_status check_features(const ser_run_data *d, ser_error *err)
{
    return d->feature_type ? check_corpus(d, err)
                           : ser_fail(err, SER_E_ARG, "feature_type: it is missing: name one");
}

static ser_status check_learning(const ser_run_learning *l, ser_error *err)
{
    ser_run_models models;
    return l->model_type ? ser_run_models_parse(&models, l->model_type, err)
                         : ser_fail(err, SER_E_ARG, "model_type: it is missing: name one");
}

static ser_status check_place(const ser_run_place *p, ser_error *err)
{
    if (p->resume && (!p->folder || p->without))
        return ser_fail(err, SER_E_ARG, "resume: no run folder is named: name one");
    return SER_OK;
}

/* Of jobs whose models are what they are for. */
static ser_status check_kept(const ser_run_place *p, ser_error *err)
{
    return p->without ? ser_fail(err, SER_E_ARG, "place: without a folder the models would be lost") : SER_OK;
}

static ser_status check_protocol(const char *text, ser_error *err)
{
    ser_protocol protocol = {0};
    return ser_protocol_parse(&protocol, text, err);
}

static ser_status check_tunable(const ser_run_data *data, const ser_run_learning *learning,
                                const ser_run_fine_tuning *t, ser_error *err)
{
    ser_run_features f;
    ser_status st = ser_run_features_parse(&f, data, data->feature_type, err);
    if (st != SER_OK)
        return st;
    if (f.spec.n_parts != 1 || f.spec.parts[0].kind != SER_FEATURE_WHISPER)
        return ser_fail(err, SER_E_ARG,
                        "fine_tune: the encoder that can be tuned is Whisper: give --feature-type WHISPER");
    if (f.layers != SER_LAYERS_NAMED)
        return ser_fail(err, SER_E_ARG,
                        "fine_tune: name the layers whose statistics are read, such as --layers 1,2,3,4");
    int top = 0;
    for (size_t i = 0; i < f.spec.parts[0].n_layers; i++)
        top = f.spec.parts[0].layers[i] > top ? f.spec.parts[0].layers[i] : top;
    if (t->from >= top)
        return ser_fail(
            err, SER_E_ARG,
            "fine_tune_from: nothing would learn: layer %d is the topmost that is read: give a lower one "
            "than that",
            top);
    if (t->n_soup > 1 && !t->n_steps)
        return ser_fail(err, SER_E_ARG,
                        "fine_tune_soup: the head alone is fitted, which comes out the same each "
                        "time: give --fine-tune-steps, too");
    if (t->lora_rank && t->pull > 0)
        return ser_fail(err, SER_E_ARG,
                        "fine_tune_pull: with --lora the weights stay where they were: give one of the two");
    if (t->n_copies && !t->from)
        return ser_fail(
            err, SER_E_ARG,
            "fine_tune_copies: all layers learn, so nothing can be kept: give --fine-tune-from, too");
    if (t->n_copies && t->mixup > 0)
        return ser_fail(err, SER_E_ARG, "fine_tune_mixup: copies are not mixed: give one of the two");
    return strcmp(learning->model_type, "linear") == 0
               ? SER_OK
               : ser_fail(err, SER_E_ARG, "fine_tune: it is for --model-type linear");
}

static ser_status check_fine_tuning(const ser_run_train_settings *s, ser_error *err)
{
    ser_status st = check_tunable(&s->data, &s->learning, &s->fine_tuning, err);
    if (st == SER_OK && (s->n_folds || s->protocol))
        st = ser_fail(err, SER_E_ARG,
                      "fine_tune: corpora are left out in turn anyway: give --split-fold 0 and no "
                      "--protocol, or measure it with 'ser evaluate --fine-tune'");
    return st;
}

static ser_status check_train(const void *settings, ser_error *err)
{
    const ser_run_train_settings *s = settings;
    ser_status st = check_kept(&s->place, err);
    if (st == SER_OK)
        st = check_features(&s->data, err);
    if (st == SER_OK)
        st = check_learning(&s->learning, err);
    if (st == SER_OK && s->protocol)
        st = check_protocol(s->protocol, err);
    else if (st == SER_OK && s->n_folds == 1)
        st =
            ser_fail(err, SER_E_ARG, "split_fold: one fold leaves nothing to train on: give 0, or 2 or more");
    if (st == SER_OK && s->keep_encoders && !s->fine_tuning.on)
        st = ser_fail(err, SER_E_ARG, "keep_encoders: it is for --fine-tune, whose encoders learn");
    return st == SER_OK && s->fine_tuning.on ? check_fine_tuning(s, err) : st;
}

static ser_status check_evaluate(const void *settings, ser_error *err)
{
    const ser_run_evaluate_settings *s = settings;
    ser_status st = check_features(&s->data, err);
    if (st == SER_OK)
        st = check_learning(&s->learning, err);
    if (st == SER_OK && !s->protocol && !s->honest)
        st = ser_fail(
            err, SER_E_ARG,
            "protocol: it is missing: emobox, loso, loco, kfold=K, group-kfold=K or text-kfold=K is wanted");
    if (st == SER_OK && s->protocol)
        st = check_protocol(s->protocol, err);
    if (st == SER_OK && s->fine_tuning.on && s->normalize != SER_RUN_NORMALIZE_NONE)
        st = ser_fail(err, SER_E_ARG,
                      "fine_tune: it hears the recordings themselves, not their features: no --normalize");
    if (st == SER_OK && s->fold && (s->n_seeds > 1 || s->honest || s->place.without))
        st = ser_fail(err, SER_E_ARG, "fold: %s: leave one of them out",
                      s->n_seeds > 1 ? "seeds asks for more than the folds of one protocol"
                      : s->honest    ? "honest asks for more than the folds of one protocol"
                                     : "without a folder it would be lost");
    return st == SER_OK && s->fine_tuning.on ? check_tunable(&s->data, &s->learning, &s->fine_tuning, err)
                                             : st;
}

static ser_status check_models(const char *models, const ser_run_data *data, ser_error *err)
{
    return models ? check_corpus(data, err)
                  : ser_fail(err, SER_E_ARG, "test_path: no models are named: name a run folder");
}

static ser_status check_test(const void *settings, ser_error *err)
{
    const ser_run_test_settings *s = settings;
    return check_models(s->models, &s->data, err);
}

static ser_status check_test_across(const void *settings, ser_error *err)
{
    const ser_run_test_across_settings *s = settings;
    return check_models(s->models, &s->data, err);
}

static ser_status check_adapt(const void *settings, ser_error *err)
{
    const ser_run_adapt_settings *s = settings;
    ser_run_features features = {0};
    ser_status st = check_kept(&s->place, err);
    if (st == SER_OK)
        st = check_features(&s->data, err);
    if (st == SER_OK)
        st = ser_run_features_parse(&features, &s->data, s->data.feature_type, err);
    if (st == SER_OK && features.layers == SER_LAYERS_WEIGHTED)
        st = ser_fail(err, SER_E_ARG,
                      "--layers weighted is for 'ser train' and 'ser evaluate': give auto or a list");
    return st == SER_OK ? check_learning(&s->learning, err) : st;
}

static ser_status check_extract(const void *settings, ser_error *err)
{
    const ser_run_extract_settings *s = settings;
    if (!s->data.feature_type)
        return ser_fail(err, SER_E_ARG, "feature_type: it is missing: name one");
    if (!s->recording != !s->output)
        return ser_fail(err, SER_E_ARG, "output: a recording and the file for its features belong together");
    if (s->recording && s->data.corpus)
        return ser_fail(err, SER_E_ARG, "recording: one recording or a corpus, not both");
    if (s->data.layers && strcmp(s->data.layers, "weighted") == 0)
        return ser_fail(err, SER_E_ARG, "layers: weighted ones are learned, not extracted: name them");
    ser_shard shard;
    ser_status st = s->shard ? ser_shard_parse(&shard, s->shard, err) : SER_OK;
    if (st != SER_OK)
        return ser_fail_within(err, st, "shard: ");
    if (s->shard && s->recording)
        return ser_fail(err, SER_E_ARG, "shard: it is for corpora, not for one recording");
    return check_data(&s->data, err);
}

/* ---- jobs ---- */

#define JOB(job, command, fields_of, places_of, place_at)                                                    \
    static void init_##job(void *settings, size_t size)                                                      \
    {                                                                                                        \
        ser_run_##job##_settings_init(settings, size);                                                       \
    }                                                                                                        \
    static ser_status run_##job(ser_run_result **out, const void *settings, const ser_run_listener *l,       \
                                ser_error *err)                                                              \
    {                                                                                                        \
        return ser_run_##job(out, settings, l, err);                                                         \
    }                                                                                                        \
    const ser_run_job ser_job_##job = {                                                                      \
        command, sizeof(ser_run_##job##_settings), init_##job, check_##job, run_##job, fields_of, places_of, \
        place_at};                                                                                           \
    ser_status ser_run_##job##_check(const ser_run_##job##_settings *s, ser_error *err)                      \
    {                                                                                                        \
        ser_run_##job##_settings own;                                                                        \
        ser_run_kept kept = {0};                                                                             \
        ser_status st = ser_run_adopt(&own, &kept, s, &ser_job_##job, err);                                  \
        ser_run_kept_release(&kept);                                                                         \
        return st;                                                                                           \
    }

JOB(train, "train", train_fields, train_places, offsetof(ser_run_train_settings, place))
JOB(evaluate, "evaluate", evaluate_fields, evaluate_places, offsetof(ser_run_evaluate_settings, place))
JOB(test, "test", test_fields, test_places, offsetof(ser_run_test_settings, place))
JOB(test_across, "test-cross-corpus", across_fields, across_places,
    offsetof(ser_run_test_across_settings, place))
JOB(adapt, "train-lmmd", adapt_fields, adapt_places, offsetof(ser_run_adapt_settings, place))
JOB(extract, "extract", extract_fields, no_places, 0)

const ser_run_job *ser_run_job_find(const char *name)
{
    static const ser_run_job *const jobs[] = {&ser_job_train,       &ser_job_evaluate, &ser_job_test,
                                              &ser_job_test_across, &ser_job_adapt,    &ser_job_extract};
    for (size_t i = 0; i < sizeof jobs / sizeof *jobs; i++)
        if (strcmp(jobs[i]->name, name) == 0)
            return jobs[i];
    return NULL;
}

void ser_run_kept_release(ser_run_kept *kept)
{
    json_decref(kept->config);
    kept->config = NULL;
}

/* An unfinished run of ser 0.1.0 may ask for what there is no longer. */
static const char *gone_setting(const json_t *config)
{
    static const char *const keys[] = {"coral_weight", "self_training", "adapt_norms"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const json_t *value = json_object_get(config, keys[i]);
        if (json_is_true(value) || json_number_value(value) > 0)
            return keys[i];
    }
    return NULL;
}

ser_status ser_run_settings_of(void *settings, ser_run_kept *kept, const char *folder, const ser_run_job *job,
                               ser_error *err)
{
    ser_status st = ser_run_read_config(&kept->config, folder, err);
    const char *other = json_string_value(json_object_get(kept->config, "command"));
    if (st == SER_OK && other && strcmp(other, job->name) != 0)
        return ser_fail(err, SER_E_ARG, "%s: its run is one of 'ser %s': go on with that", folder, other);
    const char *gone = gone_setting(kept->config);
    if (st == SER_OK && gone)
        return ser_fail(err, SER_E_UNSUPPORTED,
                        "%s: its run asks for %s, which this version cannot do: begin a new run", folder,
                        gone);
    if (st == SER_OK)
        st = ser_run_settings_from_json(job, settings, kept->config, &kept->listed, NULL, err);
    return st == SER_OK ? st : ser_fail_within(err, st, "%s: ", folder);
}

/* Where a run goes on, its own settings are in force, but for the number of threads, which changes nothing.
 */
static ser_status resume(void *own, ser_run_kept *kept, const ser_run_job *job, ser_error *err)
{
    const ser_run_place place = *ser_run_place_of(job, own);
    int n_threads = ser_run_data_of(own)->n_threads;
    job->init(own, job->size);
    ser_status st = ser_run_settings_of(own, kept, place.folder, job, err);
    *ser_run_place_of(job, own) = place;
    ser_run_data_of(own)->n_threads = n_threads;
    return st;
}

ser_status ser_run_adopt(void *own, ser_run_kept *kept, const void *settings, const ser_run_job *job,
                         ser_error *err)
{
    size_t size = settings ? *(const size_t *)settings : 0;
    if (size < sizeof size)
        return ser_fail(err, SER_E_ARG,
                        "the settings were not filled: call their function for the defaults first");
    if (size > job->size)
        return ser_fail(err, SER_E_ARG, "the settings are of a newer library than this one: update it");
    job->init(own, job->size);
    memcpy(own, settings, size);
    *(size_t *)own = job->size;
    const ser_run_place *place = ser_run_place_of(job, own);
    ser_status st = place ? check_place(place, err) : SER_OK;
    if (st == SER_OK && place && place->resume)
        st = resume(own, kept, job, err);
    if (st == SER_OK)
        st = ser_fields_check(job->fields, own, err);
    return st == SER_OK ? job->check(own, err) : st;
}
