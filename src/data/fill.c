#include "data/fill.h"
#include "base/memory.h"
#include "base/threads.h"
#include "data/entry.h"
#include "data/index.h"
#include "data/sound.h"
#include "io/file.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* One tree. */
typedef struct filling {
    const ser_corpus *corpus;
    const ser_extractor *extractor;
    const ser_tree_recipe *recipe;
    const ser_tree_fill_settings *settings;
    ser_tree_filled *out;
    bool joined;
    ser_tree_index index; /* all recordings of the corpus, filled one by one */
    char *index_path;
    char key[65];
    ser_extractor_work **work; /* one per thread; NULL where nothing is computed */
} filling;

/* All trees. */
typedef struct filling_all {
    filling *trees;
    size_t n;
    const ser_corpus *corpus;
    const ser_tree_fill_settings *settings;
    pthread_mutex_t lock; /* guards what follows, the counts in the trees and the progress callback */
    size_t n_done;
} filling_all;

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

/* Whether the folder may be filled. Another process may just have begun to fill it: what is not yet under its
 * final name is nobody's file, and an index that comes while we look speaks for the rest. */
static ser_status check_folder(const filling *f, ser_error *err)
{
    char **files = NULL;
    size_t n_files = 0, n_others = 0;
    if (access(f->out->folder, F_OK) != 0 || f->settings->overwrite)
        return SER_OK;
    ser_status st = SER_OK;
    if (access(f->index_path, F_OK) != 0)
        st = ser_io_list_files(&files, &n_files, f->out->folder, err);
    for (size_t i = 0; st == SER_OK && i < n_files; i++) {
        const char *slash = strrchr(files[i], '/');
        n_others +=
            strncmp(slash ? slash + 1 : files[i], SER_TEMPORARY_PREFIX, strlen(SER_TEMPORARY_PREFIX)) != 0;
    }
    ser_io_free_list(files, n_files);
    if (st == SER_OK && access(f->index_path, F_OK) == 0)
        st = check_index(f, err);
    else if (st == SER_OK && n_others)
        st = ser_fail(err, SER_E_UNSUPPORTED,
                      "%s: files are there, and no index.json that says what they are: --overwrite replaces "
                      "them, --features-dir takes another folder",
                      f->out->folder);
    return st;
}

static ser_status clear_folder(const filling *f, ser_error *err)
{
    char **files = NULL;
    size_t n_files = 0;
    if (access(f->out->folder, F_OK) != 0)
        return SER_OK;
    ser_status st = ser_io_list_files(&files, &n_files, f->out->folder, err);
    if (st == SER_OK)
        remove_leftovers(f, files, n_files);
    if (st == SER_OK && f->settings->overwrite)
        st = remove_tree(f, files, n_files, err);
    ser_io_free_list(files, n_files);
    return st;
}

/* ---- one recording ---- */

/* The entries of a recording in all trees, and its sound. */
typedef struct entries {
    ser_tree_entry *e;
    ser_sound *sound;
    ser_fingerprint *fingerprint; /* once it was needed */
} entries;

static ser_status describe_sound(ser_tree_entry *e, entries *all, ser_error *err)
{
    size_t n_bytes;
    ser_status st = SER_OK;
    if (!all->fingerprint)
        st = ser_fingerprint_new(&all->fingerprint, all->sound->pcm, all->sound->n_samples, err);
    if (st != SER_OK)
        return st;
    const void *bytes = ser_fingerprint_bytes(all->fingerprint, &n_bytes);
    e->n_samples = all->sound->n_samples;
    memcpy(e->sha256, ser_fingerprint_sha256(all->fingerprint), sizeof e->sha256);
    return ser_fingerprint_from_bytes(&e->fingerprint, bytes, n_bytes, err);
}

