/* Features as files: trees of whole corpora, or those of one recording. */
#include "audio/audio.h"
#include "base/memory.h"
#include "corpus/known.h"
#include "data/buffer.h"
#include "data/fill.h"
#include "extract/encoders.h"
#include "io/file.h"
#include "io/json.h"
#include "io/npy.h"
#include "model/hearing.h"
#include "report/escape.h"
#include "run/job.h"
#include "run/journal.h"
#include "run/part_folder.h"

#include <string.h>

typedef struct extract_job {
    ser_job job;
    ser_run_extract_settings s;
    ser_feature_spec spec;
    ser_encoders encoders;
    char encoder_sha256[SER_ENCODERS_SHA256];
    ser_part part; /* of a shard */
    ser_part_folder part_folder;
} extract_job;

static void release(void *work)
{
    extract_job *k = work;
    ser_encoders_close(&k->encoders);
    ser_part_close(&k->part);
    ser_part_folder_close(&k->part_folder);
}

/* ---- what both ways need ---- */

static ser_status open_encoders(extract_job *k, ser_error *err)
{
    const ser_run_data *data = &k->s.data;
    ser_run_features features;
    ser_status st = ser_run_features_parse(&features, data, data->feature_type, err);
    k->spec = features.spec;
    if (st == SER_OK)
        st = ser_encoders_open(&k->encoders, &k->spec, data->encoders, data->n_encoders, data->engine,
                               data->precision, err);
    if (st == SER_OK)
        ser_encoders_choose_layers(&k->encoders, &k->spec, false);
    return st;
}

/* ---- one recording ---- */

typedef struct listening {
    const ser_run_host *host;
    ser_frame_buffer all;
} listening;

static ser_status keep(void *context, const ser_frames *frames, ser_error *err)
{
    listening *l = context;
    if (!ser_progress_report(&l->host->progress, "features", l->all.n, 0))
        return ser_fail(err, SER_E_CANCELLED, "interrupted: nothing was written");
    return ser_frame_buffer_add(&l->all, frames, err);
}

static ser_status extract_recording(extract_job *k, ser_error *err)
{
    const char *path = k->s.recording, *output = k->s.output;
    ser_extractor *e = NULL;
    ser_extractor_work *work = NULL;
    ser_audio *audio = NULL;
    listening l = {.host = &k->job.host};
    ser_status st = ser_extractor_new_joined(&e, &k->spec, (const ser_encoder *const *)k->encoders.items,
                                             k->encoders.n, err);
    if (st == SER_OK)
        st = ser_extractor_work_new(&work, e, k->s.data.n_threads, err);
    if (st == SER_OK && (st = ser_audio_open(&audio, path, err)) != SER_OK)
        ser_fail_within(err, st, "%s: ", path);
    if (st == SER_OK) {
        ser_pcm_source source = ser_pcm_from_audio(audio);
        l.all.dims = ser_extractor_dims(e);
        st = ser_extract(e, work, &source, keep, &l, err);
    }
    if (st == SER_OK && *ser_audio_warning(audio))
        ser_run_tell(&k->job.host, SER_RUN_WARNING, "%s: %s", path, ser_audio_warning(audio));
    if (st == SER_OK && k->spec.pool_encoder)
        ser_extractor_pool_encoder(e, l.all.x, l.all.n);
    if (st == SER_OK &&
        (st = ser_npy_write(output, l.all.x, 2, (size_t[]){l.all.n, l.all.dims}, err)) != SER_OK)
        ser_fail_within(err, st, "%s: ", output);
    if (st == SER_OK)
        ser_json_set(&k->job.told, "shape", json_pack("[I, I]", (json_int_t)l.all.n, (json_int_t)l.all.dims));
    ser_frame_buffer_release(&l.all);
    ser_audio_close(&audio);
    ser_extractor_work_free(&work);
    ser_extractor_free(&e);
    return st;
}

/* ---- corpora ---- */

/* The trees of one corpus: those of FUSION's parts, and the one of all. */
typedef struct trees {
    ser_feature_spec specs[SER_MAX_PARTS + 1];
    ser_tree_recipe recipes[SER_MAX_PARTS + 1];
    ser_extractor *extractors[SER_MAX_PARTS + 1];
    ser_tree_content contents[SER_MAX_PARTS + 1];
    size_t n;
} trees;

