/* ser train: fit models to a corpus, fold by fold and on all of it, and write them into a run folder. */
#include "base/memory.h"
#include "cli/commands.h"
#include "cli/epochs.h"
#include "cli/model_output.h"
#include "cli/network_options.h"
#include "cli/progress.h"
#include "cli/run_folder.h"
#include "cli/run_material.h"
#include "cli/settings.h"
#include "corpus/leaks.h"
#include "io/file.h"
#include "keras/weights.h"
#include "learn/train_model.h"
#include "run/report_json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static ser_workbench_options bench = SER_WORKBENCH_DEFAULTS;
static ser_network_options network = SER_NETWORK_DEFAULTS;
static const char *model_type = "timnet", *protocol_text, *folds_path, *run_path, *resume_path;
static bool embed_encoder;
static long n_inner_folds = 5, n_folds = 2;

static const ser_option options[] = {
    {SER_OPTION_CHOICE, 0, "model-type", &model_type, SER_MODEL_TYPES, SER_MODEL_TYPES_HELP},
    {SER_OPTION_INT, 0, "split-fold", &n_folds, "N",
     "random folds for the run's figures; 0: none, train the final model only", 0, 1000},
    {SER_OPTION_STRING, 0, "protocol", &protocol_text, "PROTOCOL",
     "other folds than those of --split-fold: emobox, loso, kfold=K, group-kfold=K"},
    {SER_OPTION_STRING, 0, "folds", &folds_path, "FILE", "CSV with utterance,test_fold, for emobox"},
    {SER_OPTION_FLAG, 0, "embed-encoder", &embed_encoder, NULL,
     "put the encoder's needed layers into the model, in 8 bits, so that it needs no checkpoint"},
    {SER_OPTION_INT, 0, "inner-folds", &n_inner_folds, "N", "folds of the choices made inside the corpus", 2,
     20},
    SER_DATA_OPTIONS(bench),
    SER_TRAINING_OPTIONS(bench),
    SER_LINEAR_OPTIONS(bench),
    SER_NETWORK_OPTIONS(network),
    SER_ENGINE_OPTIONS(bench.engine),
    {SER_OPTION_GROUP, .help = SER_OUTPUT_GROUP},
    {SER_OPTION_STRING, 0, "run", &run_path, "DIR",
     "run folder (default: runs/train-CORPUS-FEATURES-DATE-TIME)"},
    {SER_OPTION_STRING, 0, "resume", &resume_path, "DIR",
     "go on with an interrupted run, with the options it was begun with"},
    {SER_OPTION_END},
};

static int run(int argc, char **argv);

const ser_command ser_command_train = {
    .name = "train",
    .run = run,
    .summary = "train a model on a corpus",
    .usage = "",
    .description =
        "Trains a model for every fold and tests it on the part that it has not seen, then a final one on "
        "the "
        "whole corpus, for 'ser predict --model'. Random folds have the same speakers on both sides, as in "
        "the "
        "original system; for figures on strangers' voices use --protocol loso or group-kfold.\n"
        "The linear model has two heads, one for recordings as they are and one for a voice whose baseline "
        "is known ('ser predict --baseline'); figures with features standardised by speaker are those of "
        "'ser "
        "evaluate --normalize speaker'.\n"
        "The run folder gets the models, their Keras weights, metrics.xlsx, report.html, pictures and a line "
        "per epoch; its path is printed last. Ctrl-C loses at most the epoch under way: go on with --resume.",
    .examples =
        "ser train --data EMODB --feature-type LOGMEL --epoch 50 --batch-size 32\n"
        "ser train --data my-recordings/ --feature-type WHISPER --preset best --protocol group-kfold=5\n"
        "ser train --data EMODB+mine.csv --model-type linear --preset best --split-fold 0 --embed-encoder\n"
        "ser predict --model runs/train-.../model.safetensors recording.wav",
    .options = options,
};

