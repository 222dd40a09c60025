/* What the files of fine_tune share; nobody else includes this. */
#ifndef SER_TUNE_FINE_PARTS_H
#define SER_TUNE_FINE_PARTS_H

#include "io/state.h"
#include "nn/adam.h"
#include "tune/fine_tune.h"

/* ---- fine_order.c: who is learned from, and when ---- */

typedef struct tune_draw {
    size_t row;
    uint64_t number; /* of all draws of the training, from 1 on */
} tune_draw;

/* Draws of one epoch (0 ...), batch after batch: n of them. */
ser_status ser_tune_order(tune_draw *draws, size_t n, const ser_tune_rows *rows,
                          const ser_tune_settings *settings, size_t epoch, ser_error *err);

/* ---- fine_batch.c: a batch read ---- */

typedef struct tune_examples {
    size_t capacity; /* recordings */
    size_t max_samples, n_labels;
    float *pcm;                /* (capacity, max_samples), or what frozen layers give (capacity, room) */
    const float **pcm_of;      /* (capacity) */
    size_t *n_samples;         /* (capacity) */
    size_t *n_frames;          /* (capacity) */
    size_t room, dims;         /* numbers for each; of a hidden state, 0: sound is read */
    size_t n_below;            /* rows behind a hidden state's frames */
    float *target;             /* (capacity, n_labels) */
    bool *mask;                /* (capacity, n_labels) */
    ser_tune_stripes *stripes; /* (capacity) */
} tune_examples;
/* shape: hidden states are read; NULL: sound. */
ser_status ser_tune_examples_init(tune_examples *e, size_t capacity, size_t max_samples, size_t n_labels,
                                  const ser_tune_shape *shape, ser_error *err);
/* As the network takes it: n recordings. */
ser_tune_batch ser_tune_examples_batch(const tune_examples *e, size_t n);
void ser_tune_examples_release(tune_examples *e);
ser_status ser_tune_examples_read(tune_examples *e, const ser_tune_rows *rows, const tune_draw *draws,
                                  size_t n, int n_threads, ser_error *err);
/* Stripes of n draws, at random by seed and draw; draw 0 has none. */
void ser_tune_draw_stripes(tune_examples *e, const ser_tune_settings *s, size_t n_mels,
                           const tune_draw *draws, size_t n);
/* "'NAME'", or "recording NUMBER". */
void ser_tune_name_row(char text[128], const ser_tune_rows *rows, size_t row);

/* ---- fine_update.c: what learns, and one step of the optimiser ---- */

/* A piece of what learns, with rates of its own. */
typedef struct tune_item {
    size_t at, n; /* among what learns */
    int depth;
    bool is_matrix;
} tune_item;

/* With LoRA: a matrix with its two factors, or with rank 0 a tensor of the head, which learns as it is. */
typedef struct tune_adapted {
    const ser_tune_tensor *tensor;
    size_t rank, down, up; /* where (rank, n_in) and (n_out, rank) lie among what learns; the head's: down */
} tune_adapted;

typedef struct tune_learned {
    size_t n;                                            /* numbers that learn */
    float *values;                                       /* (n): within the net, or with LoRA own */
    float *gradients, *mean, *square, *average, *origin; /* (n); average and origin NULL where not needed */
    tune_item *items;
    size_t n_items;
    double *squares; /* (n_items) */
    uint64_t step;   /* made so far */
    /* With LoRA: */
    tune_adapted *adapted;
    size_t n_adapted;                            /* 0: none */
    float *own_values, *full_gradients, *before; /* full gradients and the values at the start: of all that
                                                    could learn */
    float lora_scale;
} tune_learned;
ser_status ser_tune_learned_init(tune_learned *l, ser_tune_net *net, const ser_tune_settings *s,
                                 ser_error *err);
void ser_tune_learned_release(tune_learned *l);
/* Where the backward pass puts its gradients. */
float *ser_tune_learned_gradients(const tune_learned *l);
/* The net's values become what has been learned; work may be NULL. */
ser_status ser_tune_learned_apply(tune_learned *l, ser_tune_net *net, ser_tune_work *work, ser_nn_work *nn,
                                  ser_error *err);
/* Gradients have been set; norm: of all of them, before clipping. Nothing moves when it is not finite. */
ser_status ser_tune_update(tune_learned *l, ser_tune_net *net, ser_tune_work *work, ser_nn_work *nn,
                           const ser_tune_settings *s, uint64_t n_steps, double *norm, ser_error *err);
double ser_tune_rate_at(const ser_tune_settings *s, uint64_t step, uint64_t n_steps);

/* ---- fine_room.c ---- */

/* SER_E_NOMEM, SER_E_IO: memory or disk will not suffice. */
ser_status ser_tune_check_room(const ser_tune_net *net, const tune_learned *l, const ser_tune_settings *s,
                               ser_error *err);

/* ---- fine_lora.c ---- */

/* n, values and what LoRA has; no items. */
ser_status ser_tune_lora_init(tune_learned *l, const ser_tune_net *net, const ser_tune_settings *s,
                              ser_error *err);
ser_status ser_tune_lora_gradients(tune_learned *l, ser_tune_net *net, ser_nn_work *nn, ser_error *err);
ser_status ser_tune_lora_apply(tune_learned *l, ser_tune_net *net, ser_tune_work *work, ser_nn_work *nn,
                               ser_error *err);

/* ---- fine_state.c: what a run goes on from ---- */

/* Sums of the epoch under way. */
typedef struct tune_sums {
    double loss, n, n_right, norm, n_steps, seconds, seconds_of_sound;
} tune_sums;

typedef struct tune_progress {
    tune_learned *learned;
    ser_tune_epoch *history; /* room for n_epochs */
    size_t n_done;           /* epochs */
    tune_sums sums;
} tune_progress;

ser_status ser_tune_identity_init(ser_state_identity *out, const ser_tune_net *net, const ser_tune_rows *rows,
                                  const ser_tune_settings *s, ser_error *err);
ser_status ser_tune_state_write(const char *path, const tune_progress *p, const ser_state_identity *identity,
                                ser_error *err);
/* Nothing happens where there is no such file. Messages begin with the path. */
ser_status ser_tune_state_read(tune_progress *p, const char *path, const ser_state_identity *identity,
                               size_t n_epochs, ser_error *err);

#endif
