/* What a recording sounds like, in some 6 kB per second: to find copies of it. */
#ifndef SER_CORPUS_FINGERPRINT_H
#define SER_CORPUS_FINGERPRINT_H

#include "base/status.h"
#include <stddef.h>

typedef struct ser_fingerprint ser_fingerprint;

/* From this similarity on, two recordings are copies of one. Over all pairs of two corpora
 * (tests/corpus/test_twins.c), different takes of one sentence by one speaker reach 0.61; of copies at
 * another gain, as MP3, Ogg, Opus or mu-law, with noise 20 dB below, or with up to 150 ms cut off both ends,
 * all reached 0.78, most more than 0.9. */
#define SER_TWIN_SIMILARITY 0.7f

ser_status ser_fingerprint_new(ser_fingerprint **out, const float *pcm, size_t n_samples, ser_error *err);
void ser_fingerprint_free(ser_fingerprint **f);

/* 0 ... 1; 1: the same samples, or all but the same; 0 also where nothing speaks for a copy. Recordings under
 * half a second have either 0 or 1: there is too little in them to tell takes from copies. */
float ser_fingerprint_similarity(const ser_fingerprint *a, const ser_fingerprint *b);

/* Of the samples: 64 hexadecimal digits; as long as f lives. */
const char *ser_fingerprint_sha256(const ser_fingerprint *f);

/* To keep a fingerprint in a file and to read it on the same machine: the bytes live as long as f.
 * from_bytes copies; SER_E_FORMAT for what ser_fingerprint_bytes of this version did not give. */
const void *ser_fingerprint_bytes(const ser_fingerprint *f, size_t *n_bytes);
ser_status ser_fingerprint_from_bytes(ser_fingerprint **out, const void *bytes, size_t n_bytes,
                                      ser_error *err);

#endif
