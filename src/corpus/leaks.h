/* What training and test parts share: speakers, texts, identical and near-identical recordings. */
#ifndef SER_CORPUS_LEAKS_H
#define SER_CORPUS_LEAKS_H

#include "base/progress.h"
#include "corpus/corpus.h"
#include "corpus/fingerprint.h"
#include "corpus/folds.h"

typedef struct ser_leaks {
    size_t n_folds;
    int *speakers, *texts; /* per fold: how many are on both sides; -1: none found, but not all are known */
    int *duplicates;       /* per fold: test recordings with a copy in the training part */
    int *takes; /* per fold: test recordings of which the training part has another take: same speaker, text,
                   emotion; -1: none found, but not all are known */
    char (*examples)[256]; /* per fold: "a.wav is b.wav" for the first copy, or empty */
} ser_leaks;

/* fingerprints[i] of utterance i; NULL entries are left out. Every pair of folds apart is compared: the time
 * grows with the square of the recordings, so it is told, and may be stopped (SER_E_CANCELLED). n_threads 0:
 * all cores; the result is the same with any number. */
ser_status ser_leaks_find(ser_leaks *out, const ser_corpus *c, const ser_folds *f,
                          ser_fingerprint *const *fingerprints, int n_threads, const ser_progress *progress,
                          ser_error *err);
/* Of n_folds models of which only the recordings that they were trained on are known: duplicates is the
 * caller's to count, the other numbers are -1. */
ser_status ser_leaks_unknown(ser_leaks *out, size_t n_folds, ser_error *err);
void ser_leaks_release(ser_leaks *l);

#endif
