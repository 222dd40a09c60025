/* Streams against recordings: what is final is what the timeline has, in whatever portions sound comes. With
 * the speech that Debian's alsa-utils brings. */
#include <ser/ser.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RATE = 16000, SOURCE_RATE = 48000, MAX_SAMPLES = 60 * RATE, MAX_EVENTS = 400 };

static int n_passed, n_failed;

static void check(int ok, const char *what, int line)
{
    n_passed += ok;
    n_failed += !ok;
    if (!ok)
        fprintf(stderr, "%d: not true: %s\n", line, what);
}

#define CHECK(condition) check(condition, #condition, __LINE__)

static float pcm[MAX_SAMPLES], wide[3 * MAX_SAMPLES];
static size_t n_pcm;

/* ---- sound ---- */

/* A WAV file of 16 bits, one channel, 48 kHz, taken at every third sample. */
static int append_speech(const char *name)
{
    static short samples[10 * SOURCE_RATE];
    char path[200];
    snprintf(path, sizeof path, "/usr/share/sounds/alsa/%s.wav", name);
    FILE *f = fopen(path, "rb");
    if (!f)
        return 0;
    fseek(f, 44, SEEK_SET);
    size_t n = fread(samples, sizeof *samples, sizeof samples / sizeof *samples, f);
    fclose(f);
    for (size_t i = 0; i + 2 < n; i += 3)
        pcm[n_pcm++] = (float)(samples[i] + samples[i + 1] + samples[i + 2]) / 3 / 32768;
    return 1;
}

static void append_silence(double seconds)
{
    for (size_t i = 0; i < (size_t)(seconds * RATE); i++)
        pcm[n_pcm++] = 1e-4f * (float)((int)(i * 7919 % 13) - 6);
}

/* Utterances of about 1.5, 6, 3 and 11 s. */
static int make_sound(void)
{
    static const char *const longer[] = {"Front_Left", "Front_Right", "Rear_Center", "Side_Left"};
    int ok = 1;
    append_silence(0.7);
    ok = ok && append_speech("Front_Center");
    append_silence(1.2);
    for (int i = 0; i < 4; i++)
        ok = ok && append_speech(longer[i]);
    append_silence(1);
    ok = ok && append_speech("Rear_Left") && append_speech("Side_Right");
    append_silence(2);
    for (int i = 0; i < 8; i++)
        ok = ok && append_speech(longer[i % 4]);
    append_silence(0.3); /* it ends while somebody may go on */
    return ok;
}

/* ---- what comes out ---- */

typedef struct heard {
    ser_event events[MAX_EVENTS];
    size_t n;
} heard;

static void take_events(ser_stream *s, heard *h)
{
    const ser_event *e;
    while ((e = ser_stream_next(s)) != NULL && h->n < MAX_EVENTS)
        h->events[h->n++] = *e;
}

/* portion 0: of random lengths. */
static void stream(ser_session *session, const ser_stream_settings *settings, const float *samples, size_t n,
                   size_t portion, heard *h)
{
    ser_error err;
    ser_stream *s = NULL;
    unsigned random = 12345;
    size_t n_channels = settings && settings->n_channels ? (size_t)settings->n_channels : 1;
    h->n = 0;
    CHECK(ser_stream_open(&s, session, settings, &err) == SER_OK);
    for (size_t at = 0, n_now; s && at < n; at += n_now) {
        random = random * 1664525 + 1013904223;
        n_now = portion ? portion : 1 + (random >> 8) % 9000;
        n_now = n_now < n - at ? n_now : n - at;
        if (ser_stream_push(s, samples + at * n_channels, n_now, &err) != SER_OK) {
            fprintf(stderr, "%s\n", err.text);
            CHECK(0);
            break;
        }
        take_events(s, h);
    }
    CHECK(ser_stream_finish(s, &err) == SER_OK);
    take_events(s, h);
    CHECK(ser_stream_push(s, samples, 1, &err) == SER_E_ARG);
    ser_stream_close(&s);
    CHECK(!s);
}

