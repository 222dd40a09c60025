#include "model/listen.h"
#include "base/memory.h"
#include "model/gliding.h"
#include "model/hearing.h"
#include "model/utterances.h"

#include <math.h>
#include <string.h>

enum { BLOCK_SAMPLES = SER_SAMPLE_RATE_HZ }; /* as often as somebody is told how far it is */

typedef struct listening {
    ser_judge *judge;
    const ser_predict_options *options;
    const ser_pcm_source *from;
    double total_s;
    ser_hearing hearing;
    float *opening; /* (SER_LISTEN_UTTERANCE + 1): what was read to see how long the recording is */
    size_t n_opening, opening_at;
    float *block;          /* (BLOCK_SAMPLES) */
    bool begun, rewound;   /* the first time through, hearing is told of everything */
    ser_voice_span *spans; /* utterances; end 0: under way */
    size_t n_spans, spans_capacity, span_at;
    size_t n_voiced; /* cells of a conversation with a voice in them, and their scores */
    double score_sums[SER_MAX_LABELS], unlike_sum;
    ser_cuts *cuts;            /* who computes windows */
    ser_utterances utterances; /* with a timeline, as all that follows */
    size_t n_told;             /* utterances that are over */
    ser_segment *segments;
    size_t n_segments, segments_capacity;
} listening;

/* ---- where there is a voice ---- */

static ser_status utterance_starts(void *context, uint64_t start, ser_error *err)
{
    listening *l = context;
    if (!ser_grow(&l->spans, &l->spans_capacity, l->n_spans + 1, sizeof *l->spans))
        return ser_fail_nomem(err);
    l->spans[l->n_spans++] = (ser_voice_span){.start = start};
    return SER_OK;
}

static ser_status utterance_ends(void *context, ser_voice_span span, ser_error *err)
{
    listening *l = context;
    (void)err;
    l->spans[l->n_spans - 1] = span;
    return SER_OK;
}

static ser_status hear_window(void *context, uint64_t start, float probability, ser_error *err)
{
    listening *l = context;
    (void)start, (void)err;
    ser_quality_voice(l->judge->quality, probability);
    return SER_OK;
}

static bool wants_timeline(const listening *l)
{
    return l->options && l->options->timeline;
}

static bool wants_sound(const listening *l)
{
    return l->options && l->options->sound;
}

static void start_hearing_voices(listening *l)
{
    const ser_voice_listener listener = {.context = l,
                                         .window = wants_sound(l) ? hear_window : NULL,
                                         .starts = utterance_starts,
                                         .ends = utterance_ends};
    ser_voice_detector_start(l->judge->detector, NULL, &listener);
    ser_quality_start(l->judge->quality);
}

/* The next samples, for who says where there is a voice, and how it sounds. */
static ser_status hear_voices(listening *l, const float *pcm, size_t n, ser_error *err)
{
    _Static_assert((int)SER_QUALITY_WINDOW == (int)SER_VOICE_WINDOW, "both hear the same windows");
    ser_judge *j = l->judge;
    ser_status st = SER_OK;
    for (size_t at = 0, n_now; at < n && st == SER_OK; at += n_now) {
        n_now = n - at < SER_QUALITY_MOST ? n - at : SER_QUALITY_MOST;
        if (wants_sound(l))
            ser_quality_add(j->quality, pcm + at, n_now);
        st = ser_voice_detector_push(j->detector, pcm + at, n_now, err);
    }
    return st;
}

static ser_status end_voices(listening *l, ser_error *err)
{
    if (wants_sound(l))
        ser_quality_finish(l->judge->quality);
    return ser_voice_detector_finish(l->judge->detector, err);
}

/* Samples of utterances from sample start to end; these do not decrease from call to call. */
static uint64_t voice_between(listening *l, uint64_t start, uint64_t end)
{
    const ser_voice_spans *heard = ser_voice_detector_spans(l->judge->detector);
    uint64_t sum = 0;
    for (size_t i = l->span_at; i < l->n_spans; i++) {
        uint64_t from = l->spans[i].start;
        uint64_t to = l->spans[i].end ? l->spans[i].end : ser_voice_spans_settled(heard);
        if (to <= start)
            l->span_at = l->spans[i].end ? i + 1 : i;
        if (from >= end)
            break;
        from = from > start ? from : start;
        to = to < end ? to : end;
        sum += to > from ? to - from : 0;
    }
    return sum;
}

