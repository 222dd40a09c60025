/* The transformer layers backward. */
#include "base/memory.h"
#include "tune/parts.h"

#include <string.h>

/* What a block adds to the gradients of biases and norms lies here among its sums. */
typedef struct sum_places {
    float *fc2_bias, *norm2, *norm2_shift, *out_bias, *q_bias, *v_bias, *norm1, *norm1_shift; /* dims each */
    float *fc1_bias;                                                                          /* n_ffn */
} sum_places;

static sum_places sums_of(const ser_tune_work *w, size_t block)
{
    float *at = w->gradients.sums + block * w->n_sums;
    size_t d = w->net->shape.dims;
    return (sum_places){at,         at + d,     at + 2 * d, at + 3 * d, at + 4 * d,
                        at + 5 * d, at + 6 * d, at + 7 * d, at + 8 * d};
}

typedef struct back_job {
    ser_tune_work *w;
    int layer;
} back_job;

static ser_nn_affine affine(const ser_tune_work *w, size_t n, size_t n_in, size_t n_out)
{
    return (ser_nn_affine){n, n_in, n_out, w->type};
}

/* d (n, dims) = gradient of what fc1 reads, from dout2, that of what fc2 gives; sets dh. */
static ser_status feed_forward_back(ser_tune_work *w, int layer, float *d, float *wide, const void *dout2,
                                    float *dbias, size_t first, size_t n, ser_nn_work *nn, ser_error *err)
{
    const tune_layer *at = &w->at.layers[layer];
    size_t dims = w->net->shape.dims, width = w->width;
    ser_nn_affine up = affine(w, n, dims, width), down = affine(w, n, width, dims);
    ser_status st = SER_OK;
    for (size_t p = 0; p < w->n_panels && st == SER_OK; p++) {
        size_t row = p * w->n_rows + first;
        void *dh = ser_tune_offset(w, w->gradients.dh, row, width);
        st = ser_nn_affine_backward(nn, wide, dout2, ser_tune_typed(w, at->fc2 + p * width * dims), &down,
                                    false, err);
        if (st != SER_OK)
            break;
        ser_nn_bias_gelu_backward(dh, w->type, dbias + p * width, wide,
                                  ser_tune_offset(w, w->layers[layer].h, row, width), n, width);
        st =
            ser_nn_affine_backward(nn, d, dh, ser_tune_typed(w, at->fc1 + p * width * dims), &up, p > 0, err);
    }
    return st;
}

/* dx is the gradient of what the layer gives; becomes that of its middle. dout2, dh, dout1 are what the
 * weights' gradients are made of; dattended goes on through attention. */
static ser_status transform_back(void *context, size_t item, ser_nn_work *nn, ser_error *err)
{
    const back_job *j = context;
    ser_tune_work *w = j->w;
    const ser_tune_shape *s = &w->net->shape;
    const tune_layer *at = &w->at.layers[j->layer];
    tune_gradients *g = &w->gradients;
    size_t dims = s->dims, first = item * TUNE_BLOCK, n = ser_tune_block_rows(w, item);
    sum_places sums = sums_of(w, item);
    float *dx = g->dx + first * dims;
    float *d = ser_nn_scratch(nn, SER_NN_FREE_SLOT, n * (dims + w->width) * sizeof *d);
    if (!d)
        return ser_fail_nomem(err);
    void *dout2 = ser_tune_offset(w, g->dout2, first, dims),
         *dout1 = ser_tune_offset(w, g->dout1, first, dims);
    ser_nn_affine square = affine(w, n, dims, dims);
    memset(sums.fc2_bias, 0, w->n_sums * sizeof(float));
    ser_nn_add_rows(sums.fc2_bias, dx, n, dims);
    ser_nn_convert(dout2, w->type, dx, n * dims);
    ser_status st = feed_forward_back(w, j->layer, d, d + n * dims, dout2, sums.fc1_bias, first, n, nn, err);
    if (st != SER_OK)
        return st;
    ser_nn_layernorm_backward(dx, sums.norm2, sums.norm2_shift, d, w->layers[j->layer].middle + first * dims,
                              w->net->values + at->norm2, n, dims, s->epsilon);
    ser_nn_add_rows(sums.out_bias, dx, n, dims);
    ser_nn_convert(dout1, w->type, dx, n * dims);
    if ((st = ser_nn_affine_backward(nn, d, dout1, ser_tune_typed(w, at->out), &square, false, err)) !=
        SER_OK)
        return st;
    ser_nn_convert(ser_tune_offset(w, g->dattended, first, dims), w->type, d, n * dims);
    return SER_OK;
}

