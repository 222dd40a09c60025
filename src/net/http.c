#include "net/http.h"
#include "base/clock.h"
#include "base/memory.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum {
    MAX_REDIRECTS = 5,
    N_TRIES = 4,                 /* in a row that bring nothing */
    WORTHWHILE = 1 << 20,        /* bytes that make a try more than nothing */
    STALLED_BYTES_PER_S = 100,   /* less is a stall */
    FIRST_WAIT_MS = 500,         /* before the second try, doubled before each further one */
    LONGEST_WAIT_MS = 60 * 1000, /* that a server may ask for */
    MAX_HOST = 200
};

struct ser_http {
    CURL *curl;
    ser_http_settings settings;
};

/* One try. */
typedef struct transfer {
    CURL *curl;
    const ser_http_sink *sink;
    ser_error *err;
    ser_status st; /* what the sink said */
    long timeout_s;
    uint64_t from, n_received;
    bool begun, misfit, stalled; /* misfit: another part came than the one asked for */
    double watched_s;            /* since when bytes are counted, to notice a stall */
    uint64_t n_watched;          /* what had come until then */
} transfer;

/* ---- opening ---- */

ser_status ser_http_open(ser_http **out, const ser_http_settings *settings, ser_error *err)
{
    *out = NULL;
    ser_http *h = ser_alloc(1, sizeof *h);
    if (!h)
        return ser_fail_nomem(err);
    h->settings = *settings;
    h->curl = curl_easy_init();
    if (!h->curl) {
        ser_http_close(&h);
        return ser_fail_nomem(err);
    }
    *out = h;
    return SER_OK;
}

void ser_http_close(ser_http **http)
{
    if (!*http)
        return;
    curl_easy_cleanup((*http)->curl);
    ser_free(*http);
    *http = NULL;
}

/* "huggingface.co" or "localhost:8000"; the whole text where it is no address. */
static void host_of(char host[MAX_HOST], const char *url)
{
    CURLU *u = curl_url();
    char *name = NULL, *port = NULL;
    if (u && curl_url_set(u, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK)
        curl_url_get(u, CURLUPART_HOST, &name, 0);
    if (name && curl_url_get(u, CURLUPART_PORT, &port, 0) == CURLUE_OK)
        snprintf(host, MAX_HOST, "%s:%s", name, port);
    else
        snprintf(host, MAX_HOST, "%s", name && *name ? name : url);
    curl_free(name);
    curl_free(port);
    curl_url_cleanup(u);
}

/* ---- one try ---- */

static const char *header(const transfer *t, const char *name)
{
    struct curl_header *h;
    return curl_easy_header(t->curl, name, 0, CURLH_HEADER, -1, &h) == CURLHE_OK ? h->value : NULL;
}

static void read_content_range(const transfer *t, ser_http_answer *a)
{
    const char *range = header(t, "Content-Range");
    if (!range || strncasecmp(range, "bytes ", 6) != 0)
        return;
    char *end;
    a->from = strtoull(range + 6, &end, 10);
    const char *total = strchr(end, '/');
    if (total && total[1] >= '0' && total[1] <= '9') {
        a->has_size = true;
        a->size = strtoull(total + 1, NULL, 10);
    }
}

/* The head of a good answer is there. */
static void begin(transfer *t, long code)
{
    ser_http_answer a = {0};
    curl_off_t length = -1;
    t->begun = true;
    if (code == 206) {
        read_content_range(t, &a);
        t->misfit = a.from != t->from;
    } else if (curl_easy_getinfo(t->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length) == CURLE_OK &&
               length >= 0) {
        a.has_size = true;
        a.size = (uint64_t)length;
    }
    a.validator = header(t, "ETag");
    if (!a.validator ||
        a.validator[0] != '"') /* weak ones may not be compared for ranges, RFC 9110, 13.1.5 */
        a.validator = header(t, "Last-Modified");
    if (!t->misfit)
        t->st = t->sink->begin(t->sink->context, &a, t->err);
}

static bool is_good(long code)
{
    return code == 200 || code == 206;
}

static size_t on_bytes(char *bytes, size_t size, size_t n, void *context)
{
    transfer *t = context;
    long code = 0;
    curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &code);
    if (!is_good(code))
        return CURL_WRITEFUNC_ERROR; /* nobody reads what a server says beside its code */
    if (!t->begun)
        begin(t, code);
    if (t->st == SER_OK && !t->misfit)
        t->st = t->sink->receive(t->sink->context, bytes, size * n, t->err);
    if (t->st != SER_OK || t->misfit)
        return CURL_WRITEFUNC_ERROR;
    t->n_received += size * n;
    return size * n;
}

