#include "audio/audio.h"
#include "audio/clipping.h"
#include "audio/decoder.h"
#include "audio/ffmpeg.h"
#include "audio/source.h"
#include "base/memory.h"

#include <math.h>
#include <soxr.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Everything goes in blocks of these sizes, whatever the caller asks for, so that what a sample is depends on
 * nothing else. */
enum { N_BLOCK = 4096, MAX_BLOCK_VALUES = 1 << 16, MIN_RATE_HZ = 250 };
enum { N_LOOKED_AT = 2 };

struct ser_audio {
    ser_source source;
    ser_decoder *decoder;
    soxr_t resampler; /* NULL: the recording has our rate */
    float *frames;    /* (n_block, n_channels) as decoded */
    size_t n_block;
    float *mono; /* of the block last decoded; mono_at ... n_mono is not used yet */
    size_t n_mono, mono_at;
    float *out; /* at our rate; out_at ... n_out is not delivered yet */
    size_t n_out, out_at;
    uint64_t n_frames, n_delivered;     /* so far */
    ser_clipping clipping[N_LOOKED_AT]; /* of the first channels */
    double opposed_s;                   /* since when the channels cancel each other; < 0: they do not */
    bool decoded_all, ended;
    char warning[256];
};

/* round(n * 16000 / rate) without overflow. */
static uint64_t n_resampled(uint64_t n, int rate_hz)
{
    uint64_t rate = (uint64_t)rate_hz;
    return n / rate * SER_SAMPLE_RATE_HZ + (n % rate * SER_SAMPLE_RATE_HZ + rate / 2) / rate;
}

static size_t count_finite(const float *x, size_t n)
{
    size_t i = 0;
    while (i < n && isfinite(x[i]))
        i++;
    return i;
}

/* frames (n, n_channels) -> mono (n): the mean of the channels. Whether they cancel each other in it: 17 dB
 * less than channels that have nothing in common, of two 20 dB less than they have themselves, where that is
 * more than -60 dB of full scale. */
static bool mix(float *mono, const float *frames, size_t n, int n_channels)
{
    double of_mean = 0, of_channels = 0;
    for (size_t i = 0; i < n; i++) {
        double sum = 0, squares = 0;
        for (int c = 0; c < n_channels; c++) {
            double x = (double)frames[i * (size_t)n_channels + (size_t)c];
            sum += x;
            squares += x * x;
        }
        mono[i] = (float)(sum / n_channels);
        of_mean += sum / n_channels * (sum / n_channels);
        of_channels += squares / n_channels;
    }
    return n_channels > 1 && of_channels > 1e-6 * (double)n && of_mean < 0.02 / n_channels * of_channels;
}

static void take_first(float *mono, const float *frames, size_t n, int n_channels)
{
    for (size_t i = 0; i < n; i++)
        mono[i] = frames[i * (size_t)n_channels];
}

/* A few bytes can unfold into years of sound: less than 16 bytes to a second, over an hour, is no recording
 * (silence in FLAC, which is what takes least, has 50). */
static bool is_bomb(const ser_audio *a)
{
    enum { MIN_BYTES_PER_S = 16 };
    uint64_t n_s = a->n_frames / (uint64_t)ser_decoder_info(a->decoder)->sample_rate_hz;
    return n_s > 3600 && n_s > (a->source.end - a->source.origin) / MIN_BYTES_PER_S;
}

static ser_status decode_block(ser_audio *a, ser_error *err)
{
    const ser_audio_info *info = ser_decoder_info(a->decoder);
    size_t n = ser_decoder_read(a->decoder, a->frames, a->n_block);
    for (int c = 0; c < info->n_channels && c < N_LOOKED_AT; c++)
        ser_clipping_add(&a->clipping[c], a->frames + c, n, (size_t)info->n_channels);
    /* From there on to the end, so that the sound does not change back and forth. */
    if (mix(a->mono, a->frames, n, info->n_channels) && a->opposed_s < 0)
        a->opposed_s = (double)a->n_frames / info->sample_rate_hz;
    if (a->opposed_s >= 0)
        take_first(a->mono, a->frames, n, info->n_channels);
    a->mono_at = 0;
    a->n_mono = n;
    size_t n_finite = count_finite(a->mono, n);
    if (n_finite < n)
        return ser_fail(err, SER_E_FORMAT,
                        "the sample at %.4f s is not a finite number: repair the recording",
                        (double)(a->n_frames + n_finite) / info->sample_rate_hz);
    a->n_frames += n;
    if (is_bomb(a))
        return ser_fail(err, SER_E_FORMAT, "its %llu bytes unfold into hours of sound: it is no recording",
                        (unsigned long long)(a->source.end - a->source.origin));
    if (n < a->n_block) {
        a->decoded_all = true;
        if (a->source.failure)
            return ser_fail(err, SER_E_IO, "it cannot be read (%s): try again", strerror(a->source.failure));
        const char *failure = ser_decoder_failure(a->decoder);
        if (failure)
            return ser_fail(err, SER_E_IO, "%s: try again", failure);
        if (!ser_decoder_fault(a->decoder, a->n_frames, a->warning, sizeof a->warning) && a->opposed_s >= 0)
            snprintf(a->warning, sizeof a->warning,
                     "its %d channels cancel each other from %.3f s on: the first alone is used",
                     info->n_channels, a->opposed_s);
    }
    return SER_OK;
}

