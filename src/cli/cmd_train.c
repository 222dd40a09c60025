/* ser train: fit a model to a corpus and write it into a run folder. */
#include "base/memory.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "cli/settings.h"
#include "cli/workbench.h"
#include "io/file.h"
#include "protocol/report_json.h"
#include "protocol/train_linear.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static ser_workbench_options bench = SER_WORKBENCH_DEFAULTS;
static const char *model_type = "linear", *run_folder;
static bool embed_encoder;
static long n_inner_folds = 5;

static const ser_option options[] = {
    {SER_OPTION_CHOICE, 0, "model-type", &model_type, "linear", "statistics pooling and a softmax layer"},
    {SER_OPTION_FLAG, 0, "embed-encoder", &embed_encoder, NULL,
     "put the encoder's needed layers into the model, in 8 bits, so that it needs no checkpoint"},
    {SER_OPTION_INT, 0, "inner-folds", &n_inner_folds, "N", "folds of the choices made inside the corpus", 2,
     20},
    SER_WORKBENCH_OPTIONS(bench),
    SER_ENGINE_OPTIONS(bench.engine),
    {SER_OPTION_GROUP, .help = SER_OUTPUT_GROUP},
    {SER_OPTION_STRING, 0, "run", &run_folder, "DIR",
     "run folder (default: runs/train-CORPUS-FEATURES-DATE-TIME)"},
    {SER_OPTION_END},
};

static int run(int argc, char **argv);

const ser_command ser_command_train = {
    .name = "train",
    .run = run,
    .summary = "train a model on a corpus",
    .usage = "",
    .description =
        "Fits the linear model with two heads, one for recordings as they are and one for a voice whose "
        "baseline is "
        "known ('ser predict --baseline'), and a detector of sound without a voice. Layers, penalty and "
        "calibration "
        "are chosen by inner cross-validation, with speakers kept apart where they are known. For figures on "
        "unseen recordings use 'ser evaluate'.\n"
        "The run folder gets model.safetensors, config.json and report.json; its path is printed last.",
    .examples =
        "ser train --data my-recordings/ --feature-type LOGMEL\n"
        "ser train --data EMODB+RAVDESS --feature-type WHISPER --encoder whisper-base/ --embed-encoder\n"
        "ser predict --model runs/train-.../model.safetensors recording.wav",
    .options = options,
};

/* runs/train-emodb-whisper-20260131-235959 */
static char *default_run_folder(const ser_workbench *w)
{
    char when[32];
    time_t now = time(NULL);
    struct tm local;
    ser_text t = {0}, type = {0};
    localtime_r(&now, &local);
    strftime(when, sizeof when, "%Y%m%d-%H%M%S", &local);
    ser_feature_spec_type(&w->spec, &type);
    ser_text_appendf(&t, "runs/train-%s-%s-%s", w->corpus->name, type.s ? type.s : "", when);
    ser_text_release(&type);
    for (char *c = t.s ? t.s + strlen("runs/") : NULL; c && *c; c++)
        *c = isalnum((unsigned char)*c) || *c == '-' || *c == '.' ? (char)tolower((unsigned char)*c) : '-';
    return t.s;
}

static json_t *head_json(const ser_workbench *w, const ser_head_fit *fit)
{
    return json_pack("{s:o, s:f, s:f, s:f, s:f, s:f}", "layers",
                     ser_chosen_layers_json(&w->spec, fit->chosen.blocks), "spread_weight",
                     fit->chosen.spread_weight, "c", fit->chosen.c, "temperature", (double)fit->temperature,
                     "inner_ua", fit->inner_ua, "inner_loss", fit->inner_loss);
}

/* What stands in the model and in report.json. Nothing in it depends on the time, so that models can be
 * compared. */
static ser_status describe(json_t **out, const ser_workbench *w, const ser_training *t, ser_error *err)
{
    char data_sha256[65], split_sha256[65];
    int *no_fold = ser_alloc(w->store->n, sizeof *no_fold);
    char *names[] = {"all"};
    const ser_folds all = {.test_fold = no_fold, .names = names, .n_folds = 1, .n_utterances = w->store->n};
    ser_status st = no_fold ? ser_report_hashes(data_sha256, split_sha256, w->corpus, &all, w->store, err)
                            : ser_fail_nomem(err);
    ser_free(no_fold);
    if (st != SER_OK)
        return st;
    *out = json_pack("{s:s, s:I, s:s, s:s, s:s, s:I, s:I, s:o, s:f}", "corpus", w->corpus->name, "n",
                     (json_int_t)w->store->n, "data_sha256", data_sha256, "encoder_sha256", w->encoder_sha256,
                     "precision", w->precision, "augment", (json_int_t)w->n_copies, "seed",
                     (json_int_t)bench.seed, "plain", head_json(w, &t->plain), "voice_inner_ua",
                     t->voice_inner_ua);
    if (*out && t->model.baseline.n_in)
        json_object_set_new(*out, "baseline", head_json(w, &t->baseline));
    return *out ? SER_OK : ser_fail_nomem(err);
}

