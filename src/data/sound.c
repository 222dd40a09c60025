#include "data/sound.h"
#include "audio/audio.h"
#include "base/memory.h"
#include "base/sha256.h"
#include "base/threads.h"
#include "io/file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const double MAX_ROUNDED_S = 0.1; /* by which a table may be wrong of where a file ends */

struct ser_sound_file {
    const char *path;
    ser_bytes bytes; /* until it is decoded */
    bool is_hashed;
    char sha256[65];
    float *pcm;
    size_t n_samples;
    char warning[256];
};

static void close_file(ser_sound_file *f)
{
    ser_bytes_release(&f->bytes);
    ser_free(f->pcm);
    *f = (ser_sound_file){0};
}

static ser_status hash_file(ser_sound_file *f, ser_error *err)
{
    if (f->is_hashed)
        return SER_OK;
    ser_status st = ser_io_read(&f->bytes, f->path, 0, err);
    if (st != SER_OK)
        return st;
    ser_sha256_of(f->sha256, f->bytes.data, f->bytes.n);
    f->is_hashed = true;
    return SER_OK;
}

static ser_status decode_file(ser_sound_file *f, ser_error *err)
{
    if (f->pcm)
        return SER_OK;
    ser_status st = f->bytes.data ? SER_OK : ser_io_read(&f->bytes, f->path, 0, err);
    if (st == SER_OK)
        st = ser_audio_load_memory(&f->pcm, &f->n_samples, f->bytes.data, f->bytes.n, f->warning, err);
    ser_bytes_release(&f->bytes);
    return st;
}

/* ---- stretches ---- */

static bool is_stretch(const ser_utterance *u)
{
    return u->start_s > 0 || u->end_s > 0;
}

/* SIZE_MAX: to the end. */
static void stretch_of(const ser_utterance *u, size_t *first, size_t *end)
{
    static const double longest_s = 1e9; /* far beyond any recording, and within size_t */
    *first = (size_t)llround(fmin(fmax(u->start_s, 0), longest_s) * SER_SAMPLE_RATE_HZ);
    *end = u->end_s > 0 ? (size_t)llround(fmin(u->end_s, longest_s) * SER_SAMPLE_RATE_HZ) : SIZE_MAX;
}

ser_status ser_sound_hash(ser_sound *s, ser_error *err)
{
    ser_status st = hash_file(s->file, err);
    if (st != SER_OK)
        return st;
    memcpy(s->content, s->file->sha256, sizeof s->content);
    if (!is_stretch(s->utterance))
        return SER_OK;
    size_t first, end;
    char text[128];
    stretch_of(s->utterance, &first, &end);
    int n = snprintf(text, sizeof text, "%s %zu %zu", s->file->sha256, first, end);
    ser_sha256_of(s->content, text, (size_t)n);
    return SER_OK;
}

ser_status ser_sound_decode(ser_sound *s, ser_error *err)
{
    if (s->pcm)
        return SER_OK;
    ser_status st = decode_file(s->file, err);
    if (st != SER_OK)
        return st;
    size_t first, end, n = s->file->n_samples;
    stretch_of(s->utterance, &first, &end);
    if (end > n)
        end = n;
    if (first >= end || end - first < SER_MIN_SAMPLES)
        return ser_fail(err, SER_E_FORMAT,
                        "it holds %.3f s, of which from %g to %g s less than 25 ms: name another stretch",
                        (double)n / SER_SAMPLE_RATE_HZ, s->utterance->start_s, s->utterance->end_s);
    double behind_s = s->utterance->end_s - (double)n / SER_SAMPLE_RATE_HZ;
    if (s->utterance->end_s > 0 && behind_s > MAX_ROUNDED_S)
        snprintf(s->beyond, sizeof s->beyond, "it holds %.3f s, and its stretch ends at %g s",
                 (double)n / SER_SAMPLE_RATE_HZ, s->utterance->end_s);
    s->pcm = s->file->pcm + first;
    s->n_samples = end - first;
    return SER_OK;
}

const char *ser_sound_warning(const ser_sound *s)
{
    return *s->beyond ? s->beyond : s->file->warning;
}

/* ---- all of a corpus ---- */