static uint64_t sample_at(double s)
{
    return (uint64_t)llround(s * SER_SAMPLE_RATE_HZ);
}

/* ---- the sound, heard once or several times ---- */

static bool is_long(const listening *l)
{
    return l->n_opening > SER_LISTEN_UTTERANCE;
}

static ser_status tell(const listening *l, ser_error *err)
{
    const ser_predict_options *o = l->options;
    double heard_s = (double)l->hearing.n_samples / SER_SAMPLE_RATE_HZ;
    if (o && o->on_progress && o->on_progress(o->context, heard_s, l->total_s))
        return ser_fail(err, SER_E_CANCELLED, "interrupted");
    return SER_OK;
}

static ser_status read_new(listening *l, float *pcm, size_t n_max, size_t *n_read, ser_error *err)
{
    ser_status st = l->from->read(l->from->context, pcm, n_max, n_read, err);
    if (st != SER_OK || l->rewound)
        return st;
    st = ser_hearing_add(&l->hearing, pcm, *n_read, err);
    if (st == SER_OK && is_long(l))
        st = hear_voices(l, pcm, *n_read, err);
    if (st == SER_OK && is_long(l) && *n_read < n_max)
        st = end_voices(l, err);
    return st == SER_OK ? tell(l, err) : st;
}

static ser_status read_opening(listening *l, ser_error *err)
{
    ser_status st = SER_OK;
    for (size_t n_read = BLOCK_SAMPLES, n; st == SER_OK && n_read == BLOCK_SAMPLES && !is_long(l);) {
        n = SER_LISTEN_UTTERANCE + 1 - l->n_opening;
        n = n < BLOCK_SAMPLES ? n : BLOCK_SAMPLES;
        st = read_new(l, l->opening + l->n_opening, n, &n_read, err);
        l->n_opening += n_read;
    }
    return st;
}

/* Of a short recording, only a timeline and how it sounds need more than whether somebody speaks at all. */
static ser_status hear_voices_in_opening(listening *l, ser_error *err)
{
    enum { AT_ONCE = SER_VOICE_BATCH * SER_VOICE_WINDOW };
    bool all = is_long(l) || wants_timeline(l) || wants_sound(l);
    ser_status st = SER_OK;
    for (size_t at = 0; at < l->n_opening && st == SER_OK && (all || !l->n_spans); at += AT_ONCE) {
        size_t n = l->n_opening - at < AT_ONCE ? l->n_opening - at : AT_ONCE;
        st = hear_voices(l, l->opening + at, n, err);
    }
    if (st == SER_OK && !is_long(l) && (all || !l->n_spans))
        st = end_voices(l, err);
    return st;
}

static ser_status read_again(void *context, float *pcm, size_t n_max, size_t *n_read, ser_error *err)
{
    listening *l = context;
    size_t n = l->n_opening - l->opening_at < n_max ? l->n_opening - l->opening_at : n_max;
    ser_status st = SER_OK;
    *n_read = 0;
    memcpy(pcm, l->opening + l->opening_at, n * sizeof *pcm);
    l->opening_at += n;
    l->begun = true;
    if (n < n_max && is_long(l))
        st = read_new(l, pcm + n, n_max - n, n_read, err);
    *n_read += n;
    return st;
}

/* Before each time that the recording is read. */
static ser_status rewind_listening(void *context, ser_error *err)
{
    listening *l = context;
    if (!l->begun)
        return SER_OK;
    if (!is_long(l)) {
        l->opening_at = 0;
        return SER_OK;
    }
    l->opening_at = l->n_opening; /* the rest begins anew */
    l->rewound = true;
    return l->from->rewind(l->from->context, err);
}

/* ---- the timeline: utterances and the pauses between them ---- */

static ser_status append_segment(listening *l, const ser_segment *segment, ser_error *err)
{
    if (!ser_grow(&l->segments, &l->segments_capacity, l->n_segments + 1, sizeof *l->segments))
        return ser_fail_nomem(err);
    l->segments[l->n_segments++] = *segment;
    return SER_OK;
}

