/* Figures by a protocol: no model is kept. */
#include "base/memory.h"
#include "io/json.h"
#include "learn/honest.h"
#include "run/epochs.h"
#include "run/fold_part.h"
#include "run/job.h"
#include "run/learning.h"
#include "run/tuned.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct evaluate_job {
    ser_job job;
    ser_run_evaluate_settings s; /* in force, once the features are known */
    ser_run_features features;
    ser_run_models models;
    ser_tuned tuned; /* with fine_tune */
    ser_protocol protocol;
    ser_workbench w;
    ser_learning learning;
    ser_folds *folds;
    ser_leaks leaks;
    ser_evaluation e;
    ser_epochs epochs;
    ser_honest honest;
    ser_run_honest rows[SER_N_HONEST]; /* of the report, as are the next two */
    char meanings[SER_N_HONEST][80];
    double *seeds;
    ser_run_folder *kept; /* where the networks' states are kept, of all seeds */
    char prefix[32];      /* of those of a seed but the first */
} evaluate_job;

static void release_seed(evaluate_job *k)
{
    ser_evaluation_release(&k->e);
    ser_leaks_release(&k->leaks);
    ser_folds_free(&k->folds);
    ser_learning_close(&k->learning);
    ser_tuned_close(&k->tuned);
    ser_workbench_close(&k->w);
}

static void release(void *work)
{
    evaluate_job *k = work;
    ser_honest_release(&k->honest);
    ser_free(k->seeds);
    ser_epochs_close(&k->epochs);
    release_seed(k);
}

/* ---- one seed ---- */

static ser_status open_bench(evaluate_job *k, uint64_t seed, ser_error *err)
{
    const ser_condense condense = ser_run_condense(&k->s.network);
    const ser_workbench_settings settings = {.host = &k->job.host,
                                             .data = &k->s.data,
                                             .corpus = k->s.data.corpus,
                                             .features = k->features,
                                             .n_copies = (size_t)k->s.learning.n_copies,
                                             .seed = seed,
                                             .condition = (ser_condition)k->s.condition,
                                             .is_tested = true,
                                             .frames = k->models.networks ? &condense : NULL};
    ser_status st = ser_workbench_open(&k->w, &settings, err);
    if (st == SER_OK)
        st = ser_folds_new(&k->folds, k->w.corpus, &k->protocol, seed, err);
    if (st == SER_OK)
        st = ser_workbench_leaks(&k->leaks, &k->w, k->folds, &k->job.host.progress, err);
    return st == SER_OK ? ser_workbench_normalize(&k->w, (ser_normalize)k->s.normalize, NULL, err) : st;
}

static ser_status add_history(void *context, size_t fold, ser_learned *models, const ser_fold_result *result,
                              ser_error *err)
{
    evaluate_job *k = context;
    (void)result;
    return ser_run_material_add_history(&k->job.material, fold, models, err);
}

static ser_status save_part(void *context, const ser_text *block, ser_error *err)
{
    evaluate_job *k = context;
    const ser_fold_part part = {.folder = k->job.folder.path,
                                .fold = (size_t)k->s.fold - 1,
                                .folds = k->folds,
                                .corpus = k->w.corpus,
                                .config = k->job.config,
                                .encoder_sha256 = k->w.encoder_sha256,
                                .head_sha256 = k->learning.head_sha256};
    k->job.told = json_pack("{s:i, s:s}", "fold", k->s.fold, "protocol", k->s.protocol);
    return k->job.told ? ser_fold_part_write(&part, block, err) : ser_fail_nomem(err);
}

static ser_status block_of(void *context, size_t fold, ser_text *block, ser_error *err)
{
    const evaluate_job *k = context;
    return ser_fold_part_read(block, k->s.parts, k->s.n_parts, fold, err);
}

