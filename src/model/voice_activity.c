#include "model/voice_activity.h"
#include "base/memory.h"

#include <math.h>
#include <string.h>

/* Chosen on EMO-DB, RAVDESS and CREMA-D, as they are, in noise, quiet, and through a telephone:
 * docs/voice-activity.md. */
const ser_voice_levels ser_voice_level = {.silence = 1.78e-4, /* -75 dB, as hearing.c has it */
                                          .target = 0.2,      /* -14 dB */
                                          .most_gain = 10,
                                          .first = 0.0316,        /* -30 dB */
                                          .release = 0.9781,      /* 6 dB per second */
                                          .fast_release = 0.8017, /* 60 dB per second */
                                          .largest_sample = 32768};

struct ser_voice_detector {
    const ser_voice_network *network;
    ser_voice_work work;
    ser_voice_memory memory;
    float pcm[SER_VOICE_CONTEXT + SER_VOICE_BATCH * SER_VOICE_WINDOW]; /* what was before, then what came */
    size_t n_pcm;                                                      /* of what came */
    float windows[SER_VOICE_BATCH][SER_VOICE_READ];
    double level; /* of the loudest window, which fades */
    uint64_t n_samples;
    ser_voice_listener listener;
    ser_voice_spans spans;
};

ser_status ser_voice_detector_new(ser_voice_detector **out, const ser_voice_network *network, ser_error *err)
{
    ser_voice_detector *d = *out = ser_alloc(1, sizeof *d);
    if (!d)
        return ser_fail_nomem(err);
    d->network = network;
    ser_voice_detector_start(d, NULL, NULL);
    return SER_OK;
}

void ser_voice_detector_free(ser_voice_detector **d)
{
    ser_free(*d);
    *d = NULL;
}

void ser_voice_detector_start(ser_voice_detector *d, const ser_voice_settings *settings,
                              const ser_voice_listener *listener)
{
    ser_voice_settings defaults;
    ser_voice_default_settings(&defaults);
    memset(d->pcm, 0, sizeof d->pcm);
    d->memory = (ser_voice_memory){0};
    d->level = ser_voice_level.first;
    d->n_pcm = 0;
    d->n_samples = 0;
    d->listener = listener ? *listener : (ser_voice_listener){0};
    ser_voice_spans_start(&d->spans, settings ? settings : &defaults);
}

/* Of the window whose samples begin at pcm. */
static double level_of(const float *pcm)
{
    double sum = 0;
    for (size_t i = 0; i < SER_VOICE_WINDOW; i++)
        sum += (double)pcm[i] * pcm[i];
    return sqrt(sum / SER_VOICE_WINDOW);
}

/* The window, at the level that the network hears best. */
static void scale_window(ser_voice_detector *d, float *window, const float *pcm, double level)
{
    d->level =
        fmax(d->level * (d->level > 1 ? ser_voice_level.fast_release : ser_voice_level.release), level);
    float gain = (float)fmin(ser_voice_level.target / fmax(d->level, 1e-9), ser_voice_level.most_gain);
    for (size_t i = 0; i < SER_VOICE_READ; i++)
        window[i] = gain * pcm[i];
}

static ser_status tell_change(const ser_voice_detector *d, ser_voice_change change, ser_error *err)
{
    const ser_voice_listener *l = &d->listener;
    if (change == SER_VOICE_STARTS && l->starts)
        return l->starts(l->context, d->spans.last.start, err);
    if (change == SER_VOICE_ENDS && l->ends)
        return l->ends(l->context, d->spans.last, err);
    return SER_OK;
}

static ser_status hear_window(ser_voice_detector *d, float probability, ser_error *err)
{
    const ser_voice_listener *l = &d->listener;
    ser_status st = SER_OK;
    if (l->window)
        st = l->window(l->context, d->spans.n_windows * SER_VOICE_WINDOW, probability, err);
    return st == SER_OK ? tell_change(d, ser_voice_spans_add(&d->spans, probability), err) : st;
}

/* The whole windows that came. */
static ser_status run_windows(ser_voice_detector *d, ser_error *err)
{
    size_t n = d->n_pcm / SER_VOICE_WINDOW, n_gone = n * SER_VOICE_WINDOW;
    double levels[SER_VOICE_BATCH];
    float probabilities[SER_VOICE_BATCH];
    ser_status st = SER_OK;
    if (!n)
        return SER_OK;
    for (size_t b = 0; b < n; b++) {
        const float *before = d->pcm + b * SER_VOICE_WINDOW;
        levels[b] = level_of(before + SER_VOICE_CONTEXT);
        scale_window(d, d->windows[b], before, levels[b]);
    }
    ser_voice_network_run(d->network, &d->work, &d->memory, probabilities, d->windows[0], n);
    d->n_pcm -= n_gone;
    memmove(d->pcm, d->pcm + n_gone, (SER_VOICE_CONTEXT + d->n_pcm) * sizeof *d->pcm);
    for (size_t b = 0; b < n && st == SER_OK; b++)
        st = hear_window(d, levels[b] < ser_voice_level.silence ? 0 : probabilities[b], err);
    return st;
}

ser_status ser_voice_detector_push(ser_voice_detector *d, const float *pcm, size_t n, ser_error *err)
{
    const float largest = ser_voice_level.largest_sample;
    ser_status st = SER_OK;
    d->n_samples += n;
    while (st == SER_OK && n) {
        size_t n_free = SER_VOICE_BATCH * SER_VOICE_WINDOW - d->n_pcm, n_now = n < n_free ? n : n_free;
        float *to = d->pcm + SER_VOICE_CONTEXT + d->n_pcm;
        for (size_t i = 0; i < n_now; i++)
            to[i] = isnan(pcm[i]) ? 0 : fminf(fmaxf(pcm[i], -largest), largest);
        d->n_pcm += n_now;
        pcm += n_now;
        n -= n_now;
        st = run_windows(d, err);
    }
    return st;
}

ser_status ser_voice_detector_finish(ser_voice_detector *d, ser_error *err)
{
    ser_status st = SER_OK;
    if (d->n_pcm) {
        memset(d->pcm + SER_VOICE_CONTEXT + d->n_pcm, 0, (SER_VOICE_WINDOW - d->n_pcm) * sizeof *d->pcm);
        d->n_pcm = SER_VOICE_WINDOW;
        st = run_windows(d, err);
    }
    uint64_t n_before = d->spans.n_spans;
    ser_voice_change change = ser_voice_spans_finish(&d->spans, d->n_samples);
    if (st == SER_OK && d->spans.n_spans > n_before)
        st = tell_change(d, SER_VOICE_STARTS, err);
    return st == SER_OK ? tell_change(d, change, err) : st;
}

const ser_voice_spans *ser_voice_detector_spans(const ser_voice_detector *d)
{
    return &d->spans;
}
