#include "model/gliding.h"
#include "base/memory.h"

#include <string.h>

ser_status ser_gliding_init(ser_gliding *m, const ser_extractor *e, ser_extractor_work *work,
                            size_t overlap_samples, ser_frames_fn receive, void *context, ser_error *err)
{
    *m = (ser_gliding){.extractor = e,
                       .work = work,
                       .receive = receive,
                       .context = context,
                       .overlap_samples = overlap_samples,
                       .pcm = ser_alloc(SER_GLIDING_SAMPLES + 1, sizeof *m->pcm),
                       .first = true};
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

static size_t hop_of(const ser_gliding *m)
{
    return (size_t)ser_extractor_spec(m->extractor)->hop_samples;
}

static ser_status measure(ser_gliding *m, size_t n_samples, ser_error *err)
{
    float max;
    ser_status st = ser_extract_log_mel_max(m->extractor, m->work, m->pcm, n_samples, &max, err);
    if (st == SER_OK && max > m->log_mel_max)
        m->log_mel_max = max;
    return st;
}

static ser_status hear_window(ser_gliding *m, size_t n_samples, bool last, ser_error *err)
{
    const ser_extractor *e = m->extractor;
    ser_frames kept;
    ser_status st = SER_OK;
    if (ser_extractor_has_log_mel(e) && (m->maximum_runs || !m->receive))
        st = measure(m, n_samples, err);
    if (st != SER_OK || !m->receive)
        return st;
    size_t advance = ser_gliding_advance(m->overlap_samples, hop_of(m));
    size_t margin = ser_gliding_margin(m->overlap_samples, hop_of(m));
    size_t from = m->first ? 0 : margin, to = last ? SIZE_MAX : advance + margin;
    m->first = false;
    st = ser_extract_part(e, m->work, m->pcm, n_samples, m->log_mel_max, from, to, &kept, err);
    return st == SER_OK && kept.n ? m->receive(m->context, &kept, err) : st;
}

ser_status ser_gliding_push(ser_gliding *m, const float *pcm, size_t n, ser_error *err)
{
    for (size_t at = 0; at < n;) {
        size_t room = SER_GLIDING_SAMPLES + 1 - m->n_have, n_now = n - at < room ? n - at : room;
        memcpy(m->pcm + m->n_have, pcm + at, n_now * sizeof *pcm);
        m->n_have += n_now;
        at += n_now;
        if (m->n_have <= SER_GLIDING_SAMPLES)
            break;
        ser_status st = hear_window(m, SER_GLIDING_SAMPLES, false, err);
        if (st != SER_OK)
            return st;
        size_t n_gone = ser_gliding_advance(m->overlap_samples, hop_of(m)) * hop_of(m);
        m->n_have -= n_gone;
        memmove(m->pcm, m->pcm + n_gone, m->n_have * sizeof *m->pcm);
    }
    return SER_OK;
}

ser_status ser_gliding_finish(ser_gliding *m, ser_error *err)
{
    ser_status st = m->n_have ? hear_window(m, m->n_have, true, err) : SER_OK;
    m->n_have = 0;
    return st;
}
