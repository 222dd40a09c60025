/* A temporal network's weights in the form in which they are exported. */
#ifndef SER_EXPORT_NETWORK_H
#define SER_EXPORT_NETWORK_H

#include "model/timnet_model.h"

/* A convolution with the normalisation behind it: kernel (kernel_size, n_filters, n_filters), bias
 * (n_filters). */
void ser_export_fold_conv(float *kernel, float *bias, const ser_timnet *net, const ser_timnet_conv *c);

/* from: rows (row) of what m reads; to (l->dims, row), zeroed, one for each value of a whole frame: those of
 * what m does not read stay zero, so that mean, scale and kernel laid out like this leave it out. */
void ser_export_place_blocks(float *to, const ser_timnet_layout *l, const ser_timnet_member *m,
                             const float *from, size_t row);

#endif
