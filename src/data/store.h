/* The store of features: pooled statistics of every recording of a corpus and of its altered copies. The
 * recordings' own come from a feature tree where one fits; the rest is computed once and kept on disk, keyed
 * by the file's content and all parameters, so that a second run starts at once. */
#ifndef SER_DATA_STORE_H
#define SER_DATA_STORE_H

#include "base/progress.h"
#include "corpus/corpus.h"
#include "corpus/leaks.h"
#include "data/condition.h"
#include "data/tree.h"
#include "extract/extract.h"

typedef struct ser_store_settings {
    const ser_extractor *extractor;
    const char *features_key; /* what decides the features' values beside the specification: encoder,
                                 precision, engine */
    size_t n_copies;          /* altered copies of each recording */
    ser_condition condition;  /* not NONE: one row more per recording, under this condition */
    uint64_t seed;            /* of the copies and the condition */
    int n_threads;            /* 0: all cores; one recording each */
    const char *folder;       /* where to keep what was computed; NULL: nowhere */
    const ser_tree *tree;     /* features on disk, or NULL */
    bool without_audio;       /* the corpus is the tree's: there are no recordings to read */
    bool pool_encoder;        /* see ser_frame_buffer_pool_encoder */
    ser_progress progress;
} ser_store_settings;

typedef struct ser_recording {
    char sha256[65]; /* of the decoded 16 kHz mono float32 samples */
    size_t n_samples;
    ser_fingerprint *fingerprint;
} ser_recording;

typedef struct ser_store {
    ser_recording *recordings; /* one per utterance of the corpus, in its order */
    float *pooled; /* (n, n_rows, dims): the recording, its copies, the recording under the condition */
    size_t n, n_copies, n_rows, dims;
    size_t n_computed; /* rows of pooled that were not found on disk */
    char *folder,
        *recipe; /* where features are kept, NULL: nowhere; what decides their values beside the sound */
} ser_store;

/* A recording that cannot be read fails the whole store, naming the file. */
ser_status ser_store_new(ser_store **out, const ser_corpus *corpus, const ser_store_settings *settings,
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
