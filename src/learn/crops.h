/* What a fine-tuning learns from: crops of a corpus's recordings, drawn so that no corpus, emotion or speaker
 * drowns the others, altered anew at each draw, each with a target and with the emotions that its corpus
 * could have said. */
#ifndef SER_LEARN_CROPS_H
#define SER_LEARN_CROPS_H

#include "audio/vary.h"
#include "corpus/corpus.h"
#include "data/condition.h"
#include "io/scratch.h"
#include "tune/fine_tune.h"

typedef struct ser_crops_settings {
    ser_variety variety;
    /* A group's share of the draws goes with its number of recordings to this power: 0 all groups alike, 1 as
     * they are. Emotions are those of a corpus, speakers those of a corpus's emotion. */
    double corpus_exponent, emotion_exponent, speaker_exponent;
    double neutral; /* how often neutral recordings are drawn, beside those of another emotion: so that plain
                       speech is not taken for something */
    double votes_share; /* 0 ... 1: of the target, where listeners were asked; the rest is what the speaker
                           meant */
    double mixup;       /* a crop is mixed with another, whose share is the smaller one of beta(mixup, mixup)
                           (Zhang et al. 2018, arXiv:1710.09412): up to 2; 0: none is */
    size_t max_samples; /* of a crop */
    size_t n_rooms;
    uint64_t seed;
    int n_threads; /* 0: all cores */
    const ser_progress *progress;
} ser_crops_settings;

/* What docs/strangers.md found: exponents 0, 0, 0.5, neutral 3 times, half votes, crops of 3 s, 64 rooms;
 * seed 46. */
ser_crops_settings ser_crops_default_settings(void);

/* Draws from here on are of no step: what they give is altered, but not mixed. */
#define SER_CROPS_APART (UINT64_C(1) << 62)

typedef struct ser_crops {
    ser_tune_rows rows; /* one per utterance of the corpus, in its order; read by ser_tune_train */
    const ser_corpus *corpus;
    ser_crops_settings settings;
    ser_scratch scratch;
    const int16_t *sound; /* of all recordings, in scratch */
    size_t *first;        /* (n): of each recording in sound */
    size_t *n_samples;    /* (n) */
    char (*sha256)[65];   /* (n): of the decoded samples, as a store knows them */
    float *target;        /* (n, n_labels) */
    bool *mask;           /* (n, n_labels) */
    double *weight;       /* (n): 0 for those that are not to be learned from */
    size_t *learned; /* those with a weight, n_learned: behind a voice others may speak, but only these */
    size_t n_learned;
    ser_condition
        condition; /* what recordings that are read as they are are altered by: of those that are asked */
    const char **names; /* (n) */
    ser_rooms *rooms;
    ser_vary_work **workers; /* one a thread */
    float *partners;         /* (n_workers, max_samples): what crops are mixed with */
    int n_workers;
} ser_crops;

/* Decodes the whole corpus, which must outlive *out. SER_E_FORMAT: a recording that cannot be read, votes for
 * none of the corpus's emotions; SER_E_IO: the disk is full. */
ser_status ser_crops_new(ser_crops **out, const ser_corpus *corpus, const ser_crops_settings *settings,
                         ser_error *err);
void ser_crops_free(ser_crops **crops);

/* From now on the recordings whose fold is not test_fold are drawn (fold NULL: all). SER_E_ARG: there are
 * none. */
ser_status ser_crops_select(ser_crops *crops, const int *fold, int test_fold, ser_error *err);

#endif