/* At the end: neither more nor fewer samples than the recording's length says. */
static void trim_end(ser_audio *a, size_t n_capacity)
{
    uint64_t n_left = n_resampled(a->n_frames, ser_decoder_info(a->decoder)->sample_rate_hz) - a->n_delivered;
    if (a->n_out > n_left)
        a->n_out = (size_t)n_left;
    while (a->n_out < n_left && a->n_out < n_capacity)
        a->out[a->n_out++] = 0;
    a->ended = a->n_out == n_left;
}

/* Fills out from mono; calls for more mono first when there is none. */
static ser_status fill(ser_audio *a, ser_error *err)
{
    a->n_delivered += a->n_out;
    a->n_out = a->out_at = 0;
    if (a->mono_at == a->n_mono && !a->decoded_all) {
        ser_status status = decode_block(a, err);
        if (status != SER_OK)
            return status;
    }
    size_t n_in = a->n_mono - a->mono_at, n_used = n_in;
    bool at_end = !n_in && a->decoded_all;
    if (!a->resampler) {
        memcpy(a->out, a->mono + a->mono_at, n_in * sizeof *a->out);
        a->n_out = n_in;
        a->ended = at_end;
    } else {
        soxr_error_t failed = soxr_process(a->resampler, at_end ? NULL : a->mono + a->mono_at, n_in, &n_used,
                                           a->out, N_BLOCK, &a->n_out);
        if (failed)
            return ser_fail_nomem(err); /* nothing else can fail in it */
        if (count_finite(a->out, a->n_out) < a->n_out)
            return ser_fail(err, SER_E_FORMAT, "its samples are too large for a sound: repair the recording");
        if (at_end && a->n_out < N_BLOCK)
            trim_end(a, N_BLOCK);
    }
    a->mono_at += n_used;
    return SER_OK;
}

static ser_status start(ser_audio *a, ser_error *err)
{
    a->opposed_s = -1;
    ser_status status = ser_decoder_open(&a->decoder, &a->source, err);
    if (status != SER_OK)
        return status;
    const ser_audio_info *info = ser_decoder_info(a->decoder);
    if (info->sample_rate_hz < MIN_RATE_HZ)
        return ser_fail(err, SER_E_UNSUPPORTED,
                        "it states %d samples per second, too few for a voice: check the file",
                        info->sample_rate_hz);
    a->n_block = MAX_BLOCK_VALUES / (size_t)info->n_channels;
    if (a->n_block > N_BLOCK)
        a->n_block = N_BLOCK;
    a->frames = ser_alloc(a->n_block * (size_t)info->n_channels, sizeof *a->frames);
    a->mono = ser_alloc(a->n_block, sizeof *a->mono);
    a->out = ser_alloc(N_BLOCK, sizeof *a->out);
    if (!a->frames || !a->mono || !a->out)
        return ser_fail_nomem(err);
    if (info->sample_rate_hz != SER_SAMPLE_RATE_HZ) {
        const soxr_quality_spec_t quality = soxr_quality_spec(SOXR_HQ, 0);
        a->resampler = soxr_create(info->sample_rate_hz, SER_SAMPLE_RATE_HZ, 1, NULL, NULL, &quality, NULL);
        if (!a->resampler)
            return ser_fail_nomem(err);
    }
    /* The first block now: whether there is any sound shows only when it is decoded. */
    status = decode_block(a, err);
    if (status == SER_OK && !a->n_frames)
        status = ser_fail(err, SER_E_FORMAT, "it has no samples: record it again or leave it out");
    return status;
}

