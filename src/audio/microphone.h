/* A microphone, by PortAudio, in a library of its own: only programs that listen need it. What sound systems
 * below it print to standard error while they look for devices is theirs. */
#ifndef SER_AUDIO_MICROPHONE_H
#define SER_AUDIO_MICROPHONE_H

#include "base/text.h"
#include <stdbool.h>

typedef struct ser_microphone ser_microphone;

/* name NULL: the system's own; else a device whose name is this, or has it in it where only one has. Its rate
 * is 16 kHz where it can do that, else its own. SER_E_IO: there is none, it is busy, or gone; SER_E_ARG: no
 * or several devices of that name. */
ser_status ser_microphone_open(ser_microphone **out, const char *name, ser_error *err);
void ser_microphone_close(ser_microphone **m);
int ser_microphone_rate_hz(const ser_microphone *m);
const char *ser_microphone_name(const ser_microphone *m);

enum { SER_MICROPHONE_BLOCKS_PER_S = 25 };
/* Waits for the next 40 ms, one channel: pcm (rate / SER_MICROPHONE_BLOCKS_PER_S). *lost: sound was lost
 * before them, because nobody read in time. */
ser_status ser_microphone_read(ser_microphone *m, float *pcm, bool *lost, ser_error *err);

/* A line for each device that hears: its name, its channels and rate. */
ser_status ser_microphone_list(ser_text *lines, ser_error *err);

#endif
