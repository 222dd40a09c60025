/* Recordings that a model or an encoder learned from, so that nobody takes an answer about one of them for a
 * figure. */
#ifndef SER_RUN_HEARD_H
#define SER_RUN_HEARD_H

#include "base/text.h"
#include "io/json.h"

enum { SER_HALF_HASH = 16 }; /* digits that are kept of a recording's sha256 (ser_recording) */

/* A zeroed struct has heard nothing. */
typedef struct ser_heard {
    char (*hashes)[SER_HALF_HASH + 1]; /* n; sorted for ser_heard_has */
    size_t n, capacity;
    ser_text corpora; /* "EMODB+mine"; of an encoder alone */
} ser_heard;

ser_status ser_heard_add(ser_heard *h, const char *sha256, ser_error *err);
void ser_heard_sort(ser_heard *h);
bool ser_heard_has(const ser_heard *h, const char *sha256);
/* SER_E_ARG: some of these n recordings of corpus, which would be tested, are among what encoder, a folder,
 * learned from. first: the hash of the first; the next lies stride bytes behind. */
ser_status ser_heard_check(const ser_heard *h, const char *encoder, const char *corpus, const char *first,
                           size_t stride, size_t n, ser_error *err);
void ser_heard_release(ser_heard *h);

/* An encoder that was tuned has in its folder a learned-from.json: an object of "corpora", a list of names,
 * and "recordings", a list of hashes. read adds them to *h, and sorts it; a folder without that file adds
 * nothing. SER_E_FORMAT: the file says something else. */
ser_status ser_heard_read(ser_heard *h, const char *folder, ser_error *err);
ser_status ser_heard_write(const ser_heard *h, const char *folder, ser_error *err);
/* A name that is there already is not added again. */
void ser_heard_add_corpus(ser_heard *h, const char *name);

#endif