static ser_status compute(ser_tree_entry *e, entries *all, filling *f, int worker, ser_error *err)
{
    ser_status st = ser_sound_decode(all->sound, err);
    if (st == SER_OK)
        st = describe_sound(e, all, err);
    if (st != SER_OK)
        return st;
    ser_pcm_memory memory = {.pcm = all->sound->pcm, .n_samples = all->sound->n_samples};
    ser_pcm_source source = ser_pcm_from_memory(&memory);
    return ser_extract(f->extractor, f->work[worker], &source, ser_frame_buffer_add, &e->frames, err);
}

/* Frame by frame, cut to the shortest part, whose active frames are those that the extractor would find: the
 * loudest frame is sought among as many. */
static ser_status join(ser_tree_entry *e, const ser_tree_entry *parts, size_t n_parts, ser_error *err)
{
    const ser_tree_entry *shortest = parts;
    size_t offset = 0, n_bytes;
    const void *bytes = ser_fingerprint_bytes(parts->fingerprint, &n_bytes);
    for (size_t p = 0; p < n_parts; p++)
        if (parts[p].frames.n < shortest->frames.n)
            shortest = &parts[p];
    ser_status st = ser_frame_buffer_resize(&e->frames, shortest->frames.n, err);
    if (st == SER_OK)
        st = ser_fingerprint_from_bytes(&e->fingerprint, bytes, n_bytes, err);
    for (size_t p = 0; p < n_parts && st == SER_OK; offset += parts[p++].frames.dims)
        for (size_t t = 0; t < e->frames.n; t++)
            memcpy(e->frames.x + t * e->frames.dims + offset, parts[p].frames.x + t * parts[p].frames.dims,
                   parts[p].frames.dims * sizeof *e->frames.x);
    if (st == SER_OK) {
        memcpy(e->frames.active, shortest->frames.active, e->frames.n);
        memcpy(e->sha256, parts->sha256, sizeof e->sha256);
        e->n_samples = parts->n_samples;
    }
    return st;
}

static ser_status make_entry(entries *all, filling *f, size_t tree, int worker, ser_error *err)
{
    ser_tree_entry *e = &all->e[tree];
    e->frames.dims = f->out->dims;
    memcpy(e->parameters, f->key, sizeof e->parameters);
    memcpy(e->file_sha256, all->sound->content, sizeof e->file_sha256);
    ser_status st =
        f->joined ? join(e, all->e, f->recipe->spec->n_parts, err) : compute(e, all, f, worker, err);
    if (st == SER_OK && f->recipe->pool_encoder)
        ser_extractor_pool_encoder(f->extractor, e->frames.x, e->frames.n);
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
    f->out->failures[u] = ser_format("%s: %s", f->corpus->utterances[u].path, why->text);
    return f->out->failures[u] ? SER_OK : ser_fail_nomem(err);
}

static void describe(ser_tree_recording *r, const ser_tree_entry *e)
{
    r->n_frames = e->frames.n;
    r->n_samples = e->n_samples;
    memcpy(r->sha256, e->sha256, sizeof r->sha256);
    memcpy(r->file_sha256, e->file_sha256, sizeof r->file_sha256);
}

/* One tree's entry of a recording; *why: the recording is at fault. */
static ser_status fill_entry(entries *all, filling *f, size_t tree, size_t u, int worker, bool *computed,
                             ser_error *why, ser_error *err)
{
    ser_tree_recording *r = &f->index.recordings[u];
    ser_tree_entry *e = &all->e[tree];
    ser_status st = ser_tree_recording_describe(r, f->corpus, u, why);
    if (st == SER_OK && !is_whole(e, f, u, all->sound->content)) {
        st = make_entry(all, f, tree, worker, why);
        *computed = st == SER_OK;
    }
    if (st == SER_OK && *computed)
        st = ser_tree_entry_write(e, f->out->folder, r->utterance, err);
    if (st == SER_OK)
        describe(r, e);
    return st;
}

