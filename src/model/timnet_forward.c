#include "base/random.h"
#include "model/timnet_work.h"

#include <stdio.h>
#include <string.h>

typedef struct pass {
    const ser_timnet *net;
    float *running; /* net's values, in training; NULL: they are used instead of the batch's statistics */
    ser_timnet_work *w;
    double dropout;
    uint64_t dropout_seed;
    float *logits;
} pass;

/* ---- a stream, layer by layer, recording by recording ---- */

static ser_status read_input(const pass *p, timnet_stream *s, size_t b, ser_nn_work *nn, ser_error *err)
{
    ser_timnet_work *w = p->w;
    const timnet_recording *r = &w->recordings[b];
    size_t c = w->shape.n_filters;
    timnet_read_frames(w, s, b);
    ser_status status = ser_nn_dense_forward(nn, s->result, s->input, s->prepared,
                                             p->net->values + p->net->input[s->direction].bias, r->n_rows,
                                             w->shape.n_in, c, w->type, err);
    ser_nn_convert(timnet_row(w, s->x[0], b, 0), w->type, s->result, r->n_frames * c);
    timnet_clear_padding(w, timnet_row(w, s->x[0], b, 0), c, b);
    return status;
}

static ser_status read_inputs(const pass *p, timnet_stream *s, ser_nn_work *nn, ser_error *err)
{
    ser_timnet_work *w = p->w;
    size_t n_kernel = w->shape.n_in * w->shape.n_filters;
    ser_nn_convert(s->prepared, w->type, p->net->values + p->net->input[s->direction].kernel, n_kernel);
    ser_status status = SER_OK;
    for (size_t b = 0; b < w->n && status == SER_OK; b++)
        status = read_input(p, s, b, nn, err);
    return status;
}

/* Of a group's rows x, zero beyond the frames. */
static ser_status convolve(const pass *p, timnet_stream *s, size_t block, size_t which, const timnet_group *g,
                           const void *x, ser_nn_work *nn, ser_error *err)
{
    ser_timnet_work *w = p->w;
    void *matrix = s->y[2 * block + which];
    float *result = w->type == SER_F32 ? timnet_row(w, matrix, g->b, 0) : s->result;
    ser_status status = ser_nn_causal_conv1d_forward(nn, result, x, s->prepared, timnet_conv_shape(w, block),
                                                     w->n_frames + g->b, g->n, err);
    for (size_t b = g->b; b < g->b + g->n && status == SER_OK; b++) {
        const float *y = timnet_group_floats(w, result, g, b);
        void *copy = w->type == SER_F32 ? NULL : timnet_row(w, matrix, b, 0);
        if (p->running)
            ser_nn_batch_norm_count(&s->norms[2 * block + which], copy, w->type, y, w->n_frames[b]);
        else if (copy)
            ser_nn_convert(copy, w->type, y, w->n_frames[b] * w->shape.n_filters);
    }
    return status;
}

/* The end of a block: its output is the next block's input. */
static void leave_block(const pass *p, timnet_stream *s, size_t block, size_t b)
{
    ser_timnet_work *w = p->w;
    size_t c = w->shape.n_filters;
    ser_nn_norm_act norm_act = timnet_norm_act(w, s, block, 1, b);
    ser_nn_gate gate = timnet_gate(w, s, block, b, &norm_act);
    void *out = block + 1 < w->n_blocks ? timnet_row(w, s->x[block + 1], b, 0) : NULL;
    ser_nn_gate_forward(out, s->means + (b * w->n_blocks + block) * c, &gate);
    if (out)
        timnet_clear_padding(w, out, c, b);
}

static void begin_conv(const pass *p, timnet_stream *s, size_t block, size_t which)
{
    const ser_nn_causal_conv *conv = timnet_conv_shape(p->w, block);
    ser_nn_causal_conv1d_prepare(s->prepared, p->w->type,
                                 p->net->values + timnet_conv(p->net, s, block, which)->kernel, conv);
    ser_nn_batch_norm_clear(&s->norms[2 * block + which]);
}

static void end_conv(const pass *p, timnet_stream *s, size_t block, size_t which)
{
    const ser_timnet_conv *c = timnet_conv(p->net, s, block, which);
    const float *v = p->net->values;
    ser_nn_batch_norm *n = &s->norms[2 * block + which];
    if (p->running)
        ser_nn_batch_norm_finish(n, v + c->gamma, v + c->beta, v + c->bias, p->running + c->running_mean,
                                 p->running + c->running_variance);
    else
        ser_nn_batch_norm_use_running(n, v + c->gamma, v + c->beta, v + c->bias, v + c->running_mean,
                                      v + c->running_variance);
}

/* Each place and recording has a stream of random numbers of its own, so that no order shows. */
static void draw_dropout(const pass *p, timnet_stream *s, size_t block, size_t which, size_t b)
{
    const ser_timnet_work *w = p->w;
    char place[64];
    snprintf(place, sizeof place, "%zu/%zu/%zu/%zu", s->direction, block, which, b);
    ser_nn_dropout_draw(timnet_keep(w, s, block, which, b), w->shape.n_filters, p->dropout,
                        ser_random_derive(p->dropout_seed, place));
}

