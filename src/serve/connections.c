/* What libwebsockets tells of connections: whose are taken, which become streams, and to whom the rest goes.
 * Everything here runs on the loop's thread. */
#include "base/memory.h"
#include "serve/peers.h"
#include "serve/stream.h"
#include "serve/visit.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/* ---- streams ---- */

/* A page of another site could otherwise have a visitor's browser speak to a service on the visitor's own
 * machine. */
static bool is_own_page(struct lws *wsi, const ser_service *s)
{
    char origin[256], host[256];
    if (lws_hdr_total_length(wsi, WSI_TOKEN_ORIGIN) <= 0)
        return true; /* no browser */
    ser_visit_header(wsi, origin, sizeof origin, WSI_TOKEN_ORIGIN);
    ser_visit_header(wsi, host, sizeof host, WSI_TOKEN_HOST);
    const char *at = strstr(origin, "://");
    return *origin && (ser_visit_may_call(s, origin) || (at && strcmp(at + 3, host) == 0));
}

/* Why the connection becomes no stream; nothing: it does. */
static void look_at_upgrade(struct lws *wsi, ser_request *r, const char *wanted)
{
    const ser_service *s = r->service;
    char uri[64];
    ser_visit_header(wsi, uri, sizeof uri, WSI_TOKEN_GET_URI);
    r->route = ser_route_of(uri, strlen(uri));
    if (strcasecmp(wanted, "websocket") != 0)
        ser_request_fail(r, 400, "invalid_request",
                         "HTTP/1.1 and WebSocket are spoken here: ask for no upgrade to h2c");
    else if (r->route != SER_ROUTE_STREAM)
        ser_request_fail(r, 404, "not_found", "the WebSocket is on %s", ser_route_path(SER_ROUTE_STREAM));
    else if (!is_own_page(wsi, s))
        ser_request_fail(r, 403, "forbidden",
                         "pages of other sites may open streams where --cors-origin names them");
    else if (atomic_load(&s->state) == SER_SERVE_STOPPING)
        ser_request_fail(r, 503, "stopping", "the service stops");
    else if (s->n_streams >= s->settings->limits.streams)
        ser_request_fail(r, 503, "overloaded", "too many streams are open: try again later");
}

/* 0: the upgrade may go on; 1: it is answered with an error; -1: the connection ends. There is no visit yet.
 */
static int confirm_upgrade(struct lws *wsi, const char *wanted)
{
    unsigned char room[LWS_PRE + 1024];
    ser_visit here = {0};
    bool is_known = strcasecmp(wanted, "websocket") == 0 || strcasecmp(wanted, "h2c") == 0;
    ser_request *r = is_known ? ser_visit_request(wsi, &here, LWSHUMETH_GET) : NULL;
    if (!r)
        return -1;
    look_at_upgrade(wsi, r, wanted);
    int result = r->status ? 1 : 0;
    if (result) {
        size_t n = r->text.n < sizeof room - LWS_PRE ? r->text.n : sizeof room - LWS_PRE;
        memcpy(room + LWS_PRE, r->text.s ? r->text.s : "", n);
        r->closing = true;
        if (ser_visit_answer(wsi, r) || lws_write(wsi, room + LWS_PRE, n, LWS_WRITE_HTTP_FINAL) < (int)n)
            result = -1;
        ser_visit_count(r);
    }
    ser_visit_forget(&here);
    ser_visit_set_busy(ser_visit_service(wsi), &here, false);
    return result;
}

static int begin_stream(struct lws *wsi, ser_visit *v)
{
    ser_service *s = ser_visit_service(wsi);
    v->stream = ser_serve_stream_new(s, wsi, s->keys.n && ser_visit_shows_key(wsi, s));
    lws_set_timer_usecs(
        wsi, (lws_usec_t)(s->settings->limits.header_s * LWS_US_PER_SEC)); /* for the first message */
    return v->stream ? 0 : -1;
}

static void end_stream(struct lws *wsi, ser_visit *v)
{
    if (!v->stream)
        return;
    ser_metrics_count(&ser_visit_service(wsi)->metrics, SER_ROUTE_STREAM, 101, -1);
    ser_serve_stream_gone(v->stream);
    v->stream = NULL;
}

/* After the last message the connection is closed as RFC 6455 says, so that what was said arrives although
 * the client may still be sending. */
static int write_stream(struct lws *wsi, ser_visit *v)
{
    if (!v->stream)
        return -1;
    int result = ser_serve_stream_write(v->stream, wsi);
    if (result != 0) {
        lws_close_reason(wsi, LWS_CLOSE_STATUS_NORMAL, NULL, 0);
        end_stream(wsi, v);
    }
    return result;
}

static int on_stream(struct lws *wsi, enum lws_callback_reasons reason, ser_visit *v, const char *in,
                     size_t n)
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
        return write_stream(wsi, v);
    default: /* LWS_CALLBACK_CLOSED */
        end_stream(wsi, v);
        return 0;
    }
}

/* What is no HTTP, or of a method that HTTP has not: libwebsockets gives it to us as it came, without its
 * head. */
