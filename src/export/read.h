/* The model that is to be exported. */
#ifndef SER_EXPORT_READ_H
#define SER_EXPORT_READ_H

#include "model/model_file.h"

/* *file keeps what *m does not copy: the encoder's tensors. path NULL: the model built into the library.
 * Close and release both, whatever is returned. */
ser_status ser_export_read(ser_model_data *m, ser_safetensors **file, const char *path, ser_error *err);

#endif
