/* The weights in a checkpoint's folder, in whichever of the usual forms: model.safetensors,
 * pytorch_model.bin, or either in several files with an index. */
#ifndef SER_IO_CHECKPOINT_H
#define SER_IO_CHECKPOINT_H

#include "io/safetensors.h"

/* The first of them that is there is read; the indices name further files. */
enum { SER_CHECKPOINT_N_FORMS = 4 };
extern const char *const ser_checkpoint_forms[SER_CHECKPOINT_N_FORMS];

/* The files that are read, without the folder, in the order of their names; free with ser_io_free_list. */
ser_status ser_checkpoint_files(char ***names, size_t *n_names, const char *folder, ser_error *err);
/* Maps them. Messages start with the name of the file; *file is the one that stands for all, for the
 * caller's. */
ser_status ser_checkpoint_open(ser_safetensors **out, const char **file, const char *folder, ser_error *err);

#endif