/* One run under way. */
typedef struct work {
    ser_workbench w;
    ser_learning learning;
    ser_run_folder folder;
    ser_run_material material;
    ser_protocol protocol;
    ser_folds *folds; /* NULL: the final model only */
    ser_leaks leaks;
    ser_evaluation e;
    json_t *config, *report;
    ser_epochs epochs;
} work;

/* ---- model files ---- */

/* Nothing in it depends on the time, so that models can be compared. fold -1: all. */
static ser_status provenance(json_t **out, const work *k, int fold, const ser_learned *learned,
                             ser_error *err)
{
    const ser_workbench *w = &k->w;
    char data_sha256[65], split_sha256[65];
    int *no_fold = ser_alloc(w->store->n, sizeof *no_fold);
    char *names[] = {"all"};
    const ser_folds all = {.test_fold = no_fold, .names = names, .n_folds = 1, .n_utterances = w->store->n};
    ser_status st = no_fold ? ser_report_hashes(data_sha256, split_sha256, w->corpus, &all, w->store, err)
                            : ser_fail_nomem(err);
    ser_free(no_fold);
    if (st != SER_OK)
        return st;
    *out = json_pack(
        "{s:s, s:s, s:I, s:s, s:s, s:s, s:I, s:I, s:o}", "corpus", w->corpus->name, "fold",
        fold < 0 ? "all" : k->folds->names[fold], "n", (json_int_t)w->store->n, "data_sha256", data_sha256,
        "encoder_sha256", w->encoder_sha256, "precision", w->precision, "augment", (json_int_t)w->n_copies,
        "seed", (json_int_t)bench.seed, "trained_on",
        ser_model_output_heard(w->store, k->folds ? k->folds->test_fold : NULL, k->folds ? fold : -2));
    if (*out && learned->has_linear)
        json_object_set_new(*out, "plain", ser_model_output_head(w, &learned->linear));
    return *out ? SER_OK : ser_fail_nomem(err);
}

/* ---- folds ---- */

static ser_status finish_fold(void *context, size_t f, ser_learned *models, const ser_fold_result *result,
                              ser_error *err)
{
    work *k = context;
    json_t *origin = NULL;
    ser_model_data model = {0};
    const char *name = k->folds->names[f];
    char *path = ser_fold_path(k->folder.path, name, ".safetensors");
    (void)result;
    ser_status st = path ? ser_run_material_add_history(&k->material, f, models, err) : ser_fail_nomem(err);
    if (st == SER_OK)
        st = ser_model_output_keras(k->folder.path, name, models->members, models->n_networks, err);
    if (st == SER_OK)
        st = provenance(&origin, k, (int)f, models, err);
    if (st == SER_OK)
        st = ser_model_of_fold(&model, models, &k->learning.data, err);
    if (st == SER_OK)
        st = ser_model_output_save(&model, &k->w, origin, path, false, err);
    ser_model_data_release(&model);
    json_decref(origin);
    ser_free(path);
    return st;
}

static ser_status train_folds(work *k, ser_error *err)
{
    const ser_evaluate_settings settings = {.learn = k->learning.settings,
                                            .seed = (uint64_t)bench.seed,
                                            .state = k->folder.path,
                                            .on_fold = finish_fold,
                                            .context = k};
    return ser_evaluate(&k->e, &k->learning.data, k->folds, &settings, err);
}

/* ---- the final model ---- */

static ser_status train_final(work *k, ser_error *err)
{
    ser_training t = {0};
    json_t *origin = NULL;
    char *path = ser_io_join(k->folder.path, "model.safetensors"),
         *state = ser_io_join(k->folder.path, "state");
    const ser_train_settings settings = {.learn = k->learning.settings,
                                         .baseline_candidates = k->w.baseline_candidates,
                                         .n_baseline_candidates = k->w.n_baseline_candidates,
                                         .state = state};
    ser_status st = path && state ? ser_train_model(&t, &k->learning.data, k->w.store, &settings, err)
                                  : ser_fail_nomem(err);
    if (st == SER_OK)
        st = provenance(&origin, k, -1, &t.learned, err);
    if (st == SER_OK) {
        json_object_set_new(origin, "voice_inner_ua", json_real(t.voice_inner_ua));
        if (t.baseline.head.n_in)
            json_object_set_new(origin, "baseline", ser_model_output_head(&k->w, &t.baseline));
        st = ser_model_output_save(&t.model, &k->w, origin, path, embed_encoder, err);
    }
    if (st == SER_OK && !k->folds) {
        json_object_del(origin, "trained_on");
        st = ser_run_save_json(k->folder.path, "report.json", origin, err);
    }
    json_decref(origin);
    ser_training_release(&t);
    ser_free(path);
    ser_free(state);
    return st;
}

