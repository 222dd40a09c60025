#include "data/intake.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/threads.h"
#include "model/pooled.h"

#include <pthread.h>
#include <string.h>

/* What belongs to one thread. */
typedef struct intake_worker {
    ser_extractor_work *work;
    ser_pooling pool;
    ser_frame_buffer frames;
    float *scratch; /* ser_pooled_dims */
} intake_worker;

typedef struct intake {
    const ser_corpus *corpus;
    const ser_intake_settings *settings;
    ser_store *store;
    ser_frame_set *frames; /* NULL: not wanted */
    intake_worker *workers;
    bool *done;           /* (n_utterances): taken in already; NULL: none is */
    pthread_mutex_t lock; /* guards what follows, store->n_computed and the progress callback */
    size_t n_done;
} intake;

/* ---- a row ---- */

/* Who is given the frames; either may be NULL. */
typedef struct receivers {
    ser_pooling *pool;
    ser_frame_buffer *frames;
} receivers;

static ser_status receive(void *context, const ser_frames *frames, ser_error *err)
{
    const receivers *r = context;
    if (r->pool)
        ser_pooling_add(r->pool, frames);
    return r->frames ? ser_frame_buffer_add(r->frames, frames, err) : SER_OK;
}

/* What is not found in the cache is made of the frames, which are looked for once. */
static ser_status take_row(intake *in, ser_recording_features *f, size_t u, size_t row, intake_worker *w,
                           bool *computed, ser_error *err)
{
    const ser_extractor *e = in->settings->extractor;
    bool in_tree = row == 0 && f->in_tree;
    float *pooled = ser_store_row(in->store, u, row);
    ser_frame_row *own = in->frames ? &in->frames->rows[u * in->frames->n_rows + row] : NULL;
    bool has_pooled = !in_tree && ser_features_read_pooled(f, row, pooled);
    bool has_frames = !own || (!in_tree && ser_frame_row_read(own, in->frames, f, row));
    if (has_pooled && has_frames)
        return SER_OK;
    receivers wanted = {has_pooled ? NULL : &w->pool, has_frames ? NULL : &w->frames};
    ser_pooling_clear(&w->pool);
    w->frames.n = 0;
    ser_status st = ser_features_frames(f, row, w->work, receive, &wanted, err);
    if (st != SER_OK)
        return st;
    *computed = !in_tree;
    if (!has_pooled)
        ser_pooling_finish(e, &w->pool, pooled, w->scratch);
    if (!has_pooled && !in_tree)
        ser_features_write_pooled(f, row, pooled);
    if (!has_frames)
        st = ser_frame_row_fill(own, in->frames, &w->frames, err);
    if (st == SER_OK && !has_frames && !in_tree)
        ser_frame_row_write(own, in->frames, f, row);
    return st;
}

/* ---- a recording ---- */

static ser_status take_rows(intake *in, size_t u, ser_recording_features *f, intake_worker *w,
                            size_t *n_computed, ser_error *err)
{
    ser_status st = ser_features_describe(f, &in->store->recordings[u], err);
    for (size_t row = 0; row < in->store->n_rows && st == SER_OK; row++) {
        bool computed = false;
        st = take_row(in, f, u, row, w, &computed, err);
        *n_computed += computed;
    }
    return st == SER_OK ? st : ser_fail_within(err, st, "%s: ", in->corpus->utterances[u].path);
}

static ser_status take_in(void *context, size_t u, ser_sound *sound, int worker, ser_error *err)
{
    intake *in = context;
    ser_recording_features f;
    size_t n_computed = 0;
    bool done = in->done && in->done[u];
    ser_status st = done ? SER_OK : ser_features_open(&f, in->settings, sound, err);
    if (st == SER_OK && !done)
        st = take_rows(in, u, &f, &in->workers[worker], &n_computed, err);
    if (!done)
        ser_features_release(&f);
    if (st != SER_OK)
        return st;
    pthread_mutex_lock(&in->lock);
    in->store->n_computed += n_computed;
    bool go_on =
        ser_progress_report(&in->settings->progress, "features", ++in->n_done, in->corpus->n_utterances);
    pthread_mutex_unlock(&in->lock);
    return go_on ? SER_OK
                 : ser_fail(err, SER_E_CANCELLED, "interrupted: what was computed is kept for the next run");
}

/* Where others compute as well. */
static ser_status take_in_dealt(void *context, size_t u, ser_sound *sound, int worker, ser_text *answer,
                                ser_error *err)
{
    intake *in = context;
    ser_recording_features f;
    size_t n_computed = 0;
    (void)answer;
    ser_status st = ser_features_open(&f, in->settings, sound, err);
    if (st == SER_OK)
        st = take_rows(in, u, &f, &in->workers[worker], &n_computed, err);
    ser_features_release(&f);
    in->done[u] = st == SER_OK;
    return st;
}

