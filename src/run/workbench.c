#include "run/workbench.h"
#include "base/memory.h"
#include "base/threads.h"
#include "corpus/known.h"
#include "io/file.h"
#include "run/journal.h"

#include <string.h>
#include <unistd.h>

/* Emotion lies in the middle of an encoder (docs/results): four hidden states up to two thirds of its depth;
 * for Whisper base 1, 2, 3, 4. */
static void choose_layers(ser_feature_part *part, const ser_encoder *encoder)
{
    ser_encoder_info info;
    ser_encoder_get_info(encoder, &info);
    for (int i = 1; i <= 4; i++) {
        int layer = (i * info.n_layers + 3) / 6;
        if (layer > (part->n_layers ? part->layers[part->n_layers - 1] : 0))
            part->layers[part->n_layers++] = layer;
    }
}

/* Of the encoders whose layers nobody named. */
static void choose_free_layers(ser_feature_spec *spec, const ser_encoders *encoders)
{
    size_t n = 0;
    for (size_t p = 0; p < spec->n_parts; p++) {
        ser_feature_part *part = &spec->parts[p];
        if (!ser_feature_kind_is_encoder(part->kind))
            continue;
        if (!part->n_layers)
            choose_layers(part, encoders->items[n]);
        n++;
    }
}

size_t ser_workbench_sets(uint64_t sets[SER_MAX_SETS], const ser_workbench *w)
{
    size_t n_blocks = ser_extractor_n_blocks(w->extractor);
    /* Of an encoder beside others one layer must stay. */
    const ser_feature_part *first = &ser_extractor_spec(w->extractor)->parts[0];
    bool may_drop_first = !ser_feature_kind_is_encoder(first->kind) || first->n_layers > 1;
    sets[0] = ser_all_blocks(n_blocks);
    sets[1] = sets[0] & ~UINT64_C(1);
    return w->layers == SER_LAYERS_AUTO && n_blocks > 2 && may_drop_first ? 2 : 1;
}

/* Before any recording is read. */
static ser_status check_encoder(const ser_workbench *w, const char *wanted, ser_error *err)
{
    if (!wanted || !*wanted || strcmp(wanted, w->encoder_sha256) == 0)
        return SER_OK;
    return ser_fail(err, SER_E_FORMAT,
                    "the model was trained with another encoder (sha256 %.16s...): name it with --encoder",
                    wanted);
}

static ser_status check_blocks(const ser_extractor *e, bool weighted, ser_error *err)
{
    size_t n = ser_extractor_n_blocks(e);
    if (weighted && !ser_feature_spec_encoder(ser_extractor_spec(e)))
        return ser_fail(err, SER_E_ARG,
                        "--layers weighted: without an encoder there are no layers to weight");
    return n <= SER_MAX_BLOCKS
               ? SER_OK
               : ser_fail(err, SER_E_ARG,
                          "%zu layers in all, up to %d are possible: name fewer with --layers", n,
                          SER_MAX_BLOCKS);
}

/* Its sha256, too. */
static ser_status open_encoders(ser_workbench *w, const ser_workbench_settings *s, ser_error *err)
{
    const ser_run_data *data = s->data;
    if (!s->carrier) {
        ser_status st = ser_encoders_open(&w->encoders, &w->spec, data->encoders, data->n_encoders,
                                          data->engine, data->precision, err);
        for (size_t i = 0; i < w->encoders.n && st == SER_OK; i++)
            st = ser_heard_read(&w->heard, w->encoders.folders[i], err);
        return st == SER_OK ? ser_encoders_sha256(&w->encoders, w->encoder_sha256, err) : st;
    }
    ser_safetensors *file = NULL;
    ser_status st = ser_safetensors_open(&file, s->carrier_path, err);
    if (st == SER_OK)
        st = ser_model_encoders_open(&w->encoders, s->carrier, file, data->engine, data->precision, err);
    ser_safetensors_close(&file);
    snprintf(w->encoder_sha256, sizeof w->encoder_sha256, "%s", s->encoder_sha256);
    return st == SER_OK ? st : ser_fail_within(err, st, "%s: ", s->carrier_path);
}

static ser_status open_features(ser_workbench *w, const ser_workbench_settings *s, ser_error *err)
{
    bool weighted = w->layers == SER_LAYERS_WEIGHTED;
    ser_status st = open_encoders(w, s, err);
    w->precision = SER_PRECISION_FP32;
    if (st == SER_OK && w->encoders.n) {
        w->precision = ser_encoder_precision(w->encoders.items[0]);
        if (weighted)
            ser_encoders_choose_layers(&w->encoders, &w->spec, true);
        else
            choose_free_layers(&w->spec, &w->encoders);
    }
    if (st == SER_OK)
        st = check_encoder(w, s->encoder_sha256, err);
    if (st == SER_OK)
        st = ser_extractor_new_joined(&w->extractor, &w->spec, (const ser_encoder *const *)w->encoders.items,
                                      w->encoders.n, err);
    return st == SER_OK ? check_blocks(w->extractor, weighted, err) : st;
}

