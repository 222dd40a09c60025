/* A model of one corpus, adapted to another without its labels. */
#include "base/memory.h"
#include "io/file.h"
#include "io/json.h"
#include "learn/adaptation.h"
#include "learn/cross.h"
#include "learn/train_model.h"
#include "run/adaptation_pictures.h"
#include "run/epochs.h"
#include "run/job.h"
#include "run/learning.h"
#include "run/model_output.h"

#include <string.h>

/* Of the two models, 0 is the source's and 1 the adapted one. */
typedef struct adapt_job {
    ser_job job;
    ser_run_adapt_settings s; /* in force, once the corpora are known */
    ser_run_features features;
    ser_run_models models;
    ser_run_network network, given; /* in force, as if there were one; as given */
    ser_workbench source, target;
    ser_normalize normalize;
    ser_learning learning; /* from the source */
    ser_learn_data to;
    ser_learn_transfer transfer;
    ser_candidate candidate;
    ser_target_statistics statistics;
    ser_epochs epochs;
    ser_adaptation adaptation;
    ser_mapping mapping;
    ser_cross cross[2];
    ser_run_adaptation both; /* of the report */
    ser_folds folds;         /* a "fold" is a model here */
    ser_leaks leaks;
    ser_evaluation e; /* scores are of the model kept */
} adapt_job;

/* ---- settings ---- */

static bool is_best(const adapt_job *k)
{
    return k->s.learning.preset == SER_RUN_BEST;
}

/* A network's last hidden layer can shrink to nothing, which is a small distance too: from a weight of 1 on
 * it does (docs/cross-corpus.md). */
static ser_adapt_weights weights_of(const adapt_job *k, double usual_lmmd)
{
    return (ser_adapt_weights){.lmmd = k->s.lmmd_weight < 0 ? usual_lmmd : k->s.lmmd_weight,
                               .entropy = k->s.entropy_weight,
                               .balance = k->s.balance_weight};
}

static void set_size(size_t *to, int given)
{
    if (given >= 0)
        *to = (size_t)given;
}

static void set_number(double *to, double given)
{
    if (given >= 0)
        *to = given;
}

static ser_adapt_settings adapt_settings(const adapt_job *k)
{
    ser_adapt_settings s = ser_adapt_default_settings();
    if (!is_best(k)) {
        s.n_epochs = 100;
        s.batch_size = 32;
        s.rate = 3e-4;
        s.beta1 = 0.93;
        s.beta2 = 0.98;
        s.dropout = 0.4;
    }
    set_size(&s.n_epochs, k->given.n_epochs);
    set_size(&s.batch_size, k->given.batch_size);
    set_number(&s.rate, k->given.rate);
    set_number(&s.beta1, k->given.beta1);
    set_number(&s.beta2, k->given.beta2);
    set_number(&s.dropout, k->given.dropout);
    s.weights = weights_of(k, 1);
    s.ops = k->learning.ops;
    return s;
}

/* Means of all frames of all layers: deviations and active frames belong to their corpus more than to the
 * emotion (docs/cross-corpus.md). */
