/* Adapting a model to a target without its labels, beside the model that has not been adapted, and choosing
 * between them, without the labels too. */
#ifndef SER_LEARN_ADAPTATION_H
#define SER_LEARN_ADAPTATION_H

#include "learn/learn.h"

typedef struct ser_adaptation {
    ser_learned source, adapted;
    float *before, *after; /* scores of both on the target, (n of the target, n_labels): on average as sure as
                              the two agree */
    double agreement;      /* percent of the target's recordings to which both give the same answer */
    bool kept_adapted;
    char reason[200];
} ser_adaptation;

/* The adapted model is kept where both agree on half of the target's recordings at least: adaptation that
 * helps corrects answers, adaptation that harms replaces them. docs/cross-corpus.md shows what this decides.
 *
 * Of several sets of blocks the unadapted model's choice is taken, in which it sees both corpora closest.
 *
 * source, target: standardised already where that is wanted; settings->transfer says how to adapt. Both
 * models learn alike, from all recordings of the source, but for the target's part in the loss. state: as in
 * ser_learn. */
ser_status ser_adaptation_run(ser_adaptation *out, const ser_learn_data *source,
                              const ser_learn_settings *settings, const char *state, ser_error *err);
void ser_adaptation_release(ser_adaptation *a);

/* Where a model sees the recordings of data: the hidden features of a projection, else the logits of the
 * first network. *out (n of data, *dims), free with ser_free. */
ser_status ser_adaptation_embed(float **out, size_t *dims, const ser_learned *model,
                                const ser_learn_data *data, const ser_nn_ops *ops, int n_threads,
                                ser_error *err);

#endif
