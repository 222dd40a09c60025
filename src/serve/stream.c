#include "serve/stream.h"
#include "base/clock.h"
#include "base/memory.h"
#include "io/json.h"
#include "report/escape.h"
#include "report/prediction.h"

#include <math.h>
#include <string.h>

enum { MAX_FIRST_MESSAGE = 4096, MAX_RATE_HZ = 384000, MAX_CHANNELS = 8 };
/* TURN_S: of sound that a worker hears before it is somebody else's turn. */
enum { TURN_S = 1, MAX_WAITING_BYTES = 16 << 20, MAX_UNREAD_BYTES = 1 << 20, CLOSE_S = 5 };

/* What the first message asks for. */
typedef struct stream_wish {
    ser_stream_settings settings;
    size_t model;
    bool floats; /* f32le instead of s16le */
    double min_confidence;
    char key[300];
} stream_wish;

struct ser_serve_stream {
    ser_task task; /* first: a worker gets only this */
    ser_service *service;
    atomic_int n_holders;             /* connection and worker */
    ser_serve_stream *next, **before; /* of the service's list, on the loop's thread */

    /* of the loop's thread */
    struct lws *wsi;
    ser_text first;                /* the first message, as it comes */
    bool is_set, has_key, is_over; /* the first message is read; nothing more is taken */
    double ahead_s, at_s;          /* of sound that was faster than real time, when the last came */
    size_t n_frame_bytes;          /* of one frame of all channels */
    size_t n_message_bytes;        /* of the message of sound that is under way */

    pthread_mutex_t mutex; /* what follows is both threads' */
    char *bytes;           /* sound that waits */
    size_t n_bytes, capacity;
    bool is_queued, is_finishing, is_ended;
    ser_text out; /* messages, each ended by a new line */
    size_t n_sent;

    /* of the worker */
    stream_wish wish;
    ser_session *session;
    ser_stream *heard;
    float *samples;
    size_t samples_capacity;
};

/* ---- the first message ---- */

static bool read_number(double *out, const json_t *o, const char *key, double low, double high,
                        ser_error *err)
{
    const json_t *value = json_object_get(o, key);
    if (!value)
        return true;
    double x = json_is_number(value) ? json_number_value(value) : NAN;
    if (x >= low && x <= high) {
        *out = x;
        return true;
    }
    ser_fail(err, SER_E_ARG, "%s: a number from %g to %g is expected", key, low, high);
    return false;
}

static bool read_whole(int *out, const json_t *o, const char *key, int low, int high, ser_error *err)
{
    double x = *out;
    bool fits = read_number(&x, o, key, low, high, err);
    if (fits && x != floor(x)) {
        ser_fail(err, SER_E_ARG, "%s: a whole number is expected", key);
        fits = false;
    }
    *out = (int)x;
    return fits;
}

static bool read_words(stream_wish *w, const ser_serve_settings *serve, const json_t *o, ser_error *err)
{
    const char *encoding = json_string_value(json_object_get(o, "encoding")),
               *name = json_string_value(json_object_get(o, "model"));
    const char *key = json_string_value(json_object_get(o, "key")),
               *type = json_string_value(json_object_get(o, "type"));
    if (json_object_get(o, "type") && (!type || strcmp(type, "start") != 0)) {
        ser_fail(err, SER_E_ARG, "type: of the first message it is 'start', if anything");
        return false;
    }
    w->floats = encoding && strcmp(encoding, "f32le") == 0;
    snprintf(w->key, sizeof w->key, "%s", key ? key : "");
    if (json_object_get(o, "encoding") && !w->floats && (!encoding || strcmp(encoding, "s16le") != 0)) {
        ser_fail(err, SER_E_ARG, "encoding: 's16le' or 'f32le' is expected");
        return false;
    }
    for (w->model = 0; name && w->model < serve->n_models; w->model++)
        if (strcmp(serve->models[w->model].name, name) == 0)
            return true;
    if (json_object_get(o, "model")) {
        ser_fail(err, SER_E_ARG, "there is no model of that name here: GET /v1/models lists those there are");
        return false;
    }
    return true;
}

/* {"rate": 16000, "channels": 1, "encoding": "s16le", "update": 1, "pause": 0.5, "model": NAME,
 * "min_confidence": P, "key": KEY}, all of it optional. SER_E_ARG says what is wrong. */
