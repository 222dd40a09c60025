/* From the bytes of a recording to its samples, at its own rate and with its own channels. */
#ifndef SER_AUDIO_DECODER_H
#define SER_AUDIO_DECODER_H

#include "audio/audio.h"
#include "audio/kind.h"
#include "audio/source.h"

typedef struct ser_decoder ser_decoder;

/* The source must outlive *out. SER_E_FORMAT: not audio that can be read. */
ser_status ser_decoder_open(ser_decoder **out, ser_source *source, ser_error *err);
void ser_decoder_close(ser_decoder **d);
const ser_audio_info *ser_decoder_info(const ser_decoder *d);

/* Up to n frames, interleaved; fewer only at the end, or where nothing more can be decoded. */
size_t ser_decoder_read(ser_decoder *d, float *frames, size_t n);

/* After the end: NULL, or why what was read is not what the recording holds (a decoder out of time or
 * memory). */
const char *ser_decoder_failure(const ser_decoder *d);

/* After the end, with the number of frames read: NULL, or what is odd about it. buffer is for the text. */
const char *ser_decoder_fault(const ser_decoder *d, uint64_t n_frames, char *buffer, size_t n_buffer);

#endif