/* The next tree, of the job's specification, or of one part of it. */
static ser_status add_tree(trees *all, const extract_job *k, const ser_feature_part *part, bool joined,
                           ser_error *err)
{
    size_t i = all->n++;
    ser_feature_spec *spec = &all->specs[i];
    *spec = k->spec;
    if (part) {
        spec->parts[0] = *part;
        spec->n_parts = 1;
        spec->pool_encoder = false;
    }
    /* FUSION's parts have its one encoder or none. */
    size_t n_encoders = ser_feature_spec_n_encoders(spec);
    all->recipes[i] =
        (ser_tree_recipe){.spec = spec,
                          .encoder_sha256 = n_encoders ? k->encoder_sha256 : "",
                          .precision = ser_precision_name(
                              n_encoders ? ser_encoder_precision(k->encoders.items[0]) : SER_PRECISION_FP32),
                          .engine = ser_engine_name(k->s.data.engine),
                          .pool_encoder = spec->pool_encoder};
    ser_status st = ser_extractor_new_joined(&all->extractors[i], spec,
                                             (const ser_encoder *const *)k->encoders.items, n_encoders, err);
    all->contents[i] = (ser_tree_content){all->extractors[i], &all->recipes[i], joined};
    return st;
}

/* FUSION's parts have trees of their own, and it is joined from them. Padded, an encoder has other frames
 * alone than beside log-mel, so that all are computed. */
static ser_status list_trees(trees *all, const extract_job *k, ser_error *err)
{
    ser_text type = {0};
    ser_status st = SER_OK;
    ser_feature_spec_type(&k->spec, &type);
    bool fusion = type.s && strcmp(type.s, "LOGMEL+HUBERT") == 0;
    if (type.failed)
        st = ser_fail_nomem(err);
    for (size_t p = 0; fusion && p < k->spec.n_parts && st == SER_OK; p++)
        st = add_tree(all, k, &k->spec.parts[p], false, err);
    ser_text_release(&type);
    return st == SER_OK ? add_tree(all, k, NULL, fusion && !k->s.data.pad_s, err) : st;
}

/* What failed in the tree before it is not told again, nor of each stretch what is of its whole file. */
static void tell_notes(const extract_job *k, const ser_tree_filled *filled, const ser_tree_filled *before)
{
    const char *told = "";
    for (size_t u = 0; u < filled->n && filled->failures && filled->warnings; u++) {
        const char *warning = filled->warnings[u] ? filled->warnings[u] : told;
        if (strcmp(warning, told) != 0)
            ser_run_tell(&k->job.host, SER_RUN_WARNING, "%s", warning);
        told = warning;
        if (filled->failures[u] && !(before && before->failures[u]))
            ser_run_tell(&k->job.host, SER_RUN_WARNING, "%s", filled->failures[u]);
    }
}

/* A shard's trees are told by the name that they will have. */
static ser_status report_tree(extract_job *k, const ser_tree_filled *f, ser_error *err)
{
    const ser_part_folder *p = &k->part_folder;
    char *folder = p->work ? ser_io_join(p->folder, f->folder + strlen(p->work) + 1) : ser_strdup(f->folder);
    if (!folder)
        return ser_fail_nomem(err);
    ser_run_tell(&k->job.host, SER_RUN_DONE, "%s: %zu recordings of %zu dims%s", folder, f->n - f->n_failed,
                 f->dims, f->n_failed ? ", unfinished" : "");
    json_t *tree = json_pack("{s:o, s:I, s:I, s:I, s:I}", "folder", ser_text_json(folder), "n",
                             (json_int_t)f->n, "dims", (json_int_t)f->dims, "computed",
                             (json_int_t)f->n_computed, "failed", (json_int_t)f->n_failed);
    ser_free(folder);
    return json_array_append_new(json_object_get(k->job.told, "trees"), tree) == 0 ? SER_OK
                                                                                   : ser_fail_nomem(err);
}

/* What became of a shard's recordings: of the tree of all parts, which fails where any of them does. */
static ser_status note_recordings(extract_job *k, const ser_corpus *corpus, const size_t *positions,
                                  const ser_tree_filled *filled, ser_error *err)
{
    ser_status st = SER_OK;
    for (size_t u = 0; u < corpus->n_utterances && st == SER_OK; u++) {
        const ser_utterance *utterance = &corpus->utterances[u];
        json_t *more = json_pack("{s:o, s:o}", "corpus", ser_text_json(corpus->name), "utterance",
                                 ser_text_json(utterance->name));
        st = more ? ser_part_note(&k->part, positions[u], utterance->file, filled->failures[u], more, err)
                  : ser_fail_nomem(err);
    }
    return st;
}

