/* The forward pass's layers, from the last to the first. Three sweeps over a block's recordings, because each
 * normalisation's gradient is a sum over all of them. */
#include "model/timnet_work.h"

#include <string.h>

typedef struct pass {
    const ser_timnet *net;
    float *gradients;
    ser_timnet_work *w;
    const float *dlogits, *dfeatures;
} pass;

/* ---- the head ---- */

static ser_status dense(const pass *p, size_t layer, float *dx, const float *dy, const float *x, size_t n_in,
                        size_t n_out, ser_nn_work *nn, ser_error *err)
{
    const ser_timnet_dense *d = &p->net->dense[layer];
    ser_nn_add_rows(p->gradients + d->bias, dy, p->w->n, n_out);
    return ser_nn_dense_backward(nn, dx, p->gradients + d->kernel, dy, x, p->net->values + d->kernel, p->w->n,
                                 n_in, n_out, SER_F32, err);
}

static ser_status run_head(void *context, size_t item, ser_nn_work *nn, ser_error *err)
{
    (void)item;
    const pass *p = context;
    ser_timnet_work *w = p->w;
    size_t c = w->shape.n_filters, n_hidden = w->n * SER_TIMNET_DENSE_1,
           n_features = w->n * SER_TIMNET_DENSE_2;
    ser_status status =
        dense(p, 2, w->dfeatures, p->dlogits, w->features, SER_TIMNET_DENSE_2, w->shape.n_labels, nn, err);
    if (p->dfeatures)
        ser_nn_add_rows(w->dfeatures, p->dfeatures, 1, n_features);
    ser_nn_multiply(w->dfeatures, w->keep_features, n_features);
    ser_nn_relu_backward(w->dfeatures, w->features, n_features);
    if (status == SER_OK)
        status =
            dense(p, 1, w->dhidden, w->dfeatures, w->hidden, SER_TIMNET_DENSE_1, SER_TIMNET_DENSE_2, nn, err);
    ser_nn_multiply(w->dhidden, w->keep_hidden, n_hidden);
    ser_nn_relu_backward(w->dhidden, w->hidden, n_hidden);
    if (status == SER_OK)
        status = dense(p, 0, w->dsum, w->dhidden, w->sum, c, SER_TIMNET_DENSE_1, nn, err);
    for (size_t b = 0; b < w->n; b++)
        ser_nn_weighted_sum_backward(w->dmeans + b * w->n_blocks * c, p->gradients + p->net->weighting,
                                     w->dsum + b * c, w->means + b * w->n_blocks * c,
                                     p->net->values + p->net->weighting, w->n_blocks, c);
    return status;
}

/* ---- a stream ---- */

/* Once du and its sums are there for all recordings: gradient of gamma and beta, and what dx is made of. */
static void finish_norm(const pass *p, timnet_stream *s, size_t block, size_t which)
{
    const ser_timnet_conv *c = timnet_conv(p->net, s, block, which);
    ser_nn_batch_norm_backward_sums(&s->norms[2 * block + which], p->net->values + c->gamma,
                                    p->gradients + c->gamma, p->gradients + c->beta, s->vectors[DX_DU],
                                    s->vectors[DX_X], s->vectors[DX_ONE]);
}

static void clear_sums(const ser_timnet_work *w, timnet_stream *s)
{
    memset(s->vectors[SUM], 0, w->shape.n_filters * sizeof(float));
    memset(s->vectors[SUM_X], 0, w->shape.n_filters * sizeof(float));
}

/* One recording's sums enter the batch's. */
static void add_sums(timnet_stream *s, ser_nn_batch_norm *norm)
{
    for (size_t i = 0; i < norm->n_channels; i++) {
        norm->du[i] += (double)s->vectors[SUM][i];
        norm->du_x[i] += (double)s->vectors[SUM_X][i];
    }
}

/* s->gradient: by the block's output, then by its input as far as the gate goes. dx: what the next block's
 * first convolution adds; NULL: there is none after the last block. s->du: by the second normalisation's
 * result. */
