/* What libsndfile and mpg123 do not read, decoded by the program `ffmpeg` where it is installed: a child
 * without a shell, fed by a file descriptor, so that no name is an option or an address; files and pipes are
 * the only protocols it may use, and containers that name other files (playlists) are none it may read. Sound
 * comes through a pipe in pieces, so that memory stays the same for any length. */
#ifndef SER_AUDIO_FFMPEG_H
#define SER_AUDIO_FFMPEG_H

#include "audio/source.h"

typedef struct ser_ffmpeg ser_ffmpeg;

/* Whether the program is in one of the absolute folders of PATH. */
bool ser_ffmpeg_is_there(void);

/* SER_E_UNSUPPORTED: it is not installed; SER_E_FORMAT: it cannot read this, with its reason in plain words;
 * SER_E_IO: it cannot be run. It is killed when the thread that opened it ends. */
ser_status ser_ffmpeg_open(ser_ffmpeg **out, ser_source *s, ser_error *err);
void ser_ffmpeg_close(ser_ffmpeg **f);
void ser_ffmpeg_format(const ser_ffmpeg *f, int *rate_hz, int *n_channels);

/* Up to n frames, interleaved; fewer only at the end, or where nothing more comes. */
size_t ser_ffmpeg_read(ser_ffmpeg *f, float *frames, size_t n);

typedef enum ser_ffmpeg_end {
    SER_FFMPEG_DONE,    /* also while it works */
    SER_FFMPEG_REMARKS, /* it reached the end and complained on the way */
    SER_FFMPEG_FAILED,  /* it gave up */
    SER_FFMPEG_STOPPED  /* out of time or killed: what was read says nothing about the recording */
} ser_ffmpeg_end;

/* After the end. *complaint: what it had to say, in plain words; "": nothing. */
ser_ffmpeg_end ser_ffmpeg_outcome(const ser_ffmpeg *f, const char **complaint);

#endif
