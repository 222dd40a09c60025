/* Between libwebsockets and the requests: everything here runs on the loop's thread, but for
 * ser_http_answered. */
#include "base/clock.h"
#include "base/memory.h"
#include "serve/peers.h"
#include "serve/service.h"
#include "serve/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* libwebsockets' memory for a connection, zeroed when it comes. */
typedef struct visit {
    ser_request *request;     /* under way, or NULL */
    ser_serve_stream *stream; /* of a WebSocket */
    bool draining; /* an answer was given before the body's end, of which n_drained bytes came since */
    size_t n_drained;
} visit;

enum { MAX_DRAINED = 16 << 20, DRAIN_S = 5, TAKE_S = 60 /* for a client to take its answer */ };

static ser_service *service_of(struct lws *wsi)
{
    return lws_context_user(lws_get_context(wsi));
}

/* ---- the end of a request ---- */

static void forget(visit *v)
{
    ser_request *r = v->request;
    if (!r)
        return;
    v->request = NULL;
    r->wsi = NULL;
    atomic_store(&r->abandoned, true);
    ser_request_release(r);
}

static void count(ser_request *r)
{
    ser_service *s = r->service;
    double now = ser_clock_s();
    const ser_log_line line = {.request_id = r->id,
                               .method = r->method,
                               .route = ser_route_path(r->route),
                               .address = s->settings->log_addresses ? r->address : NULL,
                               .status = r->status,
                               .seconds = now - r->since_s,
                               .audio_s = r->audio_s,
                               .n_bytes = r->n_body};
    ser_metrics_count(&s->metrics, r->route, r->status, r->complete_s > 0 ? now - r->complete_s : -1);
    ser_log_write(&s->log, &line);
}

/* ---- answers ---- */

static int add(struct lws *wsi, const char *name, const char *value, unsigned char **p, unsigned char *end)
{
    return lws_add_http_header_by_name(wsi, (const unsigned char *)name, (const unsigned char *)value,
                                       (int)strlen(value), p, end);
}

static int add_page_headers(struct lws *wsi, unsigned char **p, unsigned char *end)
{
    return add(wsi, "content-security-policy:", service_of(wsi)->page_policy.s, p, end) ||
           add(wsi, "referrer-policy:", "no-referrer", p, end) ||
           add(wsi, "permissions-policy:", "microphone=(self), camera=(), geolocation=()", p, end) ||
           add(wsi, "cross-origin-opener-policy:", "same-origin", p, end);
}

static int start_answer(struct lws *wsi, ser_request *r)
{
    unsigned char room[LWS_PRE + 3072], *start = room + LWS_PRE, *p = start, *end = room + sizeof room - 1;
    char number[16];
    size_t n = r->fixed ? r->n_fixed : r->text.n;
    int failed = lws_add_http_common_headers(wsi, (unsigned)r->status, r->type, n, &p, end) ||
                 add(wsi, "x-request-id:", r->id, &p, end) ||
                 add(wsi, "x-content-type-options:", "nosniff", &p, end) ||
                 add(wsi, "cache-control:", "no-store", &p, end);
    if (!failed && r->is_page)
        failed = add_page_headers(wsi, &p, end);
    snprintf(number, sizeof number, "%d", r->retry_after_s > 0 ? r->retry_after_s : 1);
    if (!failed && (r->status == 429 || r->status == 503))
        failed = add(wsi, "retry-after:", number, &p, end);
    if (!failed && r->status == 401)
        failed = add(wsi, "www-authenticate:", "Bearer", &p, end);
    if (!failed && r->status == 405)
        failed = add(wsi, "allow:",
                     r->route == SER_ROUTE_PREDICT || r->route == SER_ROUTE_FEATURES ? "POST, OPTIONS"
                                                                                     : "GET, HEAD",
                     &p, end);
    if (!failed && *r->origin)
        failed = add(wsi, "access-control-allow-origin:", r->origin, &p, end) ||
                 add(wsi, "vary:", "Origin", &p, end) ||
                 add(wsi, "access-control-allow-headers:", "authorization, content-type", &p, end) ||
                 add(wsi, "access-control-allow-methods:", "GET, POST", &p, end);
    if (!failed && r->closing)
        failed = add(wsi, "connection:", "close", &p, end);
    if (failed || lws_finalize_write_http_header(wsi, start, &p, end))
        return -1;
    r->is_answering = true;
    lws_set_timeout(wsi, PENDING_TIMEOUT_HTTP_CONTENT, TAKE_S);
    lws_callback_on_writable(wsi);
    return 0;
}

