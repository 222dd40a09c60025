#include "encoder/transformer.h"
#include "base/memory.h"

#include <stdio.h>
#include <string.h>

enum { MIN_BLOCK = 32, ALIGNMENT = 64, GATE_ROWS = 8 };

size_t ser_transformer_n_specs(const ser_encoder_sizes *s)
{
    return s->n_buckets ? SER_LAYER_MODULES : SER_LAYER_GATE;
}

size_t ser_transformer_specs(ser_module_spec *specs, const ser_encoder_sizes *s, size_t n_layers,
                             const char *prefix, const char *const names[SER_LAYER_MODULES], bool k_bias)
{
    const size_t d = s->dims, f = s->n_ffn, n = ser_transformer_n_specs(s);
    const ser_module_spec square = {.kind = SER_MODULE_LINEAR, .n_out = d, .n_in = d, .has_bias = true};
    const ser_module_spec norm = {.kind = SER_MODULE_NORM, .n_out = d, .has_bias = true};
    ser_module_spec layer[SER_LAYER_MODULES] = {
        [SER_LAYER_ATTENTION_NORM] = norm,
        [SER_LAYER_Q] = square,
        [SER_LAYER_K] = square,
        [SER_LAYER_V] = square,
        [SER_LAYER_OUT] = square,
        [SER_LAYER_FFN_NORM] = norm,
        [SER_LAYER_FC1] =
            {.kind = SER_MODULE_LINEAR, .n_out = f, .n_in = d, .has_bias = true, .act = SER_ACT_GELU},
        [SER_LAYER_FC2] = {.kind = SER_MODULE_LINEAR, .n_out = d, .n_in = f, .has_bias = true},
        [SER_LAYER_GATE] = {.kind = SER_MODULE_TABLE,
                            .n_out = GATE_ROWS,
                            .n_in = d / s->n_heads,
                            .has_bias = true},
        [SER_LAYER_GATE_CONSTANTS] = {.kind = SER_MODULE_HEADS, .n_out = s->n_heads},
    };
    layer[SER_LAYER_K].has_bias = k_bias;
    /* Of all products these lose most in 8 bits: Whisper base's fourth hidden state falls from a cosine of
     * 0.998 to 0.988 without this. */
    layer[SER_LAYER_V].exact = layer[SER_LAYER_OUT].exact = true;
    for (size_t i = 0; i < n_layers * n; i++) {
        specs[i] = layer[i % n];
        snprintf(specs[i].name, sizeof specs[i].name, "%s%zu.%s", prefix, i / n, names[i % n]);
    }
    return n_layers * n;
}

