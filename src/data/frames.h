/* Frames of every recording of a corpus and of its altered copies, in memory: what the temporal network
 * learns from. */
#ifndef SER_DATA_FRAMES_H
#define SER_DATA_FRAMES_H

#include "data/recording.h"
#include "model/condense.h"

typedef struct ser_frame_row {
    float *x;        /* (n_frames, dims of the set), finite */
    size_t n_frames; /* at least 1 */
} ser_frame_row;

typedef struct ser_frame_set {
    ser_frame_row *rows; /* (n, n_rows): as in ser_store, the recording, its copies, the condition */
    size_t n, n_copies, n_rows, dims;
    ser_condense condense; /* what was done to the frames */
} ser_frame_set;

/* With n * n_rows empty rows: ser_intake fills them. */
ser_status ser_frame_set_new(ser_frame_set **out, size_t n, size_t n_copies, size_t n_rows, size_t dims,
                             const ser_condense *condense, ser_error *err);
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

/* frames (condensed in place) into a row. */
ser_status ser_frame_row_fill(ser_frame_row *row, const ser_frame_set *s, ser_frame_buffer *frames,
                              ser_error *err);
/* A row in the cache, where frames are condensed too. */
bool ser_frame_row_read(ser_frame_row *row, const ser_frame_set *s, const ser_recording_features *f,
                        size_t row_index);
void ser_frame_row_write(const ser_frame_row *row, const ser_frame_set *s, const ser_recording_features *f,
                         size_t row_index);

#endif