static int finish(struct lws *wsi, visit *v)
{
    bool closing = v->request->closing;
    count(v->request);
    forget(v);
    if (closing) { /* a client that is still sending would not see an answer behind which the connection is
                      closed */
        v->draining = true;
        lws_set_timeout(wsi, NO_PENDING_TIMEOUT, 0);
        lws_set_timer_usecs(wsi, DRAIN_S * LWS_US_PER_SEC);
        return 0;
    }
    if (atomic_load(&service_of(wsi)->state) == SER_SERVE_STOPPING)
        return -1;
    return lws_http_transaction_completed(wsi) ? -1 : 0;
}

static int go_on(struct lws *wsi, visit *v)
{
    enum { PIECE = 16384 };
    unsigned char room[LWS_PRE + PIECE];
    ser_request *r = v->request;
    if (!r || !r->is_answering)
        return 0;
    const char *content = r->fixed ? r->fixed : r->text.s;
    size_t n_all = r->head_only ? 0 : r->fixed ? r->n_fixed : r->text.n, n = n_all - r->n_sent;
    n = n < PIECE ? n : PIECE;
    bool last = r->n_sent + n == n_all;
    if (n)
        memcpy(room + LWS_PRE, content + r->n_sent, n);
    if (n && lws_write(wsi, room + LWS_PRE, n, last ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP) < (int)n)
        return -1;
    r->n_sent += n;
    if (last)
        return finish(wsi, v);
    lws_callback_on_writable(wsi);
    return 0;
}

/* ---- answers that come from workers ---- */

void ser_http_answered(ser_request *r)
{
    ser_service *s = r->service;
    pthread_mutex_lock(&s->done_mutex);
    r->next_done = s->done;
    s->done = r;
    pthread_mutex_unlock(&s->done_mutex);
    lws_cancel_service(s->context);
}

static void collect_answers(ser_service *s)
{
    pthread_mutex_lock(&s->done_mutex);
    ser_request *r = s->done, *next;
    s->done = NULL;
    pthread_mutex_unlock(&s->done_mutex);
    for (; r; r = next) {
        ser_peer *peer = ser_peer_of(s, r->address);
        next = r->next_done;
        s->n_requests--;
        if (peer)
            peer->n_requests--;
        if (!r->wsi) {
            r->status = 499; /* the client went away, as nginx counts it */
            count(r);
        } else if (start_answer(r->wsi, r) != 0)
            lws_set_timeout(r->wsi, PENDING_TIMEOUT_KILLED_BY_PARENT, LWS_TO_KILL_ASYNC);
        ser_request_release(r);
    }
    ser_peers_tidy(s);
}

/* ---- requests ---- */

static void read_header(struct lws *wsi, char *out, int n, enum lws_token_indexes token)
{
    if (lws_hdr_copy(wsi, out, n, token) < 0)
        *out = 0;
}

static bool may_call(const ser_service *s, const char *origin)
{
    for (size_t i = 0; i < s->settings->n_origins; i++)
        if (strcmp(s->settings->origins[i], origin) == 0 || strcmp(s->settings->origins[i], "*") == 0)
            return true;
    return false;
}

static bool shows_key(struct lws *wsi, const ser_service *s)
{
    static const char bearer[] = "Bearer ";
    char header[300];
    read_header(wsi, header, sizeof header, WSI_TOKEN_HTTP_AUTHORIZATION);
    return ser_keys_know(&s->keys,
                         strncmp(header, bearer, sizeof bearer - 1) == 0 ? header + sizeof bearer - 1 : "");
}

static bool has_key(struct lws *wsi, ser_request *r)
{
    const ser_service *s = r->service;
    bool open = r->route == SER_ROUTE_PAGE || r->route == SER_ROUTE_WORKLET || r->route == SER_ROUTE_HEALTH;
    if (!s->keys.n || (open && !s->settings->page_needs_key) || shows_key(wsi, s))
        return true;
    ser_request_fail(r, 401, "unauthorized", "a key is needed: send the header 'Authorization: Bearer KEY'");
    return false;
}

static bool read_queries(struct lws *wsi, ser_request *r)
{
    char one[1024];
    int n;
    for (int i = 0; (n = lws_hdr_copy_fragment(wsi, one, sizeof one, WSI_TOKEN_HTTP_URI_ARGS, i)) != -1;
         i++) {
        if (n < -1) {
            ser_request_fail(r, 400, "invalid_request", "a part of the query is too long");
            return false;
        }
        if (!ser_route_query(r, one))
            return false;
    }
    return true;
}