typedef struct files {
    const ser_corpus *corpus;
    size_t *order; /* (n_utterances): file by file */
    size_t *first; /* (n + 1): where a file's recordings begin */
    size_t n;
    ser_sound_work work;
    void *context;
} files;

typedef struct place {
    const char *path;
    size_t utterance, leader; /* the first utterance of the same file */
} place;

static int by_path(const void *a, const void *b)
{
    const place *x = a, *y = b;
    int c = strcmp(x->path, y->path);
    return c ? c : (x->utterance > y->utterance) - (x->utterance < y->utterance);
}

static int by_leader(const void *a, const void *b)
{
    const place *x = a, *y = b;
    if (x->leader != y->leader)
        return x->leader < y->leader ? -1 : 1;
    return (x->utterance > y->utterance) - (x->utterance < y->utterance);
}

/* Files in the order of their first recordings, so that of several failures the first is told. */
static ser_status sort(files *f, ser_error *err)
{
    size_t n = f->corpus->n_utterances;
    place *places = ser_alloc(n, sizeof *places);
    f->order = ser_alloc(n, sizeof *f->order);
    f->first = ser_alloc(n + 1, sizeof *f->first);
    if (!places || !f->order || !f->first) {
        ser_free(places);
        return ser_fail_nomem(err);
    }
    for (size_t u = 0; u < n; u++)
        places[u] = (place){.path = f->corpus->utterances[u].path, .utterance = u};
    qsort(places, n, sizeof *places, by_path);
    for (size_t i = 0; i < n; i++)
        places[i].leader =
            i && strcmp(places[i - 1].path, places[i].path) == 0 ? places[i - 1].leader : places[i].utterance;
    qsort(places, n, sizeof *places, by_leader);
    for (size_t i = 0; i < n; i++) {
        if (!i || places[i].leader != places[i - 1].leader)
            f->first[f->n++] = i;
        f->order[i] = places[i].utterance;
    }
    f->first[f->n] = n;
    ser_free(places);
    return SER_OK;
}

static ser_status work_on_file(void *context, size_t i, int worker, ser_error *err)
{
    const files *f = context;
    ser_sound_file file = {.path = f->corpus->utterances[f->order[f->first[i]]].path};
    ser_status st = SER_OK;
    for (size_t k = f->first[i]; k < f->first[i + 1] && st == SER_OK; k++) {
        size_t u = f->order[k];
        ser_sound sound = {.utterance = &f->corpus->utterances[u], .file = &file};
        st = f->work(f->context, u, &sound, worker, err);
    }
    close_file(&file);
    return st;
}

ser_status ser_sound_for_each(const ser_corpus *corpus, int n_threads, ser_sound_work work, void *context,
                              ser_error *err)
{
    files f = {.corpus = corpus, .work = work, .context = context};
    ser_status st = sort(&f, err);
    if (st == SER_OK)
        st = ser_parallel_for(n_threads, f.n, work_on_file, &f, err);
    ser_free(f.order);
    ser_free(f.first);
    return st;
}

/* ---- dealt ---- */

typedef struct dealt_files {
    files all;
    const ser_sound_deal *deal;
    ser_todo todo;
    size_t first; /* of todo: where the deal under way begins */
} dealt_files;

static const char *path_of(const files *f, size_t i)
{
    return f->corpus->utterances[f->order[f->first[i]]].path;
}

/* Before each recording's answer stands how many bytes it has. */
static ser_status work_on_recording(const dealt_files *d, size_t u, ser_sound_file *file, int worker,
                                    ser_text *answer, ser_error *err)
{
    ser_sound sound = {.utterance = &d->all.corpus->utterances[u], .file = file};
    ser_text own = {0};
    ser_status st = d->deal->work(d->deal->context, u, &sound, worker, &own, err);
    ser_text_append_n(answer, (const char *)&own.n, sizeof own.n);
    if (own.n)
        ser_text_append_n(answer, own.s, own.n);
    answer->failed = answer->failed || own.failed;
    ser_text_release(&own);
    return st;
}

