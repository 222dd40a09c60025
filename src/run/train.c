/* Folds for the figures, and a final model on the whole corpus. */
#include "base/memory.h"
#include "io/file.h"
#include "io/json.h"
#include "learn/train_model.h"
#include "report/escape.h"
#include "run/epochs.h"
#include "run/identity.h"
#include "run/job.h"
#include "run/learning.h"
#include "run/model_output.h"
#include "run/renew.h"
#include "run/tuning.h"

#include <string.h>

typedef struct train_job {
    ser_job job;
    ser_run_train_settings s; /* in force, once the features are known */
    char split[40];           /* the protocol that n_folds stands for */
    ser_run_features features;
    ser_run_models models;
    ser_workbench w;
    ser_learning learning;
    ser_folds *folds; /* NULL: the final model only */
    ser_leaks leaks;
    ser_evaluation e;
    ser_epochs epochs;
    ser_run_tuning tuning; /* net NULL: nothing is */
    const char *encoder;   /* the tuned one */
} train_job;

static void release(void *work)
{
    train_job *k = work;
    ser_epochs_close(&k->epochs);
    ser_evaluation_release(&k->e);
    ser_leaks_release(&k->leaks);
    ser_folds_free(&k->folds);
    ser_learning_close(&k->learning);
    ser_workbench_close(&k->w);
    ser_run_tuning_release(&k->tuning);
}

/* ---- model files ---- */

/* Nothing in it depends on the time, so that models can be compared. fold -1: all. */
static ser_status provenance(json_t **out, const train_job *k, int fold, const ser_learned *learned,
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
    *out = json_pack("{s:s, s:s, s:I, s:s, s:s, s:s, s:I, s:I}", "corpus", w->corpus->name, "fold",
                     fold < 0 ? "all" : k->folds->names[fold], "n", (json_int_t)w->store->n, "data_sha256",
                     data_sha256, "encoder_sha256", w->encoder_sha256, "precision",
                     ser_precision_name(w->precision), "augment", (json_int_t)w->n_copies, "seed",
                     (json_int_t)w->seed);
    ser_model_output_origin(out, w, k->folds ? k->folds->test_fold : NULL, k->folds ? fold : -2);
    if (*out && learned->has_linear)
        ser_json_set(out, "plain", ser_model_output_head(w, &learned->linear));
    if (*out && learned->has_linear && k->learning.settings.origin)
        ser_json_set(out, "starts_from_head", json_true());
    return *out ? SER_OK : ser_fail_nomem(err);
}

/* ---- folds ---- */

