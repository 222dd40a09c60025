/* Two-dimensional maps of rows with many numbers, to be looked at: xy (n, 2) of x (n, dims). Both are
 * deterministic, and both refuse numbers that are not finite (SER_E_ARG). */
#ifndef SER_REPORT_MAP_H
#define SER_REPORT_MAP_H

#include "base/progress.h"
#include "base/status.h"

/* The first two principal components: (row - mean of the rows) times each of the two directions in which the
 * rows vary most. Of a direction and its opposite the one is taken whose largest coordinate is positive. A
 * component without any variance is 0. */
ser_status ser_pca_2d(float *xy, const float *x, size_t n, size_t dims, ser_error *err);

/* t-SNE (van der Maaten and Hinton 2008, "Visualizing Data using t-SNE", JMLR 9), exact, of perplexity 30 or
 * a third of the other rows, started from the principal components: neighbours stay neighbours, distances
 * mean little. Time and memory grow with n^2: 2500 rows take seconds and 30 MB beside a copy of x; draw a
 * sample of more. Up to three rows, for which there is nothing to arrange, are laid out by their principal
 * components. Bits depend on x alone, not on n_threads (0: all cores). SER_E_CANCELLED: the progress said so.
 */
ser_status ser_tsne_2d(float *xy, const float *x, size_t n, size_t dims, int n_threads,
                       const ser_progress *progress, ser_error *err);

#endif
