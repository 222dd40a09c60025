/* What torch.save makes of a state dict: a zip archive with a pickle and one stored entry for each storage.
 */
#ifndef SER_IO_TORCH_H
#define SER_IO_TORCH_H

#include "io/safetensors.h"

/* Maps the file; the tensors lie in it. Every size is checked; no code is run. */
ser_status ser_torch_open(ser_safetensors **out, const char *path, ser_error *err);
/* The bytes are not copied and must outlive *out. */
ser_status ser_torch_open_memory(ser_safetensors **out, const void *bytes, size_t n, ser_error *err);

#endif
