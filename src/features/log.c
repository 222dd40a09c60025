#include "base/vector.h"
#include "features/mel.h"

#include <math.h>
#include <stdint.h>

/* log10 of a positive normal number, to about 2 units in the last place, in steps that vectorise: x = 2^e m
 * with m between sqrt(1/2) and sqrt(2), and log m = 2 artanh((m - 1) / (m + 1)), whose series is short
 * because the argument is below 0.172. */
SER_INLINE float log10_positive(float x)
{
    const int32_t sqrt_half = 0x3f3504f3; /* the bits of sqrt(1/2) */
    int32_t bits;
    memcpy(&bits, &x, sizeof bits);
    int32_t exponent = (bits - sqrt_half) >> 23;
    bits -= exponent * (1 << 23);
    float m;
    memcpy(&m, &bits, sizeof m);
    float t = (m - 1) / (m + 1), t2 = t * t;
    float series = t * (1 + t2 * (1.0f / 3 + t2 * (1.0f / 5 + t2 * (1.0f / 7))));
    return (float)exponent * 0.301029996f + series * 0.868588964f; /* log10(2), 2 / log(10) */
}

SER_INLINE float max_of(const float *x, size_t n)
{
    float lanes[SER_N_LANES];
    for (int i = 0; i < SER_N_LANES; i++)
        lanes[i] = -INFINITY;
    size_t n_whole = n - n % SER_N_LANES;
    for (size_t at = 0; at < n_whole; at += SER_N_LANES)
        for (int i = 0; i < SER_N_LANES; i++)
            lanes[i] = x[at + (size_t)i] > lanes[i] ? x[at + (size_t)i] : lanes[i];
    for (size_t at = n_whole; at < n; at++)
        lanes[0] = x[at] > lanes[0] ? x[at] : lanes[0];
    for (int i = 1; i < SER_N_LANES; i++)
        lanes[0] = lanes[i] > lanes[0] ? lanes[i] : lanes[0];
    return lanes[0];
}

/* log10 with the floor 1e-10, nothing further than 8 below the maximum; times scale, plus shift. */
SER_FAST_STATIC(void, bounded_log, (float *x, size_t n, float scale, float shift), (x, n, scale, shift))
{
    for (size_t i = 0; i < n; i++)
        x[i] = log10_positive(x[i] > 1e-10f ? x[i] : 1e-10f);
    float lowest = max_of(x, n) - 8;
    for (size_t i = 0; i < n; i++)
        x[i] = (x[i] > lowest ? x[i] : lowest) * scale + shift;
}

void ser_features_power_to_db(float *x, size_t n)
{
    bounded_log(x, n, 10, 0);
}

void ser_features_whisper_log(float *x, size_t n)
{
    bounded_log(x, n, 0.25f, 1);
}