/* An encoder that learns takes the place of the linear model that reads a frozen one. */
static ser_status open_tuned(evaluate_job *k, uint64_t seed, ser_error *err)
{
    const ser_tuned_wish wish = {.data = &k->s.data,
                                 .features = &k->features,
                                 .how = &k->s.fine_tuning,
                                 .micro_batch = k->s.network.micro_batch,
                                 .seed = seed,
                                 .epochs = &k->epochs};
    k->models.linear = false;
    k->models.n_more = 1;
    k->models.more[0] = (ser_more_kind){&ser_kind_tuned, &k->tuned.source};
    ser_status st = ser_tuned_open(&k->tuned, k->w.corpus, &wish, &k->job.host, err);
    k->tuned.source.condition = (ser_condition)k->s.condition;
    k->tuned.source.one_fold = k->s.fold != 0;
    return st;
}

/* Trainings of a fold that leave states. */
static size_t n_trained(const evaluate_job *k)
{
    return k->s.fine_tuning.on ? (size_t)k->s.fine_tuning.n_soup : k->learning.settings.n_networks;
}

/* The first seed has a history. */
static ser_status learn(evaluate_job *k, uint64_t seed, bool first, ser_error *err)
{
    static const char *const no_states[] = {NULL};
    ser_run_learning learning = k->s.learning;
    learning.seed = (int64_t)seed;
    ser_status st = k->s.fine_tuning.on ? open_tuned(k, seed, err) : SER_OK;
    if (st == SER_OK)
        st = ser_learning_open(&k->learning, &k->w, &learning, &k->s.network, k->models, &k->s.data,
                               &k->job.host, err);
    if (st == SER_OK && k->models.linear && k->s.normalize == SER_RUN_NORMALIZE_NONE)
        st = ser_learning_start_from_head(&k->learning, &k->w, &k->job.host, err);
    ser_learn_settings *s = &k->learning.settings;
    s->speaker_disjoint = !k->leaks.n_folds || k->leaks.speakers[0] <= 0; /* none is known to be shared */
    s->corpus_disjoint = k->protocol.kind == SER_PROTOCOL_LOCO;
    s->on_epoch = ser_epochs_tell;
    s->context = &k->epochs;
    k->epochs.host = &k->job.host;
    k->epochs.n_networks = n_trained(k);
    k->epochs.folder = first ? k->job.folder.path : NULL;
    const ser_evaluate_settings settings = {.learn = *s,
                                            .seed = seed,
                                            .state = n_trained(k) ? k->kept->path : NULL,
                                            .state_prefix = k->prefix,
                                            .on_fold = first ? add_history : NULL,
                                            .context = k,
                                            .only = (size_t)k->s.fold,
                                            .on_block = save_part,
                                            .block_of = k->s.n_parts ? block_of : NULL};
    if (st == SER_OK && first)
        st = ser_run_material_init(&k->job.material, k->folds, err);
    ser_epochs_gather(&k->epochs);
    if (st == SER_OK && first && s->n_networks)
        ser_run_tell_settings(&k->job.host, k->job.config);
    if (st == SER_OK && ser_team_is_first(k->job.host.team))
        st = ser_run_folder_begin(k->kept, k->folds, k->prefix, no_states, n_trained(k), err);
    return st == SER_OK ? ser_evaluate(&k->e, &k->learning.data, k->folds, &settings, err) : st;
}

static ser_report_facts facts_of(const evaluate_job *k)
{
    ser_report_facts facts = ser_workbench_facts(&k->w, (ser_normalize)k->s.normalize);
    facts.folds = k->folds;
    facts.leaks = &k->leaks;
    facts.evaluation = &k->e;
    facts.protocol = k->s.protocol;
    facts.model_type = k->s.learning.model_type;
    facts.starts_from_head = k->learning.settings.origin != NULL;
    facts.config = k->job.config;
    return facts;
}

/* ---- several seeds ---- */

/* The figure of every other seed: nothing of them stays but that. */
static ser_status evaluate_others(evaluate_job *k, double *ua, ser_error *err)
{
    ser_status st = SER_OK;
    for (int i = 1; i < k->s.n_seeds && st == SER_OK; i++) {
        evaluate_job other = {.s = k->s,
                              .features = k->features,
                              .models = k->models,
                              .protocol = k->protocol,
                              .kept = k->kept};
        uint64_t seed = (uint64_t)k->s.learning.seed + (uint64_t)i;
        snprintf(other.prefix, sizeof other.prefix, "seed-%" PRIu64 "-", seed);
        other.job.host = k->job.host;
        other.job.host.progress.context = &other.job.host.listener;
        st = open_bench(&other, seed, err);
        if (st == SER_OK)
            st = learn(&other, seed, false, err);
        ua[i] = other.e.figures.ua;
        release(&other);
    }
    return st;
}