/* A tree that does not fit is worth a line where the user can do something about it. */
static ser_status open_tree(ser_workbench *w, const ser_workbench_settings *s, ser_error *reason,
                            ser_error *err)
{
    char *name = NULL;
    const ser_tree_recipe recipe = {.spec = &w->spec,
                                    .encoder_sha256 = w->encoder_sha256,
                                    .precision = ser_precision_name(w->precision),
                                    .engine = ser_engine_name(w->engine),
                                    .pool_encoder = w->pool_encoder};
    ser_status st = ser_corpus_name(&name, s->corpus, err);
    if (st == SER_OK)
        st = ser_tree_open(&w->tree, reason, s->data->features_dir, name, w->extractor, &recipe, err);
    ser_free(name);
    return st;
}

/* Without recordings, their features do. missing: why the corpus could not be opened. */
static ser_status open_corpus_of_tree(ser_workbench *w, const ser_error *missing, const ser_error *reason,
                                      ser_error *err)
{
    if (!w->tree) {
        *err = *missing;
        return reason->status == SER_E_IO ? err->status
                                          : ser_fail_within(err, err->status, "%s; ", reason->text);
    }
    w->without_audio = true;
    ser_status st = ser_tree_index_corpus(&w->corpus, &w->tree->index, err);
    return st == SER_OK ? st : ser_fail_within(err, st, "%s/index.json: ", w->tree->folder);
}

static ser_status open_data(ser_workbench *w, const ser_workbench_settings *s, ser_error *err)
{
    ser_error missing = {0}, reason = {0};
    ser_status corpus_status = (s->is_target ? ser_corpus_open_target : ser_corpus_open)(
                   &w->corpus, s->corpus, s->data->data_dir, &missing),
               st;
    if (corpus_status != SER_OK && corpus_status != SER_E_IO) {
        *err = missing;
        return corpus_status;
    }
    for (size_t i = 0; w->corpus && i < w->corpus->n_warnings; i++)
        ser_run_tell(s->host, SER_RUN_WARNING, "%s", w->corpus->warnings[i]);
    st = open_features(w, s, err);
    if (st == SER_OK)
        st = open_tree(w, s, &reason, err);
    if (st != SER_OK && !w->corpus && access(s->data->features_dir, F_OK) != 0) {
        *err = missing; /* what is wrong first */
        return corpus_status;
    }
    if (st != SER_OK)
        return st;
    if (!w->corpus)
        return open_corpus_of_tree(w, &missing, &reason, err);
    if (!w->tree && reason.status != SER_E_IO)
        ser_run_tell(s->host, SER_RUN_WARNING, "%s: its features are not used", reason.text);
    return SER_OK;
}

/* In the cache, where features are kept as well: of this corpus. */
static ser_status open_journal(ser_journal **out, const ser_workbench *w, const ser_run_host *host,
                               ser_error *err)
{
    char hex[65];
    ser_text output = {0};
    *out = NULL;
    if (!w->cache_folder || w->without_audio)
        return SER_OK;
    ser_corpus_hash(hex, w->corpus);
    ser_text_appendf(&output, "%s/recordings-%.16s", w->cache_folder, hex);
    const ser_journal_settings settings = {.output = output.s,
                                           .identity = "intake",
                                           .team = host->team,
                                           .optional = true,
                                           .tell = ser_run_warn,
                                           .context = (void *)host};
    ser_status st = output.failed                      ? ser_fail_nomem(err)
                    : ser_journal_is_wanted(&settings) ? ser_journal_open(out, &settings, err)
                                                       : SER_OK;
    ser_text_release(&output);
    return st;
}

/* Recordings that are cut short and the like are learned from as they are. */
static void tell_of_recordings(const ser_workbench *w, const ser_run_host *host)
{
    size_t n = 0, first = 0;
    for (size_t u = 0; u < w->store->n; u++)
        if (w->store->recordings[u].warning && !n++)
            first = u;
    if (n)
        ser_run_tell(host, SER_RUN_WARNING, "recordings to look at: %zu, the first is %s: %s", n,
                     w->corpus->utterances[first].path, w->store->recordings[first].warning);
}

static ser_status open_rows(ser_workbench *w, const ser_workbench_settings *s, ser_error *err)
{
    ser_text key = {0};
    ser_journal *journal = NULL;
    ser_text_appendf(&key, "encoder %s precision %s engine %s", w->encoder_sha256,
                     ser_precision_name(w->precision), ser_engine_name(w->engine));
    w->features_key = key.s;
    w->cache_folder = ser_io_cache_folder("features");
    ser_status st = key.failed ? ser_fail_nomem(err) : open_journal(&journal, w, s->host, err);
    if (st != SER_OK)
        return st;
    const ser_intake_settings settings = {.extractor = w->extractor,
                                          .features_key = w->features_key,
                                          .n_copies = w->n_copies,
                                          .condition = s->condition,
                                          .seed = w->seed,
                                          .n_threads = w->n_threads,
                                          .folder = w->cache_folder,
                                          .tree = w->tree,
                                          .without_audio = w->without_audio,
                                          .pool_encoder = w->pool_encoder,
                                          .progress = s->host->progress,
                                          .team = s->host->team,
                                          .watch = ser_journal_watch(journal)};
    st = ser_intake(&w->store, &w->frames, w->corpus, &settings, s->frames, err);
    ser_journal_close(&journal, st == SER_OK);
    if (st == SER_OK)
        tell_of_recordings(w, s->host);
    return st;
}