static ser_status open_source(ser_audio **out, const char *path, const void *bytes, size_t n, ser_error *err)
{
    *out = NULL;
    ser_audio *a = ser_alloc(1, sizeof *a);
    if (!a)
        return ser_fail_nomem(err);
    a->source.fd = -1;
    ser_status status = SER_OK;
    if (path)
        status = ser_source_open(&a->source, path, err);
    else
        ser_source_open_memory(&a->source, bytes, n);
    if (status == SER_OK)
        status = start(a, err);
    if (status == SER_OK)
        *out = a;
    else
        ser_audio_close(&a);
    return status;
}

ser_status ser_audio_open(ser_audio **out, const char *path, ser_error *err)
{
    return open_source(out, path, NULL, 0, err);
}

ser_status ser_audio_open_memory(ser_audio **out, const void *bytes, size_t n, ser_error *err)
{
    return open_source(out, NULL, bytes, n, err);
}

/* All but the source and what was learned from it. */
static void stop(ser_audio *a)
{
    ser_decoder_close(&a->decoder);
    if (a->resampler)
        soxr_delete(a->resampler);
    ser_free(a->frames);
    ser_free(a->mono);
    ser_free(a->out);
    *a = (ser_audio){.source = a->source, .opposed_s = -1};
}

void ser_audio_close(ser_audio **a)
{
    if (!*a)
        return;
    stop(*a);
    ser_source_close(&(*a)->source);
    ser_free(*a);
    *a = NULL;
}

ser_status ser_audio_rewind(ser_audio *a, ser_error *err)
{
    stop(a);
    ser_source_reset(&a->source);
    return start(a, err);
}

void ser_audio_get_info(const ser_audio *a, ser_audio_info *info)
{
    *info = *ser_decoder_info(a->decoder);
}

ser_status ser_audio_read(ser_audio *a, float *pcm, size_t n_max, size_t *n_read, ser_error *err)
{
    *n_read = 0;
    while (*n_read < n_max) {
        if (a->out_at == a->n_out) {
            if (a->ended)
                break;
            ser_status status = fill(a, err);
            if (status != SER_OK)
                return status;
        }
        size_t n = a->n_out - a->out_at;
        if (n > n_max - *n_read)
            n = n_max - *n_read;
        memcpy(pcm + *n_read, a->out + a->out_at, n * sizeof *pcm);
        a->out_at += n;
        *n_read += n;
    }
    return SER_OK;
}

const char *ser_audio_warning(const ser_audio *a)
{
    return a->warning;
}

enum { N_STEP = 1 << 16 };

/* As far as there are any. */
static ser_status skip(ser_audio *a, uint64_t n_samples, ser_error *err)
{
    size_t n_read = 1;
    ser_status status = SER_OK;
    float *nowhere = ser_alloc(N_STEP, sizeof *nowhere);
    if (!nowhere)
        return ser_fail_nomem(err);
    for (; n_samples && n_read && status == SER_OK; n_samples -= n_read)
        status = ser_audio_read(a, nowhere, n_samples < N_STEP ? (size_t)n_samples : N_STEP, &n_read, err);
    ser_free(nowhere);
    return status;
}

ser_status ser_audio_load_between(float **pcm, size_t *n_samples, ser_audio *a, uint64_t first, uint64_t end,
                                  ser_error *err)
{
    size_t capacity = 0, n_read = 1, n = 0;
    float *samples = NULL;
    ser_status status = first ? skip(a, first, err) : SER_OK;
    *pcm = NULL;
    *n_samples = 0;
    while (status == SER_OK && n_read && first + n < end) {
        size_t n_step = end - first - n < N_STEP ? (size_t)(end - first - n) : N_STEP;
        if (n >= SER_MAX_LOADED)
            status =
                ser_fail(err, SER_E_UNSUPPORTED,
                         "it is longer than %.1f hours, too much to be kept at once: cut it into recordings",
                         (double)SER_MAX_LOADED / SER_SAMPLE_RATE_HZ / 3600);
        else if (!ser_grow(&samples, &capacity, n + n_step, sizeof *samples))
            status = ser_fail_nomem(err);
        else
            status = ser_audio_read(a, samples + n, n_step, &n_read, err);
        n += status == SER_OK ? n_read : 0;
    }
    if (status == SER_OK) {
        *pcm = samples;
        *n_samples = n;
    } else {
        ser_free(samples);
    }
    return status;
}

double ser_audio_clipped(const ser_audio *a)
{
    return fmax(ser_clipping_share(&a->clipping[0]), ser_clipping_share(&a->clipping[1]));
}

