#include "model/utterances.h"
#include "base/memory.h"

#include <string.h>

enum {
    SHORT_SAMPLES = SER_UTTERANCE_WINDOW,    /* the longest that is judged at once */
    WHOLE_SAMPLES = 10 * SER_SAMPLE_RATE_HZ, /* the longest whose frames are judged together */
    UPDATE_SAMPLES = 3 * SER_SAMPLE_RATE_HZ,
    OVERLAP_SAMPLES = SER_SAMPLE_RATE_HZ /* of windows: frames are kept that have half a second around them */
};

static double seconds(uint64_t sample)
{
    return (double)sample / SER_SAMPLE_RATE_HZ;
}

/* ---- long ones: cells and frames ---- */

static ser_status receive_segment(void *context, const ser_segment *segment, ser_error *err)
{
    ser_utterances *u = context;
    return u->listener.measured(u->listener.context, segment, true, err);
}

static ser_status judge_cell(void *context, const ser_stretch *stretch, ser_error *err)
{
    ser_utterances *u = context;
    float scores[SER_MAX_LABELS];
    int label = -1;
    ser_status st = SER_OK;
    if (stretch->pooled->active.n_frames)
        st = ser_judge_voice(u->judge, stretch, scores, &label, err);
    if (st == SER_OK && label >= 0) {
        u->n_voiced++;
        for (size_t i = 0; i < u->judge->model->n_labels; i++)
            u->score_sums[i] += (double)scores[i];
    }
    return st == SER_OK ? ser_smoothing_add(&u->smoothing, label, scores, err) : st;
}

/* Networks judge the utterance by its frames, as long as there are not too many. */
static ser_status keep_frames(ser_utterances *u, const ser_frames *frames, ser_error *err)
{
    const ser_extractor *e = u->judge->extractor;
    size_t dims = ser_extractor_dims(e), n = u->n_frames + frames->n;
    if (!u->judge->model->n_networks ||
        u->n_frames > WHOLE_SAMPLES / (size_t)ser_extractor_spec(e)->hop_samples)
        return SER_OK;
    if (!ser_grow(&u->frames, &u->frames_capacity, n * dims, sizeof *u->frames) ||
        !ser_grow(&u->active, &u->active_capacity, n, 1))
        return ser_fail_nomem(err);
    memcpy(u->frames + u->n_frames * dims, frames->x, frames->n * dims * sizeof *u->frames);
    memcpy(u->active + u->n_frames, frames->active, frames->n);
    u->n_frames = n;
    return SER_OK;
}

static ser_status receive_frames(void *context, const ser_frames *frames, ser_error *err)
{
    ser_utterances *u = context;
    ser_pooling_add(&u->whole, frames);
    ser_status st = keep_frames(u, frames, err);
    return st == SER_OK ? ser_timeline_add(&u->cells, frames, err) : st;
}

/* ---- all of them ---- */

ser_status ser_utterances_init(ser_utterances *u, ser_judge *judge, const ser_utterance_listener *listener,
                               ser_cuts *cuts, ser_error *err)
{
    size_t dims = ser_extractor_dims(judge->extractor);
    *u = (ser_utterances){.judge = judge, .cuts = cuts, .listener = *listener};
    ser_status st = ser_timeline_init(&u->cells, dims, ser_extractor_frames_per_s(judge->extractor),
                                      judge->model->n_networks ? ser_timeline_of_networks()
                                                               : ser_timeline_of_statistics(),
                                      judge_cell, u, err);
    if (st == SER_OK)
        st = ser_gliding_init(&u->windows, judge->extractor, judge->work, cuts, OVERLAP_SAMPLES,
                              receive_frames, u, err);
    if (st == SER_OK)
        st = ser_pooling_init(&u->whole, dims, err);
    if (st == SER_OK)
        st = ser_pooling_init(&u->recent, dims, err);
    u->windows.maximum_runs = true;
    if (st != SER_OK)
        ser_utterances_release(u);
    return st;
}

