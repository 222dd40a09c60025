/* Models for recordings to come, trained on a whole corpus, and what is put into a model file. */
#ifndef SER_LEARN_TRAIN_MODEL_H
#define SER_LEARN_TRAIN_MODEL_H

#include "learn/learn.h"
#include "model/model_file.h"

typedef struct ser_train_settings {
    ser_learn_settings learn;
    const ser_candidate *baseline_candidates; /* of the head for a voice's own baseline */
    size_t n_baseline_candidates;
    const char *state; /* as in ser_learn */
    /* The plain head of all blocks, which something else has learned; NULL: what settings.learn says is
     * learned. */
    const ser_linear *head;
    const ser_unlike *unlike; /* of the features of all blocks, likewise; NULL: it is not measured */
} ser_train_settings;

typedef struct ser_training {
    ser_model_data model;
    ser_learned learned;   /* what was chosen, histories; its networks have moved into the model */
    ser_head_fit baseline; /* chosen likewise; n_in of its head is 0 where speakers are unknown */
} ser_training;

/* With learn.team rank 0 alone has *out: the others help as far as they can. Networks, the plain head, and
 * the head for a voice's baseline (where there is a linear part and speakers are known). store is data's; it
 * is left standardised by speaker where there is a baseline head. The model's specification keeps only the
 * layers that some part uses. */
ser_status ser_train_model(ser_training *out, const ser_learn_data *data, ser_store *store,
                           const ser_train_settings *settings, ser_error *err);
void ser_training_release(ser_training *t);

/* A model of what was learned from one fold's training part: no baseline. Its networks
 * move into *out. */
ser_status ser_model_of_fold(ser_model_data *out, ser_learned *learned, const ser_learn_data *data,
                             ser_error *err);

/* Of a target as it is, before it is standardised: of its pooled features (dims of the store), and of its
 * frames (dims of the set), where there are some. */
typedef struct ser_target_statistics {
    float *mean, *scale; /* (x - mean) * scale has mean 0 and deviation 1 */
    float *spread;       /* the usual deviation within one speaker: ser_normalize_apply fills it */
    float *frame_mean, *frame_scale;
} ser_target_statistics;
ser_status ser_target_statistics_measure(ser_target_statistics *out, const ser_learn_data *target,
                                         ser_error *err);
void ser_target_statistics_release(ser_target_statistics *t);

/* A model for recordings of the target, from what was learned with standardised features (how) of all the
 * extractor's blocks. It reads features as they are, by the statistics of the whole target; where speakers
 * were standardised, its linear part has the head for a voice's own baseline besides. Networks move into
 * *out. */
ser_status ser_model_of_transfer(ser_model_data *out, ser_learned *learned, const ser_learn_data *source,
                                 ser_normalize how, const ser_target_statistics *t, ser_error *err);

#endif
