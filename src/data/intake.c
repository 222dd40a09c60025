#include "data/intake.h"
#include "audio/audio.h"
#include "audio/augment.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/text.h"
#include "base/threads.h"
#include "data/cache.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

size_t ser_intake_n_rows(const ser_store_settings *s)
{
    return 1 + s->n_copies + (s->condition != SER_CONDITION_NONE);
}

/* ---- the recording itself ---- */

static ser_status decode(ser_intake_item *it, ser_error *err)
{
    if (it->settings->without_audio)
        return ser_fail(err, SER_E_IO,
                        "its features are there, and the recording is not, which altered copies are made of: "
                        "give --augment none, or name the recordings' folder");
    return it->pcm ? SER_OK : ser_audio_load(&it->pcm, &it->n_samples, it->path, NULL, err);
}

/* Finds the recording in the tree; only what was made of the same file is taken. */
static ser_status identify(ser_intake_item *it, const ser_tree_recording **listed, const char *utterance,
                           ser_error *err)
{
    const ser_store_settings *s = it->settings;
    const ser_tree_recording *r = s->tree ? ser_tree_index_find(&s->tree->index, utterance) : NULL;
    ser_status st = SER_OK;
    if (!s->without_audio)
        st = ser_tree_file_sha256(it->file_sha256, it->path, err);
    else if (r)
        memcpy(it->file_sha256, r->file_sha256, sizeof it->file_sha256);
    *listed = r && strcmp(it->file_sha256, r->file_sha256) == 0 ? r : NULL;
    return st;
}

static bool read_recording(ser_recording *r, const char *path)
{
    ser_safetensors *file;
    const ser_tensor *t;
    if (!ser_cache_open(&file, &t, path, SER_U8, 0))
        return false;
    const char *sha256 = ser_safetensors_metadata(file, "sha256"),
               *n = ser_safetensors_metadata(file, "n_samples");
    bool ok = sha256 && strlen(sha256) == 64 && n &&
              ser_fingerprint_from_bytes(&r->fingerprint, t->data, t->n_bytes, NULL) == SER_OK;
    if (ok) {
        memcpy(r->sha256, sha256, sizeof r->sha256);
        r->n_samples = strtoull(n, NULL, 10);
    }
    ser_safetensors_close(&file);
    return ok;
}

static void write_recording(const ser_recording *r, const char *path)
{
    size_t n_bytes;
    char n_samples[32];
    const void *bytes = ser_fingerprint_bytes(r->fingerprint, &n_bytes);
    snprintf(n_samples, sizeof n_samples, "%zu", r->n_samples);
    const char *const metadata[2][2] = {{"sha256", r->sha256}, {"n_samples", n_samples}};
    ser_cache_write(path, SER_U8, bytes, n_bytes, metadata, 2);
}

static void take_from_tree(ser_intake_item *it)
{
    ser_recording *r = it->recording;
    memcpy(r->sha256, it->entry.sha256, sizeof r->sha256);
    r->n_samples = it->entry.n_samples;
    r->fingerprint = it->entry.fingerprint; /* moves over */
    it->entry.fingerprint = NULL;
}

/* The samples' hash and the fingerprint. */
static ser_status fill_recording(ser_intake_item *it, ser_error *err)
{
    ser_recording *r = it->recording;
    if (it->in_tree) {
        take_from_tree(it);
        return SER_OK;
    }
    char *path = ser_cache_path(it->settings->folder, "recording", it->file_sha256, "");
    ser_status st = SER_OK;
    if (read_recording(r, path))
        goto done;
    if ((st = decode(it, err)) != SER_OK ||
        (st = ser_fingerprint_new(&r->fingerprint, it->pcm, it->n_samples, err)) != SER_OK)
        goto done;
    memcpy(r->sha256, ser_fingerprint_sha256(r->fingerprint), sizeof r->sha256);
    r->n_samples = it->n_samples;
    write_recording(r, path);
done:
    ser_free(path);
    return st;
}

/* ---- rows: the recording, its copies, the one under the condition ---- */

/* How a row is made: "" for the recording itself. */
static void row_recipe(const ser_store_settings *s, size_t row, char *recipe, size_t n)
{
    recipe[0] = 0;
    if (row > s->n_copies)
        snprintf(recipe, n, "%s seed %llu", ser_condition_name(s->condition), (unsigned long long)s->seed);
    else if (row)
        snprintf(recipe, n, "copy %zu seed %llu", row, (unsigned long long)s->seed);
}

