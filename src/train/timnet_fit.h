/* Training of a temporal network: a validation part cut from the training part, Adam on batches of altered
 * features, early stopping or an average of the last weights, calibration; resumable after every epoch.
 *
 * Everything random is drawn from streams that are named by seed, epoch and recording, so that the bits
 * depend neither on the number of threads nor on interruptions. */
#ifndef SER_TRAIN_TIMNET_FIT_H
#define SER_TRAIN_TIMNET_FIT_H

#include "base/team.h"
#include "model/timnet_model.h"
#include "train/adapt.h"

/* The recordings of a training part. Nothing is owned. */
typedef struct ser_timnet_rows {
    const float *const *frames; /* (n): (n_frames[i], n_in) each */
    const size_t *n_frames;     /* (n) */
    const int *label;           /* (n): 0 ... n_labels-1 */
    const int *group;           /* (n): speakers; NULL: unknown */
    const size_t *copy_of;      /* (n): the row of which this is an altered copy, its own number where it is
                                   none; NULL: there are no copies. Copies are never in the validation part, nor
                                   in the training part when their recording is not */
    const char *const *name;    /* (n): for messages; NULL: they go by number */
    const char *const *labels;  /* (n_labels): for messages; NULL: they go by number */
    size_t n, n_in, n_labels;
    size_t n_unlabelled; /* so many more rows follow in frames, n_frames and name: recordings of a target, to
                            be drawn closer to */
} ser_timnet_rows;

/* One epoch, as told and as kept. Losses are means in nats, with label smoothing and class weights; those of
 * the training part are measured while it is learned from, so with dropout and alterations. Accuracies are in
 * percent. Without a validation part its figures are NAN. */
typedef struct ser_timnet_epoch {
    size_t epoch, n_epochs; /* 1 ... n_epochs */
    double train_loss, train_accuracy, validation_loss, validation_accuracy;
    double lmmd, entropy, balance; /* with unlabelled rows: as in ser_adapt_epoch */
    double rate;                   /* of its last step */
    double seconds;
    bool restored; /* read from the state: told again, not made again */
} ser_timnet_epoch;

typedef struct ser_timnet_settings {
    ser_timnet_shape shape; /* n_in and n_labels are those of the rows */
    size_t n_epochs, batch_size;
    /* Recordings of a batch that are normalised together, and learned from one such part after the other,
     * their gradients added in a fixed order: so many; 0: the whole batch. Not with unlabelled rows. */
    size_t micro_batch;
    double rate, beta1, beta2;
    size_t n_warmup_epochs; /* the rate rises in a straight line over so many */
    double decay;           /* as in ser_schedule: 0 constant, 1 down to 0 along half a cosine wave */
    double label_smoothing;
    bool class_weights;      /* each class counts the same in the loss, however many recordings it has */
    double validation_share; /* of the recordings; 0: none, so no early stopping and temperature 1 */
    bool speaker_disjoint;   /* the validation part's speakers are not in the training part, where known */
    size_t patience;         /* stop after so many epochs without a lower validation loss, and keep the
                                epoch with the lowest; 0: run all, and keep the last */
    size_t n_average; /* with patience 0: keep the mean of the last so many epochs' weights, normalisation
                         measured anew over the training part (Izmailov et al. 2018, arXiv:1803.05407); 0:
                         the last weights as they are */
    /* SpecAugment (Park et al. 2019, arXiv:1904.08779, without warping): so many stretches of time and of
     * dims, each of a random width up to this share of the whole, are set to the mean. */
    size_t n_time_masks, n_feature_masks;
    double time_mask_share, feature_mask_share;
    double mixup;      /* alpha of mixup (Zhang et al. 2018, arXiv:1710.09412), 0 ... 2; 0: none */
    size_t max_frames; /* of longer recordings each epoch learns from another random stretch of so many */
    /* With unlabelled rows: of lmmd (of the output layer's input), entropy and balance. Each batch has as
     * many unlabelled recordings as others. */
    ser_adapt_weights weights;
    uint64_t seed;

    const ser_team
        *team; /* with micro_batch: whose ranks share the parts of each batch, to the same bits; NULL */
    const ser_nn_ops *ops;  /* engine and precision */
    int n_threads;          /* 0: all cores; two at most are used */
    const char *state_path; /* written after each epoch; when it is there at the start, training goes on from
                               it. NULL: none */
    const char *identity;   /* what else must be the same for a state to be gone on from, such as features and
                               fold; NULL: nothing */
    void (*on_epoch)(void *context, const ser_timnet_epoch *e); /* after the state is saved; NULL: nobody */
    void *context;
    const ser_progress *progress; /* asked after every batch: done of total batches of all epochs */
    const char *what;             /* for progress */
} ser_timnet_settings;

/* The original's: its network, 50 epochs, batches of 32, rate 3e-4, beta 0.93 and 0.98, smoothing 0.1,
 * patience 10, a validation part of one tenth, nothing else; seed 46. ops stays NULL. */
ser_timnet_settings ser_timnet_default_settings(void);

typedef struct ser_timnet_fit {
    ser_timnet_member member; /* move it out by zeroing this one */
    ser_timnet_epoch *history;
    size_t n_epochs;                                            /* of history */
    size_t epoch_kept;                                          /* 1 ... n_epochs; of an average: its last */
    size_t n_train, n_validation;                               /* recordings; n_train counts copies too */
    double validation_loss, validation_accuracy, validation_ua; /* of what is kept, calibrated, no smoothing;
                                                                   NAN without a validation part */
    char note[256]; /* empty, or what is odd: classes without recordings in one of the parts */
} ser_timnet_fit;

/* SER_E_ARG: rows or settings that make no training; SER_E_FORMAT: a frame that is not finite, a state that
 * is damaged or of another training; SER_E_CANCELLED: the progress said so; with a state_path, at most the
 * epoch under way is lost. */
ser_status ser_timnet_train(ser_timnet_fit *out, const ser_timnet_rows *rows,
                            const ser_timnet_settings *settings, ser_error *err);
void ser_timnet_fit_release(ser_timnet_fit *f);

#endif