static void add_seeds(evaluate_job *k)
{
    ser_run_seeds *seeds = &k->job.material.report.seeds;
    double squares = 0;
    *seeds = (ser_run_seeds){.ua = k->seeds, .n = (size_t)k->s.n_seeds};
    for (size_t i = 0; i < seeds->n; i++)
        seeds->mean += seeds->ua[i] / (double)seeds->n;
    for (size_t i = 0; i < seeds->n; i++)
        squares += (seeds->ua[i] - seeds->mean) * (seeds->ua[i] - seeds->mean);
    seeds->deviation = sqrt(squares / (double)(seeds->n - 1));
}

static ser_status evaluate_seeds(evaluate_job *k, ser_error *err)
{
    k->seeds = ser_alloc((size_t)k->s.n_seeds, sizeof *k->seeds);
    ser_status st = k->seeds ? evaluate_others(k, k->seeds, err) : ser_fail_nomem(err);
    if (st == SER_OK && ser_team_is_first(k->job.host.team)) {
        k->seeds[0] = k->e.figures.ua;
        add_seeds(k);
    }
    return st;
}

/* ---- stricter and stricter ---- */

/* The states of its folds lie in the run folder, so that they are not learned twice when it is resumed. */
static ser_status begin_row(void *context, const ser_folds *folds, const char *prefix, ser_error *err)
{
    static const char *const no_states[] = {NULL};
    evaluate_job *k = context;
    return ser_team_is_first(k->job.host.team)
               ? ser_run_folder_begin(k->kept, folds, prefix, no_states, n_trained(k), err)
               : SER_OK;
}

/* *before: UA of the last row that could be done. */
static ser_status add_row(evaluate_job *k, size_t i, double *before, ser_error *err)
{
    const ser_honest_row *row = &k->honest.rows[i];
    double lost = *row->reason ? NAN : *before - row->evaluation.figures.ua;
    if (isfinite(lost))
        snprintf(k->meanings[i], sizeof k->meanings[i], "%s, %.1f points %s", row->protocol, fabs(lost),
                 lost < 0 ? "gained" : "lost");
    else
        snprintf(k->meanings[i], sizeof k->meanings[i], "%s", row->protocol);
    k->rows[i] = (ser_run_honest){.what = row->what,
                                  .protocol = row->protocol,
                                  .reason = row->reason,
                                  .figures = &row->evaluation.figures,
                                  .corpora_left_out = row->evaluation.across,
                                  .left_out = ser_run_left_out_of(&row->evaluation),
                                  .lost = lost,
                                  .meaning = k->meanings[i]};
    if (!*row->reason) {
        *before = row->evaluation.figures.ua;
        return SER_OK;
    }
    ser_text t = {0};
    ser_text_appendf(&t, "No figure with %s: %s", row->what, row->reason);
    return ser_job_note(&k->job, false, &t, err);
}

/* The first seed's, over what was taken in for the protocol. */
static ser_status evaluate_honestly(evaluate_job *k, ser_error *err)
{
    enum { N_FOLDS = 5 };
    const ser_evaluate_settings settings = {
        .learn = k->learning.settings, .seed = k->w.seed, .state = n_trained(k) ? k->kept->path : NULL};
    const ser_honest_known known = {.on_row = begin_row,
                                    .context = k,
                                    .protocol = k->protocol,
                                    .speaker_disjoint = k->learning.settings.speaker_disjoint,
                                    .corpus_disjoint = k->learning.settings.corpus_disjoint,
                                    .evaluation = &k->e};
    ser_status st = ser_honest_run(&k->honest, &k->learning.data, N_FOLDS, &settings, &known, err);
    double before = NAN;
    for (size_t i = 0; i < SER_N_HONEST && st == SER_OK; i++)
        st = add_row(k, i, &before, err);
    k->job.material.report.honest = k->rows;
    k->job.material.report.n_honest = SER_N_HONEST;
    return st;
}

