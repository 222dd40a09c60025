/* From the probability of each window to utterances: speech begins when it is likely, goes on while it is not
 * unlikely, and a pause ends it. Memory does not grow. */
#ifndef SER_MODEL_VOICE_SPANS_H
#define SER_MODEL_VOICE_SPANS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ser_voice_span {
    uint64_t start, end; /* samples at 16 kHz; end is the first behind it */
} ser_voice_span;

typedef struct ser_voice_settings {
    /* Speech needs one window at least as likely as begins; windows less likely than stays are a pause. */
    float begins, stays;
    double min_speech_s; /* without the pauses in it; of a shorter sound, half of it */
    double pause_s;      /* ends an utterance */
    double margin_s;     /* what an utterance gets before and behind it: breath and consonants are unlikely */
} ser_voice_settings;

void ser_voice_default_settings(ser_voice_settings *s);

/* All rules, in whole windows and samples: for who follows them in another form. */
typedef struct ser_voice_rules {
    float begins, stays;
    uint64_t min_speech, pause; /* windows */
    uint64_t gap;               /* windows without a voice that end what has not lasted long enough yet */
    uint64_t longest_doubt;     /* windows that speech may have lasted before it is certain */
    uint64_t margin;            /* samples */
} ser_voice_rules;

ser_voice_rules ser_voice_rules_of(const ser_voice_settings *s);

/* A stretch that is or may become an utterance, in windows. */
typedef struct ser_voice_stretch {
    uint64_t first, last; /* windows that are no pause */
    uint64_t n_voiced;    /* windows that are no pause */
    bool likely;          /* one of them is at least as likely as begins */
} ser_voice_stretch;

typedef struct ser_voice_spans {
    ser_voice_rules rules;
    uint64_t n_windows;
    ser_voice_stretch now, longest; /* n_voiced 0: none; longest: of those that were too short */
    bool speaking;                  /* now is an utterance */
    uint64_t n_spans;               /* utterances, with the one under way */
    ser_voice_span last;            /* the latest; end 0 while it is under way */
} ser_voice_spans;

typedef enum ser_voice_change {
    SER_VOICE_SAME,
    SER_VOICE_STARTS, /* last.start is known */
    SER_VOICE_ENDS    /* last.end too */
} ser_voice_change;

void ser_voice_spans_start(ser_voice_spans *s, const ser_voice_settings *settings);
ser_voice_change ser_voice_spans_add(ser_voice_spans *s, float probability);
/* At the end of n_samples of sound. ENDS although nothing is under way: the sound as a whole is too short for
 * an utterance by the rules, and half of it is speech. */
ser_voice_change ser_voice_spans_finish(ser_voice_spans *s, uint64_t n_samples);

/* The first sample of which it may still change whether it is in an utterance. */
uint64_t ser_voice_spans_settled(const ser_voice_spans *s);

#endif
