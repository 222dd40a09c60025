#include "run/predict.h"
#include "base/memory.h"
#include "base/threads.h"
#include "run/answer_bytes.h"
#include "run/host.h"

#include <pthread.h>
#include <string.h>
#include <sys/stat.h>

/* One recording's answer, until its turn comes. */
typedef struct answer {
    bool done;
    ser_result *result; /* NULL: failure */
    ser_error *failure;
} answer;

typedef struct job {
    const ser_model *model;
    const char *const *paths;
    size_t n;
    const ser_predict_many_settings *settings;
    int session_threads;
    ser_session *voice;     /* knows the baseline, or is adapted; NULL: there is none */
    ser_session **sessions; /* one per thread, made when the thread gets its first recording */
    answer *answers;
    pthread_mutex_t lock; /* guards what follows, and the order of answers */
    size_t n_told, n_done;
} job;

static void answer_release(answer *a)
{
    ser_result_release(a->result);
    ser_free(a->result);
    ser_free(a->failure);
    a->result = NULL;
    a->failure = NULL;
}

static ser_status new_session(ser_session **out, const job *j, ser_error *err)
{
    const ser_session_settings settings = {.size = sizeof settings, .n_threads = j->session_threads};
    return ser_session_new(out, j->model, &settings, err);
}

static ser_status get_session(job *j, int worker, ser_session **session, ser_error *err)
{
    ser_status st = SER_OK;
    if (!j->sessions[worker]) {
        st = new_session(&j->sessions[worker], j, err);
        if (st == SER_OK && j->voice)
            st = ser_session_copy_baseline(j->sessions[worker], j->voice, err);
        if (st == SER_OK && j->settings->follow)
            st = ser_session_follow_voice(j->sessions[worker], err);
    }
    *session = j->sessions[worker];
    return st;
}

/* Of the only recording. */
static int tell_heard(void *context, double heard_s, double total_s)
{
    size_t done_s = (size_t)heard_s, all_s = (size_t)total_s;
    return !ser_progress_report(context, "seconds", all_s && done_s > all_s ? all_s : done_s, all_s);
}

static void tell_ready(job *j)
{
    while (j->n_told < j->n && j->answers[j->n_told].done) {
        answer *a = &j->answers[j->n_told];
        j->settings->on_answer(j->settings->context, j->n_told++, a->result, a->failure);
        answer_release(a);
    }
}

/* ser_work: a recording that fails does not, so that the others are still answered. */
static ser_status answer_one(void *context, size_t i, int worker, ser_error *err)
{
    job *j = context;
    answer *a = &j->answers[i];
    ser_session *session;
    ser_predict_options options = {.size = sizeof options,
                                   .timeline = j->settings->timeline,
                                   .n_peaks = j->settings->n_peaks,
                                   .sound = j->settings->sound};
    if (j->n == 1 && j->settings->progress.fn) {
        options.on_progress = tell_heard;
        options.context = (void *)&j->settings->progress;
    }
    a->result = ser_alloc(1, sizeof *a->result);
    a->failure = ser_alloc(1, sizeof *a->failure);
    if (!a->result || !a->failure)
        return ser_fail_nomem(err);
    ser_status st = get_session(j, worker, &session, a->failure);
    if (st == SER_OK)
        st = ser_predict_file(session, j->paths[i], &options, a->result, a->failure);
    if (st == SER_E_CANCELLED)
        return ser_fail(err, st, "interrupted");
    if (st == SER_OK) {
        ser_free(a->failure);
        a->failure = NULL;
    } else {
        ser_free(a->result);
        a->result = NULL;
    }
    pthread_mutex_lock(&j->lock);
    a->done = true;
    tell_ready(j);
    j->n_done++;
    bool go_on = j->n == 1 || ser_progress_report(&j->settings->progress, "recordings", j->n_done, j->n);
    pthread_mutex_unlock(&j->lock);
    return go_on ? SER_OK : ser_fail(err, SER_E_CANCELLED, "interrupted");
}

