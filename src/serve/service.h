/* What the files of this folder share: the service, and one request on its way through it. */
#ifndef SER_SERVE_SERVICE_H
#define SER_SERVE_SERVICE_H

#include "base/text.h"
#include "serve/decoders.h"
#include "serve/doors.h"
#include "serve/keys.h"
#include "serve/log.h"
#include "serve/metrics.h"
#include "serve/multipart.h"
#include "serve/serve.h"
#include "serve/workers.h"

#include <libwebsockets.h>
#include <pthread.h>
#include <stdatomic.h>

typedef struct ser_service ser_service;

enum { SER_REQUEST_ID_BYTES = 17 };

/* One request. Two may hold it, the connection and a worker; the last lets it go. */
typedef struct ser_request {
    ser_task task; /* first: a worker gets only this */
    ser_service *service;
    atomic_int n_holders;
    atomic_bool abandoned; /* the client is gone, or the service is stopping: the answer is for nobody */
    struct lws *wsi;       /* of the loop's thread; NULL when the client is gone */
    struct ser_request *next_done;

    char id[SER_REQUEST_ID_BYTES], address[SER_ADDRESS_BYTES];
    const char *method;
    ser_route route;
    size_t model;
    bool timeline, explain, frames, head_only, closing;
    double min_confidence;
    char content_type[256];
    char *body;
    size_t n_body, n_expected, capacity;
    /* of the worker: how far it is, where it was put aside once */
    ser_upload *uploads; /* within body; (n_uploads) */
    size_t n_uploads, n_answered;
    ser_decoded sound;          /* of the next one, already decoded */
    bool is_put_aside;          /* it turned out to be long */
    double since_s, complete_s; /* when it began, and when all of it was there; 0: not yet */

    int status;
    const char *type; /* of the answer's content */
    ser_text text;
    const char *fixed; /* an answer that is never changed, instead of text */
    size_t n_fixed, n_sent;
    bool is_page, is_answering; /* is_answering: of the loop's thread, once the answer is complete */
    double audio_s;
    char origin[256]; /* of the calling page, where it may call; else empty */
} ser_request;

ser_request *ser_request_new(ser_service *s); /* held once; NULL: out of memory */
void ser_request_release(ser_request *r);
/* Room for n bytes of the body. SER_E_NOMEM: there is none, in the process or in what uploads may take. */
ser_status ser_request_grow(ser_request *r, size_t n);
/* The answer is this error; type: "invalid_request" and so on. */
void ser_request_fail(ser_request *r, int status, const char *type, const char *format, ...) SER_PRINTF(4, 5);

/* One of a worker's threads: a session for each model, made when first needed. */
typedef struct ser_serve_worker {
    ser_session **sessions; /* (n_models) */
} ser_serve_worker;

typedef enum ser_serve_state {
    SER_SERVE_LOADING,
    SER_SERVE_READY,
    SER_SERVE_BROKEN,
    SER_SERVE_STOPPING
} ser_serve_state;

struct ser_service {
    const ser_serve_settings *settings;
    atomic_int state; /* ser_serve_state */
    ser_model **models;
    ser_serve_worker *workers;
    int n_workers;
    ser_decoders *decoders;
    ser_workers *pool;
    ser_keys keys;
    ser_serve_log log;
    ser_serve_metrics metrics;
    ser_text page_policy;
    ser_doors doors;
    struct lws_context *context;
    atomic_size_t n_upload_bytes; /* in memory, of requests */
    atomic_bool is_out_of_time;   /* nothing more is computed */
    lws_sorted_usec_list_t alarm; /* wakes the loop at the end of its grace */
    pthread_mutex_t done_mutex;
    ser_request *done; /* answered by a worker, not yet seen by the loop */
    /* of the loop's thread */
    char arriving[SER_ADDRESS_BYTES]; /* whose connection is being taken */
    bool is_crowded;                  /* more waited at the doors than were let in */
    struct ser_peer *peers;
    size_t n_peers, peers_capacity;
    int n_connections, n_streams, n_requests, n_busy; /* n_busy: connections with a request or its answer */
    int most_connections;                             /* that descriptors and settings allow */
    struct ser_serve_stream *streams;
};

/* ---- answer.c: on a worker's thread ---- */
void ser_answer(ser_task *task, int worker);
void ser_answer_drop(ser_task *task); /* ser_task.drop */

/* ---- routes.c: on the loop's thread ---- */
/* What can be said at once: everything but a POST that is to be answered. */
void ser_route_get(ser_request *r);
/* Reads what the query asks for; false: it is wrong, and the answer says how. one: "name=value". */
bool ser_route_query(ser_request *r, const char *one);

/* ---- http.c ---- */
extern const struct lws_protocols ser_http_protocols[];
/* From any thread: r is answered. */
void ser_http_answered(ser_request *r);

/* ---- the files that are compiled in ---- */
const char *ser_serve_asset(ser_route route, size_t *n, const char **type);
/* The page's Content-Security-Policy: it runs the script and the style that are in it, and talks to this
 * service alone. */
void ser_serve_page_policy(ser_text *t);

#endif
