/* When somebody speaks. Sound of any length comes in, in portions of any size; each 32 ms get the probability
 * that they hold speech, and utterances begin and end. What is found does not depend on the portions, to the
 * bit, and memory does not grow.
 *
 *     ser_voice_network *network;                        once per program or model: weights, read-only
 *     ser_voice_detector *d;                             one per stream
 *     ser_voice_network_new(&network, err);
 *     ser_voice_detector_new(&d, network, err);
 *     ser_voice_settings settings;
 *     ser_voice_default_settings(&settings);             0.5 s of pause end an utterance, ...
 *     ser_voice_detector_start(d, &settings, &listener); again before each sound
 *     while (more)
 *         ser_voice_detector_push(d, pcm, n, err);       the listener is called from here
 *     ser_voice_detector_finish(d, err);                 and here
 *     ser_voice_detector_spans(d)->n_spans               0: no voice in all of it
 *
 * An utterance's start is told 0.25 s after it at the earliest and 1.3 s at the latest, its end when the
 * pause is over; ser_voice_spans_settled says up to where nothing changes any more, so that what a pause is
 * can be told, and sound let go, without waiting for the next utterance.
 *
 * To the network (voice_network.h) come three rules of our own. Sound below -75 dB is silence, whatever the
 * network says. Sound is brought to the level at which the network hears best, but raised by at most 20 dB:
 * it misses quiet telephone speech. And samples may be anything: what is no number is 0, and what is louder
 * than 16 bit numbers is cut there. See docs/voice-activity.md. */
#ifndef SER_MODEL_VOICE_ACTIVITY_H
#define SER_MODEL_VOICE_ACTIVITY_H

#include "model/voice_network.h"
#include "model/voice_spans.h"

/* Root mean squares of a window, as parts of full scale. A window goes to the network as loud as target,
 * raised by at most most_gain, measured by the loudest window so far, which fades by release with every
 * window. */
typedef struct ser_voice_levels {
    double silence, target, most_gain;
    double first; /* of the loudest, until more is known */
    double release;
    double fast_release; /* beyond full scale: a single sample that no microphone wrote makes the detector
                            deaf for a second */
    float largest_sample;
} ser_voice_levels;

extern const ser_voice_levels ser_voice_level;

/* Who hears what is found; each function may be NULL. A failure is passed on by push and finish; after it a
 * detector can only be started again or freed. */
typedef struct ser_voice_listener {
    void *context;
    /* of the window from sample start on; the last one of a sound may reach beyond its end */
    ser_status (*window)(void *context, uint64_t start, float probability, ser_error *err);
    ser_status (*starts)(void *context, uint64_t start, ser_error *err);
    ser_status (*ends)(void *context, ser_voice_span span, ser_error *err);
} ser_voice_listener;

typedef struct ser_voice_detector ser_voice_detector;

/* The network must outlive it. */
ser_status ser_voice_detector_new(ser_voice_detector **out, const ser_voice_network *network, ser_error *err);
void ser_voice_detector_free(ser_voice_detector **d);

/* Forgets all it has heard. settings NULL: the defaults; listener NULL: nobody. */
void ser_voice_detector_start(ser_voice_detector *d, const ser_voice_settings *settings,
                              const ser_voice_listener *listener);

/* pcm at 16 kHz. */
ser_status ser_voice_detector_push(ser_voice_detector *d, const float *pcm, size_t n, ser_error *err);
/* The rest of a window is filled with zeros. */
ser_status ser_voice_detector_finish(ser_voice_detector *d, ser_error *err);

/* What is known of the utterances so far. */
const ser_voice_spans *ser_voice_detector_spans(const ser_voice_detector *d);

#endif
