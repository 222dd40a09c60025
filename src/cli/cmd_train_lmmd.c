/* ser train-lmmd: adapt a model of one corpus to another whose labels are not looked at. */
#include "base/memory.h"
#include "cli/adaptation_pictures.h"
#include "cli/commands.h"
#include "cli/epochs.h"
#include "cli/model_output.h"
#include "cli/network_options.h"
#include "cli/progress.h"
#include "cli/run_folder.h"
#include "cli/run_material.h"
#include "cli/settings.h"
#include "io/file.h"
#include "learn/adaptation.h"
#include "learn/cross.h"
#include "learn/train_model.h"
#include "run/report_json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static ser_workbench_options bench = SER_WORKBENCH_DEFAULTS;
static ser_network_options network = SER_NETWORK_DEFAULTS;
static const char *model_type = "linear", *target_name, *mapping_path, *run_path, *json_path, *resume_path;
static ser_adapt_weights weights = {.lmmd = -1, .entropy = 0.1, .balance = 0.1};
static bool visualize;

static const ser_option options[] = {
    {SER_OPTION_STRING, 't', "target", &target_name, "CORPUS",
     "to adapt to: its recordings are used, not its labels (default: the usual counterpart of the labelled "
     "one, where it has one)"},
    {SER_OPTION_STRING, 0, "mapping", &mapping_path, "FILE", "CSV with emotion,counts_as, for the figures"},
    {SER_OPTION_CHOICE, 0, "model-type", &model_type, SER_MODEL_TYPES, SER_MODEL_TYPES_HELP},
    SER_DATA_OPTIONS(bench),
    SER_TRAINING_OPTIONS(bench),
    SER_NORMALIZE_OPTION(bench),
    {SER_OPTION_GROUP, .help = "Adaptation"},
    {SER_OPTION_DOUBLE, 0, "lmmd-weight", &weights.lmmd, "W",
     "of the distance between the corpora, emotion by emotion: LMMD (default: linear 1, timnet 0.3)", 0,
     1000},
    {SER_OPTION_DOUBLE, 0, "entropy-weight", &weights.entropy, "W", "of unsure answers on the target", 0,
     1000},
    {SER_OPTION_DOUBLE, 0, "balance-weight", &weights.balance, "W",
     "of answers on the target that crowd in a few emotions", 0, 1000},
    SER_NETWORK_OPTIONS(network),
    SER_ENGINE_OPTIONS(bench.engine),
    {SER_OPTION_GROUP, .help = SER_OUTPUT_GROUP},
    {SER_OPTION_FLAG, 0, "visualize", &visualize, NULL,
     "draw the losses, the confusions and maps of both corpora, before and after"},
    {SER_OPTION_STRING, 0, "json", &json_path, "FILE", "the whole report as JSON"},
    {SER_OPTION_STRING, 0, "run", &run_path, "DIR",
     "run folder (default: runs/train-lmmd-SOURCE-TARGET-FEATURES-DATE-TIME)"},
    {SER_OPTION_STRING, 0, "resume", &resume_path, "DIR",
     "go on with an interrupted run, with the options it was begun with"},
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
        "beside, which draw the corpora together emotion by emotion (local maximum mean discrepancy). The "
        "target's labels are used for nothing but the figures at the end; which model is kept is decided "
        "without them, and told.\n"
        "With --layers auto a linear model reads the layers in which its unadapted twin sees the corpora "
        "closer. With --preset best both corpora are standardised by speaker, where speakers are known, "
        "else as a whole.",
    .examples = "ser train-lmmd --data EMODB --feature-type WHISPER --visualize\n"
                "ser train-lmmd --data EMODB --target my-recordings/ --feature-type WHISPER",
    .options = options,
};

/* One run under way. Of the two models, 0 is the source's and 1 the adapted one. */
typedef struct work {
    ser_workbench source, target;
    ser_normalize normalize;
    ser_learning learning; /* from the source */
    ser_learn_data to;
    ser_learn_transfer transfer;
    ser_candidate candidate;
    ser_head_fit voice;
    ser_target_statistics statistics;
    ser_epochs epochs;
    ser_run_folder folder;
    ser_adaptation adaptation;
    ser_mapping mapping;
    ser_cross cross[2];
    ser_folds folds; /* a "fold" is a model here */
    ser_leaks leaks;
    ser_evaluation e; /* scores are of the model kept */
    ser_run_material material;
    json_t *config, *report; /* config: every option in force */
} work;

/* ---- settings ---- */

