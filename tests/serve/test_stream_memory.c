/* Each of our allocations of a stream's connection fails once: the client gets whole messages, those that it
 * would get, up to one that says why there is no more, or up to the connection's end; it is never left
 * waiting. */
#include "connection.h"
#include "failures/failing.h"
#include "test.h"

#include <jansson.h>

enum { PIECE_S = 1, N_PIECES = 3, MOST_MESSAGES = 64, MOST_WRITES = 1000 };

static bool is_bad;
static char *messages[MOST_MESSAGES]; /* that the client got */
static size_t n_messages;

/* ---- instead of libwebsockets ---- */

int lws_write(struct lws *wsi, unsigned char *buf, size_t len, enum lws_write_protocol protocol)
{
    (void)wsi, (void)protocol;
    json_t *o = json_loadb((const char *)buf, len, JSON_REJECT_DUPLICATES, NULL);
    is_bad = is_bad || !json_is_object(o);
    json_decref(o);
    if (n_messages < MOST_MESSAGES)
        messages[n_messages++] = strndup((const char *)buf, len);
    return (int)len;
}

/* ---- a client ---- */

static void forget_messages(void)
{
    for (size_t i = 0; i < n_messages; i++)
        free(messages[i]);
    n_messages = 0;
}

/* What waits is written as long as somebody asks for that. false: the connection is closed. */
static bool write_all(ser_serve_stream *stream)
{
    ser_serve_stream_wake(stream);
    for (int n = 0; wants_to_write; n++) {
        wants_to_write = false;
        is_bad = is_bad || n == MOST_WRITES; /* it would go on for ever */
        if (is_bad || ser_serve_stream_write(stream, NULL) != 0)
            return false;
    }
    return true;
}

static bool tell(ser_serve_stream *stream, const char *bytes, size_t n, bool is_binary)
{
    ser_serve_stream_receive(stream, bytes, n, true, is_binary);
    fuzz_work();
    return write_all(stream);
}

/* A loud second, and again, and the end; or what is not understood. true: the connection was closed. */
static bool speak(ser_service *s, const char *first)
{
    static int16_t sound[PIECE_S * SER_SAMPLE_RATE_HZ];
    static const char last[] = "{\"type\": \"finish\"}";
    for (size_t i = 0; i < sizeof sound / sizeof *sound; i++)
        sound[i] = (int16_t)(20000 * sin(0.05 * (double)i));
    wants_to_write = false;
    ser_serve_stream *stream = ser_serve_stream_new(s, NULL, false);
    bool is_open = stream && tell(stream, first, strlen(first), false);
    for (int i = 0; is_open && i < N_PIECES; i++)
        is_open = tell(stream, (const char *)sound, sizeof sound, true);
    is_open = is_open && tell(stream, last, strlen(last), false);
    if (stream)
        ser_serve_stream_gone(stream);
    fuzz_work();
    return !is_open;
}

/* As it would be, but for the end. */
static bool is_as_usual(char **usual, size_t n_usual)
{
    for (size_t i = 0; i < n_messages; i++)
        if (i >= n_usual || strcmp(messages[i], usual[i]) != 0)
            return i + 1 == n_messages && strstr(messages[i], "\"error\"") &&
                   strstr(messages[i], "out of memory");
    return true;
}

/* n_told, n_cut: how often the client got a reason, and how often only the end of the connection. */
static void fail_each(const char *first, size_t *n_told, size_t *n_cut)
{
    ser_service *s = fuzz_service(true);
    char *usual[MOST_MESSAGES];
    CHECK(speak(s, first) && n_messages);
    size_t n_usual = n_messages;
    memcpy(usual, messages, sizeof messages);
    n_messages = 0;
    for (long n = 0;; n++) {
        failing_at(n);
        bool is_closed = speak(s, first), has_failed = failing_left() < 0;
        failing_at(-1);
        if (!has_failed)
            break;
        const char *end = n_messages ? messages[n_messages - 1] : "";
        bool is_told = strstr(end, "out of memory");
        bool good = is_closed && !is_bad && is_as_usual(usual, n_usual) && !s->n_streams;
        CHECK(good);
        if (!good)
            fprintf(stderr, "allocation %ld, %zu messages, the last '%s'\n", n, n_messages, end);
        *n_told += is_told;
        *n_cut += !is_told && n_messages < n_usual;
        is_bad = false;
        forget_messages();
    }
    forget_messages();
    for (size_t i = 0; i < n_usual; i++)
        free(usual[i]);
}

int main(void)
{
    size_t n_told = 0, n_cut = 0;
    fail_each("{\"rate\": 16000, \"update\": 0.5}", &n_told, &n_cut);
    CHECK(n_told > 10 && n_cut > 0); /* both ways of ending were seen */
    fail_each("{\"rate\": 16000, \"name of a key that is not known\": true}", &n_told, &n_cut);
    return test_summary();
}
