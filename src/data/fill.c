#include "data/fill.h"
#include "audio/audio.h"
#include "base/memory.h"
#include "base/threads.h"
#include "data/entry.h"
#include "data/index.h"
#include "io/file.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct filling {
    const ser_corpus *corpus;
    const ser_extractor *extractor;
    const ser_tree_recipe *recipe;
    const ser_tree_fill_settings *settings;
    ser_tree_filled *out;
    ser_tree_index index; /* all recordings of the corpus, filled one by one */
    char *index_path;
    char key[65];
    ser_extractor_work **work; /* one per thread */
    pthread_mutex_t lock;      /* guards what follows, the counts in out and the progress callback */
    size_t n_done;
} filling;

/* ---- what is there already ---- */

static bool is_ours(const char *file)
{
    static const char ending[] = ".safetensors";
    size_t n = strlen(file);
    return strncmp(file, "index/", 6) == 0 && n > 6 + sizeof ending - 1 &&
           strcmp(file + n - (sizeof ending - 1), ending) == 0;
}

/* ".ser-PID-COUNTER" (see ser_output) of a process that was killed. */
static void remove_leftovers(const filling *f, char *const *files, size_t n_files)
{
    for (size_t i = 0; i < n_files; i++) {
        const char *slash = strrchr(files[i], '/'), *base = slash ? slash + 1 : files[i];
        long pid = strncmp(base, ".ser-", 5) == 0 ? strtol(base + 5, NULL, 10) : 0;
        char *path = pid > 0 && kill((pid_t)pid, 0) != 0 && errno == ESRCH
                         ? ser_io_join(f->out->folder, files[i])
                         : NULL;
        if (path)
            unlink(path);
        ser_free(path);
    }
}

/* Removes what this program made and nothing else; the index first, because it speaks for the rest. */
static ser_status remove_tree(const filling *f, char *const *files, size_t n_files, ser_error *err)
{
    ser_status st = SER_OK;
    unlink(f->index_path);
    for (size_t i = 0; i < n_files && st == SER_OK; i++) {
        if (!is_ours(files[i]))
            continue;
        const char *first = files[i] + 6;
        char *utterance = ser_strndup(first, strlen(first) - 12),
             *npy = utterance ? ser_tree_npy_path(f->out->folder, utterance) : NULL,
             *facts = ser_io_join(f->out->folder, files[i]);
        if (!npy || !facts)
            st = ser_fail_nomem(err);
        else {
            unlink(npy);
            unlink(facts);
        }
        ser_free(utterance);
        ser_free(npy);
        ser_free(facts);
    }
    return st;
}

/* A tree of other recordings would be mixed with this one. */
static ser_status check_recordings(const filling *f, const ser_tree_index *old, ser_error *err)
{
    for (size_t i = 0, u = 0; i < old->n_recordings; i++) {
        const char *name = old->recordings[i].utterance;
        while (u < f->corpus->n_utterances && strcmp(f->corpus->utterances[u].name, name) < 0)
            u++;
        if (u == f->corpus->n_utterances || strcmp(f->corpus->utterances[u].name, name) != 0)
            return ser_fail(err, SER_E_UNSUPPORTED,
                            "%s: it holds '%.80s', which is not in %s: --overwrite replaces it, "
                            "--features-dir takes another folder",
                            f->out->folder, name, f->corpus->name);
    }
    return SER_OK;
}

static ser_status check_index(const filling *f, ser_error *err)
{
    ser_tree_index old;
    char difference[SER_TREE_DIFFERENCE];
    ser_status st = ser_tree_index_read(&old, f->index_path, err);
    if (st != SER_OK)
        return ser_fail_within(err, st, "%s: ", f->index_path);
    if (ser_tree_parameters_differ(difference, old.parameters, f->index.parameters, false))
        st = ser_fail(err, SER_E_UNSUPPORTED,
                      "%s: %s: --overwrite replaces it, --features-dir takes another folder", f->out->folder,
                      difference);
    else
        st = check_recordings(f, &old, err);
    ser_tree_index_release(&old);
    return st;
}