static bool is_best(void)
{
    return strcmp(bench.preset, "best") == 0;
}

/* A network's last hidden layer can shrink to nothing, which is a small distance too: from a weight of 1 on
 * it does (docs/cross-corpus.md). */
static ser_adapt_weights weights_of(double usual_lmmd)
{
    ser_adapt_weights w = weights;
    w.lmmd = w.lmmd < 0 ? usual_lmmd : w.lmmd;
    return w;
}

static ser_adapt_settings adapt_settings(const ser_nn_ops *ops)
{
    ser_adapt_settings s = ser_adapt_default_settings();
    if (!is_best()) {
        s.n_epochs = 100;
        s.batch_size = 32;
        s.rate = 3e-4;
        s.beta1 = 0.93;
        s.beta2 = 0.98;
        s.dropout = 0.4;
    }
    ser_set_size(&s.n_epochs, network.n_epochs);
    ser_set_size(&s.batch_size, network.batch_size);
    ser_set_number(&s.rate, network.rate);
    ser_set_number(&s.beta1, network.beta1);
    ser_set_number(&s.beta2, network.beta2);
    ser_set_number(&s.dropout, network.dropout);
    s.weights = weights_of(1);
    s.ops = ops;
    return s;
}

/* Means of all frames of all layers: deviations and active frames belong to their corpus more than to the
 * emotion (docs/cross-corpus.md). */
static void set_learning(work *k)
{
    ser_learn_settings *s = &k->learning.settings;
    k->to = (ser_learn_data){.corpus = k->target.corpus,
                             .extractor = k->target.extractor,
                             .store = k->target.store,
                             .frames = k->target.frames};
    k->transfer = (ser_learn_transfer){
        .target = &k->to, .linear = adapt_settings(k->learning.ops), .n_projections = is_best() ? 5 : 1};
    ser_set_size(&k->transfer.n_projections, network.n_networks);
    k->transfer.n_sets = ser_workbench_sets(k->transfer.sets, k->source.extractor, bench.layers);
    k->candidate = (ser_candidate){.blocks = k->transfer.sets[0], .c = 300};
    k->epochs = (ser_epochs){.folder = &k->folder, .n_networks = s->n_networks};
    s->linear = ser_model_type_has_linear(model_type);
    if (!ser_model_type_has_networks(model_type))
        s->n_networks = 0;
    s->n_inner_folds = 2; /* nothing is chosen by them */
    s->candidates = &k->candidate;
    s->n_candidates = 1;
    s->transfer = &k->transfer;
    s->timnet.weights = weights_of(0.3);
    s->speaker_disjoint = true;
    s->on_epoch = ser_epochs_tell;
    s->on_adapt = ser_epochs_tell_adapt;
    s->context = &k->epochs;
}

static bool put(json_t *config, const char *key, json_t *value)
{
    return json_object_set_new(config, key, value) == 0;
}

/* What the projection has otherwise than the network beside it is told of both. */
static bool put_projection(json_t *config, const ser_learn_transfer *t, bool beside_network)
{
    const ser_adapt_settings *s = &t->linear;
    const char *key;
    json_t *value, *own = json_pack("{s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:f}", "networks",
                                    (json_int_t)t->n_projections, "epoch", (json_int_t)s->n_epochs,
                                    "batch_size", (json_int_t)s->batch_size, "lr", s->rate, "beta1", s->beta1,
                                    "beta2", s->beta2, "dropout", s->dropout, "lmmd_weight", s->weights.lmmd);
    bool ok = own;
    json_object_foreach(own, key, value)
    {
        json_t *other = beside_network ? json_object_get(config, key) : NULL;
        if (!other || json_equal(other, value))
            ok = json_object_set(config, key, value) == 0 && ok;
        else
            ok = put(config, key, json_pack("{s:O, s:O}", "linear", value, "timnet", other)) && ok;
    }
    json_decref(own);
    return ok;
}

/* NULL: out of memory. */
static json_t *config_in_force(const work *k)
{
    const ser_learn_settings *s = &k->learning.settings;
    json_t *config = ser_learning_config(k->folder.config, &k->learning, &k->source, &network, &bench);
    bool ok = config;
    if (ok && s->n_networks)
        ok = put(config, "lmmd_weight", json_real(s->timnet.weights.lmmd));
    if (ok && s->linear)
        ok = put_projection(config, &k->transfer, s->n_networks > 0);
    if (!ok) {
        json_decref(config);
        config = NULL;
    }
    return config;
}

