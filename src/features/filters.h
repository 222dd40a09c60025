/* The triangular mel filters, as the mel spectrogram uses them: only their nonzero ranges. */
#ifndef SER_FEATURES_FILTERS_H
#define SER_FEATURES_FILTERS_H

#include "features/mel.h"

typedef struct ser_mel_filter {
    int first_bin, n_chunks; /* covers bins first_bin ... first_bin + 16 n_chunks - 1 */
    size_t first_weight;     /* in weights; 16 n_chunks of them, zero beyond the triangle */
} ser_mel_filter;

typedef struct ser_mel_filters {
    ser_mel_filter *bands; /* n_mels */
    float *weights;
} ser_mel_filters;

/* s has been checked. On failure f holds what was made so far: release it. */
ser_status ser_mel_filters_init(ser_mel_filters *f, const ser_mel_settings *s, ser_error *err);
void ser_mel_filters_release(ser_mel_filters *f);

#endif
