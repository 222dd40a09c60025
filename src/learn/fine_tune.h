/* Fine-tuning an encoder on a training part: a head that reads the frozen encoder first, then both together.
 */
#ifndef SER_LEARN_FINE_TUNE_H
#define SER_LEARN_FINE_TUNE_H

#include "extract/extract.h"
#include "learn/crops.h"
#include "model/linear.h"

typedef struct ser_fine_tune_settings {
    const char *encoder;    /* the checkpoint's folder */
    ser_tune_shape shape;   /* from, pooled, n_pooled; the rest is filled in */
    ser_tune_settings tune; /* seed and threads too; state_path, on_epoch and context are not looked at */
    bool head_alone;        /* the encoder stays as it is */
    size_t n_copies;        /* with shape.from: altered copies of each recording, whose frozen layers are
                               computed once; 0: each crop is altered anew */
    size_t n_start;         /* recordings that the head starts from, as they are and altered once */
    double start_l2;        /* its penalty */
    size_t n_soup;          /* trainings from this start, each in an order and with dropout of its own, whose
                               weights are averaged (a model soup: Wortsman et al. 2022, arXiv:2203.05482) */
    double blend;           /* of the weights at the end and those at the start (Wortsman et al. 2022,
                               arXiv:2109.01903): 1 the end alone */
    size_t max_answer;      /* samples that are heard of a recording for an answer */
    const char *state;  /* training m (0 ...) of the soup keeps its state in STATE-NUMBER.safetensors with */
    size_t first_state; /* the number first_state + m; NULL: nowhere */
    void (*on_epoch)(void *context, size_t training,
                     const ser_tune_epoch *e); /* 1 ... n_soup; NULL: nobody */
    void *context;
} ser_fine_tune_settings;

/* What docs/strangers.md found: layers 1 to 4 of Whisper base. */
ser_fine_tune_settings ser_fine_tune_default_settings(void);

/* The pretrained encoder with a head, which is fitted to some of the recordings that crops has selected; then
 * both learn from all of them. *net is the caller's. */
ser_status ser_fine_tune(ser_tune_net **net, const ser_crops *crops, const ser_fine_tune_settings *settings,
                         ser_error *err);

/* logits (n, n_labels) of recordings as they are; with settings->tune.team rank 0 alone has them. */
ser_status ser_fine_tune_logits(float *logits, const ser_tune_net *net, const ser_crops *crops,
                                const size_t *row, size_t n, const ser_fine_tune_settings *settings,
                                ser_error *err);

/* The head as a linear model's for pooled features (model/pooled.h) of an extractor whose blocks are the
 * net's pooled states, in order; statistics of active frames count nothing. Temperature 1. SER_E_ARG: it has
 * other blocks. */
ser_status ser_fine_tune_head(ser_linear *out, const ser_tune_net *net, const ser_extractor *e,
                              ser_error *err);

#endif