/* Of a recording that is at fault, every tree from this one on takes a note. */
static ser_status note_failures(filling_all *a, size_t tree, size_t u, const ser_error *why, ser_error *err)
{
    ser_status st = SER_OK;
    for (; tree < a->n && st == SER_OK; tree++)
        st = note_failure(&a->trees[tree], u, why, err);
    return st;
}

static ser_status note_warning(filling_all *a, size_t u, const ser_sound *sound, ser_error *err)
{
    char **line = &a->trees[0].out->warnings[u];
    if (!*ser_sound_warning(sound))
        return SER_OK;
    *line = ser_format("%s: %s", sound->utterance->path, ser_sound_warning(sound));
    return *line ? SER_OK : ser_fail_nomem(err);
}

static ser_status fill_recording(filling_all *a, size_t u, ser_sound *sound, int worker, bool *computed,
                                 ser_error *err)
{
    ser_tree_entry e[SER_MAX_PARTS + 1] = {0};
    entries all = {.e = e, .sound = sound};
    ser_error why = {0};
    size_t tree = 0;
    ser_status st = ser_sound_hash(sound, &why);
    while (tree < a->n && st == SER_OK) {
        st = fill_entry(&all, &a->trees[tree], tree, u, worker, &computed[tree], &why, err);
        tree += st == SER_OK;
    }
    if (st == SER_E_NOMEM && why.status == st)
        *err = why;
    else if (why.status != SER_OK)
        st = note_failures(a, tree, u, &why, err);
    if (st == SER_OK)
        st = note_warning(a, u, sound, err);
    ser_fingerprint_free(&all.fingerprint);
    for (size_t i = 0; i < a->n; i++)
        ser_tree_entry_release(&e[i]);
    return st;
}

static ser_status fill_item(void *context, size_t u, ser_sound *sound, int worker, ser_error *err)
{
    filling_all *a = context;
    bool computed[SER_MAX_PARTS + 1] = {false};
    ser_status st = fill_recording(a, u, sound, worker, computed, err);
    if (st != SER_OK)
        return st;
    const ser_tree_filled *last = a->trees[a->n - 1].out;
    pthread_mutex_lock(&a->lock);
    for (size_t i = 0; i < a->n; i++) {
        a->trees[i].out->n_computed += computed[i];
        a->trees[i].out->n_failed += a->trees[i].out->failures[u] != NULL;
    }
    const char *type = strrchr(last->folder, '/') + 1;
    bool go_on = ser_progress_report(&a->settings->progress, type, ++a->n_done, last->n);
    pthread_mutex_unlock(&a->lock);
    return go_on ? SER_OK
                 : ser_fail(err, SER_E_CANCELLED, "%s: interrupted: the same command goes on where it was",
                            last->folder);
}

/* ---- several ranks ---- */

/* What rank 0 learns of a tree's entry of a recording; texts follow: why it failed, and of the first tree
 * what was odd. */
typedef struct entry_facts {
    size_t n_frames, n_samples, n_failure, n_warning;
    char sha256[65], file_sha256[65];
    bool computed;
} entry_facts;

static size_t length_of(const char *text)
{
    return text ? strlen(text) : 0;
}

static void pack_entry(ser_text *t, const filling *f, size_t u, bool computed)
{
    const ser_tree_recording *r = &f->index.recordings[u];
    const char *failure = f->out->failures[u], *warning = f->out->warnings[u];
    entry_facts facts;
    memset(&facts, 0, sizeof facts);
    facts.n_frames = r->n_frames;
    facts.n_samples = r->n_samples;
    memcpy(facts.sha256, r->sha256, sizeof facts.sha256);
    memcpy(facts.file_sha256, r->file_sha256, sizeof facts.file_sha256);
    facts.computed = computed;
    facts.n_failure = length_of(failure);
    facts.n_warning = length_of(warning);
    ser_text_append_n(t, (const char *)&facts, sizeof facts);
    ser_text_append(t, failure ? failure : "");
    ser_text_append(t, warning ? warning : "");
}

