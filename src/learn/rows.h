/* The rows of a training part: recordings of a corpus and their altered copies. */
#ifndef SER_LEARN_ROWS_H
#define SER_LEARN_ROWS_H

#include "corpus/corpus.h"
#include "data/store.h"
#include "learn/fit.h"

/* What is kept together in the inner folds. */
typedef enum ser_row_groups {
    SER_GROUPS_NONE,
    SER_GROUPS_SPEAKERS, /* where they are known */
    /* Each of the corpora joined, of one alone its speakers; and a row's labels are those that its corpus
     * could have said. */
    SER_GROUPS_CORPORA
} ser_row_groups;

/* The rows of all utterances that are not in test_fold (-1: all). Release with ser_dataset_rows_release. */
ser_status ser_dataset_rows(ser_rows *out, const ser_store *store, const ser_corpus *corpus,
                            const ser_extractor *e, const int *fold, int test_fold, ser_row_groups groups,
                            ser_error *err);
void ser_dataset_rows_release(ser_rows *rows);

#endif
