/* The model hub's cache of checkpoints, as huggingface_hub lays it out: below $HF_HUB_CACHE, else
 * $HF_HOME/hub, else ${XDG_CACHE_HOME:-~/.cache}/huggingface/hub lies models--OWNER--NAME, where refs/main
 * names the folder below snapshots/ that is current. */
#ifndef SER_IO_HUB_H
#define SER_IO_HUB_H

#include "base/status.h"
#include "base/text.h"

/* Whether it can be a model's name on the hub: "openai/whisper-base". */
bool ser_hub_is_name(const char *name);

/* CACHE/INSIDEmodels--OWNER--NAME; inside is "" or ends with '/'. */
void ser_hub_append_folder(ser_text *t, const char *inside, const char *name);

/* Whether the checkpoint of that name is in the cache, whole. */
bool ser_hub_has(const char *name);

/* The folder of a checkpoint: name itself where such a folder exists, else that of the cache; the caller
 * frees *folder (ser_free). SER_E_IO: it is neither; the message ends with the command that fetches it. */
ser_status ser_hub_find(char **folder, const char *name, ser_error *err);

#endif
