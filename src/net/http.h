/* One GET over HTTP at a time, by libcurl: http and https only, few redirects, connections that stall are
 * noticed, and what may pass is tried again. */
#ifndef SER_NET_HTTP_H
#define SER_NET_HTTP_H

#include "base/progress.h"
#include "base/status.h"
#include <stdint.h>

typedef struct ser_http ser_http; /* belongs to one thread */

typedef struct ser_http_settings {
    const char *token; /* bearer, for the requested address' own host, never one it redirects to; or NULL */
    const char *certificates; /* a PEM file of authorities to know servers by; NULL: the system's */
    long timeout_s;           /* to connect; and with less than 100 bytes/s: then it is a stall */
    ser_progress progress;
} ser_http_settings;

/* The settings' texts must outlive *out. */
ser_status ser_http_open(ser_http **out, const ser_http_settings *settings, ser_error *err);
void ser_http_close(ser_http **http);

/* The head of a good answer. */
typedef struct ser_http_answer {
    uint64_t from; /* where the bytes begin: what was asked for, or 0 from a server that knows no ranges */
    bool has_size;
    uint64_t size;         /* of the whole */
    const char *validator; /* for If-Range: a strong ETag or Last-Modified; or NULL. Copy it. */
} ser_http_answer;

/* Where the bytes go. A failure ends the request and is what ser_http_get returns. */
typedef struct ser_http_sink {
    /* Before each try: from which byte on, and, with *if_range not NULL, only when the file is unchanged.
     * afresh: the server has no such part, so that *from must be 0. */
    ser_status (*prepare)(void *context, bool afresh, uint64_t *from, const char **if_range, ser_error *err);
    ser_status (*begin)(void *context, const ser_http_answer *answer, ser_error *err);
    ser_status (*receive)(void *context, const void *bytes, size_t n, ser_error *err);
    bool (*report)(void *context); /* tells the progress; false: stop */
    void *context;
} ser_http_sink;

/* *code: the last answer's, such as 404; 0 when there was none. Messages name the host. */
ser_status ser_http_get(ser_http *http, const char *url, const ser_http_sink *sink, long *code,
                        ser_error *err);

#endif
