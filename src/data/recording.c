#include "data/recording.h"
#include "audio/augment.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/text.h"
#include "data/cache.h"
#include "model/pooled.h"

#include <stdlib.h>
#include <string.h>

/* ---- the recording itself ---- */

ser_status ser_features_open(ser_recording_features *f, const ser_intake_settings *s, ser_sound *sound,
                             ser_error *err)
{
    const ser_tree_recording *r =
        s->tree ? ser_tree_index_find(&s->tree->index, sound->utterance->name) : NULL;
    *f = (ser_recording_features){.settings = s, .sound = sound};
    ser_status st = s->without_audio ? SER_OK : ser_sound_hash(sound, err);
    if (st != SER_OK)
        return ser_fail_within(err, st, "%s: ", sound->utterance->path);
    memcpy(f->content, s->without_audio && r ? r->file_sha256 : sound->content, sizeof f->content);
    if (!r || strcmp(f->content, r->file_sha256) != 0)
        return SER_OK;
    f->in_tree = true;
    return ser_tree_read(&f->entry, s->tree, r, err); /* its text names the file */
}

void ser_features_release(ser_recording_features *f)
{
    ser_tree_entry_release(&f->entry);
}

static ser_status decode(ser_recording_features *f, ser_error *err)
{
    if (f->settings->without_audio)
        return ser_fail(err, SER_E_IO,
                        "its features are there, and the recording is not, which altered copies are made of: "
                        "give --augment none, or name the recordings' folder");
    return ser_sound_decode(f->sound, err);
}

static bool read_recording(ser_recording *r, const char *path)
{
    ser_safetensors *file;
    const ser_tensor *t;
    if (!ser_cache_open(&file, &t, path, SER_U8, 0))
        return false;
    const char *sha256 = ser_safetensors_metadata(file, "sha256"),
               *n = ser_safetensors_metadata(file, "n_samples"),
               *warning = ser_safetensors_metadata(file, "warning");
    bool ok = sha256 && strlen(sha256) == 64 && n &&
              ser_fingerprint_from_bytes(&r->fingerprint, t->data, t->n_bytes, NULL) == SER_OK;
    if (ok) {
        memcpy(r->sha256, sha256, sizeof r->sha256);
        r->n_samples = strtoull(n, NULL, 10);
        ok = !warning || (r->warning = ser_strdup(warning));
    }
    if (!ok)
        ser_fingerprint_free(&r->fingerprint);
    ser_safetensors_close(&file);
    return ok;
}

static void write_recording(const ser_recording *r, const char *path)
{
    size_t n_bytes;
    char n_samples[32];
    const void *bytes = ser_fingerprint_bytes(r->fingerprint, &n_bytes);
    snprintf(n_samples, sizeof n_samples, "%zu", r->n_samples);
    const char *const metadata[3][2] = {
        {"sha256", r->sha256}, {"n_samples", n_samples}, {"warning", r->warning}};
    ser_cache_write(path, SER_U8, bytes, n_bytes, metadata, r->warning ? 3 : 2);
}

static void take_from_tree(ser_recording_features *f, ser_recording *r)
{
    memcpy(r->sha256, f->entry.sha256, sizeof r->sha256);
    r->n_samples = f->entry.n_samples;
    r->fingerprint = f->entry.fingerprint; /* moves over */
    f->entry.fingerprint = NULL;
}

static ser_status describe(ser_recording_features *f, ser_recording *r, ser_error *err)
{
    ser_status st = decode(f, err);
    if (st == SER_OK)
        st = ser_fingerprint_new(&r->fingerprint, f->sound->pcm, f->sound->n_samples, err);
    if (st != SER_OK)
        return st;
    const char *warning = ser_sound_warning(f->sound);
    memcpy(r->sha256, ser_fingerprint_sha256(r->fingerprint), sizeof r->sha256);
    r->n_samples = f->sound->n_samples;
    return !*warning || (r->warning = ser_strdup(warning)) ? SER_OK : ser_fail_nomem(err);
}

ser_status ser_features_describe(ser_recording_features *f, ser_recording *r, ser_error *err)
{
    ser_status st = SER_OK;
    if (f->in_tree) {
        take_from_tree(f, r);
    } else {
        char *path = ser_cache_path(f->settings->folder, "recording", f->content, "");
        if (!read_recording(r, path)) {
            st = describe(f, r, err);
            if (st == SER_OK)
                write_recording(r, path);
        }
        ser_free(path);
    }
    memcpy(f->sha256, r->sha256, sizeof f->sha256);
    return st;
}

/* ---- rows: the recording, its copies, the one under the condition ---- */

/* How a row is made: "" for the recording itself. */
static void row_recipe(const ser_intake_settings *s, size_t row, char *recipe, size_t n)
{
    recipe[0] = 0;
    if (row > s->n_copies)
        snprintf(recipe, n, "%s seed %llu", ser_condition_name(s->condition), (unsigned long long)s->seed);
    else if (row)
        snprintf(recipe, n, "copy %zu seed %llu", row, (unsigned long long)s->seed);
}