static ser_status fill_dealt(void *context, size_t u, ser_sound *sound, int worker, ser_text *answer,
                             ser_error *err)
{
    filling_all *a = context;
    bool computed[SER_MAX_PARTS + 1] = {false};
    ser_status st = fill_recording(a, u, sound, worker, computed, err);
    for (size_t i = 0; i < a->n && st == SER_OK; i++)
        pack_entry(answer, &a->trees[i], u, computed[i]);
    return st;
}

/* The entry is here already where this rank made it. */
static ser_status take_entry(filling *f, size_t u, const entry_facts *facts, const char *texts,
                             ser_error *err)
{
    ser_tree_recording *r = &f->index.recordings[u];
    char **failure = &f->out->failures[u], **warning = &f->out->warnings[u];
    ser_status st = SER_OK;
    if (!r->utterance && !*failure) {
        if (!facts->n_failure)
            st = ser_tree_recording_describe(r, f->corpus, u, err);
        r->n_frames = facts->n_frames;
        r->n_samples = facts->n_samples;
        memcpy(r->sha256, facts->sha256, sizeof r->sha256);
        memcpy(r->file_sha256, facts->file_sha256, sizeof r->file_sha256);
        if (facts->n_failure && !(*failure = ser_strndup(texts, facts->n_failure)))
            st = ser_fail_nomem(err);
        if (facts->n_warning && !(*warning = ser_strndup(texts + facts->n_failure, facts->n_warning)))
            st = ser_fail_nomem(err);
    }
    f->out->n_computed += facts->computed;
    f->out->n_failed += *failure != NULL;
    return st;
}

static ser_status take_dealt(void *context, size_t u, const void *answer, size_t n, ser_error *err)
{
    filling_all *a = context;
    const char *at = answer, *end = at + n;
    ser_status st = SER_OK;
    for (size_t i = 0; i < a->n && st == SER_OK; i++) {
        entry_facts facts;
        if ((size_t)(end - at) < sizeof facts)
            return ser_fail(err, SER_E_FORMAT, "a rank answered for another tree");
        memcpy(&facts, at, sizeof facts);
        at += sizeof facts;
        st = take_entry(&a->trees[i], u, &facts, at, err);
        at += facts.n_failure + facts.n_warning;
    }
    return st;
}

static ser_status refuse_dealt(void *context, size_t u, const ser_error *why, ser_error *err)
{
    filling_all *a = context;
    for (size_t i = 0; i < a->n; i++)
        a->trees[i].out->n_failed++;
    return note_failures(a, 0, u, why, err);
}

static ser_status fill_together(filling_all *a, int n_threads, ser_error *err)
{
    const ser_tree_filled *last = a->trees[a->n - 1].out;
    const ser_sound_deal deal = {.team = a->settings->team,
                                 .watch = a->settings->watch,
                                 .n_threads = n_threads,
                                 .work = fill_dealt,
                                 .take = take_dealt,
                                 .refuse = refuse_dealt,
                                 .context = a,
                                 .progress = &a->settings->progress,
                                 .what = strrchr(last->folder, '/') + 1};
    ser_status st = ser_sound_share_out(a->corpus, &deal, err);
    return st == SER_E_CANCELLED && ser_team_is_first(deal.team)
               ? ser_fail(err, st, "%s: interrupted: the same command goes on where it was", last->folder)
               : st;
}

