/* How fast sounds fade, from the sound alone: a room lets none fade faster than its echo does. A rough
 * estimate: speech fades by itself, and few of its sounds end freely. Memory does not grow. */
#ifndef SER_AUDIO_DECAY_H
#define SER_AUDIO_DECAY_H

#include <stdbool.h>
#include <stddef.h>

enum { SER_DECAY_HOP = 128, SER_DECAY_SMOOTHED = 6, SER_DECAY_BINS = 64 };

/* A zeroed struct has heard nothing. */
typedef struct ser_decay {
    double hops[SER_DECAY_SMOOTHED]; /* mean squares; 8 ms each */
    size_t n_hops;
    double last_db, loudest_db;
    bool begun;
    /* The descent under way: its n points by time in hops, for the straight line through them. */
    double n, sum_y, sum_ty, first_db;
    double hops_in[SER_DECAY_BINS]; /* hops that fade with the bin's time */
} ser_decay;

/* The mean square of the next SER_DECAY_HOP samples. */
void ser_decay_add(ser_decay *d, double mean_square);

/* Seconds in which a sound fades by 60 dB: that of the fastest fifth of the descents. NaN: there were none.
 */
double ser_decay_s(const ser_decay *d);

#endif