static ser_status read_wish(stream_wish *out, const ser_serve_settings *serve, const char *text, size_t n,
                            ser_error *err)
{
    static const char *const known[] = {"rate",  "channels",       "encoding", "update", "pause",
                                        "model", "min_confidence", "key",      "type"};
    double update = 1, pause = 0.5;
    int rate = SER_SAMPLE_RATE_HZ, channels = 1;
    const char *key;
    json_t *value, *o = NULL;
    *out = (stream_wish){.min_confidence = serve->min_confidence};
    if (ser_json_load(&o, text, n, JSON_REJECT_DUPLICATES, NULL) == SER_E_NOMEM)
        return ser_fail_nomem(err);
    bool fits = json_is_object(o);
    if (!fits)
        ser_fail(err, SER_E_ARG,
                 "the first message is no JSON object such as {\"rate\": 16000, \"encoding\": \"s16le\"}");
    json_object_foreach(o, key, value)
    {
        size_t i = 0;
        while (i < sizeof known / sizeof *known && strcmp(known[i], key) != 0)
            i++;
        if (fits && i == sizeof known / sizeof *known) {
            fits = false;
            ser_fail(err, SER_E_ARG,
                     "the first message has an unknown key: rate, channels, encoding, update, pause, model, "
                     "min_confidence and key are what there is");
        }
    }
    fits =
        fits && read_whole(&rate, o, "rate", 1000, MAX_RATE_HZ, err) &&
        read_whole(&channels, o, "channels", 1, MAX_CHANNELS, err) &&
        read_number(&update, o, "update", 0.25, 10, err) && read_number(&pause, o, "pause", 0.1, 10, err) &&
        read_number(&out->min_confidence, o, "min_confidence", 0, 1, err) && read_words(out, serve, o, err);
    json_decref(o);
    out->settings = (ser_stream_settings){.size = sizeof out->settings,
                                          .sample_rate_hz = rate,
                                          .n_channels = channels,
                                          .pause_s = pause,
                                          .update_s = update};
    return fits ? SER_OK : SER_E_ARG;
}

/* ---- what is said ---- */

/* Under the mutex, or before the worker knows of the stream. */
static void append_error(ser_serve_stream *s, int code, const char *type, const char *message)
{
    ser_text_appendf(&s->out, "{\"error\": {\"code\": %d, \"message\": ", code);
    ser_append_json(&s->out, message);
    ser_text_appendf(&s->out, ", \"type\": \"%s\"}}\n", type);
    s->is_ended = true;
}

/* On the loop's thread: what comes now is not listened to, and the connection ends within so much time
 * whatever the client does. */
static void end_taking(ser_serve_stream *s, double within_s)
{
    s->is_over = true;
    lws_set_timer_usecs(s->wsi, (lws_usec_t)(within_s * LWS_US_PER_SEC));
}

/* On the loop's thread. */
static void refuse(ser_serve_stream *s, int code, const char *type, const char *message)
{
    pthread_mutex_lock(&s->mutex);
    if (!s->is_ended)
        append_error(s, code, type, message);
    pthread_mutex_unlock(&s->mutex);
    end_taking(s, CLOSE_S);
    lws_callback_on_writable(s->wsi);
}

static void refuse_for_memory(ser_serve_stream *s)
{
    refuse(s, 503, "overloaded", "out of memory: try again later");
}

/* ---- on a worker's thread ---- */

static ser_status open_stream(ser_serve_stream *s, ser_error *err)
{
    ser_status st =
        s->session ? SER_OK : ser_session_new(&s->session, s->service->models[s->wish.model], NULL, err);
    if (st == SER_OK && !s->heard)
        st = ser_stream_open(&s->heard, s->session, &s->wish.settings, err);
    return st;
}

static ser_status push(ser_serve_stream *s, const char *bytes, size_t n_bytes, ser_error *err)
{
    size_t size = s->wish.floats ? sizeof(float) : sizeof(int16_t), n = n_bytes / size;
    if (!ser_grow(&s->samples, &s->samples_capacity, n, sizeof *s->samples))
        return ser_fail_nomem(err);
    for (size_t i = 0; i < n; i++) {
        int16_t x;
        if (s->wish.floats) {
            memcpy(&s->samples[i], bytes + i * size, size);
            continue;
        }
        memcpy(&x, bytes + i * size, size);
        s->samples[i] = (float)x / 32768;
    }
    return ser_stream_push(s->heard, s->samples, n / (size_t)s->wish.settings.n_channels, err);
}

