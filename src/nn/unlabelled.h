/* Losses that ask no labels of the target's recordings. Each returns its value and adds weight times its
 * gradient. */
#ifndef SER_NN_UNLABELLED_H
#define SER_NN_UNLABELLED_H

#include <stddef.h>

/* The mean entropy of answers, in nats (Grandvalet and Bengio 2005, "Semi-supervised Learning by Entropy
 * Minimization", equation 4). scores (n, n_labels) are softmax(logits); dlogits as scores, or NULL. */
double ser_mean_entropy(float *dlogits, const float *scores, size_t n, size_t n_labels, double weight);

/* The entropy of the mean answer, in nats: high when the answers are spread over all classes (Shi and Sha
 * 2012, arXiv:1206.6438, section 2.3). */
double ser_entropy_of_mean(float *dlogits, const float *scores, size_t n, size_t n_labels, double weight);

#endif
