#include "cli/workbench.h"
#include "base/memory.h"
#include "base/threads.h"
#include "cli/progress.h"
#include "io/file.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BEST_COPIES = 2, MAX_COPIES = 100 };

static ser_status read_copies(size_t *n, const ser_workbench_options *o, ser_error *err)
{
    *n = strcmp(o->preset, "best") == 0 ? BEST_COPIES : 0;
    if (!o->augment)
        return SER_OK;
    char *end;
    long copies = strcmp(o->augment, "none") == 0 ? 0 : strtol(o->augment, &end, 10);
    if (strcmp(o->augment, "none") != 0 && (end == o->augment || *end || copies < 0 || copies > MAX_COPIES))
        return ser_fail(err, SER_E_ARG, "--augment %s: give none or a number up to %d", o->augment,
                        MAX_COPIES);
    *n = (size_t)copies;
    return SER_OK;
}

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

static void choose_all_layers(ser_feature_part *part, const ser_encoder *encoder)
{
    ser_encoder_info info;
    ser_encoder_get_info(encoder, &info);
    for (int layer = 0; layer <= info.n_layers && layer < SER_ENCODER_MAX_LAYERS; layer++)
        part->layers[part->n_layers++] = layer;
}

/* Of the encoders whose layers nobody named. */
static void choose_free_layers(ser_feature_spec *spec, const ser_encoders *encoders, bool all)
{
    size_t n = 0;
    for (size_t p = 0; p < spec->n_parts; p++) {
        ser_feature_part *part = &spec->parts[p];
        if (!ser_feature_kind_is_encoder(part->kind))
            continue;
        if (!part->n_layers)
            (all ? choose_all_layers : choose_layers)(part, encoders->items[n]);
        n++;
    }
}

size_t ser_workbench_sets(uint64_t sets[SER_MAX_SETS], const ser_extractor *e, const char *layers)
{
    size_t n_blocks = ser_extractor_n_blocks(e);
    /* Of an encoder beside others one layer must stay. */
    const ser_feature_part *first = &ser_extractor_spec(e)->parts[0];
    bool may_drop_first = !ser_feature_kind_is_encoder(first->kind) || first->n_layers > 1;
    sets[0] = ser_all_blocks(n_blocks);
    sets[1] = sets[0] & ~UINT64_C(1);
    return strcmp(layers, "auto") == 0 && n_blocks > 2 && may_drop_first ? 2 : 1;
}

/* What the inner cross-validation tries: sets of layers, and how much deviations count. One penalty, because
 * several, chosen inside, did no better (c 0: that one). */
static size_t list_candidates(ser_candidate *out, const ser_extractor *e, const char *layers, bool active,
                              double c)
{
    static const double spread_weights[] = {0.5, 1}, usual_c = 300;
    uint64_t sets[SER_MAX_SETS];
    size_t n_sets = ser_workbench_sets(sets, e, layers), n = 0;
    for (size_t s = 0; s < n_sets; s++)
        for (size_t i = 0; i < sizeof spread_weights / sizeof *spread_weights; i++)
            out[n++] = (ser_candidate){.blocks = sets[s],
                                       .weighted = strcmp(layers, "weighted") == 0,
                                       .active = active,
                                       .spread_weight = spread_weights[i],
                                       .c = c > 0 ? c : usual_c};
    return n;
}