static void take_events(ser_serve_stream *s)
{
    const ser_prediction_form form =
        ser_prediction_form_of(s->service->models[s->wish.model], s->wish.min_confidence);
    const ser_event *event;
    uint64_t n = 0;
    pthread_mutex_lock(&s->mutex);
    for (; !s->is_ended && (event = ser_stream_next(s->heard)); n++)
        ser_prediction_event(&s->out, &form, event);
    if (!s->is_ended && s->out.n - s->n_sent > MAX_UNREAD_BYTES)
        append_error(s, 408, "timeout", "the events are not read");
    pthread_mutex_unlock(&s->mutex);
    ser_metrics_add_events(&s->service->metrics, n);
}

static void release(ser_serve_stream *s)
{
    if (atomic_fetch_sub(&s->n_holders, 1) != 1)
        return;
    ser_stream_close(&s->heard);
    ser_session_free(&s->session);
    ser_text_release(&s->first);
    ser_text_release(&s->out);
    ser_free(s->bytes);
    ser_free(s->samples);
    pthread_mutex_destroy(&s->mutex);
    ser_free(s);
}

/* Under the mutex: takes the whole frames of a turn. A message comes in pieces that end within a sample too:
 * its other half is left to be joined with what follows. */
static ser_status take_sound(ser_serve_stream *s, char **bytes, size_t *n, ser_error *err)
{
    size_t turn = TURN_S * (size_t)s->wish.settings.sample_rate_hz * s->n_frame_bytes, capacity = 0;
    *n = s->n_bytes - s->n_bytes % s->n_frame_bytes;
    if (*n > turn)
        *n = turn;
    s->n_bytes -= *n;
    if (!s->n_bytes) { /* all of it, and its memory */
        *bytes = s->bytes;
        s->bytes = NULL;
        s->capacity = 0;
        return SER_OK;
    }
    if (*n && !ser_grow(bytes, &capacity, *n, 1))
        return ser_fail_nomem(err);
    if (*n) {
        memcpy(*bytes, s->bytes, *n);
        memmove(s->bytes, s->bytes + *n, s->n_bytes);
    }
    return SER_OK;
}

/* Under the mutex: as the client is told. */
static void append_failure(ser_serve_stream *s, const ser_error *err)
{
    if (err->status == SER_E_FORMAT)
        append_error(s, 422, "invalid_audio", err->text);
    else if (err->status == SER_E_ARG || err->status == SER_E_UNSUPPORTED)
        append_error(s, 400, "invalid_request", err->text);
    else if (err->status == SER_E_NOMEM)
        append_error(s, 503, "overloaded", "out of memory: try again later");
    else
        append_error(s, 500, "internal", err->text);
}

/* One turn. false: nothing more waits, and the task is not queued any more. has_news: the loop is to write.
 */
static bool hear_some(ser_serve_stream *s, bool *has_news)
{
    ser_error err = {0};
    char *bytes = NULL;
    size_t n = 0;
    pthread_mutex_lock(&s->mutex);
    ser_status st = s->is_ended ? SER_OK : take_sound(s, &bytes, &n, &err);
    bool is_last = s->is_finishing && s->n_bytes < s->n_frame_bytes, over = s->is_ended;
    pthread_mutex_unlock(&s->mutex);
    if (st == SER_OK && !over)
        st = open_stream(s, &err);
    if (st == SER_OK && n)
        st = push(s, bytes, n, &err);
    if (st == SER_OK && is_last && !over)
        st = ser_stream_finish(s->heard, &err);
    if (st == SER_OK && !over)
        take_events(s);
    ser_free(bytes);
    pthread_mutex_lock(&s->mutex);
    if (st != SER_OK && !s->is_ended)
        append_failure(s, &err);
    if (is_last && !s->is_ended) {
        ser_text_append(&s->out, "{\"event\": \"end\"}\n");
        s->is_ended = true;
    }
    bool more = !s->is_ended && (s->n_bytes >= s->n_frame_bytes || s->is_finishing);
    s->is_queued = more;
    *has_news = s->out.n > 0 || s->out.failed || s->is_ended;
    pthread_mutex_unlock(&s->mutex);
    return more;
}

static void hear(ser_task *task, int worker)
{
    ser_serve_stream *s = (ser_serve_stream *)task;
    struct lws_context *context = s->service->context;
    bool has_news;
    (void)worker;
    if (hear_some(s, &has_news))
        ser_workers_add(s->service->pool, task, SER_TASK_STREAM); /* with the hold that this turn had */
    else
        release(s);
    if (has_news)
        lws_cancel_service(context);
}

static void drop(ser_task *task)
{
    release((ser_serve_stream *)task);
}

/* ---- on the loop's thread ---- */