/* Up to there nobody speaks. */
static ser_status append_pause(listening *l, double end_s, ser_error *err)
{
    const ser_segment pause = {
        .start_s = l->n_segments ? l->segments[l->n_segments - 1].end_s : 0, .end_s = end_s, .label = -1};
    return end_s > pause.start_s ? append_segment(l, &pause, err) : SER_OK;
}

static ser_status receive_segment(void *context, const ser_segment *segment, bool final, ser_error *err)
{
    listening *l = context;
    (void) final;
    ser_status st = append_pause(l, segment->start_s, err);
    return st == SER_OK ? append_segment(l, segment, err) : st;
}

/* As far as the detector knows and the sound has come: the detector has heard all of a recording that is
 * heard a second time. */
static ser_status advance(listening *l, ser_error *err)
{
    ser_utterances *u = &l->utterances;
    uint64_t heard = u->kept_from + u->n_kept;
    uint64_t settled = ser_voice_spans_settled(ser_voice_detector_spans(l->judge->detector));
    ser_status st = SER_OK;
    if (settled > heard)
        settled = heard;
    while (st == SER_OK && l->n_told < l->n_spans && l->spans[l->n_told].start < heard) {
        const ser_voice_span *span = &l->spans[l->n_told];
        if (!u->open)
            st = ser_utterances_begin(u, span->start, err);
        bool over = span->end && span->end <= heard;
        if (st == SER_OK && over)
            st = ser_utterances_end(u, span->end, err);
        else if (st == SER_OK)
            st = ser_utterances_take(u, span->end ? heard : settled, err);
        if (!over)
            break;
        l->n_told++;
    }
    ser_utterances_forget(u, l->n_told < l->n_spans ? l->spans[l->n_told].start : settled);
    return st;
}

/* A block of the sound for the utterances in it. */
static ser_status push_block(listening *l, const float *pcm, size_t n, ser_error *err)
{
    if (!wants_timeline(l))
        return SER_OK;
    ser_status st = ser_utterances_hear(&l->utterances, pcm, n, err);
    return st == SER_OK ? advance(l, err) : st;
}

static ser_status push_all(listening *l, ser_gliding *windows, ser_error *err)
{
    size_t n_read;
    ser_status st = rewind_listening(l, err);
    ser_gliding_start(windows);
    do {
        if (st == SER_OK)
            st = read_again(l, l->block, BLOCK_SAMPLES, &n_read, err);
        if (st == SER_OK)
            st = ser_gliding_push(windows, l->block, n_read, err);
        if (st == SER_OK && windows->receive) /* the last time */
            st = push_block(l, l->block, n_read, err);
    } while (st == SER_OK && n_read == BLOCK_SAMPLES);
    return st == SER_OK ? ser_gliding_finish(windows, err) : st;
}

/* ---- one utterance ---- */

/* frames: for networks; x NULL: nobody reads them. */
static ser_status judge_utterance(listening *l, ser_result *r, ser_error *err)
{
    ser_judge *j = l->judge;
    ser_pooling pooled;
    ser_frames frames = {0};
    ser_status st = ser_pooling_init(&pooled, ser_extractor_dims(j->extractor), err);
    if (st == SER_OK)
        st = ser_extract_window(j->extractor, j->work, l->opening, l->n_opening, 0, &frames, err);
    if (st == SER_OK) {
        ser_pooling_add(&pooled, &frames);
        ser_judge_hear(j, &pooled);
        const ser_stretch whole = {.pooled = &pooled, .frames = frames};
        st = ser_judge_voice(j, &whole, r->scores, &r->label, err);
        r->unlike = j->unlike;
    }
    ser_pooling_release(&pooled);
    return st;
}

/* ---- a conversation ---- */

/* ser_stretch_fn */
static ser_status judge_cell(void *context, const ser_stretch *stretch, ser_error *err)
{
    listening *l = context;
    float scores[SER_MAX_LABELS];
    int label = -1;
    if (voice_between(l, sample_at(stretch->start_s), sample_at(stretch->end_s)) < SER_LISTEN_VOICE_IN_CELL ||
        !stretch->pooled->active.n_frames)
        return SER_OK;
    ser_status st = ser_judge_voice(l->judge, stretch, scores, &label, err);
    l->n_voiced++;
    l->unlike_sum += (double)l->judge->unlike;
    for (size_t i = 0; i < l->judge->model->n_labels && st == SER_OK; i++)
        l->score_sums[i] += (double)scores[i];
    return st;
}