static ser_status check_folder(const filling *f, ser_error *err)
{
    char **files = NULL;
    size_t n_files = 0;
    bool has_index = access(f->index_path, F_OK) == 0;
    if (access(f->out->folder, F_OK) != 0 || (f->settings->only_check && f->settings->overwrite))
        return SER_OK;
    ser_status st = ser_io_list_files(&files, &n_files, f->out->folder, err);
    if (st == SER_OK && !f->settings->only_check)
        remove_leftovers(f, files, n_files);
    if (st == SER_OK && f->settings->overwrite)
        st = remove_tree(f, files, n_files, err);
    else if (st == SER_OK && has_index)
        st = check_index(f, err);
    else if (st == SER_OK && n_files)
        st = ser_fail(err, SER_E_UNSUPPORTED,
                      "%s: files are there, and no index.json that says what they are: --overwrite replaces "
                      "them, --features-dir takes another folder",
                      f->out->folder);
    ser_io_free_list(files, n_files);
    return st;
}

/* ---- one recording ---- */

static ser_status compute(ser_tree_entry *e, filling *f, size_t u, int worker, ser_error *err)
{
    float *pcm = NULL;
    char warning[256] = "";
    const char *path = f->corpus->utterances[u].path;
    ser_status st = ser_audio_load(&pcm, &e->n_samples, path, warning, err);
    if (st == SER_OK)
        st = ser_fingerprint_new(&e->fingerprint, pcm, e->n_samples, err);
    if (st == SER_OK) {
        ser_pcm_memory memory = {.pcm = pcm, .n_samples = e->n_samples};
        ser_pcm_source source = ser_pcm_from_memory(&memory);
        memcpy(e->sha256, ser_fingerprint_sha256(e->fingerprint), sizeof e->sha256);
        st = ser_extract(f->extractor, f->work[worker], &source, ser_frame_buffer_add, &e->frames, err);
    }
    if (st == SER_OK && *warning) {
        ser_text line = {0};
        ser_text_appendf(&line, "%s: %s", path, warning);
        f->out->warnings[u] = line.s;
    }
    ser_free(pcm);
    return st;
}

/* Frame by frame, cut to the shortest part, whose active frames are those that the extractor would find: the
 * loudest frame is sought among as many. */
static ser_status join(ser_tree_entry *e, const filling *f, size_t u, ser_error *err)
{
    size_t n_parts = f->recipe->spec->n_parts, offset = 0;
    ser_tree_entry parts[SER_MAX_PARTS] = {0}, *shortest = parts;
    ser_status st = SER_OK;
    for (size_t p = 0; p < n_parts && st == SER_OK; p++) {
        const ser_tree_filled *tree = &f->settings->parts[p];
        st = ser_tree_entry_read(&parts[p], tree->dims, tree->folder, f->corpus->utterances[u].name, err);
        if (st == SER_OK && parts[p].frames.n < shortest->frames.n)
            shortest = &parts[p];
    }
    if (st == SER_OK)
        st = ser_frame_buffer_resize(&e->frames, shortest->frames.n, err);
    for (size_t p = 0; p < n_parts && st == SER_OK; offset += parts[p++].frames.dims)
        for (size_t t = 0; t < e->frames.n; t++)
            memcpy(e->frames.x + t * e->frames.dims + offset, parts[p].frames.x + t * parts[p].frames.dims,
                   parts[p].frames.dims * sizeof *e->frames.x);
    if (st == SER_OK) {
        memcpy(e->frames.active, shortest->frames.active, e->frames.n);
        memcpy(e->sha256, parts[0].sha256, sizeof e->sha256);
        e->n_samples = parts[0].n_samples;
        e->fingerprint = parts[0].fingerprint; /* moves over */
        parts[0].fingerprint = NULL;
    }
    for (size_t p = 0; p < n_parts; p++)
        ser_tree_entry_release(&parts[p]);
    return st;
}

