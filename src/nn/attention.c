#include "nn/rows.h"
#include "nn/trainable.h"

#include <math.h>

/* Products want many queries at once; but the scores of more than so many would leave the cache. */
enum { MAX_SCORES = 1 << 17, SMALL_BLOCK = 128, SCORES_SLOT = 1 };

typedef struct attention {
    const ser_nn_attention *shape;
    size_t n_block, n_blocks; /* queries in a block; blocks */
    size_t n_keys;            /* n_frames, rounded up */
    size_t ld;                /* floats from one row of scores to the next: whole lanes */
    ser_dtype type;
    unsigned char *y;
    const unsigned char *q, *k, *v;
} attention;

/* What follows the last frame gets no weight; returns the highest score. */
SER_INLINE float mask_and_find_highest(float *scores, size_t n_frames, size_t ld)
{
    for (size_t i = n_frames; i < ld; i++)
        scores[i] = -INFINITY;
    ser_lanes highest = ser_lanes_load(scores);
    for (size_t i = SER_N_LANES; i < ld; i += SER_N_LANES)
        highest = ser_lanes_max(highest, ser_lanes_load(scores + i));
    return ser_lanes_highest(highest);
}

/* scores (n_rows, ld) = scores * scale + gate * bias: row t's bias starts at bias - t, its gate at gates + t
 * * n_heads. */
SER_FAST_STATIC(void, add_bias,
                (float *scores, const float *bias, const float *gates, size_t n_heads, size_t n_rows,
                 size_t n_frames, size_t ld, float scale),
                (scores, bias, gates, n_heads, n_rows, n_frames, ld, scale))
{
    for (size_t t = 0; t < n_rows; t++, scores += ld, bias--, gates += n_heads)
        for (size_t i = 0; i < n_frames; i += SER_N_LANES)
            ser_lanes_store(scores + i, ser_lanes_load(scores + i) * scale +
                                            ser_row_load(bias, i, n_frames - i) * *gates);
}

/* scores (n_rows, ld): each becomes exp(scale * (score - the row's highest)), in place; inverse_sums (n_rows)
 * are what is missing to softmax. */
SER_FAST_STATIC(void, exponentials_f32,
                (float *scores, float *inverse_sums, size_t n_rows, size_t n_frames, size_t ld, float scale),
                (scores, inverse_sums, n_rows, n_frames, ld, scale))
{
    for (size_t t = 0; t < n_rows; t++, scores += ld) {
        float highest = mask_and_find_highest(scores, n_frames, ld);
        ser_lanes sum = {0};
        for (size_t i = 0; i < ld; i += SER_N_LANES) {
            ser_lanes e = ser_lanes_exp((ser_lanes_load(scores + i) - highest) * scale);
            ser_lanes_store(scores + i, e);
            sum += e;
        }
        inverse_sums[t] = 1 / ser_lanes_sum(sum);
    }
}

/* The same with bf16 results, which lie in the first half of each row. */
SER_FAST_STATIC(void, exponentials_bf16,
                (float *scores, float *inverse_sums, size_t n_rows, size_t n_frames, size_t ld, float scale),
                (scores, inverse_sums, n_rows, n_frames, ld, scale))
{
    for (size_t t = 0; t < n_rows; t++, scores += ld) {
        float highest = mask_and_find_highest(scores, n_frames, ld);
        uint16_t *weights = (uint16_t *)scores;
        ser_lanes sum = {0};
        for (size_t i = 0; i < ld; i += SER_N_LANES) {
            ser_lanes e = ser_lanes_exp((ser_lanes_load(scores + i) - highest) * scale);
            ser_lanes_store_bf16(weights + i, e);
            sum += e;
        }
        inverse_sums[t] = 1 / ser_lanes_sum(sum);
    }
}

/* y[t] (head_dims) = x[t] * factors[t]; rows of y are y_stride apart. */
SER_FAST_STATIC(void, scale_rows_f32,
                (float *restrict y, const float *restrict x, const float *factors, size_t n_rows, size_t dims,
                 size_t y_stride),
                (y, x, factors, n_rows, dims, y_stride))
{
    for (size_t t = 0; t < n_rows; t++, y += y_stride, x += dims)
        for (size_t i = 0; i < dims; i++)
            y[i] = x[i] * factors[t];
}

SER_FAST_STATIC(void, scale_rows_bf16,
                (uint16_t *restrict y, const float *restrict x, const float *factors, size_t n_rows,
                 size_t dims, size_t y_stride),
                (y, x, factors, n_rows, dims, y_stride))
{
    for (size_t t = 0; t < n_rows; t++, y += y_stride, x += dims)
        for (size_t i = 0; i < dims; i++)
            y[i] = ser_bf16_of(x[i] * factors[t]);
}

