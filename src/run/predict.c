#include "run/predict.h"
#include "base/memory.h"
#include "base/threads.h"

#include <pthread.h>

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
    const ser_run_predict_settings *settings;
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
    ser_predict_options options = {
        .size = sizeof options, .timeline = j->settings->timeline, .n_peaks = j->settings->n_peaks};
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
    const ser_run_predict_settings *s = j->settings;
    ser_status st = new_session(&j->voice, j, err);
    if (st != SER_OK)
        return st;
    return s->adapt ? ser_session_adapt(j->voice, s->voice, s->n_voice, err)
                    : ser_session_set_baseline(j->voice, s->voice, s->n_voice, err);
}

ser_status ser_run_predict(const ser_model *model, const char *const *paths, size_t n,
                           const ser_run_predict_settings *settings, ser_error *err)
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
        st = ser_parallel_for(n_threads, n, answer_one, &j, err);
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