static void set_learning(adapt_job *k)
{
    ser_learn_settings *s = &k->learning.settings;
    k->to = (ser_learn_data){.corpus = k->target.corpus,
                             .extractor = k->target.extractor,
                             .store = k->target.store,
                             .frames = k->target.frames};
    k->transfer = (ser_learn_transfer){
        .target = &k->to, .linear = adapt_settings(k), .n_projections = is_best(k) ? 5 : 1};
    set_size(&k->transfer.n_projections, k->given.n_networks);
    k->transfer.n_sets = ser_workbench_sets(k->transfer.sets, &k->source);
    k->candidate = (ser_candidate){.blocks = k->transfer.sets[0], .c = 300};
    if (!k->models.networks)
        s->n_networks = 0;
    k->epochs = (ser_epochs){.host = &k->job.host, .folder = k->job.folder.path, .n_networks = s->n_networks};
    s->linear = k->models.linear;
    s->n_inner_folds = 2; /* nothing is chosen by them */
    s->candidates = &k->candidate;
    s->n_candidates = 1;
    s->transfer = &k->transfer;
    s->timnet.weights = weights_of(k, 0.3);
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

static ser_status set_config(adapt_job *k, ser_error *err)
{
    const ser_learn_settings *s = &k->learning.settings;
    ser_status st = ser_job_set_config(&k->job, &k->s, err);
    bool ok = true;
    if (st == SER_OK && s->n_networks)
        ok = put(k->job.config, "lmmd_weight", json_real(s->timnet.weights.lmmd));
    if (st == SER_OK && s->linear)
        ok = put_projection(k->job.config, &k->transfer, s->n_networks > 0) && ok;
    return st == SER_OK && !ok ? ser_fail_nomem(err) : st;
}

/* ---- corpora ---- */

static ser_status open_corpora(adapt_job *k, ser_error *err)
{
    const ser_condense condense = ser_run_condense(&k->network);
    char *name = NULL;
    ser_workbench_settings own = {.host = &k->job.host,
                                  .data = &k->s.data,
                                  .corpus = k->s.data.corpus,
                                  .features = k->features,
                                  .n_copies = (size_t)k->s.learning.n_copies,
                                  .seed = (uint64_t)k->s.learning.seed,
                                  .frames = k->models.networks ? &condense : NULL},
                           of_target = own;
    of_target.n_copies = 0;
    of_target.is_target = of_target.is_tested = true;
    ser_status st = ser_corpus_name(&name, k->s.data.corpus, err);
    if (st == SER_OK)
        st = ser_choose_target(&of_target.corpus, k->s.target, name, err);
    ser_free(name);
    if (st == SER_OK)
        st = ser_workbench_open(&k->source, &own, err);
    return st == SER_OK ? ser_workbench_open(&k->target, &of_target, err) : st;
}

static ser_status open_mapping(adapt_job *k, ser_error *err)
{
    const ser_corpus *from = k->source.corpus, *to = k->target.corpus;
    const ser_emotion_list source = {from->name, from->labels, from->n_labels},
                           target = {to->name, to->labels, to->n_labels};
    return ser_mapping_new(&k->mapping, k->s.mapping, &source, &target, err);
}

/* Where both corpora tell their speakers, by these. */
static void choose_normalize(adapt_job *k)
{
    bool speakers = ser_corpus_has_speakers(k->source.corpus) && ser_corpus_has_speakers(k->target.corpus);
    if (k->s.normalize < 0)
        k->s.normalize = !is_best(k) ? SER_RUN_NORMALIZE_NONE
                         : speakers  ? SER_RUN_NORMALIZE_SPEAKER
                                     : SER_RUN_NORMALIZE_CORPUS;
    k->normalize = (ser_normalize)k->s.normalize;
}

/* What needs the features as they are comes first. */
static ser_status standardise(adapt_job *k, ser_error *err)
{
    ser_status st = ser_target_statistics_measure(&k->statistics, &k->to, err);
    if (st == SER_OK)
        st = ser_workbench_normalize(&k->source, k->normalize, NULL, err);
    return st == SER_OK ? ser_workbench_normalize(&k->target, k->normalize, k->statistics.spread, err) : st;
}

/* ---- figures ---- */

static ser_status reserve(adapt_job *k, ser_error *err)
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
    return st == SER_OK ? ser_run_material_init(&k->job.material, &k->folds, err) : st;
}

/* Recordings of the target that are in the source too. */
static int count_heard(const adapt_job *k)
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

static ser_status score(adapt_job *k, ser_error *err)
{
    enum { N_RESAMPLES = 10000 };
    const ser_adaptation *a = &k->adaptation;
    const ser_learned *models[] = {&a->source, &a->adapted};
    float *scores[] = {a->before, a->after};
    int n_heard = count_heard(k);
    ser_status st = SER_OK;
    for (size_t m = 0; m < 2 && st == SER_OK; m++) {
        ser_cross *c = &k->cross[m];
        st = ser_cross_compute(c, scores[m], NULL, &k->mapping, k->target.corpus, N_RESAMPLES, k->source.seed,
                               err);
        k->leaks.duplicates[m] = n_heard;
        k->e.folds[m] = (ser_fold_result){.n_train = k->source.corpus->n_utterances,
                                          .n_test = k->e.n,
                                          .chosen = models[m]->linear.chosen,
                                          .acc_lenient = c->acc_lenient};
        ser_fold_result_set(&k->e.folds[m], &c->figures);
    }
    for (size_t u = 0; u < k->e.n; u++)
        k->folds.test_fold[u] = a->kept_adapted;
    k->e.scores = scores[a->kept_adapted];
    return st;
}

/* ---- what is told ---- */

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
static ser_status add_layers_note(adapt_job *k, ser_error *err)
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
    ser_text_appendf(&t,
                     ": the two corpora lie closer together in them before adaptation (distance LMMD %.3f "
                     "rather than %.3f)",
                     m->distance[chosen], m->distance[!chosen]);
    return ser_job_note(&k->job, false, &t, err);
}

