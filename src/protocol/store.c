#include "protocol/store.h"
#include "audio/audio.h"
#include "audio/augment.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/sha256.h"
#include "base/text.h"
#include "base/threads.h"
#include "io/safetensors.h"
#include "model/pooled.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum {
    STORE_VERSION = 4
}; /* part of every key: raise it when values change without any parameter changing */

typedef struct thread_memory {
    ser_extractor_work *work;
    ser_pooling pool;
    float *scratch;
} thread_memory;

typedef struct filling {
    const ser_corpus *corpus;
    const ser_store_settings *settings;
    ser_store *store;
    thread_memory *threads;
    pthread_mutex_t lock; /* guards n_done, n_computed and the progress callback */
    size_t n_done;
} filling;

/* One recording under way. */
typedef struct item {
    const char *path;
    char file_sha256[65];
    float *pcm; /* NULL until it has to be decoded */
    size_t n_samples;
} item;

/* ---- entries on disk ---- */

/* FOLDER/ab/abcdef....safetensors; NULL: no memory or no folder. */
static char *entry_path(const char *folder, const char *kind, const char *content, const char *parameters)
{
    if (!folder)
        return NULL;
    ser_sha256 h;
    char hex[65], version[16];
    snprintf(version, sizeof version, "%d", STORE_VERSION);
    const char *const parts[] = {version, kind, content, parameters};
    ser_sha256_init(&h);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        ser_sha256_add(&h, parts[i], strlen(parts[i]) + 1);
    ser_sha256_finish(&h, hex);
    ser_text path = {0};
    ser_text_appendf(&path, "%s/%.2s/%s.safetensors", folder, hex, hex);
    if (path.failed)
        ser_text_release(&path);
    return path.s;
}

/* What cannot be read is computed again, so nothing here is an error. */
static bool read_entry(ser_safetensors **file, const ser_tensor **tensor, const char *path, ser_dtype dtype,
                       size_t n)
{
    *file = NULL;
    if (!path || ser_safetensors_open(file, path, NULL) != SER_OK)
        return false;
    *tensor = ser_safetensors_find(*file, "values");
    if (*tensor && (*tensor)->dtype == dtype && (!n || (*tensor)->n_elements == n))
        return true;
    ser_safetensors_close(file);
    return false;
}

/* A store that cannot be written to costs time on the next run and nothing else. */
static void write_entry(const char *path, ser_dtype dtype, const void *values, size_t n, const char *sha256,
                        size_t n_samples)
{
    if (!path)
        return;
    char *slash = strrchr(path, '/'), samples[32];
    char *folder = ser_strndup(path, (size_t)(slash - path));
    const ser_tensor t = {.name = "values",
                          .dtype = dtype,
                          .n_dims = 1,
                          .dims = {n},
                          .n_elements = n,
                          .data = values,
                          .n_bytes = n * ser_dtype_size(dtype)};
    snprintf(samples, sizeof samples, "%zu", n_samples);
    const char *metadata[2][2] = {{"sha256", sha256}, {"n_samples", samples}};
    if (folder && ser_io_make_folder(folder, NULL) == SER_OK)
        ser_safetensors_write(path, &t, 1, (const char *const(*)[2])metadata, 2, NULL);
    ser_free(folder);
}

/* ---- one recording ---- */

static ser_status hash_file(item *it, ser_error *err)
{
    ser_bytes bytes;
    ser_status st = ser_io_map(&bytes, it->path, 0, err);
    if (st != SER_OK)
        return st;
    ser_sha256 h;
    ser_sha256_init(&h);
    ser_sha256_add(&h, bytes.data, bytes.n);
    ser_sha256_finish(&h, it->file_sha256);
    ser_bytes_release(&bytes);
    return SER_OK;
}

static ser_status decode(item *it, ser_error *err)
{
    return it->pcm ? SER_OK : ser_audio_load(&it->pcm, &it->n_samples, it->path, NULL, err);
}

