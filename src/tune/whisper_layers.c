/* The transformer layers forward, with what their backward pass needs. */
#include "tune/parts.h"

#include <string.h>

typedef struct layer_job {
    ser_tune_work *w;
    int layer;
} layer_job;

static ser_nn_affine affine(const ser_tune_work *w, size_t n, size_t n_in, size_t n_out)
{
    return (ser_nn_affine){n, n_in, n_out, w->type};
}

/* What attention reads of layer i: norm, q, k, v of a block's rows. */
static ser_status project(ser_tune_work *w, int i, size_t first, size_t n, ser_nn_work *nn, ser_error *err)
{
    const tune_layer *at = &w->at.layers[i];
    tune_kept *l = &w->layers[i];
    const float *values = w->net->values;
    size_t dims = w->net->shape.dims;
    void *normed = ser_tune_offset(w, l->normed, first, dims);
    ser_nn_layernorm_forward(normed, w->type, l->x + first * dims, values + at->norm1,
                             values + at->norm1_shift, n, dims, w->net->shape.epsilon);
    const struct {
        void *to;
        size_t weights;
        const float *bias;
    } all[] = {{l->q, at->q, values + at->q_bias}, {l->k, at->k, NULL}, {l->v, at->v, values + at->v_bias}};
    ser_nn_affine shape = affine(w, n, dims, dims);
    ser_status st = SER_OK;
    for (int j = 0; j < 3 && st == SER_OK; j++)
        st = ser_nn_affine_forward(nn, ser_tune_offset(w, all[j].to, first, dims), w->type, normed,
                                   ser_tune_typed(w, all[j].weights), all[j].bias, &shape, false, err);
    return st;
}

static ser_status project_first(void *context, size_t item, ser_nn_work *nn, ser_error *err)
{
    const layer_job *j = context;
    return project(j->w, j->layer, item * TUNE_BLOCK, ser_tune_block_rows(j->w, item), nn, err);
}

static ser_status attend(void *context, size_t item, ser_nn_work *nn, ser_error *err)
{
    const layer_job *j = context;
    ser_tune_work *w = j->w;
    tune_kept *l = &w->layers[j->layer];
    const tune_utterance *u = &w->utterances[item];
    size_t dims = w->net->shape.dims;
    ser_nn_attention shape = {.n_queries = u->n_rows,
                              .n_frames = u->n_frames,
                              .n_heads = w->net->shape.n_heads,
                              .head_dims = dims / w->net->shape.n_heads};
    return ser_nn_attention_forward(
        nn, ser_tune_offset(w, l->attended, u->first, dims), ser_tune_offset(w, l->q, u->first, dims),
        ser_tune_offset(w, l->k, u->first, dims), ser_tune_offset(w, l->v, u->first, dims), &shape, err);
}

/* next += fc2(gelu(fc1(normed))), panel by panel of what lies between. */
static ser_status feed_forward(ser_tune_work *w, int i, float *next, const void *normed, size_t first,
                               size_t n, ser_nn_work *nn, ser_error *err)
{
    const tune_layer *at = &w->at.layers[i];
    tune_kept *l = &w->layers[i];
    const float *values = w->net->values;
    size_t dims = w->net->shape.dims, width = w->width;
    ser_nn_affine up = affine(w, n, dims, width), down = affine(w, n, width, dims);
    float *wide = ser_nn_scratch(nn, SER_NN_FREE_SLOT, n * width * sizeof *wide);
    ser_status st = wide ? SER_OK : ser_fail_nomem(err);
    for (size_t p = 0; p < w->n_panels && st == SER_OK; p++) {
        void *h = ser_tune_offset(w, l->h, p * w->n_rows + first, width);
        void *g = ser_tune_offset(w, l->g, p * w->n_rows + first, width);
        st = ser_nn_affine_forward(nn, wide, SER_F32, normed, ser_tune_typed(w, at->fc1 + p * width * dims),
                                   NULL, &up, false, err);
        if (st != SER_OK)
            break;
        ser_nn_bias_gelu_forward(g, w->type, h, w->type, wide, values + at->fc1_bias + p * width, n, width);
        st = ser_nn_affine_forward(nn, next, SER_F32, g, ser_tune_typed(w, at->fc2 + p * width * dims),
                                   p ? NULL : values + at->fc2_bias, &down, true, err);
    }
    return st;
}

