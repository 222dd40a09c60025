/* The ways of merging. manifests (n) were checked: ser_manifests_check. */
#ifndef SER_RUN_MERGE_PARTS_H
#define SER_RUN_MERGE_PARTS_H

#include "run/host.h"
#include "run/shard.h"

ser_status ser_merge_trees(const ser_manifest *manifests, size_t n, const char *output,
                           const ser_run_host *host, ser_error *err);
ser_status ser_merge_folds(const ser_manifest *manifests, size_t n, const char *output,
                           const ser_run_host *host, ser_error *err);

#endif
