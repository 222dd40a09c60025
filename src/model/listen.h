/* A recording listened to from its beginning to its end: what is judged as one utterance and what as a
 * conversation, when nothing is said at all, and who is told how far it is. */
#ifndef SER_MODEL_LISTEN_H
#define SER_MODEL_LISTEN_H

#include "model/judge.h"

/* Samples. */
enum {
    SER_LISTEN_UTTERANCE = 10 * SER_SAMPLE_RATE_HZ, /* the longest recording to be judged as one utterance */
    SER_LISTEN_OVERLAP = 2 * SER_SAMPLE_RATE_HZ,    /* of the windows of a conversation */
    /* A cell with less than this of utterances in it is a pause. They have margins of 0.1 s, and every one
     * has more in one cell at least. */
    SER_LISTEN_VOICE_IN_CELL = SER_SAMPLE_RATE_HZ / 5
};

/* r, which is empty before, receives everything but the warning; it stays empty after a failure. total_s: how
 * long the recording says it is, 0: not known. A voice that is followed is joined by the recording, once, and
 * only where it is answered for. */
ser_status ser_listen(ser_judge *j, const ser_pcm_source *source, const ser_predict_options *options,
                      double total_s, ser_result *r, ser_error *err);

/* The frames of a whole recording, in windows of 30 s. SER_E_FORMAT: it is shorter than 25 ms, or a sample is
 * not finite. */
ser_status ser_listen_frames(ser_judge *j, const ser_pcm_source *source, ser_frames_fn receive, void *context,
                             ser_error *err);
/* Their statistics. */
ser_status ser_listen_pooled(ser_judge *j, const ser_pcm_source *source, ser_pooling *pooled, ser_error *err);

#endif
