/* A file without a name in the cache folder, for what is too large for the memory: nothing is left behind,
 * whatever happens. Written first, from several threads at a time, then read. */
#ifndef SER_IO_SCRATCH_H
#define SER_IO_SCRATCH_H

#include "base/status.h"

typedef struct ser_scratch {
    int fd;           /* -1: closed, or mapped */
    const void *data; /* once it is mapped */
    size_t n;
} ser_scratch;

/* what: for messages, "the sound of the recordings". SER_E_IO: there is no cache folder. */
ser_status ser_scratch_open(ser_scratch *out, const char *what, ser_error *err);
/* SER_E_IO: the disk has not that much room now. */
ser_status ser_scratch_check_room(const ser_scratch *s, const char *what, double n_bytes, ser_error *err);
/* n bytes at a place of their own. SER_E_IO: the disk is full. */
ser_status ser_scratch_write(const ser_scratch *s, const char *what, const void *bytes, size_t n, size_t at,
                             ser_error *err);
/* The first n bytes, n > 0, all of which were written. */
ser_status ser_scratch_map(ser_scratch *s, size_t n, ser_error *err);
void ser_scratch_close(ser_scratch *s); /* {-1}, or opened in vain: fine */

#endif