/* Of one head, for queries first ... first + n - 1. */
static void add_biases(float *scores, const ser_nn_attention *s, size_t head, size_t first, size_t n,
                       size_t ld, float scale)
{
    const float *table = s->table + head * (2 * s->n_frames - 1);
    size_t at = s->first_query + first; /* rows beyond the last frame mean nothing, but must not be read */
    if (at >= s->n_frames)
        return;
    size_t n_real = s->n_frames - at < n ? s->n_frames - at : n;
    add_bias(scores, table + (s->n_frames - 1 - at), s->gates + first * s->n_heads + head, s->n_heads, n_real,
             s->n_frames, ld, scale);
}

/* One block of query rows of one head. */
static ser_status attend(void *context, size_t item, ser_nn_work *work, ser_error *err)
{
    const attention *a = context;
    size_t head_dims = a->shape->head_dims, dims = a->shape->n_heads * head_dims;
    size_t first = item % a->n_blocks * a->n_block, n = a->shape->n_queries - first;
    n = n < a->n_block ? n : a->n_block;
    float *scores = ser_nn_scratch(work, SCORES_SLOT, a->n_block * (a->ld + head_dims + 1) * sizeof *scores);
    if (!scores)
        return ser_fail_nomem(err);
    float *weighted = scores + a->n_block * a->ld, *inverse_sums = weighted + a->n_block * head_dims;
    bool half = a->type == SER_BF16;
    size_t size = ser_dtype_size(a->type), head = item / a->n_blocks * head_dims * size;
    size_t rows = first * dims * size + head;
    float scale = 1 / sqrtf((float)head_dims);
    ser_gemm products = {.n_batch = 1, .m = n, .n = a->n_keys, .k = head_dims, .b_transposed = true};
    products.lda = products.ldb = dims;
    products.ldc = a->ld;
    products.ab_type = a->type;
    ser_status status = ser_nn_gemm(work, scores, a->q + rows, a->k + head, &products, err);
    if (status != SER_OK)
        return status;
    if (a->shape->table) {
        add_biases(scores, a->shape, item / a->n_blocks, first, n, a->ld, scale);
        scale = 1;
    }
    (half ? exponentials_bf16 : exponentials_f32)(scores, inverse_sums, n, a->shape->n_frames, a->ld, scale);
    ser_gemm sums = {.n_batch = 1, .m = n, .n = head_dims, .k = a->n_keys, .ab_type = a->type};
    sums.lda = half ? 2 * a->ld : a->ld;
    sums.ldb = dims;
    sums.ldc = head_dims;
    status = ser_nn_gemm(work, weighted, scores, a->v + head, &sums, err);
    if (status == SER_OK && half)
        scale_rows_bf16((uint16_t *)(a->y + rows), weighted, inverse_sums, n, head_dims, dims);
    else if (status == SER_OK)
        scale_rows_f32((float *)(a->y + rows), weighted, inverse_sums, n, head_dims, dims);
    return status;
}

ser_status ser_nn_attention_forward(ser_nn_work *work, void *y, const void *q, const void *k, const void *v,
                                    const ser_nn_attention *shape, ser_error *err)
{
    attention a = {.shape = shape, .type = ser_nn_work_type(work), .y = y, .q = q, .k = k, .v = v};
    a.n_keys = ser_nn_round_rows(shape->n_frames);
    a.ld = (a.n_keys + SER_N_LANES - 1) / SER_N_LANES * SER_N_LANES;
    a.n_block = shape->n_queries;
    if (a.n_block > SMALL_BLOCK && a.n_block * a.ld > MAX_SCORES)
        a.n_block = SMALL_BLOCK;
    a.n_blocks = a.n_block ? (shape->n_queries + a.n_block - 1) / a.n_block : 0;
    return ser_nn_parallel_for(work, shape->n_heads * a.n_blocks, attend, &a, err);
}

/* ---- backward ---- */

typedef struct attention_gradient {
    const ser_nn_attention *shape;
    size_t n_block, ld; /* queries in a block; floats from one row of scores to the next */
    ser_dtype type;
    unsigned char *dq, *dk, *dv;
    const unsigned char *dy, *q, *k, *v;
} attention_gradient;

/* Memory for one head. */
typedef struct head_memory {
    float *weights, *dweights; /* (n_block, ld): softmax, and the gradient of it */
    void *half;                /* type (n_block, ld): one or the other as products read it */
    float *dk, *dv;            /* (n_queries, head_dims): sums over the blocks */
    float *dq;                 /* (n_block, head_dims) */
    float *inverse_sums;       /* (n_block) */
} head_memory;