/* What rank 0 has just begun. */
static ser_status check_shared(const filling *f, ser_error *err)
{
    enum { PATIENCE_MS = 5000, STEP_MS = 50 };
    const struct timespec step = {.tv_nsec = STEP_MS * 1000000L};
    for (int ms = 0; access(f->index_path, F_OK) != 0; ms += STEP_MS) { /* some file systems tell late */
        if (ms >= PATIENCE_MS)
            return ser_fail(err, SER_E_IO,
                            "%s: what rank 0 wrote is not there: it must be a folder that all ranks share",
                            f->out->folder);
        nanosleep(&step, NULL);
    }
    return SER_OK;
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

static ser_status begin_folder(filling *f, ser_error *err)
{
    ser_status st = clear_folder(f, err);
    if (st == SER_OK)
        st = ser_io_make_folder(f->out->folder, err);
    return st == SER_OK ? write_index(f, 0, err) : st;
}

static ser_status begin(filling *f, int n_threads, ser_error *err)
{
    const ser_team *team = f->settings->team;
    ser_status st = ser_team_is_first(team) ? begin_folder(f, err) : SER_OK;
    if (st == SER_OK)
        st = ser_team_meet(team, err);
    if (st == SER_OK && !ser_team_is_first(team))
        st = check_shared(f, err);
    if (st != SER_OK || f->joined)
        return st;
    if (!(f->work = ser_alloc((size_t)n_threads, sizeof *f->work)))
        return ser_fail_nomem(err);
    for (int i = 0; i < n_threads && st == SER_OK; i++)
        st = ser_extractor_work_new(&f->work[i], f->extractor, 1, err);
    return st;
}

static ser_status finish(filling *f, ser_error *err)
{
    if (f->out->n_failed)
        return SER_OK;
    /* The index vouches for the files, so they are on the disk first. */
    ser_status st = ser_io_sync(f->out->folder, err);
    return st == SER_OK ? write_index(f, f->out->n, err) : ser_fail_within(err, st, "%s: ", f->out->folder);
}

static ser_status fill_folders(filling_all *a, int n_threads, ser_error *err)
{
    ser_status st = SER_OK;
    for (size_t i = 0; i < a->n && st == SER_OK; i++)
        st = begin(&a->trees[i], n_threads, err);
    if (st == SER_OK && (a->settings->team || a->settings->watch))
        st = fill_together(a, n_threads, err);
    else if (st == SER_OK) {
        pthread_mutex_init(&a->lock, NULL);
        st = ser_sound_for_each(a->corpus, n_threads, fill_item, a, err);
        pthread_mutex_destroy(&a->lock);
    }
    for (size_t i = 0; i < a->n && st == SER_OK && ser_team_is_first(a->settings->team); i++)
        st = finish(&a->trees[i], err);
    return st;
}

static void release(filling *f, int n_threads)
{
    for (int i = 0; f->work && i < n_threads; i++)
        ser_extractor_work_free(&f->work[i]);
    ser_free(f->work);
    ser_tree_index_release(&f->index);
    ser_free(f->index_path);
}

ser_status ser_trees_fill(ser_tree_filled *out, const ser_tree_content *contents, size_t n,
                          const ser_corpus *corpus, const ser_tree_fill_settings *settings, ser_error *err)
{
    filling trees[SER_MAX_PARTS + 1] = {0};
    filling_all a = {.trees = trees, .n = n, .corpus = corpus, .settings = settings};
    int n_threads = settings->n_threads > 0 ? settings->n_threads : ser_n_cores();
    ser_status st = n && n <= SER_MAX_PARTS + 1
                        ? SER_OK
                        : ser_fail(err, SER_E_ARG, "%zu trees: 1 to %d are possible", n, SER_MAX_PARTS + 1);
    for (size_t i = 0; i < n; i++)
        out[i] = (ser_tree_filled){0};
    for (size_t i = 0; i < n && st == SER_OK; i++) {
        trees[i] = (filling){.corpus = corpus,
                             .extractor = contents[i].extractor,
                             .recipe = contents[i].recipe,
                             .joined = contents[i].joined,
                             .settings = settings,
                             .out = &out[i]};
        st = prepare(&trees[i], err);
        if (st == SER_OK && ser_team_is_first(settings->team))
            st = check_folder(&trees[i], err);
    }
    if (st == SER_OK)
        st = fill_folders(&a, n_threads, err);
    for (size_t i = 0; i < n && i <= SER_MAX_PARTS; i++)
        release(&trees[i], n_threads);
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
