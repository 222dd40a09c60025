/* Keys that clients show: a file with one a line. */
#ifndef SER_SERVE_KEYS_H
#define SER_SERVE_KEYS_H

#include "base/status.h"
#include <stdbool.h>

typedef struct ser_keys {
    char (*hashes)[65]; /* so that all are of one length, and none lies in memory as it is */
    size_t n, capacity;
} ser_keys;

/* Empty lines and those that begin with '#' are left out. SER_E_IO; SER_E_FORMAT: no key, or one of less than
 * 16 characters. */
ser_status ser_keys_read(ser_keys *out, const char *path, ser_error *err);
void ser_keys_release(ser_keys *k);
/* Takes as long whatever the key is. */
bool ser_keys_know(const ser_keys *k, const char *key);

#endif
