/* A stream's messages: what a client sends, piece by piece, with workers and writing in between. An input is
 * a row of pieces: a byte that says what happens (below), two of the length, the bytes. */
#include "connection.h"

#include <jansson.h>

enum { BINARY = 1, LAST = 2, WORK = 4, WRITE = 8, IDLE = 16, STOP = 32, CHOKED = 64 };

static bool is_choked; /* the client does not read */

/* Each message is an object. */
int lws_write(struct lws *wsi, unsigned char *buf, size_t len, enum lws_write_protocol protocol)
{
    (void)wsi, (void)protocol;
    json_t *o = json_loadb((const char *)buf, len, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(o))
        abort();
    json_decref(o);
    return is_choked ? -1 : (int)len;
}

/* false: the connection is closed. */
static bool go_on(ser_serve_stream *stream, unsigned what)
{
    if (what & WORK)
        fuzz_work();
    if (what & STOP)
        ser_serve_stream_stop(stream);
    if ((what & IDLE) && ser_serve_stream_is_late(stream))
        return false;
    ser_serve_stream_wake(stream);
    is_choked = what & CHOKED;
    return !(what & WRITE) || ser_serve_stream_write(stream, NULL) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    ser_service *s = fuzz_service(true);
    ser_serve_stream *stream = ser_serve_stream_new(s, NULL, false);
    size_t at = 0;
    bool is_open = stream;
    while (is_open && n - at >= 3) {
        unsigned what = data[at];
        size_t n_piece = (size_t)data[at + 1] | (size_t)data[at + 2] << 8;
        at += 3;
        n_piece = n_piece < n - at ? n_piece : n - at;
        char *piece = (char *)fuzz_copy(data + at, n_piece);
        ser_serve_stream_receive(stream, piece, n_piece, what & LAST, what & BINARY);
        free(piece);
        at += n_piece;
        is_open = go_on(stream, what);
    }
    if (stream)
        ser_serve_stream_gone(stream);
    fuzz_work();
    if (s->streams || s->n_streams)
        abort();
    return 0;
}
