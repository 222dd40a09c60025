/* From what was computed to what a model keeps of it: the blocks of a frame that some part of it reads. */
#ifndef SER_LEARN_KEPT_H
#define SER_LEARN_KEPT_H

#include "extract/extract.h"
#include "model/linear.h"

typedef struct ser_kept {
    const ser_extractor *extractor; /* of everything that was computed */
    uint64_t blocks;                /* of its blocks */
    size_t n_in;                    /* pooled features of these */
} ser_kept;

/* used: what is read. Blocks outside an encoder cannot be left out of a specification, so they stay. */
ser_kept ser_kept_of(const ser_extractor *e, uint64_t used);
/* The specification of what is kept. */
ser_feature_spec ser_kept_spec(const ser_kept *k);
/* Pooled features (n_in) of all of them. */
void ser_kept_compress(float *to, const float *from, const ser_kept *k);
/* A head that reads what is kept, of one that reads everything and weighs the rest with 0. */
ser_status ser_kept_head(ser_linear *out, const ser_linear *head, const ser_kept *k, ser_error *err);
/* Bit b of the result: the b-th of the kept blocks. */
uint64_t ser_kept_renumber(uint64_t blocks, const ser_kept *k);

#endif