/* The samples of a row, owned by the caller. */
static ser_status alter(float **pcm, size_t *n_samples, const ser_recording_features *f, size_t row,
                        uint64_t seed, ser_error *err)
{
    if (row <= f->settings->n_copies)
        return ser_augment_copy(pcm, n_samples, f->sound->pcm, f->sound->n_samples, seed, err);
    ser_random random;
    ser_random_init(&random, seed);
    *n_samples = f->sound->n_samples;
    if (!(*pcm = ser_alloc(f->sound->n_samples, sizeof **pcm)))
        return ser_fail_nomem(err);
    memcpy(*pcm, f->sound->pcm, f->sound->n_samples * sizeof **pcm);
    return ser_condition_apply(*pcm, *n_samples, f->settings->condition, &random, err);
}

static ser_status extract(const ser_intake_settings *s, ser_extractor_work *work, const float *pcm,
                          size_t n_samples, ser_frames_fn receive, void *context, ser_error *err)
{
    ser_pcm_memory memory = {.pcm = pcm, .n_samples = n_samples};
    ser_pcm_source source = ser_pcm_from_memory(&memory);
    if (!s->pool_encoder)
        return ser_extract(s->extractor, work, &source, receive, context, err);
    ser_frame_buffer all = {.dims = ser_extractor_dims(s->extractor)};
    ser_status st = ser_extract(s->extractor, work, &source, ser_frame_buffer_add, &all, err);
    if (st == SER_OK) {
        ser_extractor_pool_encoder(s->extractor, all.x, all.n);
        ser_frames frames = ser_frame_buffer_frames(&all);
        st = receive(context, &frames, err);
    }
    ser_frame_buffer_release(&all);
    return st;
}

ser_status ser_features_frames(ser_recording_features *f, size_t row, ser_extractor_work *work,
                               ser_frames_fn receive, void *context, ser_error *err)
{
    const ser_intake_settings *s = f->settings;
    if (row == 0 && f->in_tree) {
        ser_frames frames = ser_frame_buffer_frames(&f->entry.frames);
        return receive(context, &frames, err);
    }
    ser_status st = decode(f, err);
    if (st != SER_OK || row == 0)
        return st != SER_OK ? st
                            : extract(s, work, f->sound->pcm, f->sound->n_samples, receive, context, err);
    float *altered = NULL;
    size_t n_altered;
    char recipe[64];
    row_recipe(s, row, recipe, sizeof recipe);
    uint64_t seed = ser_random_derive(ser_random_derive(s->seed, f->sha256), recipe);
    st = alter(&altered, &n_altered, f, row, seed, err);
    if (st == SER_OK)
        st = extract(s, work, altered, n_altered, receive, context, err);
    ser_free(altered);
    return st;
}

/* ---- the cache ---- */

char *ser_features_cache_path(const ser_recording_features *f, const char *kind, size_t row, size_t block)
{
    const ser_intake_settings *s = f->settings;
    char recipe[64];
    ser_text parameters = {0};
    row_recipe(s, row, recipe, sizeof recipe);
    ser_text_appendf(&parameters, "%s %s ", s->features_key, recipe);
    ser_feature_spec_block_key(ser_extractor_spec(s->extractor), block, &parameters);
    if (s->pool_encoder)
        ser_text_append(&parameters, " mean over time");
    char *path = parameters.failed ? NULL : ser_cache_path(s->folder, kind, f->content, parameters.s);
    ser_text_release(&parameters);
    return path;
}

bool ser_features_read_pooled(const ser_recording_features *f, size_t row, float *pooled)
{
    const ser_extractor *e = f->settings->extractor;
    bool ok = true;
    for (size_t b = 0; b < ser_extractor_n_blocks(e) && ok; b++) {
        size_t offset, dims;
        ser_safetensors *file;
        const ser_tensor *values;
        ser_extractor_block(e, b, &offset, &dims);
        char *path = ser_features_cache_path(f, "pooled", row, b);
        ok = ser_cache_open(&file, &values, path, SER_F32, SER_N_STATISTICS * dims);
        ok = ok && ser_tensor_to_f32(pooled + SER_N_STATISTICS * offset, values, 0, SER_N_STATISTICS * dims,
                                     NULL) == SER_OK;
        ser_safetensors_close(&file);
        ser_free(path);
    }
    return ok;
}

void ser_features_write_pooled(const ser_recording_features *f, size_t row, const float *pooled)
{
    const ser_extractor *e = f->settings->extractor;
    for (size_t b = 0; b < ser_extractor_n_blocks(e); b++) {
        size_t offset, dims;
        ser_extractor_block(e, b, &offset, &dims);
        char *path = ser_features_cache_path(f, "pooled", row, b);
        ser_cache_write(path, SER_F32, pooled + SER_N_STATISTICS * offset, SER_N_STATISTICS * dims, NULL, 0);
        ser_free(path);
    }
}
