/* Requests, from their head to the end of their answer: everything here runs on the loop's thread, but for
 * ser_http_answered. */
#include "base/clock.h"
#include "serve/peers.h"
#include "serve/visit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MAX_DRAINED = 16 << 20, DRAIN_S = 5, TAKE_S = 60 /* for a client to take its answer */ };

ser_service *ser_visit_service(struct lws *wsi)
{
    return lws_context_user(lws_get_context(wsi));
}

/* ---- the end of a request ---- */

void ser_visit_count(ser_request *r)
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

/* Not waiting for a worker, or being answered, any more. */
static void settle(ser_request *r)
{
    ser_peer *peer = ser_peer_of(r->service, r->address);
    r->service->n_requests--;
    if (peer && peer->n_requests)
        peer->n_requests--;
}

/* The connection lets it go: its answer is out, or for nobody. */
void ser_visit_forget(ser_visit *v)
{
    ser_request *r = v->request;
    if (!r)
        return;
    v->request = NULL;
    r->wsi = NULL;
    atomic_store(&r->abandoned, true);
    if (r->complete_s > 0 && !r->is_answering && r->service->pool &&
        ser_workers_remove(r->service->pool, &r->task)) {
        settle(r);
        r->status = 499; /* the client went away, as nginx counts it */
        ser_visit_count(r);
        ser_request_release(r);
    }
    ser_request_release(r);
}

void ser_visit_set_busy(ser_service *s, ser_visit *v, bool is_busy)
{
    s->n_busy += is_busy - v->is_busy;
    v->is_busy = is_busy;
}

/* ---- answers ---- */

static bool is_posted(ser_route route)
{
    return route == SER_ROUTE_PREDICT || route == SER_ROUTE_FEATURES;
}

static int add(struct lws *wsi, const char *name, const char *value, unsigned char **p, unsigned char *end)
{
    return lws_add_http_header_by_name(wsi, (const unsigned char *)name, (const unsigned char *)value,
                                       (int)strlen(value), p, end);
}

static int add_page_headers(struct lws *wsi, unsigned char **p, unsigned char *end)
{
    return add(wsi, "content-security-policy:", ser_visit_service(wsi)->page_policy.s, p, end) ||
           add(wsi, "referrer-policy:", "no-referrer", p, end) ||
           add(wsi, "permissions-policy:", "microphone=(self), camera=(), geolocation=()", p, end) ||
           add(wsi, "cross-origin-opener-policy:", "same-origin", p, end);
}