/* weights become weights * inverse_sums, and exactly 0 behind the last frame: what ser_lanes_exp gives there
 * would become numbers that processors are slow with. typed (n_rows, ld) is the same as products read it. */
SER_INLINE void finish_softmax(float *weights, void *typed, bool half, const float *inverse_sums,
                               size_t n_rows, size_t n_frames, size_t ld)
{
    for (size_t t = 0; t < n_rows; t++) {
        for (size_t i = n_frames; i < ld; i++)
            weights[t * ld + i] = 0;
        for (size_t i = t * ld; i < (t + 1) * ld; i += SER_N_LANES) {
            ser_lanes w = ser_lanes_load(weights + i) * inverse_sums[t];
            ser_lanes_store(weights + i, w);
            if (half)
                ser_lanes_store_bf16((uint16_t *)typed + i, w);
        }
    }
}

/* d(scores) = w (dw - sum of w dw) * scale, typed; w is 0 where nothing is attended to. */
SER_INLINE void softmax_gradient(void *dscores, bool half, const float *weights, const float *dweights,
                                 size_t n_rows, size_t n_keys, size_t ld, float scale)
{
    for (size_t t = 0; t < n_rows; t++, weights += ld, dweights += ld) {
        ser_lanes sum = {0};
        for (size_t i = 0; i < n_keys; i += SER_N_LANES)
            sum += ser_lanes_load(weights + i) * ser_row_load(dweights, i, n_keys - i);
        float mean = ser_lanes_sum(sum);
        for (size_t i = 0; i < ld; i += SER_N_LANES) {
            ser_lanes d = i < n_keys ? ser_row_load(dweights, i, n_keys - i) : (ser_lanes){0};
            ser_row_store_as(dscores, half, t * ld + i, ld - i,
                             ser_lanes_load(weights + i) * (d - mean) * scale);
        }
    }
}

SER_FAST_STATIC(void, finish_softmax_f32,
                (float *weights, const float *inverse_sums, size_t n_rows, size_t n_frames, size_t ld),
                (weights, inverse_sums, n_rows, n_frames, ld))
{
    finish_softmax(weights, NULL, false, inverse_sums, n_rows, n_frames, ld);
}

SER_FAST_STATIC(void, finish_softmax_bf16,
                (float *weights, uint16_t *half, const float *inverse_sums, size_t n_rows, size_t n_frames,
                 size_t ld),
                (weights, half, inverse_sums, n_rows, n_frames, ld))
{
    finish_softmax(weights, half, true, inverse_sums, n_rows, n_frames, ld);
}

SER_FAST_STATIC(void, softmax_gradient_f32,
                (float *dweights, const float *weights, size_t n_rows, size_t n_keys, size_t ld, float scale),
                (dweights, weights, n_rows, n_keys, ld, scale))
{
    softmax_gradient(dweights, false, weights, dweights, n_rows, n_keys, ld, scale);
}

SER_FAST_STATIC(void, softmax_gradient_bf16,
                (uint16_t * dscores, const float *weights, const float *dweights, size_t n_rows,
                 size_t n_keys, size_t ld, float scale),
                (dscores, weights, dweights, n_rows, n_keys, ld, scale))
{
    softmax_gradient(dscores, true, weights, dweights, n_rows, n_keys, ld, scale);
}

SER_FAST_STATIC(void, put_rows,
                (void *y, bool half, const float *x, size_t n_rows, size_t dims, size_t y_stride),
                (y, half, x, n_rows, dims, y_stride))
{
    for (size_t t = 0; t < n_rows; t++)
        for (size_t i = 0; i < dims; i += SER_N_LANES)
            ser_row_store_as(y, half, t * y_stride + i, dims - i, ser_row_load(x, t * dims + i, dims - i));
}

static bool reserve_head(head_memory *m, const attention_gradient *a, ser_nn_work *work)
{
    size_t n_scores = a->n_block * a->ld, n_head = a->shape->n_queries * a->shape->head_dims;
    size_t n_block = (a->n_block + SER_N_LANES - 1) / SER_N_LANES * SER_N_LANES;
    size_t n = 3 * n_scores + 2 * n_head + n_block * (a->shape->head_dims + 1);
    float *memory = ser_nn_scratch(work, SCORES_SLOT, n * sizeof *memory);
    if (!memory)
        return false;
    m->weights = memory;
    m->dweights = m->weights + n_scores;
    m->half = m->dweights + n_scores;
    m->dk = m->dweights + 2 * n_scores;
    m->dv = m->dk + n_head;
    m->inverse_sums = m->dv + n_head;
    m->dq = m->inverse_sums + n_block;
    return true;
}

/* Queries first ... first + n - 1 of the head that starts at column at. dv += w^T dy; dw = dy v^T; dq = ds k;
 * dk += ds^T q. */
