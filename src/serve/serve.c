#include "serve/serve.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/threads.h"
#include "serve/service.h"
#include "serve/stream.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* ---- signals: noted by the handler, done by the loop ---- */

static volatile sig_atomic_t wants_stop, wants_rotation;
static struct lws_context *volatile loop;

static void on_signal(int number)
{
    if (number == SIGHUP)
        wants_rotation = 1;
    else
        wants_stop = 1;
    if (loop)
        lws_cancel_service(loop);
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    action.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &action, NULL);
}

/* sd_notify(3): one datagram to the socket that systemd names. */
static void tell_systemd(const char *state)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    const char *path = getenv("NOTIFY_SOCKET");
    size_t n = path ? strlen(path) : 0;
    if (n < 2 || n >= sizeof to.sun_path)
        return;
    memcpy(to.sun_path, path, n);
    if (*path == '@')
        to.sun_path[0] = 0;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to,
           (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
    close(fd);
}

/* ---- models, on a thread of their own, so that /health answers from the beginning ---- */

static ser_status load_models(ser_service *s, ser_error *err)
{
    ser_settings settings;
    ser_default_settings(&settings);
    settings.n_threads = 1;
    settings.precision = s->settings->precision;
    settings.engine = s->settings->engine;
    for (size_t m = 0; m < s->settings->n_models; m++) {
        ser_status st = ser_model_open(&s->models[m], s->settings->models[m].path, &settings, err);
        if (st != SER_OK)
            return ser_fail_within(
                err, st,
                "%s: ", s->settings->models[m].path ? s->settings->models[m].path : "built-in model");
    }
    return SER_OK;
}

typedef struct loading {
    ser_service *service;
    ser_error err;
    ser_status status;
} loading;

static void *load(void *context)
{
    loading *l = context;
    l->status = load_models(l->service, &l->err);
    int before = SER_SERVE_LOADING; /* unless it was told to stop meanwhile */
    atomic_compare_exchange_strong(&l->service->state, &before,
                                   l->status == SER_OK ? SER_SERVE_READY : SER_SERVE_BROKEN);
    lws_cancel_service(l->service->context);
    return NULL;
}

/* ---- setting up ---- */

/* libwebsockets tells the doors' news from now on, and closes them at its end. */
static ser_status open_doors(ser_service *s, ser_error *err)
{
    struct lws_vhost *vhost = lws_get_vhost_by_name(s->context, "default");
    for (int i = 0; i < s->doors.n; i++) {
        const lws_sock_file_fd_type door = {.filefd = s->doors.fds[i]};
        s->doors.fds[i] = -1;
        if (!lws_adopt_descriptor_vhost(vhost, LWS_ADOPT_RAW_FILE_DESC, door, ser_http_protocols[0].name,
                                        NULL))
            return ser_fail_nomem(err);
    }
    return SER_OK;
}

static ser_status new_context(ser_service *s, ser_error *err)
{
    const ser_serve_settings *set = s->settings;
    struct lws_context_creation_info info = {.port = CONTEXT_PORT_NO_LISTEN_SERVER,
                                             .protocols = ser_http_protocols,
                                             .gid = (gid_t)-1,
                                             .uid = (uid_t)-1,
                                             .user = s,
                                             .server_string = "ser",
                                             .timeout_secs = (unsigned)set->limits.header_s,
                                             .timeout_secs_ah_idle = (unsigned)set->limits.header_s,
                                             .keepalive_timeout = (int)set->limits.idle_s,
                                             .max_http_header_pool2 = (unsigned)set->limits.connections,
                                             .alpn = "http/1.1",
                                             .options =
                                                 LWS_SERVER_OPTION_SKIP_SERVER_CANONICAL_NAME |
                                                 LWS_SERVER_OPTION_FALLBACK_TO_APPLY_LISTEN_ACCEPT_CONFIG};
    if (set->certificate_path) {
        info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
        info.ssl_cert_filepath = set->certificate_path;
        info.ssl_private_key_filepath = set->private_key_path;
    }
    lws_set_log_level(0, NULL);
    s->context = lws_create_context(&info);
    if (s->context)
        return open_doors(s, err);
    if (set->certificate_path)
        return ser_fail(err, SER_E_IO, "%s, %s: cannot be read, or do not belong together",
                        set->certificate_path, set->private_key_path);
    return ser_fail(err, SER_E_IO, "no memory or descriptors for connections");
}

