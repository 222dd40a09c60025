/* Uploads in which there is nothing to decode: 16 kHz, mono, 16 bit, and nothing before the samples but the
 * 44 bytes of the plainest head, nothing behind them. They need no process of their own, whose beginning and
 * end take longer than reading them. Everything else is for decoders.h. */
#ifndef SER_SERVE_PLAIN_WAV_H
#define SER_SERVE_PLAIN_WAV_H

#include "serve/decoders.h"

/* How many samples; 0: it is something else, or hardly any. */
size_t ser_plain_wav_samples(const void *bytes, size_t n);
/* What a decoder makes of it, to the bit. bytes: of which ser_plain_wav_samples is not 0. */
ser_status ser_plain_wav_read(ser_decoded *out, const void *bytes, size_t n, ser_error *err);

#endif