static ser_status work_on_dealt(void *context, size_t item, int worker, ser_text *answer, ser_error *err)
{
    const dealt_files *d = context;
    const files *f = &d->all;
    const ser_watch *watch = d->deal->watch;
    size_t i = d->todo.items[d->first + item];
    ser_sound_file file = {.path = path_of(f, i)};
    ser_status st = SER_OK;
    if (watch)
        watch->begin(watch->context, file.path);
    for (size_t k = f->first[i]; k < f->first[i + 1] && st == SER_OK; k++)
        st = work_on_recording(d, f->order[k], &file, worker, answer, err);
    if (watch)
        watch->end(watch->context, file.path);
    close_file(&file);
    return st;
}

static ser_status take_dealt(void *context, size_t item, const void *answer, size_t n, ser_error *err)
{
    const dealt_files *d = context;
    const files *f = &d->all;
    const char *at = answer, *end = at + n;
    size_t i = d->todo.items[d->first + item], n_own;
    ser_status st = SER_OK;
    for (size_t k = f->first[i]; k < f->first[i + 1] && st == SER_OK && d->deal->take; k++, at += n_own) {
        if ((size_t)(end - at) < sizeof n_own)
            return ser_fail(err, SER_E_FORMAT, "%s: a rank answered for other recordings", path_of(f, i));
        memcpy(&n_own, at, sizeof n_own);
        at += sizeof n_own;
        st = d->deal->take(d->deal->context, f->order[k], at, n_own, err);
    }
    return st;
}

/* Rank 0: the files, but for those that ended the program too often. */
static ser_status list_files(const dealt_files *d, ser_todo_item *all, size_t *n, ser_error *err)
{
    const files *f = &d->all;
    const ser_watch *watch = d->deal->watch;
    ser_status st = SER_OK;
    for (size_t i = 0; i < f->n && st == SER_OK; i++) {
        struct stat info;
        ser_error why = {0};
        int n_crashes = watch ? watch->crashes(watch->context, path_of(f, i), &why) : 0;
        if (why.status == SER_OK)
            all[(*n)++] =
                (ser_todo_item){i, stat(path_of(f, i), &info) == 0 ? (size_t)info.st_size : 0, n_crashes > 0};
        for (size_t k = f->first[i]; why.status != SER_OK && k < f->first[i + 1] && st == SER_OK; k++)
            st = d->deal->refuse(d->deal->context, f->order[k], &why, err);
    }
    return st;
}

static void stop_watch(void *context)
{
    const ser_watch *watch = ((const dealt_files *)context)->deal->watch;
    watch->stop(watch->context);
}

static ser_status deal_files(dealt_files *d, size_t first, size_t n, int n_threads, ser_error *err)
{
    const ser_watch *watch = d->deal->watch;
    const ser_deal deal = {.n_items = n,
                           .sizes = d->todo.sizes ? d->todo.sizes + first : NULL,
                           .n_threads = n_threads,
                           .work = work_on_dealt,
                           .take = take_dealt,
                           .on_stop = watch ? stop_watch : NULL,
                           .context = d,
                           .progress = d->deal->progress,
                           .what = d->deal->what};
    d->first = first;
    return n ? ser_team_deal(d->deal->team, &deal, err) : SER_OK;
}

ser_status ser_sound_share_out(const ser_corpus *corpus, const ser_sound_deal *deal, ser_error *err)
{
    dealt_files d = {.all = {.corpus = corpus}, .deal = deal};
    size_t n = 0;
    ser_status st = sort(&d.all, err);
    ser_todo_item *all = ser_alloc(d.all.n, sizeof *all);
    if (st == SER_OK && !all)
        st = ser_fail_nomem(err);
    if (st == SER_OK && ser_team_is_first(deal->team))
        st = list_files(&d, all, &n, err);
    if (st == SER_OK)
        st = ser_todo_share(&d.todo, deal->team, all, n, err);
    if (st == SER_OK)
        st = deal_files(&d, 0, d.todo.n_alone, 1, err);
    if (st == SER_OK)
        st = deal_files(&d, d.todo.n_alone, d.todo.n - d.todo.n_alone, deal->n_threads, err);
    ser_free(all);
    ser_todo_release(&d.todo);
    ser_free(d.all.order);
    ser_free(d.all.first);
    return st;
}
