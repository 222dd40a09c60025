/* A stream's connection without a network: what its code asks of libwebsockets and of src/serve/http.c. Who
 * includes this has an lws_write of its own, which is the client. */
#ifndef SER_FUZZ_CONNECTION_H
#define SER_FUZZ_CONNECTION_H

#include "serve/stream.h"
#include "service.h"

static bool wants_to_write; /* the stream */

void ser_http_answered(ser_request *r) /* there are no requests */
{
    (void)r;
    abort();
}

void lws_set_timer_usecs(struct lws *wsi, lws_usec_t us)
{
    (void)wsi, (void)us;
}

int lws_callback_on_writable(struct lws *wsi)
{
    (void)wsi;
    wants_to_write = true;
    return 0;
}

void lws_cancel_service(struct lws_context *context)
{
    (void)context;
}

#endif
