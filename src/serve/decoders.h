/* Uploads are decoded in other processes, so that a hostile file can neither hang nor take down the service:
 * each has its own limits of memory, time and length. A process that failed decodes nothing more, nor does
 * one that has decoded many: that bounds accidents. It is no wall against an upload that runs code of its own
 * in a decoder, which could ignore all of this and see the uploads that come to it later. */
#ifndef SER_SERVE_DECODERS_H
#define SER_SERVE_DECODERS_H

#include "base/status.h"
#include <stdbool.h>
#include <stdint.h>

typedef struct ser_decoders ser_decoders;

typedef struct ser_decode_limits {
    double audio_s;        /* SER_E_ARG past it */
    uint64_t memory_bytes; /* beyond what the process has at its start */
} ser_decode_limits;

/* 16 kHz mono. */
typedef struct ser_decoded {
    float *pcm; /* in memory that the decoder has, too */
    size_t n_samples;
    double clipped; /* see ser_audio_clipped */
    char warning[256];
    bool is_late; /* after a failure: it took longer than it may */
} ser_decoded;

/* Starts n decoders, one for each thread that asks, and the process that they are forked from. To be called
 * while this process has one thread and little memory. */
ser_status ser_decoders_new(ser_decoders **out, int n, const ser_decode_limits *limits, ser_error *err);
void ser_decoders_free(ser_decoders **d);

/* From any thread. Errors are the decoder's own; SER_E_FORMAT also where it crashed, wanted too much memory,
 * or took more than wall_s seconds. */
ser_status ser_decoders_decode(ser_decoders *d, ser_decoded *out, const void *bytes, size_t n,
                               unsigned wall_s, ser_error *err);
/* All that are at work end at once, and those that ask now or later fail. From the thread that made them. */
void ser_decoders_stop(ser_decoders *d);
void ser_decoded_release(ser_decoded *d);

#endif
