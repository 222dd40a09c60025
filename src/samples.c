/* The functions of ser/ser.h that give samples, nothing else. */
#include "audio/audio.h"
#include "base/given.h"
#include "base/memory.h"

#include <math.h>
#include <stdio.h>

/* Seconds that no recording has, so that samples are counted without overflow. */
static const double most_s = 1e9;

static ser_status check_options(const ser_samples_options *o, ser_error *err)
{
    if (!(o->start_s >= 0 && o->start_s <= most_s) || !(o->end_s >= 0 && o->end_s <= most_s))
        return ser_fail(err, SER_E_ARG, "a stretch from %g to %g s: seconds from 0 to %g are possible",
                        o->start_s, o->end_s, most_s);
    if (o->end_s != 0 && o->end_s <= o->start_s)
        return ser_fail(err, SER_E_ARG, "a stretch from %g to %g s ends before it begins", o->start_s,
                        o->end_s);
    return SER_OK;
}

static uint64_t sample_at(double seconds)
{
    return (uint64_t)llround(seconds * SER_SAMPLE_RATE_HZ);
}

static ser_status read_stretch(ser_samples *out, ser_audio *audio, const ser_samples_options *o,
                               ser_error *err)
{
    ser_audio_info info;
    ser_samples read = {0};
    ser_status st = ser_audio_load_between(&read.samples, &read.n_samples, audio, sample_at(o->start_s),
                                           o->end_s != 0 ? sample_at(o->end_s) : UINT64_MAX, err);
    if (st != SER_OK)
        return st;
    ser_audio_get_info(audio, &info);
    read.file_rate_hz = info.sample_rate_hz;
    read.file_channels = info.n_channels;
    snprintf(read.warning, sizeof read.warning, "%s", ser_audio_warning(audio));
    *out = read;
    return SER_OK;
}

static ser_status take_options(ser_samples_options *own, const ser_samples_options *given, ser_error *err)
{
    *own = (ser_samples_options){0};
    ser_status st =
        given ? ser_take_given(own, sizeof *own, SER_FIRST_SIZE(ser_samples_options, end_s), given, err)
              : SER_OK;
    return st == SER_OK ? check_options(own, err) : st;
}

ser_status ser_samples_read_file(ser_samples *out, const char *path, const ser_samples_options *options,
                                 ser_error *err)
{
    ser_samples_options own;
    ser_audio *audio = NULL;
    ser_status st = take_options(&own, options, err);
    if (st == SER_OK)
        st = ser_audio_open(&audio, path, err);
    if (st == SER_OK)
        st = read_stretch(out, audio, &own, err);
    ser_audio_close(&audio);
    return st;
}

ser_status ser_samples_read_bytes(ser_samples *out, const void *bytes, size_t n_bytes,
                                  const ser_samples_options *options, ser_error *err)
{
    ser_samples_options own;
    ser_audio *audio = NULL;
    ser_status st = take_options(&own, options, err);
    if (st == SER_OK)
        st = ser_audio_open_memory(&audio, bytes, n_bytes, err);
    if (st == SER_OK)
        st = read_stretch(out, audio, &own, err);
    ser_audio_close(&audio);
    return st;
}

void ser_samples_release(ser_samples *s)
{
    if (!s)
        return;
    ser_free(s->samples);
    *s = (ser_samples){0};
}