static void leave_block(const pass *p, timnet_stream *s, size_t block, size_t b, const float *dx)
{
    ser_timnet_work *w = p->w;
    ser_nn_norm_act norm_act = timnet_norm_act(w, s, block, 1, b);
    ser_nn_gate gate = timnet_gate(w, s, block, b, &norm_act);
    ser_nn_gate_gradient d = {.dx = timnet_row(w, s->gradient, b, 0),
                              .dout = dx,
                              .dmean = w->dmeans + (b * w->n_blocks + block) * w->shape.n_filters,
                              .du = timnet_row(w, s->du, b, 0),
                              .sum = s->vectors[SUM],
                              .sum_x = s->vectors[SUM_X]};
    clear_sums(w, s);
    ser_nn_gate_backward(&d, &gate);
    add_sums(s, &s->norms[2 * block + 1]);
}

/* s->du becomes the gradient by the convolution's result, typed, in rows. */
static void leave_norm(const ser_timnet_work *w, timnet_stream *s, size_t block, size_t which, size_t b,
                       void *rows)
{
    size_t c = w->shape.n_filters;
    ser_nn_batch_norm_backward(rows, timnet_row(w, s->du, b, 0), timnet_row(w, s->y[2 * block + which], b, 0),
                               w->type, s->vectors[DX_DU], s->vectors[DX_X], s->vectors[DX_ONE],
                               w->n_frames[b], c);
    timnet_clear_padding(w, rows, c, b);
}

/* forward was: timnet_read_between. dz, by what the second convolution read, becomes s->du, by the first
 * normalisation's result. */
static void leave_between(const ser_timnet_work *w, timnet_stream *s, size_t block, size_t b, const float *dz)
{
    ser_nn_norm_act norm_act = timnet_norm_act(w, s, block, 0, b);
    clear_sums(w, s);
    ser_nn_norm_act_backward(timnet_row(w, s->du, b, 0), s->vectors[SUM], s->vectors[SUM_X], dz,
                             timnet_row(w, s->y[2 * block], b, 0), w->type, &norm_act, w->n_frames[b]);
    add_sums(s, &s->norms[2 * block]);
}

static void begin_conv(const pass *p, timnet_stream *s, size_t block, size_t which)
{
    const ser_nn_causal_conv *conv = timnet_conv_shape(p->w, block);
    finish_norm(p, s, block, which);
    ser_nn_causal_conv1d_prepare(s->prepared, p->w->type,
                                 p->net->values + timnet_conv(p->net, s, block, which)->kernel, conv);
    memset(s->dprepared, 0, ser_nn_causal_conv_n_prepared(conv) * sizeof *s->dprepared);
}

static void end_conv(const pass *p, timnet_stream *s, size_t block, size_t which)
{
    const ser_nn_causal_conv *conv = timnet_conv_shape(p->w, block);
    ser_nn_causal_conv1d_finish(p->gradients + timnet_conv(p->net, s, block, which)->kernel, s->dprepared,
                                conv);
}

static ser_status second_conv(const pass *p, timnet_stream *s, size_t block, const timnet_group *g,
                              ser_nn_work *nn, ser_error *err)
{
    ser_timnet_work *w = p->w;
    const ser_nn_causal_conv *conv = timnet_conv_shape(w, block);
    for (size_t b = g->b; b < g->b + g->n; b++) {
        leave_norm(w, s, block, 1, b, timnet_group_rows(w, s->drows, g, b));
        timnet_read_between(w, s, block, b, timnet_group_rows(w, s->rows, g, b));
    }
    ser_status status = ser_nn_causal_conv1d_backward(nn, s->result, s->dprepared, s->drows, s->rows,
                                                      s->prepared, conv, w->n_frames + g->b, g->n, err);
    for (size_t b = g->b; b < g->b + g->n; b++)
        leave_between(w, s, block, b, timnet_group_floats(w, s->result, g, b));
    return status;
}

