/* More on ser_lanes, for the layers: maximum, exponential, error function, 16 bit floats. */
#ifndef SER_NN_LANES_H
#define SER_NN_LANES_H

#include "base/vector.h"
#include <stdint.h>

typedef int32_t ser_int_lanes __attribute__((vector_size(SER_N_LANES * sizeof(int32_t))));
typedef uint16_t ser_half_lanes __attribute__((vector_size(SER_N_LANES * sizeof(uint16_t))));
typedef uint16_t ser_two_half_lanes __attribute__((vector_size(2 * SER_N_LANES * sizeof(uint16_t))));

SER_INLINE ser_lanes ser_lanes_of(float x)
{
    return x - (ser_lanes){0};
}

SER_INLINE ser_lanes ser_lanes_select(ser_int_lanes mask, ser_lanes yes, ser_lanes no)
{
    return (ser_lanes)(((ser_int_lanes)yes & mask) | ((ser_int_lanes)no & ~mask));
}

/* All bits where a < b, none elsewhere (NaN: either), by the sign of the difference: gcc 12 compares 16
 * numbers one by one where a register holds fewer. */
SER_INLINE ser_int_lanes ser_lanes_below(ser_lanes a, ser_lanes b)
{
    return (ser_int_lanes)(a - b) >> 31;
}

SER_INLINE ser_lanes ser_lanes_max(ser_lanes a, ser_lanes b)
{
    return ser_lanes_select(ser_lanes_below(a, b), b, a);
}

SER_INLINE float ser_lanes_highest(ser_lanes v)
{
    float highest = v[0];
    for (int i = 1; i < SER_N_LANES; i++)
        highest = v[i] > highest ? v[i] : highest;
    return highest;
}

/* exp(x) for x <= 87, to 2 units in the last place; 1.6e-38 for all below -87. With x = n log 2 + r,
 * |r| <= log 2 / 2: 2^n times the polynomial of Cephes' expf (Moshier 1989). log 2 is taken off in two parts,
 * the first with few bits, so that nothing is lost. Adding 1.5 * 2^23 rounds to a whole number, and leaves it
 * in the lowest bits. */
SER_INLINE ser_lanes ser_lanes_exp(ser_lanes x)
{
    x = ser_lanes_max(x, ser_lanes_of(-87));
    ser_lanes rounded = x * 1.44269504f + 0x1.8p23f, n = rounded - 0x1.8p23f;
    ser_lanes r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    ser_lanes p = ser_lanes_of(1.9875691500e-4f);
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1;
    return (ser_lanes)((ser_int_lanes)p + ((ser_int_lanes)rounded << 23));
}

/* erf(x) to 3e-7 absolute: Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26. */
SER_INLINE ser_lanes ser_lanes_erf(ser_lanes x)
{
    ser_int_lanes sign = (ser_int_lanes)x & INT32_MIN;
    ser_lanes magnitude = (ser_lanes)((ser_int_lanes)x ^ sign);
    ser_lanes t = 1 / (1 + 0.3275911f * magnitude);
    ser_lanes p = ser_lanes_of(1.061405429f);
    p = p * t - 1.453152027f;
    p = p * t + 1.421413741f;
    p = p * t - 0.284496736f;
    p = p * t + 0.254829592f;
    ser_lanes y = 1 - p * t * ser_lanes_exp(-magnitude * magnitude);
    return (ser_lanes)((ser_int_lanes)y | sign);
}

SER_INLINE ser_lanes ser_lanes_gelu(ser_lanes x)
{
    return 0.5f * x * (1 + ser_lanes_erf(x * 0.707106781f));
}

/* To the nearest number with 8 bits of mantissa, ties to even; NaN stays NaN. */
SER_INLINE uint16_t ser_bf16_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    bits += 0x7fff + (bits >> 16 & 1);
    return x == x ? (uint16_t)(bits >> 16) : 0x7fc0;
}

/* bf16 is the upper half of a float, in memory the latter one: one shuffle with zeros. */
SER_INLINE ser_lanes ser_lanes_load_bf16(const uint16_t *x)
{
    ser_half_lanes half, zero = {0};
    memcpy(&half, x, sizeof half);
    return (ser_lanes)__builtin_shufflevector(zero, half, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7,
                                              23, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15,
                                              31);
}

/* As ser_bf16_of, but NaN only stays NaN where it is one that arithmetic gives, with a lower half of zeros.
 */
SER_INLINE void ser_lanes_store_bf16(uint16_t *y, ser_lanes v)
{
    ser_int_lanes bits = (ser_int_lanes)v;
    bits += 0x7fff + (bits >> 16 & 1);
    ser_two_half_lanes halves = (ser_two_half_lanes)bits;
    ser_half_lanes upper =
        __builtin_shufflevector(halves, halves, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
    memcpy(y, &upper, sizeof upper);
}

#endif