/* Whether a request with so large a body can be taken now. */
static bool has_room(struct lws *wsi, ser_request *r)
{
    ser_service *s = r->service;
    const ser_serve_limits *l = &s->settings->limits;
    char length[24], *end;
    read_header(wsi, length, sizeof length, WSI_TOKEN_HTTP_CONTENT_LENGTH);
    unsigned long long n = strtoull(length, &end, 10);
    ser_peer *peer = ser_peer_of(s, r->address);
    if (!*length || *end || *length == '-')
        ser_request_fail(r, 411, "invalid_request", "the header Content-Length is missing, or no number");
    else if (n == 0)
        ser_request_fail(r, 400, "invalid_request", "the body is empty: send a recording");
    else if (n > l->body_bytes)
        ser_request_fail(r, 413, "too_large", "a body of %llu bytes: this service takes at most %zu", n,
                         l->body_bytes);
    else if (atomic_load(&s->state) != SER_SERVE_READY)
        ser_request_fail(r, 503, "loading", "the service is not ready: try again in a second");
    else if (peer && peer->n_requests >= l->queue_per_peer)
        ser_request_fail(r, 429, "rate_limited",
                         "%d requests of this address wait already: send the next when one is answered",
                         peer->n_requests);
    else if (s->n_requests >= l->queue + s->n_workers)
        ser_request_fail(r, 503, "overloaded", "too many requests wait already: try again in a second");
    else {
        r->n_expected = (size_t)n;
        return true;
    }
    return false;
}

static void begin_body(struct lws *wsi, ser_request *r)
{
    read_header(wsi, r->content_type, sizeof r->content_type, WSI_TOKEN_HTTP_CONTENT_TYPE);
    if (!read_queries(wsi, r) || !has_room(wsi, r))
        return;
    lws_set_timer_usecs(wsi, (lws_usec_t)(r->service->settings->limits.body_s * LWS_US_PER_SEC));
}

static const char *method_name(int method)
{
    static const char *const names[] = {"GET",   "POST",   "OPTIONS", "PUT",
                                        "PATCH", "DELETE", "CONNECT", "HEAD"};
    return method >= 0 && method < (int)(sizeof names / sizeof *names) ? names[method] : "other";
}

static bool is_posted(ser_route route)
{
    return route == SER_ROUTE_PREDICT || route == SER_ROUTE_FEATURES;
}

/* What has a status afterwards is answered at once; what has none waits for its body. */
static void dispatch(struct lws *wsi, ser_request *r, int method)
{
    if (r->route == SER_ROUTE_UNKNOWN || r->route == SER_ROUTE_STREAM)
        ser_route_get(r);
    else if (method == LWSHUMETH_OPTIONS)
        r->status = 204;
    else if (!has_key(wsi, r))
        return;
    else if (is_posted(r->route) && method == LWSHUMETH_POST)
        begin_body(wsi, r);
    else if (!is_posted(r->route) && (method == LWSHUMETH_GET || method == LWSHUMETH_HEAD))
        ser_route_get(r);
    else
        ser_request_fail(r, 405, "method_not_allowed", "%s is answered to %s only", ser_route_path(r->route),
                         is_posted(r->route) ? "POST" : "GET");
}

static int begin(struct lws *wsi, visit *v)
{
    char *uri = NULL, origin[256];
    int n_uri = 0, method = lws_http_get_uri_and_method(wsi, &uri, &n_uri);
    ser_service *s = service_of(wsi);
    forget(v);
    v->draining = false;
    v->n_drained = 0;
    ser_request *r = v->request = ser_request_new(s);
    if (!r)
        return -1;
    r->wsi = wsi;
    r->since_s = ser_clock_s();
    r->method = method_name(method);
    r->head_only = method == LWSHUMETH_HEAD;
    r->route = uri && n_uri > 0 ? ser_route_of(uri, (size_t)n_uri) : SER_ROUTE_UNKNOWN;
    const char *address = lws_get_opaque_user_data(wsi);
    snprintf(r->address, sizeof r->address, "%s", address ? address : "");
    read_header(wsi, origin, sizeof origin, WSI_TOKEN_ORIGIN);
    if (*origin && may_call(s, origin))
        snprintf(r->origin, sizeof r->origin, "%s", origin);
    dispatch(wsi, r, method);
    if (!r->status)
        return 0;
    r->closing = method != LWSHUMETH_GET && method != LWSHUMETH_HEAD &&
                 method != LWSHUMETH_OPTIONS; /* its body is not read */
    return start_answer(wsi, r);
}

