/* An upload as a whole: its Content-Type in the first line (empty: the body is a recording), what it asks for
 * in the second, its body behind them. Decoded, answered by a small model, and the answer read. */
#include "audio/audio.h"
#include "service.h"

#include <jansson.h>

static bool is_answered;

/* ---- instead of decoders.c: in this process, where a sanitizer sees it ---- */

ser_status ser_decoders_decode(ser_decoders *d, ser_decoded *out, const void *bytes, size_t n,
                               unsigned wall_s, ser_error *err)
{
    enum { MOST = FUZZ_MAX_S * SER_SAMPLE_RATE_HZ + 1 };
    size_t n_read = 0;
    ser_audio *audio = NULL;
    uint8_t *copy = fuzz_copy(bytes, n);
    (void)d, (void)wall_s;
    *out = (ser_decoded){0};
    ser_status st = ser_audio_open_memory(&audio, copy, n, err);
    if (st == SER_OK && !(out->pcm = ser_alloc(MOST, sizeof *out->pcm)))
        st = ser_fail_nomem(err);
    if (st == SER_OK)
        st = ser_audio_read(audio, out->pcm, MOST, &n_read, err);
    ser_audio_close(&audio);
    free(copy);
    out->n_samples = n_read;
    if (st == SER_OK)
        return st;
    ser_decoded_release(out);
    return st;
}

void ser_decoded_release(ser_decoded *d)
{
    ser_free(d->pcm);
    *d = (ser_decoded){0};
}

void ser_http_answered(ser_request *r)
{
    if (is_answered)
        abort();
    is_answered = true;
    json_t *o = json_loadb(r->text.s ? r->text.s : "", r->text.n, JSON_REJECT_DUPLICATES, NULL);
    bool is_error = json_object_get(o, "error") != NULL;
    if (!json_is_object(o) || r->status < 200 || r->status > 599 || r->status == 500 ||
        is_error != (r->status != 200))
        abort();
    json_decref(o);
    ser_request_release(r);
}

/* The line at data, copied; *data moves behind it. */
static void take_line(char *line, size_t n_line, const uint8_t **data, const uint8_t *end)
{
    const uint8_t *line_end = *data < end ? memchr(*data, '\n', (size_t)(end - *data)) : NULL;
    size_t n = line_end ? (size_t)(line_end - *data) : 0;
    n = n < n_line ? n : n_line - 1;
    if (n)
        memcpy(line, *data, n);
    line[n] = 0;
    *data = line_end ? line_end + 1 : *data;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const uint8_t *end = data + n;
    char query[64];
    setenv("PATH", "", 1); /* no ffmpeg: it is another program */
    ser_service *s = fuzz_service(true);
    ser_request *r = ser_request_new(s);
    if (!r)
        abort();
    take_line(r->content_type, sizeof r->content_type, &data, end);
    take_line(query, sizeof query, &data, end);
    r->route = query[0] == 'f' ? SER_ROUTE_FEATURES : SER_ROUTE_PREDICT;
    r->timeline = query[0] && query[1] == 't';
    r->frames = r->route == SER_ROUTE_FEATURES && r->timeline;
    fuzz_is_full = query[0] && query[1] && query[2] == 'l';
    r->n_expected = r->n_body = (size_t)(end - data);
    if (r->n_body == 0 || ser_request_grow(r, r->n_body) != SER_OK) {
        ser_request_release(r);
        return 0;
    }
    memcpy(r->body, data, r->n_body);
    r->complete_s = 1e300; /* it is never late */
    r->task = (ser_task){.run = ser_answer, .drop = ser_answer_drop};
    is_answered = false;
    ser_workers_add(NULL, &r->task, SER_TASK_REQUEST);
    fuzz_work();
    if (!is_answered || atomic_load(&s->n_upload_bytes))
        abort();
    return 0;
}
