/* The model built into the library: the bytes of src/model/builtin.safetensors. */
#ifndef SER_MODEL_BUILTIN_H
#define SER_MODEL_BUILTIN_H

#include <stddef.h>

/* NULL when the library was built without one (before the first has been trained). */
const void *ser_builtin_model(size_t *n_bytes);

#endif
