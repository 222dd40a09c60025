/* Altered copies of recordings as the frozen layers of an encoder hear them: computed once, so that a
 * training computes no more than what learns. */
#ifndef SER_LEARN_COPIES_H
#define SER_LEARN_COPIES_H

#include "learn/crops.h"

/* Nothing is owned; read-only once it is made. */
typedef struct ser_copies {
    ser_tune_rows rows; /* those of the crops, read from the copies: for ser_tune_train */
    const ser_crops *crops;
    size_t n_copies, dims, n_below; /* ser_tune_n_below */
    size_t *first; /* (n): of each recording's copies among all; those that are not learned from have none */
    size_t *n_frames; /* (n_learned * n_copies) */
    size_t *at;       /* (n_learned * n_copies): number in what is kept that each begins with */
    ser_scratch scratch;
} ser_copies;

/* n_copies of each recording that crops has selected, as what the net's frozen layers give (from above 0).
 * crops must outlive *out. SER_E_IO: the disk has no room, told before anything is computed;
 * SER_E_CANCELLED. */
ser_status ser_copies_new(ser_copies **out, const ser_tune_net *net, const ser_crops *crops, size_t n_copies,
                          const ser_tune_settings *settings, ser_error *err);
void ser_copies_free(ser_copies **copies);

#endif
