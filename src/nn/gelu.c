#include "nn/lanes.h"
#include "nn/layers.h"

SER_FAST void ser_nn_gelu_forward(float *x, size_t n)
{
    size_t n_whole = n - n % SER_N_LANES;
    for (size_t i = 0; i < n_whole; i += SER_N_LANES)
        ser_lanes_store(x + i, ser_lanes_gelu(ser_lanes_load(x + i)));
    for (size_t i = n_whole; i < n; i++)
        x[i] = ser_lanes_gelu(ser_lanes_of(x[i]))[0];
}
