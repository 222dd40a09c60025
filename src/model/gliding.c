#include "model/gliding.h"
#include "base/memory.h"

#include <string.h>

static size_t hop_of(const ser_gliding *m)
{
    return (size_t)ser_extractor_spec(m->extractor)->hop_samples;
}

/* Samples from one window to the next. */
static size_t step_of(const ser_gliding *m)
{
    return ser_gliding_advance(m->overlap_samples, hop_of(m)) * hop_of(m);
}

ser_status ser_gliding_init(ser_gliding *m, const ser_extractor *e, ser_extractor_work *work, ser_cuts *cuts,
                            size_t overlap_samples, ser_frames_fn receive, void *context, ser_error *err)
{
    *m = (ser_gliding){.extractor = e,
                       .work = work,
                       .cuts = cuts,
                       .receive = receive,
                       .context = context,
                       .overlap_samples = overlap_samples,
                       .first = true,
                       .pcm = ser_alloc(SER_GLIDING_SAMPLES + 1, sizeof *m->pcm)};
    return m->pcm ? SER_OK : ser_fail_nomem(err);
}

void ser_gliding_release(ser_gliding *m)
{
    ser_free(m->pcm);
    *m = (ser_gliding){0};
}

void ser_gliding_start(ser_gliding *m)
{
    m->n_have = 0;
    m->first = true;
    if (m->maximum_runs)
        m->log_mel_max = 0;
}

static ser_status measure(ser_gliding *m, const float *pcm, size_t n_samples, ser_error *err)
{
    float max;
    ser_status st = ser_extract_log_mel_max(m->extractor, m->work, pcm, n_samples, &max, err);
    if (st == SER_OK && max > m->log_mel_max)
        m->log_mel_max = max;
    return st;
}

/* ser_cut_fn */
static ser_status hand_on(void *context, const ser_cut *cut, ser_error *err)
{
    ser_gliding *m = context;
    return cut->frames.n ? m->receive(m->context, &cut->frames, err) : SER_OK;
}

static ser_status hear_window(ser_gliding *m, bool last, ser_error *err)
{
    size_t advance = ser_gliding_advance(m->overlap_samples, hop_of(m));
    size_t margin = ser_gliding_margin(m->overlap_samples, hop_of(m));
    ser_cut cut = {.pcm = m->pcm,
                   .n_samples = last ? m->n_have : SER_GLIDING_SAMPLES,
                   .from = m->first ? 0 : margin,
                   .to = last ? SIZE_MAX : advance + margin};
    ser_status st = SER_OK;
    m->first = false;
    if (ser_extractor_has_log_mel(m->extractor) && (m->maximum_runs || !m->receive))
        st = measure(m, cut.pcm, cut.n_samples, err);
    cut.log_mel_max = m->log_mel_max;
    return st == SER_OK && m->receive ? ser_cuts_post(m->cuts, &cut, hand_on, m, err) : st;
}

ser_status ser_gliding_push(ser_gliding *m, const float *pcm, size_t n, ser_error *err)
{
    enum { CAPACITY = SER_GLIDING_SAMPLES + 1 };
    for (size_t at = 0; at < n;) {
        size_t room = CAPACITY - m->n_have, n_now = n - at < room ? n - at : room;
        memcpy(m->pcm + m->n_have, pcm + at, n_now * sizeof *pcm);
        m->n_have += n_now;
        at += n_now;
        if (m->n_have < CAPACITY)
            break;
        ser_status st = hear_window(m, false, err);
        if (st != SER_OK)
            return st;
        m->n_have -= step_of(m);
        memmove(m->pcm, m->pcm + step_of(m), m->n_have * sizeof *m->pcm);
    }
    return SER_OK;
}

ser_status ser_gliding_finish(ser_gliding *m, ser_error *err)
{
    ser_status st = m->n_have ? hear_window(m, true, err) : SER_OK;
    m->n_have = 0;
    return st;
}
