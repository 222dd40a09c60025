/* Answers of temporal networks: each stands between the scaling of its input and the temperature of its
 * output; several of them are an ensemble, whose calibrated scores are averaged. */
#ifndef SER_MODEL_TIMNET_MODEL_H
#define SER_MODEL_TIMNET_MODEL_H

#include "model/condense.h"
#include "model/timnet.h"

/* A zeroed struct is none. */
typedef struct ser_timnet_member {
    ser_timnet *net;
    float *mean, *scale;   /* (n_in): it reads (x - mean) * scale */
    float temperature;     /* scores = softmax(logits / temperature) */
    ser_condense condense; /* what was done to the frames before; the same for all of an ensemble */
    uint64_t blocks;       /* bit b: it reads block b of a frame (ser_extractor_block); 0: the whole frame */
} ser_timnet_member;

/* A network of this shape with values 0, mean 0, scale 1, temperature 1, that reads whole frames. SER_E_ARG:
 * the shape makes no network. */
ser_status ser_timnet_member_init(ser_timnet_member *m, const ser_timnet_shape *shape, ser_error *err);
void ser_timnet_member_release(ser_timnet_member *m);

/* A network of its own that reads unscaled frames and gives the same logits: the scaling has gone into the
 * weights of its first layer. */
ser_status ser_timnet_member_unscaled(ser_timnet **out, const ser_timnet_member *m, ser_error *err);

/* How a network that reads sums of parts of a frame becomes one that reads the frame, n_in values: each of
 * them is read as (x - mean) * scale, and counts weight in value number sum of what m reads. */
typedef struct ser_timnet_sums {
    size_t n_in;
    const float *mean, *scale, *weight; /* (n_in) */
    const size_t *sum;                  /* (n_in) */
} ser_timnet_sums;
/* m becomes the other one: the same logits. */
ser_status ser_timnet_member_expand(ser_timnet_member *m, const ser_timnet_sums *sums, ser_error *err);

enum { SER_TIMNET_MAX_BLOCKS = 64 };

/* Where a frame's blocks lie; with n_blocks 0, members read whole frames. */
typedef struct ser_timnet_layout {
    size_t dims, n_blocks;
    size_t offset[SER_TIMNET_MAX_BLOCKS], block_dims[SER_TIMNET_MAX_BLOCKS];
} ser_timnet_layout;
ser_timnet_layout ser_timnet_layout_of(const ser_extractor *e);

/* SER_E_FORMAT: a member that does not read such frames, or tells other emotions apart than the first. */
ser_status ser_timnet_members_check(const ser_timnet_member *members, size_t n_members,
                                    const ser_timnet_layout *layout, ser_error *err);

/* Memory to answer with: some 12 bytes for each of 2048 frames and dims. Belongs to one thread. */
typedef struct ser_timnet_scorer ser_timnet_scorer;

/* members (n_members > 0) and nn are borrowed. SER_E_FORMAT: as above. */
ser_status ser_timnet_scorer_new(ser_timnet_scorer **out, const ser_timnet_member *members, size_t n_members,
                                 const ser_timnet_layout *layout, ser_nn_work *nn, ser_error *err);
void ser_timnet_scorer_free(ser_timnet_scorer **s);

/* Of frames (n_frames[i], layout.dims) as they come from the extractor, any number of recordings of any
 * length: they are read a few at a time, and those of more than SER_TIMNET_WINDOW frames in windows of equal
 * length, whose logits are averaged. SER_E_ARG: a recording without frames; SER_E_FORMAT: one with a frame
 * that is not finite. */
enum { SER_TIMNET_WINDOW = 1500 /* 30 s of the usual 50 frames a second */ };
/* logits (n, n_labels) of one member, not divided by its temperature. */
ser_status ser_timnet_logits(ser_timnet_scorer *s, size_t member, const ser_timnet_batch *batch,
                             float *logits, ser_error *err);
/* scores (n, n_labels): the mean of the members' calibrated probabilities. */
ser_status ser_timnet_score(ser_timnet_scorer *s, const ser_timnet_batch *batch, float *scores,
                            ser_error *err);

#endif
