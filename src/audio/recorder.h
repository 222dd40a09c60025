/* Sound that comes bit by bit, into a file. */
#ifndef SER_AUDIO_RECORDER_H
#define SER_AUDIO_RECORDER_H

#include "base/status.h"
#include <stdbool.h>
#include <stddef.h>

typedef struct ser_recorder ser_recorder;

/* Into the file that is open as fd, which stays the caller's; name decides how: .flac, else WAV, both of 16
 * bits. SER_E_UNSUPPORTED: a rate or number of channels that such a file cannot have. */
ser_status ser_recorder_new(ser_recorder **out, int fd, const char *name, int rate_hz, int n_channels,
                            ser_error *err);
ser_status ser_recorder_add(ser_recorder *r, const float *frames, size_t n_frames, ser_error *err);
/* Completes the file, as far as it was written. */
void ser_recorder_free(ser_recorder **r);

#endif