/* ---- corpora ---- */

static ser_status open_corpora(work *k, const ser_progress *progress, ser_error *err)
{
    const ser_condense condense = ser_network_condense(&network, &bench);
    const ser_condense *frames = ser_model_type_has_networks(model_type) ? &condense : NULL;
    char *name = NULL;
    ser_workbench_options of_target = bench;
    of_target.augment = "none";
    of_target.is_target = true;
    ser_status st = ser_corpus_name(&name, bench.data, err);
    if (st == SER_OK)
        st = ser_choose_target(&of_target.data, target_name, name, err);
    ser_free(name);
    if (st == SER_OK)
        st = ser_workbench_open(&k->source, &bench, SER_CONDITION_NONE, frames, progress, err);
    return st == SER_OK
               ? ser_workbench_open(&k->target, &of_target, SER_CONDITION_NONE, frames, progress, err)
               : st;
}

static ser_status open_mapping(work *k, ser_error *err)
{
    const ser_corpus *from = k->source.corpus, *to = k->target.corpus;
    const ser_emotion_list source = {from->name, from->labels, from->n_labels},
                           target = {to->name, to->labels, to->n_labels};
    return ser_mapping_new(&k->mapping, mapping_path, &source, &target, err);
}

static bool has_speakers(const ser_corpus *c)
{
    return ser_normalize_check(c, SER_NORMALIZE_SPEAKER, NULL) == SER_OK;
}

/* Where both corpora tell their speakers, by these. */
static void choose_normalize(work *k)
{
    bool speakers = has_speakers(k->source.corpus) && has_speakers(k->target.corpus);
    if (!bench.normalize)
        bench.normalize = !is_best() ? "none" : speakers ? "speaker" : "corpus";
    k->normalize = ser_normalize_from_name(bench.normalize);
}

/* What needs the features as they are comes first. */
static ser_status standardise(work *k, ser_error *err)
{
    ser_status st = ser_target_statistics_measure(&k->statistics, &k->to, err);
    if (st == SER_OK)
        st = ser_learn_voice(&k->voice, k->source.store, k->source.extractor, &k->learning.settings,
                             k->candidate.blocks, err);
    if (st == SER_OK)
        st = ser_workbench_normalize(&k->source, k->normalize, NULL, err);
    return st == SER_OK ? ser_workbench_normalize(&k->target, k->normalize, k->statistics.spread, err) : st;
}

/* ---- figures ---- */

static ser_status reserve(work *k, ser_error *err)
{
    static char *names[] = {"source", "adapted"};
    size_t n = k->target.corpus->n_utterances;
    k->folds = (ser_folds){.names = names, .n_folds = 2, .n_utterances = n};
    k->folds.test_fold = ser_alloc(n, sizeof *k->folds.test_fold);
    k->e = (ser_evaluation){.n = n, .n_labels = k->source.corpus->n_labels, .n_folds = 2};
    k->e.folds = ser_alloc(2, sizeof *k->e.folds);
    if (!k->folds.test_fold || !k->e.folds)
        return ser_fail_nomem(err);
    ser_status st = ser_leaks_unknown(&k->leaks, 2, err);
    return st == SER_OK ? ser_run_material_init(&k->material, &k->folds, err) : st;
}

/* Recordings of the target that are in the source too. */
static int count_heard(const work *k)
{
    const ser_store *source = k->source.store, *target = k->target.store;
    int n = 0;
    for (size_t t = 0; t < target->n; t++) {
        bool heard = false;
        for (size_t s = 0; s < source->n && !heard; s++)
            heard = strcmp(source->recordings[s].sha256, target->recordings[t].sha256) == 0;
        n += heard;
    }
    return n;
}

static ser_status score(work *k, ser_error *err)
{
    enum { N_RESAMPLES = 10000 };
    const ser_adaptation *a = &k->adaptation;
    const ser_learned *models[] = {&a->source, &a->adapted};
    float *scores[] = {a->before, a->after};
    int n_heard = count_heard(k);
    ser_status st = SER_OK;
    for (size_t m = 0; m < 2 && st == SER_OK; m++) {
        ser_cross *c = &k->cross[m];
        st = ser_cross_compute(c, scores[m], &k->mapping, k->target.corpus, N_RESAMPLES, (uint64_t)bench.seed,
                               err);
        k->leaks.duplicates[m] = n_heard;
        k->e.folds[m] = (ser_fold_result){.n_train = k->source.corpus->n_utterances,
                                          .n_test = k->e.n,
                                          .chosen = models[m]->linear.chosen,
                                          .ua = c->figures.ua,
                                          .wa = c->figures.wa,
                                          .f1 = c->figures.f1,
                                          .loss = c->figures.loss,
                                          .acc_lenient = c->acc_lenient};
    }
    for (size_t u = 0; u < k->e.n; u++)
        k->folds.test_fold[u] = a->kept_adapted;
    k->e.scores = scores[a->kept_adapted];
    return st;
}