/* Beside the tree of all parts. What it says of recordings is true of whatever is made of them. */
static ser_status open_journal(ser_journal **out, extract_job *k, const trees *all, const ser_corpus *corpus,
                               ser_error *err)
{
    char *folder = ser_tree_folder(k->s.data.features_dir, all->recipes[all->n - 1].spec, corpus->name);
    const ser_journal_settings settings = {.output = folder,
                                           .identity = "extract",
                                           .team = k->job.host.team,
                                           .tell = ser_run_warn,
                                           .context = &k->job.host};
    ser_status st = !folder                            ? ser_fail_nomem(err)
                    : ser_journal_is_wanted(&settings) ? ser_journal_open(out, &settings, err)
                                                       : SER_OK;
    ser_free(folder);
    return st;
}

/* positions (n_utterances): where each stands among all recordings; NULL: this is no shard. */
static ser_status fill_trees(extract_job *k, const trees *all, const ser_corpus *corpus,
                             const size_t *positions, ser_error *err)
{
    ser_tree_filled filled[SER_MAX_PARTS + 1] = {0};
    ser_journal *journal = NULL;
    ser_status st = open_journal(&journal, k, all, corpus, err);
    const ser_tree_fill_settings settings = {.features_dir = k->s.data.features_dir,
                                             .overwrite = k->s.overwrite,
                                             .n_threads = k->s.data.n_threads,
                                             .progress = k->job.host.progress,
                                             .team = k->job.host.team,
                                             .watch = ser_journal_watch(journal)};
    if (st == SER_OK)
        st = ser_trees_fill(filled, all->contents, all->n, corpus, &settings, err);
    for (size_t i = 0; i < all->n; i++) {
        tell_notes(k, &filled[i], i ? &filled[i - 1] : NULL);
        if (st == SER_OK && ser_team_is_first(k->job.host.team))
            st = report_tree(k, &filled[i], err);
        k->job.n_failed += filled[i].n_failed;
    }
    if (st == SER_OK && positions)
        st = note_recordings(k, corpus, positions, &filled[all->n - 1], err);
    for (size_t i = 0; i < all->n; i++)
        ser_tree_filled_release(&filled[i]);
    ser_journal_close(&journal, st == SER_OK);
    return st;
}

/* All shards have the same list, also those without a recording of the corpus. */
static ser_status note_trees(extract_job *k, const trees *all, const ser_corpus *corpus, ser_error *err)
{
    json_t *list = json_object_get(k->part.root, "trees");
    bool ok = true;
    for (size_t i = 0; i < all->n && ok; i++) {
        char *folder = ser_tree_folder("", all->recipes[i].spec, corpus->name);
        ok =
            folder && json_array_append_new(list, json_pack("{s:o, s:o}", "folder", ser_text_json(folder + 1),
                                                            "corpus", ser_text_json(corpus->name))) == 0;
        ser_free(folder);
    }
    return ok ? SER_OK : ser_fail_nomem(err);
}

/* The corpus as this shard has it: its strings stay the corpus's own. */
static ser_status fill_share(extract_job *k, const trees *all, const ser_corpus *corpus, ser_error *err)
{
    ser_corpus mine = *corpus;
    size_t *positions = ser_alloc(corpus->n_utterances, sizeof *positions);
    mine.utterances = ser_alloc(corpus->n_utterances, sizeof *mine.utterances);
    mine.n_utterances = 0;
    mine.votes = NULL;
    ser_status st = mine.utterances && positions ? note_trees(k, all, corpus, err) : ser_fail_nomem(err);
    for (size_t u = 0; u < corpus->n_utterances && st == SER_OK; u++) {
        const ser_utterance *utterance = &corpus->utterances[u];
        size_t position = k->part.n_listed;
        if (!ser_part_deal(&k->part, utterance->name, utterance->file))
            continue;
        positions[mine.n_utterances] = position;
        mine.utterances[mine.n_utterances++] = *utterance;
    }
    if (st == SER_OK && mine.n_utterances)
        st = fill_trees(k, all, &mine, positions, err);
    ser_free(mine.utterances);
    ser_free(positions);
    return st;
}

static ser_status fill_corpus(extract_job *k, const ser_corpus *corpus, ser_error *err)
{
    trees all = {0};
    for (size_t i = 0; i < corpus->n_warnings; i++)
        ser_run_tell(&k->job.host, SER_RUN_WARNING, "%s", corpus->warnings[i]);
    ser_status st = ser_run_compare(&k->job.host, corpus, k->encoder_sha256, err);
    if (st == SER_OK)
        st = list_trees(&all, k, err);
    if (st == SER_OK)
        st = k->part.root ? fill_share(k, &all, corpus, err) : fill_trees(k, &all, corpus, NULL, err);
    for (size_t i = 0; i < all.n; i++)
        ser_extractor_free(&all.extractors[i]);
    return st;
}

