/* Sound of any length, heard in windows of three seconds that overlap, each frame kept from the window in
 * whose middle it lies. What an encoder makes of a sound depends on where it lies in its window and on what
 * else is there, and models learn from utterances of a few seconds: windows of 30 s were right half as often
 * (tools/check_timeline.py). Samples are pushed in any portions; frames do not depend on them. */
#ifndef SER_MODEL_GLIDING_H
#define SER_MODEL_GLIDING_H

#include "extract/cuts.h"

enum { SER_GLIDING_SAMPLES = 3 * SER_SAMPLE_RATE_HZ };

/* Frames from one window to the next, and those at a window's beginning that are kept from the one before. */
static inline size_t ser_gliding_advance(size_t overlap_samples, size_t hop_samples)
{
    return (SER_GLIDING_SAMPLES - overlap_samples) / hop_samples;
}

static inline size_t ser_gliding_margin(size_t overlap_samples, size_t hop_samples)
{
    return (SER_GLIDING_SAMPLES / hop_samples - ser_gliding_advance(overlap_samples, hop_samples)) / 2;
}

typedef struct ser_gliding {
    const ser_extractor *extractor; /* borrowed, as all below */
    ser_extractor_work *work;
    ser_cuts *cuts;
    ser_frames_fn receive; /* consecutive frames; NULL: only log_mel_max is wanted */
    void *context;
    size_t overlap_samples;
    float log_mel_max; /* the largest power that is known of */
    bool maximum_runs; /* it grows with what is heard */
    float *pcm; /* (SER_GLIDING_SAMPLES + 1): the window under way, and the sample that shows that it is not
                   the last */
    size_t n_have;
    bool first;
} ser_gliding;

/* Windows that share overlap_samples with the next one. cuts: who computes them; frames come when it hands
 * them on. A zeroed struct can be released. */
ser_status ser_gliding_init(ser_gliding *m, const ser_extractor *e, ser_extractor_work *work, ser_cuts *cuts,
                            size_t overlap_samples, ser_frames_fn receive, void *context, ser_error *err);
void ser_gliding_release(ser_gliding *m);
/* Another recording begins. */
void ser_gliding_start(ser_gliding *m);
ser_status ser_gliding_push(ser_gliding *m, const float *pcm, size_t n, ser_error *err);
ser_status ser_gliding_finish(ser_gliding *m, ser_error *err);

#endif