static int fail_now(struct lws *wsi, ser_request *r)
{
    r->closing = true;
    lws_set_timer_usecs(wsi, LWS_SET_TIMER_USEC_CANCEL);
    return start_answer(wsi, r);
}

static int take_body(struct lws *wsi, visit *v, const char *bytes, size_t n)
{
    ser_request *r = v->request;
    v->n_drained += !r || r->status ? n : 0;
    if (v->n_drained > MAX_DRAINED)
        return -1;
    if (!r || r->status || r->complete_s > 0)
        return 0;
    if (n > r->n_expected - r->n_body) {
        ser_request_fail(r, 400, "invalid_request", "the body is longer than its Content-Length");
        return fail_now(wsi, r);
    }
    size_t wanted = r->n_body + n;
    if (wanted > r->capacity && 2 * r->capacity > wanted) /* grows by doubling, up to what was announced */
        wanted = 2 * r->capacity < r->n_expected ? 2 * r->capacity : r->n_expected;
    if (!ser_grow(&r->body, &r->capacity, wanted, 1)) {
        ser_request_fail(r, 503, "overloaded", "out of memory: try again later");
        return fail_now(wsi, r);
    }
    memcpy(r->body + r->n_body, bytes, n);
    r->n_body += n;
    return 0;
}

static int queue(struct lws *wsi, visit *v)
{
    enum { LONG_BYTES = 1 << 20 }; /* half a minute of plain sound, some minutes of compressed one */
    ser_request *r = v->request;
    ser_service *s = r ? r->service : NULL;
    if (v->draining)
        return -1;
    if (!r || r->status)
        return 0;
    lws_set_timer_usecs(wsi, LWS_SET_TIMER_USEC_CANCEL);
    lws_set_timeout(wsi, NO_PENDING_TIMEOUT, 0);
    r->complete_s = ser_clock_s();
    ser_peer *peer = ser_peer_of(s, r->address);
    r->task = (ser_task){.run = ser_answer, .is_long = r->n_body > LONG_BYTES};
    atomic_fetch_add(&r->n_holders, 1);
    if (r->n_body == r->n_expected && peer && peer->n_requests < s->settings->limits.queue_per_peer &&
        ser_workers_add(s->pool, &r->task, false)) {
        s->n_requests++;
        peer->n_requests++;
        return 0;
    }
    ser_request_release(r);
    ser_request_fail(r, peer && peer->n_requests >= s->settings->limits.queue_per_peer ? 429 : 503,
                     "overloaded", "too many requests wait already: try again in a second");
    return fail_now(wsi, r);
}

static int late(struct lws *wsi, visit *v)
{
    ser_request *r = v->request;
    if (v->draining)
        return -1;
    if (!r || r->status || r->complete_s > 0)
        return 0;
    ser_request_fail(r, 408, "timeout", "the body did not arrive within %g s",
                     r->service->settings->limits.body_s);
    return fail_now(wsi, r);
}

/* ---- streams ---- */

/* A page of another site could otherwise have a visitor's browser speak to a service on the visitor's own
 * machine. */
static bool is_own_page(struct lws *wsi, const ser_service *s)
{
    char origin[256], host[256];
    read_header(wsi, origin, sizeof origin, WSI_TOKEN_ORIGIN);
    read_header(wsi, host, sizeof host, WSI_TOKEN_HOST);
    const char *at = strstr(origin, "://");
    return !*origin || may_call(s, origin) || (at && strcmp(at + 3, host) == 0);
}

/* 0: it may be opened. */
static int may_stream(struct lws *wsi)
{
    const ser_service *s = service_of(wsi);
    char uri[64];
    read_header(wsi, uri, sizeof uri, WSI_TOKEN_GET_URI);
    bool fits = ser_route_of(uri, strlen(uri)) == SER_ROUTE_STREAM && is_own_page(wsi, s) &&
                s->n_streams < s->settings->limits.streams && atomic_load(&s->state) != SER_SERVE_STOPPING;
    return fits ? 0 : 1;
}

static int begin_stream(struct lws *wsi, visit *v)
{
    ser_service *s = service_of(wsi);
    v->stream = ser_serve_stream_new(s, wsi, s->keys.n && shows_key(wsi, s));
    lws_set_timer_usecs(wsi, (lws_usec_t)(s->settings->limits.idle_s * LWS_US_PER_SEC));
    return v->stream ? 0 : -1;
}

