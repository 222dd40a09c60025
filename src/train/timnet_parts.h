/* What the parts of ser_timnet_train share; nobody else but tests includes this. */
#ifndef SER_TRAIN_TIMNET_PARTS_H
#define SER_TRAIN_TIMNET_PARTS_H

#include "io/state.h"
#include "nn/adam.h"
#include "train/timnet_fit.h"

/* ---- timnet_split.c: who learns, who validates ---- */

typedef struct timnet_split {
    size_t *train, *validation; /* rows, ascending */
    size_t n_train, n_validation;
    float *weight; /* (n_labels): of the losses */
} timnet_split;

/* Checks rows and settings too. note: ser_timnet_fit's. */
ser_status timnet_check(const ser_timnet_rows *rows, const ser_timnet_settings *settings, ser_error *err);
ser_status timnet_split_init(timnet_split *s, const ser_timnet_rows *rows,
                             const ser_timnet_settings *settings, char *note, size_t n_note, ser_error *err);
void timnet_split_release(timnet_split *s);

/* ---- timnet_examples.c: a batch as the network reads it ---- */

/* Arrays of up to batch_size, or twice that with unlabelled rows. */
typedef struct timnet_examples {
    float *x; /* all frames, scaled and altered */
    size_t capacity;
    const float **frames;
    size_t *n_frames;
    float *target; /* (n, n_labels): probabilities; all 0 for unlabelled rows */
} timnet_examples;

typedef struct timnet_source {
    const ser_timnet_rows *rows;
    const ser_timnet_settings *settings;
    const timnet_split *split; /* mixup's partners come from its training part */
    const float *mean, *scale;
} timnet_source;

ser_status timnet_examples_init(timnet_examples *e, const timnet_source *from, ser_error *err);
void timnet_examples_release(timnet_examples *e);
/* Altered as the settings say, at random by seed, epoch and row; with epoch 0 nothing is altered, and of long
 * recordings the first max_frames are there. */
ser_status timnet_examples_make(timnet_examples *e, const timnet_source *from, const size_t *row, size_t n,
                                size_t epoch, ser_error *err);

/* ---- timnet_state.c: what a run goes on from ---- */

/* All that changes from epoch to epoch. */
typedef struct timnet_progress {
    ser_timnet *net;
    ser_adam adam;
    float *best;               /* (n_values): with patience, the values of the epoch with the lowest loss */
    float *average;            /* (n_trained): with n_average, the mean of the last epochs' values so far */
    ser_timnet_epoch *history; /* room for n_epochs */
    size_t n_done;             /* epochs */
} timnet_progress;

ser_status timnet_identity_init(ser_state_identity *out, const ser_timnet_rows *rows,
                                const ser_timnet_settings *settings, ser_error *err);

ser_status timnet_state_write(const char *path, const timnet_progress *p, const ser_state_identity *identity,
                              ser_error *err);
/* Into memory of the right sizes; Adam's number of steps is the caller's to set. Nothing happens where there
 * is no such file. Messages begin with the path. */
ser_status timnet_state_read(timnet_progress *p, const char *path, const ser_state_identity *identity,
                             size_t n_epochs, ser_error *err);

/* What rank 0 has read, to the others. */
ser_status timnet_progress_share(timnet_progress *p, const ser_team *team, size_t n_epochs, ser_error *err);

#endif