static bool read_recording(ser_recording *r, const char *path)
{
    ser_safetensors *file;
    const ser_tensor *t;
    if (!read_entry(&file, &t, path, SER_U8, 0))
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

/* The samples' hash and the fingerprint. */
static ser_status fill_recording(const ser_store_settings *s, ser_recording *r, item *it, ser_error *err)
{
    char *path = entry_path(s->folder, "recording", it->file_sha256, "");
    ser_status st = SER_OK;
    if (read_recording(r, path))
        goto done;
    if ((st = decode(it, err)) != SER_OK ||
        (st = ser_fingerprint_new(&r->fingerprint, it->pcm, it->n_samples, err)) != SER_OK)
        goto done;
    ser_sha256 h;
    ser_sha256_init(&h);
    ser_sha256_add(&h, it->pcm, it->n_samples * sizeof *it->pcm);
    ser_sha256_finish(&h, r->sha256);
    r->n_samples = it->n_samples;
    size_t n_bytes;
    const void *bytes = ser_fingerprint_bytes(r->fingerprint, &n_bytes);
    write_entry(path, SER_U8, bytes, n_bytes, r->sha256, r->n_samples);
done:
    ser_free(path);
    return st;
}

static ser_status add_to_pool(void *context, const ser_frames *frames, ser_error *err)
{
    (void)err;
    ser_pooling_add(context, frames);
    return SER_OK;
}

static ser_status pool_samples(const ser_extractor *e, thread_memory *t, float *pooled, const float *pcm,
                               size_t n_samples, ser_error *err)
{
    ser_pcm_memory memory = {.pcm = pcm, .n_samples = n_samples};
    ser_pcm_source source = ser_pcm_from_memory(&memory);
    ser_pooling_clear(&t->pool);
    ser_status st = ser_extract(e, t->work, &source, add_to_pool, &t->pool, err);
    if (st == SER_OK)
        ser_pooling_finish(e, &t->pool, pooled, t->scratch);
    return st;
}

/* How row i of a recording is made: "" for the recording itself. */
static void row_recipe(const ser_store_settings *s, size_t row, char *recipe, size_t n)
{
    recipe[0] = 0;
    if (row > s->n_copies)
        snprintf(recipe, n, "%s seed %llu", ser_condition_name(s->condition), (unsigned long long)s->seed);
    else if (row)
        snprintf(recipe, n, "copy %zu seed %llu", row, (unsigned long long)s->seed);
}

/* The samples of a row, owned by the caller. */
static ser_status alter(float **pcm, size_t *n_samples, const ser_store_settings *s, size_t row,
                        uint64_t seed, const item *it, ser_error *err)
{
    if (row <= s->n_copies)
        return ser_augment_copy(pcm, n_samples, it->pcm, it->n_samples, seed, err);
    ser_random random;
    ser_random_init(&random, seed);
    *n_samples = it->n_samples;
    if (!(*pcm = ser_alloc(it->n_samples, sizeof **pcm)))
        return ser_fail_nomem(err);
    memcpy(*pcm, it->pcm, it->n_samples * sizeof **pcm);
    return ser_condition_apply(*pcm, *n_samples, s->condition, &random, err);
}

static ser_status compute_row(const ser_store_settings *s, thread_memory *t, float *pooled,
                              const ser_recording *r, item *it, size_t row, const char *recipe,
                              ser_error *err)
{
    ser_status st = decode(it, err);
    if (st != SER_OK || row == 0)
        return st != SER_OK ? st : pool_samples(s->extractor, t, pooled, it->pcm, it->n_samples, err);
    float *altered = NULL;
    size_t n_altered;
    uint64_t seed = ser_random_derive(ser_random_derive(s->seed, r->sha256), recipe);
    st = alter(&altered, &n_altered, s, row, seed, it, err);
    if (st == SER_OK)
        st = pool_samples(s->extractor, t, pooled, altered, n_altered, err);
    ser_free(altered);
    return st;
}

/* Blocks are kept one by one, so that another choice of layers finds what is there. */
static char *block_path(const ser_store_settings *s, const item *it, const char *recipe, size_t block)
{
    ser_text parameters = {0};
    ser_text_appendf(&parameters, "%s %s ", s->features_key, recipe);
    ser_feature_spec_block_key(ser_extractor_spec(s->extractor), block, &parameters);
    char *path = parameters.failed ? NULL : entry_path(s->folder, "pooled", it->file_sha256, parameters.s);
    ser_text_release(&parameters);
    return path;
}

/* Calls use with the path and the place of every block; stops at the first that is false. */
static bool for_each_block(const ser_store_settings *s, const item *it, const char *recipe, float *pooled,
                           bool (*use)(const char *path, float *values, size_t n))
{
    bool ok = true;
    for (size_t b = 0; b < ser_extractor_n_blocks(s->extractor) && ok; b++) {
        size_t offset, dims;
        ser_extractor_block(s->extractor, b, &offset, &dims);
        char *path = block_path(s, it, recipe, b);
        ok = use(path, pooled + SER_N_STATISTICS * offset, SER_N_STATISTICS * dims);
        ser_free(path);
    }
    return ok;
}

static bool read_block(const char *path, float *values, size_t n)
{
    ser_safetensors *file;
    const ser_tensor *tensor;
    if (!read_entry(&file, &tensor, path, SER_F32, n))
        return false;
    bool ok = ser_tensor_to_f32(values, tensor, 0, n, NULL) == SER_OK;
    ser_safetensors_close(&file);
    return ok;
}

static bool write_block(const char *path, float *values, size_t n)
{
    write_entry(path, SER_F32, values, n, "", 0);
    return true;
}

/* Sets *computed when the row was not on disk. */
static ser_status fill_row(const ser_store_settings *s, thread_memory *t, float *pooled,
                           const ser_recording *r, item *it, size_t row, bool *computed, ser_error *err)
{
    char recipe[64];
    row_recipe(s, row, recipe, sizeof recipe);
    if (for_each_block(s, it, recipe, pooled, read_block))
        return SER_OK;
    *computed = true;
    ser_status st = compute_row(s, t, pooled, r, it, row, recipe, err);
    if (st == SER_OK)
        for_each_block(s, it, recipe, pooled, write_block);
    return st;
}

static ser_status fill_item(void *context, size_t i, int worker, ser_error *err)
{
    filling *f = context;
    ser_store *store = f->store;
    item it = {.path = f->corpus->utterances[i].path};
    size_t n_computed = 0;
    ser_status st = hash_file(&it, err);
    if (st == SER_OK)
        st = fill_recording(f->settings, &store->recordings[i], &it, err);
    for (size_t row = 0; row < store->n_rows && st == SER_OK; row++) {
        bool computed = false;
        st = fill_row(f->settings, &f->threads[worker], ser_store_row(store, i, row), &store->recordings[i],
                      &it, row, &computed, err);
        n_computed += computed;
    }
    ser_free(it.pcm);
    if (st != SER_OK)
        return ser_fail_within(err, st, "%s: ", it.path);
    pthread_mutex_lock(&f->lock);
    store->n_computed += n_computed;
    bool go_on = ser_progress_report(&f->settings->progress, "features", ++f->n_done, store->n);
    pthread_mutex_unlock(&f->lock);
    return go_on ? SER_OK
                 : ser_fail(err, SER_E_CANCELLED, "interrupted: what was computed is kept for the next run");
}

/* ---- the store ---- */

static void free_threads(thread_memory *threads, int n)
{
    for (int i = 0; threads && i < n; i++) {
        ser_extractor_work_free(&threads[i].work);
        ser_pooling_release(&threads[i].pool);
        ser_free(threads[i].scratch);
    }
    ser_free(threads);
}

static ser_status new_threads(thread_memory **out, int n, const ser_extractor *e, ser_error *err)
{
    *out = ser_alloc((size_t)n, sizeof **out);
    if (!*out)
        return ser_fail_nomem(err);
    ser_status st = SER_OK;
    for (int i = 0; i < n && st == SER_OK; i++) {
        thread_memory *t = &(*out)[i];
        st = ser_extractor_work_new(&t->work, e, 1, err);
        if (st == SER_OK)
            st = ser_pooling_init(&t->pool, ser_extractor_dims(e), err);
        if (st == SER_OK && !(t->scratch = ser_alloc(ser_pooled_dims(e), sizeof *t->scratch)))
            st = ser_fail_nomem(err);
    }
    return st;
}

ser_status ser_store_new(ser_store **out, const ser_corpus *corpus, const ser_store_settings *settings,
                         ser_error *err)
{
    *out = NULL;
    int n_threads = settings->n_threads > 0 ? settings->n_threads : ser_n_cores();
    filling f = {.corpus = corpus, .settings = settings};
    ser_status st;
    size_t n_values;
    ser_store *s = ser_alloc(1, sizeof *s);
    if (!s)
        return ser_fail_nomem(err);
    s->n = corpus->n_utterances;
    s->n_copies = settings->n_copies;
    s->n_rows = 1 + s->n_copies + (settings->condition != SER_CONDITION_NONE);
    s->dims = ser_pooled_dims(settings->extractor);
    s->recordings = ser_alloc(s->n, sizeof *s->recordings);
    if (ser_mul_size(&n_values, s->n * s->n_rows, s->dims))
        s->pooled = ser_alloc(n_values, sizeof *s->pooled);
    st = s->recordings && s->pooled ? new_threads(&f.threads, n_threads, settings->extractor, err)
                                    : ser_fail_nomem(err);
    if (st == SER_OK) {
        f.store = s;
        pthread_mutex_init(&f.lock, NULL);
        st = ser_parallel_for(n_threads, s->n, fill_item, &f, err);
        pthread_mutex_destroy(&f.lock);
    }
    free_threads(f.threads, n_threads);
    if (st != SER_OK)
        ser_store_free(&s);
    *out = s;
    return st;
}

void ser_store_free(ser_store **s)
{
    if (!s || !*s)
        return;
    for (size_t i = 0; (*s)->recordings && i < (*s)->n; i++)
        ser_fingerprint_free(&(*s)->recordings[i].fingerprint);
    ser_free((*s)->recordings);
    ser_free((*s)->pooled);
    ser_free(*s);
    *s = NULL;
}