/* ---- one run ---- */

/* The first copy that is in both parts, so that a person can look. */
static ser_status add_notes(evaluate_job *k, ser_error *err)
{
    ser_text t = {0};
    const char *example = "";
    for (size_t f = 0; f < k->leaks.n_folds && !*example; f++)
        example = k->leaks.examples[f];
    if (*example)
        ser_text_appendf(&t, "Training and test parts share recordings: %s", example);
    ser_status st = t.n || t.failed ? ser_job_note(&k->job, false, &t, err) : SER_OK;
    if (st == SER_OK && k->s.normalize != SER_RUN_NORMALIZE_NONE)
        st = ser_run_material_add_note(
            &k->job.material, false,
            "Features are standardised by unlabelled recordings of the test side as well", err);
    return st;
}

static ser_status make_report(evaluate_job *k, ser_error *err)
{
    const ser_report_facts facts = facts_of(k);
    ser_status st = add_notes(k, err);
    return st == SER_OK ? ser_job_report(&k->job, &facts, err) : st;
}

static ser_status evaluate_all(evaluate_job *k, ser_error *err)
{
    bool first = ser_team_is_first(k->job.host.team);
    ser_status st = learn(k, k->w.seed, true, err);
    if (k->s.fold) {
        if (st == SER_OK) {
            ser_epochs_finish(&k->epochs);
            ser_run_folder_tidy(&k->job.folder);
        }
        return st;
    }
    if (st == SER_OK && first)
        st = make_report(k, err);
    if (st == SER_OK && k->s.honest)
        st = evaluate_honestly(k, err);
    ser_workbench_thin(&k->w);
    if (st == SER_OK && k->s.n_seeds > 1)
        st = evaluate_seeds(k, err);
    if (st == SER_OK && first)
        st = ser_job_save(&k->job, err);
    if (st == SER_OK && first) {
        ser_epochs_finish(&k->epochs);
        ser_run_folder_tidy(&k->job.folder);
    }
    return st;
}

static ser_status evaluate(void *job, ser_error *err)
{
    evaluate_job *k = job;
    const ser_run_data *data = &k->s.data;
    if (k->s.fold && k->job.host.team)
        return ser_fail(err, SER_E_ARG,
                        "--fold is for one process: several ranks share all folds without it");
    if (!k->s.protocol)
        k->s.protocol = "group-kfold=5"; /* check let it pass where honest asks for more */
    ser_status st = ser_protocol_parse(&k->protocol, k->s.protocol, err);
    k->kept = &k->job.folder;
    k->protocol.folds_path = k->s.folds;
    if (st == SER_OK)
        st = ser_run_features_parse(&k->features, data, data->feature_type, err);
    if (st == SER_OK)
        st = ser_run_models_parse(&k->models, k->s.learning.model_type, err);
    if (st != SER_OK)
        return st;
    ser_run_resolve(&k->s.learning, &k->s.network, &k->features.spec, k->models);
    if (k->s.fine_tuning.on) /* it hears the recordings: copies' features would be computed for nobody */
        k->s.learning.n_copies = 0;
    st = ser_job_set_config(&k->job, &k->s, err);
    if (st == SER_OK)
        st = open_bench(k, (uint64_t)k->s.learning.seed, err);
    const ser_run_naming naming = {.corpus = k->w.corpus ? k->w.corpus->name : NULL, .spec = &k->w.spec};
    if (st == SER_OK)
        st = ser_job_open_folder(&k->job, &k->s.place, &naming, err);
    return st == SER_OK && !k->job.was_complete ? evaluate_all(k, err) : st;
}

ser_status ser_run_evaluate(ser_run_result **out, const ser_run_evaluate_settings *s,
                            const ser_run_listener *listener, ser_error *err)
{
    static const ser_job_way way = {&ser_job_evaluate, sizeof(evaluate_job), offsetof(evaluate_job, s),
                                    evaluate, release};
    return ser_job_do(out, &way, s, listener, err);
}