static ser_status add_notes(adapt_job *k, ser_error *err)
{
    const ser_adaptation *a = &k->adaptation;
    ser_text kept = {0}, unlabelled = {0}, heard = {0}, known = {0};
    ser_text_appendf(&kept, "Kept: the %s model; %s", a->kept_adapted ? "adapted" : "unadapted", a->reason);
    ser_text_appendf(
        &unlabelled, "Recordings of %s were used without their labels%s%s", k->target.corpus->name,
        k->normalize == SER_NORMALIZE_NONE ? ""
                                           : " to adapt the model, and to standardise the features of each ",
        k->normalize == SER_NORMALIZE_NONE      ? ""
        : k->normalize == SER_NORMALIZE_SPEAKER ? "speaker"
                                                : "corpus");
    ser_status st = ser_job_note(&k->job, false, &kept, err);
    if (st == SER_OK)
        st = add_layers_note(k, err);
    if (st == SER_OK)
        st = ser_job_note(&k->job, false, &unlabelled, err);
    if (st == SER_OK && k->leaks.duplicates[0]) {
        ser_text_appendf(&heard,
                         "%d recordings of %s are in %s too: the figures are of what was learned by heart",
                         k->leaks.duplicates[0], k->target.corpus->name, k->source.corpus->name);
        st = ser_job_note(&k->job, true, &heard, err);
    }
    if (st == SER_OK && k->source.n_heard) {
        ser_workbench_append_heard(&known, &k->source);
        st = ser_job_note(&k->job, true, &known, err);
    }
    return st;
}

/* ---- what is written ---- */

static ser_status make_report(adapt_job *k, const ser_report_facts *facts, ser_error *err)
{
    const ser_adaptation *a = &k->adaptation;
    const ser_learned *models[] = {&a->source, &a->adapted};
    ser_status st = SER_OK;
    for (size_t m = 0; m < 2 && st == SER_OK; m++)
        st = ser_run_material_add_history(&k->job.material, m, models[m], err);
    if (st == SER_OK)
        st = add_notes(k, err);
    if (st == SER_OK)
        st = ser_job_report(&k->job, facts, err);
    k->job.material.report.of_what = "The model kept";
    if (st != SER_OK)
        return st;
    ser_run_report *r = &k->job.material.report;
    k->both =
        (ser_run_adaptation){.kept_adapted = a->kept_adapted, .reason = a->reason, .agreement = a->agreement};
    r->adaptation = &k->both;
    r->n_encoder_heard = k->source.n_heard;
    st = ser_run_material_add_cross(&k->both.before, &k->job.material, &k->mapping, &k->cross[0], err);
    return st == SER_OK ? ser_run_material_add_cross(&k->both.adapted, &k->job.material, &k->mapping,
                                                     &k->cross[1], err)
                        : st;
}

/* Networks move into the model that is written. */
static ser_status save_model(adapt_job *k, ser_error *err)
{
    ser_adaptation *a = &k->adaptation;
    ser_learned *kept = a->kept_adapted ? &a->adapted : &a->source;
    ser_model_data m = {0};
    char *path = ser_io_join(k->job.folder.path, "model.safetensors");
    json_t *origin = json_pack("{s:s, s:s, s:s, s:s, s:s, s:I}", "corpus", k->source.corpus->name, "target",
                               k->target.corpus->name, "kept", a->kept_adapted ? "adapted" : "source",
                               "normalize", ser_normalize_name(k->normalize), "encoder_sha256",
                               k->source.encoder_sha256, "seed", (json_int_t)k->source.seed);
    ser_model_output_origin(&origin, &k->source, NULL, -2);
    ser_json_set(&origin, "adapted_to", ser_model_output_heard(k->target.store, NULL, -2));
    ser_status st =
        path && origin ? ser_model_of_transfer(&m, kept, &k->learning.data, k->normalize, &k->statistics, err)
                       : ser_fail_nomem(err);
    if (st == SER_OK)
        st = ser_model_output_save(&m, &k->source, origin, path, false, err);
    if (st == SER_OK)
        st = ser_model_output_keras(k->job.folder.path, "all", m.networks, m.n_networks, err);
    ser_model_data_release(&m);
    json_decref(origin);
    ser_free(path);
    return st;
}

static ser_status save_pictures(adapt_job *k, ser_error *err)
{
    const ser_adaptation_pictures p = {.folder = k->job.folder.path,
                                       .adaptation = &k->adaptation,
                                       .source = &k->learning.data,
                                       .target = &k->to,
                                       .mapping = &k->mapping,
                                       .cross = {&k->cross[0], &k->cross[1]},
                                       .matrix = k->job.material.report.cross->matrix,
                                       .ops = k->learning.ops,
                                       .n_threads = k->source.n_threads,
                                       .progress = &k->job.host.progress,
                                       .page = &k->job.material.drawn};
    ser_status st = ser_adaptation_pictures_save(&p, err);
    k->job.material.report.drawn = k->job.material.drawn.s;
    return st;
}