/* Before any recording is read. */
static ser_status check_encoder(const ser_workbench *w, const ser_workbench_options *o, ser_error *err)
{
    if (!o->encoder_sha256 || !*o->encoder_sha256 || strcmp(o->encoder_sha256, w->encoder_sha256) == 0)
        return SER_OK;
    return ser_fail(err, SER_E_FORMAT,
                    "the model was trained with another encoder (sha256 %.16s...): name it with --encoder",
                    o->encoder_sha256);
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

static ser_status open_features(ser_workbench *w, const ser_workbench_options *o, ser_error *err)
{
    bool weighted = strcmp(o->layers, "weighted") == 0, named = !weighted && strcmp(o->layers, "auto") != 0;
    ser_status st = ser_feature_spec_parse(&w->spec, o->feature_type, err);
    w->spec.hop_samples = (int)o->hop_length;
    w->spec.pad_s = (int)o->pad;
    if (st == SER_OK && named)
        st = ser_feature_spec_set_layers(&w->spec, o->layers, err);
    if (st == SER_OK)
        st = ser_open_encoders(&w->encoders, &o->engine, &w->spec, err);
    w->precision = "fp32";
    if (st == SER_OK && w->encoders.n) {
        w->precision = ser_precision_name(ser_encoder_precision(w->encoders.items[0]));
        st = ser_encoders_sha256(&w->encoders, w->encoder_sha256, err);
        choose_free_layers(&w->spec, &w->encoders, weighted);
    }
    if (st == SER_OK)
        st = check_encoder(w, o, err);
    if (st == SER_OK)
        st = ser_extractor_new_joined(&w->extractor, &w->spec, (const ser_encoder *const *)w->encoders.items,
                                      w->encoders.n, err);
    if (st != SER_OK)
        return st;
    w->n_candidates =
        list_candidates(w->candidates, w->extractor, o->layers, strcmp(o->pooling, "both") == 0, o->c);
    w->n_baseline_candidates = list_candidates(w->baseline_candidates, w->extractor, o->layers, true, 0);
    return check_blocks(w->extractor, weighted, err);
}

/* A tree that does not fit is worth a line where the user can do something about it. */
static ser_status open_tree(ser_workbench *w, const ser_workbench_options *o, ser_error *reason,
                            ser_error *err)
{
    char *name = NULL;
    const ser_tree_recipe recipe = {.spec = &w->spec,
                                    .encoder_sha256 = w->encoder_sha256,
                                    .precision = w->precision,
                                    .engine = o->engine.engine,
                                    .pool_encoder = o->pool_encoder};
    ser_status st = ser_corpus_name(&name, o->data, err);
    if (st == SER_OK)
        st = ser_tree_open(&w->tree, reason, o->features_dir, name, w->extractor, &recipe, err);
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

static ser_status open_data(ser_workbench *w, const ser_workbench_options *o, ser_error *err)
{
    ser_error missing = {0}, reason = {0};
    ser_status corpus_status = o->is_target
                                   ? ser_corpus_open_target(&w->corpus, o->data, o->data_dir, &missing)
                                   : ser_corpus_open(&w->corpus, o->data, o->data_dir, &missing),
               st;
    if (corpus_status != SER_OK && corpus_status != SER_E_IO) {
        *err = missing;
        return corpus_status;
    }
    for (size_t i = 0; w->corpus && i < w->corpus->n_warnings; i++)
        ser_say("%s", w->corpus->warnings[i]);
    st = open_features(w, o, err);
    if (st == SER_OK)
        st = open_tree(w, o, &reason, err);
    if (st != SER_OK && !w->corpus && access(o->features_dir, F_OK) != 0) {
        *err = missing; /* what is wrong first */
        return corpus_status;
    }
    if (st != SER_OK)
        return st;
    if (!w->corpus)
        return open_corpus_of_tree(w, &missing, &reason, err);
    if (!w->tree && reason.status != SER_E_IO)
        ser_say("%s: its features are not used", reason.text);
    return SER_OK;
}

static ser_intake_settings intake_settings(const ser_workbench *w, const ser_workbench_options *o,
                                           ser_condition condition, const ser_progress *progress)
{
    return (ser_intake_settings){.extractor = w->extractor,
                                 .features_key = w->features_key,
                                 .n_copies = w->n_copies,
                                 .condition = condition,
                                 .seed = (uint64_t)o->seed,
                                 .n_threads = w->n_threads,
                                 .folder = w->cache_folder,
                                 .tree = w->tree,
                                 .without_audio = w->without_audio,
                                 .pool_encoder = o->pool_encoder,
                                 .progress = progress ? *progress : (ser_progress){0}};
}

static ser_status open_rows(ser_workbench *w, const ser_workbench_options *o, ser_condition condition,
                            const ser_condense *frames, const ser_progress *progress, ser_error *err)
{
    ser_text key = {0};
    ser_text_appendf(&key, "encoder %s precision %s engine %s", w->encoder_sha256, w->precision,
                     o->engine.engine);
    w->features_key = key.s;
    w->cache_folder = ser_io_cache_folder("features");
    if (key.failed)
        return ser_fail_nomem(err);
    const ser_intake_settings settings = intake_settings(w, o, condition, progress);
    return ser_intake(&w->store, &w->frames, w->corpus, &settings, frames, err);
}

ser_status ser_choose_target(const char **out, const char *named, const char *source, ser_error *err)
{
    *out = named ? named : ser_known_counterpart(source);
    return *out ? SER_OK
                : ser_fail(err, SER_E_ARG, "%s has no usual counterpart: name the other corpus with --target",
                           source);
}

ser_status ser_workbench_open(ser_workbench *w, const ser_workbench_options *o, ser_condition condition,
                              const ser_condense *frames, const ser_progress *progress, ser_error *err)
{
    *w = (ser_workbench){.n_threads = o->jobs ? (int)o->jobs : ser_n_cores()};
    ser_status st = read_copies(&w->n_copies, o, err);
    if (st == SER_OK)
        st = open_data(w, o, err);
    if (st == SER_OK)
        st = open_rows(w, o, condition, frames, progress, err);
    if (st != SER_OK)
        ser_workbench_close(w);
    return st;
}

ser_status ser_workbench_normalize(ser_workbench *w, ser_normalize how, float *spread, ser_error *err)
{
    return ser_normalize_apply(w->store, w->frames, w->corpus, how, w->n_threads, spread, err);
}

ser_report_facts ser_workbench_facts(const ser_workbench *w, const ser_workbench_options *o)
{
    return (ser_report_facts){.corpus = w->corpus,
                              .store = w->store,
                              .spec = &w->spec,
                              .normalize = o->normalize,
                              .precision = w->precision,
                              .encoder_sha256 = w->encoder_sha256,
                              .seed = (uint64_t)o->seed,
                              .jobs = w->n_threads};
}

ser_status ser_workbench_leaks(ser_leaks *leaks, const ser_workbench *w, const ser_folds *folds,
                               ser_error *err)
{
    ser_fingerprint **fingerprints = ser_alloc(w->store->n, sizeof(ser_fingerprint *));
    if (!fingerprints)
        return ser_fail_nomem(err);
    for (size_t u = 0; u < w->store->n; u++)
        fingerprints[u] = w->store->recordings[u].fingerprint;
    ser_status st = ser_leaks_find(leaks, w->corpus, folds, fingerprints, err);
    ser_free(fingerprints);
    return st;
}

void ser_workbench_close(ser_workbench *w)
{
    ser_frame_set_free(&w->frames);
    ser_store_free(&w->store);
    ser_tree_close(&w->tree);
    ser_extractor_free(&w->extractor);
    ser_encoders_close(&w->encoders);
    ser_free(w->features_key);
    ser_free(w->cache_folder);
    ser_corpus_free(&w->corpus);
    *w = (ser_workbench){0};
}
