/* Utterances from probabilities, and the voice detector on synthesized speech, silence and hostile sound. */
#include "base/memory.h"
#include "base/random.h"
#include "failures/failing.h"
#include "golden_tensors.h"
#include "model/voice_activity.h"

enum { W = SER_VOICE_WINDOW };

/* ---- utterances ---- */

/* Steps of what may be: letters stand for windows, '#' likely, '+' neither, '.' unlikely. Spaces are skipped.
 * Gives utterances in windows, "3-12 20-31", with margin and finish. */
static void check_spans(const char *windows, double margin_s, const char *expected)
{
    char found[200] = "";
    ser_voice_settings settings;
    ser_voice_spans s;
    uint64_t settled = 0;
    ser_voice_default_settings(&settings);
    settings.margin_s = margin_s;
    ser_voice_spans_start(&s, &settings);
    for (const char *w = windows;; w++) {
        if (*w == ' ')
            continue;
        ser_voice_change change = *w ? ser_voice_spans_add(&s, *w == '#'   ? 0.5f
                                                               : *w == '+' ? 0.3f
                                                                           : 0.29f)
                                     : ser_voice_spans_finish(&s, s.n_windows * W);
        CHECK(!*w || ser_voice_spans_settled(&s) >= settled);
        if (change == SER_VOICE_STARTS)
            CHECK(s.last.start >= settled);
        if (change == SER_VOICE_ENDS)
            CHECK(s.last.end >= settled);
        settled = ser_voice_spans_settled(&s);
        if (change == SER_VOICE_ENDS)
            sprintf(found + strlen(found), "%s%.2f-%.2f", *found ? " " : "", (double)s.last.start / W,
                    (double)s.last.end / W);
        if (!*w)
            break;
    }
    if (strcmp(found, expected) != 0)
        fprintf(stderr, "%s: %s, expected %s\n", windows, found, expected);
    CHECK(strcmp(found, expected) == 0);
}

static void test_spans(void)
{
#define PAUSE "................" /* 16 windows are 0.512 s */
    check_spans(PAUSE PAUSE, 0, "");
    check_spans(PAUSE "+++###++" PAUSE PAUSE, 0, "16.00-24.00"); /* 8 windows are 0.256 s */
    check_spans(PAUSE "+++###+" PAUSE PAUSE, 0, "");
    check_spans(PAUSE "++++++++++++" PAUSE PAUSE, 0, "");            /* never likely */
    check_spans(PAUSE "++..####..++" PAUSE PAUSE, 0, "16.00-28.00"); /* the closure of a plosive */
    check_spans(PAUSE "+++...#####" PAUSE PAUSE, 0, "");             /* too long a gap */
    check_spans("######## ............... ######## " PAUSE PAUSE, 0, "0.00-31.00");
    check_spans("######## ................ ######## " PAUSE PAUSE, 0, "0.00-8.00 24.00-32.00");
    check_spans("######## ............... ########", 0, "0.00-31.00");
    /* A margin of 3.125 windows reaches neither out of the sound nor into the utterance before. */
    check_spans("######## ................ ######## " PAUSE PAUSE, 0.1, "0.00-11.12 20.88-35.12");
    check_spans(".########" PAUSE "########.", 0.3, "0.00-18.38 18.38-34.00");
    /* Doubt lasts a second. */
    check_spans(PAUSE "++++++++++ ++++++++++ ++++++++++ ++++++++++ ++++++++++ #" PAUSE PAUSE, 0,
                "34.00-67.00");
    /* A sound that is too short for an utterance. */
    check_spans("..+#+..", 0, "");
    check_spans(".++#.", 0, "1.00-4.00");
    check_spans("#", 0.1, "0.00-1.00");
    check_spans("..#####.......", 0, "");
    check_spans("", 0, "");
#undef PAUSE
}

/* ---- the detector ---- */

typedef struct heard {
    float p[2000];
    size_t n_windows, n_starts, n_ends, n_calls, fail_at;
    uint64_t start;
    ser_voice_span spans[20];
} heard;

static ser_status count(heard *h, ser_error *err)
{
    return ++h->n_calls == h->fail_at ? ser_fail(err, SER_E_CANCELLED, "enough") : SER_OK;
}

