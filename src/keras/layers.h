/* The temporal network as Keras sees it: a list of layers, each with its weights in Keras's order. */
#ifndef SER_KERAS_LAYERS_H
#define SER_KERAS_LAYERS_H

#include "model/timnet.h"

typedef struct ser_keras_weight {
    const char *name; /* "moving_mean" */
    int n_dims;
    size_t dims[3];
    size_t offset, n; /* among the network's values */
} ser_keras_weight;

typedef struct ser_keras_layer {
    char name[40]; /* "forward_block0_norm1" */
    int n_weights;
    ser_keras_weight weights[4];
} ser_keras_layer;

typedef struct ser_keras_layers {
    ser_keras_layer *items;
    size_t n;
} ser_keras_layers;

/* In the order of the layers of tools/timnet_keras.py's network, by which Keras assigns a file's layers. */
ser_status ser_keras_layers_init(ser_keras_layers *out, const ser_timnet *net, ser_error *err);
void ser_keras_layers_release(ser_keras_layers *l);

#endif