static ser_status hear_voice(job *j, ser_error *err)
{
    const ser_predict_many_settings *s = j->settings;
    ser_status st = new_session(&j->voice, j, err);
    if (st != SER_OK)
        return st;
    return s->adapt ? ser_session_adapt(j->voice, s->voice, s->n_voice, err)
                    : ser_session_set_baseline(j->voice, s->voice, s->n_voice, err);
}

/* ---- several ranks, or a journal ---- */

/* An answer as bytes, until its turn comes: there may be a million of them. */
typedef struct packed {
    char *bytes;
    size_t n;
} packed;

typedef struct shared_job {
    job *j;
    ser_journal *journal;   /* or NULL */
    const ser_watch *watch; /* its */
    packed *answers;        /* (n); rank 0: those that are not told yet */
    bool *done;             /* (n); rank 0 */
    ser_todo todo;
    size_t first; /* of todo: where the deal under way begins */
} shared_job;

static ser_status tell_packed(const shared_job *s, size_t i, ser_error *err)
{
    ser_result r;
    ser_error failure;
    bool failed;
    ser_status st = ser_answer_unpack(&r, &failure, &failed, s->answers[i].bytes, s->answers[i].n, err);
    if (st == SER_OK)
        s->j->settings->on_answer(s->j->settings->context, i, failed ? NULL : &r, failed ? &failure : NULL);
    ser_result_release(&r);
    return st;
}

static ser_status take_packed(void *context, size_t i, const void *bytes, size_t n, ser_error *err)
{
    shared_job *s = context;
    job *j = s->j;
    ser_status st = SER_OK;
    if (i >= j->n || s->done[i])
        return SER_OK; /* of a journal that is damaged: the recording is answered anew */
    if (!(s->answers[i].bytes = ser_alloc(n, 1)))
        return ser_fail_nomem(err);
    memcpy(s->answers[i].bytes, bytes, n);
    s->answers[i].n = n;
    s->done[i] = true;
    for (; j->n_told < j->n && s->done[j->n_told] && st == SER_OK; j->n_told++) {
        st = tell_packed(s, j->n_told, err);
        ser_free(s->answers[j->n_told].bytes);
        s->answers[j->n_told] = (packed){0};
    }
    return st;
}

/* An answer of the run before: it was looked at before it was kept, and may be damaged since. */
static ser_status take_kept(void *context, size_t i, const void *bytes, size_t n, ser_error *err)
{
    ser_result r;
    ser_error failure;
    bool failed;
    ser_status st = ser_answer_unpack(&r, &failure, &failed, bytes, n, err);
    ser_result_release(&r);
    return st == SER_OK ? take_packed(context, i, bytes, n, err) : st;
}

static ser_status take_answer(void *context, size_t item, const void *bytes, size_t n, ser_error *err)
{
    shared_job *s = context;
    size_t i = s->todo.items[s->first + item];
    ser_status st = s->journal ? ser_journal_keep(s->journal, i, bytes, n, err) : SER_OK;
    return st == SER_OK ? take_packed(s, i, bytes, n, err) : st;
}

static ser_status answer_packed(void *context, size_t item, int worker, ser_text *out, ser_error *err)
{
    shared_job *s = context;
    job *j = s->j;
    size_t i = s->todo.items[s->first + item];
    ser_session *session;
    ser_result r = {0};
    ser_error failure = {0};
    const ser_predict_options options = {.size = sizeof options,
                                         .timeline = j->settings->timeline,
                                         .n_peaks = j->settings->n_peaks,
                                         .sound = j->settings->sound};
    if (s->watch)
        s->watch->begin(s->watch->context, j->paths[i]);
    ser_status st = get_session(j, worker, &session, &failure);
    if (st == SER_OK)
        st = ser_predict_file(session, j->paths[i], &options, &r, &failure);
    if (s->watch)
        s->watch->end(s->watch->context, j->paths[i]);
    if (st == SER_E_CANCELLED)
        return ser_fail(err, st, "interrupted");
    ser_answer_pack(out, st == SER_OK ? &r : NULL, &failure);
    ser_result_release(&r);
    return SER_OK;
}

