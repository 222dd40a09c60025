/* What training and test parts share: speakers, texts, identical and near-identical recordings. */
#ifndef SER_CORPUS_LEAKS_H
#define SER_CORPUS_LEAKS_H

#include "corpus/corpus.h"
#include "corpus/folds.h"

typedef struct ser_fingerprint ser_fingerprint; /* of one recording's sound: equal for copies at another gain,
                                                 * close for other codecs and small cuts at the ends */
ser_status ser_fingerprint_new(ser_fingerprint **out, const float *pcm, size_t n_samples, ser_error *err);
void ser_fingerprint_free(ser_fingerprint **f);
/* 0 ... 1; 1: the same recording. */
float ser_fingerprint_similarity(const ser_fingerprint *a, const ser_fingerprint *b);

typedef struct ser_leaks {
    size_t n_folds;
    int *speakers, *texts, *duplicates; /* per fold: speakers (texts) on both sides; test recordings with a
                                         * twin in the training part */
    char (*examples)[256];              /* per fold: "a.wav is b.wav" for the first twin, or empty */
} ser_leaks;

/* fingerprints[i] of utterance i; NULL entries are left out. */
ser_status ser_leaks_find(ser_leaks *out, const ser_corpus *c, const ser_folds *f,
                          ser_fingerprint *const *fingerprints, ser_error *err);
void ser_leaks_release(ser_leaks *l);

#endif
