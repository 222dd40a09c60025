/* Zip archives into a folder. The archive is hostile: nothing is written outside the folder, no links are
 * made, and what it may grow to is bounded. */
#ifndef SER_NET_UNPACK_H
#define SER_NET_UNPACK_H

#include "base/progress.h"
#include "base/status.h"
#include <stdint.h>

typedef struct ser_unpack_limits {
    uint64_t n_bytes, n_entries;
} ser_unpack_limits;

/* folder is there and empty. SER_E_FORMAT: the archive is damaged, or has what it should not have. */
ser_status ser_unpack(const char *archive, const char *folder, const ser_unpack_limits *limits,
                      const ser_progress *progress, ser_error *err);

/* A folder and all that is in it; fine when it is not there. */
void ser_remove_folder(const char *folder);

#endif
