/* Fine-tuning: layers of Whisper's encoder and a head on pooled statistics learn together from recordings of
 * many corpora, each judged only among the emotions that its corpus could have said.
 *
 * In short: ser_tune_net_open; ser_tune_features with draw 0 and ser_tune_standardise, so that the head reads
 * standardised numbers; ser_tune_fit_head, so that it starts from what can be read off the frozen encoder;
 * ser_tune_train; ser_tune_save_encoder, whose folder is then an encoder like any other (--encoder,
 * --embed-encoder), on which a linear model is fitted as usual. ser_tune_features again gives the pooled
 * features of the tuned encoder without a detour over the disk.
 *
 * Everything random is drawn from streams named by seed and draw, so that the bits depend neither on the
 * number of threads nor on interruptions. */
#ifndef SER_TUNE_FINE_TUNE_H
#define SER_TUNE_FINE_TUNE_H

#include "base/team.h"
#include "tune/loss.h"
#include "tune/whisper_tune.h"

#include <stdint.h>

/* A crop to learn from. draw counts all draws of the training from 1 on and so names a stream of random
 * numbers; 0 asks for the recording as it is. Writes at most capacity samples at 16 kHz and how many they are
 * (160 at least); target (n_labels) holds the row's and may be changed (mixup), as may mask. Called from
 * several threads at a time, each with a worker of its own, 0 ... n_threads-1; must give the same for the
 * same row and draw. */
typedef ser_status (*ser_tune_read)(void *context, size_t row, uint64_t draw, int worker, float *pcm,
                                    size_t capacity, size_t *n_samples, float *target, bool *mask,
                                    ser_error *err);

/* The same where the stem and the layers below `from` do not learn and what they give is kept somewhere:
 * of a crop hidden as in ser_tune_batch, at most capacity frames. */
typedef ser_status (*ser_tune_read_hidden)(void *context, size_t row, uint64_t draw, int worker,
                                           float *hidden, size_t capacity, size_t *n_frames, float *target,
                                           bool *mask, ser_error *err);

/* What there is to learn from. Nothing is owned. */
typedef struct ser_tune_rows {
    size_t n, n_labels;
    const size_t *n_samples; /* (n): of each recording, as far as it is known, or of its crops: batches are
                                made by length */
    const float *target;     /* (n, n_labels): probabilities, such as the shares of listeners' votes */
    const bool *mask;     /* (n, n_labels): what the recording's corpus could have said; NULL: everything */
    const double *weight; /* (n): how often it is drawn, relative to the others; NULL: all as often */
    const float *loss_weight; /* (n): how much it counts when it is drawn; NULL: 1 */
    const char *const *name;  /* (n): for messages; NULL: they go by number */
    ser_tune_read read;
    ser_tune_read_hidden read_hidden; /* instead of read, with from > 0; NULL: read */
    void *context;
} ser_tune_rows;

/* One epoch. The loss is a mean in nats over the labels of each recording's mask, measured while it is
 * learned from; the accuracy is in percent, against the likeliest label of the target. */
typedef struct ser_tune_epoch {
    size_t epoch, n_epochs; /* 1 ... n_epochs */
    double loss, accuracy;
    double gradient_norm; /* mean, before clipping */
    double rate;          /* of its last step, of the topmost layer */
    double seconds;
    double seconds_of_sound;
    bool restored; /* read from the state: told again, not made again */
} ser_tune_epoch;

typedef struct ser_tune_step {
    uint64_t step, n_steps; /* 1 ... n_steps */
    size_t epoch;
    double loss, gradient_norm, rate, seconds;
    size_t n, n_frames; /* of the batch */
} ser_tune_step;

