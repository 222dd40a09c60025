#include "audio/rate.h"
#include "base/memory.h"

#include <math.h>
#include <soxr.h>
#include <stdint.h>

enum { MIN_RATE_HZ = 1000, MAX_RATE_HZ = 768000, MAX_CHANNELS = 64, BLOCKS_PER_S = 50, ROOM = 1024 };

struct ser_rate {
    int rate_hz, n_channels;
    ser_pcm_fn receive;
    void *context;
    soxr_t resampler; /* NULL: the sound has our rate */
    float *mono;      /* (n_block): always so many at a time, so that portions do not show */
    size_t n_mono, n_block;
    float out[ROOM];
    uint64_t n_in, n_out;
};

ser_status ser_rate_new(ser_rate **out, int rate_hz, int n_channels, ser_pcm_fn receive, void *context,
                        ser_error *err)
{
    *out = NULL;
    if (rate_hz < MIN_RATE_HZ || rate_hz > MAX_RATE_HZ)
        return ser_fail(err, SER_E_ARG, "%d samples a second: give a rate from %d to %d Hz", rate_hz,
                        MIN_RATE_HZ, MAX_RATE_HZ);
    if (n_channels < 1 || n_channels > MAX_CHANNELS)
        return ser_fail(err, SER_E_ARG, "%d channels: give a number from 1 to %d", n_channels, MAX_CHANNELS);
    ser_rate *r = ser_alloc(1, sizeof *r);
    if (!r)
        return ser_fail_nomem(err);
    r->rate_hz = rate_hz;
    r->n_channels = n_channels;
    r->receive = receive;
    r->context = context;
    r->n_block = (size_t)(rate_hz / BLOCKS_PER_S);
    r->mono = ser_alloc(r->n_block, sizeof *r->mono);
    const soxr_quality_spec_t quality = soxr_quality_spec(SOXR_HQ, 0);
    if (rate_hz != SER_SAMPLE_RATE_HZ)
        r->resampler = soxr_create(rate_hz, SER_SAMPLE_RATE_HZ, 1, NULL, NULL, &quality, NULL);
    if (!r->mono || (rate_hz != SER_SAMPLE_RATE_HZ && !r->resampler)) {
        ser_rate_free(&r);
        return ser_fail_nomem(err);
    }
    *out = r;
    return SER_OK;
}

void ser_rate_free(ser_rate **r)
{
    if (!r || !*r)
        return;
    if ((*r)->resampler)
        soxr_delete((*r)->resampler);
    ser_free((*r)->mono);
    ser_free(*r);
    *r = NULL;
}

static ser_status give(ser_rate *r, const float *pcm, size_t n, ser_error *err)
{
    r->n_out += n;
    return n ? r->receive(r->context, pcm, n, err) : SER_OK;
}

/* The block that is there; n_mono 0: the end. */
static ser_status resample(ser_rate *r, ser_error *err)
{
    bool at_end = !r->n_mono;
    ser_status st = SER_OK;
    for (size_t used = 0, n_used, n_out = ROOM; st == SER_OK && (used < r->n_mono || n_out == ROOM);) {
        soxr_error_t failed = soxr_process(r->resampler, at_end ? NULL : r->mono + used, r->n_mono - used,
                                           &n_used, r->out, ROOM, &n_out);
        if (failed)
            return ser_fail_nomem(err); /* nothing else can fail in it */
        used += n_used;
        /* As many samples as the sound is long. */
        double n_most = round((double)r->n_in * SER_SAMPLE_RATE_HZ / r->rate_hz);
        size_t n_left = n_most > (double)r->n_out ? (size_t)(n_most - (double)r->n_out) : 0;
        st = give(r, r->out, at_end && n_out > n_left ? n_left : n_out, err);
    }
    return st;
}

static ser_status flush(ser_rate *r, ser_error *err)
{
    ser_status st = r->resampler ? resample(r, err) : give(r, r->mono, r->n_mono, err);
    r->n_mono = 0;
    return st;
}

ser_status ser_rate_push(ser_rate *r, const float *frames, size_t n, ser_error *err)
{
    ser_status st = SER_OK;
    size_t n_channels = (size_t)r->n_channels;
    for (size_t i = 0; i < n && st == SER_OK; i++) {
        double sum = 0;
        for (size_t c = 0; c < n_channels; c++)
            sum += (double)frames[i * n_channels + c];
        if (!isfinite(sum))
            return ser_fail(err, SER_E_FORMAT, "the sample at %.3f s is not a finite number",
                            (double)r->n_in / r->rate_hz);
        r->mono[r->n_mono++] = (float)(sum / r->n_channels);
        r->n_in++;
        if (r->n_mono == r->n_block)
            st = flush(r, err);
    }
    return st;
}

ser_status ser_rate_finish(ser_rate *r, ser_error *err)
{
    ser_status st = r->n_mono ? flush(r, err) : SER_OK;
    return st == SER_OK && r->resampler ? flush(r, err) : st;
}
