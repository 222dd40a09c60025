/* Statistics over time, and the head on them. */
#include "base/memory.h"
#include "tune/parts.h"

#include <math.h>
#include <string.h>

/* Means and deviations over time as src/model/pool.c has them: x (n_frames, dims) -> y (2 dims). */
static void pool_frames(float *y, const float *x, size_t n_frames, size_t dims)
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

void ser_tune_pool(const ser_tune_work *w, float *pooled)
{
    const ser_tune_shape *s = &w->net->shape;
    for (size_t i = 0; i < w->n; i++)
        for (size_t j = 0; j < s->n_pooled; j++)
            pool_frames(pooled + i * w->net->n_in + 2 * j * s->dims,
                        ser_tune_hidden(w, s->pooled[j]) + w->utterances[i].first * s->dims,
                        w->utterances[i].n_frames, s->dims);
}

void ser_tune_pool_backward(const ser_tune_work *w, size_t state, const float *dpooled, const float *pooled)
{
    const ser_tune_shape *s = &w->net->shape;
    size_t dims = s->dims;
    const float *all = ser_tune_hidden(w, s->pooled[state]);
    for (size_t i = 0; i < w->n; i++) {
        const tune_utterance *u = &w->utterances[i];
        size_t at = i * w->net->n_in + 2 * state * dims;
        const float *mean = pooled + at, *deviation = mean + dims, *dmean = dpooled + at,
                    *dstd = dmean + dims;
        float share = 1 / (float)u->n_frames;
        for (size_t t = u->first; t < u->first + u->n_frames; t++) {
            const float *x = all + t * dims;
            float *dx = w->gradients.dx + t * dims;
            for (size_t k = 0; k < dims; k++) {
                float to_std = deviation[k] > 0 ? dstd[k] / deviation[k] : 0;
                dx[k] += share * (dmean[k] + to_std * (x[k] - mean[k]));
            }
        }
    }
}

void ser_tune_head_forward(const ser_tune_net *net, float *logits, const float *pooled, const float *dropout,
                           size_t n)
{
    const float *weights = net->values + ser_tune_net_find(net, "head.weight")->at;
    const float *bias = net->values + ser_tune_net_find(net, "head.bias")->at;
    for (size_t i = 0; i < n; i++)
        for (size_t o = 0; o < net->shape.n_labels; o++) {
            const float *x = pooled + i * net->n_in, *w = weights + o * net->n_in;
            double sum = (double)bias[o];
            for (size_t k = 0; k < net->n_in; k++) {
                float z = (x[k] - net->centre[k]) * net->factor[k];
                sum += (double)(dropout ? z * dropout[i * net->n_in + k] : z) * (double)w[k];
            }
            logits[i * net->shape.n_labels + o] = (float)sum;
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
            dbias[o] += d;
            for (size_t k = 0; k < n_in; k++) {
                float by = dropout ? dropout[i * n_in + k] : 1;
                float z = (pooled[i * n_in + k] - net->centre[k]) * net->factor[k];
                dweights[o * n_in + k] += d * z * by;
                dpooled[i * n_in + k] += d * weights[o * n_in + k] * net->factor[k] * by;
            }
        }
}
