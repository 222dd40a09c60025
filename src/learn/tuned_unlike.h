/* How unlike a tuned net's training recordings others are (model/unlike.h), as the net hears them: in the
 * order of its own statistics. */
#ifndef SER_LEARN_TUNED_UNLIKE_H
#define SER_LEARN_TUNED_UNLIKE_H

#include "learn/tuned_kind.h"
#include "model/unlike.h"

/* Of at most 300 recordings of each corpus among those that the source's crops have selected, as they are.
 * reach 1. With a team rank 0 alone has *out, as all that follows. */
ser_status ser_tuned_unlike(ser_unlike *out, const ser_tune_net *net, const ser_tuned_source *source,
                            ser_error *err);
/* distance (n) of recordings as they are. */
ser_status ser_tuned_distances(double *distance, const ser_unlike *u, const ser_tune_net *net,
                               const ser_tuned_source *source, const size_t *row, size_t n, ser_error *err);
/* The same for pooled features (model/pooled.h) of an extractor whose blocks are the net's pooled states;
 * statistics of active frames are not read. */
ser_status ser_tuned_unlike_pooled(ser_unlike *out, const ser_unlike *u, const ser_tune_net *net,
                                   ser_error *err);

#endif