static ser_status new_workers(ser_service *s, ser_error *err)
{
    s->workers = ser_alloc((size_t)s->n_workers, sizeof *s->workers);
    s->models = ser_alloc(s->settings->n_models, sizeof(ser_model *));
    if (!s->workers || !s->models)
        return ser_fail_nomem(err);
    for (int i = 0; i < s->n_workers; i++)
        if (!(s->workers[i].sessions = ser_alloc(s->settings->n_models, sizeof(ser_session *))))
            return ser_fail_nomem(err);
    return ser_workers_new(&s->pool, s->n_workers, s->settings->limits.queue, err);
}

/* A connection is a descriptor, and decoding an upload takes a handful. */
static ser_status allow_descriptors(ser_service *s, ser_error *err)
{
    enum { OWN = 64, OF_WORKER = 8 };
    struct rlimit files;
    int n_own = OWN + OF_WORKER * s->n_workers;
    rlim_t wanted = (rlim_t)s->settings->limits.connections + (rlim_t)n_own;
    s->most_connections = s->settings->limits.connections;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == RLIM_INFINITY || files.rlim_cur >= wanted)
        return SER_OK;
    files.rlim_cur = files.rlim_max == RLIM_INFINITY || files.rlim_max > wanted ? wanted : files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < wanted)
        s->most_connections = (int)files.rlim_cur - n_own;
    return s->most_connections > 0
               ? SER_OK
               : ser_fail(err, SER_E_IO,
                          "only %llu files may be open, which is too few: raise it with 'ulimit -n'",
                          (unsigned long long)files.rlim_cur);
}

static ser_status open_service(ser_service *s, ser_error *err)
{
    const ser_serve_settings *set = s->settings;
    const ser_decode_limits decoding = {.audio_s = set->limits.audio_s, .memory_bytes = (uint64_t)512 << 20};
    int n_cores = ser_n_cores();
    s->n_workers = set->n_workers ? set->n_workers : n_cores > 1 ? n_cores : 2;
    ser_status st = set->key_path ? ser_keys_read(&s->keys, set->key_path, err) : SER_OK;
    ser_serve_page_policy(&s->page_policy);
    if (st == SER_OK && s->page_policy.failed)
        st = ser_fail_nomem(err);
    if (st == SER_OK)
        st = ser_log_open(&s->log, set->log_path, err);
    if (st == SER_OK)
        st = allow_descriptors(s, err);
    if (st == SER_OK)
        st = ser_decoders_new(&s->decoders, s->n_workers, &decoding,
                              err); /* forks: before there are threads */
    if (st == SER_OK)
        st = ser_doors_open(&s->doors, set->host, set->port, err);
    if (st == SER_OK)
        st = new_context(s, err);
    return st == SER_OK ? new_workers(s, err) : st;
}

/* For what is written to leave; for those whose time is over to be told, where a worker first has to notice.
 */
static const double LEAVE_S = 0.1, TELL_S = 5;

/* What still runs, or waits, ends without an answer. */
static void give_up(ser_service *s)
{
    atomic_store(&s->is_out_of_time, true);
    if (s->decoders)
        ser_decoders_stop(s->decoders);
}