static ser_status hear_cells(void *context, const ser_frames *frames, ser_error *err)
{
    return ser_timeline_add(context, frames, err);
}

static ser_status follow(listening *l, ser_error *err)
{
    ser_judge *j = l->judge;
    ser_gliding windows = {0};
    ser_timeline cells;
    ser_status st = ser_timeline_init(
        &cells, ser_extractor_dims(j->extractor), ser_extractor_frames_per_s(j->extractor),
        j->model->n_networks ? ser_timeline_of_networks() : ser_timeline_of_statistics(), judge_cell, l, err);
    if (st == SER_OK)
        st =
            ser_gliding_init(&windows, j->extractor, j->work, l->cuts, SER_LISTEN_OVERLAP, NULL, &cells, err);
    /* Log-mel is clamped below the whole recording's maximum, so it is heard once more for that. */
    if (st == SER_OK && ser_extractor_has_log_mel(j->extractor))
        st = push_all(l, &windows, err);
    windows.receive = hear_cells;
    if (st == SER_OK)
        st = push_all(l, &windows, err);
    if (st == SER_OK)
        st = ser_cuts_drain(l->cuts, err);
    if (st == SER_OK)
        st = ser_timeline_finish(&cells, err);
    ser_gliding_release(&windows);
    ser_timeline_release(&cells);
    return st;
}

/* The mean over the voiced cells says how likely an emotion is at any moment. */
static void judge_conversation(const listening *l, ser_result *r)
{
    r->label = l->n_voiced ? 0 : -1;
    r->unlike = l->n_voiced ? (float)(l->unlike_sum / (double)l->n_voiced) : 0;
    for (size_t i = 0; i < l->judge->model->n_labels && l->n_voiced; i++) {
        r->scores[i] = (float)(l->score_sums[i] / (double)l->n_voiced);
        if (r->scores[i] > r->scores[r->label])
            r->label = (int)i;
    }
}

/* The recording joins the baseline, which costs hearing it once more. */
static ser_status join_baseline(listening *l, ser_error *err)
{
    ser_pooling pooled;
    const ser_pcm_source source = {read_again, rewind_listening, l};
    ser_status st = ser_pooling_init(&pooled, ser_extractor_dims(l->judge->extractor), err);
    if (st == SER_OK)
        st = ser_listen_pooled(l->judge, &source, &pooled, err);
    if (st == SER_OK && l->n_spans)
        ser_judge_hear(l->judge, &pooled);
    ser_pooling_release(&pooled);
    return st;
}

/* ---- a recording ---- */

static ser_status check_length(size_t n_samples, ser_error *err)
{
    return n_samples >= SER_MIN_SAMPLES
               ? SER_OK
               : ser_fail(err, SER_E_FORMAT, "holds %.1f ms of sound: at least 25 ms are needed",
                          1000.0 * (double)n_samples / SER_SAMPLE_RATE_HZ);
}

static ser_status answer(listening *l, ser_result *r, ser_error *err)
{
    ser_status st = check_length(l->n_opening, err);
    if (st != SER_OK || (!is_long(l) && ser_hearing_is_silence(&l->hearing)))
        return st;
    const ser_utterance_listener segments = {.context = l, .measured = receive_segment};
    st = hear_voices_in_opening(l, err);
    if (st == SER_OK)
        st = ser_cuts_new(&l->cuts, l->judge->extractor, l->judge->work, is_long(l), SER_UTTERANCE_WINDOW,
                          err);
    if (st == SER_OK && wants_timeline(l))
        st = ser_utterances_init(&l->utterances, l->judge, &segments, l->cuts, err);
    if (st == SER_OK && !is_long(l)) {
        if (l->n_spans)
            st = judge_utterance(l, r, err);
        return st == SER_OK ? push_block(l, l->opening, l->n_opening, err) : st;
    }
    if (st == SER_OK && ser_judge_follows(l->judge))
        st = join_baseline(l, err);
    if (st == SER_OK)
        st = follow(l, err);
    if (st == SER_OK)
        judge_conversation(l, r);
    return st;
}

