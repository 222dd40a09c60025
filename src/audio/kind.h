/* What a recording is, by its first bytes and never by its name, and what reads it. */
#ifndef SER_AUDIO_KIND_H
#define SER_AUDIO_KIND_H

#include "audio/source.h"

typedef enum ser_audio_reader {
    SER_READER_NONE, /* it is no recording */
    SER_READER_SNDFILE,
    SER_READER_MPEG,
    SER_READER_FFMPEG,  /* the program, where it is installed */
    SER_READER_POINTER, /* of Git LFS or git-annex, where the recording should stand */
    SER_READER_STRANGER /* no recording, but something that people take for one */
} ser_audio_reader;

typedef struct ser_audio_kind {
    ser_audio_reader reader;
    const char *name; /* "M4A"; of SER_READER_NONE: ""; of the last two: what it is and what to do */
} ser_audio_kind;

/* A damaged file is of the kind that it begins like. MPEG audio may begin after some thousand bytes, which
 * are then skipped: parts of streams begin within a frame. */
ser_audio_kind ser_audio_kind_of(ser_source *s);

#endif