static ser_status save_json(const char *folder, const char *name, const json_t *object, ser_error *err)
{
    char *path = ser_io_join(folder, name), *text = json_dumps(object, JSON_INDENT(1));
    ser_status st = path && text ? ser_io_write(path, text, strlen(text), err) : ser_fail_nomem(err);
    ser_free(path);
    free(text);
    return st;
}

static int last_layer(const ser_feature_spec *spec)
{
    const ser_feature_part *part = ser_feature_spec_encoder(spec);
    int last = 0;
    for (size_t i = 0; part && i < part->n_layers; i++)
        last = part->layers[i] > last ? part->layers[i] : last;
    return last;
}

static ser_status read_config(char **text, const char *folder, ser_error *err)
{
    enum { MAX_CONFIG = 1 << 20 };
    ser_bytes bytes = {0};
    char *path = ser_io_join(folder, "config.json");
    ser_status st = path ? ser_io_read(&bytes, path, MAX_CONFIG, err) : ser_fail_nomem(err);
    if (st == SER_OK && !(*text = ser_strndup((const char *)bytes.data, bytes.n)))
        st = ser_fail_nomem(err);
    ser_bytes_release(&bytes);
    ser_free(path);
    return st;
}

static ser_status save_model(const ser_workbench *w, ser_training *t, const char *folder, ser_error *err)
{
    ser_tensor *tensors = NULL;
    size_t n_tensors = 0;
    char *path = ser_io_join(folder, "model.safetensors");
    ser_status st = path ? SER_OK : ser_fail_nomem(err);
    snprintf(t->model.encoder_sha256, sizeof t->model.encoder_sha256, "%s", w->encoder_sha256);
    if (st == SER_OK && embed_encoder && w->encoder) {
        st = ser_encoder_export(&tensors, &n_tensors, w->encoder_folder, last_layer(&t->model.spec),
                                SER_MODEL_ENCODER_PREFIX, err);
        if (st == SER_OK)
            st = read_config(&t->model.encoder_config, w->encoder_folder, err);
    }
    if (st == SER_OK)
        st = ser_model_data_write(&t->model, path, tensors, n_tensors, err);
    ser_encoder_free_export(tensors, n_tensors);
    ser_free(path);
    return st;
}

static void print_head(const char *name, const ser_workbench *w, const ser_head_fit *fit)
{
    json_t *layers = ser_chosen_layers_json(&w->spec, fit->chosen.blocks);
    char *list = json_dumps(layers, JSON_COMPACT);
    printf("%s: layers %s, deviations x %g, c %g, temperature %.2f; inner folds: UA %.2f, loss %.3f\n", name,
           list ? list : "", fit->chosen.spread_weight, fit->chosen.c, (double)fit->temperature,
           fit->inner_ua, fit->inner_loss);
    free(list);
    json_decref(layers);
}

static ser_status save_run(const ser_workbench *w, ser_training *t, ser_error *err)
{
    json_t *report = NULL, *config = ser_settings_to_json(&ser_command_train);
    char *folder = run_folder ? ser_strdup(run_folder) : default_run_folder(w), *provenance = NULL;
    ser_status st = folder && config ? describe(&report, w, t, err) : ser_fail_nomem(err);
    if (st == SER_OK) {
        provenance = json_dumps(report, JSON_COMPACT);
        t->model.provenance = provenance ? ser_strdup(provenance) : NULL;
        st = t->model.provenance ? ser_io_make_folder(folder, err) : ser_fail_nomem(err);
    }
    if (st == SER_OK)
        st = save_json(folder, "config.json", config, err);
    if (st == SER_OK)
        st = save_json(folder, "report.json", report, err);
    if (st == SER_OK)
        st = save_model(w, t, folder, err);
    if (st == SER_OK) {
        print_head("plain head", w, &t->plain);
        if (t->model.baseline.n_in)
            print_head("baseline head", w, &t->baseline);
        printf("voice detector: inner folds: UA %.2f\n%s\n", t->voice_inner_ua, folder);
    }
    free(provenance);
    ser_free(folder);
    json_decref(report);
    json_decref(config);
    return st;
}

static ser_status train(ser_error *err)
{
    ser_workbench w = {0};
    ser_training t = {0};
    ser_progress progress = ser_progress_start();
    ser_status st = ser_workbench_open(&w, &bench, SER_CONDITION_NONE, false, &progress, err);
    const ser_train_settings settings = {.candidates = w.candidates,
                                         .n_candidates = w.n_candidates,
                                         .baseline_candidates = w.baseline_candidates,
                                         .n_baseline_candidates = w.n_baseline_candidates,
                                         .n_inner_folds = (int)n_inner_folds,
                                         .seed = (uint64_t)bench.seed,
                                         .n_threads = w.n_threads,
                                         .progress = progress};
    if (st == SER_OK)
        st = ser_train_linear(&t, w.corpus, w.store, w.extractor, &settings, err);
    ser_progress_clear();
    if (st == SER_OK)
        st = save_run(&w, &t, err);
    ser_training_release(&t);
    ser_workbench_close(&w);
    return st;
}

static int run(int argc, char **argv)
{
    ser_option_list rest = {0};
    ser_error err = {0};
    int status;
    if (!ser_options_start(&ser_command_train, argc, argv, &rest, &status))
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
    ser_option_list_release(&rest);
    return status;
}
