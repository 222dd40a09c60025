/* Shares of one job joined to what the job would have given in one go. */
#ifndef SER_RUN_MERGE_H
#define SER_RUN_MERGE_H

#include "base/status.h"
#include "report/text.h"
#include "run/host.h"

typedef struct ser_merged {
    size_t n, n_failed; /* recordings, and those of them that could not be read */
} ser_merged;

/* parts (n): what --shard left, each of them once, in any order. output: a file for shares of predict, a
 * folder of feature trees for those of extract, in which trees are made and none replaced, a run folder for
 * folds of evaluate. What does not
 * belong together is refused by name, before anything is written. */
ser_status ser_run_merge(ser_merged *out, const char *const *parts, size_t n, const char *output,
                         const ser_run_host *host, ser_error *err);

#endif
