/* Standardising by all unlabelled recordings of a speaker or of a corpus. */
#ifndef SER_DATA_NORMALIZE_H
#define SER_DATA_NORMALIZE_H

#include "corpus/corpus.h"
#include "data/store.h"

typedef enum ser_normalize { SER_NORMALIZE_NONE, SER_NORMALIZE_SPEAKER, SER_NORMALIZE_CORPUS } ser_normalize;

#define SER_NORMALIZE_WORDS "none|speaker|corpus"

ser_normalize ser_normalize_from_name(const char *name);
const char *ser_normalize_name(ser_normalize n);

/* SER_E_ARG: SPEAKER, and speakers are unknown. */
ser_status ser_dataset_check_normalize(const ser_corpus *corpus, ser_normalize how, ser_error *err);

/* Standardises the rows of each speaker (of the corpus) by the mean and deviation of its own unaltered
 * recordings, in place; labels are not looked at. SER_E_ARG: SPEAKER, and speakers are unknown. spread (dims,
 * may be NULL) receives the root mean square of the speakers' deviations. */
ser_status ser_dataset_normalize(ser_store *store, const ser_corpus *corpus, ser_normalize how, float *spread,
                                 ser_error *err);

#endif
