/* A recording listened to from its beginning to its end: what is judged as one utterance and what as a
 * conversation, when nothing is said at all, and who is told how far it is. */
#ifndef SER_MODEL_LISTEN_H
#define SER_MODEL_LISTEN_H

#include "model/judge.h"

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
