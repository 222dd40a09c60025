#include "model/voice_spans.h"
#include "model/voice_network.h"

#include <math.h>

static const double window_s = (double)SER_VOICE_WINDOW / SER_SAMPLE_RATE_HZ;

/* Windows without a voice that end what has not lasted long enough yet: 96 ms, so that the closure of a
 * plosive does not. */
enum { GAP = 3 };
/* Before speech is certain it may have lasted this long, 1 s: nobody must keep more of the sound. */
enum { LONGEST_DOUBT = 32 };

void ser_voice_default_settings(ser_voice_settings *s)
{
    *s = (ser_voice_settings){
        .begins = 0.5f, .stays = 0.3f, .min_speech_s = 0.25, .pause_s = 0.5, .margin_s = 0.1};
}

static uint64_t n_windows_of(double s)
{
    return s > window_s ? (uint64_t)ceil(fmin(s, 1e9) / window_s - 1e-9) : 1;
}

ser_voice_rules ser_voice_rules_of(const ser_voice_settings *s)
{
    return (ser_voice_rules){.begins = s->begins,
                             .stays = s->stays,
                             .min_speech = n_windows_of(s->min_speech_s),
                             .pause = n_windows_of(s->pause_s),
                             .gap = GAP,
                             .longest_doubt = LONGEST_DOUBT,
                             .margin = (uint64_t)(fmin(s->margin_s, s->pause_s) * SER_SAMPLE_RATE_HZ)};
}

void ser_voice_spans_start(ser_voice_spans *s, const ser_voice_settings *settings)
{
    *s = (ser_voice_spans){.rules = ser_voice_rules_of(settings)};
}

/* Where a stretch starts with its margin, which does not reach into the utterance before. */
static uint64_t start_of(const ser_voice_spans *s, uint64_t first_window)
{
    uint64_t start = first_window * SER_VOICE_WINDOW, margin = s->rules.margin;
    start = start > margin ? start - margin : 0;
    return start > s->last.end ? start : s->last.end;
}

static ser_voice_change begin(ser_voice_spans *s, const ser_voice_stretch *stretch)
{
    s->speaking = true;
    s->n_spans++;
    s->last = (ser_voice_span){.start = start_of(s, stretch->first)};
    return SER_VOICE_STARTS;
}

static ser_voice_change end(ser_voice_spans *s, const ser_voice_stretch *stretch, uint64_t n_samples)
{
    uint64_t end = (stretch->last + 1) * SER_VOICE_WINDOW + s->rules.margin;
    s->last.end = end < n_samples ? end : n_samples;
    s->speaking = false;
    s->now = (ser_voice_stretch){0};
    return SER_VOICE_ENDS;
}

ser_voice_change ser_voice_spans_add(ser_voice_spans *s, float probability)
{
    ser_voice_stretch *now = &s->now;
    uint64_t window = s->n_windows++;
    if (probability >= s->rules.stays) {
        if (!now->n_voiced)
            now->first = window;
        now->last = window;
        now->n_voiced++;
        now->likely |= probability >= s->rules.begins;
        if (now->n_voiced > s->longest.n_voiced && now->likely && !s->speaking)
            s->longest = *now;
    } else if (!now->n_voiced) {
        return SER_VOICE_SAME;
    } else if (s->speaking && window - now->last >= s->rules.pause) {
        return end(s, now, s->n_windows * SER_VOICE_WINDOW);
    } else if (!s->speaking && window - now->last >= s->rules.gap) {
        *now = (ser_voice_stretch){0};
    }
    if (s->speaking || !now->n_voiced)
        return SER_VOICE_SAME;
    if (now->likely && now->n_voiced >= s->rules.min_speech)
        return begin(s, now);
    if (window - now->first >= s->rules.longest_doubt)
        now->first = window - s->rules.longest_doubt + 1;
    return SER_VOICE_SAME;
}

ser_voice_change ser_voice_spans_finish(ser_voice_spans *s, uint64_t n_samples)
{
    if (s->speaking)
        return end(s, &s->now, n_samples);
    if (s->n_spans || !s->longest.n_voiced || 2 * s->longest.n_voiced < s->n_windows)
        return SER_VOICE_SAME;
    begin(s, &s->longest);
    return end(s, &s->longest, n_samples);
}

uint64_t ser_voice_spans_settled(const ser_voice_spans *s)
{
    if (!s->n_spans && s->n_windows < 2 * s->rules.min_speech)
        return 0; /* it may be the whole sound */
    if (s->speaking)
        return (s->now.last + 1) * SER_VOICE_WINDOW;
    return start_of(s, s->now.n_voiced ? s->now.first : s->n_windows);
}
