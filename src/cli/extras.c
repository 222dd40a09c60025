/* ser-extras.so's own part; the rest are the functions it has a table of. */
#include "cli/extras.h"
#include "model/builtin.h"

#include <string.h>

static struct {
    const void *bytes;
    size_t n;
} model;

/* In place of model/builtin.c. */
const void *ser_builtin_model(size_t *n_bytes)
{
    *n_bytes = model.n;
    return model.bytes;
}

__attribute__((visibility("default"))) ser_extras_get_function SER_EXTRAS_GET;
const ser_extras *SER_EXTRAS_GET(const char *build, const void *bytes, size_t n_bytes)
{
#define ADDRESS(name) .name = name,
    static const ser_extras all = {SER_EXTRAS(ADDRESS)};
#undef ADDRESS
    char own[SER_EXTRAS_BUILD_SIZE];
    ser_extras_build(own);
    model.bytes = bytes;
    model.n = n_bytes;
    return strcmp(build, own) == 0 ? &all : NULL;
}
