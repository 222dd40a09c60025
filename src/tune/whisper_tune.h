/* Whisper's encoder with a head on pooled statistics, learned together: the numbers that learn, one batch of
 * recordings forward and backward. Activations are those of src/encoder/whisper.c: of each recording its own
 * frames only, no padding that anything but a product sees.
 *
 * All numbers lie in one array, so that optimiser, state and file treat them alike: first what stays as it is
 * (positions, layers below `from`), then what learns (the stem when from is 0, layers, the last norm, the
 * head). Wide matrices lie in panels of as many inputs as the encoder has dims, convolutions tap by tap:
 * (n_panels, n_out, n_in / n_panels), which products read fastest. */
#ifndef SER_TUNE_WHISPER_TUNE_H
#define SER_TUNE_WHISPER_TUNE_H

#include "base/status.h"
#include "nn/ops.h"

#include <stdbool.h>

enum { SER_TUNE_MAX_POOLED = 16, SER_TUNE_NAME_BYTES = 64 };

/* What is pooled and what learns. Hidden states are numbered as in encoder.h: 0 is what the stem gives. */
typedef struct ser_tune_shape {
    int from;                        /* layers from ... learn, counted from 0; 0: the stem too */
    int pooled[SER_TUNE_MAX_POOLED]; /* hidden states, ascending; the last one is the last to be computed */
    size_t n_pooled;
    size_t n_labels;
    /* Filled from the checkpoint: */
    size_t dims, n_heads, n_ffn, n_mels, n_positions, max_samples;
    int n_layers, last; /* of the checkpoint; = the last of pooled */
    float epsilon;
} ser_tune_shape;

/* A tensor among the values. */
typedef struct ser_tune_tensor {
    char name[SER_TUNE_NAME_BYTES]; /* without the encoder's prefix, such as layers.0.fc1.weight; of the head:
                                       head.weight, head.bias */
    size_t at, n, n_out, n_in;      /* n_in 1: a vector; of a convolution 3 times its inputs */
    size_t n_panels;
    bool is_conv;
    int depth; /* 0: the stem, 1 ... last: layers, last + 1: the head */
} ser_tune_tensor;

typedef struct ser_tune_net {
    ser_tune_shape shape;
    char *folder; /* of the checkpoint that it came from */
    ser_tune_tensor *tensors;
    size_t n_tensors;
    float *values;             /* (n_values) */
    size_t n_values, n_frozen; /* the first n_frozen do not learn */
    size_t n_in;               /* of the head: 2 * dims for each pooled state, means then deviations */
    float *centre, *factor;    /* (n_in): the head sees (x - centre) * factor; 0 and 1 at first */
} ser_tune_net;

/* From a checkpoint's folder, the head at 0 (so that the first step is the same for every seed). SER_E_ARG:
 * layers that are not there; SER_E_UNSUPPORTED: an encoder that is no Whisper. */
ser_status ser_tune_net_open(ser_tune_net **out, const char *folder, const ser_tune_shape *shape,
                             ser_error *err);
void ser_tune_net_free(ser_tune_net **net);
/* The tensor's numbers among values (n_values) as a file has them: out (n). */
void ser_tune_net_get(float *out, const ser_tune_tensor *t, const float *values);
/* NULL: there is none. */
const ser_tune_tensor *ser_tune_net_find(const ser_tune_net *net, const char *name);

/* Writes a folder that ser_encoder_open reads as it reads the one the net came from: config.json,
 * preprocessor_config.json where there is one, and model.safetensors with all layers, those above the last
 * one unchanged. values: NULL for the net's own, or such as an average of them. */
ser_status ser_tune_save_encoder(const ser_tune_net *net, const float *values, const char *folder,
                                 ser_error *err);

/* Working memory for batches: activations grow with the longest one. Belongs to one thread, uses the work's.
 * learns: there will be backward passes. Where what they need takes more than memory bytes (0: as much as it
 * takes), each layer's activations are computed again on the way back, to the same bits, for a third more
 * time. */
typedef struct ser_tune_work ser_tune_work;
ser_status ser_tune_work_new(ser_tune_work **out, const ser_tune_net *net, ser_nn_work *nn, bool learns,
                             size_t memory, ser_error *err);
void ser_tune_work_free(ser_tune_work **work);
/* Bytes that activations and their gradients take for batches of n recordings of n_samples, with that much
 * memory. */
size_t ser_tune_memory(const ser_tune_net *net, const ser_nn_ops *ops, size_t n, size_t n_samples,
                       size_t memory);

/* A batch: either sound at 16 kHz (pcm[i], n_samples[i] up to shape.max_samples and at least one frame's
 * 160), or, when the stem and the layers below `from` do not learn, what these give: hidden[i]
 * (n_frames[i] + ser_tune_n_below, dims), hidden state `from` and behind it the means and deviations of the
 * pooled ones below it. */
enum { SER_TUNE_MAX_STRIPES = 8 };
/* Stretches of time or of bands of one spectrogram that are set to its mean (SpecAugment, Park et al. 2019,
 * arXiv:1904.08779, without warping). */
typedef struct ser_tune_stripes {
    size_t n;
    struct {
        bool in_time;
        size_t first, n; /* frames of 10 ms, or bands; what lies beyond the end is left out */
    } stripe[SER_TUNE_MAX_STRIPES];
} ser_tune_stripes;

/* Rows of dims numbers that stand for the pooled hidden states below `from`, two each. */
size_t ser_tune_n_below(const ser_tune_shape *shape);
typedef struct ser_tune_batch {
    size_t n;
    const float *const *pcm;
    const size_t *n_samples;
    const ser_tune_stripes *stripes; /* (n); NULL: none */
    const float *const *hidden;      /* NULL: pcm */
    const size_t *n_frames;
} ser_tune_batch;

/* Values have changed since the last pass: products read them anew. */
ser_status ser_tune_refresh(ser_tune_work *work, ser_error *err);
/* The same for values at ... at + n - 1 alone, so that an optimiser can do it piece by piece, on any thread.
 */
void ser_tune_refresh_part(ser_tune_work *work, size_t at, size_t n);

/* pooled (n, n_in): statistics over time, not standardised. Activations are kept for the backward pass. */
ser_status ser_tune_forward(ser_tune_work *work, const ser_tune_batch *batch, float *pooled, ser_error *err);
/* Hidden state i of recording number r of the batch that went forward last (frames, dims), until the next
 * one. */
const float *ser_tune_hidden_of(const ser_tune_work *work, int i, size_t r);
/* logits (n, n_labels) of the head. dropout: (n, n_in) factors of its inputs, or NULL. */
void ser_tune_head_forward(const ser_tune_net *net, float *logits, const float *pooled, const float *dropout,
                           size_t n);
/* gradients (n_values - n_frozen) are set, whatever was there. dlogits (n, n_labels); pooled and dropout as
 * they went forward. */
ser_status ser_tune_backward(ser_tune_work *work, const float *dlogits, const float *pooled,
                             const float *dropout, float *gradients, ser_error *err);

#endif