static ser_status make_entry(ser_tree_entry *e, filling *f, size_t u, int worker, ser_error *err)
{
    e->frames.dims = f->out->dims;
    memcpy(e->parameters, f->key, sizeof e->parameters);
    ser_status st = f->settings->parts ? join(e, f, u, err) : compute(e, f, u, worker, err);
    if (st == SER_OK && f->recipe->pool_encoder)
        ser_frame_buffer_pool_encoder(&e->frames, f->extractor);
    return st;
}

static bool is_whole(ser_tree_entry *e, const filling *f, size_t u, const char *file_sha256)
{
    const char *name = f->corpus->utterances[u].name;
    if (ser_tree_entry_read(e, f->out->dims, f->out->folder, name, NULL) != SER_OK)
        return false;
    if (strcmp(e->parameters, f->key) == 0 && strcmp(e->file_sha256, file_sha256) == 0)
        return true;
    ser_tree_entry_release(e);
    return false;
}

/* The recording is at fault: the others go on. */
static ser_status note_failure(filling *f, size_t u, const ser_error *why, ser_error *err)
{
    const char *path = f->corpus->utterances[u].path;
    ser_text line = {0};
    ser_text_appendf(&line, "%s: %s", path, why->text);
    f->out->failures[u] = line.s;
    return line.failed ? ser_fail_nomem(err) : SER_OK;
}

static void describe(ser_tree_recording *r, const ser_tree_entry *e)
{
    r->n_frames = e->frames.n;
    r->n_samples = e->n_samples;
    memcpy(r->sha256, e->sha256, sizeof r->sha256);
    memcpy(r->file_sha256, e->file_sha256, sizeof r->file_sha256);
}

static ser_status fill_recording(filling *f, size_t u, int worker, bool *computed, ser_error *err)
{
    ser_tree_recording *r = &f->index.recordings[u];
    ser_tree_entry e = {0};
    ser_error why = {0};
    char file_sha256[65];
    ser_status st = ser_tree_recording_describe(r, f->corpus, u, &why);
    if (st == SER_OK)
        st = ser_tree_file_sha256(file_sha256, f->corpus->utterances[u].path, &why);
    if (st == SER_OK && !is_whole(&e, f, u, file_sha256)) {
        memcpy(e.file_sha256, file_sha256, sizeof e.file_sha256);
        st = make_entry(&e, f, u, worker, &why);
        *computed = st == SER_OK;
    }
    if (st == SER_OK && *computed)
        st = ser_tree_entry_write(&e, f->out->folder, f->corpus->utterances[u].name, err);
    else if (st == SER_E_NOMEM)
        *err = why;
    else if (st != SER_OK)
        st = note_failure(f, u, &why, err);
    if (st == SER_OK)
        describe(r, &e);
    ser_tree_entry_release(&e);
    return st;
}

static ser_status fill_item(void *context, size_t u, int worker, ser_error *err)
{
    filling *f = context;
    bool computed = false;
    ser_status st = fill_recording(f, u, worker, &computed, err);
    if (st != SER_OK)
        return st;
    pthread_mutex_lock(&f->lock);
    f->out->n_computed += computed;
    f->out->n_failed += f->out->failures[u] != NULL;
    const char *type = strrchr(f->out->folder, '/') + 1;
    bool go_on = ser_progress_report(&f->settings->progress, type, ++f->n_done, f->out->n);
    pthread_mutex_unlock(&f->lock);
    return go_on ? SER_OK
                 : ser_fail(err, SER_E_CANCELLED, "%s: interrupted: the same command goes on where it was",
                            f->out->folder);
}

/* ---- all ---- */

