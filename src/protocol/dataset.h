/* A corpus, its folds, its features: what evaluations and trainings work on. */
#ifndef SER_PROTOCOL_DATASET_H
#define SER_PROTOCOL_DATASET_H

#include "corpus/corpus.h"
#include "corpus/folds.h"
#include "protocol/condition.h"
#include "protocol/fit.h"
#include "protocol/store.h"

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

/* The rows of all utterances that are not in test_fold (-1: all). with_groups: keep speakers together in the
 * inner folds, where they are known. Release with ser_dataset_rows_release. */
ser_status ser_dataset_rows(ser_rows *out, const ser_store *store, const ser_corpus *corpus,
                            const ser_extractor *e, const int *fold, int test_fold, bool with_groups,
                            ser_error *err);
void ser_dataset_rows_release(ser_rows *rows);

#endif