/* ---- what is shown and written ---- */

static void print_summary(const work *k)
{
    ser_style style = ser_style_of(stdout);
    ser_text t = {0};
    ser_text_appendf(&t, "%s, %s, %s, %s, %zu altered copies, precision %s, seed %ld\n", k->w.corpus->name,
                     protocol_text, k->material.report.features, model_type, k->w.n_copies, k->w.precision,
                     bench.seed);
    ser_append_network_settings(&t, &k->learning, &network, &bench);
    ser_text_append(&t, "\n");
    for (size_t f = 0; f < k->e.n_folds; f++) {
        const ser_run_fold *r = &k->material.folds[f];
        ser_text_appendf(&t, "fold %-4s %5zu train %4zu validation %4zu test   UA %6.2f   WA %6.2f", r->name,
                         r->n_train, r->n_validation, r->n_test, r->ua, r->wa);
        if (r->kept_epoch)
            ser_text_appendf(&t, "   epoch %zu of %zu kept", r->kept_epoch, r->n_epochs);
        ser_text_append(&t, "\n");
    }
    ser_text_append(&t, "\n");
    ser_append_classification(&t, k->material.report.labels, &k->e.figures, style);
    ser_text_append(&t, "\n");
    ser_append_confusion(&t, k->material.report.labels, k->e.figures.confusion, k->e.figures.n_labels, style);
    ser_text_append(&t, "\n");
    for (size_t i = 0; i < SER_N_SHARED; i++) {
        ser_shared_count count = ser_run_count_shared(&k->material.report, i);
        if (!count.n_folds)
            continue;
        ser_text_appendf(&t, "%s: ", ser_shared_kinds[i].what);
        ser_append_shared(&t, i, count);
        ser_text_append(&t, "\n");
    }
    ser_append_headline(&t, &k->e.figures, style);
    if (!t.failed)
        fwrite(t.s, 1, t.n, stdout);
    ser_text_release(&t);
}

static ser_status save_report(work *k, ser_error *err)
{
    ser_report_facts facts = ser_workbench_facts(&k->w, &bench);
    facts.folds = k->folds;
    facts.leaks = &k->leaks;
    facts.evaluation = &k->e;
    facts.protocol = protocol_text;
    facts.model_type = model_type;
    facts.config = k->config = ser_learning_config(k->folder.config, &k->learning, &k->w, &network, &bench);
    ser_status st = k->config ? ser_report_json(&k->report, &facts, err) : ser_fail_nomem(err);
    if (st == SER_OK)
        st = ser_run_material_finish(&k->material, &facts, err);
    return st == SER_OK ? ser_run_save(&k->folder, &k->material.report, k->report, NULL, err) : st;
}

/* ---- one run ---- */

static ser_status open_folder(work *k, ser_error *err)
{
    const ser_run_place place = {
        .path = run_path, .resume = resume_path, .corpus = k->w.corpus->name, .spec = &k->w.spec};
    return ser_run_folder_open(&k->folder, &ser_command_train, &place, err);
}

static ser_status open_folds(work *k, ser_error *err)
{
    if (!n_folds && !protocol_text)
        return SER_OK;
    ser_status st = ser_folds_new(&k->folds, k->w.corpus, &k->protocol, (uint64_t)bench.seed, err);
    if (st == SER_OK)
        st = ser_workbench_leaks(&k->leaks, &k->w, k->folds, err);
    return st == SER_OK ? ser_run_material_init(&k->material, k->folds, err) : st;
}

