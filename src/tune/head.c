/* Statistics over time, and the head on them. */
#include "base/vector.h"
#include "tune/parts.h"

#include <math.h>
#include <string.h>

/* Means and deviations over time as src/model/pool.c has them: x (n_frames, dims) -> y (2 dims). */
SER_FAST_STATIC(void, pool_frames, (float *y, const float *x, size_t n_frames, size_t dims),
                (y, x, n_frames, dims))
{
    enum { PIECE = 64 };
    for (size_t first = 0; first < dims; first += PIECE) {
        size_t n = dims - first < PIECE ? dims - first : PIECE;
        double sum[PIECE] = {0}, squares[PIECE] = {0};
        for (size_t t = 0; t < n_frames; t++)
            for (size_t i = 0; i < n; i++)
                sum[i] += (double)x[t * dims + first + i];
        for (size_t i = 0; i < n; i++)
            sum[i] /= (double)n_frames;
        for (size_t t = 0; t < n_frames; t++)
            for (size_t i = 0; i < n; i++) {
                double d = (double)x[t * dims + first + i] - sum[i];
                squares[i] += d * d;
            }
        for (size_t i = 0; i < n; i++) {
            y[first + i] = (float)sum[i];
            y[dims + first + i] = (float)sqrt(squares[i] / (double)n_frames);
        }
    }
}

typedef struct pooling {
    const ser_tune_work *w;
    float *pooled;
    const float *given, *dpooled; /* backward */
    size_t state;
} pooling;

static ser_status pool_one(void *context, size_t item, ser_nn_work *nn, ser_error *err)
{
    (void)nn;
    (void)err;
    const pooling *p = context;
    const ser_tune_shape *s = &p->w->net->shape;
    const tune_utterance *u = &p->w->utterances[item];
    for (size_t j = p->w->from_hidden ? ser_tune_n_below(s) / 2 : 0; j < s->n_pooled; j++)
        pool_frames(p->pooled + item * p->w->net->n_in + 2 * j * s->dims,
                    ser_tune_hidden(p->w, s->pooled[j]) + u->first * s->dims, u->n_frames, s->dims);
    return SER_OK;
}

ser_status ser_tune_pool(const ser_tune_work *w, float *pooled, ser_error *err)
{
    pooling p = {.w = w, .pooled = pooled};
    return ser_nn_parallel_for(w->nn, w->n, pool_one, &p, err);
}

/* dx += share * (dmean + dstd (x - mean) / std), for each frame. */
SER_FAST_STATIC(void, unpool_frames,
                (float *restrict dx, const float *restrict x, const float *restrict mean,
                 const float *restrict std, const float *restrict dmean, const float *restrict dstd,
                 size_t n_frames, size_t dims),
                (dx, x, mean, std, dmean, dstd, n_frames, dims))
{
    float share = 1 / (float)n_frames;
    for (size_t t = 0; t < n_frames; t++, x += dims, dx += dims)
        for (size_t k = 0; k < dims; k++) {
            float to_std = std[k] > 0 ? dstd[k] / std[k] : 0;
            dx[k] += share * (dmean[k] + to_std * (x[k] - mean[k]));
        }
}

static ser_status unpool_one(void *context, size_t item, ser_nn_work *nn, ser_error *err)
{
    (void)nn;
    (void)err;
    const pooling *p = context;
    const ser_tune_shape *s = &p->w->net->shape;
    const tune_utterance *u = &p->w->utterances[item];
    size_t at = item * p->w->net->n_in + 2 * p->state * s->dims, frames = u->first * s->dims;
    const float *mean = p->given + at, *dmean = p->dpooled + at;
    unpool_frames(p->w->gradients.dx + frames, ser_tune_hidden(p->w, s->pooled[p->state]) + frames, mean,
                  mean + s->dims, dmean, dmean + s->dims, u->n_frames, s->dims);
    return SER_OK;
}

ser_status ser_tune_pool_backward(const ser_tune_work *w, size_t state, const float *dpooled,
                                  const float *pooled, ser_error *err)
{
    pooling p = {.w = w, .given = pooled, .dpooled = dpooled, .state = state};
    return ser_nn_parallel_for(w->nn, w->n, unpool_one, &p, err);
}

/* What the head makes of number k of a recording's statistics. */
static float head_input(const ser_tune_net *net, const float *pooled, const float *dropout, size_t k)
{
    float z = (pooled[k] - net->centre[k]) * net->factor[k];
    return dropout ? z * dropout[k] : z;
}

void ser_tune_head_forward(const ser_tune_net *net, float *logits, const float *pooled, const float *dropout,
                           size_t n)
{
    const float *weights = net->values + ser_tune_net_find(net, "head.weight")->at;
    const float *bias = net->values + ser_tune_net_find(net, "head.bias")->at;
    size_t n_labels = net->shape.n_labels, n_in = net->n_in;
    for (size_t i = 0; i < n; i++)
        for (size_t o = 0; o < n_labels; o++) {
            const float *drop = dropout ? dropout + i * n_in : NULL;
            double sum = 0;
            for (size_t k = 0; k < n_in; k++)
                sum += (double)head_input(net, pooled + i * n_in, drop, k) * (double)weights[o * n_in + k];
            logits[i * n_labels + o] = (float)((double)bias[o] + sum);
        }
}

void ser_tune_head_backward(const ser_tune_work *w, float *dpooled, const float *dlogits, const float *pooled,
                            const float *dropout)
{
    const ser_tune_net *net = w->net;
    size_t n_in = net->n_in, n_labels = net->shape.n_labels;
    const float *weights = net->values + w->at.head;
    float *dweights = ser_tune_gradient(w, w->at.head), *dbias = ser_tune_gradient(w, w->at.head_bias);
    memset(dweights, 0, n_labels * n_in * sizeof *dweights);
    memset(dbias, 0, n_labels * sizeof *dbias);
    memset(dpooled, 0, w->n * n_in * sizeof *dpooled);
    for (size_t i = 0; i < w->n; i++)
        for (size_t o = 0; o < n_labels; o++) {
            float d = dlogits[i * n_labels + o];
            const float *drop = dropout ? dropout + i * n_in : NULL;
            dbias[o] += d;
            for (size_t k = 0; k < n_in; k++) {
                dweights[o * n_in + k] += d * head_input(net, pooled + i * n_in, drop, k);
                dpooled[i * n_in + k] += d * weights[o * n_in + k] * net->factor[k] * (drop ? drop[k] : 1);
            }
        }
}