void ser_utterances_release(ser_utterances *u)
{
    ser_gliding_release(&u->windows);
    ser_timeline_release(&u->cells);
    ser_pooling_release(&u->whole);
    ser_pooling_release(&u->recent);
    ser_free(u->frames);
    ser_free(u->active);
    ser_free(u->kept);
    *u = (ser_utterances){0};
}

ser_status ser_utterances_hear(ser_utterances *u, const float *pcm, size_t n, ser_error *err)
{
    if (!ser_grow(&u->kept, &u->capacity, u->n_kept + n, sizeof *u->kept))
        return ser_fail_nomem(err);
    memcpy(u->kept + u->n_kept, pcm, n * sizeof *pcm);
    u->n_kept += n;
    return SER_OK;
}

void ser_utterances_forget(ser_utterances *u, uint64_t before)
{
    enum { AT_ONCE = SER_SAMPLE_RATE_HZ }; /* so that little is moved when little comes at a time */
    uint64_t heard = u->kept_from + u->n_kept, recent = heard > UPDATE_SAMPLES ? heard - UPDATE_SAMPLES : 0;
    if (u->open) {
        uint64_t needed = u->is_long ? u->taken : u->start;
        /* A detector lags behind by less than a second, and updates with it. */
        recent = recent > AT_ONCE ? recent - AT_ONCE : 0;
        before = u->update_s > 0 && recent < needed ? recent : needed;
        before = before > u->start ? before : u->start;
    }
    before = before < heard ? before : heard;
    if (before < u->kept_from + AT_ONCE)
        return;
    size_t n_gone = (size_t)(before - u->kept_from);
    u->n_kept -= n_gone;
    u->kept_from = before;
    memmove(u->kept, u->kept + n_gone, u->n_kept * sizeof *u->kept);
}

static const float *sound_from(const ser_utterances *u, uint64_t sample)
{
    return u->kept + (sample - u->kept_from);
}

/* ---- what is handed on ---- */

/* A cut's frames as one stretch. */
static ser_status judge_cut(ser_utterances *u, const ser_cut *cut, bool joins, ser_segment *answer,
                            ser_error *err)
{
    ser_judge *j = u->judge;
    *answer = (ser_segment){.start_s = seconds(cut->start), .end_s = seconds(cut->end), .label = -1};
    if (!cut->frames.n)
        return SER_OK;
    ser_pooling_clear(&u->recent);
    ser_pooling_add(&u->recent, &cut->frames);
    if (joins)
        ser_judge_hear(j, &u->recent);
    const ser_stretch whole = {.pooled = &u->recent, .frames = cut->frames};
    return ser_judge_voice(j, &whole, answer->scores, &answer->label, err);
}

static ser_status update(void *context, const ser_cut *cut, ser_error *err)
{
    ser_utterances *u = context;
    ser_segment answer;
    ser_status st = judge_cut(u, cut, false, &answer, err);
    return st == SER_OK && answer.label >= 0 ? u->listener.measured(u->listener.context, &answer, false, err)
                                             : st;
}

static ser_status tell_end(const ser_utterances *u, const ser_segment *answer, ser_error *err)
{
    return u->listener.ends ? u->listener.ends(u->listener.context, answer, err) : SER_OK;
}

static ser_status end_short(void *context, const ser_cut *cut, ser_error *err)
{
    ser_utterances *u = context;
    ser_segment answer;
    ser_status st = judge_cut(u, cut, u->joins, &answer, err);
    if (st == SER_OK && answer.label >= 0)
        st = u->listener.measured(u->listener.context, &answer, true, err);
    return st == SER_OK ? tell_end(u, &answer, err) : st;
}

static ser_status begin_long(void *context, const ser_cut *cut, ser_error *err)
{
    ser_utterances *u = context;
    (void)err;
    u->n_frames = u->n_voiced = 0;
    memset(u->score_sums, 0, sizeof u->score_sums);
    ser_pooling_clear(&u->whole);
    ser_timeline_start(&u->cells);
    ser_smoothing_start(&u->smoothing, u->judge->model->n_labels, seconds(cut->start),
                        (double)u->cells.frames_per_cell / u->cells.frames_per_s, receive_segment, u);
    return SER_OK;
}