/* ---- what is told ---- */

static ser_status add_note(work *k, bool serious, ser_text *t, ser_error *err)
{
    ser_status st =
        t->failed ? ser_fail_nomem(err) : ser_run_material_add_note(&k->material, serious, t->s, err);
    if (st == SER_OK && serious)
        ser_say("%s", t->s);
    ser_text_release(t);
    return st;
}

/* "LOGMEL + WHISPER 2,3,4" */
static void append_blocks(ser_text *t, const ser_feature_spec *spec, uint64_t blocks)
{
    bool any = false;
    size_t block = 0;
    for (size_t p = 0; p < spec->n_parts; p++) {
        const ser_feature_part *part = &spec->parts[p];
        bool is_encoder = ser_feature_kind_is_encoder(part->kind), named = false;
        for (size_t l = 0; l < (is_encoder ? part->n_layers : 1); l++, block++) {
            if (!(blocks >> block & 1))
                continue;
            if (!named)
                ser_text_appendf(t, "%s%s", any ? " + " : "", ser_feature_kind_name(part->kind));
            if (is_encoder)
                ser_text_appendf(t, "%s%d", named ? "," : " ", part->layers[l]);
            any = named = true;
        }
    }
}

/* What the projection reads, where there was a choice. */
static ser_status add_layers_note(work *k, ser_error *err)
{
    const ser_learned *m = &k->adaptation.source;
    const uint64_t *sets = k->transfer.sets;
    if (!m->has_linear || k->transfer.n_sets < 2)
        return SER_OK;
    ser_text t = {0};
    size_t chosen = m->linear.chosen.blocks == sets[1];
    append_blocks(&t, &k->source.spec, sets[chosen]);
    ser_text_append(&t, " rather than ");
    append_blocks(&t, &k->source.spec, sets[!chosen]);
    ser_text_appendf(&t, ": there the unadapted model sees both corpora closer, LMMD %.3f rather than %.3f",
                     m->distance[chosen], m->distance[!chosen]);
    return add_note(k, false, &t, err);
}

static ser_status add_notes(work *k, ser_error *err)
{
    const ser_adaptation *a = &k->adaptation;
    ser_text kept = {0}, unlabelled = {0}, heard = {0};
    ser_text_appendf(&kept, "Kept: the %s model; %s", a->kept_adapted ? "adapted" : "unadapted", a->reason);
    ser_text_appendf(&unlabelled, "Recordings of %s were used without their labels%s%s",
                     k->target.corpus->name,
                     k->normalize == SER_NORMALIZE_NONE ? "" : ": to standardise features by ",
                     k->normalize == SER_NORMALIZE_NONE      ? ""
                     : k->normalize == SER_NORMALIZE_SPEAKER ? "speaker, and to adapt to"
                                                             : "corpus, and to adapt to");
    ser_status st = add_note(k, false, &kept, err);
    if (st == SER_OK)
        st = add_layers_note(k, err);
    if (st == SER_OK)
        st = add_note(k, false, &unlabelled, err);
    if (st == SER_OK && k->leaks.duplicates[0]) {
        ser_text_appendf(&heard,
                         "%d recordings of %s are in %s too: the figures are of what was learned by heart",
                         k->leaks.duplicates[0], k->target.corpus->name, k->source.corpus->name);
        st = add_note(k, true, &heard, err);
    }
    return st;
}

/* ---- the run folder ---- */

static ser_status open_folder(work *k, ser_error *err)
{
    const ser_run_place place = {.path = run_path,
                                 .resume = resume_path,
                                 .corpus = k->source.corpus->name,
                                 .target = k->target.corpus->name,
                                 .spec = &k->source.spec};
    return ser_run_folder_open(&k->folder, &ser_command_train_lmmd, &place, err);
}

