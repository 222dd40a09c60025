#include "nn/nonlinearity.h"
#include "nn/trainable.h"

SER_INLINE void forward(void *out, float *mean, const ser_nn_gate *g, bool half, ser_nonlinearity f)
{
    const float *scale = g->norm_act->scale, *shift = g->norm_act->shift, *keep = g->norm_act->keep;
    size_t n = g->norm_act->n_channels;
    float share = 1 / (float)g->n_frames;
    memset(mean, 0, n * sizeof *mean);
    for (size_t t = 0; t < g->n_frames; t++)
        for (size_t i = 0; i < n; i += SER_N_LANES) {
            size_t at = t * n + i, left = n - i;
            ser_lanes u = ser_row_load_as(g->y, half, at, left) * ser_row_load(scale, i, left) +
                          ser_row_load(shift, i, left);
            ser_lanes z = ser_row_load(keep, i, left) * ser_lanes_nonlinearity(f, u);
            ser_lanes v = ser_row_load_as(g->x, half, at, left) * ser_lanes_sigmoid(z);
            if (out)
                ser_row_store_as(out, half, at, left, v);
            ser_row_store(mean, i, left, ser_row_load(mean, i, left) + v * share);
        }
}

SER_INLINE void forward_typed(void *out, float *mean, const ser_nn_gate *g, ser_nonlinearity f)
{
    if (g->type == SER_BF16)
        forward(out, mean, g, true, f);
    else
        forward(out, mean, g, false, f);
}

SER_FAST(void, ser_nn_gate_forward, (void *out, float *mean, const ser_nn_gate *g), (out, mean, g))
{
    switch (g->norm_act->f) { /* outside the loops */
    case SER_ELU:
        forward_typed(out, mean, g, SER_ELU);
        break;
    case SER_SWISH:
        forward_typed(out, mean, g, SER_SWISH);
        break;
    case SER_TANH:
        forward_typed(out, mean, g, SER_TANH);
        break;
    default:
        forward_typed(out, mean, g, SER_RELU);
    }
}

/* forward was: out = x s, s = sigmoid(z), z = keep f(u), u = y scale + shift, so: dx = dout s,
 * dz = dout x s (1 - s), du = dz keep f'(u). */
SER_INLINE void backward_frame(const ser_nn_gate_gradient *d, const ser_nn_gate *g, bool half,
                               ser_nonlinearity f, size_t t)
{
    const ser_nn_norm_act *p = g->norm_act;
    size_t n = p->n_channels;
    float share = 1 / (float)g->n_frames;
    for (size_t i = 0; i < n; i += SER_N_LANES) {
        size_t at = t * n + i, left = n - i;
        ser_lanes y = ser_row_load_as(g->y, half, at, left), keep = ser_row_load(p->keep, i, left);
        ser_lanes u = y * ser_row_load(p->scale, i, left) + ser_row_load(p->shift, i, left);
        ser_lanes s = ser_lanes_sigmoid(keep * ser_lanes_nonlinearity(f, u));
        ser_lanes dx = ser_row_load(d->dmean, i, left) * share;
        if (d->dout)
            dx += ser_row_load_as(d->dx, half, at, left) + ser_row_load(d->dout, at, left);
        dx *= s;
        ser_row_store_as(d->dx, half, at, left, dx);
        ser_lanes dz = dx * (1 - s) * ser_row_load_as(g->x, half, at, left);
        ser_lanes du = dz * keep * ser_lanes_derivative(f, u);
        ser_row_store_as(d->du, half, at, left, du);
        ser_row_store(d->sum, i, left, ser_row_load(d->sum, i, left) + du);
        ser_lanes away = (y - ser_row_load(p->centre, i, left)) * ser_row_load(p->inverse, i, left);
        ser_row_store(d->sum_x, i, left, ser_row_load(d->sum_x, i, left) + du * away);
    }
}

SER_INLINE void backward(const ser_nn_gate_gradient *d, const ser_nn_gate *g, bool half, ser_nonlinearity f)
{
    for (size_t t = 0; t < g->n_frames; t++)
        backward_frame(d, g, half, f, t);
}

SER_INLINE void backward_typed(const ser_nn_gate_gradient *d, const ser_nn_gate *g, ser_nonlinearity f)
{
    if (g->type == SER_BF16)
        backward(d, g, true, f);
    else
        backward(d, g, false, f);
}

SER_FAST(void, ser_nn_gate_backward, (const ser_nn_gate_gradient *d, const ser_nn_gate *g), (d, g))
{
    switch (g->norm_act->f) {
    case SER_ELU:
        backward_typed(d, g, SER_ELU);
        break;
    case SER_SWISH:
        backward_typed(d, g, SER_SWISH);
        break;
    case SER_TANH:
        backward_typed(d, g, SER_TANH);
        break;
    default:
        backward_typed(d, g, SER_RELU);
    }
}
