#include "audio/outline.h"

#include <math.h>
#include <string.h>

enum { FIRST_CELL = 16 }; /* samples: 1 ms */

static void merge_cells(ser_outline *o)
{
    const size_t half = SER_OUTLINE_CELLS / 2;
    for (size_t i = 0; i < half; i++)
        o->peaks[i] = fmaxf(o->peaks[2 * i], o->peaks[2 * i + 1]);
    memset(o->peaks + half, 0, half * sizeof *o->peaks);
    o->n_per_cell *= 2;
}

void ser_outline_add(ser_outline *o, const float *pcm, size_t n)
{
    if (!o->n_per_cell)
        o->n_per_cell = FIRST_CELL;
    while (n) {
        if (o->n_samples == o->n_per_cell * SER_OUTLINE_CELLS)
            merge_cells(o);
        float *cell = &o->peaks[o->n_samples / o->n_per_cell];
        uint64_t n_left = o->n_per_cell - o->n_samples % o->n_per_cell;
        size_t n_now = n < n_left ? n : (size_t)n_left;
        for (size_t i = 0; i < n_now; i++)
            *cell = fmaxf(*cell, fabsf(pcm[i]));
        o->n_samples += n_now;
        pcm += n_now;
        n -= n_now;
    }
}

void ser_outline_peaks(const ser_outline *o, float *peaks, size_t n_peaks)
{
    double n_cells = o->n_per_cell ? (double)o->n_samples / (double)o->n_per_cell : 0;
    for (size_t i = 0; i < n_peaks; i++) {
        size_t first = (size_t)(n_cells * (double)i / (double)n_peaks);
        size_t end = (size_t)ceil(n_cells * (double)(i + 1) / (double)n_peaks);
        peaks[i] = 0;
        for (size_t k = first; k < end && k < SER_OUTLINE_CELLS; k++)
            peaks[i] = fmaxf(peaks[i], o->peaks[k]);
    }
}