ser_serve_stream *ser_serve_stream_new(ser_service *service, struct lws *wsi, bool has_key)
{
    ser_serve_stream *s = ser_alloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->service = service;
    s->wsi = wsi;
    s->has_key = has_key;
    atomic_init(&s->n_holders, 1);
    pthread_mutex_init(&s->mutex, NULL);
    s->next = service->streams;
    s->before = &service->streams;
    if (s->next)
        s->next->before = &s->next;
    service->streams = s;
    service->n_streams++;
    return s;
}

/* Under the mutex: something waits for a worker. */
static void queue(ser_serve_stream *s)
{
    if (s->is_queued || s->is_ended)
        return;
    s->is_queued = true;
    s->task = (ser_task){.run = hear, .drop = drop};
    atomic_fetch_add(&s->n_holders, 1);
    ser_workers_add(s->service->pool, &s->task, SER_TASK_STREAM);
}

static void finish(ser_serve_stream *s)
{
    end_taking(s, s->service->settings->limits.answer_s);
    pthread_mutex_lock(&s->mutex);
    s->is_finishing = true;
    queue(s);
    pthread_mutex_unlock(&s->mutex);
}

static void read_first(ser_serve_stream *s)
{
    ser_error err = {0};
    const ser_keys *keys = &s->service->keys;
    ser_status st = read_wish(&s->wish, s->service->settings, s->first.s ? s->first.s : "", s->first.n, &err);
    if (st == SER_E_NOMEM)
        refuse_for_memory(s);
    else if (st != SER_OK)
        refuse(s, 400, "invalid_request", err.text);
    else if (keys->n && !s->has_key && !ser_keys_know(keys, s->wish.key))
        refuse(s, 401, "unauthorized",
               "a key is needed: send the header 'Authorization: Bearer KEY', or 'key' in the first message");
    s->is_set = st == SER_OK;
    s->n_frame_bytes =
        (s->wish.floats ? sizeof(float) : sizeof(int16_t)) * (size_t)s->wish.settings.n_channels;
    ser_text_clear(&s->first);
}

static void receive_text(ser_serve_stream *s, const char *bytes, size_t n, bool is_last)
{
    ser_text_append_n(&s->first, bytes, n);
    if (s->first.failed)
        refuse_for_memory(s);
    else if (s->first.n > MAX_FIRST_MESSAGE)
        refuse(s, 413, "too_large", "a message in JSON of more than 4096 bytes");
    else if (is_last && !s->is_set)
        read_first(s);
    else if (is_last) {
        json_t *o = NULL;
        ser_status st =
            ser_json_load(&o, s->first.s ? s->first.s : "", s->first.n, JSON_REJECT_DUPLICATES, NULL);
        const char *type = json_string_value(json_object_get(o, "type"));
        if (st == SER_E_NOMEM)
            refuse_for_memory(s);
        else if (type && strcmp(type, "finish") == 0)
            finish(s);
        else
            refuse(s, 400, "invalid_request",
                   "after the first message only sound is expected, and {\"type\": \"finish\"}");
        json_decref(o);
        ser_text_clear(&s->first);
    }
}

/* Sound may come faster than it is spoken, but not by more than the limit; who was silent for a while may not
 * make up for it. */
static bool is_too_fast(ser_serve_stream *s, size_t n)
{
    double now = ser_clock_s(), caught_up = s->at_s > 0 ? s->ahead_s - (now - s->at_s) : 0;
    s->ahead_s = (caught_up > 0 ? caught_up : 0) +
                 (double)n / (double)s->n_frame_bytes / s->wish.settings.sample_rate_hz;
    s->at_s = now;
    return s->ahead_s > s->service->settings->limits.stream_ahead_s;
}

/* Bytes of sound that no worker has heard yet. */
static size_t most_waiting(const ser_serve_stream *s)
{
    double most_s = s->service->settings->limits.stream_ahead_s + 2,
           n = most_s * s->wish.settings.sample_rate_hz * (double)s->n_frame_bytes;
    return n < MAX_WAITING_BYTES ? (size_t)n : MAX_WAITING_BYTES;
}

