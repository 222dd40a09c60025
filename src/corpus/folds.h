/* Which utterance is tested in which fold. */
#ifndef SER_CORPUS_FOLDS_H
#define SER_CORPUS_FOLDS_H

#include "corpus/corpus.h"
#include <stdbool.h>
#include <stdint.h>

typedef enum ser_protocol_kind {
    SER_PROTOCOL_EMOBOX,
    SER_PROTOCOL_LOSO,
    SER_PROTOCOL_KFOLD,
    SER_PROTOCOL_GROUP_KFOLD,
    SER_PROTOCOL_TEXT_KFOLD,
    SER_PROTOCOL_LOCO
} ser_protocol_kind;

typedef struct ser_protocol {
    ser_protocol_kind kind;
    int k;                  /* KFOLD, GROUP_KFOLD, TEXT_KFOLD */
    const char *folds_path; /* EMOBOX: CSV with utterance,test_fold; NULL: the corpus's own fold column */
} ser_protocol;

/* "emobox", "loso", "loco", "kfold=5", "group-kfold=6", "text-kfold=5"; SER_E_ARG names the allowed words.
 * folds_path is left alone.
 */
ser_status ser_protocol_parse(ser_protocol *p, const char *text, ser_error *err);

/* A fold's number, 0 to largest; also "1.0" or "1,0", as tables write it where some are missing. */
bool ser_fold_parse(long *fold, const char *text, long largest);

typedef struct ser_folds {
    int *test_fold; /* of each utterance, 0 ... n_folds-1 */
    char **names;   /* of each fold: "1", or the speaker or corpus left out */
    size_t n_folds; /* at least 2; each has recordings */
    size_t n_utterances;
} ser_folds;

/* KFOLD: random, stratified by label. GROUP_KFOLD: no speaker in two folds, folds of similar size and label
 * mix. TEXT_KFOLD: no text in two folds. All depend on seed alone. A fold list names utterances as the corpus
 * does or, where corpora are joined, without the corpus's name in front. LOCO: one fold for each of the
 * corpora joined. SER_E_ARG: more folds than recordings, speakers or texts, speakers or texts unknown, no
 * fold list, one corpus alone, corpora of which none has an emotion of another. SER_E_FORMAT: a recording
 * without a fold, an utterance or a fold without recordings.
 */
ser_status ser_folds_new(ser_folds **out, const ser_corpus *c, const ser_protocol *p, uint64_t seed,
                         ser_error *err);
void ser_folds_free(ser_folds **f);
/* Bits of the emotions that recordings outside the fold have. */
uint64_t ser_folds_emotions_outside(const ser_folds *f, const ser_corpus *c, int fold);
/* How many recordings of the fold have one of them. */
size_t ser_folds_n_askable(const ser_folds *f, const ser_corpus *c, int fold);

/* The same for any subset inside a training part: labels and groups (speakers) of n items, k folds into
 * fold[n]. group NULL, or one group only: stratified by label alone. Used for choosing hyper-parameters and
 * calibration. k is lowered to what items and groups allow; *n_folds is what was made, at least 2. SER_E_ARG:
 * fewer than 2 items or folds asked for. */
ser_status ser_folds_split(int *fold, int *n_folds, const int *label, const int *group, size_t n, int k,
                           uint64_t seed, ser_error *err);

#endif
