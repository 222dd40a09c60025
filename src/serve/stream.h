/* A WebSocket on /v1/stream: the first message says in JSON what will come, then sound as binary messages;
 * events come back as JSON, one a message. The sound is heard by the workers, in turn with everybody else's
 * requests. */
#ifndef SER_SERVE_STREAM_H
#define SER_SERVE_STREAM_H

#include "serve/service.h"

typedef struct ser_serve_stream ser_serve_stream;

/* ---- on the loop's thread ---- */
ser_serve_stream *ser_serve_stream_new(ser_service *s, struct lws *wsi,
                                       bool has_key); /* NULL: out of memory */
/* A part of a message, the last or not. */
void ser_serve_stream_receive(ser_serve_stream *stream, const char *bytes, size_t n, bool is_last,
                              bool is_binary);
/* A worker may have said something. */
void ser_serve_stream_wake(ser_serve_stream *stream);
/* Writes the next message; -1: the connection is to be closed. */
int ser_serve_stream_write(ser_serve_stream *stream, struct lws *wsi);
/* The timer of the connection has run out. false: no sound came, which is told; true: the client does not
 * take what it is told, and the connection is to be closed. */
bool ser_serve_stream_is_late(ser_serve_stream *stream);
/* The service stops: what was heard so far is answered. */
void ser_serve_stream_stop(ser_serve_stream *stream);
ser_serve_stream *ser_serve_stream_next(ser_serve_stream *stream); /* of the service's list */
void ser_serve_stream_gone(ser_serve_stream *stream);

#endif