static ser_status take_none(void *context, size_t u, const void *answer, size_t n, ser_error *err)
{
    (void)context, (void)u, (void)answer, (void)n, (void)err;
    return SER_OK;
}

/* Learned from is all or nothing: a recording that is left out would change every figure. */
static ser_status refuse_dealt(void *context, size_t u, const ser_error *why, ser_error *err)
{
    const intake *in = context;
    return ser_fail(err, why->status, "%s: %s", in->corpus->utterances[u].path, why->text);
}

/* ---- all recordings ---- */

static void free_workers(intake_worker *workers, int n)
{
    for (int i = 0; workers && i < n; i++) {
        ser_extractor_work_free(&workers[i].work);
        ser_pooling_release(&workers[i].pool);
        ser_frame_buffer_release(&workers[i].frames);
        ser_free(workers[i].scratch);
    }
    ser_free(workers);
}

static ser_status new_workers(intake_worker **out, int n, const ser_extractor *e, ser_error *err)
{
    *out = ser_alloc((size_t)n, sizeof **out);
    if (!*out)
        return ser_fail_nomem(err);
    ser_status st = SER_OK;
    for (int i = 0; i < n && st == SER_OK; i++) {
        intake_worker *w = &(*out)[i];
        w->frames.dims = ser_extractor_dims(e);
        w->scratch = ser_alloc(ser_pooled_dims(e), sizeof *w->scratch);
        st = w->scratch ? ser_extractor_work_new(&w->work, e, 1, err) : ser_fail_nomem(err);
        if (st == SER_OK)
            st = ser_pooling_init(&w->pool, ser_extractor_dims(e), err);
    }
    return st;
}

static ser_status run(intake *in, ser_error *err)
{
    const ser_intake_settings *s = in->settings;
    int n_threads = s->n_threads > 0 ? s->n_threads : ser_n_cores();
    ser_status st = new_workers(&in->workers, n_threads, s->extractor, err);
    /* Each rank computes a part, which is kept; after that everybody has all of it, and where ranks share no
     * cache folder each computes what it does not find. */
    if (st == SER_OK && (s->team || s->watch) && s->folder && !s->without_audio) {
        if (!(in->done = ser_alloc(in->corpus->n_utterances, sizeof *in->done)))
            st = ser_fail_nomem(err);
        const ser_sound_deal deal = {.team = s->team,
                                     .n_threads = n_threads,
                                     .watch = s->watch,
                                     .work = take_in_dealt,
                                     .take = take_none,
                                     .refuse = refuse_dealt,
                                     .context = in,
                                     .progress = &s->progress,
                                     .what = "features"};
        if (st == SER_OK)
            st = ser_sound_share_out(in->corpus, &deal, err);
    }
    if (st == SER_OK) {
        pthread_mutex_init(&in->lock, NULL);
        st = ser_sound_for_each(in->corpus, n_threads, take_in, in, err);
        pthread_mutex_destroy(&in->lock);
    }
    free_workers(in->workers, n_threads);
    ser_free(in->done);
    return st;
}

/* For what is computed beside recordings. */
static ser_status keep_recipe(ser_store *s, const ser_intake_settings *settings, ser_error *err)
{
    ser_text t = {0};
    ser_text_appendf(&t, "%s", settings->features_key);
    for (size_t b = 0; b < ser_extractor_n_blocks(settings->extractor); b++) {
        ser_text_append(&t, " ");
        ser_feature_spec_block_key(ser_extractor_spec(settings->extractor), b, &t);
    }
    s->recipe = t.s;
    s->folder = settings->folder ? ser_strdup(settings->folder) : NULL;
    return t.failed || (settings->folder && !s->folder) ? ser_fail_nomem(err) : SER_OK;
}

ser_status ser_intake(ser_store **store, ser_frame_set **frames, const ser_corpus *corpus,
                      const ser_intake_settings *settings, const ser_condense *condense, ser_error *err)
{
    intake in = {.corpus = corpus, .settings = settings};
    size_t n_rows = ser_features_n_rows(settings);
    ser_status st = ser_store_new(&in.store, corpus->n_utterances, settings->n_copies, n_rows,
                                  ser_pooled_dims(settings->extractor), err);
    if (st == SER_OK && condense)
        st = ser_frame_set_new(&in.frames, corpus->n_utterances, settings->n_copies, n_rows,
                               ser_extractor_dims(settings->extractor), condense, err);
    if (st == SER_OK)
        st = keep_recipe(in.store, settings, err);
    if (st == SER_OK)
        st = run(&in, err);
    if (st != SER_OK) {
        ser_store_free(&in.store);
        ser_frame_set_free(&in.frames);
    }
    *store = in.store;
    if (frames)
        *frames = in.frames;
    return st;
}