static int on_stream(struct lws *wsi, enum lws_callback_reasons reason, visit *v, const char *in, size_t n)
{
    switch (reason) {
    case LWS_CALLBACK_ESTABLISHED:
        return begin_stream(wsi, v);
    case LWS_CALLBACK_RECEIVE:
        if (v->stream)
            ser_serve_stream_receive(v->stream, in, n,
                                     lws_is_final_fragment(wsi) && !lws_remaining_packet_payload(wsi),
                                     lws_frame_is_binary(wsi));
        return 0;
    case LWS_CALLBACK_SERVER_WRITEABLE:
        return v->stream ? ser_serve_stream_write(v->stream, wsi) : -1;
    default: /* LWS_CALLBACK_CLOSED */
        if (v->stream) {
            ser_metrics_count(&service_of(wsi)->metrics, SER_ROUTE_STREAM, 101, -1);
            ser_serve_stream_gone(v->stream);
            v->stream = NULL;
        }
        return 0;
    }
}

/* ---- connections ---- */

static int may_connect(ser_service *s, lws_sockfd_type fd)
{
    char address[SER_ADDRESS_BYTES] = "";
    lws_get_peer_simple_fd(fd, address, sizeof address);
    ser_peer *peer = ser_peer_of(s, address);
    return peer && s->n_connections < s->settings->limits.connections &&
           peer->n_connections < s->settings->limits.connections_per_peer;
}

static void connected(struct lws *wsi)
{
    ser_service *s = service_of(wsi);
    char *address = ser_alloc(SER_ADDRESS_BYTES, 1);
    if (!address)
        return;
    lws_get_peer_simple(wsi, address, SER_ADDRESS_BYTES);
    lws_set_opaque_user_data(wsi, address);
    ser_peer *peer = ser_peer_of(s, address);
    if (peer)
        peer->n_connections++;
    s->n_connections++;
}

static void disconnected(struct lws *wsi)
{
    ser_service *s = service_of(wsi);
    char *address = lws_get_opaque_user_data(wsi);
    if (!address)
        return;
    ser_peer *peer = ser_peer_of(s, address);
    if (peer && peer->n_connections)
        peer->n_connections--;
    s->n_connections--;
    lws_set_opaque_user_data(wsi, NULL);
    ser_free(address);
    ser_peers_tidy(s);
}

static int on_http(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t n)
{
    visit *v = user;
    switch (reason) {
    case LWS_CALLBACK_FILTER_NETWORK_CONNECTION:
        return may_connect(service_of(wsi), (lws_sockfd_type)(intptr_t)in) ? 0 : 1;
    case LWS_CALLBACK_SERVER_NEW_CLIENT_INSTANTIATED:
        connected(wsi);
        return 0;
    case LWS_CALLBACK_WSI_DESTROY:
        disconnected(wsi);
        return 0;
    case LWS_CALLBACK_EVENT_WAIT_CANCELLED:
        collect_answers(service_of(wsi));
        for (ser_serve_stream *stream = service_of(wsi)->streams; stream;
             stream = ser_serve_stream_next(stream))
            ser_serve_stream_wake(stream);
        return 0;
    case LWS_CALLBACK_HTTP:
        return begin(wsi, v);
    case LWS_CALLBACK_HTTP_BODY:
        return take_body(wsi, v, in, n);
    case LWS_CALLBACK_HTTP_BODY_COMPLETION:
        return queue(wsi, v);
    case LWS_CALLBACK_HTTP_WRITEABLE:
        return go_on(wsi, v);
    case LWS_CALLBACK_TIMER:
        if (v && v->stream)
            ser_serve_stream_idle(v->stream);
        return v && !v->stream ? late(wsi, v) : 0;
    case LWS_CALLBACK_CLOSED_HTTP:
    case LWS_CALLBACK_HTTP_DROP_PROTOCOL:
        if (v)
            forget(v);
        return 0;
    case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
        return may_stream(wsi);
    case LWS_CALLBACK_ESTABLISHED:
    case LWS_CALLBACK_RECEIVE:
    case LWS_CALLBACK_SERVER_WRITEABLE:
    case LWS_CALLBACK_CLOSED:
        return on_stream(wsi, reason, v, in, n);
    default:
        return 0;
    }
}

const struct lws_protocols ser_http_protocols[] = {
    {.name = "ser", .callback = on_http, .per_session_data_size = sizeof(visit), .rx_buffer_size = 32768},
    {0},
};
