#include "nn/layers.h"
#include "nn/rows.h"

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
SER_FAST static void add_bias(float *scores, const float *bias, const float *gates, size_t n_heads,
                              size_t n_rows, size_t n_frames, size_t ld, float scale)
{
    for (size_t t = 0; t < n_rows; t++, scores += ld, bias--, gates += n_heads)
        for (size_t i = 0; i < n_frames; i += SER_N_LANES)
            ser_lanes_store(scores + i, ser_lanes_load(scores + i) * scale +
                                            ser_row_load(bias, i, n_frames - i) * *gates);
}

/* scores (n_rows, ld): each becomes exp(scale * (score - the row's highest)), in place; inverse_sums (n_rows)
 * are what is missing to softmax. */
SER_FAST static void exponentials_f32(float *scores, float *inverse_sums, size_t n_rows, size_t n_frames,
                                      size_t ld, float scale)
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
SER_FAST static void exponentials_bf16(float *scores, float *inverse_sums, size_t n_rows, size_t n_frames,
                                       size_t ld, float scale)
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
SER_FAST static void scale_rows_f32(float *restrict y, const float *restrict x, const float *factors,
                                    size_t n_rows, size_t dims, size_t y_stride)
{
    for (size_t t = 0; t < n_rows; t++, y += y_stride, x += dims)
        for (size_t i = 0; i < dims; i++)
            y[i] = x[i] * factors[t];
}

SER_FAST static void scale_rows_bf16(uint16_t *restrict y, const float *restrict x, const float *factors,
                                     size_t n_rows, size_t dims, size_t y_stride)
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
