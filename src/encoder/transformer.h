/* The transformer layers of all encoders, and the hidden states between them. Frames are computed in blocks,
 * one thread each: everything but attention stays within a frame, so that the threads meet once in a layer,
 * and a block's activations in the cache. */
#ifndef SER_ENCODER_TRANSFORMER_H
#define SER_ENCODER_TRANSFORMER_H

#include "encoder/kind.h"

/* The modules of a layer, in this order; GATE and GATE_CONSTANTS only with relative positions. */
enum {
    SER_LAYER_ATTENTION_NORM,
    SER_LAYER_Q,
    SER_LAYER_K,
    SER_LAYER_V,
    SER_LAYER_OUT,
    SER_LAYER_FFN_NORM,
    SER_LAYER_FC1,
    SER_LAYER_FC2,
    SER_LAYER_GATE,
    SER_LAYER_GATE_CONSTANTS,
    SER_LAYER_MODULES
};

/* Writes the specs of n_layers layers, called "PREFIX0.NAME", with these names, and returns how many. */
size_t ser_transformer_specs(ser_module_spec *specs, const ser_encoder_sizes *s, size_t n_layers,
                             const char *prefix, const char *const names[SER_LAYER_MODULES], bool k_bias);
/* Of one layer. */
size_t ser_transformer_n_specs(const ser_encoder_sizes *s);

/* Activations for n_rows frames; "type" is ser_nn_ops_type. */
typedef struct ser_activations {
    size_t n_rows, n_front;
    void *memory;
    float *x;          /* (n_rows, dims): the sum that runs through the layers */
    void *q;           /* type (n_rows, dims) */
    void *k[2], *v[2]; /* type (n_rows, dims): one layer's are read while the next one's are written */
    float *gates;      /* (n_rows, n_heads), with relative positions */
    void *front; /* n_front bytes, where k[1] and v[1] come to lie: for what is done before the layers */
} ser_activations;

/* Room for n_rows frames and n_front bytes, in one piece of memory that grows with the longest recording. */
ser_status ser_activations_reserve(ser_activations *a, const ser_encoder *e, size_t n_rows, size_t n_front,
                                   ser_error *err);
void ser_activations_release(ser_activations *a);

/* One run. */
typedef struct ser_pass {
    const ser_encoder *e;
    const ser_module *layers;
    const ser_module *last_norm; /* NULL: none, or the last layer is not computed */
    const ser_activations *a;
    const float *table; /* of relative positions, or NULL */
    ser_dtype type;
    size_t size; /* of an element of type */
    size_t n_frames;
    size_t n_rows;     /* n_frames, rounded up: what comes behind is computed along, and means nothing */
    size_t first, end; /* frames that are asked for: the last layer computes those alone */
    size_t first_row, end_row, n_block, n_blocks; /* rows that are computed, cut into blocks */
    size_t n_threads;
    int layer, last; /* the layer at work; the last hidden state to compute */
    float epsilon;
    float *hidden;
    const int *wanted;
    size_t n_wanted;
} ser_pass;

/* All but layers, last_norm, a and table. */
void ser_pass_init(ser_pass *p, const ser_encoder *e, const ser_encoder_work *w, size_t n_frames,
                   float *hidden, const int *wanted, size_t n_wanted);

/* A block of frames, and memory for what it alone needs. */
typedef struct ser_frame_block {
    size_t first, n;
    void *normed; /* type (n, dims): what a part of a layer reads; what attention gives */
    void *wide;   /* type (n, n_ffn) */
} ser_frame_block;

ser_status ser_pass_block(ser_frame_block *b, const ser_pass *p, size_t item, ser_nn_work *work,
                          ser_error *err);
/* The block's rows of x. */
float *ser_pass_x(const ser_pass *p, const ser_frame_block *b);
/* y = norm(x) for the block's rows. */
void ser_pass_norm(const ser_pass *p, const ser_frame_block *b, const ser_module *m, void *y,
                   ser_dtype y_type);
/* The block's rows of x are hidden state i, but for the last norm: hands it out, and computes what layer i
 * attends to. */
ser_status ser_pass_finish(const ser_pass *p, const ser_frame_block *b, ser_nn_work *work, int i,
                           ser_error *err);
/* Hidden states 1 to last; 0 is finished. */
ser_status ser_pass_layers(ser_pass *p, ser_nn_work *work, ser_error *err);

#endif
