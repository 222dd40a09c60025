/* Fewer frames for a temporal network: the silence before and after an utterance is cut off, neighbours are
 * averaged. */
#ifndef SER_MODEL_CONDENSE_H
#define SER_MODEL_CONDENSE_H

#include "extract/extract.h"

enum { SER_MAX_AVERAGED = 64 };

/* A zeroed struct leaves frames as they are. */
typedef struct ser_condense {
    size_t n_averaged; /* so many neighbours become one frame; 0 and 1: none are averaged */
    bool trim;         /* frames before the first and after the last active one are left out, but for a few */
} ser_condense;

/* out (at least frames->n, dims) receives the frames that are left, at least one of frames->n > 0; returns
 * how many. out may be frames->x. */
size_t ser_condense_frames(float *out, const ser_condense *c, const ser_frames *frames, size_t dims);

#endif
