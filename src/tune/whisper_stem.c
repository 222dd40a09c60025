/* The two convolutions in front of the layers. */
#include "tune/parts.h"

#include <string.h>

enum { STRIDE = 2 };

/* Of rows first ... first + n - 1 of the spectrogram, those that belong to no recording become 0: x (n,
 * dims). */
static void silence_rest(const ser_tune_work *w, void *x, size_t row_bytes, size_t first, size_t n)
{
    size_t at = first, end = first + n;
    for (size_t i = 0; i < w->n && at < end; i++) {
        size_t start = STRIDE * w->utterances[i].first, stop = start + w->utterances[i].n_mel;
        if (stop <= at)
            continue;
        if (start > at) {
            size_t to = start < end ? start : end;
            memset((char *)x + (at - first) * row_bytes, 0, (to - at) * row_bytes);
        }
        at = stop;
    }
    if (at < end)
        memset((char *)x + (at - first) * row_bytes, 0, (end - at) * row_bytes);
}

static ser_nn_conv3 conv1_shape(const ser_tune_work *w, size_t n_rows)
{
    return (ser_nn_conv3){n_rows, w->net->shape.n_mels, w->net->shape.dims, 1, w->type};
}

static ser_nn_conv3 conv2_shape(const ser_tune_work *w, size_t n_rows)
{
    return (ser_nn_conv3){n_rows, w->net->shape.dims, w->net->shape.dims, STRIDE, w->type};
}

/* Twice as many rows as in the layers: two items for each block. */
static size_t first_of(size_t item)
{
    return item * TUNE_BLOCK;
}

static size_t n_of(const ser_tune_work *w, size_t item)
{
    size_t n = STRIDE * w->n_rows - first_of(item);
    return n < TUNE_BLOCK ? n : TUNE_BLOCK;
}

static ser_status convolve_first(void *context, size_t item, ser_nn_work *nn, ser_error *err)
{
    ser_tune_work *w = context;
    size_t dims = w->net->shape.dims, first = first_of(item), n = n_of(w, item);
    ser_nn_conv3 shape = conv1_shape(w, n);
    float *y = ser_nn_scratch(nn, SER_NN_FREE_SLOT, n * dims * sizeof *y);
    if (!y)
        return ser_fail_nomem(err);
    ser_status st = ser_nn_conv3_forward(nn, y, ser_tune_offset(w, w->mel_rows, first, w->net->shape.n_mels),
                                         ser_tune_typed(w, w->at.conv1), &shape, err);
    void *g1 = ser_tune_offset(w, w->g1, first, dims);
    ser_nn_bias_gelu_forward(g1, w->type, ser_tune_offset(w, w->h1, first, dims), w->type, y,
                             w->net->values + w->at.conv1_bias, n, dims);
    silence_rest(w, g1, dims * w->size, first, n);
    return st;
}

/* Hidden state 0: gelu of the second convolution, and positions. */
static void add_positions(const ser_tune_work *w, float *x, size_t first, size_t n)
{
    size_t dims = w->net->shape.dims;
    const float *positions = w->net->values + w->at.positions;
    for (size_t i = 0; i < w->n; i++) {
        const tune_utterance *u = &w->utterances[i];
        size_t from = u->first > first ? u->first : first, to = u->first + u->n_frames;
        to = to < first + n ? to : first + n;
        for (size_t t = from; t < to; t++)
            for (size_t k = 0; k < dims; k++)
                x[(t - first) * dims + k] += positions[(t - u->first) * dims + k];
    }
}

static ser_status convolve_second(void *context, size_t item, ser_nn_work *nn, ser_error *err)
{
    ser_tune_work *w = context;
    size_t dims = w->net->shape.dims, first = item * TUNE_BLOCK, n = ser_tune_block_rows(w, item);
    ser_nn_conv3 shape = conv2_shape(w, n);
    float *y = ser_nn_scratch(nn, SER_NN_FREE_SLOT, n * dims * sizeof *y), *x = w->layers[0].x + first * dims;
    if (!y)
        return ser_fail_nomem(err);
    ser_status st = ser_nn_conv3_forward(nn, y, ser_tune_offset(w, w->g1, STRIDE * first, dims),
                                         ser_tune_typed(w, w->at.conv2), &shape, err);
    ser_nn_bias_gelu_forward(x, SER_F32, ser_tune_offset(w, w->h2, first, dims), w->type, y,
                             w->net->values + w->at.conv2_bias, n, dims);
    add_positions(w, x, first, n);
    return st;
}

