/* Bad recording conditions, put on test recordings to measure how a model bears them. */
#ifndef SER_DATA_CONDITION_H
#define SER_DATA_CONDITION_H

#include "base/random.h"
#include "base/status.h"

typedef enum ser_condition {
    SER_CONDITION_NONE,
    SER_CONDITION_NOISE,     /* pink noise at 10 dB */
    SER_CONDITION_TELEPHONE, /* 8 kHz */
    SER_CONDITION_ECHO,      /* a room with a decay of 0.5 s, its echo 3 dB below the direct sound */
    SER_CONDITION_QUIET,     /* 30 dB down, 16-bit steps */
    SER_CONDITION_CLIPPED,   /* the loudest 5 % of the samples cut off */
    SER_N_CONDITIONS
} ser_condition;

#define SER_CONDITION_WORDS "none|noise|telephone|echo|quiet|clipped"

const char *ser_condition_name(ser_condition c);
/* In place. */
ser_status ser_condition_apply(float *pcm, size_t n_samples, ser_condition c, ser_random *r, ser_error *err);

#endif