/* middle = x + out(attended); the next layer's x = middle + fc2(gelu(fc1(norm(middle)))). */
static ser_status transform(ser_tune_work *w, int i, size_t first, size_t n, ser_nn_work *nn, ser_error *err)
{
    const ser_tune_shape *s = &w->net->shape;
    const tune_layer *at = &w->at.layers[i];
    tune_kept *l = &w->layers[i];
    const float *values = w->net->values;
    size_t dims = s->dims;
    float *middle = l->middle + first * dims;
    float *next = (i + 1 < s->last ? w->layers[i + 1].x : w->last_x) + first * dims;
    void *normed = ser_tune_offset(w, l->normed2, first, dims);
    ser_nn_affine square = affine(w, n, dims, dims);
    memcpy(middle, l->x + first * dims, n * dims * sizeof *middle);
    ser_status st =
        ser_nn_affine_forward(nn, middle, SER_F32, ser_tune_offset(w, l->attended, first, dims),
                              ser_tune_typed(w, at->out), values + at->out_bias, &square, true, err);
    if (st != SER_OK)
        return st;
    ser_nn_layernorm_forward(normed, w->type, middle, values + at->norm2, values + at->norm2_shift, n, dims,
                             s->epsilon);
    memcpy(next, middle, n * dims * sizeof *next);
    return feed_forward(w, i, next, normed, first, n, nn, err);
}

/* The rest of a layer and the beginning of the next one: both stay within a block's rows. */
static ser_status finish_layer(void *context, size_t item, ser_nn_work *nn, ser_error *err)
{
    const layer_job *j = context;
    ser_tune_work *w = j->w;
    const ser_tune_shape *s = &w->net->shape;
    size_t first = item * TUNE_BLOCK, n = ser_tune_block_rows(w, item);
    ser_status st = transform(w, j->layer, first, n, nn, err);
    if (st == SER_OK && j->layer + 1 < s->last)
        return project(w, j->layer + 1, first, n, nn, err);
    if (st == SER_OK && ser_tune_has_last_norm(w->net))
        ser_nn_layernorm_forward(w->final + first * s->dims, SER_F32, w->last_x + first * s->dims,
                                 w->net->values + w->at.last_norm, w->net->values + w->at.last_norm_shift, n,
                                 s->dims, s->epsilon);
    return st;
}

static ser_status transform_again(void *context, size_t item, ser_nn_work *nn, ser_error *err)
{
    const layer_job *j = context;
    return transform(j->w, j->layer, item * TUNE_BLOCK, ser_tune_block_rows(j->w, item), nn, err);
}

ser_status ser_tune_layers_forward(ser_tune_work *w, ser_error *err)
{
    layer_job j = {w, w->from_hidden ? w->net->shape.from : 0};
    ser_status st = ser_nn_parallel_for(w->nn, w->n_blocks, project_first, &j, err);
    for (; j.layer < w->net->shape.last && st == SER_OK; j.layer++) {
        st = ser_nn_parallel_for(w->nn, w->n, attend, &j, err);
        if (st == SER_OK)
            st = ser_nn_parallel_for(w->nn, w->n_blocks, finish_layer, &j, err);
    }
    return st;
}

ser_status ser_tune_layer_again(ser_tune_work *w, int i, ser_error *err)
{
    layer_job j = {w, i};
    ser_status st = ser_nn_parallel_for(w->nn, w->n_blocks, project_first, &j, err);
    if (st == SER_OK)
        st = ser_nn_parallel_for(w->nn, w->n, attend, &j, err);
    return st == SER_OK ? ser_nn_parallel_for(w->nn, w->n_blocks, transform_again, &j, err) : st;
}
