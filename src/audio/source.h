/* The bytes of a recording, wherever they lie: a file, memory, or a pipe spooled to a file. Any length in the
 * same memory. */
#ifndef SER_AUDIO_SOURCE_H
#define SER_AUDIO_SOURCE_H

#include "base/status.h"
#include <stdbool.h>
#include <stdint.h>

enum { SER_SOURCE_HEAD = 1280 };

typedef struct ser_source {
    int fd;                     /* -1: bytes in memory */
    const unsigned char *bytes; /* not owned */
    uint64_t origin;   /* where in the file the recording begins, tags that players put in front included */
    uint64_t start;    /* where its sound does */
    uint64_t end;      /* of the bytes */
    uint64_t n;        /* bytes from start, or of the view */
    uint64_t position; /* of the decoder */
    int failure;       /* errno of a read that failed */
    unsigned char patch[8]; /* what the decoder sees instead of the n_patch bytes from patch_at */
    uint64_t patch_at;
    size_t n_patch;
    /* A view: n_head bytes of head instead of what lies before body_at; 0: there is none. */
    unsigned char head[SER_SOURCE_HEAD];
    size_t n_head;
    uint64_t body_at;
} ser_source;

/* path "-": standard input; pipes are copied to an unlinked temporary file. */
ser_status ser_source_open(ser_source *out, const char *path, ser_error *err);
void ser_source_open_memory(ser_source *out, const void *bytes, size_t n);
void ser_source_close(ser_source *s); /* also on a zeroed struct */

/* As it is, without any mending, and back to its beginning. */
void ser_source_reset(ser_source *s);
/* The first n <= s->n bytes are no part of the sound. */
void ser_source_skip(ser_source *s, uint64_t n);

/* Up to n bytes from offset; fewer at the end or when reading fails. */
size_t ser_source_read_at(ser_source *s, uint64_t offset, void *out, size_t n);

/* A descriptor of the whole recording, tags included, for a program that opens it by /dev/fd: the caller
 * closes it. What lies in memory is copied. */
ser_status ser_source_descriptor(const ser_source *s, int *fd, ser_error *err);

/* Bytes of sound: by a container's header, and in the file. 0, 0: the header does not say, or is right. */
typedef struct ser_promise {
    uint64_t n_stated, n_held;
} ser_promise;

/* Finds the sound's size in the headers of AIFF, AU and CAF. Streams state 0 or a placeholder there and
 * truncated files more than they hold; where libsndfile would refuse or ignore the sound because of it, the
 * decoder is shown the true size instead. */
ser_promise ser_source_mend_header(ser_source *s);

/* Writers to a pipe leave 0xFFFFFFFF (ffmpeg), 0x7FFFF000 (sox) or something near in 32-bit sizes. */
bool ser_size_is_placeholder(uint64_t size);

/* What a WAV's chunks say. */
typedef struct ser_wav {
    ser_promise promise;
    bool is_view;     /* the decoder is shown the format and the sound alone */
    bool is_damaged;  /* it has no format or no sound: not for the decoder, which may walk its chunks for ever
                       */
    bool second_data; /* a second chunk of sound is left out */
    bool more_behind; /* as many bytes again, or more, that are no chunks are left out */
} ser_wav;

/* Of WAV, RIFX and RF64: as ser_source_mend_header, and whatever chunks lie around the sound are hidden from
 * the decoder, because damaged ones make libsndfile refuse the whole. Sound over 4 GB is read whole. */
ser_wav ser_source_view_wav(ser_source *s);

/* What an Ogg file's pages say. */
typedef struct ser_ogg {
    bool is_ogg;
    bool chained; /* a stream begins after another is under way: several recordings in a row */
    bool ended;   /* the last recording has the mark of its end, and no page is cut off */
} ser_ogg;

ser_ogg ser_source_walk_ogg(ser_source *s);

/* It begins with MPEG audio frames, or does after zeros and at most some thousand bytes, which are then
 * skipped: tags are padded, parts of streams begin within a frame. */
bool ser_source_find_mpeg(ser_source *s);

#endif