static int on_progress(void *context, curl_off_t total, curl_off_t now, curl_off_t up_total, curl_off_t up)
{
    transfer *t = context;
    (void)total;
    (void)now;
    (void)up_total;
    (void)up;
    if (t->st == SER_OK && !t->sink->report(t->sink->context))
        t->st = ser_fail(t->err, SER_E_CANCELLED, "interrupted");
    /* curl's own low-speed limit reacts seconds later where a burst came before. */
    double now_s = ser_clock_s(), patience_s = (double)t->timeout_s;
    if (now_s - t->watched_s >= patience_s) {
        t->stalled = (double)(t->n_received - t->n_watched) < STALLED_BYTES_PER_S * patience_s;
        t->watched_s = now_s;
        t->n_watched = t->n_received;
    }
    return t->st != SER_OK || t->stalled;
}

static CURLcode set_options(ser_http *h, transfer *t, const char *url, struct curl_slist *headers)
{
    CURL *c = h->curl;
    /* Who began with encryption stays with it. */
    const char *onwards = strncasecmp(url, "https:", 6) == 0 ? "https" : "http,https";
    char range[32];
    curl_easy_reset(c); /* keeps connections */
    CURLcode code = curl_easy_setopt(c, CURLOPT_URL, url);
    if (code == CURLE_OK)
        code = curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    if (code == CURLE_OK)
        code = curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, onwards);
    if (code == CURLE_OK)
        code = curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    if (code == CURLE_OK && h->settings.certificates)
        code = curl_easy_setopt(c, CURLOPT_CAINFO, h->settings.certificates);
    if (code == CURLE_OK && h->settings.token) {
        code = curl_easy_setopt(c, CURLOPT_XOAUTH2_BEARER, h->settings.token);
        curl_easy_setopt(c, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
    }
    if (code == CURLE_OK && t->from) {
        snprintf(range, sizeof range, "%" PRIu64 "-", t->from);
        code = curl_easy_setopt(c, CURLOPT_RANGE, range);
    }
    curl_easy_setopt(c, CURLOPT_USERAGENT, "ser/" SER_VERSION);
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(c, CURLOPT_MAXREDIRS, (long)MAX_REDIRECTS);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, h->settings.timeout_s);
    curl_easy_setopt(c, CURLOPT_BUFFERSIZE, 256L * 1024);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(c, CURLOPT_XFERINFODATA, t);
    return code;
}

static CURLcode perform(ser_http *h, transfer *t, const char *url, const char *if_range, long *code)
{
    struct curl_slist *headers = NULL;
    char line[512];
    CURLcode result = CURLE_OK;
    if (t->from && if_range) {
        snprintf(line, sizeof line, "If-Range: %s", if_range);
        headers = curl_slist_append(NULL, line);
        result = headers ? CURLE_OK : CURLE_OUT_OF_MEMORY;
    }
    if (result == CURLE_OK)
        result = set_options(h, t, url, headers);
    if (result == CURLE_OK)
        result = curl_easy_perform(h->curl);
    curl_easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, code);
    if (result == CURLE_OK && is_good(*code) && !t->begun) /* an empty file has no bytes to begin with */
        begin(t, *code);
    curl_slist_free_all(headers);
    return result;
}

/* ---- what went wrong ---- */

static ser_status fail_code(const char *host, long code, ser_error *err)
{
    switch (code) {
    case 401:
    case 403:
        return ser_fail(err, SER_E_IO,
                        "%s does not give it to everybody (%ld): set HF_TOKEN to one that may read it", host,
                        code);
    case 404:
    case 410:
        return ser_fail(err, SER_E_IO, "%s does not have it (%ld): check the name, or try another --endpoint",
                        host, code);
    case 429:
        return ser_fail(err, SER_E_IO, "%s has had too many requests (429): try again later", host);
    default:
        return ser_fail(err, SER_E_IO,
                        "%s answers with the error %ld: try again later, or another --endpoint", host, code);
    }
}

