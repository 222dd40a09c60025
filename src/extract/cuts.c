#include "extract/cuts.h"
#include "base/memory.h"

#include <pthread.h>
#include <string.h>

enum { MAX_THREADS = 16 };

/* A cut from when it is posted until it has been handed on. */
typedef struct slot {
    ser_cut cut;
    float *pcm; /* (max_samples) */
    ser_frame_room room;
    ser_cut_fn receive;
    void *context;
    bool done; /* as is all above, guarded by the lock while a thread has it */
    ser_status status;
    ser_error error;
} slot;

typedef struct helper {
    ser_cuts *cuts;
    ser_extractor_work *work; /* from the first cut on */
    pthread_t thread;
    bool started;
} helper;

/* The i-th cut lies in slot i % n_slots. */
struct ser_cuts {
    const ser_extractor *extractor;
    ser_extractor_work *direct;  /* NULL: helpers compute */
    helper helpers[MAX_THREADS]; /* the first is whoever posts */
    size_t n_helpers, max_samples;
    slot slots[MAX_THREADS + 1];
    size_t n_slots, n_posted, n_given;
    size_t n_taken; /* by helpers */
    bool closed;
    pthread_mutex_t lock;
    pthread_cond_t posted, finished;
};

/* The next cut, by a helper; the lock is held, but not while it works. */
static void take_one(ser_cuts *c, helper *h)
{
    slot *s = &c->slots[c->n_taken++ % c->n_slots];
    pthread_mutex_unlock(&c->lock);
    bool has_sound = s->cut.n_samples;
    s->status = SER_OK;
    if (has_sound && !h->work)
        s->status = ser_extractor_work_new(&h->work, c->extractor, 1, &s->error);
    if (has_sound && s->status == SER_OK)
        s->status = ser_extract_cut(c->extractor, h->work, &s->cut, &s->room, &s->error);
    pthread_mutex_lock(&c->lock);
    s->done = true;
    pthread_cond_broadcast(&c->finished);
}

static void *help(void *argument)
{
    helper *h = argument;
    ser_cuts *c = h->cuts;
    pthread_mutex_lock(&c->lock);
    while (!c->closed) {
        if (c->n_taken < c->n_posted)
            take_one(c, h);
        else
            pthread_cond_wait(&c->posted, &c->lock);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

/* A thread that cannot start is no failure: the others do its share. */
static ser_status start(ser_cuts *c, size_t n_threads, ser_error *err)
{
    c->n_helpers = n_threads;
    c->n_slots = n_threads + 1;
    for (size_t i = 0; i < c->n_slots; i++)
        if (!(c->slots[i].pcm = ser_alloc(c->max_samples, sizeof *c->slots[i].pcm)))
            return ser_fail_nomem(err);
    for (size_t i = 0; i < n_threads; i++)
        c->helpers[i].cuts = c;
    for (size_t i = 1; i < n_threads; i++)
        c->helpers[i].started = pthread_create(&c->helpers[i].thread, NULL, help, &c->helpers[i]) == 0;
    return SER_OK;
}

ser_status ser_cuts_new(ser_cuts **out, const ser_extractor *e, ser_extractor_work *w, bool apart,
                        size_t max_samples, ser_error *err)
{
    size_t n_threads = (size_t)ser_extractor_work_threads(w);
    ser_cuts *c = *out = ser_alloc(1, sizeof *c);
    if (!c)
        return ser_fail_nomem(err);
    c->extractor = e;
    c->max_samples = max_samples;
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->posted, NULL);
    pthread_cond_init(&c->finished, NULL);
    if (!apart || n_threads < 2)
        c->direct = w;
    ser_status st = c->direct ? SER_OK : start(c, n_threads < MAX_THREADS ? n_threads : MAX_THREADS, err);
    if (st != SER_OK)
        ser_cuts_free(out);
    return st;
}

void ser_cuts_free(ser_cuts **cuts)
{
    ser_cuts *c = *cuts;
    if (!c)
        return;
    pthread_mutex_lock(&c->lock);
    c->closed = true;
    pthread_cond_broadcast(&c->posted);
    pthread_mutex_unlock(&c->lock);
    for (size_t i = 0; i < c->n_helpers; i++) {
        if (c->helpers[i].started)
            pthread_join(c->helpers[i].thread, NULL);
        ser_extractor_work_free(&c->helpers[i].work);
    }
    for (size_t i = 0; i < c->n_slots; i++) {
        ser_frame_room_release(&c->slots[i].room);
        ser_free(c->slots[i].pcm);
    }
    pthread_cond_destroy(&c->finished);
    pthread_cond_destroy(&c->posted);
    pthread_mutex_destroy(&c->lock);
    ser_free(c);
    *cuts = NULL;
}

/* Waits for the oldest, and does not only wait. */
static ser_status give_oldest(ser_cuts *c, ser_error *err)
{
    slot *s = &c->slots[c->n_given % c->n_slots];
    pthread_mutex_lock(&c->lock);
    while (!s->done) {
        if (c->n_taken < c->n_posted)
            take_one(c, &c->helpers[0]);
        else
            pthread_cond_wait(&c->finished, &c->lock);
    }
    pthread_mutex_unlock(&c->lock);
    c->n_given++;
    if (s->status != SER_OK && err)
        *err = s->error;
    return s->status == SER_OK ? s->receive(s->context, &s->cut, err) : s->status;
}

static ser_status compute_now(ser_cuts *c, const ser_cut *cut, ser_cut_fn receive, void *context,
                              ser_error *err)
{
    ser_cut own = *cut;
    ser_status st = own.n_samples ? ser_extract_cut(c->extractor, c->direct, &own, NULL, err) : SER_OK;
    return st == SER_OK ? receive(context, &own, err) : st;
}

ser_status ser_cuts_post(ser_cuts *c, const ser_cut *cut, ser_cut_fn receive, void *context, ser_error *err)
{
    if (c->direct)
        return compute_now(c, cut, receive, context, err);
    if (c->n_posted - c->n_given == c->n_slots) {
        ser_status st = give_oldest(c, err);
        if (st != SER_OK)
            return st;
    }
    slot *s = &c->slots[c->n_posted % c->n_slots];
    s->cut = *cut;
    if (cut->n_samples)
        s->cut.pcm = memcpy(s->pcm, cut->pcm, cut->n_samples * sizeof *s->pcm);
    s->receive = receive;
    s->context = context;
    s->done = false;
    pthread_mutex_lock(&c->lock);
    c->n_posted++;
    pthread_cond_signal(&c->posted);
    pthread_mutex_unlock(&c->lock);
    return SER_OK;
}

ser_status ser_cuts_drain(ser_cuts *c, ser_error *err)
{
    ser_status st = SER_OK;
    while (st == SER_OK && c->n_given < c->n_posted)
        st = give_oldest(c, err);
    return st;
}
