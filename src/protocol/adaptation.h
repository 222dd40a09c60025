/* Adapting a model to a target without its labels, beside the model that has not been adapted, and choosing
 * between them, without the labels too. */
#ifndef SER_PROTOCOL_ADAPTATION_H
#define SER_PROTOCOL_ADAPTATION_H

#include "protocol/learn.h"

/* What can be said of one of the two models without the target's labels. */
typedef struct ser_adaptation_view {
    float *scores; /* (n of the target, n_labels) */
    /* Reverse validation (Zhong et al. 2010, "Cross Validation Framework to Choose amongst Models and
     * Datasets for Transfer Learning"): a linear model that learns the target with this model's answers as
     * labels is asked about the source, whose labels are known. UA, in percent. */
    double reverse_ua;
    double balance; /* entropy of the mean answer divided by its highest possible, 0 ... 1 */
} ser_adaptation_view;

typedef struct ser_adaptation {
    ser_learned source, adapted;
    ser_adaptation_view before, after;
    double agreement; /* percent of the target's recordings to which both give the same answer */
    bool kept_adapted;
    char reason[200];
} ser_adaptation;

/* source, target: standardised already where that is wanted; settings->transfer says how to adapt. Both
 * models learn alike, from all recordings of the source, but for the target's part in the loss. state: as in
 * ser_learn. */
ser_status ser_adaptation_run(ser_adaptation *out, const ser_learn_data *source,
                              const ser_learn_settings *settings, const char *state, ser_error *err);
void ser_adaptation_release(ser_adaptation *a);

/* Where a model sees the recordings of data: the hidden features of a projection, else the logits of the
 * first network. *out (n of data, *dims), free with ser_free. */
ser_status ser_adaptation_embed(float **out, size_t *dims, const ser_learned *model,
                                const ser_learn_data *data, const ser_nn_ops *ops, ser_error *err);

static inline const ser_adaptation_view *ser_adaptation_kept(const ser_adaptation *a)
{
    return a->kept_adapted ? &a->after : &a->before;
}

#endif