static ser_status hear_window(void *context, uint64_t start, float probability, ser_error *err)
{
    heard *h = context;
    CHECK(start == h->n_windows * W && h->n_windows < 2000);
    CHECK(probability >= 0 && probability <= 1);
    h->p[h->n_windows++] = probability;
    return count(h, err);
}

static ser_status hear_start(void *context, uint64_t start, ser_error *err)
{
    heard *h = context;
    h->n_starts++;
    h->start = start;
    return count(h, err);
}

static ser_status hear_end(void *context, ser_voice_span span, ser_error *err)
{
    heard *h = context;
    CHECK(span.start == h->start && span.end > span.start && h->n_ends < 20);
    h->spans[h->n_ends++] = span;
    return count(h, err);
}

/* portion 0: of random lengths. */
static ser_status hear(heard *h, ser_voice_detector *d, const float *pcm, size_t n, size_t portion,
                       ser_error *err)
{
    const ser_voice_listener listener = {h, hear_window, hear_start, hear_end};
    ser_random random;
    ser_status st = SER_OK;
    size_t fail_at = h->fail_at;
    *h = (heard){.fail_at = fail_at};
    ser_random_init(&random, portion);
    ser_voice_detector_start(d, NULL, &listener);
    for (size_t at = 0, n_now; at < n && st == SER_OK; at += n_now) {
        n_now = portion ? portion : ser_random_below(&random, 3000);
        n_now = n_now < n - at ? n_now : n - at;
        st = ser_voice_detector_push(d, pcm + at, n_now, err);
    }
    return st == SER_OK ? ser_voice_detector_finish(d, err) : st;
}

static void test_portions(ser_voice_detector *d, const float *pcm, size_t n)
{
    static heard whole, parts;
    const size_t portions[] = {1, 7, 160, 511, 512, 4001, 0};
    ser_error err = {0};
    n -= 100; /* a last window that is not full */
    CHECK_OK(hear(&whole, d, pcm, n, n, &err), &err);
    CHECK(whole.n_windows == (n + W - 1) / W && whole.n_ends >= 1 && whole.n_starts == whole.n_ends);
    CHECK(ser_voice_detector_spans(d)->n_spans == whole.n_ends);
    for (size_t i = 0; i < sizeof portions / sizeof *portions; i++) {
        CHECK_OK(hear(&parts, d, pcm, n, portions[i], &err), &err);
        CHECK(memcmp(&parts, &whole, sizeof whole) == 0);
    }
}

/* The same speech at any level, and as numbers of 16 bits; digital silence; hardly any sound. */
static void test_levels(ser_voice_detector *d, const float *speech, size_t n)
{
    static heard h;
    ser_error err = {0};
    float *pcm = ser_alloc(n, sizeof *pcm);
    const double gains_db[] = {90, 20, 0, -10, -20};
    for (size_t i = 0; i < sizeof gains_db / sizeof *gains_db; i++) {
        for (size_t k = 0; k < n; k++)
            pcm[k] = speech[k] * (float)pow(10, gains_db[i] / 20);
        CHECK_OK(hear(&h, d, pcm, n, n, &err), &err);
        CHECK(h.n_ends >= 1);
    }
    for (size_t k = 0; k < n; k++)
        pcm[k] = speech[k] * 1e-4f;
    CHECK_OK(hear(&h, d, pcm, n, n, &err), &err);
    CHECK(h.n_ends == 0 && h.p[40] == 0);
    memset(pcm, 0, n * sizeof *pcm);
    CHECK_OK(hear(&h, d, pcm, n, n, &err), &err);
    for (size_t i = 0; i < h.n_windows; i++)
        CHECK(h.p[i] == 0);
    ser_free(pcm);
}

/* What is called a voice: where the published network hears one, and not noise. expected: its probabilities.
 */