/* The samples of a row, owned by the caller. */
static ser_status alter(float **pcm, size_t *n_samples, const ser_intake_item *it, size_t row, uint64_t seed,
                        ser_error *err)
{
    if (row <= it->settings->n_copies)
        return ser_augment_copy(pcm, n_samples, it->pcm, it->n_samples, seed, err);
    ser_random random;
    ser_random_init(&random, seed);
    *n_samples = it->n_samples;
    if (!(*pcm = ser_alloc(it->n_samples, sizeof **pcm)))
        return ser_fail_nomem(err);
    memcpy(*pcm, it->pcm, it->n_samples * sizeof **pcm);
    return ser_condition_apply(*pcm, *n_samples, it->settings->condition, &random, err);
}

static ser_status extract(const ser_store_settings *s, ser_intake_worker *w, const float *pcm,
                          size_t n_samples, ser_frames_fn receive, void *context, ser_error *err)
{
    ser_pcm_memory memory = {.pcm = pcm, .n_samples = n_samples};
    ser_pcm_source source = ser_pcm_from_memory(&memory);
    if (!s->pool_encoder)
        return ser_extract(s->extractor, w->work, &source, receive, context, err);
    ser_frame_buffer all = {.dims = ser_extractor_dims(s->extractor)};
    ser_status st = ser_extract(s->extractor, w->work, &source, ser_frame_buffer_add, &all, err);
    if (st == SER_OK) {
        ser_frame_buffer_pool_encoder(&all, s->extractor);
        ser_frames frames = ser_frame_buffer_frames(&all);
        st = receive(context, &frames, err);
    }
    ser_frame_buffer_release(&all);
    return st;
}

ser_status ser_intake_frames(ser_intake_item *it, size_t row, ser_intake_worker *w, ser_frames_fn receive,
                             void *context, ser_error *err)
{
    const ser_store_settings *s = it->settings;
    if (row == 0 && it->in_tree) {
        ser_frames frames = ser_frame_buffer_frames(&it->entry.frames);
        return receive(context, &frames, err);
    }
    ser_status st = decode(it, err);
    if (st != SER_OK || row == 0)
        return st != SER_OK ? st : extract(s, w, it->pcm, it->n_samples, receive, context, err);
    float *altered = NULL;
    size_t n_altered;
    char recipe[64];
    row_recipe(s, row, recipe, sizeof recipe);
    uint64_t seed = ser_random_derive(ser_random_derive(s->seed, it->recording->sha256), recipe);
    st = alter(&altered, &n_altered, it, row, seed, err);
    if (st == SER_OK)
        st = extract(s, w, altered, n_altered, receive, context, err);
    ser_free(altered);
    return st;
}

/* ---- the cache ---- */

char *ser_intake_cache_path(const ser_intake_item *it, const char *kind, size_t row, size_t block)
{
    const ser_store_settings *s = it->settings;
    char recipe[64];
    ser_text parameters = {0};
    row_recipe(s, row, recipe, sizeof recipe);
    ser_text_appendf(&parameters, "%s %s ", s->features_key, recipe);
    ser_feature_spec_block_key(ser_extractor_spec(s->extractor), block, &parameters);
    if (s->pool_encoder)
        ser_text_append(&parameters, " mean over time");
    char *path = parameters.failed ? NULL : ser_cache_path(s->folder, kind, it->file_sha256, parameters.s);
    ser_text_release(&parameters);
    return path;
}

bool ser_intake_read_pooled(const ser_intake_item *it, size_t row, float *pooled)
{
    const ser_extractor *e = it->settings->extractor;
    bool ok = true;
    for (size_t b = 0; b < ser_extractor_n_blocks(e) && ok; b++) {
        size_t offset, dims;
        ser_safetensors *file;
        const ser_tensor *values;
        ser_extractor_block(e, b, &offset, &dims);
        char *path = ser_intake_cache_path(it, "pooled", row, b);
        ok = ser_cache_open(&file, &values, path, SER_F32, SER_N_STATISTICS * dims);
        ok = ok && ser_tensor_to_f32(pooled + SER_N_STATISTICS * offset, values, 0, SER_N_STATISTICS * dims,
                                     NULL) == SER_OK;
        ser_safetensors_close(&file);
        ser_free(path);
    }
    return ok;
}

