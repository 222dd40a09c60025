/* safetensors: named tensors behind a JSON header (https://github.com/huggingface/safetensors#format). The
 * input is hostile: every size is checked before it is used, overlapping or misplaced ranges are refused. */
#ifndef SER_IO_SAFETENSORS_H
#define SER_IO_SAFETENSORS_H

#include "base/status.h"
#include "io/file.h"

typedef enum ser_dtype {
    SER_F32,
    SER_F16,
    SER_BF16,
    SER_I8,
    SER_U8,
    SER_I32,
    SER_I64,
    SER_F64,
    SER_DTYPE_OTHER
} ser_dtype;

enum { SER_MAX_DIMS = 8 };

typedef struct ser_tensor {
    const char *name;
    ser_dtype dtype;
    int n_dims;
    size_t dims[SER_MAX_DIMS];
    size_t n_elements;
    const void
        *data; /* little-endian, C order; maybe not aligned: read it with memcpy or ser_tensor_to_f32 */
    size_t n_bytes;
} ser_tensor;

typedef struct ser_safetensors ser_safetensors; /* names, data and metadata live as long as it */

/* Maps the file. */
ser_status ser_safetensors_open(ser_safetensors **out, const char *path, ser_error *err);
/* The bytes are not copied and must outlive *out. */
ser_status ser_safetensors_open_memory(ser_safetensors **out, const void *bytes, size_t n, ser_error *err);
void ser_safetensors_close(ser_safetensors **f);

size_t ser_safetensors_n(const ser_safetensors *f);
const ser_tensor *ser_safetensors_at(const ser_safetensors *f, size_t i);
const ser_tensor *ser_safetensors_find(const ser_safetensors *f, const char *name); /* NULL: none */
const char *ser_safetensors_metadata(const ser_safetensors *f, const char *key);    /* NULL: none */

/* Lets go of the memory behind a tensor of a mapped file; whoever reads it again reads it from the file. */
void ser_safetensors_forget(const ser_safetensors *f, const ser_tensor *t);

size_t ser_dtype_size(ser_dtype t); /* 0 for OTHER */

/* n elements from element first as float; F32, F16, BF16, F64, I8 only (else SER_E_UNSUPPORTED). */
ser_status ser_tensor_to_f32(float *out, const ser_tensor *t, size_t first, size_t n, ser_error *err);

/* Writing: tensors are laid out in the order given, metadata as pairs key, value. The bytes depend on nothing
 * else. */
ser_status ser_safetensors_write(const char *path, const ser_tensor *tensors, size_t n_tensors,
                                 const char *const (*metadata)[2], size_t n_metadata, ser_error *err);
/* One of many files: see ser_io_sync. */
ser_status ser_safetensors_write_unsynced(const char *path, const ser_tensor *tensors, size_t n_tensors,
                                          const char *const (*metadata)[2], size_t n_metadata,
                                          ser_error *err);

#endif
