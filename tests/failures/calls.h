/* The calls of ser.h and ser/run.h, end to end and as small as they go, in the current folder. */
#ifndef SER_TESTS_CALLS_H
#define SER_TESTS_CALLS_H

#include <ser/run.h>
#include <stdbool.h>

typedef struct call {
    const char *name;
    /* Makes what it makes below "out", and leaves *answer untouched where it fails. */
    ser_status (*run)(const struct call *c, char *answer, ser_error *err);
    const char *job, *settings; /* of those that are a job: JSON without its braces */
    bool is_smallest;           /* of its kind: each allocation of it is worth a try */
} call;

enum { ANSWER_BYTES = 1 << 16 };

extern const call calls[]; /* up to one without a name */

/* The corpora, and a run whose models the calls use: "corpus", "other", "voice.wav", "trained". golden: the
 * folder tests/golden. False: it cannot be made. */
bool calls_prepare(const char *golden);

#endif
