/* The response of a room, by the image-source model. */
#ifndef SER_AUDIO_ROOM_H
#define SER_AUDIO_ROOM_H

#include "base/random.h"
#include <stddef.h>

typedef struct ser_room {
    double size_m[3], source_m[3], microphone_m[3];
    double decay_s; /* until the echo has fallen by 60 dB */
} ser_room;

/* Of a small to a large room (2.5 to 10 m), a speaker 0.3 to 3 m from the microphone, a decay of 0.1 to 0.9
 * s. */
ser_room ser_room_at_random(ser_random *r);

/* What a microphone hears of an impulse (n samples at 16 kHz, set): the direct sound at sample 0, then all
 * images of the source in the walls that arrive within n samples, each reflected with the share that gives
 * the decay (Allen and Berkley 1979, "Image method for efficiently simulating small-room acoustics",
 * equations 10 and 11; Eyring's formula for the walls). Its energy is 1. */
void ser_room_response(float *response, size_t n, const ser_room *room);

#endif
