#include "model/hearing.h"

#include <math.h>

static const double silence_ms = 3.16e-8; /* -75 dB */

ser_status ser_hearing_add(ser_hearing *h, const float *pcm, size_t n, ser_error *err)
{
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(pcm[i]))
            return ser_fail(err, SER_E_FORMAT,
                            "the sample at %.3f s is not a finite number: export the recording again",
                            (double)(h->n_samples + i) / SER_SAMPLE_RATE_HZ);
        h->sum_ms += (double)pcm[i] * pcm[i];
        if (++h->n_in_frame < SER_MIN_SAMPLES)
            continue;
        h->loudest_ms = fmax(h->loudest_ms, h->sum_ms / SER_MIN_SAMPLES);
        h->sum_ms = 0;
        h->n_in_frame = 0;
    }
    ser_outline_add(&h->outline, pcm, n);
    h->n_samples += n;
    return SER_OK;
}

bool ser_hearing_is_silence(const ser_hearing *h)
{
    return h->loudest_ms < silence_ms;
}

static ser_status read_audio(void *context, float *pcm, size_t n_max, size_t *n_read, ser_error *err)
{
    return ser_audio_read(context, pcm, n_max, n_read, err);
}

static ser_status rewind_audio(void *context, ser_error *err)
{
    return ser_audio_rewind(context, err);
}

ser_pcm_source ser_pcm_from_audio(ser_audio *audio)
{
    return (ser_pcm_source){read_audio, rewind_audio, audio};
}