static int refuse_no_http(struct lws *wsi)
{
    unsigned char room[LWS_PRE + 1024];
    char *head = (char *)room + LWS_PRE;
    ser_visit here = {0};
    ser_request *r = ser_visit_request(wsi, &here, -1);
    if (!r)
        return -1;
    ser_request_fail(r, 400, "invalid_request",
                     "this is no request of HTTP/1.1, or of a method that there is not: GET, HEAD, POST and "
                     "OPTIONS are answered");
    int n = snprintf(head, sizeof room - LWS_PRE,
                     "HTTP/1.1 400 Bad Request\r\ncontent-type: %s\r\ncontent-length: %zu\r\n"
                     "x-request-id: %s\r\nconnection: close\r\n\r\n%s",
                     r->type, r->text.n, r->id, r->text.s ? r->text.s : "");
    if (n > 0 && (size_t)n < sizeof room - LWS_PRE)
        lws_write(wsi, room + LWS_PRE, (size_t)n, LWS_WRITE_RAW);
    ser_visit_count(r);
    ser_visit_forget(&here);
    ser_visit_set_busy(ser_visit_service(wsi), &here, false);
    return -1;
}

/* ---- connections ---- */

static bool may_connect(ser_service *s)
{
    ser_peer *peer = ser_peer_of(s, s->arriving);
    return peer && s->n_connections < s->most_connections &&
           peer->n_connections < s->settings->limits.connections_per_peer;
}

/* Who waits at a door, but so many at most that those inside have their turn. Where more come than that, who
 * has hung up while waiting is not let in: a crowd of such clients would otherwise keep the others waiting.
 */
static void let_in(struct lws *door)
{
    enum { MOST_LET_IN = 64, MOST_TAKEN = 1024 };
    ser_service *s = ser_visit_service(door);
    int fd = -1, n_let_in = 0;
    for (int n = 0; n < MOST_TAKEN && n_let_in < MOST_LET_IN; n++) {
        if ((fd = ser_door_accept(lws_get_socket_fd(door), s->arriving)) < 0)
            break;
        if (!may_connect(s) || (s->is_crowded && ser_door_is_gone(fd))) {
            close(fd);
            continue;
        }
        lws_adopt_socket_vhost(lws_get_vhost(door), fd); /* tells of it, or closes fd */
        n_let_in++;
    }
    s->is_crowded = fd >= 0;
}

static void connected(struct lws *wsi)
{
    ser_service *s = ser_visit_service(wsi);
    char *address = ser_alloc(SER_ADDRESS_BYTES, 1);
    if (!address)
        return;
    memcpy(address, s->arriving, SER_ADDRESS_BYTES);
    lws_set_opaque_user_data(wsi, address);
    ser_peer *peer = ser_peer_of(s, address);
    if (peer)
        peer->n_connections++;
    s->n_connections++;
}

static void disconnected(struct lws *wsi)
{
    ser_service *s = ser_visit_service(wsi);
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
    ser_visit *v = user;
    switch (reason) {
    case LWS_CALLBACK_RAW_RX_FILE:
        let_in(wsi);
        return 0;
    case LWS_CALLBACK_SERVER_NEW_CLIENT_INSTANTIATED:
        connected(wsi);
        return 0;
    case LWS_CALLBACK_WSI_DESTROY:
        disconnected(wsi);
        return 0;
    case LWS_CALLBACK_EVENT_WAIT_CANCELLED:
        ser_visit_collect(ser_visit_service(wsi));
        for (ser_serve_stream *stream = ser_visit_service(wsi)->streams; stream;
             stream = ser_serve_stream_next(stream))
            ser_serve_stream_wake(stream);
        return 0;
    case LWS_CALLBACK_HTTP:
        return ser_visit_begin(wsi, v);
    case LWS_CALLBACK_HTTP_BODY:
        return ser_visit_take_body(wsi, v, in, n);
    case LWS_CALLBACK_HTTP_BODY_COMPLETION:
        return ser_visit_end_body(wsi, v);
    case LWS_CALLBACK_HTTP_WRITEABLE:
        return ser_visit_write(wsi, v);
    case LWS_CALLBACK_TIMER:
        if (v && v->stream)
            return ser_serve_stream_is_late(v->stream) ? -1 : 0;
        return v ? ser_visit_is_late(wsi, v) : 0;
    case LWS_CALLBACK_CLOSED_HTTP:
    case LWS_CALLBACK_HTTP_DROP_PROTOCOL:
        if (v) {
            ser_visit_forget(v);
            ser_visit_set_busy(ser_visit_service(wsi), v, false);
        }
        return 0;
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
        return confirm_upgrade(wsi, in);
    case LWS_CALLBACK_ESTABLISHED:
    case LWS_CALLBACK_RECEIVE:
    case LWS_CALLBACK_SERVER_WRITEABLE:
    case LWS_CALLBACK_CLOSED:
        return on_stream(wsi, reason, v, in, n);
    case LWS_CALLBACK_RAW_RX: /* CONNECT, too */
        return refuse_no_http(wsi);
    default:
        return 0;
    }
}

const struct lws_protocols ser_http_protocols[] = {
    {.name = "ser", .callback = on_http, .per_session_data_size = sizeof(ser_visit), .rx_buffer_size = 32768},
    {0},
};