static int same_scores(const float *a, const float *b, double tolerance)
{
    for (int i = 0; i < SER_MAX_LABELS; i++)
        if (!(fabs((double)a[i] - (double)b[i]) <= tolerance))
            return 0;
    return 1;
}

static int same_events(const heard *a, const heard *b)
{
    for (size_t i = 0; i < a->n && a->n == b->n; i++) {
        const ser_event *x = &a->events[i], *y = &b->events[i];
        if (x->kind != y->kind || x->final != y->final || x->label != y->label || x->start_s != y->start_s ||
            x->end_s != y->end_s || !same_scores(x->scores, y->scores, 1e-5)) {
            fprintf(stderr, "event %zu: %d %.3f %.3f and %d %.3f %.3f\n", i, x->kind, x->start_s, x->end_s,
                    y->kind, y->start_s, y->end_s);
            return 0;
        }
    }
    return a->n == b->n;
}

static size_t count(const heard *h, ser_event_kind kind, int final)
{
    size_t n = 0;
    for (size_t i = 0; i < h->n; i++)
        n += h->events[i].kind == kind && h->events[i].final == final;
    return n;
}

/* The final measurements, with the pauses between them, are the timeline. */
static void check_timeline(const heard *h, const ser_result *r, double tolerance)
{
    size_t i = 0;
    for (size_t k = 0; k < r->n_segments; k++) {
        const ser_segment *s = &r->segments[k];
        CHECK(s->start_s == (k ? s[-1].end_s : 0) && (!k || s->label != s[-1].label));
        if (s->label < 0)
            continue;
        while (i < h->n && (h->events[i].kind != SER_EVENT_MEASUREMENT || !h->events[i].final))
            i++;
        CHECK(i < h->n);
        if (i == h->n)
            return;
        const ser_event *e = &h->events[i++];
        CHECK(fabs(e->start_s - s->start_s) <= tolerance && fabs(e->end_s - s->end_s) <= tolerance);
        CHECK(e->label == s->label && same_scores(e->scores, s->scores, tolerance));
    }
    CHECK(r->n_segments > 0);
    CHECK(r->n_segments && fabs(r->segments[r->n_segments - 1].end_s - r->duration_s) < 1e-9);
    while (i < h->n)
        CHECK(h->events[i].kind != SER_EVENT_MEASUREMENT || !h->events[i].final), i++;
}

/* ---- tests ---- */

static heard usual;

static void test_portions(ser_session *session, const ser_result *r)
{
    static const size_t portions[] = {1, 7, 4001, 0};
    static heard other;
    stream(session, NULL, pcm, n_pcm, 160, &usual);
    check_timeline(&usual, r, 1e-5);
    CHECK(count(&usual, SER_EVENT_SPEECH_START, 1) == 4 && count(&usual, SER_EVENT_SPEECH_END, 1) == 4);
    CHECK(count(&usual, SER_EVENT_MEASUREMENT, 0) > 15);
    for (size_t i = 0; i < sizeof portions / sizeof *portions; i++) {
        stream(session, NULL, pcm, n_pcm, portions[i], &other);
        CHECK(same_events(&usual, &other));
    }
}

/* Between a start and its end lie the utterance's measurements, the first soon after it. */
static void test_order(void)
{
    const ser_event *start = NULL;
    int measured = 0;
    for (size_t i = 0; i < usual.n; i++) {
        const ser_event *e = &usual.events[i];
        float sum = 0;
        for (int k = 0; k < SER_MAX_LABELS; k++)
            sum += e->scores[k];
        if (e->kind == SER_EVENT_SPEECH_START) {
            CHECK(!start && e->label == -1 && sum == 0);
            start = e;
            measured = 0;
            continue;
        }
        CHECK(start && e->label >= 0 && fabsf(sum - 1) < 1e-5f && e->confidence == e->scores[e->label]);
        CHECK(start && e->start_s >= start->start_s && e->end_s > e->start_s);
        if (e->kind == SER_EVENT_MEASUREMENT && !measured++)
            CHECK(start && e->end_s <= start->start_s + 1.01);
        if (e->kind == SER_EVENT_MEASUREMENT && !e->final)
            CHECK(e->end_s - e->start_s <= 3.0001);
        if (e->kind == SER_EVENT_SPEECH_END) {
            CHECK(start && e->start_s == start->start_s && measured > 0);
            start = NULL;
        }
    }
    CHECK(!start);
}

