/* Standardising by all unlabelled recordings of a speaker or of a corpus. */
#ifndef SER_DATA_NORMALIZE_H
#define SER_DATA_NORMALIZE_H

#include "corpus/corpus.h"
#include "data/frames.h"

typedef enum ser_normalize { SER_NORMALIZE_NONE, SER_NORMALIZE_SPEAKER, SER_NORMALIZE_CORPUS } ser_normalize;

#define SER_NORMALIZE_WORDS "none|speaker|corpus"

const char *ser_normalize_name(ser_normalize n);

/* Standardises, in place, all rows of each speaker (of the corpus, of each of those joined): pooled
 * statistics by the mean and deviation of its own unaltered recordings, frames by those of all their frames;
 * labels are not looked at. What does not vary becomes 0. Either may be NULL. spread (dims of the store, may
 * be NULL) receives the root mean square of the deviations of the speakers (of the corpora). SER_E_ARG:
 * SPEAKER, and speakers are unknown. */
ser_status ser_normalize_apply(ser_store *store, ser_frame_set *frames, const ser_corpus *corpus,
                               ser_normalize how, int n_threads, float *spread, ser_error *err);

#endif
