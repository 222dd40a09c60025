#include "nn/rows.h"
#include "nn/trainable.h"

static const char *const names[] = {"relu", "elu", "swish", "tanh"};

bool ser_nonlinearity_parse(ser_nonlinearity *out, const char *name)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0) {
            *out = (ser_nonlinearity)i;
            return true;
        }
    return false;
}

const char *ser_nonlinearity_name(ser_nonlinearity f)
{
    return names[f];
}

SER_INLINE ser_lanes apply(ser_nonlinearity f, ser_lanes u)
{
    switch (f) {
    case SER_ELU:
        return ser_lanes_select(u > 0, u, ser_lanes_exp(ser_lanes_select(u > 0, ser_lanes_of(0), u)) - 1);
    case SER_SWISH:
        return u * ser_lanes_sigmoid(u);
    case SER_TANH:
        return 2 * ser_lanes_sigmoid(2 * u) - 1;
    default:
        return ser_lanes_max(u, ser_lanes_of(0));
    }
}

SER_INLINE ser_lanes derivative(ser_nonlinearity f, ser_lanes u)
{
    ser_lanes s;
    switch (f) {
    case SER_ELU:
        return ser_lanes_exp(ser_lanes_select(u > 0, ser_lanes_of(0), u));
    case SER_SWISH:
        s = ser_lanes_sigmoid(u);
        return s + u * s * (1 - s);
    case SER_TANH:
        s = ser_lanes_sigmoid(2 * u);
        return 4 * s * (1 - s);
    default:
        return ser_lanes_select(u > 0, ser_lanes_of(1), ser_lanes_of(0));
    }
}

SER_INLINE void forward(float *z, const float *x, const ser_nn_norm_act *p, ser_nonlinearity f,
                        size_t n_frames)
{
    size_t n = p->n_channels;
    for (size_t i = 0; i < n; i += SER_N_LANES) {
        ser_lanes scale = ser_row_load(p->scale, i, n - i), shift = ser_row_load(p->shift, i, n - i);
        ser_lanes keep = ser_row_load(p->keep, i, n - i);
        for (size_t t = 0; t < n_frames; t++) {
            ser_lanes u = ser_row_load(x, t * n + i, n - i) * scale + shift;
            ser_row_store(z, t * n + i, n - i, keep * apply(f, u));
        }
    }
}

SER_FAST void ser_nn_norm_act_forward(float *z, const float *x, const ser_nn_norm_act *p, size_t n_frames)
{
    switch (p->f) { /* outside the loops */
    case SER_ELU:
        forward(z, x, p, SER_ELU, n_frames);
        break;
    case SER_SWISH:
        forward(z, x, p, SER_SWISH, n_frames);
        break;
    case SER_TANH:
        forward(z, x, p, SER_TANH, n_frames);
        break;
    default:
        forward(z, x, p, SER_RELU, n_frames);
    }
}

/* forward was: z = keep f(u), u = x scale + shift, so: du = dz keep f'(u). */
SER_INLINE void backward(float *du, float *sum, float *sum_x, const float *dz, const float *x,
                         const ser_nn_norm_act *p, ser_nonlinearity f, size_t n_frames)
{
    size_t n = p->n_channels;
    for (size_t i = 0; i < n; i += SER_N_LANES) {
        ser_lanes scale = ser_row_load(p->scale, i, n - i), shift = ser_row_load(p->shift, i, n - i);
        ser_lanes keep = ser_row_load(p->keep, i, n - i), centre = ser_row_load(p->centre, i, n - i);
        ser_lanes total = {0}, total_x = {0};
        for (size_t t = 0; t < n_frames; t++) {
            ser_lanes v = ser_row_load(x, t * n + i, n - i);
            ser_lanes d = ser_row_load(dz, t * n + i, n - i) * keep * derivative(f, v * scale + shift);
            ser_row_store(du, t * n + i, n - i, d);
            total += d;
            total_x += d * (v - centre);
        }
        total_x *= ser_row_load(p->inverse, i, n - i);
        ser_row_store(sum, i, n - i, total + ser_row_load(sum, i, n - i));
        ser_row_store(sum_x, i, n - i, total_x + ser_row_load(sum_x, i, n - i));
    }
}

SER_FAST void ser_nn_norm_act_backward(float *du, float *sum, float *sum_x, const float *dz, const float *x,
                                       const ser_nn_norm_act *p, size_t n_frames)
{
    switch (p->f) {
    case SER_ELU:
        backward(du, sum, sum_x, dz, x, p, SER_ELU, n_frames);
        break;
    case SER_SWISH:
        backward(du, sum, sum_x, dz, x, p, SER_SWISH, n_frames);
        break;
    case SER_TANH:
        backward(du, sum, sum_x, dz, x, p, SER_TANH, n_frames);
        break;
    default:
        backward(du, sum, sum_x, dz, x, p, SER_RELU, n_frames);
    }
}

SER_FAST void ser_nn_relu_forward(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = x[i] > 0 ? x[i] : 0;
}

/* forward was: y = x > 0 ? x : 0, so: dx = y > 0 ? dy : 0. */
SER_FAST void ser_nn_relu_backward(float *dx, const float *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        dx[i] = y[i] > 0 ? dx[i] : 0;
}

SER_FAST void ser_nn_gate_forward(float *y, const float *x, const float *z, size_t n)
{
    for (size_t i = 0; i < n; i += SER_N_LANES)
        ser_row_store(y, i, n - i, ser_row_load(x, i, n - i) * ser_lanes_sigmoid(ser_row_load(z, i, n - i)));
}

/* forward was: y = x s, s = sigmoid(z), so: dx = dy s, dz = dy x s (1 - s). */
SER_FAST void ser_nn_gate_backward(float *dy, float *z, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i += SER_N_LANES) {
        ser_lanes s = ser_lanes_sigmoid(ser_row_load(z, i, n - i));
        ser_lanes dx = s * ser_row_load(dy, i, n - i);
        ser_row_store(z, i, n - i, dx * (1 - s) * ser_row_load(x, i, n - i));
        ser_row_store(dy, i, n - i, dx);
    }
}
