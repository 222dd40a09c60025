/* Frames of every recording of a corpus and of its altered copies, in memory: what the temporal network
 * learns from. They come from a feature tree where one fits, else from the cache, else they are computed and
 * kept there. */
#ifndef SER_DATA_FRAMES_H
#define SER_DATA_FRAMES_H

#include "data/normalize.h"
#include "model/condense.h"

typedef struct ser_frame_row {
    float *x;        /* (n_frames, dims of the set), finite */
    size_t n_frames; /* at least 1 */
} ser_frame_row;

typedef struct ser_frame_set {
    ser_recording *recordings; /* one per utterance of the corpus, in its order, as in ser_store */
    ser_frame_row *rows;       /* (n, n_rows): as in ser_store, the recording, its copies, the condition */
    size_t n, n_copies, n_rows, dims;
    ser_condense condense; /* what was done to the frames */
    size_t n_computed;     /* rows that were found neither in a tree nor in the cache */
} ser_frame_set;

/* Takes the settings of ser_store_new, and keeps the pooled statistics of what it had to compute where
 * ser_store_new finds them: where both are needed, make the frames first. The frames are condensed, also on
 * disk. A recording that cannot be read fails the whole set, naming the file. */
ser_status ser_frame_set_new(ser_frame_set **out, const ser_corpus *corpus,
                             const ser_store_settings *settings, const ser_condense *condense,
                             ser_error *err);
void ser_frame_set_free(ser_frame_set **s);

/* Row of utterance i: 0 is the recording itself, 1 ... n_copies its copies, n_rows - 1 the one to test. */
static inline const ser_frame_row *ser_frame_set_row(const ser_frame_set *s, size_t i, size_t row)
{
    return &s->rows[i * s->n_rows + row];
}

static inline size_t ser_frame_set_test_row(const ser_frame_set *s)
{
    return s->n_rows > 1 + s->n_copies ? s->n_rows - 1 : 0;
}

/* Standardises all rows of each speaker (of the corpus) by the mean and deviation over all frames of its own
 * unaltered recordings, in place; labels are not looked at. Where the deviation is 0, values become 0.
 * SER_E_ARG: SPEAKER, and speakers are unknown. */
ser_status ser_frame_set_normalize(ser_frame_set *s, const ser_corpus *corpus, ser_normalize how,
                                   int n_threads, ser_error *err);

#endif