static void test_labels(ser_voice_detector *d, const float *signal, size_t n, const float *expected)
{
    static heard h;
    ser_error err = {0};
    ser_random random;
    float *noise = ser_alloc(n, sizeof *noise);
    size_t n_voiced = 0, n_pauses = 0;
    CHECK_OK(hear(&h, d, signal, n, n, &err), &err);
    for (size_t i = 0; i < n / W; i++) {
        CHECK(expected[i] < 0.8f || h.p[i] > 0.5f);
        CHECK(expected[i] > 0.05f || h.p[i] < 0.3f);
        n_voiced += expected[i] >= 0.8f;
        n_pauses += expected[i] <= 0.05f;
    }
    CHECK(n_voiced >= 10 && n_pauses >= 10);
    ser_random_init(&random, 5);
    for (size_t k = 0; k < n; k++)
        noise[k] = 0.1f * ((float)ser_random_below(&random, 2001) / 1000 - 1);
    CHECK_OK(hear(&h, d, noise, n, n, &err), &err);
    CHECK(h.n_ends == 0);
    ser_free(noise);
}

/* Numbers that are none, endless and huge ones change nothing for long: what is finite afterwards is found.
 */
static void test_hostile(ser_voice_detector *d, const float *speech, size_t n)
{
    static heard h, zeros;
    ser_error err = {0};
    size_t n_bad = 4 * W, n_all = n_bad + 32000 + n;
    float *pcm = ser_alloc(n_all, sizeof *pcm);
    const float bad[] = {NAN, INFINITY, -INFINITY, 3e38f, -3e38f, 1e-45f, 32768, -0.0f};
    for (size_t k = 0; k < n_bad; k++)
        pcm[k] = bad[k / 3 % 8];
    memcpy(pcm + n_bad + 32000, speech, n * sizeof *pcm);
    CHECK_OK(hear(&h, d, pcm, n_all, 1000, &err), &err);
    CHECK(h.n_ends >= 1 && h.spans[h.n_ends - 1].end > n_bad + 32000);
    memcpy(pcm, speech, n * sizeof *pcm);
    for (int i = 0; i < 2; i++) { /* what is no number is 0 */
        for (size_t k = 1; k < n; k += 50)
            pcm[k] = i ? NAN : 0;
        CHECK_OK(hear(i ? &h : &zeros, d, pcm, n, 1000, &err), &err);
    }
    CHECK(memcmp(&h, &zeros, sizeof h) == 0);
    CHECK_OK(hear(&h, d, pcm, 0, 1, &err), &err);
    CHECK(h.n_windows == 0 && h.n_ends == 0);
    ser_free(pcm);
}

static void test_failures(ser_voice_detector *d, const float *pcm, size_t n)
{
    static heard h;
    ser_error err = {0};
    CHECK_OK(hear(&h, d, pcm, n, n, &err), &err);
    size_t n_calls = h.n_calls;
    for (size_t i = 1; i <= n_calls; i += i < n_calls - 4 ? 9 : 1) {
        h.fail_at = i;
        CHECK_FAILS(hear(&h, d, pcm, n, 700, &err), SER_E_CANCELLED, &err, "enough");
    }
    h.fail_at = 0;
    ser_voice_detector_start(d, NULL, NULL);
    CHECK_OK(ser_voice_detector_push(d, pcm, n, &err), &err);
    CHECK_OK(ser_voice_detector_finish(d, &err), &err);
    CHECK(ser_voice_detector_spans(d)->n_spans >= 1);
}

int main(void)
{
    ser_error err = {0};
    ser_voice_network *net = NULL;
    ser_voice_detector *d = NULL;
    ser_safetensors *f = open_golden("voice/network.safetensors");
    size_t n = 0;
    float *signal = f ? golden(f, "signal", &n, NULL) : NULL;
    float *probabilities = f ? golden(f, "probabilities", NULL, NULL) : NULL;
    test_spans();
    CHECK_OK(ser_voice_network_new(&net, &err), &err);
    failing_at(0);
    CHECK_FAILS(ser_voice_detector_new(&d, net, &err), SER_E_NOMEM, &err, "memory");
    CHECK(!d);
    CHECK_OK(ser_voice_detector_new(&d, net, &err), &err);
    if (signal && probabilities && d) {
        test_labels(d, signal, n, probabilities);
        test_portions(d, signal, n);
        test_levels(d, signal, 32000); /* where the voice is */
        test_hostile(d, signal, 32000);
        test_failures(d, signal, n);
    }
    ser_free(signal);
    ser_free(probabilities);
    ser_voice_detector_free(&d);
    ser_voice_network_free(&net);
    ser_safetensors_close(&f);
    return test_summary();
}