/* The second sweep turns round: what the first one wrote last is still in the cache. */
static ser_status run_block(const pass *p, timnet_stream *s, size_t block, ser_nn_work *nn, ser_error *err)
{
    ser_timnet_work *w = p->w;
    ser_status status = SER_OK;
    begin_conv(p, s, block, 0);
    for (const timnet_group *g = w->groups; g < w->groups + w->n_groups && status == SER_OK; g++) {
        for (size_t b = g->b; block && b < g->b + g->n; b++)
            leave_block(p, s, block - 1, b);
        status = convolve(p, s, block, 0, g, timnet_row(w, s->x[block], g->b, 0), nn, err);
    }
    end_conv(p, s, block, 0);
    begin_conv(p, s, block, 1);
    for (size_t i = w->n_groups; i-- > 0 && status == SER_OK;) {
        const timnet_group *g = &w->groups[i];
        for (size_t b = g->b; b < g->b + g->n; b++) {
            draw_dropout(p, s, block, 0, b);
            draw_dropout(p, s, block, 1, b);
            timnet_read_between(w, s, block, b, timnet_group_rows(w, s->rows, g, b));
        }
        status = convolve(p, s, block, 1, g, s->rows, nn, err);
    }
    end_conv(p, s, block, 1);
    return status;
}

static ser_status run_stream(void *context, size_t item, ser_nn_work *nn, ser_error *err)
{
    const pass *p = context;
    timnet_stream *s = &p->w->streams[item];
    ser_status status = read_inputs(p, s, nn, err);
    for (size_t i = 0; i < p->w->n_blocks && status == SER_OK; i++)
        status = run_block(p, s, i, nn, err);
    for (size_t b = 0; b < p->w->n && status == SER_OK; b++)
        leave_block(p, s, p->w->n_blocks - 1, b);
    return status;
}

/* ---- the head ---- */

static void drop_units(float *x, float *keep, size_t n, const char *layer, const pass *p)
{
    for (size_t b = 0; b < p->w->n; b++) {
        char place[64];
        snprintf(place, sizeof place, "%s/%zu", layer, b);
        ser_nn_dropout_draw(keep + b * n, n, p->dropout, ser_random_derive(p->dropout_seed, place));
    }
    ser_nn_multiply(x, keep, p->w->n * n);
}

static ser_status dense(const pass *p, size_t layer, float *y, const float *x, size_t n_in, size_t n_out,
                        ser_nn_work *nn, ser_error *err)
{
    const float *v = p->net->values;
    const ser_timnet_dense *d = &p->net->dense[layer];
    return ser_nn_dense_forward(nn, y, x, v + d->kernel, v + d->bias, p->w->n, n_in, n_out, SER_F32, err);
}

static ser_status run_head(void *context, size_t item, ser_nn_work *nn, ser_error *err)
{
    (void)item;
    const pass *p = context;
    ser_timnet_work *w = p->w;
    size_t c = w->shape.n_filters, n_means = w->n_blocks * c;
    for (size_t i = 0; i < w->n * n_means; i++)
        w->means[i] = w->streams[0].means[i] + w->streams[1].means[i];
    for (size_t b = 0; b < w->n; b++)
        ser_nn_weighted_sum_forward(w->sum + b * c, w->means + b * n_means,
                                    p->net->values + p->net->weighting, w->n_blocks, c);
    ser_status status = dense(p, 0, w->hidden, w->sum, c, SER_TIMNET_DENSE_1, nn, err);
    ser_nn_relu_forward(w->hidden, w->n * SER_TIMNET_DENSE_1);
    drop_units(w->hidden, w->keep_hidden, SER_TIMNET_DENSE_1, "dense1", p);
    if (status == SER_OK)
        status = dense(p, 1, w->features, w->hidden, SER_TIMNET_DENSE_1, SER_TIMNET_DENSE_2, nn, err);
    ser_nn_relu_forward(w->features, w->n * SER_TIMNET_DENSE_2);
    drop_units(w->features, w->keep_features, SER_TIMNET_DENSE_2, "dense2", p);
    if (status == SER_OK)
        status = dense(p, 2, p->logits, w->features, SER_TIMNET_DENSE_2, w->shape.n_labels, nn, err);
    return status;
}

static ser_status run(pass *p, const ser_timnet_batch *batch, ser_error *err)
{
    ser_status status = timnet_work_begin(p->w, batch, p->running != NULL, err);
    if (status == SER_OK)
        status = ser_nn_parallel_for(p->w->nn, 2, run_stream, p, err);
    if (status == SER_OK)
        status = ser_nn_parallel_for(p->w->nn, 1, run_head, p, err);
    return status;
}

ser_status ser_timnet_predict(const ser_timnet *net, ser_timnet_work *work, const ser_timnet_batch *batch,
                              float *logits, ser_error *err)
{
    pass p = {.net = net, .w = work, .logits = logits};
    return run(&p, batch, err);
}

ser_status ser_timnet_forward(ser_timnet *net, ser_timnet_work *work, const ser_timnet_batch *batch,
                              uint64_t dropout_seed, float *logits, ser_error *err)
{
    if (!work->for_training)
        return ser_fail(err, SER_E_ARG, "a training step needs a work that is for training");
    pass p = {.net = net,
              .running = net->values,
              .w = work,
              .dropout = net->shape.dropout,
              .dropout_seed = dropout_seed,
              .logits = logits};
    return run(&p, batch, err);
}

const float *ser_timnet_features(const ser_timnet_work *work)
{
    return work->features;
}
