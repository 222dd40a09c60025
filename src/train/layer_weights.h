/* A learned weighting of an encoder's hidden states: one scalar per layer, normalised by a softmax, learned
 * together with a softmax layer on the weighted sum of the layers (Yang et al. 2021, SUPERB,
 * arXiv:2105.01051, section 3). */
#ifndef SER_TRAIN_LAYER_WEIGHTS_H
#define SER_TRAIN_LAYER_WEIGHTS_H

#include "base/progress.h"
#include "model/linear.h"
#include "nn/ops.h"

enum { SER_MAX_WEIGHTED_LAYERS = 64 };

/* How rows of all layers become combined ones: layer l is width[sum[l]] features from first[l] on, and is
 * added to the sum of number sum[l], which begins at at[sum[l]] of a combined row. A sum of one layer is that
 * layer: features beside those of encoders. */
typedef struct ser_layering {
    size_t n_layers, n_sums, n_in, n_combined;
    size_t first[SER_MAX_WEIGHTED_LAYERS], sum[SER_MAX_WEIGHTED_LAYERS];
    size_t at[SER_MAX_WEIGHTED_LAYERS], width[SER_MAX_WEIGHTED_LAYERS]; /* (n_sums) */
} ser_layering;

/* The rows of a training part. Nothing is owned. */
typedef struct ser_layer_rows {
    const ser_layering *layering;
    const float *const *x;     /* (n): (n_in) each */
    const float *mean, *scale; /* (n_in): layers are read as (x - mean) * scale */
    const int *label;          /* (n) */
    const float *weight;       /* (n): of the losses */
    size_t n, n_labels;
} ser_layer_rows;

/* weight (n_layers) = softmax of logit (n_layers) over the layers of each sum. */
void ser_layer_softmax(float *weight, const float *logit, const ser_layering *layering);

/* z (n, n_combined): sums of weight (n_layers) times layers. */
ser_status ser_layers_combine(float *z, const ser_layer_rows *rows, const float *weight, ser_nn_work *work,
                              ser_error *err);

/* z gets rows of mean square length 1. Else the penalty would ask for one layer alone, whatever it knows,
 * because layers that differ cancel out in a sum and make it shorter. */
void ser_layers_normalise(float *z, const ser_layer_rows *rows);

/* The mean loss of l on z, what ser_layers_combine(weight) and ser_layers_normalise leave, and its gradient
 * by logit, (n_layers), where weight is ser_layer_softmax(logit). l's mean and scale are not looked at: it
 * reads z as it is. */
ser_status ser_layer_gradient(double *loss, float *gradient, const ser_layer_rows *rows, const float *weight,
                              const float *z, const ser_linear *l, ser_nn_work *work, ser_error *err);

typedef struct ser_layer_settings {
    double c; /* of the softmax layer, as in ser_softmax_fit */
    const ser_progress *progress;
    const char *what; /* for progress */
} ser_layer_settings;

/* weight (n_layers); the layers of a sum start alike. The same bits whatever the number of work's threads.
 * SER_E_FORMAT: a feature that is not finite; SER_E_CANCELLED. */
ser_status ser_layer_weights_fit(float *weight, const ser_layer_rows *rows,
                                 const ser_layer_settings *settings, ser_nn_work *work, ser_error *err);

/* The head of whole rows that says what l says of combined ones, z = ser_layers_combine(weight) with this
 * mean and scale (n_in). */
ser_status ser_layers_expand(ser_linear *out, const ser_linear *l, const float *weight,
                             const ser_layering *layering, const float *mean, const float *scale,
                             ser_error *err);

#endif
