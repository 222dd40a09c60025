/* What tells whether two runs are of the same data, split in the same way, and where they were made. */
#ifndef SER_RUN_IDENTITY_H
#define SER_RUN_IDENTITY_H

#include "corpus/folds.h"
#include "data/store.h"

/* Of the lines "utterance TAB sha256 of the samples" and "utterance TAB fold", sorted. */
ser_status ser_report_hashes(char data_sha256[65], char split_sha256[65], const ser_corpus *corpus,
                             const ser_folds *folds, const ser_store *store, ser_error *err);

/* "AMD EPYC 9654 96-Core Processor"; "unknown" where the system does not say. */
void ser_cpu_name(char *name, size_t n);

#endif