static ser_status make_report(work *k, const ser_report_facts *facts, ser_error *err)
{
    const ser_adaptation *a = &k->adaptation;
    ser_status st = ser_report_json(&k->report, facts, err);
    if (st != SER_OK)
        return st;
    json_object_set_new(k->report, "before", ser_cross_json(&k->cross[0], &k->mapping));
    json_object_set_new(k->report, "adapted", ser_cross_json(&k->cross[1], &k->mapping));
    json_object_set_new(k->report, "kept", json_string(a->kept_adapted ? "adapted" : "source"));
    json_object_set_new(k->report, "reason", json_string(a->reason));
    json_object_set_new(k->report, "agreement", json_real(a->agreement));
    return SER_OK;
}

static ser_status make_material(work *k, const ser_report_facts *facts, ser_error *err)
{
    const ser_adaptation *a = &k->adaptation;
    const ser_learned *models[] = {&a->source, &a->adapted};
    ser_status st = SER_OK;
    for (size_t m = 0; m < 2 && st == SER_OK; m++)
        st = ser_run_material_add_history(&k->material, m, models[m], err);
    if (st == SER_OK)
        st = add_notes(k, err);
    return st == SER_OK ? ser_run_material_finish(&k->material, facts, err) : st;
}

/* Networks move into the model that is written. */
static ser_status save_model(work *k, ser_error *err)
{
    ser_adaptation *a = &k->adaptation;
    ser_learned *kept = a->kept_adapted ? &a->adapted : &a->source;
    ser_model_data m = {0};
    char *path = ser_io_join(k->folder.path, "model.safetensors");
    json_t *origin =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:o, s:o}", "corpus", k->source.corpus->name, "target",
                  k->target.corpus->name, "kept", a->kept_adapted ? "adapted" : "source", "normalize",
                  bench.normalize, "encoder_sha256", k->source.encoder_sha256, "seed", (json_int_t)bench.seed,
                  "trained_on", ser_model_output_heard(k->source.store, NULL, -2), "adapted_to",
                  ser_model_output_heard(k->target.store, NULL, -2));
    ser_status st = path && origin ? ser_model_of_transfer(&m, kept, &k->learning.data, &k->voice,
                                                           k->normalize, &k->statistics, err)
                                   : ser_fail_nomem(err);
    if (st == SER_OK)
        st = ser_model_output_save(&m, &k->source, origin, path, false, err);
    if (st == SER_OK)
        st = ser_model_output_keras(k->folder.path, "all", m.networks, m.n_networks, err);
    ser_model_data_release(&m);
    json_decref(origin);
    ser_free(path);
    return st;
}

static ser_status save_pictures(work *k, const ser_progress *progress, ser_error *err)
{
    const ser_adaptation_pictures p = {.folder = k->folder.path,
                                       .adaptation = &k->adaptation,
                                       .source = &k->learning.data,
                                       .target = &k->to,
                                       .mapping = &k->mapping,
                                       .cross = {&k->cross[0], &k->cross[1]},
                                       .matrix = k->material.cross.matrix,
                                       .ops = k->learning.ops,
                                       .n_threads = k->source.n_threads,
                                       .progress = progress};
    return ser_adaptation_pictures_save(&p, err);
}

static ser_status save(work *k, const ser_progress *progress, ser_error *err)
{
    ser_report_facts facts = ser_workbench_facts(&k->target, &bench);
    facts.folds = &k->folds;
    facts.leaks = &k->leaks;
    facts.evaluation = &k->e;
    facts.protocol = "train-lmmd";
    facts.model_type = model_type;
    facts.config = k->config = config_in_force(k);
    facts.cross = &k->cross[k->adaptation.kept_adapted];
    facts.mapping = &k->mapping;
    ser_status st = k->config ? make_report(k, &facts, err) : ser_fail_nomem(err);
    if (st == SER_OK)
        st = make_material(k, &facts, err);
    if (st == SER_OK && visualize)
        st = save_pictures(k, progress, err);
    if (st == SER_OK)
        st = save_model(k, err);
    return st == SER_OK ? ser_run_save(&k->folder, &k->material.report, k->report, json_path, err) : st;
}

static void print_summary(const work *k)
{
    static const char *const keys[] = {"normalize", "networks",    "epoch",          "batch_size",    "lr",
                                       "dropout",   "lmmd_weight", "entropy_weight", "balance_weight"};
    json_t *shown = json_object();
    ser_text t = {0};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        json_object_set(shown, keys[i], json_object_get(k->config, keys[i]));
    ser_text_appendf(&t, "%s, %s, precision %s, seed %ld\n", k->material.report.features, model_type,
                     k->target.precision, bench.seed);
    ser_append_settings(&t, shown);
    ser_text_append(&t, "\n");
    if (!t.failed)
        fwrite(t.s, 1, t.n, stdout);
    ser_text_release(&t);
    json_decref(shown);
    ser_run_material_print_cross(&k->material, &k->mapping, &k->cross[k->adaptation.kept_adapted],
                                 "The model kept");
}

