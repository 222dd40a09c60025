/* Figures of merit: predictions in; UA, WA, F1, intervals, calibration error, confusion matrix out. */
#ifndef SER_METRICS_METRICS_H
#define SER_METRICS_METRICS_H

#include "base/status.h"
#include <stddef.h>
#include <stdint.h>

typedef struct ser_class_figures {
    double precision, recall, f1; /* 0 ... 1; 0 where undefined */
    size_t support;
} ser_class_figures;

typedef struct ser_figures {
    double ua, wa, f1; /* percent: mean recall over the labels that occur, accuracy, macro F1 over them */
    double loss; /* mean negative log probability of the truth, natural logarithm, probabilities floored at
                    1e-12 */
    double ece;  /* percent: expected calibration error of the top label, 15 bins of equal width */
    double ua_ci95[2], wa_ci95[2];
    size_t n, n_labels;
    size_t *confusion;            /* (n_labels, n_labels), rows: truth */
    ser_class_figures *per_class; /* n_labels */
} ser_figures;

/* scores (n, n_labels), truth (n). group (n): the speaker of each, any numbers, resampled whole for the
 * intervals (NULL: single recordings). n_resamples 0: no intervals; else percentiles 2.5 and 97.5 (linear
 * interpolation). SER_E_ARG: n is 0, a truth that is no label, a score that is not finite. */
ser_status ser_figures_compute(ser_figures *out, const float *scores, const int *truth, const int *group,
                               size_t n, size_t n_labels, int n_resamples, uint64_t seed, ser_error *err);
void ser_figures_release(ser_figures *f);

/* The intervals alone: predicted (n), n_resamples > 0. ua_resamples (n_resamples; NULL: nobody asks) gets the
 * UA of each resample. */
ser_status ser_bootstrap(double ua_ci95[2], double wa_ci95[2], const int *predicted, const int *truth,
                         const int *group, size_t n, size_t n_labels, int n_resamples, uint64_t seed,
                         double *ua_resamples, ser_error *err);
/* Percentiles 2.5 and 97.5 of x (n), which is sorted. */
void ser_ci95(double ci95[2], double *x, size_t n);

/* UA and WA in percent of a confusion matrix (n_labels, n_labels), rows: truth; 0 when it is empty. */
double ser_ua(const size_t *confusion, size_t n_labels);
double ser_wa(const size_t *confusion, size_t n_labels);

/* Expected calibration error (Naeini et al. 2015) and its bins, for the reliability picture. */
enum { SER_ECE_BINS = 15 };
typedef struct ser_reliability {
    size_t count[SER_ECE_BINS];
    double confidence[SER_ECE_BINS], accuracy[SER_ECE_BINS]; /* means, 0 ... 1 */
    double ece;                                              /* percent */
} ser_reliability;
void ser_reliability_compute(ser_reliability *out, const float *scores, const int *truth, size_t n,
                             size_t n_labels);

int ser_argmax(const float *scores, size_t n_labels); /* the first of equals */

#endif