void ser_intake_write_pooled(const ser_intake_item *it, size_t row, const float *pooled)
{
    const ser_extractor *e = it->settings->extractor;
    for (size_t b = 0; b < ser_extractor_n_blocks(e); b++) {
        size_t offset, dims;
        ser_extractor_block(e, b, &offset, &dims);
        char *path = ser_intake_cache_path(it, "pooled", row, b);
        ser_cache_write(path, SER_F32, pooled + SER_N_STATISTICS * offset, SER_N_STATISTICS * dims, NULL, 0);
        ser_free(path);
    }
}

/* ---- all recordings ---- */

typedef struct intake {
    const ser_corpus *corpus;
    const ser_store_settings *settings;
    ser_recording *recordings;
    ser_intake_worker *workers;
    ser_intake_fill fill;
    void *context;
    pthread_mutex_t lock; /* guards what follows and the progress callback */
    size_t n_done, n_computed;
} intake;

static ser_status take_in(void *context, size_t i, int worker, ser_error *err)
{
    intake *in = context;
    const ser_utterance *u = &in->corpus->utterances[i];
    ser_intake_item it = {
        .settings = in->settings, .utterance = i, .path = u->path, .recording = &in->recordings[i]};
    size_t n_computed = 0, n_rows = ser_intake_n_rows(in->settings);
    const ser_tree_recording *listed;
    ser_status st = identify(&it, &listed, u->name, err);
    if (st == SER_OK && listed) {
        st = ser_tree_read(&it.entry, in->settings->tree, listed, err);
        if (st != SER_OK)
            return st; /* its text names the file */
        it.in_tree = true;
    }
    if (st == SER_OK)
        st = fill_recording(&it, err);
    for (size_t row = 0; row < n_rows && st == SER_OK; row++) {
        bool computed = false;
        st = in->fill(in->context, &it, row, &in->workers[worker], &computed, err);
        n_computed += computed;
    }
    ser_free(it.pcm);
    ser_tree_entry_release(&it.entry);
    if (st != SER_OK)
        return ser_fail_within(err, st, "%s: ", it.path);
    pthread_mutex_lock(&in->lock);
    in->n_computed += n_computed;
    bool go_on =
        ser_progress_report(&in->settings->progress, "features", ++in->n_done, in->corpus->n_utterances);
    pthread_mutex_unlock(&in->lock);
    return go_on ? SER_OK
                 : ser_fail(err, SER_E_CANCELLED, "interrupted: what was computed is kept for the next run");
}

static void free_workers(ser_intake_worker *workers, int n)
{
    for (int i = 0; workers && i < n; i++) {
        ser_extractor_work_free(&workers[i].work);
        ser_pooling_release(&workers[i].pool);
        ser_frame_buffer_release(&workers[i].frames);
        ser_free(workers[i].pooled);
        ser_free(workers[i].scratch);
    }
    ser_free(workers);
}

static ser_status new_workers(ser_intake_worker **out, int n, const ser_extractor *e, ser_error *err)
{
    *out = ser_alloc((size_t)n, sizeof **out);
    if (!*out)
        return ser_fail_nomem(err);
    ser_status st = SER_OK;
    for (int i = 0; i < n && st == SER_OK; i++) {
        ser_intake_worker *w = &(*out)[i];
        w->frames.dims = ser_extractor_dims(e);
        w->pooled = ser_alloc(ser_pooled_dims(e), sizeof *w->pooled);
        w->scratch = ser_alloc(ser_pooled_dims(e), sizeof *w->scratch);
        st = w->pooled && w->scratch ? ser_extractor_work_new(&w->work, e, 1, err) : ser_fail_nomem(err);
        if (st == SER_OK)
            st = ser_pooling_init(&w->pool, ser_extractor_dims(e), err);
    }
    return st;
}

ser_status ser_intake_run(ser_recording *recordings, size_t *n_computed, const ser_corpus *corpus,
                          const ser_store_settings *settings, ser_intake_fill fill, void *context,
                          ser_error *err)
{
    int n_threads = settings->n_threads > 0 ? settings->n_threads : ser_n_cores();
    intake in = {
        .corpus = corpus, .settings = settings, .recordings = recordings, .fill = fill, .context = context};
    ser_status st = new_workers(&in.workers, n_threads, settings->extractor, err);
    if (st == SER_OK) {
        pthread_mutex_init(&in.lock, NULL);
        st = ser_parallel_for(n_threads, corpus->n_utterances, take_in, &in, err);
        pthread_mutex_destroy(&in.lock);
    }
    free_workers(in.workers, n_threads);
    *n_computed = in.n_computed;
    return st;
}