ser_status ser_activations_reserve(ser_activations *a, const ser_encoder *e, size_t n_rows, size_t n_front,
                                   ser_error *err)
{
    if (n_rows <= a->n_rows && n_front <= a->n_front)
        return SER_OK;
    n_rows = n_rows > a->n_rows ? n_rows : a->n_rows;
    n_front = n_front > a->n_front ? n_front : a->n_front;
    const ser_encoder_sizes *s = &e->plan.sizes;
    size_t n_row = s->dims * ser_dtype_size(ser_nn_ops_type(e->ops)), n_second = 2 * n_rows * n_row;
    const struct {
        void **to;
        size_t n_bytes;
    } parts[] = {{(void **)&a->x, n_rows * s->dims * sizeof(float)},
                 {&a->q, n_rows * n_row},
                 {&a->k[0], n_rows * n_row},
                 {&a->v[0], n_rows * n_row},
                 {(void **)&a->gates, s->n_buckets ? n_rows * s->n_heads * sizeof(float) : 0},
                 {&a->front, n_front > n_second ? n_front : n_second}};
    enum { N_PARTS = sizeof parts / sizeof *parts };
    size_t at[N_PARTS], n_bytes = 0;
    for (int i = 0; i < N_PARTS; i++) {
        at[i] = n_bytes;
        n_bytes += (parts[i].n_bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }
    ser_activations_release(a);
    a->memory = ser_alloc(n_bytes, 1);
    if (!a->memory)
        return ser_fail_nomem(err);
    for (int i = 0; i < N_PARTS; i++)
        *parts[i].to = (unsigned char *)a->memory + at[i];
    a->k[1] = a->front;
    a->v[1] = (unsigned char *)a->front + n_rows * n_row;
    a->n_rows = n_rows;
    a->n_front = n_front;
    return SER_OK;
}

void ser_activations_release(ser_activations *a)
{
    ser_free(a->memory);
    *a = (ser_activations){0};
}

/* Equal blocks for the threads, neither too small to be fast nor larger than what linear layers take at once.
 */
static size_t block_size(size_t n_rows, size_t n_threads)
{
    size_t n_blocks = (n_rows + SER_NN_PIECE - 1) / SER_NN_PIECE;
    if (n_blocks < n_threads)
        n_blocks = n_threads;
    size_t n = ser_nn_round_rows((n_rows + n_blocks - 1) / n_blocks);
    return n < MIN_BLOCK ? MIN_BLOCK : n;
}

static void cut_blocks(ser_pass *p, size_t first, size_t end)
{
    p->first_row = first;
    p->end_row = end;
    p->n_block = block_size(end - first, p->n_threads);
    p->n_blocks = (end - first + p->n_block - 1) / p->n_block;
}

void ser_pass_init(ser_pass *p, const ser_encoder *e, const ser_encoder_work *w, size_t n_frames,
                   float *hidden, const int *wanted, size_t n_wanted)
{
    *p = (ser_pass){.e = e, .n_frames = n_frames, .hidden = hidden, .wanted = wanted, .n_wanted = n_wanted};
    p->type = ser_nn_ops_type(e->ops);
    p->size = ser_dtype_size(p->type);
    p->epsilon = e->plan.sizes.epsilon;
    p->n_rows = ser_nn_round_rows(n_frames);
    p->n_threads = (size_t)ser_nn_n_threads(w->nn);
    p->first = w->first < n_frames ? w->first : n_frames;
    p->end = w->end < n_frames ? w->end : n_frames;
    cut_blocks(p, 0, p->n_rows);
    for (size_t j = 0; j < n_wanted; j++)
        p->last = wanted[j] > p->last ? wanted[j] : p->last;
}

ser_status ser_pass_block(ser_frame_block *b, const ser_pass *p, size_t item, ser_nn_work *work,
                          ser_error *err)
{
    const ser_encoder_sizes *s = &p->e->plan.sizes;
    size_t n_normed = p->n_block * s->dims * p->size;
    b->first = p->first_row + item * p->n_block;
    b->n = p->end_row - b->first < p->n_block ? p->end_row - b->first : p->n_block;
    b->normed = ser_nn_scratch(work, SER_NN_FREE_SLOT, n_normed + p->n_block * s->n_ffn * p->size);
    if (!b->normed)
        return ser_fail_nomem(err);
    b->wide = (unsigned char *)b->normed + n_normed;
    return SER_OK;
}

/* The block's rows of a matrix of dims columns. */
static void *rows_of(const ser_pass *p, const ser_frame_block *b, void *matrix)
{
    return (unsigned char *)matrix + b->first * p->e->plan.sizes.dims * p->size;
}

float *ser_pass_x(const ser_pass *p, const ser_frame_block *b)
{
    return p->a->x + b->first * p->e->plan.sizes.dims;
}

static float *gates_of(const ser_pass *p, const ser_frame_block *b)
{
    return p->a->gates + b->first * p->e->plan.sizes.n_heads;
}

void ser_pass_norm(const ser_pass *p, const ser_frame_block *b, const ser_module *m, void *y,
                   ser_dtype y_type)
{
    ser_nn_layernorm_forward(y, y_type, ser_pass_x(p, b), m->weight, m->bias, b->n, p->e->plan.sizes.dims,
                             p->epsilon);
}

/* What the products of a part of a layer read: x, normalised where the norm comes first, in their type. */
static const void *input_of(const ser_pass *p, const ser_frame_block *b, const ser_module *m)
{
    float *x = ser_pass_x(p, b);
    if (p->e->plan.sizes.norm_first)
        ser_pass_norm(p, b, m, b->normed, p->type);
    else if (p->type == SER_F32)
        return x;
    else
        ser_nn_convert(b->normed, p->type, x, b->n * p->e->plan.sizes.dims);
    return b->normed;
}

/* hidden (n_frames, n_wanted, dims) receives those of the block's rows of x that are asked for, wherever
 * hidden state i is wanted. */
static void give(const ser_pass *p, const ser_frame_block *b, int i)
{
    size_t dims = p->e->plan.sizes.dims, end = b->first + b->n < p->end ? b->first + b->n : p->end;
    size_t first = b->first > p->first ? b->first : p->first;
    for (size_t j = 0; j < p->n_wanted; j++)
        for (size_t t = first; p->wanted[j] == i && t < end; t++)
            memcpy(p->hidden + (t * p->n_wanted + j) * dims, p->a->x + t * dims, dims * sizeof *p->hidden);
}

/* As many rows as blocks have at least: products of fewer may be summed in another order. */
static void rows_of_last_layer(const ser_pass *p, size_t *first, size_t *end)
{
    *end = ser_nn_round_rows(p->end > MIN_BLOCK ? p->end : MIN_BLOCK);
    *end = *end < p->n_rows ? *end : p->n_rows;
    size_t most = *end > MIN_BLOCK ? *end - MIN_BLOCK : 0;
    *first = p->first < most ? p->first : most;
    *first -= *first % ser_nn_round_rows(1);
}

/* The rows of a block whose queries the next layer reads: the last one, those that it computes alone. */
static ser_frame_block rows_that_ask(const ser_pass *p, const ser_frame_block *b, bool of_last_layer)
{
    ser_frame_block part = *b;
    size_t first, end;
    if (!of_last_layer || p->first >= p->end)
        return part;
    rows_of_last_layer(p, &first, &end);
    first = first > b->first ? first : b->first;
    end = end < b->first + b->n ? end : b->first + b->n;
    if (end >= first + MIN_BLOCK) {
        part.first = first;
        part.n = end - first;
    }
    return part;
}

static const ser_module *layer_modules(const ser_pass *p, int i)
{
    return p->layers + (size_t)i * ser_transformer_n_specs(&p->e->plan.sizes);
}

ser_status ser_pass_finish(const ser_pass *p, const ser_frame_block *b, ser_nn_work *work, int i,
                           ser_error *err)
{
    const ser_encoder_sizes *s = &p->e->plan.sizes;
    if (i == p->e->plan.info.n_layers && p->last_norm)
        ser_pass_norm(p, b, p->last_norm, ser_pass_x(p, b), SER_F32);
    give(p, b, i);
    if (i == p->last)
        return SER_OK;
    const ser_module *m = layer_modules(p, i);
    const void *input = input_of(p, b, &m[SER_LAYER_ATTENTION_NORM]);
    const ser_frame_block asking = rows_that_ask(p, b, i + 1 == p->last);
    const unsigned char *asked = (const unsigned char *)input + (asking.first - b->first) * s->dims * p->size;
    ser_status status = ser_nn_linear_forward(m[SER_LAYER_Q].linear, work, rows_of(p, &asking, p->a->q),
                                              p->type, asked, p->type, asking.n, false, err);
    void *const to[] = {p->a->k[i % 2], p->a->v[i % 2]};
    for (int j = 0; j < 2 && status == SER_OK; j++)
        status = ser_nn_linear_forward(m[SER_LAYER_K + j].linear, work, rows_of(p, b, to[j]), p->type, input,
                                       p->type, b->n, false, err);
    if (p->table)
        ser_nn_position_gates(gates_of(p, b), input, p->type, m[SER_LAYER_GATE].weight,
                              m[SER_LAYER_GATE].bias, m[SER_LAYER_GATE_CONSTANTS].weight, b->n, s->n_heads,
                              s->dims / s->n_heads);
    return status;
}

static ser_status attend(const ser_pass *p, const ser_frame_block *b, ser_nn_work *work, ser_error *err)
{
    const ser_encoder_sizes *s = &p->e->plan.sizes;
    ser_nn_attention shape = {.n_queries = b->n,
                              .n_frames = p->n_frames,
                              .n_heads = s->n_heads,
                              .head_dims = s->dims / s->n_heads,
                              .first_query = b->first};
    if (p->table) {
        shape.table = p->table;
        shape.gates = gates_of(p, b);
    }
    return ser_nn_attention_forward(work, b->normed, rows_of(p, b, p->a->q), p->a->k[p->layer % 2],
                                    p->a->v[p->layer % 2], &shape, err);
}

/* Where the norms come first: x += out(attention(norm(x))); x += fc2(gelu(fc1(norm(x)))). Else: x = norm(x +
 * out(attention(x))); x = norm(x + fc2(gelu(fc1(x)))). What attention reads was computed when x was complete.
 */
static ser_status run_layer(void *context, size_t item, ser_nn_work *work, ser_error *err)
{
    const ser_pass *p = context;
    const ser_module *m = layer_modules(p, p->layer);
    bool norm_last = !p->e->plan.sizes.norm_first;
    ser_frame_block b;
    ser_status status = ser_pass_block(&b, p, item, work, err);
    if (status != SER_OK)
        return status;
    float *x = ser_pass_x(p, &b);
    if ((status = attend(p, &b, work, err)) != SER_OK ||
        (status = ser_nn_linear_forward(m[SER_LAYER_OUT].linear, work, x, SER_F32, b.normed, p->type, b.n,
                                        true, err)) != SER_OK)
        return status;
    if (norm_last)
        ser_pass_norm(p, &b, &m[SER_LAYER_ATTENTION_NORM], x, SER_F32);
    const void *input = input_of(p, &b, &m[SER_LAYER_FFN_NORM]);
    if ((status = ser_nn_linear_forward(m[SER_LAYER_FC1].linear, work, b.wide, p->type, input, p->type, b.n,
                                        false, err)) != SER_OK ||
        (status = ser_nn_linear_forward(m[SER_LAYER_FC2].linear, work, x, SER_F32, b.wide, p->type, b.n, true,
                                        err)) != SER_OK)
        return status;
    if (norm_last)
        ser_pass_norm(p, &b, &m[SER_LAYER_FFN_NORM], x, SER_F32);
    return ser_pass_finish(p, &b, work, p->layer + 1, err);
}

static void cut_to_wanted(ser_pass *p)
{
    size_t first, end;
    rows_of_last_layer(p, &first, &end);
    cut_blocks(p, first, end);
}

ser_status ser_pass_layers(ser_pass *p, ser_nn_work *work, ser_error *err)
{
    ser_status status = SER_OK;
    for (p->layer = 0; p->layer < p->last && status == SER_OK; p->layer++) {
        if (p->layer + 1 == p->last && p->first < p->end)
            cut_to_wanted(p);
        status = ser_nn_parallel_for(work, p->n_blocks, run_layer, p, err);
    }
    return status;
}