/* Rank 0: what is to be done; what ended the program too often is answered for. */
static ser_status list_todo(shared_job *s, ser_todo_item *all, size_t *n, ser_error *err)
{
    const job *j = s->j;
    ser_status st = SER_OK;
    for (size_t i = 0; i < j->n && st == SER_OK; i++) {
        struct stat info;
        ser_error why = {0};
        ser_text aside = {0};
        int n_crashes = s->watch && !s->done[i] ? s->watch->crashes(s->watch->context, j->paths[i], &why) : 0;
        if (why.status != SER_OK) {
            ser_answer_pack(&aside, NULL, &why);
            st = aside.failed ? ser_fail_nomem(err) : take_packed(s, i, aside.s, aside.n, err);
            ser_text_release(&aside);
        } else if (!s->done[i]) {
            /* The size of a file says enough of its length. */
            size_t size = stat(j->paths[i], &info) == 0 ? (size_t)info.st_size : 0;
            all[(*n)++] = (ser_todo_item){i, size, n_crashes > 0};
        }
    }
    return st;
}

static ser_status share_todo(shared_job *s, ser_error *err)
{
    const ser_team *team = s->j->settings->team;
    size_t n = 0;
    ser_todo_item *all = ser_alloc(s->j->n, sizeof *all);
    ser_status st = all ? SER_OK : ser_fail_nomem(err);
    if (st == SER_OK && ser_team_is_first(team))
        st = list_todo(s, all, &n, err);
    if (st == SER_OK)
        st = ser_todo_share(&s->todo, team, all, n, err);
    ser_free(all);
    return st;
}

static void stop_watch(void *context)
{
    const ser_watch *watch = ((shared_job *)context)->watch;
    watch->stop(watch->context);
}

static ser_status deal_answers(shared_job *s, size_t first, size_t n, int n_threads, ser_error *err)
{
    const ser_deal deal = {.n_items = n,
                           .sizes = s->todo.sizes ? s->todo.sizes + first : NULL,
                           .n_threads = n_threads,
                           .work = answer_packed,
                           .take = take_answer,
                           .on_stop = s->watch ? stop_watch : NULL,
                           .context = s,
                           .progress = &s->j->settings->progress,
                           .what = "recordings"};
    s->first = first;
    return n ? ser_team_deal(s->j->settings->team, &deal, err) : SER_OK;
}

static ser_status answer_together(job *j, int n_threads, ser_error *err)
{
    shared_job s = {.j = j,
                    .journal = j->settings->journal,
                    .watch = ser_journal_watch(j->settings->journal),
                    .answers = ser_alloc(j->n, sizeof *s.answers),
                    .done = ser_alloc(j->n, sizeof *s.done)};
    ser_status st = s.answers && s.done ? SER_OK : ser_fail_nomem(err);
    if (st == SER_OK && s.journal && ser_team_is_first(j->settings->team))
        st = ser_journal_answers(s.journal, take_kept, &s, err);
    if (st == SER_OK)
        st = share_todo(&s, err);
    if (st == SER_OK)
        st = deal_answers(&s, 0, s.todo.n_alone, 1, err);
    if (st == SER_OK)
        st = deal_answers(&s, s.todo.n_alone, s.todo.n - s.todo.n_alone, n_threads, err);
    for (size_t i = 0; s.answers && i < j->n; i++)
        ser_free(s.answers[i].bytes);
    ser_free(s.answers);
    ser_free(s.done);
    ser_todo_release(&s.todo);
    return st;
}