static ser_status fill_result(listening *l, ser_result *r, ser_error *err)
{
    size_t n_peaks = l->options ? l->options->n_peaks : 0;
    if (n_peaks && !(r->peaks = ser_alloc(n_peaks, sizeof *r->peaks)))
        return ser_fail_nomem(err);
    r->n_peaks = n_peaks;
    ser_outline_peaks(&l->hearing.outline, r->peaks, n_peaks);
    bool silence = ser_hearing_is_silence(&l->hearing);
    r->duration_s = (double)l->hearing.n_samples / SER_SAMPLE_RATE_HZ;
    if (wants_sound(l))
        ser_quality_tell(l->judge->quality, &r->sound);
    if (silence)
        r->label = -1;
    if (r->label < 0)
        r->unlike = 0;
    if (r->label >= 0) {
        r->confidence = r->scores[r->label];
        r->note = r->unlike > 1 ? SER_NOTE_UNLIKE : SER_NOTE_NONE;
    } else
        r->note = silence ? SER_NOTE_SILENCE : SER_NOTE_NO_VOICE;
    ser_status st = wants_timeline(l) && !silence ? append_pause(l, r->duration_s, err) : SER_OK;
    if (st == SER_OK && !silence) {
        r->segments = l->segments; /* moves to the result */
        r->n_segments = l->n_segments;
        l->segments = NULL;
    }
    return st;
}

ser_status ser_listen(ser_judge *j, const ser_pcm_source *source, const ser_predict_options *options,
                      double total_s, ser_result *r, ser_error *err)
{
    listening l = {.judge = j,
                   .options = options,
                   .from = source,
                   .total_s = total_s,
                   .opening = ser_alloc(SER_LISTEN_UTTERANCE + 1, sizeof *l.opening),
                   .block = ser_alloc(BLOCK_SAMPLES, sizeof *l.block)};
    ser_result result = {.label = -1};
    start_hearing_voices(&l);
    ser_status st = l.opening && l.block ? read_opening(&l, err) : ser_fail_nomem(err);
    if (st == SER_OK)
        st = answer(&l, &result, err);
    if (st == SER_OK)
        st = fill_result(&l, &result, err);
    if (st == SER_OK)
        *r = result;
    else
        ser_free(result.peaks);
    ser_cuts_free(&l.cuts);
    ser_utterances_release(&l.utterances);
    ser_free(l.segments);
    ser_free(l.spans);
    ser_free(l.opening);
    ser_free(l.block);
    return st;
}

/* ---- features ---- */

/* A source that passes samples on and is told what they are, the first time. */
typedef struct checked {
    const ser_pcm_source *from;
    ser_hearing hearing;
    bool rewound;
} checked;

static ser_status read_checked(void *context, float *pcm, size_t n_max, size_t *n_read, ser_error *err)
{
    checked *c = context;
    ser_status st = c->from->read(c->from->context, pcm, n_max, n_read, err);
    return st == SER_OK && !c->rewound ? ser_hearing_add(&c->hearing, pcm, *n_read, err) : st;
}

static ser_status rewind_checked(void *context, ser_error *err)
{
    checked *c = context;
    c->rewound = true;
    return c->from->rewind(c->from->context, err);
}

ser_status ser_listen_frames(ser_judge *j, const ser_pcm_source *source, ser_frames_fn receive, void *context,
                             ser_error *err)
{
    checked c = {.from = source};
    const ser_pcm_source through = {read_checked, rewind_checked, &c};
    ser_status st = ser_extract(j->extractor, j->work, &through, receive, context, err);
    return st == SER_OK ? check_length(c.hearing.n_samples, err) : st;
}

static ser_status add_frames(void *context, const ser_frames *frames, ser_error *err)
{
    (void)err;
    ser_pooling_add(context, frames);
    return SER_OK;
}

ser_status ser_listen_pooled(ser_judge *j, const ser_pcm_source *source, ser_pooling *pooled, ser_error *err)
{
    return ser_listen_frames(j, source, add_frames, pooled, err);
}
