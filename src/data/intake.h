/* Taking in a corpus: each file is read, hashed and decoded once at most, for everything that is wanted of
 * its recordings: what they are, pooled statistics, frames. */
#ifndef SER_DATA_INTAKE_H
#define SER_DATA_INTAKE_H

#include "data/frames.h"
#include "data/recording.h"

/* condense: what is done to the frames of *frames; NULL: no frames are wanted (then frames may be NULL). What
 * is computed is kept for the next time. A recording that cannot be read fails it all, and the text begins
 * with its path. */
ser_status ser_intake(ser_store **store, ser_frame_set **frames, const ser_corpus *corpus,
                      const ser_intake_settings *settings, const ser_condense *condense, ser_error *err);

#endif
