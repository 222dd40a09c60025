/* Random numbers that are the same on every machine: xoshiro256** (Blackman and Vigna 2018), seeded by
 * splitmix64. */
#ifndef SER_BASE_RANDOM_H
#define SER_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

typedef struct ser_random {
    uint64_t state[4];
    double spare_normal; /* the second of a pair; has_spare says whether it is there */
    int has_spare;
} ser_random;

void ser_random_init(ser_random *r, uint64_t seed);
/* Mixes a text into a seed, so that each recording, fold or copy has a stream of its own. */
uint64_t ser_random_derive(uint64_t seed, const char *text);

uint64_t ser_random_bits(ser_random *r);
double ser_random_uniform(ser_random *r); /* [0, 1) */
double ser_random_between(ser_random *r, double low, double high);
double ser_random_normal(ser_random *r);          /* mean 0, deviation 1 */
size_t ser_random_below(ser_random *r, size_t n); /* 0 ... n-1, unbiased; n > 0 */
/* From the beta distribution of two equal parameters above 0 (Jöhnk 1964: quick up to 2), the larger of it
 * and 1 less it. */
double ser_random_share(ser_random *r, double alpha);
void ser_random_shuffle(ser_random *r, size_t *items, size_t n);

#endif