static ser_status fail_connection(const ser_http *h, const char *host, CURLcode result, ser_error *err)
{
    long reason = 0;
    curl_easy_getinfo(h->curl, CURLINFO_OS_ERRNO, &reason);
    switch (result) {
    case CURLE_OUT_OF_MEMORY:
        return ser_fail_nomem(err);
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return ser_fail(err, SER_E_IO, "there is no way to %s: check the network, or name another --endpoint",
                        host);
    case CURLE_COULDNT_CONNECT:
        return ser_fail(err, SER_E_IO,
                        "%s cannot be reached (%s): check the network, or try another --endpoint", host,
                        reason ? strerror((int)reason) : "nobody listens");
    case CURLE_OPERATION_TIMEDOUT:
        return ser_fail(err, SER_E_IO,
                        "%s sent nothing for %ld s: try again later, what has come so far is kept", host,
                        h->settings.timeout_s);
    case CURLE_SSL_CACERT_BADFILE:
        if (h->settings.certificates)
            return ser_fail(err, SER_E_ARG, "SSL_CERT_FILE: %s holds no certificates that can be read",
                            h->settings.certificates);
        return ser_fail(err, SER_E_IO,
                        "there are no certificates to know %s by: install the package ca-certificates", host);
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CONNECT_ERROR:
        return ser_fail(err, SER_E_IO, "%s does not prove who it is (%s): check the address and the clock",
                        host, curl_easy_strerror(result));
    case CURLE_TOO_MANY_REDIRECTS:
        return ser_fail(err, SER_E_IO,
                        "%s leads from one address to the next without end: try another --endpoint", host);
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
        return ser_fail(
            err, SER_E_IO,
            "%s leads to an address that is not fetched from, such as from https to http, or to a "
            "file: try another --endpoint",
            host);
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_GOT_NOTHING:
        return ser_fail(err, SER_E_IO,
                        "the connection to %s broke: try again later, what has come so far is kept", host);
    default:
        return ser_fail(err, SER_E_IO, "%s cannot be fetched from (%s): try again later", host,
                        curl_easy_strerror(result));
    }
}

/* Whether the same request may do better a little later. any: something came before. */
static bool may_pass(CURLcode result, long code, bool any)
{
    switch (result) {
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
        return true;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
        return any;
    default:
        return code == 408 || code == 429 || (code >= 500 && code != 501 && code != 505);
    }
}

/* ---- several tries ---- */

static ser_status wait_ms(const ser_http *h, long ms, ser_error *err)
{
    const struct timespec pause = {.tv_nsec = 50 * 1000 * 1000};
    for (long waited = 0; waited < ms; waited += 50) {
        if (!ser_progress_report(&h->settings.progress, "waiting to try again", 0, 0))
            return ser_fail(err, SER_E_CANCELLED, "interrupted");
        nanosleep(&pause, NULL);
    }
    return SER_OK;
}

typedef enum verdict { DONE, FAILED, AFRESH, LATER } verdict;

static verdict judge(const transfer *t, CURLcode result, long code, bool any)
{
    if (t->st != SER_OK)
        return FAILED;
    if (t->misfit || code == 416)
        return t->from ? AFRESH : FAILED;
    if (result == CURLE_OK && is_good(code))
        return DONE;
    return may_pass(result, code, any) ? LATER : FAILED;
}

static ser_status fail(const ser_http *h, const transfer *t, const char *url, CURLcode result, long code,
                       ser_error *err)
{
    char host[MAX_HOST];
    const char *last = NULL;
    curl_easy_getinfo(h->curl, CURLINFO_EFFECTIVE_URL, &last);
    host_of(host, last && strncasecmp(last, "http", 4) == 0 ? last : url);
    if (t->st != SER_OK)
        return t->st;
    if (t->misfit)
        return ser_fail(err, SER_E_IO, "%s sends another part than the one asked for: try another --endpoint",
                        host);
    if (code && !is_good(code) && (result == CURLE_OK || result == CURLE_WRITE_ERROR))
        return fail_code(host, code, err);
    return fail_connection(h, host, result, err);
}

ser_status ser_http_get(ser_http *http, const char *url, const ser_http_sink *sink, long *code,
                        ser_error *err)
{
    bool afresh = false, any = false;
    long wait = FIRST_WAIT_MS;
    for (int n_tries = 1;; n_tries++) {
        transfer t = {.curl = http->curl,
                      .sink = sink,
                      .err = err,
                      .timeout_s = http->settings.timeout_s,
                      .watched_s = ser_clock_s()};
        const char *if_range = NULL;
        *code = 0;
        ser_status st = sink->prepare(sink->context, afresh, &t.from, &if_range, err);
        if (st != SER_OK)
            return st;
        CURLcode result = perform(http, &t, url, if_range, code);
        if (t.stalled)
            result = CURLE_OPERATION_TIMEDOUT;
        any = any || t.n_received;
        verdict v = judge(&t, result, *code, any);
        if (t.n_received >= WORTHWHILE) {
            n_tries = 1;
            wait = FIRST_WAIT_MS;
        }
        curl_off_t asked_s = 0;
        curl_easy_getinfo(http->curl, CURLINFO_RETRY_AFTER, &asked_s);
        if (v == DONE)
            return SER_OK;
        if (v == FAILED || n_tries == N_TRIES || asked_s > LONGEST_WAIT_MS / 1000)
            return fail(http, &t, url, result, *code, err);
        afresh = v == AFRESH;
        long pause = asked_s * 1000 > wait ? (long)asked_s * 1000 : wait;
        if (v == LATER && (st = wait_ms(http, pause, err)) != SER_OK)
            return st;
        wait *= 2;
    }
}
