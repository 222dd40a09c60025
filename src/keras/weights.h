/* weights.h5: the temporal network's values as Keras lays them out (its "legacy" HDF5 files), so that
 * load_weights() of Keras 2 and 3 reads them into the network of tools/timnet_keras.py, and its files come
 * back. */
#ifndef SER_KERAS_WEIGHTS_H
#define SER_KERAS_WEIGHTS_H

#include "model/timnet.h"

/* The file appears only when whole. The same values give the same bytes. */
ser_status ser_keras_weights_write(const char *path, const ser_timnet *net, ser_error *err);

/* Values of a network whose shape is known. SER_E_FORMAT names the layer and the sizes that are not net's;
 * on failure net's values are what they were. */
ser_status ser_keras_weights_read(const char *path, ser_timnet *net, ser_error *err);
/* The same from a file's bytes. */
ser_status ser_keras_weights_read_memory(const unsigned char *bytes, size_t n, ser_timnet *net,
                                         ser_error *err);

#endif
