/* The rows of a training part: recordings of a corpus and their altered copies. */
#ifndef SER_LEARN_ROWS_H
#define SER_LEARN_ROWS_H

#include "corpus/corpus.h"
#include "data/store.h"
#include "learn/fit.h"

/* The rows of all utterances that are not in test_fold (-1: all). with_groups: keep speakers together in the
 * inner folds, where they are known. Release with ser_dataset_rows_release. */
ser_status ser_dataset_rows(ser_rows *out, const ser_store *store, const ser_corpus *corpus,
                            const ser_extractor *e, const int *fold, int test_fold, bool with_groups,
                            ser_error *err);
void ser_dataset_rows_release(ser_rows *rows);

#endif