static void close_service(ser_service *s)
{
    loop = NULL;
    give_up(s);
    ser_workers_free(&s->pool);
    lws_sul_cancel(&s->alarm);
    if (s->context)
        lws_context_destroy(s->context);
    ser_doors_close(&s->doors);
    while (s->done) {
        ser_request *next = s->done->next_done;
        ser_request_release(s->done);
        s->done = next;
    }
    for (int i = 0; s->workers && i < s->n_workers; i++) {
        for (size_t m = 0; s->workers[i].sessions && m < s->settings->n_models; m++)
            ser_session_free(&s->workers[i].sessions[m]);
        ser_free(s->workers[i].sessions);
    }
    ser_free(s->workers);
    for (size_t m = 0; s->models && m < s->settings->n_models; m++)
        ser_model_close(&s->models[m]);
    ser_free(s->models);
    ser_decoders_free(&s->decoders);
    ser_log_close(&s->log);
    ser_keys_release(&s->keys);
    ser_text_release(&s->page_policy);
    ser_free(s->peers);
    ser_metrics_release(&s->metrics);
    pthread_mutex_destroy(&s->done_mutex);
}

/* ---- serving ---- */

static void on_alarm(lws_sorted_usec_list_t *alarm)
{
    (void)alarm; /* the loop is awake, and looks at the clock */
}

static void wake_at_the_latest(ser_service *s, double in_s)
{
    lws_sul_schedule(s->context, 0, &s->alarm, on_alarm, (lws_usec_t)(in_s * LWS_US_PER_SEC) + 1000);
}

static void begin_to_stop(ser_service *s, double *until_s)
{
    tell_systemd("STOPPING=1");
    ser_log_note(&s->log, "stopping", NULL);
    atomic_store(&s->state, SER_SERVE_STOPPING);
    *until_s = ser_clock_s() + s->settings->limits.grace_s;
    wake_at_the_latest(s, s->settings->limits.grace_s);
    for (ser_serve_stream *stream = s->streams, *next; stream; stream = next) {
        next = ser_serve_stream_next(stream);
        ser_serve_stream_stop(stream);
    }
}

static ser_status serve(ser_service *s, const loading *l, ser_error *err)
{
    double until_s = 0;
    bool told = false, is_telling = false, is_leaving = false;
    while (lws_service(s->context, 0) >= 0) {
        int state = atomic_load(&s->state);
        if (state == SER_SERVE_BROKEN) {
            *err = l->err;
            return l->status;
        }
        if (state == SER_SERVE_READY && !told) {
            told = true;
            tell_systemd("READY=1");
            if (s->settings->on_listening)
                s->settings->on_listening(s->settings->context, s->doors.port);
        }
        if (wants_rotation) {
            wants_rotation = 0;
            ser_log_rotate(&s->log);
        }
        if (wants_stop && until_s == 0)
            begin_to_stop(s, &until_s);
        bool is_idle = !s->n_busy && !s->n_requests && !s->n_streams;
        if (until_s > 0 && is_idle && !is_leaving) { /* what is written still has to leave */
            is_leaving = true;
            until_s = ser_clock_s() + LEAVE_S;
            wake_at_the_latest(s, LEAVE_S);
        }
        if (until_s == 0 || ser_clock_s() <= until_s)
            continue;
        if (is_leaving || is_telling)
            return SER_OK;
        is_telling = true; /* the grace is over: the rest is told that it is not answered */
        give_up(s);
        until_s = ser_clock_s() + TELL_S;
        wake_at_the_latest(s, TELL_S);
    }
    return ser_fail(err, SER_E_IO, "the service's loop failed");
}

ser_status ser_serve(const ser_serve_settings *settings, ser_error *err)
{
    pthread_t loader;
    ser_service s = {.settings = settings};
    loading l = {.service = &s};
    sigset_t all, before;
    atomic_init(&s.state, SER_SERVE_LOADING);
    pthread_mutex_init(&s.done_mutex, NULL);
    ser_metrics_init(&s.metrics);
    wants_stop = wants_rotation = 0;
    ser_status st = open_service(&s, err);
    if (st == SER_OK) {
        loop = s.context;
        catch_signals();
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        bool started = pthread_create(&loader, NULL, load, &l) == 0;
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        st = started ? serve(&s, &l, err) : ser_fail(err, SER_E_NOMEM, "no thread to load the models");
        if (started)
            pthread_join(loader, NULL);
    }
    close_service(&s);
    return st;
}
