/* What the files of whisper_tune share; nobody else includes this. */
#ifndef SER_TUNE_PARTS_H
#define SER_TUNE_PARTS_H

#include "features/mel.h"
#include "nn/trainable.h"
#include "tune/whisper_tune.h"

enum {
    TUNE_BLOCK =
        256, /* rows that one thread computes together: fixed, so that threads do not show in the bits */
    TUNE_ROUND =
        64, /* the batch's rows are rounded up to this, so that products of few shapes are compiled */
    TUNE_SHAPES = 2048 /* products to keep compiled */
};

/* Of a layer: where each tensor starts among the values. */
typedef struct tune_layer {
    size_t norm1, norm1_shift, q, q_bias, k, v, v_bias, out, out_bias, norm2, norm2_shift, fc1, fc1_bias, fc2,
        fc2_bias;
} tune_layer;

typedef struct tune_places {
    size_t conv1, conv1_bias, conv2, conv2_bias, positions, last_norm, last_norm_shift, head, head_bias;
    tune_layer *layers; /* (last) */
} tune_places;

/* A recording in the batch: its rows follow those of the one before. There is at least one row of padding, so
 * that silence lies between any two. */
typedef struct tune_utterance {
    size_t first, n_rows, n_frames; /* n_rows: padded */
    size_t n_mel;                   /* frames of the spectrogram: two for each row, of which n_mel are real */
} tune_utterance;

/* What one layer keeps; T: the products' type. */
typedef struct tune_kept {
    float *x;                 /* (rows, dims): what comes in */
    void *normed, *q, *k, *v; /* T (rows, dims) */
    void *attended;           /* T (rows, dims) */
    float *middle;            /* (rows, dims): x behind attention */
    void *normed2;            /* T (rows, dims) */
    void *h, *g;              /* T (n_panels, rows, width): in front of GELU and behind it */
} tune_kept;

/* Gradients on their way down, the same memory for every layer. */
typedef struct tune_gradients {
    float *dx;                                      /* (rows, dims) */
    void *dout2, *dout1, *dattended, *dq, *dk, *dv; /* T (rows, dims) */
    void *dh;                                       /* T (n_panels, rows, width) */
    float *sums; /* (blocks, n_sums): of what each block adds to biases and norms */
} tune_gradients;

struct ser_tune_work {
    const ser_tune_net *net;
    ser_nn_work *nn;
    ser_dtype type;
    size_t size; /* of an element of type */
    tune_places at;
    size_t n_panels, width; /* of n_ffn */
    void *typed;            /* T (n_values): the values as products read them; in fp32 NULL */
    ser_mel *mel;
    ser_mel_work **mel_works; /* one for each thread */
    float **mel_floats;
    int n_threads;

    bool learns;        /* backward passes follow */
    size_t most_memory; /* for activations; 0: any */
    bool recomputes;    /* layers share what they keep */

    size_t n, n_rows, n_blocks; /* of the batch at work */
    tune_utterance *utterances;
    size_t utterance_capacity;
    bool from_hidden;

    size_t row_capacity;
    void *memory;      /* all below */
    void *mel_rows;    /* T (2 rows + 2, n_mels): the first row is silence */
    void *h1, *g1;     /* T (2 rows + 2, dims): the first convolution, in front of GELU and behind it */
    void *h2;          /* T (rows + 2, dims) */
    void *dh1, *dh2;   /* the same: gradients */
    tune_kept *layers; /* (last): those that do not learn share theirs */
    float *last_x;     /* (rows, dims): hidden state last, in front of the last norm */
    float *final;      /* (rows, dims): behind it; last_x where there is none */
    tune_gradients gradients;
    size_t n_sums;
    float *grads; /* the caller's, of the backward pass at work */
};

/* Hidden state i of the batch at work. */
const float *ser_tune_hidden(const ser_tune_work *w, int i);
/* Matrix at among the values, as products read it. */
const void *ser_tune_typed(const ser_tune_work *w, size_t at);
float *ser_tune_gradient(const ser_tune_work *w, size_t at);
void *ser_tune_offset(const ser_tune_work *w, void *matrix, size_t row, size_t n_columns); /* of a T matrix */
bool ser_tune_has_last_norm(const ser_tune_net *net);

ser_status ser_tune_stem_forward(ser_tune_work *w, ser_error *err);
ser_status ser_tune_stem_backward(ser_tune_work *w, ser_error *err);
ser_status ser_tune_layers_forward(ser_tune_work *w, ser_error *err);
/* Computes again what layer i keeps, from its x. */
ser_status ser_tune_layer_again(ser_tune_work *w, int i, ser_error *err);
ser_status ser_tune_pool(const ser_tune_work *w, float *pooled, ser_error *err);
/* dx += what the statistics of pooled state number `state` hand down. */
ser_status ser_tune_pool_backward(const ser_tune_work *w, size_t state, const float *dpooled,
                                  const float *pooled, ser_error *err);
/* dpooled (n, n_in) is set, and the head's gradients. */
void ser_tune_head_backward(const ser_tune_work *w, float *dpooled, const float *dlogits, const float *pooled,
                            const float *dropout);

/* Rows of block item. */
static inline size_t ser_tune_block_rows(const ser_tune_work *w, size_t item)
{
    size_t first = item * TUNE_BLOCK;
    return w->n_rows - first < TUNE_BLOCK ? w->n_rows - first : TUNE_BLOCK;
}

#endif