static ser_status finish_fold(void *context, size_t f, ser_learned *models, const ser_fold_result *result,
                              ser_error *err)
{
    train_job *k = context;
    json_t *origin = NULL;
    ser_model_data model = {0};
    const char *name = k->folds->names[f];
    char *path = ser_fold_path(k->job.folder.path, NULL, name, ".safetensors");
    (void)result;
    ser_status st =
        path ? ser_run_material_add_history(&k->job.material, f, models, err) : ser_fail_nomem(err);
    if (st == SER_OK)
        st = ser_model_output_keras(k->job.folder.path, name, models->members, models->n_networks, err);
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

static ser_status train_folds(train_job *k, ser_error *err)
{
    const ser_evaluate_settings settings = {.learn = k->learning.settings,
                                            .seed = k->w.seed,
                                            .state = k->job.folder.path,
                                            .on_fold = finish_fold,
                                            .context = k};
    return ser_evaluate(&k->e, &k->learning.data, k->folds, &settings, err);
}

/* ---- the final model ---- */

/* The head that learned together with the encoder is the model's: one fitted to the features of the
 * recordings that the encoder learned from would find them easier to tell apart than others' will be. */
static ser_status open_tuned_head(ser_linear *head, const train_job *k, ser_error *err)
{
    *head = (ser_linear){0};
    if (!k->tuning.net)
        return SER_OK;
    ser_status st = ser_fine_tune_head(head, k->tuning.net, k->w.extractor, err);
    head->temperature = k->tuning.temperature;
    return st;
}

static void tell_tuning(json_t **origin, const ser_run_tuning *t)
{
    json_object_del(*origin, "plain");
    ser_json_set(origin, "parts_left_out", json_incref(t->figures));
    ser_json_set(origin, "temperature", ser_number_json((double)t->temperature));
    ser_json_set(origin, "min_confidence", ser_number_json(t->min_confidence));
    ser_json_set(origin, "min_confidence_plain", ser_number_json(t->min_confidence_plain));
    ser_json_set(origin, "labelled", ser_number_json(t->labelled));
    ser_json_set(origin, "ece", ser_number_json(t->ece));
    ser_json_set(origin, "right", ser_number_json(t->right));
    ser_json_set(origin, "right_above", ser_number_json(t->right_above));
    ser_run_tell_unlike(origin, &t->unlike);
}

/* Nothing is tested, so nothing is refused. An encoder that was tuned just now is another matter: what its
 * head is worth was measured on parts left out. */
static bool knows_recordings(const train_job *k)
{
    return k->w.n_heard && !k->s.fine_tuning.on;
}

static ser_status tell_heard(const train_job *k, ser_error *err)
{
    ser_text t = {0};
    if (!knows_recordings(k) || !ser_team_is_first(k->job.host.team))
        return SER_OK;
    ser_workbench_append_heard(&t, &k->w);
    ser_status st = t.failed ? ser_fail_nomem(err) : SER_OK;
    if (st == SER_OK)
        ser_run_tell(&k->job.host, SER_RUN_WARNING, "%s", t.s);
    ser_text_release(&t);
    return st;
}

static ser_status train_final(train_job *k, ser_error *err)
{
    const char *folder = k->job.folder.path;
    ser_training t = {0};
    json_t *origin = NULL;
    char *path = ser_io_join(folder, "model.safetensors"), *state = ser_io_join(folder, "state");
    ser_linear head;
    const ser_train_settings settings = {.learn = k->learning.settings,
                                         .baseline_candidates = k->learning.baseline_candidates,
                                         .n_baseline_candidates = k->learning.n_baseline_candidates,
                                         .state = state,
                                         .head = k->tuning.net ? &head : NULL,
                                         .unlike = k->tuning.unlike.n_in ? &k->tuning.unlike : NULL};
    bool first = ser_team_is_first(k->job.host.team);
    ser_status st = open_tuned_head(&head, k, err);
    if (st == SER_OK)
        st = path && state ? ser_train_model(&t, &k->learning.data, k->w.store, &settings, err)
                           : ser_fail_nomem(err);
    if (st == SER_OK && first)
        st = provenance(&origin, k, -1, &t.learned, err);
    if (st == SER_OK && first && knows_recordings(k))
        ser_json_set(&origin, "encoder_heard", json_integer((json_int_t)k->w.n_heard));
    if (st == SER_OK && k->tuning.net && first) {
        t.model.min_confidence = k->tuning.min_confidence;
        t.model.min_confidence_plain = k->tuning.min_confidence_plain;
        tell_tuning(&origin, &k->tuning);
    }
    if (st == SER_OK && first) {
        if (t.baseline.head.n_in)
            ser_json_set(&origin, "baseline", ser_model_output_head(&k->w, &t.baseline));
        st = ser_model_output_save(&t.model, &k->w, origin, path, k->s.embed_encoder, err);
    }
    if (st == SER_OK && !k->folds && first) {
        json_object_del(origin, "trained_on");
        st = ser_run_save_json(folder, "report.json", origin, err);
        k->job.told = json_incref(origin);
    }
    json_decref(origin);
    ser_linear_release(&head);
    ser_training_release(&t);
    ser_free(path);
    ser_free(state);
    return st;
}

/* ---- one run ---- */

static ser_status save_report(train_job *k, ser_error *err)
{
    ser_job *job = &k->job;
    ser_report_facts facts = ser_workbench_facts(&k->w, SER_NORMALIZE_NONE);
    facts.folds = k->folds;
    facts.leaks = &k->leaks;
    facts.evaluation = &k->e;
    facts.protocol = k->s.protocol;
    facts.model_type = k->s.learning.model_type;
    facts.starts_from_head = k->learning.settings.origin != NULL;
    facts.config = job->config;
    ser_status st = ser_job_report(job, &facts, err);
    return st == SER_OK ? ser_job_save(job, err) : st;
}

static ser_status open_bench(train_job *k, ser_error *err)
{
    const ser_run_data *data = &k->s.data;
    ser_status st = ser_run_features_parse(&k->features, data, data->feature_type, err);
    if (st == SER_OK)
        st = ser_run_models_parse(&k->models, k->s.learning.model_type, err);
    if (st != SER_OK)
        return st;
    ser_run_resolve(&k->s.learning, &k->s.network, &k->features.spec, k->models);
    const ser_condense condense = ser_run_condense(&k->s.network);
    const ser_workbench_settings settings = {.host = &k->job.host,
                                             .data = data,
                                             .corpus = data->corpus,
                                             .features = k->features,
                                             .n_copies = (size_t)k->s.learning.n_copies,
                                             .seed = (uint64_t)k->s.learning.seed,
                                             .is_tested = k->s.protocol || k->s.n_folds,
                                             .frames = k->models.networks ? &condense : NULL};
    return ser_workbench_open(&k->w, &settings, err);
}

static ser_status open_folds(train_job *k, ser_error *err)
{
    ser_protocol protocol = {0};
    if (!k->s.protocol && !k->s.n_folds)
        return SER_OK;
    if (!k->s.protocol) {
        snprintf(k->split, sizeof k->split, "kfold=%d", k->s.n_folds);
        k->s.protocol = k->split;
    }
    ser_status st = ser_protocol_parse(&protocol, k->s.protocol, err);
    protocol.folds_path = k->s.folds;
    if (st == SER_OK)
        st = ser_folds_new(&k->folds, k->w.corpus, &protocol, k->w.seed, err);
    if (st == SER_OK)
        st = ser_workbench_leaks(&k->leaks, &k->w, k->folds, &k->job.host.progress, err);
    return st == SER_OK ? ser_run_material_init(&k->job.material, k->folds, err) : st;
}

static ser_status train_all(train_job *k, ser_error *err)
{
    static const char *const states[] = {"state", "tuning", NULL};
    ser_learn_settings *s = &k->learning.settings;
    ser_status st = tell_heard(k, err);
    if (st == SER_OK)
        st = ser_learning_open(&k->learning, &k->w, &k->s.learning, &k->s.network, k->models, &k->s.data,
                               &k->job.host, err);
    if (st == SER_OK && k->models.linear && !k->s.fine_tuning.on)
        st = ser_learning_start_from_head(&k->learning, &k->w, &k->job.host, err);
    if (st == SER_OK && ser_team_is_first(k->job.host.team))
        st = ser_run_folder_begin(&k->job.folder, k->folds, NULL, states, s->n_networks, err);
    k->epochs.host = &k->job.host;
    k->epochs.folder = k->job.folder.path;
    k->epochs.n_networks = s->n_networks;
    s->on_epoch = ser_epochs_tell;
    s->context = &k->epochs;
    ser_epochs_gather(&k->epochs);
    if (st == SER_OK && k->models.networks)
        ser_run_tell_settings(&k->job.host, k->job.config);
    if (st == SER_OK && k->folds) {
        s->speaker_disjoint = !k->leaks.n_folds || k->leaks.speakers[0] <= 0; /* none is known to be shared */
        st = train_folds(k, err);
    }
    s->speaker_disjoint = true;
    if (st == SER_OK)
        st = train_final(k, err);
    bool first = ser_team_is_first(k->job.host.team);
    if (st == SER_OK && k->folds && first)
        st = save_report(k, err);
    if (st == SER_OK && first) {
        ser_epochs_finish(&k->epochs);
        ser_run_folder_tidy(&k->job.folder);
    }
    return st;
}

static ser_status open_folder(train_job *k, const char *corpus, const ser_feature_spec *spec, ser_error *err)
{
    const ser_run_naming naming = {.corpus = corpus, .spec = spec};
    ser_status st = ser_job_open_folder(&k->job, &k->s.place, &naming, err);
    return st == SER_OK ? ser_job_set_config(&k->job, &k->s, err) : st;
}

/* Everything after the encoder is as with any other. */
static ser_status tune(train_job *k, ser_error *err)
{
    char *corpus = NULL;
    ser_run_features features;
    ser_status st = ser_run_features_parse(&features, &k->s.data, k->s.data.feature_type, err);
    if (st == SER_OK)
        st = ser_corpus_name(&corpus, k->s.data.corpus, err);
    if (st == SER_OK && !k->s.place.resume)
        st = ser_run_check_tuning(&k->s, &features, err);
    if (st == SER_OK)
        st = open_folder(k, corpus, &features.spec, err);
    ser_free(corpus);
    k->epochs = (ser_epochs){
        .host = &k->job.host, .folder = k->job.folder.path, .n_networks = (size_t)k->s.fine_tuning.n_soup};
    ser_epochs_gather(&k->epochs);
    if (st == SER_OK && !k->job.was_complete)
        st = ser_run_tune(&k->tuning, &k->s, &features, &k->job.host, &k->job.folder, &k->epochs, err);
    if (st == SER_OK && k->job.was_complete && !k->job.host.team)
        st = ser_run_renew(&k->s, &features, &k->job.host, &k->job.folder, err);
    k->encoder = k->tuning.encoder;
    k->s.data.encoders = &k->encoder;
    k->s.data.n_encoders = 1;
    return st;
}

/* One training alone is not for several ranks, unless they share each batch. */
static ser_status check_ranks(const train_job *k, ser_error *err)
{
    const ser_team *team = k->job.host.team;
    ser_run_models models;
    if (!team)
        return SER_OK;
    ser_status st = ser_run_models_parse(&models, k->s.learning.model_type, err);
    bool alone = k->s.fine_tuning.on ||
                 (models.networks && !k->s.protocol && !k->s.n_folds && k->s.network.n_networks <= 1 &&
                  !(k->s.network.n_networks < 0 && k->s.learning.preset == SER_RUN_BEST));
    if (st == SER_OK && alone && !k->s.network.micro_batch)
        st = ser_fail(
            err, SER_E_ARG,
            "one training on %d ranks: give --micro-batch N, the recordings of a batch that are learned from "
            "together",
            team->n);
    return st;
}

static ser_status train(void *job, ser_error *err)
{
    train_job *k = job;
    ser_status st = check_ranks(k, err);
    if (st != SER_OK)
        return st;
    st = k->s.fine_tuning.on ? tune(k, err) : SER_OK;
    if (st == SER_OK && k->job.was_complete)
        return st;
    if (st == SER_OK)
        st = open_bench(k, err);
    if (st == SER_OK)
        st = open_folds(k, err);
    if (st == SER_OK && !k->s.fine_tuning.on)
        st = open_folder(k, k->w.corpus->name, &k->w.spec, err);
    if (st == SER_OK && !k->job.was_complete)
        st = train_all(k, err);
    ser_workbench_thin(&k->w);
    return st;
}

ser_status ser_run_train(ser_run_result **out, const ser_run_train_settings *s,
                         const ser_run_listener *listener, ser_error *err)
{
    static const ser_job_way way = {&ser_job_train, sizeof(train_job), offsetof(train_job, s), train,
                                    release};
    return ser_job_do(out, &way, s, listener, err);
}
