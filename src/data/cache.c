#include "data/cache.h"
#include "base/sha256.h"
#include "base/text.h"

#include <string.h>

enum {
    CACHE_VERSION = 4
}; /* part of every key: raise it when values change without any parameter changing */

char *ser_cache_path(const char *folder, const char *kind, const char *content, const char *parameters)
{
    if (!folder)
        return NULL;
    ser_sha256 h;
    char hex[65], version[16];
    snprintf(version, sizeof version, "%d", CACHE_VERSION);
    const char *const parts[] = {version, kind, content, parameters};
    ser_sha256_init(&h);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        ser_sha256_add(&h, parts[i], strlen(parts[i]) + 1);
    ser_sha256_finish(&h, hex);
    return ser_format("%s/%.2s/%s.safetensors", folder, hex, hex);
}

bool ser_cache_open(ser_safetensors **file, const ser_tensor **values, const char *path, ser_dtype dtype,
                    size_t n)
{
    *file = NULL;
    if (!path || ser_safetensors_open(file, path, NULL) != SER_OK)
        return false;
    *values = ser_safetensors_find(*file, "values");
    if (*values && (*values)->dtype == dtype && (!n || (*values)->n_elements == n))
        return true;
    ser_safetensors_close(file);
    return false;
}

/* What a power failure takes, or leaves empty, is computed again. */
void ser_cache_write(const char *path, ser_dtype dtype, const void *values, size_t n,
                     const char *const (*metadata)[2], size_t n_metadata)
{
    if (!path)
        return;
    const ser_tensor t = {.name = "values",
                          .dtype = dtype,
                          .n_dims = 1,
                          .dims = {n},
                          .n_elements = n,
                          .data = values,
                          .n_bytes = n * ser_dtype_size(dtype)};
    if (ser_io_make_folder_of(path, NULL) == SER_OK)
        ser_safetensors_write_unsynced(path, &t, 1, metadata, n_metadata, NULL);
}
