/* Any recording in, 16 kHz mono float out, in pieces, so that memory stays the same for any length.
 * Decoding by libsndfile, of MP3 by libmpg123, of what these do not read by the program ffmpeg where it is
 * installed; resampling by soxr (high quality). */
#ifndef SER_AUDIO_AUDIO_H
#define SER_AUDIO_AUDIO_H

#include "base/status.h"
#include <stdbool.h>
#include <stdint.h>

enum {
    SER_MIN_SAMPLES = SER_SAMPLE_RATE_HZ / 40, /* 25 ms: less is no recording */
    SER_MAX_LOADED = 1 << 28                   /* 4.7 hours, 1 GB: more is not kept as a whole */
};

typedef struct ser_audio ser_audio;

typedef struct ser_audio_info {
    int sample_rate_hz, n_channels; /* of the file */
    uint64_t n_frames_stated;       /* by the header; 0: unknown */
    char format[80];                /* "WAV, Signed 16 bit PCM" */
} ser_audio_info;

/* path "-": standard input (spooled to an unlinked temporary file when it cannot seek).
 * SER_E_IO: missing or unreadable; SER_E_FORMAT: not audio, empty, no samples. */
ser_status ser_audio_open(ser_audio **out, const char *path, ser_error *err);
/* The bytes are not copied and must outlive *out. */
ser_status ser_audio_open_memory(ser_audio **out, const void *bytes, size_t n, ser_error *err);
void ser_audio_close(ser_audio **a);
void ser_audio_get_info(const ser_audio *a, ser_audio_info *info);

/* The next up to n_max samples at 16 kHz; *n_read < n_max only at the end. What a sample is does not depend
 * on n_max. SER_E_FORMAT: a sample is not finite (the text says where). */
ser_status ser_audio_read(ser_audio *a, float *pcm, size_t n_max, size_t *n_read, ser_error *err);

/* Back to the first sample, also on standard input. After a failure the recording can only be closed. */
ser_status ser_audio_rewind(ser_audio *a, ser_error *err);

/* After the end: empty, or what to tell the user ("the header promises 10.0 s, the file holds 4.2 s: ...").
 */
const char *ser_audio_warning(const ser_audio *a);

/* Of what was read since the beginning, see ser_clipping_share: of the channel that has most. */
double ser_audio_clipped(const ser_audio *a);

/* A whole recording; *pcm is owned by the caller (ser_free). SER_E_FORMAT also for less than SER_MIN_SAMPLES.
 * warning may be NULL; else it receives ser_audio_warning's text. */
ser_status ser_audio_load(float **pcm, size_t *n_samples, const char *path, char warning[256],
                          ser_error *err);

/* The same of a file's bytes. */
ser_status ser_audio_load_memory(float **pcm, size_t *n_samples, const void *bytes, size_t n,
                                 char warning[256], ser_error *err);

/* Of a recording just opened: its samples from first up to but without end (UINT64_MAX: all). Fewer, or none,
 * where it ends before. *pcm is owned by the caller (ser_free). SER_E_UNSUPPORTED: more than SER_MAX_LOADED.
 */
ser_status ser_audio_load_between(float **pcm, size_t *n_samples, ser_audio *a, uint64_t first, uint64_t end,
                                  ser_error *err);

typedef enum ser_audio_state {
    SER_AUDIO_NONE,
    SER_AUDIO_READABLE, /* also what begins like a recording but is damaged, and a file that may not be read,
                         * so that opening it tells the user why */
    SER_AUDIO_NEEDS_FFMPEG, /* a recording; the program that reads its kind is not installed */
    SER_AUDIO_NOT_FETCHED   /* a pointer of Git LFS or git-annex */
} ser_audio_state;

/* By content, not by name. *kind: "M4A" and the like; "" where it is not known. */
ser_audio_state ser_audio_look(const char *path, const char **kind);
/* By name alone: whether the extension is one of sound. */
bool ser_audio_is_named_so(const char *path);

/* ratio: output rate / input rate, 1/64 ... 64. */
ser_status ser_audio_resample(float **out, size_t *n_out, const float *pcm, size_t n, double in_rate,
                              double out_rate, ser_error *err);

#endif