int ser_visit_answer(struct lws *wsi, ser_request *r)
{
    unsigned char room[LWS_PRE + 3072], *start = room + LWS_PRE, *p = start, *end = room + sizeof room - 1;
    size_t n = r->fixed ? r->n_fixed : r->text.n;
    int failed = lws_add_http_common_headers(wsi, (unsigned)r->status, r->type, n, &p, end) ||
                 add(wsi, "x-request-id:", r->id, &p, end) ||
                 add(wsi, "x-content-type-options:", "nosniff", &p, end) ||
                 add(wsi, "cache-control:", "no-store", &p, end);
    if (!failed && r->is_page)
        failed = add_page_headers(wsi, &p, end);
    if (!failed && (r->status == 429 || r->status == 503))
        failed = add(wsi, "retry-after:", "1", &p, end);
    if (!failed && r->status == 401)
        failed = add(wsi, "www-authenticate:", "Bearer", &p, end);
    if (!failed && r->status == 405)
        failed = add(wsi, "allow:", is_posted(r->route) ? "POST, OPTIONS" : "GET, HEAD, OPTIONS", &p, end);
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

static int finish(struct lws *wsi, ser_visit *v)
{
    bool closing = v->request->closing;
    ser_visit_count(v->request);
    ser_visit_forget(v);
    if (closing) { /* a client that is still sending would not see an answer behind which the connection is
                      closed */
        v->draining = true;
        lws_set_timeout(wsi, NO_PENDING_TIMEOUT, 0);
        lws_set_timer_usecs(wsi, DRAIN_S * LWS_US_PER_SEC);
        return 0;
    }
    if (atomic_load(&ser_visit_service(wsi)->state) == SER_SERVE_STOPPING)
        return -1;
    ser_visit_set_busy(ser_visit_service(wsi), v, false);
    return lws_http_transaction_completed(wsi) ? -1 : 0;
}

int ser_visit_write(struct lws *wsi, ser_visit *v)
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

void ser_visit_collect(ser_service *s)
{
    pthread_mutex_lock(&s->done_mutex);
    ser_request *r = s->done, *next;
    s->done = NULL;
    pthread_mutex_unlock(&s->done_mutex);
    for (; r; r = next) {
        next = r->next_done;
        settle(r);
        if (!r->wsi) {
            r->status = 499;
            ser_visit_count(r);
        } else if (ser_visit_answer(r->wsi, r) != 0)
            lws_set_timeout(r->wsi, PENDING_TIMEOUT_KILLED_BY_PARENT, LWS_TO_KILL_ASYNC);
        ser_request_release(r);
    }
    ser_peers_tidy(s);
}

/* ---- requests ---- */

void ser_visit_header(struct lws *wsi, char *out, int n, enum lws_token_indexes token)
{
    if (lws_hdr_copy(wsi, out, n, token) < 0)
        *out = 0;
}

bool ser_visit_may_call(const ser_service *s, const char *origin)
{
    for (size_t i = 0; i < s->settings->n_origins; i++)
        if (strcmp(s->settings->origins[i], origin) == 0 || strcmp(s->settings->origins[i], "*") == 0)
            return true;
    return false;
}

bool ser_visit_shows_key(struct lws *wsi, const ser_service *s)
{
    static const char bearer[] = "Bearer ";
    char header[300];
    ser_visit_header(wsi, header, sizeof header, WSI_TOKEN_HTTP_AUTHORIZATION);
    return ser_keys_know(&s->keys,
                         strncmp(header, bearer, sizeof bearer - 1) == 0 ? header + sizeof bearer - 1 : "");
}

static bool has_key(struct lws *wsi, ser_request *r)
{
    const ser_service *s = r->service;
    bool open = r->route == SER_ROUTE_PAGE || r->route == SER_ROUTE_WORKLET || r->route == SER_ROUTE_HEALTH;
    if (!s->keys.n || (open && !s->settings->page_needs_key) || ser_visit_shows_key(wsi, s))
        return true;
    ser_request_fail(r, 401, "unauthorized", "a key is needed: send the header 'Authorization: Bearer KEY'");
    return false;
}

static bool read_queries(struct lws *wsi, ser_request *r)
{
    char one[1024];
    for (int i = 0;; i++) {
        int n = lws_hdr_fragment_length(wsi, WSI_TOKEN_HTTP_URI_ARGS, i);
        if (n <= 0)
            return true;
        if (lws_hdr_copy_fragment(wsi, one, sizeof one, WSI_TOKEN_HTTP_URI_ARGS, i) < 0) {
            ser_request_fail(r, 400, "invalid_request", "a part of the query is longer than 1023 bytes");
            return false;
        }
        if (!ser_route_query(r, one))
            return false;
    }
}

/* Whether a request with so large a body can be taken now. */
static bool has_room(struct lws *wsi, ser_request *r)
{
    ser_service *s = r->service;
    const ser_serve_limits *l = &s->settings->limits;
    char length[24], *end;
    ser_visit_header(wsi, length, sizeof length, WSI_TOKEN_HTTP_CONTENT_LENGTH);
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

/* curl waits for this before it sends more than a megabyte. */
static void tell_to_go_on(struct lws *wsi)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    unsigned char room[LWS_PRE + sizeof text];
    char expected[32];
    ser_visit_header(wsi, expected, sizeof expected, WSI_TOKEN_HTTP_EXPECT);
    if (strcasecmp(expected, "100-continue") != 0)
        return;
    memcpy(room + LWS_PRE, text, sizeof text - 1);
    lws_write(wsi, room + LWS_PRE, sizeof text - 1, LWS_WRITE_HTTP_HEADERS);
}

static void begin_body(struct lws *wsi, ser_request *r)
{
    ser_visit_header(wsi, r->content_type, sizeof r->content_type, WSI_TOKEN_HTTP_CONTENT_TYPE);
    if (!read_queries(wsi, r) || !has_room(wsi, r))
        return;
    tell_to_go_on(wsi);
    lws_set_timer_usecs(wsi, (lws_usec_t)(r->service->settings->limits.body_s * LWS_US_PER_SEC));
}

static const char *method_name(int method)
{
    static const char *const names[] = {"GET",   "POST",   "OPTIONS", "PUT",
                                        "PATCH", "DELETE", "CONNECT", "HEAD"};
    return method >= 0 && method < (int)(sizeof names / sizeof *names) ? names[method] : "other";
}

/* A body that a proxy in front sees ending elsewhere than this service would be another client's request. */
static bool has_strange_body(struct lws *wsi, int method)
{
    char length[24];
    ser_visit_header(wsi, length, sizeof length, WSI_TOKEN_HTTP_CONTENT_LENGTH);
    return lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING) > 0 ||
           (lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH) > 0 && strcmp(length, "0") != 0 &&
            (method == LWSHUMETH_GET || method == LWSHUMETH_HEAD || method == LWSHUMETH_OPTIONS));
}

/* What has a status afterwards is answered at once; what has none waits for its body. */
static void dispatch(struct lws *wsi, ser_request *r, int method)
{
    if (has_strange_body(wsi, method)) {
        ser_request_fail(r, lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING) > 0 ? 411 : 400,
                         "invalid_request",
                         "a body belongs to POST alone, and its length is told by the header Content-Length");
        r->closing = true;
    } else if (r->route == SER_ROUTE_UNKNOWN || r->route == SER_ROUTE_STREAM)
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

