/* Adapting a head to recordings whose emotions nobody told, without those that it was trained on. */
#ifndef SER_MODEL_ADAPT_HEAD_H
#define SER_MODEL_ADAPT_HEAD_H

#include "model/linear.h"

enum { SER_ADAPT_MIN_RECORDINGS = 20 };

/* Information maximisation (Shi and Sha 2012; Liang et al. 2020, "Do We Really Need to Access the Source
 * Data?", arXiv:2002.08546, section 3.2): answers to x (n rows of n_in) become sure each and different
 * together, while weights stay near where they were, the nearer the fewer recordings there are. All emotions
 * should occur among them, in numbers that do not differ too much. Same input, same bits. SER_E_ARG: fewer
 * than SER_ADAPT_MIN_RECORDINGS; SER_E_FORMAT: features that are not finite. */
ser_status ser_linear_adapt(ser_linear *l, const float *const *x, size_t n, ser_error *err);

#endif
