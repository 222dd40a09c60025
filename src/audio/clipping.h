/* Whether peaks were cut off: samples that stay at the ceiling, where a peak would have gone on. Told of the
 * samples as a file has them, since resampling and lossy codecs round such tops off. */
#ifndef SER_AUDIO_CLIPPING_H
#define SER_AUDIO_CLIPPING_H

#include <stddef.h>
#include <stdint.h>

/* Of the peaks above 0, or those below. */
typedef struct ser_ceiling {
    float peak;    /* the largest sample */
    float level;   /* where flat tops are; 0: none so far */
    uint64_t n_in; /* samples in them */
} ser_ceiling;

/* One channel. A zeroed struct has heard nothing. */
typedef struct ser_clipping {
    uint64_t n;
    ser_ceiling sides[2];
    float last, before; /* the last sample, and the one before its flat run */
    size_t n_run;       /* samples that equal the last one, itself included */
} ser_clipping;

/* n samples, each stride after the one before. */
void ser_clipping_add(ser_clipping *c, const float *pcm, size_t n, size_t stride);

/* The share of samples in flat tops: three or more equal samples at the largest level, -20 dB of full scale
 * at least, that the wave does not come to and leave as gently as a rounded peak does. */
double ser_clipping_share(const ser_clipping *c);

#endif
