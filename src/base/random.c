#include "base/random.h"

#include <math.h>

static uint64_t splitmix64(uint64_t *x)
{
    uint64_t z = (*x += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint64_t rotate_left(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

void ser_random_init(ser_random *r, uint64_t seed)
{
    for (int i = 0; i < 4; i++)
        r->state[i] = splitmix64(&seed);
    r->spare_normal = 0;
    r->has_spare = 0;
}

uint64_t ser_random_derive(uint64_t seed, const char *text)
{
    uint64_t x = seed;
    for (; *text; text++)
        x = splitmix64(&x) ^ (unsigned char)*text;
    return splitmix64(&x);
}

uint64_t ser_random_bits(ser_random *r)
{
    uint64_t *s = r->state;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

double ser_random_uniform(ser_random *r)
{
    return (double)(ser_random_bits(r) >> 11) * 0x1p-53;
}

double ser_random_between(ser_random *r, double low, double high)
{
    return low + (high - low) * ser_random_uniform(r);
}

/* Box and Muller 1958; the pair's second half is kept. */
double ser_random_normal(ser_random *r)
{
    if (r->has_spare) {
        r->has_spare = 0;
        return r->spare_normal;
    }
    double radius = sqrt(-2 * log(1 - ser_random_uniform(r)));
    double angle = 6.283185307179586 * ser_random_uniform(r);
    r->spare_normal = radius * sin(angle);
    r->has_spare = 1;
    return radius * cos(angle);
}

size_t ser_random_below(ser_random *r, size_t n)
{
    uint64_t limit = UINT64_MAX - UINT64_MAX % n, x;
    do
        x = ser_random_bits(r);
    while (x >= limit);
    return (size_t)(x % n);
}

double ser_random_share(ser_random *r, double alpha)
{
    double a, b;
    do {
        a = pow(ser_random_uniform(r), 1 / alpha);
        b = pow(ser_random_uniform(r), 1 / alpha);
    } while (a + b > 1);
    double share = a + b > 0 ? a / (a + b) : 1; /* both powers 0: they are as unequal as can be */
    return fmax(share, 1 - share);
}

void ser_random_shuffle(ser_random *r, size_t *items, size_t n)
{
    for (size_t i = n; i > 1; i--) {
        size_t j = ser_random_below(r, i), t = items[i - 1];
        items[i - 1] = items[j];
        items[j] = t;
    }
}
