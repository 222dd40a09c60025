/* What the passes of the temporal network share; nobody else includes this. */
#ifndef SER_MODEL_TIMNET_WORK_H
#define SER_MODEL_TIMNET_WORK_H

#include "model/timnet.h"

/* Where a recording's rows lie. n_rows: n_frames, rounded up as the layers want it. */
typedef struct timnet_recording {
    const float *frames;
    size_t n_frames, n_rows, first_row;
} timnet_recording;

/* Recordings that are convolved together, because products of few rows are slow: from b on, n of them. */
typedef struct timnet_group {
    size_t b, n, first_row;
} timnet_group;

/* Vectors of n_filters: what a normalisation's gradient is made of, and its sums over a recording. */
enum { DX_DU, DX_X, DX_ONE, SUM, SUM_X, N_VECTORS };

/* One direction's memory. A matrix of the batch has n_filters columns and a row per row of timnet_recording;
 * it is typed where it is void. Kept for the backward pass is what cannot be computed again cheaply:
 * activations can. */
typedef struct timnet_stream {
    size_t direction;         /* 0 forwards, 1 backwards in time */
    void *matrices;           /* memory of the four below */
    void **x;                 /* [block]: its input */
    void **y;                 /* [block * 2 + which]: result of a convolution, before its normalisation */
    ser_nn_batch_norm *norms; /* [block * 2 + which] */
    float *keep;              /* dropout's factors: n_filters at timnet_keep */
    float *means;             /* [b][block][n_filters] */
    void *gradient;           /* by x, but for what the block's first convolution adds: matrix of the batch */
    void *du;                 /* by what a normalisation gave: matrix of the batch */
    void *prepared;           /* one kernel */
    float *dprepared;
    void *rows, *drows; /* of a group: (rows, n_filters), and the gradient by such */
    float *result;      /* of a group: (rows, n_filters) */
    void *input;        /* of one recording: (n_rows, n_in) */
    float *vectors[N_VECTORS];
} timnet_stream;

struct ser_timnet_work {
    ser_timnet_shape shape;
    ser_nn_work *nn;
    ser_dtype type;
    size_t n_blocks;
    size_t n_max, n_rows_max, n_longest_max; /* what there is memory for: recordings, rows, a group's rows */
    bool for_training;
    size_t n; /* recordings of the batch */
    timnet_recording *recordings;
    size_t *n_frames; /* theirs */
    size_t n_groups;
    timnet_group *groups;
    ser_nn_causal_conv *convs; /* (n_dilations) */
    timnet_stream streams[2];
    float *means, *dmeans;              /* [b][block][n_filters], of both streams */
    float *sum, *hidden, *features;     /* (n, n_filters), (n, DENSE_1), (n, DENSE_2) */
    float *keep_hidden, *keep_features; /* dropout's factors, of the same sizes */
    float *dsum, *dhidden, *dfeatures;
};

/* Lays out the batch's rows, and sees to memory for it. trains: for a training step, not for answers. */
ser_status timnet_work_begin(ser_timnet_work *w, const ser_timnet_batch *batch, bool trains, ser_error *err);

/* Row t of the recording. */
static inline void *timnet_row(const ser_timnet_work *w, void *matrix, size_t b, size_t t)
{
    return (char *)matrix + (w->recordings[b].first_row + t) * w->shape.n_filters * ser_dtype_size(w->type);
}

/* The typed rows beyond the recording's frames, n_columns wide, become zero. */
void timnet_clear_padding(const ser_timnet_work *w, void *rows, size_t n_columns, size_t b);

static inline float *timnet_keep(const ser_timnet_work *w, const timnet_stream *s, size_t block, size_t which,
                                 size_t b)
{
    return s->keep + ((block * 2 + which) * w->n_max + b) * w->shape.n_filters;
}

static inline const ser_timnet_conv *timnet_conv(const ser_timnet *net, const timnet_stream *s, size_t block,
                                                 size_t which)
{
    return &net->convs[(s->direction * ser_timnet_n_blocks(net) + block) * 2 + which];
}

/* Both convolutions of a block are of the same shape, for this batch. */
static inline const ser_nn_causal_conv *timnet_conv_shape(const ser_timnet_work *w, size_t block)
{
    return &w->convs[block % w->shape.n_dilations];
}

/* The layer after a convolution. */
ser_nn_norm_act timnet_norm_act(const ser_timnet_work *w, const timnet_stream *s, size_t block, size_t which,
                                size_t b);

/* The end of the block; norm_act: the layer after its second convolution. */
static inline ser_nn_gate timnet_gate(const ser_timnet_work *w, const timnet_stream *s, size_t block,
                                      size_t b, const ser_nn_norm_act *norm_act)
{
    return (ser_nn_gate){norm_act, w->type, timnet_row(w, s->x[block], b, 0),
                         timnet_row(w, s->y[2 * block + 1], b, 0), w->recordings[b].n_frames};
}

/* The recording's frames as the stream's first layer reads them, in s->input. */
void timnet_read_frames(const ser_timnet_work *w, timnet_stream *s, size_t b);

/* What the second convolution of a block reads of a recording: the first one's result, normalised and so on,
 * in rows. */
void timnet_read_between(const ser_timnet_work *w, timnet_stream *s, size_t block, size_t b, void *rows);

/* The recording's rows in a matrix of the group's. */
static inline void *timnet_group_rows(const ser_timnet_work *w, void *rows, const timnet_group *g, size_t b)
{
    return (char *)rows +
           (w->recordings[b].first_row - g->first_row) * w->shape.n_filters * ser_dtype_size(w->type);
}

static inline float *timnet_group_floats(const ser_timnet_work *w, float *rows, const timnet_group *g,
                                         size_t b)
{
    return rows + (w->recordings[b].first_row - g->first_row) * w->shape.n_filters;
}

#endif
