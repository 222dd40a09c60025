/* ser train-lmmd: adapt a model of one corpus to another whose labels are not looked at. */
#include "base/memory.h"
#include "cli/commands.h"
#include "cli/network_options.h"
#include "cli/progress.h"
#include "cli/run_folder.h"
#include "cli/settings.h"
#include "io/file.h"
#include "protocol/adaptation.h"
#include "protocol/cross.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static ser_workbench_options bench = SER_WORKBENCH_DEFAULTS;
static ser_network_options network = SER_NETWORK_DEFAULTS;
static const char *model_type = "linear", *target_name, *mapping_path, *run_path, *json_path;
static ser_adapt_weights weights = {.lmmd = 0.5, .entropy = 0.1, .balance = 0.1};
static long n_rounds;
static double confidence = 0.5;
static bool visualize, adapt_norms;

static const ser_option options[] = {
    {SER_OPTION_STRING, 't', "target", &target_name, "CORPUS",
     "to adapt to: its recordings are used, not its labels (default: the other one of EMODB and RAVDESS)"},
    {SER_OPTION_STRING, 0, "mapping", &mapping_path, "FILE", "CSV with emotion,counts_as, for the figures"},
    {SER_OPTION_CHOICE, 0, "model-type", &model_type, SER_MODEL_TYPES, SER_MODEL_TYPES_HELP},
    SER_WORKBENCH_OPTIONS(bench),
    {SER_OPTION_GROUP, .help = "Adaptation"},
    {SER_OPTION_DOUBLE, 0, "lmmd-weight", &weights.lmmd, "W",
     "of the distance between the corpora, emotion by emotion (LMMD)", 0, 1000},
    {SER_OPTION_DOUBLE, 0, "entropy-weight", &weights.entropy, "W", "of unsure answers on the target", 0,
     1000},
    {SER_OPTION_DOUBLE, 0, "balance-weight", &weights.balance, "W",
     "of answers on the target that crowd in a few emotions", 0, 1000},
    {SER_OPTION_DOUBLE, 0, "coral-weight", &weights.coral, "W",
     "of the distance between the corpora's covariances (CORAL)", 0, 1e6},
    {SER_OPTION_INT, 0, "self-training", &n_rounds, "N",
     "rounds in which the surest answers of the one before serve as labels", 0, 20},
    {SER_OPTION_DOUBLE, 0, "confidence", &confidence, "SHARE",
     "of each emotion's answers that is not sure enough for that", 0, 0.99},
    {SER_OPTION_FLAG, 0, "adapt-norms", &adapt_norms, NULL,
     "normalise the temporal network by the target's statistics (AdaBN)"},
    SER_NETWORK_OPTIONS(network),
    SER_ENGINE_OPTIONS(bench.engine),
    {SER_OPTION_GROUP, .help = SER_OUTPUT_GROUP},
    {SER_OPTION_FLAG, 0, "visualize", &visualize, NULL,
     "draw the losses, the confusions and maps of both corpora, before and after"},
    {SER_OPTION_STRING, 0, "json", &json_path, "FILE", "the whole report as JSON"},
    {SER_OPTION_STRING, 0, "run", &run_path, "DIR",
     "run folder (default: runs/train-lmmd-CORPUS-FEATURES-DATE-TIME)"},
    {SER_OPTION_END},
};

static int run(int argc, char **argv);

const ser_command ser_command_train_lmmd = {
    .name = "train-lmmd",
    .run = run,
    .summary = "adapt a model to a corpus without its labels",
    .usage = "",
    .description =
        "Trains a model on a labelled corpus twice: once alone, and once with the target's recordings "
        "beside, "
        "which draw the corpora together emotion by emotion (local maximum mean discrepancy). The target's "
        "labels are used for nothing but the figures at the end; which model is kept is decided without "
        "them, "
        "and told.\n"
        "With --preset best both corpora are standardised by speaker, where speakers are known, else as a "
        "whole.",
    .examples = "ser train-lmmd --data EMODB --feature-type WHISPER --visualize\n"
                "ser train-lmmd --data RAVDESS --target my-recordings/ --feature-type WHISPER",
    .options = options,
};

/* One run under way. */
typedef struct work {
    ser_workbench source, target;
    ser_learning learning;
    ser_learn_data to;
    ser_learn_transfer transfer;
    ser_candidate candidate;
    ser_adaptation adaptation;
    ser_mapping mapping;
    ser_cross before, after;
} work;

/* ---- settings ---- */

static bool is_best(void)
{
    return strcmp(bench.preset, "best") == 0;
}

static void set_adaptation(work *k)
{
    ser_adapt_settings *s = &k->transfer.linear;
    *s = ser_adapt_default_settings();
    if (!is_best()) {
        s->n_epochs = 100;
        s->batch_size = 32;
        s->rate = 3e-4;
        s->beta1 = 0.93;
        s->beta2 = 0.98;
        s->dropout = 0.4;
    }
    s->weights = weights;
    s->weights.pseudo_label = n_rounds ? 1 : 0;
    s->n_epochs = network.n_epochs ? (size_t)network.n_epochs : s->n_epochs;
    s->batch_size = network.batch_size ? (size_t)network.batch_size : s->batch_size;
    s->rate = network.rate > 0 ? network.rate : s->rate;
    s->beta1 = network.beta1 > 0 ? network.beta1 : s->beta1;
    s->beta2 = network.beta2 > 0 ? network.beta2 : s->beta2;
    s->dropout = network.dropout >= 0 ? network.dropout : s->dropout;
    s->ops = k->learning.ops;
    k->transfer.n_projections = network.n_networks ? (size_t)network.n_networks : is_best() ? 5 : 1;
    k->transfer.n_rounds = (size_t)n_rounds;
    k->transfer.confidence = confidence;
    k->transfer.target = &k->to;
    k->candidate = (ser_candidate){.blocks = UINT64_MAX, .c = 300};
    k->learning.settings.candidates = &k->candidate;
    k->learning.settings.n_candidates = 1;
    k->learning.settings.transfer = &k->transfer;
}

