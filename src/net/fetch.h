/* Files from a server: they gather under a temporary name beside the final one, so that a broken fetch goes
 * on where it was, and get their final name when size and hash are right. */
#ifndef SER_NET_FETCH_H
#define SER_NET_FETCH_H

#include "base/text.h"
#include "net/hash.h"
#include "net/http.h"

#define SER_FETCH_PART                                                                                       \
    ".incomplete" /* what the temporary name has behind the final one, as in the hub's cache */

typedef struct ser_fetch {
    const char *url, *path;
    const char *name; /* what the progress line calls it */
    ser_hash hash;
    bool has_size; /* stated: anything else is refused */
    uint64_t size;
} ser_fetch;

/* Only one process at a time may work on a path: see lock.h. A fetched part without a stated hash is gone on
 * with only when the server says that the file is unchanged. SER_E_FORMAT: size or hash is wrong, and nothing
 * is kept. */
ser_status ser_fetch_file(ser_http *http, const ser_fetch *f, const ser_progress *progress, ser_error *err);

/* A short text of at most n_max bytes, into *out. code as ser_http_get. */
ser_status ser_fetch_text(ser_text *out, ser_http *http, const char *url, size_t n_max,
                          const ser_progress *progress, long *code, ser_error *err);

#endif
