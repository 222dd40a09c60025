/* NumPy's .npy (numpy.lib.format, versions 1.0 to 3.0): float32, C order, little-endian. */
#ifndef SER_IO_NPY_H
#define SER_IO_NPY_H

#include "base/status.h"
#include "io/safetensors.h"

typedef struct ser_npy {
    float *data; /* n_dims sizes, C order; owned */
    int n_dims;
    size_t dims[SER_MAX_DIMS];
    size_t n_elements;
} ser_npy;

/* SER_E_FORMAT for another type, order or size than the header says; n_max_elements 0: no limit but the
 * file's size. */
ser_status ser_npy_read(ser_npy *out, const char *path, size_t n_max_elements, ser_error *err);
ser_status ser_npy_read_memory(ser_npy *out, const void *bytes, size_t n, size_t n_max_elements,
                               ser_error *err);
void ser_npy_release(ser_npy *a);
ser_status ser_npy_write(const char *path, const float *data, int n_dims, const size_t *dims, ser_error *err);
/* One of many files: see ser_io_sync. */
ser_status ser_npy_write_unsynced(const char *path, const float *data, int n_dims, const size_t *dims,
                                  ser_error *err);

#endif