static ser_status load_all(float **pcm, size_t *n_samples, ser_audio *a, ser_error *err)
{
    ser_status status = ser_audio_load_between(pcm, n_samples, a, 0, UINT64_MAX, err);
    if (status == SER_OK && *n_samples < SER_MIN_SAMPLES)
        return ser_fail(err, SER_E_FORMAT, "it is %.4f s long: a recording needs at least %.3f s",
                        (double)*n_samples / SER_SAMPLE_RATE_HZ,
                        (double)SER_MIN_SAMPLES / SER_SAMPLE_RATE_HZ);
    return status;
}

/* opened: how a was opened. Closes it. */
static ser_status load(float **pcm, size_t *n_samples, ser_audio *a, ser_status opened, char warning[256],
                       ser_error *err)
{
    *pcm = NULL;
    *n_samples = 0;
    ser_status status = opened == SER_OK ? load_all(pcm, n_samples, a, err) : opened;
    if (warning)
        snprintf(warning, 256, "%s", status == SER_OK ? ser_audio_warning(a) : "");
    if (status != SER_OK) {
        ser_free(*pcm);
        *pcm = NULL;
        *n_samples = 0;
    }
    ser_audio_close(&a);
    return status;
}

ser_status ser_audio_load(float **pcm, size_t *n_samples, const char *path, char warning[256], ser_error *err)
{
    ser_audio *a = NULL;
    ser_status opened = ser_audio_open(&a, path, err);
    return load(pcm, n_samples, a, opened, warning, err);
}

ser_status ser_audio_load_memory(float **pcm, size_t *n_samples, const void *bytes, size_t n,
                                 char warning[256], ser_error *err)
{
    ser_audio *a = NULL;
    ser_status opened = ser_audio_open_memory(&a, bytes, n, err);
    return load(pcm, n_samples, a, opened, warning, err);
}

ser_audio_state ser_audio_look(const char *path, const char **kind)
{
    ser_source source;
    *kind = "";
    if (ser_source_open(&source, path, NULL) != SER_OK) {
        struct stat st;
        return stat(path, &st) == 0 && S_ISREG(st.st_mode) ? SER_AUDIO_READABLE : SER_AUDIO_NONE;
    }
    ser_audio_kind found = ser_audio_kind_of(&source);
    ser_source_close(&source);
    if (found.reader == SER_READER_STRANGER)
        return SER_AUDIO_NONE;
    *kind = found.name;
    if (found.reader == SER_READER_FFMPEG)
        return ser_ffmpeg_is_there() ? SER_AUDIO_READABLE : SER_AUDIO_NEEDS_FFMPEG;
    if (found.reader == SER_READER_POINTER)
        return SER_AUDIO_NOT_FETCHED;
    return found.reader == SER_READER_NONE ? SER_AUDIO_NONE : SER_AUDIO_READABLE;
}

bool ser_audio_is_named_so(const char *path)
{
    static const char *const extensions[] = {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3",
                                             ".aif", ".aiff", ".au",  ".caf", ".w64",  ".m4a",
                                             ".aac", ".amr",  ".wma", ".mka"};
    const char *dot = strrchr(path, '.');
    for (size_t i = 0; dot && i < sizeof extensions / sizeof *extensions; i++)
        if (strcasecmp(dot, extensions[i]) == 0)
            return true;
    return false;
}

ser_status ser_audio_resample(float **out, size_t *n_out, const float *pcm, size_t n, double in_rate,
                              double out_rate, ser_error *err)
{
    *out = NULL;
    *n_out = 0;
    double ratio = out_rate / in_rate, length = round((double)n * ratio);
    if (!(ratio >= 1.0 / 64 && ratio <= 64) || length > (double)(SIZE_MAX / 8))
        return ser_fail(err, SER_E_ARG, "a rate of %g Hz cannot be converted to %g Hz: at most 64 times",
                        in_rate, out_rate);
    size_t n_done = 0;
    float *y = ser_alloc((size_t)length, sizeof *y); /* zeroed, should soxr give one sample less */
    if (!y)
        return ser_fail_nomem(err);
    const soxr_quality_spec_t quality = soxr_quality_spec(SOXR_HQ, 0);
    soxr_error_t failed = n && length > 0 ? soxr_oneshot(in_rate, out_rate, 1, pcm, n, NULL, y,
                                                         (size_t)length, &n_done, NULL, &quality, NULL)
                                          : NULL;
    if (failed) {
        ser_free(y);
        return ser_fail_nomem(err); /* nothing else can fail in it */
    }
    *out = y;
    *n_out = (size_t)length;
    return SER_OK;
}
