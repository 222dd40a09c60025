/* How loud a recording is over time, kept in the same memory for any length. */
#ifndef SER_AUDIO_OUTLINE_H
#define SER_AUDIO_OUTLINE_H

#include <stddef.h>
#include <stdint.h>

enum { SER_OUTLINE_CELLS = 2048 };

typedef struct ser_outline {
    float peaks[SER_OUTLINE_CELLS]; /* the largest absolute sample of each n_per_cell samples */
    uint64_t n_per_cell, n_samples; /* n_per_cell doubles whenever the cells are full; 0: nothing yet */
} ser_outline;

void ser_outline_add(ser_outline *o, const float *pcm, size_t n);

/* The largest absolute sample of n_peaks equal parts, to the precision of a cell: 0.1 % of the length. */
void ser_outline_peaks(const ser_outline *o, float *peaks, size_t n_peaks);

#endif
