/* Domain adaptation of the `linear` model: a projection of pooled features and a softmax layer on it, learned
 * from labelled recordings of a source and unlabelled ones of a target. Both are linear, so that what is
 * learned is one linear head. Further terms of the loss draw the target's recordings to the source's, class
 * by class or as a whole, or apart from each other. */
#ifndef SER_TRAIN_ADAPT_H
#define SER_TRAIN_ADAPT_H

#include "base/progress.h"
#include "model/linear.h"
#include "nn/ops.h"

/* What the terms beside the source's cross-entropy count, all multiplied by ser_lmmd_schedule; 0: a term is
 * left out. */
typedef struct ser_adapt_weights {
    double lmmd;    /* local maximum mean discrepancy of the hidden features: lmmd.h */
    double entropy; /* of each answer on the target (Grandvalet and Bengio 2005) */
    double balance; /* entropy of the mean answer on the target, which is to be high (Shi and Sha 2012,
                       arXiv:1206.6438) */
} ser_adapt_weights;

/* Nothing is owned. */
typedef struct ser_adapt_rows {
    const float *const *source; /* (n_source): (n_in) each, altered copies too */
    const int *label;           /* (n_source): 0 ... n_labels-1 */
    const float *const *target; /* (n_target), unlabelled */
    size_t n_source, n_target, n_in, n_labels;
} ser_adapt_rows;

/* Means over an epoch, which is 15 batches; those that were not asked for are measured too. */
typedef struct ser_adapt_epoch {
    size_t epoch, n_epochs; /* 1 ... n_epochs */
    double source_loss;     /* cross-entropy, in nats */
    double source_accuracy; /* percent */
    double lmmd, entropy, balance;
    double rate; /* of the last step */
} ser_adapt_epoch;

typedef struct ser_adapt_settings {
    size_t n_hidden, n_epochs, batch_size; /* a batch has so many recordings of the source, in which classes
                                              are equally frequent, and so many of the target */
    double rate, beta1, beta2, dropout;    /* the rate falls to 0 along a straight line */
    double input_scale;                    /* what is read is multiplied by it */
    ser_adapt_weights weights;
    uint64_t seed;
    const ser_nn_ops *ops; /* engine and precision */
    int n_threads;
    void (*on_epoch)(void *context, const ser_adapt_epoch *e); /* NULL: nobody */
    void *context;
    const ser_progress *progress; /* asked after every epoch */
    const char *what;             /* for progress */
} ser_adapt_settings;

/* One of 128 hidden features, 40 epochs of batches of 96, rate 1e-3, dropout 0.5, inputs of length 12; no
 * weights. */
ser_adapt_settings ser_adapt_default_settings(void);

typedef struct ser_adapted {
    ser_linear head;    /* of the features as they are */
    float *projection;  /* (n_in, n_hidden): hidden features = projection^T x + hidden_bias */
    float *hidden_bias; /* (n_hidden) */
    size_t n_hidden;
    ser_adapt_epoch *history;
    size_t n_epochs;
} ser_adapted;

/* mean, scale (n_in): features are read as (x - mean) * scale; scale 0 leaves one out. Bits depend on seed,
 * precision and data, not on n_threads. SER_E_ARG: settings or rows that make no training; SER_E_FORMAT: a
 * feature that is not finite; SER_E_CANCELLED: the progress said so. */
ser_status ser_adapt(ser_adapted *out, const ser_adapt_rows *rows, const float *mean, const float *scale,
                     const ser_adapt_settings *settings, ser_error *err);
void ser_adapted_release(ser_adapted *a);

/* hidden (n_hidden) features of x (n_in). */
void ser_adapted_project(const ser_adapted *a, float *hidden, const float *x, size_t n_in);

#endif
