/* The hash that a hub or a publisher states for a file, and whether a file has it. */
#ifndef SER_NET_HASH_H
#define SER_NET_HASH_H

#include "base/progress.h"
#include "base/status.h"
#include <stdint.h>

typedef enum ser_hash_kind {
    SER_HASH_NONE, /* nothing is stated */
    SER_HASH_SHA256,
    SER_HASH_GIT, /* SHA-1 of "blob SIZE\0" and the content: the name of a file in git */
    SER_HASH_MD5
} ser_hash_kind;

typedef struct ser_hash {
    ser_hash_kind kind;
    char hex[65]; /* lower case; empty for NONE */
} ser_hash;

/* false, and *h is NONE: the text is not the digits of such a hash. */
bool ser_hash_set(ser_hash *h, ser_hash_kind kind, const char *hex);
const char *ser_hash_name(ser_hash_kind kind); /* "sha256", "git hash", "MD5" */

/* SER_OK: the file has the hash. SER_E_FORMAT: it has another one. SER_E_CANCELLED. */
ser_status ser_hash_check(const ser_hash *h, const char *path, const ser_progress *progress, ser_error *err);

#endif
