/* A connection, and the request that it is about: what connections.c and http.c share. All of it is of the
 * loop's thread. */
#ifndef SER_SERVE_VISIT_H
#define SER_SERVE_VISIT_H

#include "serve/service.h"

/* libwebsockets' memory for a connection, zeroed when it comes. */
typedef struct ser_visit {
    ser_request *request;            /* under way, or NULL */
    struct ser_serve_stream *stream; /* of a WebSocket */
    bool draining; /* an answer was given before the body's end, of which n_drained bytes came since */
    size_t n_drained;
    bool is_busy; /* from the beginning of a request until its answer is out */
} ser_visit;

ser_service *ser_visit_service(struct lws *wsi);
/* "" where there is none, or it is longer than n - 1. */
void ser_visit_header(struct lws *wsi, char *out, int n, enum lws_token_indexes token);
bool ser_visit_may_call(const ser_service *s, const char *origin); /* pages of that site */
bool ser_visit_shows_key(struct lws *wsi, const ser_service *s);
void ser_visit_set_busy(ser_service *s, ser_visit *v, bool is_busy);

/* A new one, in the place of what the connection was about; NULL: out of memory. */
ser_request *ser_visit_request(struct lws *wsi, ser_visit *v, int method);
/* The connection lets its request go: the answer is out, or for nobody. */
void ser_visit_forget(ser_visit *v);
/* Into metrics and log. */
void ser_visit_count(ser_request *r);
/* The answer's head; the rest follows when the client takes it. */
int ser_visit_answer(struct lws *wsi, ser_request *r);

/* What libwebsockets tells; not 0: the connection is to be closed. */
int ser_visit_begin(struct lws *wsi, ser_visit *v);
int ser_visit_take_body(struct lws *wsi, ser_visit *v, const char *bytes, size_t n);
int ser_visit_end_body(struct lws *wsi, ser_visit *v);
int ser_visit_write(struct lws *wsi, ser_visit *v);
int ser_visit_is_late(struct lws *wsi, ser_visit *v);
/* Answers what workers are done with. */
void ser_visit_collect(ser_service *s);

#endif
