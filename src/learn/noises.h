/* Sound without a voice, made by rule: what the voice detector learns from besides the corpus. */
#ifndef SER_LEARN_NOISES_H
#define SER_LEARN_NOISES_H

#include "base/progress.h"
#include "extract/extract.h"

/* pooled (n, ser_pooled_dims): statistics of n noises of all kinds, lengths of 1 to 6 s and levels. */
ser_status ser_noises_pool(float *pooled, size_t n, const ser_extractor *e, uint64_t seed, int n_threads,
                           ser_error *err);

#endif