static ser_status answer_long(ser_utterances *u, bool whole, ser_segment *answer, ser_error *err)
{
    const ser_stretch all = {.pooled = &u->whole, .frames = {u->frames, u->active, u->n_frames}};
    if (u->joins)
        ser_judge_hear(u->judge, &u->whole);
    if (whole && u->whole.active.n_frames)
        return ser_judge_voice(u->judge, &all, answer->scores, &answer->label, err);
    for (size_t i = 0; i < u->judge->model->n_labels && u->n_voiced; i++) {
        answer->scores[i] = (float)(u->score_sums[i] / (double)u->n_voiced);
        if (answer->label < 0 || answer->scores[i] > answer->scores[answer->label])
            answer->label = (int)i;
    }
    return SER_OK;
}

static ser_status end_long(void *context, const ser_cut *cut, ser_error *err)
{
    ser_utterances *u = context;
    ser_segment answer = {.start_s = seconds(cut->start), .end_s = seconds(cut->end), .label = -1};
    ser_status st = ser_timeline_finish(&u->cells, err);
    if (st == SER_OK)
        st = ser_smoothing_finish(&u->smoothing, answer.end_s, err);
    if (st == SER_OK)
        st = answer_long(u, cut->end - cut->start <= WHOLE_SAMPLES, &answer, err);
    return st == SER_OK ? tell_end(u, &answer, err) : st;
}

/* ---- what is posted ---- */

/* All of the sound that was kept between two samples. */
static ser_status post_sound(ser_utterances *u, uint64_t from, uint64_t to, ser_cut_fn receive,
                             ser_error *err)
{
    const ser_cut cut = {.pcm = sound_from(u, from),
                         .n_samples = (size_t)(to - from),
                         .to = SIZE_MAX,
                         .start = from,
                         .end = to};
    return ser_cuts_post(u->cuts, &cut, receive, u, err);
}

ser_status ser_utterances_begin(ser_utterances *u, uint64_t start, ser_error *err)
{
    u->open = true;
    u->is_long = false;
    u->start = u->taken = start;
    u->n_updates = 0;
    return u->listener.starts ? u->listener.starts(u->listener.context, seconds(start), err) : SER_OK;
}

ser_status ser_utterances_take(ser_utterances *u, uint64_t to, ser_error *err)
{
    if (to <= u->start)
        return SER_OK;
    if (!u->is_long && to - u->start > SHORT_SAMPLES) {
        const ser_cut mark = {.start = u->start};
        ser_status st = ser_cuts_post(u->cuts, &mark, begin_long, u, err);
        if (st != SER_OK)
            return st;
        u->is_long = true;
        ser_gliding_start(&u->windows);
    }
    if (!u->is_long || to <= u->taken)
        return SER_OK;
    uint64_t from = u->taken;
    u->taken = to;
    return ser_gliding_push(&u->windows, sound_from(u, from), (size_t)(to - from), err);
}

ser_status ser_utterances_update(ser_utterances *u, uint64_t now, ser_error *err)
{
    uint64_t step = (uint64_t)(u->update_s * SER_SAMPLE_RATE_HZ);
    if (!step || now <= u->start || (now - u->start) / step <= u->n_updates)
        return SER_OK;
    u->n_updates = (now - u->start) / step;
    uint64_t to = u->start + u->n_updates * step;
    uint64_t from = to - u->start > UPDATE_SAMPLES ? to - UPDATE_SAMPLES : u->start;
    return post_sound(u, from, to, update, err);
}

ser_status ser_utterances_end(ser_utterances *u, uint64_t end, ser_error *err)
{
    const ser_cut mark = {.start = u->start, .end = end};
    ser_status st = ser_utterances_take(u, end, err);
    u->open = false;
    if (!u->is_long)
        return st == SER_OK ? post_sound(u, u->start, end, end_short, err) : st;
    if (st == SER_OK)
        st = ser_gliding_finish(&u->windows, err);
    return st == SER_OK ? ser_cuts_post(u->cuts, &mark, end_long, u, err) : st;
}
