/* One recording heard once: what the extractor and the level meter need from it, block by block. */
#ifndef SER_MODEL_HEARING_H
#define SER_MODEL_HEARING_H

#include "audio/audio.h"
#include "extract/extract.h"

/* A source that passes samples on from another one and keeps what prediction needs to know about them. */
typedef struct ser_hearing {
    ser_pcm_source from;
    size_t n_samples;
    double loudest_ms; /* mean square of the loudest 25 ms */
    double sum_ms;     /* of the 25 ms under way */
    size_t n_in_frame;
    bool counting;                      /* false when the recording is heard a second time */
    const ser_predict_options *options; /* may be NULL */
} ser_hearing;

/* SER_E_FORMAT for a sample that is not finite. h must live as long as the source. */
ser_pcm_source ser_hearing_source(ser_hearing *h, ser_pcm_source from);

/* Nothing above -75 dB of full scale in any 25 ms: six steps of 16-bit sound. */
bool ser_hearing_is_silence(const ser_hearing *h);

ser_pcm_source ser_pcm_from_audio(ser_audio *audio);

#endif
