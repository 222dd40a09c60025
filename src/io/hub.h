/* The model hub's cache of checkpoints: $HF_HOME (default ~/.cache/huggingface) / hub / models--OWNER--NAME,
 * where refs/main names the folder below snapshots/ that is current. */
#ifndef SER_IO_HUB_H
#define SER_IO_HUB_H

#include "base/status.h"

/* The folder of a checkpoint such as "openai/whisper-base"; the caller frees *folder (ser_free). SER_E_IO: it
 * is not in the cache. */
ser_status ser_hub_find(char **folder, const char *name, ser_error *err);

#endif
