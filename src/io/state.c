#include "io/state.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char CONFIGURATION[] = "ser.configuration", DATA[] = "ser.data", CHECKSUM[] = "ser.checksum";

/* ---- which training it is ---- */

/* The bits are mixed as in splitmix64. */
uint64_t ser_state_checksum(uint64_t h, const void *bytes, size_t n)
{
    const unsigned char *b = bytes;
    for (uint64_t word = 0; n > 0; word = 0) {
        size_t n_word = n < sizeof word ? n : sizeof word;
        memcpy(&word, b, n_word);
        h = (h ^ word) * 0xbf58476d1ce4e5b9u;
        h ^= h >> 31;
        b += n_word;
        n -= n_word;
    }
    return h;
}

ser_status ser_state_identity_init(ser_state_identity *out, ser_text *configuration, uint64_t data,
                                   ser_error *err)
{
    *out = (ser_state_identity){.configuration = configuration->s};
    snprintf(out->data, sizeof out->data, "%016llx", (unsigned long long)data);
    if (!configuration->failed)
        return SER_OK;
    ser_state_identity_release(out);
    return ser_fail_nomem(err);
}

void ser_state_identity_release(ser_state_identity *i)
{
    ser_free(i->configuration);
    i->configuration = NULL;
}

/* The first of the parts between semicolons in which a and b differ. */
static void find_difference(const char **a, int *n_a, const char **b, int *n_b)
{
    for (;; *a += *n_a + 1, *b += *n_b + 1) {
        *n_a = (int)strcspn(*a, ";");
        *n_b = (int)strcspn(*b, ";");
        if (*n_a != *n_b || memcmp(*a, *b, (size_t)*n_a) != 0 || !(*a)[*n_a] || !(*b)[*n_b])
            return;
    }
}

/* What follows the program's version. */
static const char *settings_of(const char *configuration)
{
    const char *end = strncmp(configuration, "version=", 8) == 0 ? strchr(configuration, ';') : NULL;
    return end ? end + 1 : configuration;
}

static ser_status check_identity(const ser_safetensors *file, const ser_state_kind *kind,
                                 const ser_state_identity *identity, ser_error *err)
{
    const char *version = ser_safetensors_metadata(file, kind->version_key);
    const char *there = ser_safetensors_metadata(file, CONFIGURATION);
    const char *data = ser_safetensors_metadata(file, DATA);
    char *end;
    if (!version || !there || !data)
        return ser_fail(err, SER_E_FORMAT, "is no state of %s: remove it, and training begins anew",
                        kind->what);
    if (strtol(version, &end, 10) != kind->version || end == version || *end)
        return ser_fail(err, SER_E_UNSUPPORTED,
                        "is a state of %s of format version %.20s, and this is ser %s: go on with the "
                        "ser that wrote it",
                        kind->what, version, SER_VERSION);
    const char *here = settings_of(identity->configuration);
    there = settings_of(there);
    if (strcmp(there, here) != 0) {
        int n_there, n_here;
        find_difference(&there, &n_there, &here, &n_here);
        return ser_fail(err, SER_E_FORMAT,
                        "is the state of another training (it has %.*s, now it is %.*s): give the same "
                        "options, or another run folder",
                        n_there > 80 ? 80 : n_there, there, n_here > 80 ? 80 : n_here, here);
    }
    if (strcmp(data, identity->data) != 0)
        return ser_fail(err, SER_E_FORMAT,
                        "is the state of a training %s: give the same data, or another run folder",
                        kind->other_data);
    return SER_OK;
}

/* ---- tensors ---- */

ser_tensor ser_state_tensor(const char *name, ser_dtype type, const void *data, size_t n)
{
    return (ser_tensor){.name = name,
                        .dtype = type,
                        .n_dims = 1,
                        .dims = {n},
                        .n_elements = n,
                        .data = data,
                        .n_bytes = n * ser_dtype_size(type)};
}

ser_status ser_state_write(const char *path, const ser_state_kind *kind, const ser_state_identity *identity,
                           const ser_tensor *tensors, size_t n, ser_error *err)
{
    char sum[17], version[16];
    uint64_t h = 0;
    for (size_t i = 0; i < n; i++)
        h = ser_state_checksum(h, tensors[i].data, tensors[i].n_bytes);
    snprintf(sum, sizeof sum, "%016llx", (unsigned long long)h);
    snprintf(version, sizeof version, "%d", kind->version);
    const char *const metadata[][2] = {{kind->version_key, version},
                                       {CONFIGURATION, identity->configuration},
                                       {DATA, identity->data},
                                       {CHECKSUM, sum}};
    ser_status st =
        ser_safetensors_write(path, tensors, n, metadata, sizeof metadata / sizeof *metadata, err);
    return st == SER_OK ? st : ser_fail_within(err, st, "%s: ", path);
}

ser_status ser_state_open(ser_safetensors **out, const char *path, const ser_state_kind *kind,
                          const ser_state_identity *identity, ser_error *err)
{
    *out = NULL;
    if (access(path, F_OK) != 0)
        return SER_OK;
    ser_status st = ser_safetensors_open(out, path, err);
    if (st == SER_OK)
        st = check_identity(*out, kind, identity, err);
    if (st != SER_OK)
        ser_safetensors_close(out);
    return st;
}

ser_status ser_state_damaged(ser_error *err)
{
    return ser_fail(err, SER_E_FORMAT, "is a damaged state of training: remove it, and training begins anew");
}

ser_status ser_state_read(const ser_safetensors *file, const ser_tensor *tensors, size_t n, ser_error *err)
{
    char sum[17];
    const char *expected = ser_safetensors_metadata(file, CHECKSUM);
    uint64_t h = 0;
    if (!expected || ser_safetensors_n(file) != n)
        return ser_state_damaged(err);
    for (size_t i = 0; i < n; i++) {
        const ser_tensor *t = ser_safetensors_find(file, tensors[i].name);
        if (!t || t->dtype != tensors[i].dtype || t->n_bytes != tensors[i].n_bytes)
            return ser_state_damaged(err);
        h = ser_state_checksum(h, t->data, t->n_bytes);
    }
    snprintf(sum, sizeof sum, "%016llx", (unsigned long long)h);
    if (strcmp(sum, expected) != 0)
        return ser_state_damaged(err);
    for (size_t i = 0; i < n; i++) /* the list is the caller's own memory */
        memcpy((void *)tensors[i].data, ser_safetensors_find(file, tensors[i].name)->data,
               tensors[i].n_bytes);
    return SER_OK;
}