static void test_settings(ser_session *session)
{
    static heard h;
    static const size_t begun = 10 * RATE;
    ser_error err;
    ser_stream *s = (ser_stream *)&err;
    ser_stream_settings settings = {.size = sizeof settings, .update_s = 0.5};
    stream(session, &settings, pcm, begun, 1600, &h);
    CHECK(count(&h, SER_EVENT_MEASUREMENT, 0) > 10 && count(&h, SER_EVENT_SPEECH_END, 1) == 2);
    CHECK(h.events[1].end_s - h.events[1].start_s == 0.5);
    settings = (ser_stream_settings){.update_s = -1, .pause_s = 3};
    stream(session, &settings, pcm, begun, 1600, &h);
    CHECK(count(&h, SER_EVENT_MEASUREMENT, 0) == 0 && count(&h, SER_EVENT_SPEECH_END, 1) == 1);
    const ser_stream_settings wrong[] = {{.pause_s = 0.01},      {.update_s = 0.1},    {.update_s = 11},
                                         {.sample_rate_hz = 10}, {.n_channels = 1000}, {.pause_s = NAN}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        CHECK(ser_stream_open(&s, session, &wrong[i], &err) == SER_E_ARG && !s);
    pcm[5] = INFINITY;
    CHECK(ser_stream_open(&s, session, NULL, &err) == SER_OK);
    CHECK(ser_stream_push(s, pcm, 100, &err) == SER_E_FORMAT && strstr(err.text, "finite"));
    pcm[5] = 0;
    CHECK(ser_stream_push(s, pcm, 100, &err) == SER_E_ARG);
    ser_stream_close(&s);
    ser_stream_close(NULL);
}

/* Stereo at 48 kHz is the same sound. */
static void test_rate(ser_session *session)
{
    static heard plain, h;
    size_t n = 9 * RATE;
    stream(session, NULL, pcm, n, 1600, &plain);
    for (size_t i = 0; i < n; i++) {
        float next = i + 1 < n ? pcm[i + 1] : 0;
        for (size_t k = 0; k < 3; k++)
            wide[2 * (3 * i + k)] = wide[2 * (3 * i + k) + 1] = pcm[i] + (next - pcm[i]) * (float)k / 3;
        if (6 * i + 12 > sizeof wide / sizeof *wide)
            n = i;
    }
    const ser_stream_settings settings = {.sample_rate_hz = 48000, .n_channels = 2};
    stream(session, &settings, wide, 3 * n, 1000, &h);
    CHECK(count(&h, SER_EVENT_SPEECH_END, 1) == count(&plain, SER_EVENT_SPEECH_END, 1));
    size_t k = 0;
    for (size_t i = 0; i < plain.n; i++) {
        if (plain.events[i].kind != SER_EVENT_SPEECH_END)
            continue;
        while (k < h.n && h.events[k].kind != SER_EVENT_SPEECH_END)
            k++;
        CHECK(k < h.n && fabs(h.events[k].end_s - plain.events[i].end_s) < 0.07);
        k++;
    }
}

/* Two streams of one session, in turns, do not hear each other; silence says nothing. */
static void test_neighbours(ser_session *session)
{
    static heard alone, a, b;
    enum { N = 4 * RATE };
    ser_error err;
    ser_stream *one = NULL, *two = NULL;
    static float silence[1600];
    stream(session, NULL, pcm, N, 1600, &alone);
    CHECK(ser_stream_open(&one, session, NULL, &err) == SER_OK);
    CHECK(ser_stream_open(&two, session, NULL, &err) == SER_OK);
    a.n = b.n = 0;
    for (size_t at = 0; at < N; at += 1600) {
        CHECK(ser_stream_push(one, pcm + at, 1600, &err) == SER_OK);
        CHECK(ser_stream_push(two, silence, 1600, &err) == SER_OK);
        take_events(one, &a);
        take_events(two, &b);
    }
    CHECK(ser_stream_finish(one, &err) == SER_OK && ser_stream_finish(two, &err) == SER_OK);
    take_events(one, &a);
    take_events(two, &b);
    CHECK(same_events(&a, &alone) && b.n == 0);
    ser_stream_close(&one);
    ser_stream_close(&two);
}

/* By the stream's own clock, which is the sound that was pushed: from the beginning of an utterance to its
 * first answer, of the whole or of what was heard so far. */
static void test_first_answer(ser_session *session)
{
    enum { PORTION = RATE / 100 };
    ser_error err;
    ser_stream *s = NULL;
    double start_s = -1, slowest_s = 0;
    int n_utterances = 0;
    CHECK(ser_stream_open(&s, session, NULL, &err) == SER_OK);
    for (size_t at = 0; s && at + PORTION <= n_pcm; at += PORTION) {
        const ser_event *e;
        CHECK(ser_stream_push(s, pcm + at, PORTION, &err) == SER_OK);
        while ((e = ser_stream_next(s)) != NULL) {
            double waited_s = (double)(at + PORTION) / RATE - start_s;
            if (e->kind == SER_EVENT_SPEECH_START) {
                start_s = e->start_s;
                n_utterances++;
            } else if (start_s >= 0) {
                slowest_s = waited_s > slowest_s ? waited_s : slowest_s;
                start_s = -1; /* the first only */
            }
        }
    }
    printf("the first answer comes %.2f s after the beginning of an utterance at the latest\n", slowest_s);
    CHECK(n_utterances == 4 && slowest_s > 0.5 && slowest_s <= 1.5);
    ser_stream_close(&s);
}

/* An update and a window's measurement cost as much: while an utterance goes on they do not fall due
 * together. */
static void test_work_is_spread(ser_session *session)
{
    enum { PORTION = RATE / 10 };
    ser_error err;
    ser_stream *s = NULL;
    int n_both = 0, n_final = 0;
    CHECK(ser_stream_open(&s, session, NULL, &err) == SER_OK);
    for (size_t at = 0; s && at + PORTION <= n_pcm; at += PORTION) {
        const ser_event *e;
        int final = 0, update = 0, over = 0;
        CHECK(ser_stream_push(s, pcm + at, PORTION, &err) == SER_OK);
        while ((e = ser_stream_next(s)) != NULL) {
            final += e->kind == SER_EVENT_MEASUREMENT && e->final;
            update += e->kind == SER_EVENT_MEASUREMENT && !e->final;
            over += e->kind == SER_EVENT_SPEECH_END;
        }
        n_final += final && !over;
        n_both += final && update && !over;
    }
    CHECK(n_final > 0 && n_both == 0);
    ser_stream_close(&s);
}

int main(void)
{
    ser_error err;
    ser_model *model = NULL;
    ser_session *session = NULL;
    ser_result r = {0};
    const ser_predict_options options = {.size = sizeof options, .timeline = 1};
    ser_settings settings;
    ser_default_settings(&settings);
    settings.precision = SER_PRECISION_FP32;
    if (!make_sound() || ser_model_open(&model, NULL, &settings, &err) != SER_OK) {
        printf("no speech of alsa-utils, or no built-in model\n");
        return 77;
    }
    CHECK(ser_session_new(&session, model, NULL, &err) == SER_OK);
    CHECK(ser_predict(session, pcm, n_pcm, &options, &r, &err) == SER_OK);
    for (size_t i = 0; i < r.n_segments; i++)
        printf("%.3f %.3f %s\n", r.segments[i].start_s, r.segments[i].end_s,
               r.segments[i].label < 0 ? "-" : ser_model_label(model, (size_t)r.segments[i].label));
    test_portions(session, &r);
    test_order();
    test_settings(session);
    test_rate(session);
    test_neighbours(session);
    test_first_answer(session);
    test_work_is_spread(session);
    ser_result_release(&r);
    ser_session_free(&session);
    ser_model_close(&model);
    printf("%d passed, %d failed\n", n_passed, n_failed);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
