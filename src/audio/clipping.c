#include "audio/clipping.h"

#include <math.h>

enum { FLAT = 3 };
static const float lowest_ceiling = 0.1f;
/* Of the ceiling: less than what the wave moves by before and after a flat top, together, and more than ten
 * steps of 16 bits: the top of a slow tone is as flat, but comes and goes by a step. */
static const float least_step = 0.003f;
static const float same_level = 1.001f;

/* A run has ended: next is the sample behind it. */
static void end_run(ser_clipping *c, float next)
{
    float level = fabsf(c->last);
    ser_ceiling *side = &c->sides[c->last < 0];
    if (c->n_run < FLAT || level < lowest_ceiling || level * same_level < side->peak ||
        fabsf(c->last - c->before) + fabsf(c->last - next) < least_step * level)
        return;
    if (level > side->level * same_level) { /* what was flat further down was no ceiling */
        side->n_in = 0;
        side->level = level;
    }
    side->n_in += c->n_run;
}

void ser_clipping_add(ser_clipping *c, const float *pcm, size_t n, size_t stride)
{
    for (size_t i = 0; i < n; i++) {
        float x = pcm[i * stride];
        if (x == c->last && c->n + i) {
            c->n_run++;
            continue;
        }
        end_run(c, x);
        ser_ceiling *side = &c->sides[x < 0];
        if (fabsf(x) > side->peak) /* fmaxf is a call */
            side->peak = fabsf(x);
        c->before = c->last;
        c->last = x;
        c->n_run = 1;
    }
    c->n += n;
}

double ser_clipping_share(const ser_clipping *c)
{
    uint64_t n_in = 0;
    for (size_t k = 0; k < 2; k++)
        if (c->sides[k].level * same_level >= c->sides[k].peak)
            n_in += c->sides[k].n_in;
    return c->n ? (double)n_in / (double)c->n : 0;
}