/* What an encoder learned with the label of a recording, any head on top of it knows. */
static ser_status check_unheard(const ser_workbench *w, ser_error *err)
{
    const ser_recording *recordings = w->store->recordings;
    ser_status st = SER_OK;
    for (size_t i = 0; w->heard.n && i < w->encoders.n && st == SER_OK; i++) {
        ser_heard own = {0};
        st = ser_heard_read(&own, w->encoders.folders[i], err);
        if (st == SER_OK)
            st = ser_heard_check(&own, w->encoders.folders[i], w->corpus->name, recordings->sha256,
                                 sizeof *recordings, w->store->n, err);
        ser_heard_release(&own);
    }
    return st;
}

static void count_heard(ser_workbench *w)
{
    for (size_t u = 0; u < w->store->n; u++)
        w->n_heard += ser_heard_has(&w->heard, w->store->recordings[u].sha256);
}

void ser_workbench_append_heard(ser_text *t, const ser_workbench *w)
{
    ser_text_appendf(t,
                     "The encoder has learned from %zu of the %zu recordings of %s: what is chosen by them "
                     "and the confidence that is calibrated on them look better than they are",
                     w->n_heard, w->store->n, w->corpus->name);
}

ser_status ser_choose_target(const char **out, const char *named, const char *source, ser_error *err)
{
    *out = named ? named : ser_known_counterpart(source);
    return *out ? SER_OK
                : ser_fail(err, SER_E_ARG, "%s has no usual counterpart: name the other corpus with --target",
                           source);
}

ser_status ser_workbench_open(ser_workbench *w, const ser_workbench_settings *s, ser_error *err)
{
    ser_error unheard; /* texts of errors are looked at here */
    err = err ? err : &unheard;
    *w = (ser_workbench){.spec = s->features.spec,
                         .layers = s->features.layers,
                         .engine = s->data->engine,
                         .n_copies = s->n_copies,
                         .seed = s->seed,
                         .pool_encoder = s->features.spec.pool_encoder,
                         .n_threads = s->data->n_threads ? s->data->n_threads : ser_n_cores()};
    ser_status st = open_data(w, s, err);
    if (st == SER_OK)
        st = ser_run_compare(s->host, w->corpus, w->encoder_sha256, err);
    if (st == SER_OK)
        st = open_rows(w, s, err);
    if (st == SER_OK && s->is_tested)
        st = check_unheard(w, err);
    if (st == SER_OK)
        count_heard(w);
    if (st != SER_OK)
        ser_workbench_close(w);
    return st;
}

ser_status ser_workbench_normalize(ser_workbench *w, ser_normalize how, float *spread, ser_error *err)
{
    return ser_normalize_apply(w->store, w->frames, w->corpus, how, w->n_threads, spread, err);
}

ser_report_facts ser_workbench_facts(const ser_workbench *w, ser_normalize how)
{
    return (ser_report_facts){.corpus = w->corpus,
                              .store = w->store,
                              .spec = &w->spec,
                              .normalize = ser_normalize_name(how),
                              .precision = ser_precision_name(w->precision),
                              .encoder_sha256 = w->encoder_sha256,
                              .encoder_learned_from = w->heard.corpora.s,
                              .seed = w->seed,
                              .jobs = w->n_threads};
}

ser_status ser_workbench_leaks(ser_leaks *leaks, const ser_workbench *w, const ser_folds *folds,
                               const ser_progress *progress, ser_error *err)
{
    ser_fingerprint **fingerprints = ser_alloc(w->store->n, sizeof(ser_fingerprint *));
    if (!fingerprints)
        return ser_fail_nomem(err);
    for (size_t u = 0; u < w->store->n; u++)
        fingerprints[u] = w->store->recordings[u].fingerprint;
    ser_status st = ser_leaks_find(leaks, w->corpus, folds, fingerprints, w->n_threads, progress, err);
    ser_free(fingerprints);
    return st;
}

void ser_workbench_thin(ser_workbench *w)
{
    ser_frame_set_free(&w->frames);
    ser_store_free(&w->store);
    ser_tree_close(&w->tree);
    ser_extractor_free(&w->extractor);
    ser_encoders_close(&w->encoders);
}

void ser_workbench_close(ser_workbench *w)
{
    ser_workbench_thin(w);
    ser_heard_release(&w->heard);
    ser_free(w->features_key);
    ser_free(w->cache_folder);
    ser_corpus_free(&w->corpus);
    *w = (ser_workbench){0};
}
