/* The bytes of a recording, wherever they lie: a file, memory, or a pipe spooled to a file. Any length in the
 * same memory. */
#ifndef SER_AUDIO_SOURCE_H
#define SER_AUDIO_SOURCE_H

#include "base/status.h"
#include <stdbool.h>
#include <stdint.h>

typedef struct ser_source {
    int fd;                     /* -1: bytes in memory */
    const unsigned char *bytes; /* not owned */
    uint64_t start;             /* where in the file it begins: not 0 after a tag that players put in front */
    uint64_t n;                 /* bytes from start */
    uint64_t position;          /* of the decoder */
    int failure;                /* errno of a read that failed */
    unsigned char patch[8];     /* what the decoder sees instead of the n_patch bytes from patch_at */
    uint64_t patch_at;
    size_t n_patch;
} ser_source;

/* path "-": standard input; pipes are copied to an unlinked temporary file. */
ser_status ser_source_open(ser_source *out, const char *path, ser_error *err);
void ser_source_open_memory(ser_source *out, const void *bytes, size_t n);
void ser_source_close(ser_source *s); /* also on a zeroed struct */

/* Up to n bytes from offset; fewer at the end or when reading fails. */
size_t ser_source_read_at(ser_source *s, uint64_t offset, void *out, size_t n);

/* Bytes of sound: by a container's header, and in the file. 0, 0: the header does not say, or is right. */
typedef struct ser_promise {
    uint64_t n_stated, n_held;
} ser_promise;

/* Finds the sound's size in the headers of WAV, RF64, AIFF, AU and CAF. Streams state 0 or a placeholder
 * there and truncated files more than they hold; where libsndfile would refuse or ignore the sound because of
 * it, the decoder is shown the true size instead. */
ser_promise ser_source_mend_header(ser_source *s);

/* It begins like a kind of audio file, so that it is audio, be it damaged. */
bool ser_source_is_container(ser_source *s);
/* It begins with MPEG audio frames, or does after at most some thousand bytes, which are then skipped: parts
 * of streams begin within a frame. */
bool ser_source_find_mpeg(ser_source *s);

#endif