ser_status ser_tune_stem_forward(ser_tune_work *w, ser_error *err)
{
    size_t n_items = (STRIDE * w->n_rows + TUNE_BLOCK - 1) / TUNE_BLOCK;
    ser_status st = ser_nn_parallel_for(w->nn, n_items, convolve_first, w, err);
    return st == SER_OK ? ser_nn_parallel_for(w->nn, w->n_blocks, convolve_second, w, err) : st;
}

/* ---- backward ---- */

static ser_status second_back(void *context, size_t item, ser_nn_work *nn, ser_error *err)
{
    (void)nn;
    (void)err;
    ser_tune_work *w = context;
    size_t dims = w->net->shape.dims, first = item * TUNE_BLOCK, n = ser_tune_block_rows(w, item);
    float *sums = w->gradients.sums + item * w->n_sums;
    memset(sums, 0, 2 * dims * sizeof *sums);
    ser_nn_bias_gelu_backward(ser_tune_offset(w, w->dh2, first, dims), w->type, sums,
                              w->gradients.dx + first * dims, ser_tune_offset(w, w->h2, first, dims), n,
                              dims);
    return SER_OK;
}

static ser_status first_back(void *context, size_t item, ser_nn_work *nn, ser_error *err)
{
    ser_tune_work *w = context;
    size_t dims = w->net->shape.dims, first = item * TUNE_BLOCK, n = ser_tune_block_rows(w, item);
    ser_nn_conv3 shape = conv2_shape(w, n);
    float *d = ser_nn_scratch(nn, SER_NN_FREE_SLOT, STRIDE * n * dims * sizeof *d);
    if (!d)
        return ser_fail_nomem(err);
    ser_status st = ser_nn_conv3_backward(nn, d, ser_tune_offset(w, w->dh2, first, dims),
                                          ser_tune_typed(w, w->at.conv2), &shape, err);
    silence_rest(w, d, dims * sizeof *d, STRIDE * first, STRIDE * n);
    ser_nn_bias_gelu_backward(ser_tune_offset(w, w->dh1, STRIDE * first, dims), w->type,
                              w->gradients.sums + item * w->n_sums + dims, d,
                              ser_tune_offset(w, w->h1, STRIDE * first, dims), STRIDE * n, dims);
    return st;
}

/* One tap of one convolution. */
static ser_status weights_back(void *context, size_t item, ser_nn_work *nn, ser_error *err)
{
    ser_tune_work *w = context;
    int tap = (int)(item / 2);
    if (item % 2) {
        ser_nn_conv3 shape = conv1_shape(w, STRIDE * w->n_rows);
        return ser_nn_conv3_backward_weights(nn, ser_tune_gradient(w, w->at.conv1), w->dh1, w->mel_rows,
                                             &shape, tap, err);
    }
    ser_nn_conv3 shape = conv2_shape(w, w->n_rows);
    return ser_nn_conv3_backward_weights(nn, ser_tune_gradient(w, w->at.conv2), w->dh2, w->g1, &shape, tap,
                                         err);
}

ser_status ser_tune_stem_backward(ser_tune_work *w, ser_error *err)
{
    enum { N_TAPS = 3 };
    size_t dims = w->net->shape.dims;
    ser_status st = ser_nn_parallel_for(w->nn, w->n_blocks, second_back, w, err);
    if (st == SER_OK)
        st = ser_nn_parallel_for(w->nn, w->n_blocks, first_back, w, err);
    if (st == SER_OK)
        st = ser_nn_parallel_for(w->nn, 2 * N_TAPS, weights_back, w, err);
    float *bias2 = ser_tune_gradient(w, w->at.conv2_bias), *bias1 = ser_tune_gradient(w, w->at.conv1_bias);
    memset(bias1, 0, dims * sizeof *bias1);
    memset(bias2, 0, dims * sizeof *bias2);
    for (size_t b = 0; b < w->n_blocks; b++)
        for (size_t i = 0; i < dims; i++) {
            bias2[i] += w->gradients.sums[b * w->n_sums + i];
            bias1[i] += w->gradients.sums[b * w->n_sums + dims + i];
        }
    return st;
}