static ser_status save(adapt_job *k, ser_error *err)
{
    ser_job *job = &k->job;
    ser_report_facts facts = ser_workbench_facts(&k->target, k->normalize);
    facts.folds = &k->folds;
    facts.leaks = &k->leaks;
    facts.evaluation = &k->e;
    facts.protocol = "train-lmmd";
    facts.model_type = k->s.learning.model_type;
    facts.config = job->config;
    facts.cross = &k->cross[k->adaptation.kept_adapted];
    facts.mapping = &k->mapping;
    ser_status st = make_report(k, &facts, err);
    if (st == SER_OK && k->s.place.pictures)
        st = save_pictures(k, err);
    if (st == SER_OK)
        st = save_model(k, err);
    return st == SER_OK ? ser_job_save(job, err) : st;
}

/* ---- one run ---- */

static void release(void *work)
{
    adapt_job *k = work;
    ser_epochs_close(&k->epochs);
    ser_cross_release(&k->cross[0]);
    ser_cross_release(&k->cross[1]);
    k->e.scores = NULL; /* the adaptation's */
    ser_evaluation_release(&k->e);
    ser_leaks_release(&k->leaks);
    ser_free(k->folds.test_fold);
    ser_mapping_release(&k->mapping);
    ser_adaptation_release(&k->adaptation);
    ser_target_statistics_release(&k->statistics);
    ser_learning_close(&k->learning);
    ser_workbench_close(&k->target);
    ser_workbench_close(&k->source);
}

static ser_status learn(adapt_job *k, ser_error *err)
{
    static const char *const states[] = {"state-source", "state-adapted", NULL};
    char *state = ser_io_join(k->job.folder.path, "state");
    ser_status st =
        state ? ser_run_folder_begin(&k->job.folder, NULL, NULL, states, k->learning.settings.n_networks, err)
              : ser_fail_nomem(err);
    if (st == SER_OK)
        st = standardise(k, err);
    if (st == SER_OK)
        ser_run_tell_settings(&k->job.host, k->job.config);
    if (st == SER_OK)
        st = ser_adaptation_run(&k->adaptation, &k->learning.data, &k->learning.settings, state, err);
    ser_free(state);
    if (st == SER_OK)
        st = score(k, err);
    if (st == SER_OK)
        st = save(k, err);
    if (st == SER_OK) {
        ser_epochs_finish(&k->epochs);
        ser_run_folder_tidy(&k->job.folder);
    }
    return st;
}

static ser_status prepare(adapt_job *k, ser_error *err)
{
    const ser_run_models any = {.linear = true, .networks = true}; /* the projection needs products, too */
    const ser_run_data *data = &k->s.data;
    ser_status st = ser_run_features_parse(&k->features, data, data->feature_type, err);
    if (st == SER_OK)
        st = ser_run_models_parse(&k->models, k->s.learning.model_type, err);
    if (st != SER_OK)
        return st;
    k->given = k->network = k->s.network;
    ser_run_resolve_network(&k->network, k->s.learning.preset, &k->features.spec);
    ser_run_resolve(&k->s.learning, &k->s.network, &k->features.spec, k->models);
    st = open_corpora(k, err);
    if (st == SER_OK)
        st = ser_learning_open(&k->learning, &k->source, &k->s.learning, &k->network, any, data, &k->job.host,
                               err);
    if (st == SER_OK)
        st = open_mapping(k, err);
    return st == SER_OK ? reserve(k, err) : st;
}

static ser_status adapt(void *job, ser_error *err)
{
    adapt_job *k = job;
    ser_status st = prepare(k, err);
    if (st != SER_OK || !ser_team_is_first(k->job.host.team)) /* others help with the features alone */
        return st;
    k->job.host.team = k->learning.settings.team = NULL;
    choose_normalize(k);
    if (json_object_set_new(k->job.given, "normalize", json_string(ser_normalize_name(k->normalize))) != 0)
        return ser_fail_nomem(err);
    const ser_run_naming naming = {
        .corpus = k->source.corpus->name, .target = k->target.corpus->name, .spec = &k->source.spec};
    st = ser_job_open_folder(&k->job, &k->s.place, &naming, err);
    set_learning(k);
    if (st == SER_OK)
        st = set_config(k, err);
    if (st == SER_OK && !k->job.was_complete)
        st = learn(k, err);
    ser_workbench_thin(&k->source);
    ser_workbench_thin(&k->target);
    return st;
}

ser_status ser_run_adapt(ser_run_result **out, const ser_run_adapt_settings *s,
                         const ser_run_listener *listener, ser_error *err)
{
    static const ser_job_way way = {&ser_job_adapt, sizeof(adapt_job), offsetof(adapt_job, s), adapt,
                                    release};
    return ser_job_do(out, &way, s, listener, err);
}
