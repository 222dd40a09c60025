/* The state of a training that goes on another time: a safetensors file that says of which training it is,
 * and carries a checksum. A state is gone on with by any program of its format. */
#ifndef SER_IO_STATE_H
#define SER_IO_STATE_H

#include "base/text.h"
#include "io/safetensors.h"

#include <stdint.h>

/* What is learned, in words, and how its states are made. */
typedef struct ser_state_kind {
    const char *what;        /* "training": "is no state of training" */
    const char *version_key; /* of the metadata */
    int version;
    const char *other_data; /* "on other labels": what else the state may be of where the data differ */
} ser_state_kind;

/* Which training it is: settings in words, parts between semicolons, of which the first may be "version=...",
 * told for the curious and not compared; and a checksum of what it learns from. */
typedef struct ser_state_identity {
    char *configuration;
    char data[17];
} ser_state_identity;

/* Against accidents, not against attacks: four bytes a cycle, where SHA-256 would take a third of the time
 * that a small network learns for. */
uint64_t ser_state_checksum(uint64_t h, const void *bytes, size_t n);

/* Takes the text. */
ser_status ser_state_identity_init(ser_state_identity *out, ser_text *configuration, uint64_t data,
                                   ser_error *err);
void ser_state_identity_release(ser_state_identity *i);

/* n numbers of a type, as one tensor. */
ser_tensor ser_state_tensor(const char *name, ser_dtype type, const void *data, size_t n);

ser_status ser_state_write(const char *path, const ser_state_kind *kind, const ser_state_identity *identity,
                           const ser_tensor *tensors, size_t n, ser_error *err);
/* *out NULL: there is none. SER_E_FORMAT: it is of another training, or none at all; SER_E_UNSUPPORTED: of
 * another format. */
ser_status ser_state_open(ser_safetensors **out, const char *path, const ser_state_kind *kind,
                          const ser_state_identity *identity, ser_error *err);
/* Into the memory of these tensors, which are all that there must be; a damaged state leaves it as it was. */
ser_status ser_state_read(const ser_safetensors *file, const ser_tensor *tensors, size_t n, ser_error *err);
ser_status ser_state_damaged(ser_error *err);

#endif