static ser_status attend_back(void *context, size_t item, ser_nn_work *nn, ser_error *err)
{
    const back_job *j = context;
    ser_tune_work *w = j->w;
    tune_kept *l = &w->layers[j->layer];
    tune_gradients *g = &w->gradients;
    const tune_utterance *u = &w->utterances[item];
    size_t dims = w->net->shape.dims, at = u->first;
    ser_nn_attention shape = {.n_queries = u->n_rows,
                              .n_frames = u->n_frames,
                              .n_heads = w->net->shape.n_heads,
                              .head_dims = dims / w->net->shape.n_heads};
    return ser_nn_attention_backward(nn, ser_tune_offset(w, g->dq, at, dims),
                                     ser_tune_offset(w, g->dk, at, dims), ser_tune_offset(w, g->dv, at, dims),
                                     ser_tune_offset(w, g->dattended, at, dims),
                                     ser_tune_offset(w, l->q, at, dims), ser_tune_offset(w, l->k, at, dims),
                                     ser_tune_offset(w, l->v, at, dims), &shape, err);
}

/* dx becomes the gradient of what comes into the layer. */
static ser_status project_back(void *context, size_t item, ser_nn_work *nn, ser_error *err)
{
    const back_job *j = context;
    ser_tune_work *w = j->w;
    const ser_tune_shape *s = &w->net->shape;
    const tune_layer *at = &w->at.layers[j->layer];
    tune_gradients *g = &w->gradients;
    size_t dims = s->dims, first = item * TUNE_BLOCK, n = ser_tune_block_rows(w, item);
    sum_places sums = sums_of(w, item);
    float *d = ser_nn_scratch(nn, SER_NN_FREE_SLOT, n * dims * sizeof *d);
    if (!d)
        return ser_fail_nomem(err);
    const struct {
        void *from;
        size_t weights;
        float *bias;
    } all[] = {{g->dq, at->q, sums.q_bias}, {g->dk, at->k, NULL}, {g->dv, at->v, sums.v_bias}};
    ser_nn_affine shape = affine(w, n, dims, dims);
    ser_status st = SER_OK;
    for (int i = 0; i < 3 && st == SER_OK; i++) {
        void *from = ser_tune_offset(w, all[i].from, first, dims);
        if (all[i].bias)
            ser_nn_add_typed_rows(all[i].bias, from, w->type, n, dims);
        st = ser_nn_affine_backward(nn, d, from, ser_tune_typed(w, all[i].weights), &shape, i > 0, err);
    }
    ser_nn_layernorm_backward(g->dx + first * dims, sums.norm1, sums.norm1_shift, d,
                              w->layers[j->layer].x + first * dims, w->net->values + at->norm1, n, dims,
                              s->epsilon);
    return st;
}

/* ---- gradients of weights: a matrix or a panel of one for each item ---- */

static ser_status weights_back(void *context, size_t item, ser_nn_work *nn, ser_error *err)
{
    enum { N_SQUARE = 4 };
    const back_job *j = context;
    ser_tune_work *w = j->w;
    const tune_layer *at = &w->at.layers[j->layer];
    const tune_kept *l = &w->layers[j->layer];
    const tune_gradients *g = &w->gradients;
    size_t dims = w->net->shape.dims, width = w->width;
    const struct {
        size_t at;
        const void *dy, *x;
    } square[N_SQUARE] = {{at->out, g->dout1, l->attended},
                          {at->q, g->dq, l->normed},
                          {at->k, g->dk, l->normed},
                          {at->v, g->dv, l->normed}};
    if (item < N_SQUARE) {
        ser_nn_affine shape = affine(w, w->n_rows, dims, dims);
        return ser_nn_affine_backward_weights(nn, ser_tune_gradient(w, square[item].at), square[item].dy,
                                              square[item].x, &shape, err);
    }
    size_t panel = (item - N_SQUARE) / 2, row = panel * w->n_rows, to = panel * width * dims;
    ser_nn_affine up = affine(w, w->n_rows, dims, width), down = affine(w, w->n_rows, width, dims);
    if (item % 2)
        return ser_nn_affine_backward_weights(nn, ser_tune_gradient(w, at->fc1 + to),
                                              ser_tune_offset(w, g->dh, row, width), l->normed2, &up, err);
    return ser_nn_affine_backward_weights(nn, ser_tune_gradient(w, at->fc2 + to), g->dout2,
                                          ser_tune_offset(w, l->g, row, width), &down, err);
}

