#include "model/condense.h"

#include <string.h>

enum { MARGIN = 4 /* frames beside the active ones: 80 ms, about what a frame's encoder state sees */ };

static void find_active(size_t *from, size_t *to, const ser_frames *frames)
{
    size_t first = 0, end = frames->n;
    while (first < end && !frames->active[first])
        first++;
    while (end > first && !frames->active[end - 1])
        end--;
    if (first == end) /* nothing is active: nothing is cut off */
        return;
    *from = first < MARGIN ? 0 : first - MARGIN;
    *to = frames->n - end < MARGIN ? frames->n : end + MARGIN;
}

size_t ser_condense_frames(float *out, const ser_condense *c, const ser_frames *frames, size_t dims)
{
    size_t from = 0, to = frames->n, step = c->n_averaged > 1 ? c->n_averaged : 1, n = 0;
    if (c->trim)
        find_active(&from, &to, frames);
    for (; from < to; n++) {
        size_t n_here = to - from < step ? to - from : step;
        float *y = out + n * dims;
        memmove(y, frames->x + from * dims, dims * sizeof *y);
        for (size_t t = 1; t < n_here; t++)
            for (size_t i = 0; i < dims; i++)
                y[i] += frames->x[(from + t) * dims + i];
        for (size_t i = 0; i < dims && n_here > 1; i++)
            y[i] /= (float)n_here;
        from += n_here;
    }
    return n;
}
