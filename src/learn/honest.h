/* How a model does by stricter and stricter protocols, side by side: random folds flatter it where the same
 * voices, sentences or corpora are in both parts. */
#ifndef SER_LEARN_HONEST_H
#define SER_LEARN_HONEST_H

#include "learn/evaluate.h"

enum { SER_HONEST_RANDOM, SER_HONEST_SPEAKERS, SER_HONEST_TEXTS, SER_HONEST_CORPORA, SER_N_HONEST };

typedef struct ser_honest_row {
    const char *what;  /* "random folds", "speakers left out" */
    char protocol[24]; /* as --protocol has it: "group-kfold=5" */
    char reason[200];  /* why it cannot be done with this corpus; empty: it was done, and the rest is there */
    char prefix[28];   /* of its folds' states: "group-kfold=5-" */
    ser_folds *folds;
    bool known; /* the evaluation is the caller's */
    ser_evaluation evaluation;
} ser_honest_row;

/* What has been evaluated already, of the same data with the same settings but for the two that the protocol
 * decides. */
typedef struct ser_honest_known {
    ser_protocol protocol;
    bool speaker_disjoint, corpus_disjoint;
    const ser_evaluation *evaluation; /* must outlive the rows */
    /* Before the folds of a row are learned, whose states are called by prefix; NULL: nobody. */
    ser_status (*on_row)(void *context, const ser_folds *folds, const char *prefix, ser_error *err);
    void *context;
} ser_honest_known;

typedef struct ser_honest {
    ser_honest_row rows[SER_N_HONEST];
} ser_honest;

/* Of data that was taken in once. k: folds, at most (2 ...), fewer where there are fewer speakers or texts.
 * What learn.speaker_disjoint and learn.corpus_disjoint are is the protocols' to say, as is state_prefix.
 * known: is not done once more; or NULL. */
ser_status ser_honest_run(ser_honest *out, const ser_learn_data *data, int k,
                          const ser_evaluate_settings *settings, const ser_honest_known *known,
                          ser_error *err);
void ser_honest_release(ser_honest *h);

#endif