ser_request *ser_visit_request(struct lws *wsi, ser_visit *v, int method)
{
    char origin[256];
    ser_service *s = ser_visit_service(wsi);
    ser_request *r = ser_request_new(s);
    ser_visit_forget(v);
    v->request = r;
    v->draining = false;
    v->n_drained = 0;
    if (!r)
        return NULL;
    ser_visit_set_busy(s, v, true);
    r->wsi = wsi;
    r->since_s = ser_clock_s();
    r->method = method_name(method);
    r->head_only = method == LWSHUMETH_HEAD;
    const char *address = lws_get_opaque_user_data(wsi);
    snprintf(r->address, sizeof r->address, "%s", address ? address : "");
    ser_visit_header(wsi, origin, sizeof origin, WSI_TOKEN_ORIGIN);
    if (*origin && ser_visit_may_call(s, origin))
        snprintf(r->origin, sizeof r->origin, "%s", origin);
    return r;
}

int ser_visit_begin(struct lws *wsi, ser_visit *v)
{
    char *uri = NULL;
    int n_uri = 0, method = lws_http_get_uri_and_method(wsi, &uri, &n_uri);
    ser_request *r = ser_visit_request(wsi, v, method);
    if (!r)
        return -1;
    r->route = uri && n_uri > 0 ? ser_route_of(uri, (size_t)n_uri) : SER_ROUTE_UNKNOWN;
    dispatch(wsi, r, method);
    if (!r->status)
        return 0;
    r->closing = r->closing || (method != LWSHUMETH_GET && method != LWSHUMETH_HEAD &&
                                method != LWSHUMETH_OPTIONS); /* its body is not read */
    return ser_visit_answer(wsi, r);
}

static int fail_now(struct lws *wsi, ser_request *r)
{
    r->closing = true;
    lws_set_timer_usecs(wsi, LWS_SET_TIMER_USEC_CANCEL);
    return ser_visit_answer(wsi, r);
}

static int queue(struct lws *wsi, ser_request *r)
{
    enum {
        LONG_BYTES = 1 << 20
    }; /* half a minute of plain sound; of compressed sound the worker finds out */
    ser_service *s = r->service;
    lws_set_timer_usecs(wsi, LWS_SET_TIMER_USEC_CANCEL);
    lws_set_timeout(wsi, NO_PENDING_TIMEOUT, 0);
    ser_peer *peer = ser_peer_of(s, r->address);
    bool too_many = peer && peer->n_requests >= s->settings->limits.queue_per_peer;
    r->task = (ser_task){.run = ser_answer, .drop = ser_answer_drop, .is_long = r->n_body > LONG_BYTES};
    r->complete_s = ser_clock_s();
    atomic_fetch_add(&r->n_holders, 1);
    if (r->n_body == r->n_expected && peer && !too_many &&
        ser_workers_add(s->pool, &r->task, SER_TASK_REQUEST)) {
        s->n_requests++;
        peer->n_requests++;
        return 0;
    }
    ser_request_release(r);
    ser_request_fail(r, too_many ? 429 : 503, too_many ? "rate_limited" : "overloaded",
                     "too many requests wait already: try again in a second");
    return fail_now(wsi, r);
}

/* Of the loop's thread: a request that a worker has is not looked at. */
static bool is_receiving(const ser_request *r)
{
    return r && !(r->complete_s > 0) && !r->status;
}

int ser_visit_take_body(struct lws *wsi, ser_visit *v, const char *bytes, size_t n)
{
    ser_request *r = v->request;
    if (!is_receiving(r)) {
        v->n_drained += n;
        return v->n_drained > MAX_DRAINED ? -1 : 0;
    }
    if (n > r->n_expected - r->n_body) {
        ser_request_fail(r, 400, "invalid_request", "the body is longer than its Content-Length");
        return fail_now(wsi, r);
    }
    if (ser_request_grow(r, r->n_body + n) != SER_OK) {
        ser_request_fail(r, 503, "overloaded", "too much waits in memory already: try again later");
        return fail_now(wsi, r);
    }
    memcpy(r->body + r->n_body, bytes, n);
    r->n_body += n;
    return 0;
}

/* libwebsockets cannot put aside what comes before the answer, nor leave it unread. */
static int refuse_next(struct lws *wsi, ser_visit *v)
{
    ser_request *r = ser_visit_request(wsi, v, LWSHUMETH_POST);
    if (!r)
        return -1;
    ser_request_fail(r, 400, "invalid_request",
                     "a second request before the first was answered, or more than its Content-Length");
    return fail_now(wsi, r);
}

/* The body is whole, or more came behind it: libwebsockets says both in the same way. */
int ser_visit_end_body(struct lws *wsi, ser_visit *v)
{
    ser_request *r = v->request;
    if (v->draining)
        return -1;
    if (is_receiving(r))
        return queue(wsi, r);
    return r && r->complete_s > 0 && !r->is_answering ? refuse_next(wsi, v) : 0;
}

int ser_visit_is_late(struct lws *wsi, ser_visit *v)
{
    ser_request *r = v->request;
    if (v->draining)
        return -1;
    if (!is_receiving(r))
        return 0;
    ser_request_fail(r, 408, "timeout", "the body did not arrive within %g s",
                     r->service->settings->limits.body_s);
    return fail_now(wsi, r);
}
