#include "nn/nonlinearity.h"
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

/* The types are constants in all calls, as f is: nothing of them is left in the loops. */
SER_INLINE void forward(void *z, bool z_half, const void *x, bool x_half, const ser_nn_norm_act *p,
                        ser_nonlinearity f, size_t n_frames)
{
    const float *scale = p->scale, *shift = p->shift, *keep = p->keep;
    size_t n = p->n_channels;
    for (size_t t = 0; t < n_frames; t++)
        for (size_t i = 0; i < n; i += SER_N_LANES) {
            ser_lanes u = ser_row_load_as(x, x_half, t * n + i, n - i) * ser_row_load(scale, i, n - i) +
                          ser_row_load(shift, i, n - i);
            ser_row_store_as(z, z_half, t * n + i, n - i,
                             ser_row_load(keep, i, n - i) * ser_lanes_nonlinearity(f, u));
        }
}

SER_INLINE void forward_typed(void *z, ser_dtype z_type, const void *x, ser_dtype x_type,
                              const ser_nn_norm_act *p, ser_nonlinearity f, size_t n_frames)
{
    if (x_type == SER_F32 && z_type == SER_F32)
        forward(z, false, x, false, p, f, n_frames);
    else if (z_type == SER_F32)
        forward(z, false, x, true, p, f, n_frames);
    else if (x_type == SER_F32)
        forward(z, true, x, false, p, f, n_frames);
    else
        forward(z, true, x, true, p, f, n_frames);
}

SER_FAST(void, ser_nn_norm_act_forward,
         (void *z, ser_dtype z_type, const void *x, ser_dtype x_type, const ser_nn_norm_act *p,
          size_t n_frames),
         (z, z_type, x, x_type, p, n_frames))
{
    switch (p->f) { /* outside the loops */
    case SER_ELU:
        forward_typed(z, z_type, x, x_type, p, SER_ELU, n_frames);
        break;
    case SER_SWISH:
        forward_typed(z, z_type, x, x_type, p, SER_SWISH, n_frames);
        break;
    case SER_TANH:
        forward_typed(z, z_type, x, x_type, p, SER_TANH, n_frames);
        break;
    default:
        forward_typed(z, z_type, x, x_type, p, SER_RELU, n_frames);
    }
}

/* forward was: z = keep f(u), u = x scale + shift, so: du = dz keep f'(u). */
SER_INLINE void backward(void *du, float *sum, float *sum_x, const float *dz, const void *x, bool half,
                         const ser_nn_norm_act *p, ser_nonlinearity f, size_t n_frames)
{
    const float *scale = p->scale, *shift = p->shift, *keep = p->keep, *centre = p->centre,
                *inverse = p->inverse;
    size_t n = p->n_channels;
    for (size_t t = 0; t < n_frames; t++)
        for (size_t i = 0; i < n; i += SER_N_LANES) {
            size_t at = t * n + i, left = n - i;
            ser_lanes v = ser_row_load_as(x, half, at, left);
            ser_lanes u = v * ser_row_load(scale, i, left) + ser_row_load(shift, i, left);
            ser_lanes d =
                ser_row_load(dz, at, left) * ser_row_load(keep, i, left) * ser_lanes_derivative(f, u);
            ser_row_store_as(du, half, at, left, d);
            ser_row_store(sum, i, left, ser_row_load(sum, i, left) + d);
            ser_lanes away = (v - ser_row_load(centre, i, left)) * ser_row_load(inverse, i, left);
            ser_row_store(sum_x, i, left, ser_row_load(sum_x, i, left) + d * away);
        }
}

SER_INLINE void backward_typed(void *du, float *sum, float *sum_x, const float *dz, const void *x,
                               ser_dtype type, const ser_nn_norm_act *p, ser_nonlinearity f, size_t n_frames)
{
    if (type == SER_BF16)
        backward(du, sum, sum_x, dz, x, true, p, f, n_frames);
    else
        backward(du, sum, sum_x, dz, x, false, p, f, n_frames);
}

SER_FAST(void, ser_nn_norm_act_backward,
         (void *du, float *sum, float *sum_x, const float *dz, const void *x, ser_dtype type,
          const ser_nn_norm_act *p, size_t n_frames),
         (du, sum, sum_x, dz, x, type, p, n_frames))
{
    switch (p->f) {
    case SER_ELU:
        backward_typed(du, sum, sum_x, dz, x, type, p, SER_ELU, n_frames);
        break;
    case SER_SWISH:
        backward_typed(du, sum, sum_x, dz, x, type, p, SER_SWISH, n_frames);
        break;
    case SER_TANH:
        backward_typed(du, sum, sum_x, dz, x, type, p, SER_TANH, n_frames);
        break;
    default:
        backward_typed(du, sum, sum_x, dz, x, type, p, SER_RELU, n_frames);
    }
}

SER_FAST(void, ser_nn_relu_forward, (float *x, size_t n), (x, n))
{
    for (size_t i = 0; i < n; i++)
        x[i] = x[i] > 0 ? x[i] : 0;
}

/* forward was: y = x > 0 ? x : 0, so: dx = y > 0 ? dy : 0. */
SER_FAST(void, ser_nn_relu_backward, (float *dx, const float *y, size_t n), (dx, y, n))
{
    for (size_t i = 0; i < n; i++)
        dx[i] = y[i] > 0 ? dx[i] : 0;
}
