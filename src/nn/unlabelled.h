/* Losses that ask no labels of the target's recordings. Each returns its value and adds weight times its
 * gradient. */
#ifndef SER_NN_UNLABELLED_H
#define SER_NN_UNLABELLED_H

#include <stddef.h>

/* CORAL: the squared distance of two groups' covariances, divided by 4 dims^2 (Sun and Saenko 2016,
 * arXiv:1607.01719, equations 1 to 3). x (n_source + n_target, dims), the source's first; dx as x, or NULL.
 * scratch: dims^2 + 2 dims floats. 0 where a group has fewer than two. */
double ser_coral(float *dx, const float *x, size_t n_source, size_t n_target, size_t dims, double weight,
                 float *scratch);

/* The mean entropy of answers, in nats (Grandvalet and Bengio 2005, "Semi-supervised Learning by Entropy
 * Minimization", equation 4). scores (n, n_labels) are softmax(logits); dlogits as scores, or NULL. */
double ser_mean_entropy(float *dlogits, const float *scores, size_t n, size_t n_labels, double weight);

/* The entropy of the mean answer, in nats: high when the answers are spread over all classes (Shi and Sha
 * 2012, arXiv:1206.6438, section 2.3). */
double ser_entropy_of_mean(float *dlogits, const float *scores, size_t n, size_t n_labels, double weight);

#endif
