/* Recordings that tests make with libsndfile's encoders. */
#ifndef SER_TESTS_AUDIO_SOUNDS_H
#define SER_TESTS_AUDIO_SOUNDS_H

#include "audio/audio.h"
#include "base/memory.h"
#include "scratch.h"
#include "test.h"

#include <sndfile.h>

enum { N_SOUND = 3 * SER_SAMPLE_RATE_HZ };

/* Something between 200 and 3,000 Hz whose level changes: what it is at t seconds, whatever the rate. */
static inline float sound_at(double t)
{
    double level = 0.15 + 0.1 * sin(7 * t);
    return (float)(level * (sin(1300 * t) + 0.7 * sin(5000 * t + 40 * sin(3 * t)) + 0.3 * sin(18000 * t)));
}

/* frames (n, n_channels): the sound in channel 0, half as loud in all others. */
static inline float *make_frames(size_t n, int n_channels, int rate_hz)
{
    float *frames = ser_alloc(n * (size_t)n_channels, sizeof *frames);
    for (size_t i = 0; i < n; i++)
        for (int c = 0; c < n_channels; c++)
            frames[i * (size_t)n_channels + (size_t)c] = sound_at((double)i / rate_hz) * (c ? 0.5f : 1);
    return frames;
}

/* false: this libsndfile cannot write the format. */
static inline bool write_sound(const char *name, int format, int n_channels, int rate_hz, const float *frames,
                               size_t n)
{
    SF_INFO info = {.samplerate = rate_hz, .channels = n_channels, .format = format};
    if (!sf_format_check(&info)) {
        fprintf(stderr, "not written by this libsndfile: format %x\n", (unsigned)format);
        return false;
    }
    SNDFILE *f = sf_open(scratch(name), SFM_WRITE, &info);
    int variable = SF_BITRATE_MODE_VARIABLE;
    if (f && format == (SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III))
        sf_command(f, SFC_SET_BITRATE_MODE, &variable, sizeof variable);
    bool good = f && sf_writef_float(f, frames, (sf_count_t)n) == (sf_count_t)n;
    good = f && sf_close(f) == 0 && good;
    CHECK(good);
    return good;
}

static inline bool make_sound(const char *name, int format, int n_channels, int rate_hz, double seconds)
{
    size_t n = (size_t)(seconds * rate_hz);
    float *frames = make_frames(n, n_channels, rate_hz);
    bool good = write_sound(name, format, n_channels, rate_hz, frames, n);
    ser_free(frames);
    return good;
}

static inline unsigned char *get_file(const char *name, size_t *n)
{
    FILE *f = fopen(scratch(name), "rb");
    unsigned char *bytes = ser_alloc(1 << 20, 1);
    *n = f ? fread(bytes, 1, 1 << 20, f) : 0;
    if (f)
        fclose(f);
    CHECK(*n > 0);
    return bytes;
}

static inline void set_u32(unsigned char *p, uint32_t x, bool little)
{
    for (int i = 0; i < 4; i++)
        p[little ? i : 3 - i] = (unsigned char)(x >> 8 * i);
}

static inline bool is_audio(const char *path)
{
    const char *kind;
    return ser_audio_look(path, &kind) == SER_AUDIO_READABLE;
}

#endif
