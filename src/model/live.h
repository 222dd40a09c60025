/* A stream: sound that comes bit by bit, and what was said in it as events. */
#ifndef SER_MODEL_LIVE_H
#define SER_MODEL_LIVE_H

#include "model/utterances.h"

typedef struct ser_live ser_live;

typedef struct ser_live_settings {
    int rate_hz, n_channels;
    double pause_s;  /* ends an utterance */
    double update_s; /* how often an utterance under way is judged; 0: never */
} ser_live_settings;

/* judge and network are borrowed; nothing of the judge's is used between calls. SER_E_ARG: settings that
 * cannot be. */
ser_status ser_live_new(ser_live **out, ser_judge *judge, const ser_voice_network *network,
                        const ser_live_settings *settings, ser_error *err);
void ser_live_free(ser_live **l);

/* frames (n, n_channels). After a failure, or the end, every push fails. */
ser_status ser_live_push(ser_live *l, const float *frames, size_t n, ser_error *err);
ser_status ser_live_finish(ser_live *l, ser_error *err);
/* The next event, which lives until the next call; NULL: there is none now. */
const ser_event *ser_live_next(ser_live *l);

#endif
