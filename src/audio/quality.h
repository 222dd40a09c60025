/* How a recording sounds, heard once from beginning to end: see ser_acoustics of ser/ser.h, which this fills,
 * and docs/sound.md. Memory does not grow with its length.
 *
 *     ser_quality_start(q);
 *     while (more) {
 *         ser_quality_add(q, pcm, n);        at 16 kHz, up to SER_QUALITY_MOST samples
 *         ser_quality_voice(q, probability); for each window of it that is whole
 *     }
 *     ser_quality_finish(q);                 fills the last window up
 *     ser_quality_voice(q, probability);     of that, too
 *     ser_quality_tell(q, &sound); */
#ifndef SER_AUDIO_QUALITY_H
#define SER_AUDIO_QUALITY_H

#include "base/status.h"

enum {
    SER_QUALITY_WINDOW = 512,
    SER_QUALITY_PENDING = 32, /* windows of which is not known yet whether they hold a voice */
    SER_QUALITY_MOST = (SER_QUALITY_PENDING - 1) * SER_QUALITY_WINDOW
};

typedef struct ser_quality ser_quality;

ser_status ser_quality_new(ser_quality **out, ser_error *err);
void ser_quality_free(ser_quality **q);
/* Forgets all it has heard. */
void ser_quality_start(ser_quality *q);

void ser_quality_add(ser_quality *q, const float *pcm, size_t n);
void ser_quality_finish(ser_quality *q);
/* How likely somebody speaks in the oldest window of which that was not said yet. */
void ser_quality_voice(ser_quality *q, float probability);

void ser_quality_tell(const ser_quality *q, ser_acoustics *out);

#endif
