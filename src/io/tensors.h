/* What the readers of checkpoints share: the table behind ser_safetensors. Nobody outside src/io includes it.
 */
#ifndef SER_IO_TENSORS_H
#define SER_IO_TENSORS_H

#include "io/json.h"
#include "io/safetensors.h"

struct ser_safetensors {
    ser_bytes file;      /* empty when the caller owns the bytes */
    json_t *header;      /* of a safetensors file: owns names and metadata */
    char *names;         /* owns the names where there is no header */
    ser_tensor *tensors; /* sorted by name */
    size_t n;
    ser_safetensors **parts; /* the shards that the tensors lie in */
    size_t n_parts;
};

/* By name. SER_E_FORMAT: two have the same. */
ser_status ser_tensors_sort(ser_safetensors *f, ser_error *err);

/* Reads what is in a file's bytes, which are not copied. */
typedef ser_status ser_safetensors_reader(ser_safetensors **out, const void *bytes, size_t n, ser_error *err);
/* Maps the file for it. */
ser_status ser_safetensors_open_by(ser_safetensors **out, const char *path, ser_safetensors_reader *read,
                                   ser_error *err);

#endif