static void receive_sound(ser_serve_stream *s, const char *bytes, size_t n, bool is_last)
{
    if (!s->is_set) {
        refuse(s, 400, "invalid_request",
               "the first message has to say in JSON what will come: {\"rate\": 16000, \"encoding\": "
               "\"s16le\"}");
        return;
    }
    if (is_too_fast(s, n)) {
        refuse(s, 429, "too_fast",
               "sound comes much faster than it is spoken: send recordings to POST /v1/predict");
        return;
    }
    if (s->n_message_bytes + n > MAX_WAITING_BYTES) {
        refuse(s, 413, "too_large", "a message of more than 16 MB");
        return;
    }
    s->n_message_bytes += n;
    bool whole = !is_last || s->n_message_bytes % s->n_frame_bytes == 0;
    if (is_last)
        s->n_message_bytes = 0;
    pthread_mutex_lock(&s->mutex);
    size_t wanted = s->n_bytes + n;
    bool enough = wanted <= most_waiting(s);
    if (enough && wanted > s->capacity && wanted < 2 * s->capacity)
        wanted = 2 * s->capacity;
    bool fits = enough && ser_grow(&s->bytes, &s->capacity, wanted, 1);
    if (fits && n) { /* a message may be empty */
        memcpy(s->bytes + s->n_bytes, bytes, n);
        s->n_bytes += n;
    }
    if (fits && whole && is_last)
        queue(s);
    pthread_mutex_unlock(&s->mutex);
    if (enough && !fits)
        refuse_for_memory(s);
    else if (!enough)
        refuse(s, 503, "overloaded", "the sound cannot be heard as fast as it comes: try again later");
    else if (!whole)
        refuse(s, 400, "invalid_request", "a message does not end with a whole sample of every channel");
}

void ser_serve_stream_receive(ser_serve_stream *s, const char *bytes, size_t n, bool is_last, bool is_binary)
{
    if (s->is_over)
        return;
    lws_set_timer_usecs(s->wsi, (lws_usec_t)(s->service->settings->limits.idle_s * LWS_US_PER_SEC));
    if (atomic_load(&s->service->state) != SER_SERVE_READY)
        refuse(s, 503, "loading", "the service is not ready: try again in a second");
    else if (is_binary)
        receive_sound(s, bytes, n, is_last);
    else
        receive_text(s, bytes, n, is_last);
}

bool ser_serve_stream_is_late(ser_serve_stream *s)
{
    if (s->is_over)
        return true;
    refuse(s, 408, "timeout", "nothing came for too long");
    return false;
}

void ser_serve_stream_stop(ser_serve_stream *s)
{
    if (s->is_set && !s->is_over)
        finish(s);
    else if (!s->is_over)
        refuse(s, 503, "stopping", "the service stops");
}

ser_serve_stream *ser_serve_stream_next(ser_serve_stream *s)
{
    return s->next;
}

void ser_serve_stream_wake(ser_serve_stream *s)
{
    pthread_mutex_lock(&s->mutex);
    bool has_ended = s->is_ended, has_news = s->out.n > 0 || s->out.failed || has_ended;
    pthread_mutex_unlock(&s->mutex);
    if (has_ended && !s->is_over)
        end_taking(s, CLOSE_S);
    if (has_news)
        lws_callback_on_writable(s->wsi);
}

/* Under the mutex. */
static void forget_sent(ser_serve_stream *s)
{
    if (s->out.n) /* with the 0 at its end */
        memmove(s->out.s, s->out.s + s->n_sent, s->out.n - s->n_sent + 1);
    s->out.n -= s->n_sent;
    s->n_sent = 0;
}

int ser_serve_stream_write(ser_serve_stream *s, struct lws *wsi)
{
    int result = 0;
    pthread_mutex_lock(&s->mutex);
    const char *from = s->out.n ? s->out.s + s->n_sent : NULL;
    const char *end = from ? memchr(from, '\n', s->out.n - s->n_sent) : NULL;
    if (end) {
        size_t n = (size_t)(end - from);
        unsigned char *room = ser_alloc(LWS_PRE + n + 1, 1);
        if (room)
            memcpy(room + LWS_PRE, from, n);
        result = room && lws_write(wsi, room + LWS_PRE, n, LWS_WRITE_TEXT) >= (int)n ? 0 : -1;
        ser_free(room);
        s->n_sent += n + 1;
    }
    bool more = end && s->n_sent < s->out.n; /* what has no end stopped for want of memory */
    if (!more || s->n_sent > MAX_UNREAD_BYTES / 16)
        forget_sent(s);
    if (more)
        lws_callback_on_writable(wsi);
    else if (s->is_ended || s->out.failed)
        result = -1;
    pthread_mutex_unlock(&s->mutex);
    return result;
}

void ser_serve_stream_gone(ser_serve_stream *s)
{
    if (s->next)
        s->next->before = s->before;
    *s->before = s->next;
    s->service->n_streams--;
    pthread_mutex_lock(&s->mutex);
    s->is_ended = true; /* what is heard now is for nobody */
    pthread_mutex_unlock(&s->mutex);
    release(s);
}