/* ---- the work ---- */

static bool has_speakers(const ser_corpus *c)
{
    return ser_dataset_check_normalize(c, SER_NORMALIZE_SPEAKER, NULL) == SER_OK;
}

static ser_status open_corpora(work *k, const ser_condense *frames, const ser_progress *progress,
                               ser_error *err)
{
    ser_workbench_options other = bench;
    bench.for_travel = other.for_travel = is_best();
    other.data = target_name;
    other.augment = "none";
    ser_status st = ser_workbench_open(&k->source, &bench, SER_CONDITION_NONE, frames, progress, err);
    if (st == SER_OK)
        st = ser_workbench_open(&k->target, &other, SER_CONDITION_NONE, frames, progress, err);
    if (st != SER_OK)
        return st;
    if (!bench.normalize)
        bench.normalize = !is_best()                                                         ? "none"
                          : has_speakers(k->source.corpus) && has_speakers(k->target.corpus) ? "speaker"
                                                                                             : "corpus";
    st = ser_workbench_normalize(&k->source, &bench, err);
    return st == SER_OK ? ser_workbench_normalize(&k->target, &bench, err) : st;
}

static ser_emotion_list emotions_of(const ser_corpus *c)
{
    return (ser_emotion_list){.corpus = c->name, .labels = c->labels, .n = c->n_labels};
}

static ser_status score(work *k, ser_error *err)
{
    enum { N_RESAMPLES = 10000 };
    uint64_t seed = (uint64_t)bench.seed;
    ser_status st = ser_cross_compute(&k->before, k->adaptation.before.scores, &k->mapping, k->target.corpus,
                                      N_RESAMPLES, seed, err);
    return st == SER_OK ? ser_cross_compute(&k->after, k->adaptation.after.scores, &k->mapping,
                                            k->target.corpus, N_RESAMPLES, seed, err)
                        : st;
}

static ser_status adapt(ser_error *err)
{
    work k = {0};
    ser_condense condense = ser_network_condense(&network, &bench);
    const ser_condense *frames = ser_model_type_has_networks(model_type) ? &condense : NULL;
    ser_progress progress = ser_progress_start();
    ser_status st = open_corpora(&k, frames, &progress, err);
    if (st == SER_OK)
        st = ser_learning_open(&k.learning, &k.source, &bench, &network, "timnet", &progress, err);
    if (st == SER_OK) {
        const ser_emotion_list from = emotions_of(k.source.corpus), to = emotions_of(k.target.corpus);
        k.learning.settings.linear = ser_model_type_has_linear(model_type);
        if (!ser_model_type_has_networks(model_type))
            k.learning.settings.n_networks = 0;
        k.learning.settings.timnet.weights = weights;
        k.learning.settings.timnet.adapt_norms = adapt_norms;
        k.to = (ser_learn_data){.corpus = k.target.corpus,
                                .extractor = k.target.extractor,
                                .store = k.target.store,
                                .frames = k.target.frames};
        set_adaptation(&k);
        st = ser_mapping_new(&k.mapping, mapping_path, &from, &to, err);
    }
    if (st == SER_OK)
        st = ser_adaptation_run(&k.adaptation, &k.learning.data, &k.learning.settings, NULL, err);
    if (st == SER_OK)
        st = score(&k, err);
    ser_progress_clear();
    if (st == SER_OK) {
        const ser_adaptation *a = &k.adaptation;
        printf("before %.2f lenient %.2f   after %.2f lenient %.2f  ece %.1f  kept %s: %s; agreement %.1f\n",
               k.before.figures.ua, k.before.acc_lenient, k.after.figures.ua, k.after.acc_lenient,
               k.after.figures.ece, a->kept_adapted ? "adapted" : "source", a->reason, a->agreement);
    }
    ser_cross_release(&k.before);
    ser_cross_release(&k.after);
    ser_mapping_release(&k.mapping);
    ser_adaptation_release(&k.adaptation);
    ser_learning_close(&k.learning);
    ser_workbench_close(&k.target);
    ser_workbench_close(&k.source);
    return st;
}

static int run(int argc, char **argv)
{
    ser_option_list rest = {0};
    ser_error err = {0};
    int status;
    bench.normalize = NULL;
    if (!ser_options_start(&ser_command_train_lmmd, argc, argv, &rest, &status))
        goto done;
    if (rest.n)
        status = ser_usage_error(&ser_command_train_lmmd, "'%s' is not expected here", rest.items[0]);
    else if (!bench.data)
        status = ser_usage_error(&ser_command_train_lmmd, "no corpus is named: give --data");
    if (status != SER_EXIT_OK)
        goto done;
    ser_status st = adapt(&err);
    if (st != SER_OK)
        ser_say("%s", err.text);
    status = ser_exit_status(st);
done:
    ser_option_list_release(&rest);
    return status;
}