/* ---- one run ---- */

static void release(work *k)
{
    json_decref(k->report);
    json_decref(k->config);
    ser_run_material_release(&k->material);
    ser_run_folder_close(&k->folder);
    ser_cross_release(&k->cross[0]);
    ser_cross_release(&k->cross[1]);
    k->e.scores = NULL; /* the adaptation's */
    ser_evaluation_release(&k->e);
    ser_leaks_release(&k->leaks);
    ser_free(k->folds.test_fold);
    ser_mapping_release(&k->mapping);
    ser_adaptation_release(&k->adaptation);
    ser_head_fit_release(&k->voice);
    ser_target_statistics_release(&k->statistics);
    ser_learning_close(&k->learning);
    ser_workbench_close(&k->target);
    ser_workbench_close(&k->source);
}

static ser_status learn(work *k, ser_error *err)
{
    static const char *const states[] = {"state-source", "state-adapted", NULL};
    char *state = ser_io_join(k->folder.path, "state");
    ser_status st = state
                        ? ser_run_folder_begin(&k->folder, NULL, states, k->learning.settings.n_networks, err)
                        : ser_fail_nomem(err);
    if (st == SER_OK)
        st = standardise(k, err);
    if (st == SER_OK)
        st = ser_adaptation_run(&k->adaptation, &k->learning.data, &k->learning.settings, state, err);
    ser_free(state);
    return st == SER_OK ? score(k, err) : st;
}

static ser_status adapt(ser_error *err)
{
    work k = {.folder.lock = {-1}};
    ser_progress progress = ser_progress_start();
    ser_status st = open_corpora(&k, &progress, err);
    if (st == SER_OK)
        st = ser_learning_open(&k.learning, &k.source, &bench, &network, "timnet", &progress, err);
    if (st == SER_OK) {
        choose_normalize(&k);
        set_learning(&k);
        st = open_mapping(&k, err);
    }
    if (st == SER_OK)
        st = reserve(&k, err);
    if (st == SER_OK)
        st = open_folder(&k, err);
    bool complete = st == SER_OK && k.folder.complete;
    if (st == SER_OK && !complete)
        st = learn(&k, err);
    if (st == SER_OK && !complete)
        st = save(&k, &progress, err);
    ser_progress_clear();
    if (complete)
        ser_say("%s: this run is complete", k.folder.path);
    if (st == SER_OK && !complete) {
        print_summary(&k);
        ser_run_folder_tidy(&k.folder);
    }
    if (st == SER_OK)
        printf("%s\n", k.folder.path);
    if (st == SER_E_CANCELLED && (k.folder.path || resume_path))
        ser_say("go on with: ser train-lmmd --resume %s", k.folder.path ? k.folder.path : resume_path);
    release(&k);
    return st;
}

/* An unfinished run of ser 0.1.0 may ask for ways of adapting that there are no longer. */
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

static int run(int argc, char **argv)
{
    ser_option_list rest = {0};
    ser_error err = {0};
    json_t *config = NULL;
    int status;
    bench.normalize = NULL; /* by the preset */
    if (!ser_run_options_start(&ser_command_train_lmmd, argc, argv, &resume_path, &config, &rest, &status))
        goto done;
    if (rest.n)
        status = ser_usage_error(&ser_command_train_lmmd, "'%s' is not expected here", rest.items[0]);
    else if (!bench.data)
        status = ser_usage_error(&ser_command_train_lmmd, "no corpus is named: give --data");
    else if (strcmp(bench.layers, "weighted") == 0)
        status =
            ser_usage_error(&ser_command_train_lmmd,
                            "--layers weighted is for 'ser train' and 'ser evaluate': give auto or a list");
    if (status != SER_EXIT_OK)
        goto done;
    const char *gone = gone_setting(config);
    ser_status st = gone ? ser_fail(&err, SER_E_UNSUPPORTED,
                                    "%s: it was begun with %s, which this version has not: begin it anew",
                                    resume_path, gone)
                         : adapt(&err);
    if (st != SER_OK)
        ser_say("%s", err.text);
    status = ser_exit_status(st);
done:
    json_decref(config);
    ser_option_list_release(&rest);
    return status;
}
