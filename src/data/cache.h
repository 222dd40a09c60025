/* What was computed once, on disk: one file per array, named by the hash of everything that decides its
 * values. */
#ifndef SER_DATA_CACHE_H
#define SER_DATA_CACHE_H

#include "io/safetensors.h"
#include <stdbool.h>

/* FOLDER/ab/abcdef....safetensors for a kind of array, the sha256 of the recording's file and the parameters;
 * NULL: folder is NULL, or out of memory. Free with ser_free. */
char *ser_cache_path(const char *folder, const char *kind, const char *content, const char *parameters);

/* false: it is not there, or is not n numbers of this type (n 0: any); then it is computed again, so that
 * nothing here is an error. */
bool ser_cache_open(ser_safetensors **file, const ser_tensor **values, const char *path, ser_dtype dtype,
                    size_t n);

/* A cache that cannot be written to costs time on the next run and nothing else. */
void ser_cache_write(const char *path, ser_dtype dtype, const void *values, size_t n,
                     const char *const (*metadata)[2], size_t n_metadata);

#endif
