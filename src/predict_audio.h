/* What the program needs of the public functions and the library does not promise: a recording that is open.
 */
#ifndef SER_PREDICT_AUDIO_H
#define SER_PREDICT_AUDIO_H

#include "audio/audio.h"
#include "ser/ser.h"

/* As ser_predict_file; audio is at its beginning, and stays the caller's. */
ser_status ser_predict_audio(ser_session *s, ser_audio *audio, const ser_predict_options *options,
                             ser_result *r, ser_error *err);

#endif
