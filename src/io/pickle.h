/* The pickle of a PyTorch state dict (https://docs.python.org/3/library/pickletools.html): a reader of the
 * few instructions that a dict of tensors is made of. Everything else is refused by name, nothing is ever
 * run. */
#ifndef SER_IO_PICKLE_H
#define SER_IO_PICKLE_H

#include "io/safetensors.h"

/* One entry of the dict; texts point into the pickle and are not terminated. */
typedef struct ser_pickled_tensor {
    const char *name, *storage; /* what it is called; the key of the storage it lies in */
    size_t n_name, n_storage;
    ser_dtype dtype;
    size_t storage_elements, offset; /* in elements */
    int n_dims;
    size_t dims[SER_MAX_DIMS];
    size_t strides[SER_MAX_DIMS];
} ser_pickled_tensor;

/* *tensors is the caller's (ser_free). Entries that are no tensors are left out. */
ser_status ser_pickle_read(ser_pickled_tensor **tensors, size_t *n_tensors, const unsigned char *bytes,
                           size_t n, ser_error *err);

#endif
