/* A crop of a recording as it might have been heard elsewhere, by another voice, through another line: what a
 * model learns from, anew at each draw. Everything is drawn from one stream of random numbers, so that the
 * same stream gives the same samples. */
#ifndef SER_AUDIO_VARY_H
#define SER_AUDIO_VARY_H

#include "base/random.h"
#include "base/status.h"

/* How likely each alteration is, 0 ... 1. Their ranges stand beside them in vary.c. */
typedef struct ser_variety {
    double speed;     /* pitch, formants and tempo together */
    double equalise;  /* a smooth curve over the octaves */
    double telephone; /* 150-350 to 3200-3900 Hz */
    double low_pass;  /* from 2 kHz up, where it is no telephone */
    double room;      /* one of the rooms that the work has */
    double noise;
    double babble; /* one to three other recordings behind this one */
    double gain;
    double clip;
    double steps; /* the coarse steps of a mu-law line */
    double codec; /* the holes that a codec of a low rate leaves in the spectrum */
} ser_variety;

/* What was found to carry models to corpora that they never heard: docs/strangers.md. */
ser_variety ser_variety_default(void);

/* Memory for crops of up to max_samples; belongs to one thread. rooms: shared by several, see below. */
typedef struct ser_vary_work ser_vary_work;
typedef struct ser_rooms ser_rooms;

/* n rooms drawn at random. Read-only afterwards. */
ser_status ser_rooms_new(ser_rooms **out, size_t n, uint64_t seed, ser_error *err);
void ser_rooms_free(ser_rooms **rooms);

ser_status ser_vary_work_new(ser_vary_work **out, size_t max_samples, const ser_rooms *rooms, ser_error *err);
void ser_vary_work_free(ser_vary_work **work);

/* A recording as the caller keeps it: 16-bit samples at 16 kHz. */
typedef struct ser_recorded {
    const int16_t *pcm;
    size_t n;
} ser_recorded;

/* Gives up to max_samples samples of a recording, altered: a random stretch where it is longer. others: what
 * babble is made of; n_others 0: there is none. variety NULL: the first max_samples as they are. Returns how
 * many samples out holds. */
size_t ser_vary(ser_vary_work *work, float *out, ser_recorded recording, const ser_recorded *others,
                size_t n_others, const ser_variety *variety, ser_random *r);

#endif