/* Of the known corpora those that are found; at least one. */
static ser_status fill_known(extract_job *k, ser_error *err)
{
    const ser_known_corpus *known;
    ser_error own = {0};
    ser_status st = SER_OK;
    size_t n_found = 0;
    for (size_t i = 0; st == SER_OK && (known = ser_known_corpus_at(i)); i++) {
        ser_corpus *corpus = NULL;
        st = ser_corpus_open(&corpus, known->name, k->s.data.data_dir, &own);
        if (st == SER_OK) {
            n_found++;
            st = fill_corpus(k, corpus, &own);
        } else if (st == SER_E_IO && (n_found || ser_known_corpus_at(i + 1))) {
            ser_run_tell(&k->job.host, SER_RUN_WARNING, "%s", own.text);
            st = SER_OK;
        }
        ser_corpus_free(&corpus);
    }
    return st == SER_OK ? st : ser_fail(err, st, "%s", own.text);
}

/* What decides the features, of whatever folders they are read from and into. */
static ser_status set_options(extract_job *k, ser_error *err)
{
    static const char *const places[] = {"data",  "data_dir",  "features_dir", "encoder", "jobs",
                                         "shard", "overwrite", "recording",    "output"};
    json_t *options = ser_run_settings_to_json(&ser_job_extract, &k->s);
    for (size_t i = 0; options && i < sizeof places / sizeof *places; i++)
        json_object_del(options, places[i]);
    bool ok = options && json_object_update(k->part.options, options) == 0 &&
              json_object_set_new(k->part.options, "encoder_sha256", json_string(k->encoder_sha256)) == 0 &&
              json_object_set_new(k->part.root, "trees", json_array()) == 0;
    json_decref(options);
    return ok ? SER_OK : ser_fail_nomem(err);
}

static ser_status begin_share(extract_job *k, ser_error *err)
{
    ser_shard shard;
    ser_status st = ser_shard_parse(&shard, k->s.shard, err);
    if (st == SER_OK)
        st = ser_part_open(&k->part, "extract", &shard, err);
    if (st == SER_OK)
        st = set_options(k, err);
    if (st == SER_OK)
        st = ser_part_folder_open(&k->part_folder, k->s.data.features_dir, &k->part, err);
    if (st == SER_OK)
        k->s.data.features_dir = k->part_folder.work;
    return st;
}

static ser_status extract_corpora(extract_job *k, ser_corpus *corpus, ser_error *err)
{
    ser_status st = ser_encoders_sha256(&k->encoders, k->encoder_sha256, err);
    if (st == SER_OK && json_object_set_new(k->job.told, "trees", json_array()) != 0)
        st = ser_fail_nomem(err);
    if (st == SER_OK && k->s.shard)
        st = begin_share(k, err);
    if (st == SER_OK)
        st = corpus ? fill_corpus(k, corpus, err) : fill_known(k, err);
    if (st == SER_OK && k->s.shard)
        st = ser_part_folder_publish(&k->part_folder, &k->part, err);
    return st;
}

static ser_status extract(void *job, ser_error *err)
{
    extract_job *k = job;
    ser_corpus *corpus = NULL;
    ser_status st = SER_OK;
    if (k->s.data.corpus) /* before encoders are read, which takes longer */
        st = ser_corpus_open(&corpus, k->s.data.corpus, k->s.data.data_dir, err);
    if (st == SER_OK)
        st = open_encoders(k, err);
    if (st == SER_OK && !(k->job.told = json_object()))
        st = ser_fail_nomem(err);
    if (st == SER_OK && k->s.recording && k->job.host.team)
        st = ser_fail(err, SER_E_ARG, "one recording is for one process: start it without mpirun");
    if (st == SER_OK)
        st = k->s.recording ? extract_recording(k, err) : extract_corpora(k, corpus, err);
    ser_corpus_free(&corpus);
    return st;
}

ser_status ser_run_extract(ser_run_result **out, const ser_run_extract_settings *s,
                           const ser_run_listener *listener, ser_error *err)
{
    static const ser_job_way way = {&ser_job_extract, sizeof(extract_job), offsetof(extract_job, s), extract,
                                    release};
    return ser_job_do(out, &way, s, listener, err);
}
