/* weights.h5: the temporal network's values as Keras lays them out (its "legacy" HDF5 files), so that
 * load_weights() of Keras 2 and 3 reads them into the network of tools/timnet_keras.py, and its files come
 * back. */
#ifndef SER_KERAS_WEIGHTS_H
#define SER_KERAS_WEIGHTS_H

#include "base/text.h"
#include "model/timnet.h"

/* The file appears only when whole. The same values give the same bytes. */
ser_status ser_keras_weights_write(const char *path, const ser_timnet *net, ser_error *err);

/* Values of a network whose shape is known. SER_E_FORMAT names the layer and the sizes that are not net's;
 * on failure net's values are what they were. */
ser_status ser_keras_weights_read(const char *path, ser_timnet *net, ser_error *err);
/* The same from a file's bytes. */
ser_status ser_keras_weights_read_memory(const unsigned char *bytes, size_t n, ser_timnet *net,
                                         ser_error *err);

/* Layers of the network that a file does not have, or has in other sizes. */
typedef struct ser_keras_misfit {
    ser_text names;     /* "dense2, output" */
    size_t n, n_layers; /* of how many */
    ser_error first;    /* what is wrong with the first of them */
} ser_keras_misfit;

/* The same, but layers that do not fit keep the values they have, and are told in *misfit; layers that the
 * network has not are passed over. SER_E_FORMAT where none fits. */
ser_status ser_keras_weights_read_fitting(const char *path, ser_timnet *net, ser_keras_misfit *misfit,
                                          ser_error *err);
ser_status ser_keras_weights_read_fitting_memory(const unsigned char *bytes, size_t n, ser_timnet *net,
                                                 ser_keras_misfit *misfit, ser_error *err);
void ser_keras_misfit_release(ser_keras_misfit *m);

#endif
