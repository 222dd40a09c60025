/* Reads the part of HDF5 that h5py and libhdf5 write by default (superblock 0, groups as symbol tables,
 * arrays in one piece), which is all that Keras's files have. Not libhdf5, because its version here reads
 * freed memory when bytes of a file were changed. Every offset is checked, nothing is allocated. Format: HDF5
 * File Format Specification Version 3.0, whose section numbers stand beside the functions. */
#ifndef SER_KERAS_H5_H
#define SER_KERAS_H5_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ser_h5 {
    const unsigned char *bytes; /* borrowed */
    size_t n;
    uint64_t root;  /* the object at "/" */
    size_t n_steps; /* left: a file that leads in circles comes to an end */
} ser_h5;

typedef uint64_t ser_h5_object; /* where its header is */

typedef enum ser_h5_answer { SER_H5_FOUND, SER_H5_MISSING, SER_H5_DAMAGED } ser_h5_answer;

/* MISSING: no HDF5 file. DAMAGED: another version's, or the end is missing. */
ser_h5_answer ser_h5_open(ser_h5 *h, const unsigned char *bytes, size_t n);

/* The object of that path below a group; only links to objects of the same file count. */
ser_h5_answer ser_h5_find(ser_h5 *h, ser_h5_object *out, ser_h5_object group, const char *path);

/* Calls add for each text of an attribute, in order, n bytes without a final 0; add returns false to stop
 * (no memory), which comes back as MISSING. DAMAGED: no list of texts. */
typedef bool (*ser_h5_add)(void *context, const char *text, size_t n);
ser_h5_answer ser_h5_texts(ser_h5 *h, ser_h5_object object, const char *attribute, ser_h5_add add,
                           void *context);

enum { SER_H5_MAX_DIMS = 8 };
typedef struct ser_h5_array {
    int n_dims;
    uint64_t dims[SER_H5_MAX_DIMS];
    bool is_f32;               /* little-endian, in one piece, all of it in the file */
    const unsigned char *data; /* where is_f32; not aligned */
    size_t n_bytes;
} ser_h5_array;
/* MISSING: the object is no array. */
ser_h5_answer ser_h5_read_array(ser_h5 *h, ser_h5_array *out, ser_h5_object object);

#endif