static size_t n_weight_items(const ser_tune_work *w)
{
    return 4 + 2 * w->n_panels;
}

/* Block after block, whoever computed them. */
static void add_up(const ser_tune_work *w, int layer)
{
    const tune_layer *at = &w->at.layers[layer];
    size_t d = w->net->shape.dims;
    const size_t to[] = {at->fc2_bias, at->norm2, at->norm2_shift, at->out_bias, at->q_bias,
                         at->v_bias,   at->norm1, at->norm1_shift, at->fc1_bias};
    for (size_t i = 0; i < sizeof to / sizeof *to; i++) {
        size_t n = i < 8 ? d : w->net->shape.n_ffn;
        float *sum = ser_tune_gradient(w, to[i]);
        memset(sum, 0, n * sizeof *sum);
        for (size_t b = 0; b < w->n_blocks; b++)
            for (size_t k = 0; k < n; k++)
                sum[k] += w->gradients.sums[b * w->n_sums + i * d + k];
    }
}

static ser_status layer_back(back_job *j, ser_error *err)
{
    ser_tune_work *w = j->w;
    ser_status st = w->recomputes ? ser_tune_layer_again(w, j->layer, err) : SER_OK;
    if (st == SER_OK)
        st = ser_nn_parallel_for(w->nn, w->n_blocks, transform_back, j, err);
    if (st == SER_OK)
        st = ser_nn_parallel_for(w->nn, w->n, attend_back, j, err);
    if (st == SER_OK)
        st = ser_nn_parallel_for(w->nn, w->n_blocks, project_back, j, err);
    if (st == SER_OK)
        st = ser_nn_parallel_for(w->nn, n_weight_items(w), weights_back, j, err);
    if (st == SER_OK)
        add_up(w, j->layer);
    return st;
}

/* dx is the gradient behind the last norm; becomes that in front of it. */
static ser_status last_norm_back(ser_tune_work *w, ser_error *err)
{
    const ser_tune_shape *s = &w->net->shape;
    float *scale = ser_tune_gradient(w, w->at.last_norm),
          *shift = ser_tune_gradient(w, w->at.last_norm_shift);
    size_t n = w->n_rows * s->dims;
    float *dy = ser_alloc(n, sizeof *dy);
    if (!dy)
        return ser_fail_nomem(err);
    memcpy(dy, w->gradients.dx, n * sizeof *dy);
    memset(w->gradients.dx, 0, n * sizeof *dy);
    memset(scale, 0, s->dims * sizeof *scale);
    memset(shift, 0, s->dims * sizeof *shift);
    ser_nn_layernorm_backward(w->gradients.dx, scale, shift, dy, w->last_x, w->net->values + w->at.last_norm,
                              w->n_rows, s->dims, s->epsilon);
    ser_free(dy);
    return SER_OK;
}

static ser_status layers_backward(ser_tune_work *w, const float *dpooled, const float *pooled, ser_error *err)
{
    const ser_tune_shape *s = &w->net->shape;
    size_t state = s->n_pooled;
    ser_status st = SER_OK;
    memset(w->gradients.dx, 0, w->n_rows * s->dims * sizeof(float));
    for (int i = s->last; i >= s->from && st == SER_OK; i--) {
        if (state && s->pooled[state - 1] == i)
            st = ser_tune_pool_backward(w, --state, dpooled, pooled, err);
        if (st == SER_OK && i == s->last && ser_tune_has_last_norm(w->net))
            st = last_norm_back(w, err);
        back_job j = {w, i - 1};
        if (st == SER_OK && i > s->from)
            st = layer_back(&j, err);
    }
    return st;
}

ser_status ser_tune_backward(ser_tune_work *w, const float *dlogits, const float *pooled,
                             const float *dropout, float *gradients, ser_error *err)
{
    float *dpooled = ser_alloc(w->n * w->net->n_in, sizeof *dpooled);
    if (!dpooled)
        return ser_fail_nomem(err);
    w->grads = gradients;
    ser_tune_head_backward(w, dpooled, dlogits, pooled, dropout);
    ser_status st = layers_backward(w, dpooled, pooled, err);
    if (st == SER_OK && w->net->shape.from == 0 && !w->from_hidden)
        st = ser_tune_stem_backward(w, err);
    ser_free(dpooled);
    return st;
}
