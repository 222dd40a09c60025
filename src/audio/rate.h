/* Sound of any rate and channel count that comes bit by bit, to 16 kHz mono, as audio.h does with files. */
#ifndef SER_AUDIO_RATE_H
#define SER_AUDIO_RATE_H

#include "base/status.h"
#include <stddef.h>

typedef struct ser_rate ser_rate;

/* Receives samples at 16 kHz. What comes does not depend on the portions in which frames are pushed. */
typedef ser_status (*ser_pcm_fn)(void *context, const float *pcm, size_t n, ser_error *err);

/* SER_E_ARG: a rate or number of channels that no microphone has. */
ser_status ser_rate_new(ser_rate **out, int rate_hz, int n_channels, ser_pcm_fn receive, void *context,
                        ser_error *err);
void ser_rate_free(ser_rate **r);
/* frames (n, n_channels), interleaved. SER_E_FORMAT: a sample is not finite. */
ser_status ser_rate_push(ser_rate *r, const float *frames, size_t n, ser_error *err);
/* What is left. */
ser_status ser_rate_finish(ser_rate *r, ser_error *err);

#endif