ser_status ser_predict_many(const ser_model *model, const char *const *paths, size_t n,
                            const ser_predict_many_settings *settings, ser_error *err)
{
    int n_cores = settings->n_jobs ? settings->n_jobs : ser_n_cores();
    size_t n_all = settings->n_all ? settings->n_all : n;
    /* Many recordings: one to a thread. */
    int n_threads = n_all > 1 && !settings->follow ? n_cores : 1;
    job j = {.model = model,
             .paths = paths,
             .n = n,
             .settings = settings,
             .session_threads = n_threads > 1 ? 1 : n_cores,
             .answers = ser_alloc(n, sizeof *j.answers),
             .sessions = ser_alloc((size_t)n_threads, sizeof(ser_session *))};
    ser_status st = j.answers && j.sessions ? SER_OK : ser_fail_nomem(err);
    if (st == SER_OK && settings->n_voice)
        st = hear_voice(&j, err);
    pthread_mutex_init(&j.lock, NULL);
    if (st == SER_OK)
        st = settings->team || settings->journal ? answer_together(&j, n_threads, err)
                                                 : ser_parallel_for(n_threads, n, answer_one, &j, err);
    pthread_mutex_destroy(&j.lock);
    for (size_t i = 0; i < n && j.answers; i++)
        answer_release(&j.answers[i]);
    for (int t = 0; t < n_threads && j.sessions; t++)
        ser_session_free(&j.sessions[t]);
    ser_session_free(&j.voice);
    ser_free(j.answers);
    ser_free(j.sessions);
    return st;
}

/* ---- for other programs ---- */

void ser_run_predict_settings_init(ser_run_predict_settings *s, size_t size)
{
    const ser_run_predict_settings own = {.size = size};
    memset(s, 0, size);
    memcpy(s, &own, size < sizeof own ? size : sizeof own);
}

enum { MAX_THREADS = 1024 };

static ser_status check_predict(const ser_run_predict_settings *s, ser_error *err)
{
    if (s->size < offsetof(ser_run_predict_settings, n_threads))
        return ser_fail(err, SER_E_ARG, "settings: size is missing: fill them with their init function");
    if (!s->on_answer)
        return ser_fail(err, SER_E_ARG, "on_answer: nobody would hear the answers");
    if (s->n_threads < 0 || s->n_threads > MAX_THREADS)
        return ser_fail(err, SER_E_ARG, "n_threads: %d does not fit: give 0 to %d", s->n_threads,
                        MAX_THREADS);
    if (s->adapt && !s->n_voice)
        return ser_fail(err, SER_E_ARG, "adapt: there are no recordings to adapt to: give voice");
    if (s->follow && s->n_voice)
        return ser_fail(err, SER_E_ARG, "follow: the baseline is made of the recordings: leave out voice");
    return SER_OK;
}

ser_status ser_run_predict(const ser_model *model, const char *const *paths, size_t n,
                           const ser_run_predict_settings *settings, const ser_run_listener *listener,
                           ser_error *err)
{
    ser_run_predict_settings own;
    ser_run_host host;
    ser_run_predict_settings_init(&own, sizeof own);
    memcpy(&own, settings, settings->size < sizeof own ? settings->size : sizeof own);
    ser_status st = check_predict(&own, err);
    if (st != SER_OK)
        return st;
    ser_run_host_init(&host, listener);
    const ser_predict_many_settings many = {.n_jobs = own.n_threads,
                                            .timeline = own.timeline != 0,
                                            .n_peaks = own.n_peaks,
                                            .sound = own.sound != 0,
                                            .voice = own.voice,
                                            .n_voice = own.n_voice,
                                            .adapt = own.adapt != 0,
                                            .follow = own.follow != 0,
                                            .progress = host.progress,
                                            .on_answer = own.on_answer,
                                            .context = own.context,
                                            .team = host.team};
    return ser_predict_many(model, paths, n, &many, err);
}
