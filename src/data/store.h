/* The recordings of a corpus, and pooled statistics of them and of their altered copies. */
#ifndef SER_DATA_STORE_H
#define SER_DATA_STORE_H

#include "corpus/fingerprint.h"
#include "corpus/leaks.h"

typedef struct ser_recording {
    char sha256[65]; /* of the decoded 16 kHz mono float32 samples */
    size_t n_samples;
    ser_fingerprint *fingerprint;
    char *warning; /* what there is to tell of its sound, NULL: nothing */
} ser_recording;

typedef struct ser_store {
    ser_recording *recordings; /* one per utterance of the corpus, in its order */
    float *pooled; /* (n, n_rows, dims): the recording, its copies, the recording under the condition */
    size_t n, n_copies, n_rows, dims;
    size_t n_computed; /* rows of which something was not found on disk */
    char *folder,
        *recipe; /* where features are kept, NULL: nowhere; what decides their values beside the sound */
} ser_store;

/* With room for n recordings, zeroed: ser_intake fills it. */
ser_status ser_store_new(ser_store **out, size_t n, size_t n_copies, size_t n_rows, size_t dims,
                         ser_error *err);
void ser_store_free(ser_store **s);

/* Row of utterance i: 0 is the recording itself, 1 ... n_copies its copies, n_rows - 1 the one to test. */
static inline float *ser_store_row(const ser_store *s, size_t i, size_t row)
{
    return s->pooled + (i * s->n_rows + row) * s->dims;
}

static inline size_t ser_store_test_row(const ser_store *s)
{
    return s->n_rows > 1 + s->n_copies ? s->n_rows - 1 : 0;
}

#endif
