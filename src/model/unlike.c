#include "model/unlike.h"
#include "base/memory.h"
#include "model/linear.h"

#include <math.h>

/* What a temperature grows by for each reach beyond the first (chosen on corpora left out, altered until they
 * were that far away: docs/strangers.md). */
static const float per_reach = 3;

ser_status ser_unlike_init(ser_unlike *u, size_t n_in, ser_error *err)
{
    *u = (ser_unlike){.n_in = n_in,
                      .mean = ser_alloc(n_in, sizeof *u->mean),
                      .scale = ser_alloc(n_in, sizeof *u->scale),
                      .reach = 1};
    if (u->mean && u->scale)
        return SER_OK;
    ser_unlike_release(u);
    return ser_fail_nomem(err);
}

void ser_unlike_release(ser_unlike *u)
{
    ser_free(u->mean);
    ser_free(u->scale);
    *u = (ser_unlike){0};
}

double ser_unlike_distance(const ser_unlike *u, const float *x)
{
    double sum = 0, n = 0;
    for (size_t i = 0; i < u->n_in; i++) {
        sum += (double)fabsf((x[i] - u->mean[i]) * u->scale[i]);
        n += u->scale[i] != 0;
    }
    return n > 0 ? sum / n : 0;
}

float ser_unlike_times(const ser_unlike *u, const float *x)
{
    const double most = 1e30;
    double times = u->n_in ? ser_unlike_distance(u, x) / (double)u->reach : 0;
    return (float)(times > most ? most : times);
}

float ser_unlike_factor(float times)
{
    return times > 1 ? 1 + per_reach * (times - 1) : 1;
}

void ser_unlike_even_out(float *scores, size_t n, float factor)
{
    if (!(factor > 1))
        return;
    for (size_t i = 0; i < n; i++)
        scores[i] = logf(fmaxf(scores[i], 1e-30f));
    ser_softmax(scores, n, factor);
}