static ser_status prepare(filling *f, ser_error *err)
{
    ser_tree_filled *out = f->out;
    size_t n = f->corpus->n_utterances;
    out->n = n;
    out->dims = f->index.dims = ser_extractor_dims(f->extractor);
    out->folder = ser_tree_folder(f->settings->features_dir, f->recipe->spec, f->corpus->name);
    out->failures = ser_alloc(n, sizeof *out->failures);
    out->warnings = ser_alloc(n, sizeof *out->warnings);
    f->index.recordings = ser_alloc(n, sizeof *f->index.recordings);
    f->index.corpus = ser_strdup(f->corpus->name);
    f->index_path = out->folder ? ser_io_join(out->folder, "index.json") : NULL;
    if (!out->folder || !out->failures || !out->warnings || !f->index.recordings || !f->index.corpus ||
        !f->index_path)
        return ser_fail_nomem(err);
    ser_status st = ser_tree_parameters(&f->index.parameters, f->recipe, err);
    return st == SER_OK ? ser_tree_parameters_key(f->key, f->index.parameters, err) : st;
}

/* n_recordings 0: as long as the work goes on. */
static ser_status write_index(filling *f, size_t n_recordings, ser_error *err)
{
    f->index.n_recordings = n_recordings;
    f->index.complete = n_recordings > 0;
    ser_status st = ser_tree_index_write(&f->index, f->index_path, err);
    f->index.n_recordings = f->out->n; /* to be released */
    return st == SER_OK ? st : ser_fail_within(err, st, "%s: ", f->index_path);
}

static ser_status fill_all(filling *f, int n_threads, ser_error *err)
{
    ser_status st = SER_OK;
    f->work = ser_alloc((size_t)n_threads, sizeof *f->work);
    if (!f->work)
        return ser_fail_nomem(err);
    for (int i = 0; i < n_threads && st == SER_OK && !f->settings->parts; i++)
        st = ser_extractor_work_new(&f->work[i], f->extractor, 1, err);
    if (st == SER_OK) {
        pthread_mutex_init(&f->lock, NULL);
        st = ser_parallel_for(n_threads, f->out->n, fill_item, f, err);
        pthread_mutex_destroy(&f->lock);
    }
    for (int i = 0; i < n_threads; i++)
        ser_extractor_work_free(&f->work[i]);
    ser_free(f->work);
    return st;
}

static ser_status fill_folder(filling *f, ser_error *err)
{
    int n_threads = f->settings->n_threads;
    ser_status st = ser_io_make_folder(f->out->folder, err);
    if (st == SER_OK)
        st = write_index(f, 0, err);
    if (st == SER_OK)
        st = fill_all(f, n_threads > 0 ? n_threads : ser_n_cores(), err);
    if (st != SER_OK || f->out->n_failed)
        return st;
    /* The index vouches for the files, so they are on the disk first. */
    st = ser_io_sync(f->out->folder, err);
    return st == SER_OK ? write_index(f, f->out->n, err) : ser_fail_within(err, st, "%s: ", f->out->folder);
}

ser_status ser_tree_fill(ser_tree_filled *out, const ser_corpus *corpus, const ser_extractor *e,
                         const ser_tree_recipe *recipe, const ser_tree_fill_settings *settings,
                         ser_error *err)
{
    *out = (ser_tree_filled){0};
    filling f = {.corpus = corpus, .extractor = e, .recipe = recipe, .settings = settings, .out = out};
    ser_status st = prepare(&f, err);
    if (st == SER_OK)
        st = check_folder(&f, err);
    if (st == SER_OK && !settings->only_check)
        st = fill_folder(&f, err);
    ser_tree_index_release(&f.index);
    ser_free(f.index_path);
    return st;
}

void ser_tree_filled_release(ser_tree_filled *filled)
{
    for (size_t i = 0; filled->failures && filled->warnings && i < filled->n; i++) {
        ser_free(filled->failures[i]);
        ser_free(filled->warnings[i]);
    }
    ser_free(filled->failures);
    ser_free(filled->warnings);
    ser_free(filled->folder);
    *filled = (ser_tree_filled){0};
}
