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

ser_status ser_gliding_init(ser_gliding *m, const ser_extractor *e, ser_extractor_work *work,
                            size_t overlap_samples, size_t n_at_once, ser_frames_fn receive, void *context,
                            ser_error *err)
{
    *m = (ser_gliding){.extractor = e,
                       .work = work,
                       .receive = receive,
                       .context = context,
                       .overlap_samples = overlap_samples,
                       .n_at_once = n_at_once,
                       .first = true};
    m->capacity = SER_GLIDING_SAMPLES + (n_at_once - 1) * step_of(m) + 1;
    m->pcm = ser_alloc(m->capacity, sizeof *m->pcm);
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

/* The windows that are there: all but one that is not full yet, unless it is the last. */
static ser_status hear_windows(ser_gliding *m, bool last, ser_error *err)
{
    const ser_extractor *e = m->extractor;
    ser_cut cuts[SER_MAX_CUTS];
    ser_status st = SER_OK;
    size_t n = 0, at = 0, step = step_of(m);
    size_t advance = ser_gliding_advance(m->overlap_samples, hop_of(m));
    size_t margin = ser_gliding_margin(m->overlap_samples, hop_of(m));
    for (bool more = true; more && n < m->n_at_once && st == SER_OK; at += step) {
        size_t n_left = m->n_have - at;
        more = n_left > SER_GLIDING_SAMPLES;
        if (!more && !last)
            break;
        cuts[n] = (ser_cut){.pcm = m->pcm + at,
                            .n_samples = more ? SER_GLIDING_SAMPLES : n_left,
                            .from = m->first ? 0 : margin,
                            .to = more ? advance + margin : SIZE_MAX};
        m->first = false;
        if (ser_extractor_has_log_mel(e) && (m->maximum_runs || !m->receive))
            st = measure(m, cuts[n].pcm, cuts[n].n_samples, err);
        cuts[n++].log_mel_max = m->log_mel_max;
    }
    if (st == SER_OK && m->receive)
        st = ser_extract_cuts(e, m->work, cuts, n, err);
    for (size_t i = 0; i < n && st == SER_OK && m->receive; i++)
        if (cuts[i].frames.n)
            st = m->receive(m->context, &cuts[i].frames, err);
    return st;
}

ser_status ser_gliding_push(ser_gliding *m, const float *pcm, size_t n, ser_error *err)
{
    for (size_t at = 0; at < n;) {
        size_t room = m->capacity - m->n_have, n_now = n - at < room ? n - at : room;
        memcpy(m->pcm + m->n_have, pcm + at, n_now * sizeof *pcm);
        m->n_have += n_now;
        at += n_now;
        if (m->n_have < m->capacity)
            break;
        ser_status st = hear_windows(m, false, err);
        if (st != SER_OK)
            return st;
        size_t n_gone = m->n_at_once * step_of(m);
        m->n_have -= n_gone;
        memmove(m->pcm, m->pcm + n_gone, m->n_have * sizeof *m->pcm);
    }
    return SER_OK;
}

ser_status ser_gliding_finish(ser_gliding *m, ser_error *err)
{
    ser_status st = m->n_have ? hear_windows(m, true, err) : SER_OK;
    m->n_have = 0;
    return st;
}
