/* What is to be known of a recording besides its emotion: how long it is, how loud, whether its samples are
 * numbers. Told of the samples block by block. */
#ifndef SER_MODEL_HEARING_H
#define SER_MODEL_HEARING_H

#include "audio/audio.h"
#include "audio/outline.h"
#include "extract/extract.h"

/* A zeroed struct has heard nothing. */
typedef struct ser_hearing {
    size_t n_samples;
    double loudest_ms; /* mean square of the loudest 25 ms */
    double sum_ms;     /* of the 25 ms under way */
    size_t n_in_frame;
    ser_outline outline;
} ser_hearing;

/* SER_E_FORMAT: a sample is not finite. */
ser_status ser_hearing_add(ser_hearing *h, const float *pcm, size_t n, ser_error *err);

/* Nothing above -75 dB of full scale in any 25 ms: six steps of 16-bit sound. */
bool ser_hearing_is_silence(const ser_hearing *h);

ser_pcm_source ser_pcm_from_audio(ser_audio *audio);

#endif
