/* What is said, utterance by utterance: the answer of each, and inside the longer ones the emotion over time.
 * Recordings and streams share this; what comes out depends on the samples and on where the voice detector
 * finds utterances, and not on the portions in which either is told.
 *
 * An utterance of up to 4 s is judged as a whole. Inside a longer one windows glide, from whose frames cells
 * are judged by the stretches around them and smoothed; its own answer comes from all of its frames, or, over
 * 10 s, is the mean over its cells. Log-mel is clamped below the loudest of the utterance so far. */
#ifndef SER_MODEL_UTTERANCES_H
#define SER_MODEL_UTTERANCES_H

#include "model/gliding.h"
#include "model/judge.h"
#include "model/smoothing.h"

/* Who hears what is found. A failure ends the listening. */
typedef struct ser_utterance_listener {
    void *context;
    ser_status (*starts)(void *context, double start_s, ser_error *err); /* or NULL */
    /* not final: what was heard of the utterance's last 3 s so far; final: as a timeline shows it */
    ser_status (*measured)(void *context, const ser_segment *segment, bool final, ser_error *err);
    ser_status (*ends)(void *context, const ser_segment *answer, ser_error *err); /* or NULL */
} ser_utterance_listener;

typedef struct ser_utterances {
    ser_judge *judge; /* borrowed, as the next */
    ser_cuts *cuts;
    ser_utterance_listener listener;
    double update_s; /* how often the last 3 s are judged; 0: never */
    bool joins;      /* each utterance joins a baseline that follows, when it has ended */
    float *kept;     /* sound that may still be needed: samples kept_from ... kept_from + n_kept */
    size_t n_kept, capacity;
    uint64_t kept_from;
    bool open, is_long;    /* an utterance is under way; it lasts for more than 4 s */
    uint64_t start, taken; /* of the utterance; up to where a long one has gone into windows */
    uint64_t n_updates;
    ser_gliding windows; /* of long ones */
    /* of the utterance whose windows are handed on, which may be one before */
    ser_timeline cells;
    ser_smoothing smoothing;
    ser_pooling whole, recent; /* recent: of what is judged at once */
    float *frames;             /* for networks, while it may be judged as a whole */
    unsigned char *active;
    size_t n_frames, frames_capacity, active_capacity;
    size_t n_voiced;
    double score_sums[SER_MAX_LABELS];
} ser_utterances;

/* cuts: who computes windows, of up to SER_UTTERANCE_WINDOW samples. Answers come when it hands these on: for
 * an utterance's updates it must do so at once. A zeroed struct can be released. */
enum { SER_UTTERANCE_WINDOW = 4 * SER_SAMPLE_RATE_HZ };
ser_status ser_utterances_init(ser_utterances *u, ser_judge *judge, const ser_utterance_listener *listener,
                               ser_cuts *cuts, ser_error *err);
void ser_utterances_release(ser_utterances *u);

/* The sound, one block after the other, before anything is told of what is in it. */
ser_status ser_utterances_hear(ser_utterances *u, const float *pcm, size_t n, ser_error *err);
/* Sound before this sample is no longer asked for, but by the utterance that is open. */
void ser_utterances_forget(ser_utterances *u, uint64_t before);

ser_status ser_utterances_begin(ser_utterances *u, uint64_t start, ser_error *err);
/* The open one goes on at least until here. */
ser_status ser_utterances_take(ser_utterances *u, uint64_t to, ser_error *err);
/* So much was heard while it is open: time for an update? */
ser_status ser_utterances_update(ser_utterances *u, uint64_t now, ser_error *err);
ser_status ser_utterances_end(ser_utterances *u, uint64_t end, ser_error *err);

#endif