static ser_status attend_back(const attention_gradient *a, const head_memory *m, size_t first, size_t n,
                              size_t at, ser_nn_work *work, ser_error *err)
{
    size_t head_dims = a->shape->head_dims, dims = a->shape->n_heads * head_dims,
           n_keys = a->shape->n_queries;
    bool half = a->type == SER_BF16;
    size_t size = ser_dtype_size(a->type), rows = (first * dims + at) * size, head = at * size;
    float scale = 1 / sqrtf((float)head_dims);
    ser_gemm to_scores = {.n_batch = 1, .m = n, .n = n_keys, .k = head_dims, .b_transposed = true};
    to_scores.lda = to_scores.ldb = dims, to_scores.ldc = a->ld;
    ser_gemm to_keys = {.n_batch = 1, .m = n_keys, .n = head_dims, .k = n, .a_transposed = true};
    to_keys.lda = a->ld, to_keys.ldb = dims, to_keys.ldc = head_dims;
    to_keys.beta = first > 0;
    ser_gemm to_queries = {.n_batch = 1, .m = n, .n = head_dims, .k = n_keys};
    to_queries.lda = a->ld, to_queries.ldb = dims, to_queries.ldc = head_dims;
    to_scores.ab_type = to_keys.ab_type = to_queries.ab_type = a->type;
    const void *typed = half ? m->half : m->weights, *dtyped = half ? m->half : m->dweights;
    ser_status status = ser_nn_gemm(work, m->weights, a->q + rows, a->k + head, &to_scores, err);
    if (status != SER_OK)
        return status;
    exponentials_f32(m->weights, m->inverse_sums, n, a->shape->n_frames, a->ld, scale);
    if (half)
        finish_softmax_bf16(m->weights, m->half, m->inverse_sums, n, a->shape->n_frames, a->ld);
    else
        finish_softmax_f32(m->weights, m->inverse_sums, n, a->shape->n_frames, a->ld);
    if ((status = ser_nn_gemm(work, m->dv, typed, a->dy + rows, &to_keys, err)) != SER_OK ||
        (status = ser_nn_gemm(work, m->dweights, a->dy + rows, a->v + head, &to_scores, err)) != SER_OK)
        return status;
    if (half)
        softmax_gradient_bf16(m->half, m->weights, m->dweights, n, n_keys, a->ld, scale);
    else
        softmax_gradient_f32(m->dweights, m->weights, n, n_keys, a->ld, scale);
    if ((status = ser_nn_gemm(work, m->dq, dtyped, a->k + head, &to_queries, err)) != SER_OK ||
        (status = ser_nn_gemm(work, m->dk, dtyped, a->q + rows, &to_keys, err)) != SER_OK)
        return status;
    put_rows(a->dq + rows, half, m->dq, n, head_dims, dims);
    return SER_OK;
}

static ser_status head_back(void *context, size_t item, ser_nn_work *work, ser_error *err)
{
    const attention_gradient *a = context;
    const ser_nn_attention *s = a->shape;
    size_t dims = s->n_heads * s->head_dims, at = item * s->head_dims;
    bool half = a->type == SER_BF16;
    head_memory m = {0};
    ser_status status = reserve_head(&m, a, work) ? SER_OK : ser_fail_nomem(err);
    for (size_t first = 0; first < s->n_queries && status == SER_OK; first += a->n_block) {
        size_t n = s->n_queries - first < a->n_block ? s->n_queries - first : a->n_block;
        status = attend_back(a, &m, first, n, at, work, err);
    }
    if (status != SER_OK)
        return status;
    put_rows(a->dk + at * ser_dtype_size(a->type), half, m.dk, s->n_queries, s->head_dims, dims);
    put_rows(a->dv + at * ser_dtype_size(a->type), half, m.dv, s->n_queries, s->head_dims, dims);
    return SER_OK;
}

ser_status ser_nn_attention_backward(ser_nn_work *work, void *dq, void *dk, void *dv, const void *dy,
                                     const void *q, const void *k, const void *v,
                                     const ser_nn_attention *shape, ser_error *err)
{
    attention_gradient a = {.shape = shape, .type = ser_nn_work_type(work), .dq = dq, .dk = dk, .dv = dv};
    a.dy = dy, a.q = q, a.k = k, a.v = v;
    a.ld = (shape->n_queries + SER_N_LANES - 1) / SER_N_LANES * SER_N_LANES;
    a.n_block = shape->n_queries;
    if (a.n_block > SMALL_BLOCK && a.n_block * a.ld > MAX_SCORES)
        a.n_block = SMALL_BLOCK;
    return ser_nn_parallel_for(work, shape->n_heads, head_back, &a, err);
}