/* forward was: read_input. dx: what the first convolution adds to the gradient by its input. */
static ser_status read_input(const pass *p, timnet_stream *s, size_t b, float *dx, ser_nn_work *nn,
                             ser_error *err)
{
    ser_timnet_work *w = p->w;
    const timnet_recording *r = &w->recordings[b];
    size_t c = w->shape.n_filters;
    const ser_timnet_dense *input = &p->net->input[s->direction];
    ser_nn_add_typed(dx, timnet_row(w, s->gradient, b, 0), w->type, r->n_frames * c);
    ser_nn_add_rows(p->gradients + input->bias, dx, r->n_frames, c);
    ser_nn_convert(s->rows, w->type, dx, r->n_frames * c);
    timnet_clear_padding(w, s->rows, c, b);
    timnet_read_frames(w, s, b);
    return ser_nn_dense_backward(nn, NULL, p->gradients + input->kernel, s->rows, s->input, NULL, r->n_rows,
                                 w->shape.n_in, c, w->type, err);
}

static ser_status first_conv(const pass *p, timnet_stream *s, size_t block, const timnet_group *g,
                             ser_nn_work *nn, ser_error *err)
{
    ser_timnet_work *w = p->w;
    const ser_nn_causal_conv *conv = timnet_conv_shape(w, block);
    for (size_t b = g->b; b < g->b + g->n; b++)
        leave_norm(w, s, block, 0, b, timnet_group_rows(w, s->drows, g, b));
    ser_status status = ser_nn_causal_conv1d_backward(nn, s->result, s->dprepared, s->drows,
                                                      timnet_row(w, s->x[block], g->b, 0), s->prepared, conv,
                                                      w->n_frames + g->b, g->n, err);
    for (size_t b = g->b; b < g->b + g->n && status == SER_OK; b++) {
        float *dx = timnet_group_floats(w, s->result, g, b);
        if (block)
            leave_block(p, s, block - 1, b, dx);
        else
            status = read_input(p, s, b, dx, nn, err);
    }
    return status;
}

/* s->du is there for the second normalisation of this block, and in the end for that of the block before.
 * The sweeps turn round, as in the forward pass. */
static ser_status run_block(const pass *p, timnet_stream *s, size_t block, ser_nn_work *nn, ser_error *err)
{
    const ser_timnet_work *w = p->w;
    ser_status status = SER_OK;
    begin_conv(p, s, block, 1);
    for (const timnet_group *g = w->groups; g < w->groups + w->n_groups && status == SER_OK; g++)
        status = second_conv(p, s, block, g, nn, err);
    end_conv(p, s, block, 1);
    begin_conv(p, s, block, 0);
    for (size_t i = w->n_groups; i-- > 0 && status == SER_OK;)
        status = first_conv(p, s, block, &w->groups[i], nn, err);
    end_conv(p, s, block, 0);
    return status;
}

static ser_status run_stream(void *context, size_t item, ser_nn_work *nn, ser_error *err)
{
    const pass *p = context;
    ser_timnet_work *w = p->w;
    timnet_stream *s = &w->streams[item];
    for (size_t b = 0; b < w->n; b++)
        leave_block(p, s, w->n_blocks - 1, b, NULL);
    ser_status status = SER_OK;
    for (size_t i = w->n_blocks; i-- > 0 && status == SER_OK;)
        status = run_block(p, s, i, nn, err);
    return status;
}

ser_status ser_timnet_backward(const ser_timnet *net, ser_timnet_work *work, const float *dlogits,
                               const float *dfeatures, float *gradients, ser_error *err)
{
    pass p = {.net = net, .gradients = gradients, .w = work, .dlogits = dlogits, .dfeatures = dfeatures};
    ser_status status = ser_nn_parallel_for(work->nn, 1, run_head, &p, err);
    return status == SER_OK ? ser_nn_parallel_for(work->nn, 2, run_stream, &p, err) : status;
}