static ser_status train_all(work *k, ser_error *err)
{
    static const char *const states[] = {"state", NULL};
    ser_status st = ser_run_folder_begin(&k->folder, k->folds, states, k->learning.settings.n_networks, err);
    k->learning.settings.n_inner_folds = (int)n_inner_folds;
    k->epochs = (ser_epochs){.folder = &k->folder, .n_networks = k->learning.settings.n_networks};
    k->learning.settings.on_epoch = ser_epochs_tell;
    k->learning.settings.context = &k->epochs;
    if (st == SER_OK && k->folds) {
        k->learning.settings.speaker_disjoint = !k->leaks.n_folds || k->leaks.speakers[0] == 0;
        st = train_folds(k, err);
    }
    k->learning.settings.speaker_disjoint = true;
    if (st == SER_OK)
        st = train_final(k, err);
    ser_progress_clear();
    if (st == SER_OK && k->folds)
        st = save_report(k, err);
    return st;
}

static ser_status train(ser_error *err)
{
    work k = {.folder.lock = {-1}};
    ser_condense condense = ser_network_condense(&network, &bench);
    const ser_condense *frames = ser_model_type_has_networks(model_type) ? &condense : NULL;
    char split[40];
    ser_progress progress = ser_progress_start();
    ser_status st = SER_OK;
    snprintf(split, sizeof split, "kfold=%ld", n_folds);
    if (!protocol_text && n_folds)
        protocol_text = split;
    if (protocol_text)
        st = ser_protocol_parse(&k.protocol, protocol_text, err);
    k.protocol.folds_path = folds_path;
    if (st == SER_OK)
        st = ser_workbench_open(&k.w, &bench, SER_CONDITION_NONE, frames, &progress, err);
    if (st == SER_OK)
        st = open_folds(&k, err);
    if (st == SER_OK)
        st = open_folder(&k, err);
    if (st == SER_OK && !k.folder.complete)
        st = ser_learning_open(&k.learning, &k.w, &bench, &network, model_type, &progress, err);
    if (st == SER_OK && !k.folder.complete)
        st = train_all(&k, err);
    ser_progress_clear();
    if (st == SER_OK && k.folder.complete)
        ser_say("%s: this run is complete", k.folder.path);
    if (st == SER_OK && !k.folder.complete) {
        if (k.folds)
            print_summary(&k);
        ser_run_folder_tidy(&k.folder);
    }
    if (st == SER_OK)
        printf("%s\n", k.folder.path);
    if (st == SER_E_CANCELLED && (k.folder.path || resume_path))
        ser_say("go on with: ser train --resume %s", k.folder.path ? k.folder.path : resume_path);
    json_decref(k.report);
    json_decref(k.config);
    ser_run_material_release(&k.material);
    ser_run_folder_close(&k.folder);
    ser_evaluation_release(&k.e);
    ser_leaks_release(&k.leaks);
    ser_folds_free(&k.folds);
    ser_learning_close(&k.learning);
    ser_workbench_close(&k.w);
    return st;
}

static int run(int argc, char **argv)
{
    ser_option_list rest = {0};
    ser_error err = {0};
    json_t *config = NULL;
    int status;
    bench.preset = "original";
    if (!ser_run_options_start(&ser_command_train, argc, argv, &resume_path, &config, &rest, &status))
        goto done;
    if (rest.n)
        status = ser_usage_error(&ser_command_train, "'%s' is not expected here", rest.items[0]);
    else if (!bench.data)
        status = ser_usage_error(&ser_command_train, "no corpus is named: give --data");
    if (status != SER_EXIT_OK)
        goto done;
    ser_status st = train(&err);
    if (st != SER_OK)
        ser_say("%s", err.text);
    status = ser_exit_status(st);
done:
    json_decref(config);
    ser_option_list_release(&rest);
    return status;
}