typedef struct ser_tune_settings {
    size_t n_epochs, batch_size;
    size_t micro_batch; /* so many recordings of a batch go through the net together, and the gradients of
                           these parts are added in a fixed order; 0: the whole batch */
    size_t n_per_epoch; /* draws; 0: as many as there are rows */
    size_t max_samples; /* of a crop */
    double rate;        /* of the topmost layer, at its highest */
    double layer_decay; /* times this for each layer further down; the stem is one below the first layer */
    double head_rate;
    double warmup; /* share of all steps in which the rates rise in a straight line */
    double floor;  /* the rates fall along half a cosine wave to this share of themselves */
    double beta1, beta2, epsilon;
    double decay; /* decoupled, of matrices only */
    double pull; /* towards the weights at the start (not of the head): by rate * pull of the way each step */
    double clip; /* the gradient's norm is at most this; 0: any */
    double average; /* EMA of the weights: 0 none, else its decay, which grows as min(average, (1 + s) / (10 +
                       s)) with the steps s; the average is what the training leaves in the net */
    double label_smoothing; /* within the mask */
    double open_share;      /* so much of the loss is over all labels, whatever the mask */
    /* SpecAugment: with this probability a crop's spectrogram loses so many stripes of bands and of time,
     * each of a random width up to this share of the whole, and a time of at most stripe_s. */
    double stripe_probability;
    size_t n_band_stripes, n_time_stripes;
    double band_stripe_share, time_stripe_share, stripe_s;
    double dropout;   /* of the head's inputs */
    size_t lora_rank; /* 0: all weights learn; else matrices of the layers learn as sums with products of this
                         rank (Hu et al. 2021, arXiv:2106.09685), beside the head; the stem and all vectors
                         stay */
    double lora_alpha; /* the product counts alpha / rank */
    uint64_t seed;

    size_t memory;         /* bytes for activations, 0: any: see ser_tune_work_new */
    const ser_nn_ops *ops; /* engine and precision */
    int n_threads;         /* 0: all cores */
    const char *
        state_path; /* when it is there at the start, training goes on from it to the same bits; NULL: none */
    size_t state_every; /* steps between two states; 0: one after each epoch. There is one at a cancellation
                           too */
    size_t n_states; /* of this size that the disk will get, this one and those of trainings after it; 0: 1 */
    const char *identity; /* what else must be the same for a state to be gone on from; NULL: nothing */
    void (*on_step)(void *context, const ser_tune_step *s);   /* NULL: nobody */
    void (*on_epoch)(void *context, const ser_tune_epoch *e); /* after the state is saved; NULL: nobody */
    void *context;
    const ser_progress *progress; /* asked after every step: done of total steps */
    const char *what;             /* for progress */
    const ser_team *team; /* with micro_batch: whose ranks share the parts of each batch, to the same bits;
                             all come to the same net. NULL: no others */
} ser_tune_settings;

/* 10 epochs, batches of 16, crops of 3 s, rate 1.5e-4 with 0.8 a layer, head 1e-3, warm-up 0.1, floor 0.02,
 * betas 0.9 and 0.98, decay 0.05, clipped at 1, average 0.99, smoothing 0.05; seed 46. ops stays NULL. */
ser_tune_settings ser_tune_default_settings(void);

typedef struct ser_tune_fit {
    ser_tune_epoch *history;
    size_t n_epochs; /* of history */
    uint64_t n_steps;
} ser_tune_fit;

/* net holds what the training starts from, and afterwards what it came to: also after a failure, which leaves
 * the last good values. SER_E_ARG: rows or settings that make no training; SER_E_FORMAT: a loss that is not
 * finite (the recording is named), a state that is damaged or of another training; SER_E_NOMEM, SER_E_IO:
 * told before the first step where it can be; SER_E_CANCELLED: the progress said so. */
ser_status ser_tune_train(ser_tune_fit *out, ser_tune_net *net, const ser_tune_rows *rows,
                          const ser_tune_settings *settings, ser_error *err);
void ser_tune_fit_release(ser_tune_fit *f);

/* Pooled statistics of rows as the net hears them: pooled (n, net->n_in), of row[i] read with draw[i] (NULL:
 * 0). Uses batch_size, max_samples, ops, n_threads, progress and team of the settings: with a team its ranks
 * share the batches, and rank 0 alone has pooled. */
ser_status ser_tune_features(float *pooled, const ser_tune_net *net, const ser_tune_rows *rows,
                             const size_t *row, const uint64_t *draw, size_t n,
                             const ser_tune_settings *settings, ser_error *err);

/* What the frozen layers give of rows, for such a store: hidden as in ser_tune_batch of row[i] read with
 * draw[i] (NULL: 0), each its caller's to free with ser_free; ser_tune_read is asked. */
ser_status ser_tune_hidden_states(float **hidden, size_t *n_frames, const ser_tune_net *net,
                                  const ser_tune_rows *rows, const size_t *row, const uint64_t *draw,
                                  size_t n, const ser_tune_settings *settings, ser_error *err);

/* The head reads (x - mean) / deviation of these pooled statistics (n, net->n_in) from now on, weighted (n;
 * NULL: all the same); numbers that do not vary become 0. */
void ser_tune_standardise(ser_tune_net *net, const float *pooled, const double *weight, size_t n);

/* Fits the head alone to pooled (n, net->n_in), standardised as the net says: targets and masks of row[i]
 * (NULL: i), weights (n) or NULL. l2 times the sum of the squared weights is added to the mean loss.
 * What the head was before does not show. */
ser_status ser_tune_fit_head(ser_tune_net *net, const float *pooled, const ser_tune_rows *rows,
                             const size_t *row, const double *weight, size_t n, const ser_tune_loss *loss,
                             double l2, int n_threads, ser_error *err);

#endif
