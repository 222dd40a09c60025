/* The temporal network's activations, 16 numbers at a time. */
#ifndef SER_NN_NONLINEARITY_H
#define SER_NN_NONLINEARITY_H

#include "nn/rows.h"
#include "nn/trainable.h"

SER_INLINE ser_lanes ser_lanes_nonlinearity(ser_nonlinearity f, ser_lanes u)
{
    switch (f) {
    case SER_ELU:
        return ser_lanes_select(
            ser_lanes_below(ser_lanes_of(0), u), u,
            ser_lanes_exp(ser_lanes_select(ser_lanes_below(ser_lanes_of(0), u), ser_lanes_of(0), u)) - 1);
    case SER_SWISH:
        return u * ser_lanes_sigmoid(u);
    case SER_TANH:
        return 2 * ser_lanes_sigmoid(2 * u) - 1;
    default:
        return ser_lanes_max(u, ser_lanes_of(0));
    }
}

/* By u. */
SER_INLINE ser_lanes ser_lanes_derivative(ser_nonlinearity f, ser_lanes u)
{
    ser_lanes s;
    switch (f) {
    case SER_ELU:
        return ser_lanes_exp(ser_lanes_select(ser_lanes_below(ser_lanes_of(0), u), ser_lanes_of(0), u));
    case SER_SWISH:
        s = ser_lanes_sigmoid(u);
        return s + u * s * (1 - s);
    case SER_TANH:
        s = ser_lanes_sigmoid(2 * u);
        return 4 * s * (1 - s);
    default:
        return ser_lanes_select(ser_lanes_below(ser_lanes_of(0), u), ser_lanes_of(1), ser_lanes_of(0));
    }
}

#endif
