#include "model/live.h"
#include "audio/rate.h"
#include "base/memory.h"

enum { BLOCK_SAMPLES = 2048 /* what is heard at once: as much as the detector reads together */ };

struct ser_live {
    ser_judge *judge;
    ser_rate *rate;
    ser_voice_detector *detector;
    ser_cuts *cuts;
    ser_utterances utterances;
    uint64_t lag; /* samples: by which windows are heard later than they could be, see windows_lag */
    bool over;    /* finished, or broken */
    ser_event *events;
    size_t n_events, at, capacity; /* those before at are gone */
};

/* ---- events ---- */

static ser_status add_event(ser_live *l, ser_event_kind kind, const ser_segment *s, bool final,
                            ser_error *err)
{
    if (l->at == l->n_events)
        l->at = l->n_events = 0;
    if (!ser_grow(&l->events, &l->capacity, l->n_events + 1, sizeof *l->events))
        return ser_fail_nomem(err);
    ser_event *e = &l->events[l->n_events++];
    *e = (ser_event){
        .kind = kind, .final = final, .start_s = s->start_s, .end_s = s->end_s, .label = s->label};
    for (size_t i = 0; i < l->judge->model->n_labels && s->label >= 0; i++)
        e->scores[i] = s->scores[i];
    e->confidence = s->label >= 0 ? s->scores[s->label] : 0;
    return SER_OK;
}

static ser_status speech_starts(void *context, double start_s, ser_error *err)
{
    const ser_segment moment = {.start_s = start_s, .end_s = start_s, .label = -1};
    return add_event(context, SER_EVENT_SPEECH_START, &moment, true, err);
}

static ser_status measured(void *context, const ser_segment *segment, bool final, ser_error *err)
{
    return add_event(context, SER_EVENT_MEASUREMENT, segment, final, err);
}

static ser_status speech_ends(void *context, const ser_segment *answer, ser_error *err)
{
    return add_event(context, SER_EVENT_SPEECH_END, answer, true, err);
}

const ser_event *ser_live_next(ser_live *l)
{
    return l->at < l->n_events ? &l->events[l->at++] : NULL;
}

/* ---- the detector's news, which come at the same sample however sound is pushed ---- */

static ser_status on_window(void *context, uint64_t start, float probability, ser_error *err)
{
    ser_live *l = context;
    (void)probability;
    if (!l->utterances.open)
        return SER_OK;
    uint64_t settled = ser_voice_spans_settled(ser_voice_detector_spans(l->detector));
    uint64_t to = settled > l->lag ? settled - l->lag : 0;
    ser_status st = ser_utterances_take(&l->utterances, to, err);
    return st == SER_OK ? ser_utterances_update(&l->utterances, start, err) : st;
}

static ser_status on_start(void *context, uint64_t start, ser_error *err)
{
    return ser_utterances_begin(&((ser_live *)context)->utterances, start, err);
}

static ser_status on_end(void *context, ser_voice_span span, ser_error *err)
{
    return ser_utterances_end(&((ser_live *)context)->utterances, span.end, err);
}

static ser_status hear(void *context, const float *pcm, size_t n, ser_error *err)
{
    ser_live *l = context;
    ser_status st = SER_OK;
    for (size_t at = 0, n_now; at < n && st == SER_OK; at += n_now) {
        n_now = n - at < BLOCK_SAMPLES ? n - at : BLOCK_SAMPLES;
        st = ser_utterances_hear(&l->utterances, pcm + at, n_now, err);
        if (st == SER_OK)
            st = ser_voice_detector_push(l->detector, pcm + at, n_now, err);
        ser_utterances_forget(&l->utterances, ser_voice_spans_settled(ser_voice_detector_spans(l->detector)));
    }
    return st;
}

/* ---- a stream ---- */

/* Windows of a long utterance are full at whole seconds of it, when updates are due, and cost as much as an
 * update. Many streams whose utterances begin in the same instant would have to wait for both: so windows are
 * heard half-way to the next update. */
static uint64_t windows_lag(const ser_live_settings *s)
{
    const double longest_s = 0.5;
    double lag_s = s->update_s / 2 < longest_s ? s->update_s / 2 : longest_s;
    return (uint64_t)(lag_s * SER_SAMPLE_RATE_HZ);
}

ser_status ser_live_new(ser_live **out, ser_judge *judge, const ser_voice_network *network,
                        const ser_live_settings *settings, ser_error *err)
{
    *out = NULL;
    if (!(settings->pause_s >= 0.1 && settings->pause_s <= 10))
        return ser_fail(err, SER_E_ARG, "a pause of %g s: give 0.1 to 10", settings->pause_s);
    if (settings->update_s != 0 && !(settings->update_s >= 0.25 && settings->update_s <= 10))
        return ser_fail(err, SER_E_ARG, "an update every %g s: give 0.25 to 10, or 0 for none",
                        settings->update_s);
    ser_live *l = ser_alloc(1, sizeof *l);
    if (!l)
        return ser_fail_nomem(err);
    const ser_utterance_listener listener = {l, speech_starts, measured, speech_ends};
    const ser_voice_listener voice = {.context = l, .window = on_window, .starts = on_start, .ends = on_end};
    ser_voice_settings pauses;
    ser_voice_default_settings(&pauses);
    pauses.pause_s = settings->pause_s;
    l->judge = judge;
    ser_status st = ser_rate_new(&l->rate, settings->rate_hz, settings->n_channels, hear, l, err);
    if (st == SER_OK)
        st = ser_voice_detector_new(&l->detector, network, err);
    if (st == SER_OK)
        st = ser_cuts_new(&l->cuts, judge->extractor, judge->work, false, SER_UTTERANCE_WINDOW, err);
    if (st == SER_OK)
        st = ser_utterances_init(&l->utterances, judge, &listener, l->cuts, err);
    if (st != SER_OK) {
        ser_live_free(&l);
        return st;
    }
    l->utterances.update_s = settings->update_s;
    l->utterances.joins = true;
    l->lag = windows_lag(settings);
    ser_voice_detector_start(l->detector, &pauses, &voice);
    *out = l;
    return SER_OK;
}

void ser_live_free(ser_live **l)
{
    if (!l || !*l)
        return;
    ser_rate_free(&(*l)->rate);
    if ((*l)->detector)
        ser_voice_detector_free(&(*l)->detector);
    ser_utterances_release(&(*l)->utterances);
    ser_cuts_free(&(*l)->cuts);
    ser_free((*l)->events);
    ser_free(*l);
    *l = NULL;
}

ser_status ser_live_push(ser_live *l, const float *frames, size_t n, ser_error *err)
{
    if (l->over)
        return ser_fail(err, SER_E_ARG, "the stream is over: open another");
    ser_status st = ser_rate_push(l->rate, frames, n, err);
    l->over = st != SER_OK;
    return st;
}

ser_status ser_live_finish(ser_live *l, ser_error *err)
{
    if (l->over)
        return ser_fail(err, SER_E_ARG, "the stream is over: open another");
    ser_status st = ser_rate_finish(l->rate, err);
    if (st == SER_OK)
        st = ser_voice_detector_finish(l->detector, err);
    l->over = true;
    return st;
}
