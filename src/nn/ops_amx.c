/* The engine of our own kernels for AMX (amx.h): nothing is compiled at run time, and what a layer does
 * behind its product happens while the next block is multiplied. */
#include "base/memory.h"
#include "nn/amx.h"
#include "nn/engine.h"
#include "nn/quantise.h"

#include <string.h>

/* Packed rows and, where the sum may come in parts, packed columns that are to stay in the second cache. */
enum { MAX_LEFT = 1 << 20, MAX_TERMS = 1024, CLOSE = 4, LEFT_SLOT = 0, OTHER_SLOT = 1 };

static ser_status amx_ops_init(ser_nn_ops *ops, ser_precision wanted, ser_error *err)
{
    return ser_nn_engine_onednn.ops_init(ops, wanted, err);
}

static void amx_ops_release(ser_nn_ops *ops)
{
    ser_nn_engine_onednn.ops_release(ops);
}

static ser_status amx_work_init(ser_nn_work *work, ser_error *err)
{
    (void)work;
    (void)err;
    return SER_OK;
}

static void amx_work_release(ser_nn_work *work)
{
    ser_nn_engine_onednn.work_release(work);
}

/* Who asks for many shapes comes back with the same ones, again and again: trainings. For their products, of
 * which neither side is packed before and many are smaller than blocks, it is worth to compile kernels. */
static ser_status amx_work_reserve(ser_nn_work *work, size_t n_shapes, ser_error *err)
{
    ser_status status = work->engine_data ? SER_OK : ser_nn_engine_onednn.work_init(work, err);
    return status == SER_OK ? ser_nn_engine_onednn.work_reserve(work, n_shapes, err) : status;
}

typedef struct packed_weights {
    ser_amx_kind kind;
    size_t n_steps, block; /* bytes of one */
    unsigned char *blocks; /* of 32 rows of the weights each */
    float *scales, *sums;  /* (n_out), of bytes: see quantise.h */
} packed_weights;

static ser_amx_kind kind_of(ser_dtype type)
{
    return type == SER_F32 ? SER_AMX_FLOATS : SER_AMX_HALVES;
}

static ser_status allocate_weights(packed_weights *p, const ser_nn_linear *l, ser_error *err)
{
    bool bytes = l->ops->precision == SER_PRECISION_INT8 && !l->exact;
    p->kind = bytes ? SER_AMX_BYTES : kind_of(l->ops->type);
    p->n_steps = ser_amx_n_steps(p->kind, l->n_in);
    p->block = p->n_steps * ser_amx_step(p->kind);
    p->blocks = ser_alloc(ser_amx_n_blocks(l->n_out), p->block);
    p->scales = bytes ? ser_alloc(2 * l->n_out, sizeof *p->scales) : NULL;
    p->sums = p->scales ? p->scales + l->n_out : NULL;
    return p->blocks && (p->scales || !bytes) ? SER_OK : ser_fail_nomem(err);
}

static ser_status amx_linear_init(ser_nn_linear *l, const ser_tensor *w, const float *scales, ser_error *err)
{
    packed_weights *p = l->weights = ser_alloc(1, sizeof *p);
    float *rows = ser_alloc(SER_AMX_SIDE, l->n_in * sizeof *rows);
    int8_t *bytes = ser_alloc(SER_AMX_SIDE, l->n_in);
    ser_status status = p && rows && bytes ? allocate_weights(p, l, err) : ser_fail_nomem(err);
    for (size_t o = 0; o < l->n_out && status == SER_OK; o += SER_AMX_SIDE) {
        size_t n = l->n_out - o < SER_AMX_SIDE ? l->n_out - o : SER_AMX_SIDE;
        for (size_t i = 0; i < n && status == SER_OK; i++) {
            float *row = rows + i * l->n_in;
            status = ser_nn_weight_row(row, w, scales, o + i, l->n_in, err);
            if (status == SER_OK && p->scales)
                p->scales[o + i] =
                    ser_nn_quantise_weights(bytes + i * l->n_in, &p->sums[o + i], row, l->n_in);
        }
        ser_amx_source s = {.data = p->scales ? (void *)bytes : rows,
                            .type = p->scales ? SER_I8 : SER_F32,
                            .ld = l->n_in,
                            .n = n,
                            .n_terms = l->n_in};
        if (status == SER_OK)
            ser_amx_pack(p->blocks + o / SER_AMX_SIDE * p->block, &s, 0, p->kind, true);
    }
    ser_free(rows);
    ser_free(bytes);
    return status;
}

static void amx_linear_release(ser_nn_linear *l)
{
    packed_weights *p = l->weights;
    if (!p)
        return;
    ser_free(p->blocks);
    ser_free(p->scales);
    ser_free(p);
}

/* As many rows at once as fit: whole blocks, at least two, of a sum of n_steps. */
static size_t rows_at_once(ser_amx_kind kind, size_t n_steps, size_t n_rows)
{
    size_t n = MAX_LEFT / (n_steps * ser_amx_step(kind));
    n = (n > 2 ? n : 2) * SER_AMX_SIDE;
    return n_rows < n ? n_rows : n;
}

/* Rows of the left side, packed: NULL where there is no memory. */
static void *pack_left(ser_nn_work *work, const ser_amx_source *s, size_t first, size_t n, ser_amx_kind kind)
{
    size_t block = ser_amx_n_steps(kind, s->n_terms) * ser_amx_step(kind);
    unsigned char *packed =
        ser_nn_buffer_reserve(&work->engine_slots[LEFT_SLOT], ser_amx_n_blocks(n) * block);
    for (size_t t = 0; packed && t < n; t += SER_AMX_SIDE)
        ser_amx_pack(packed + t / SER_AMX_SIDE * block, s, first + t, kind, false);
    return packed;
}

/* Rows of bf16 that lie closer than they are long are read where they lie, in whole blocks: how many. */
static size_t rows_in_place(const ser_amx_source *x, ser_amx_kind kind)
{
    bool dense = kind == SER_AMX_HALVES && x->type == SER_BF16 && x->n_terms % ser_amx_terms(kind) == 0 &&
                 x->ld * CLOSE <= x->n_terms;
    return dense ? x->n - x->n % SER_AMX_SIDE : 0;
}

static void multiply_in_place(ser_amx_product *p, const ser_amx_source *x, size_t n)
{
    p->left = x->data;
    p->left_row = x->ld * sizeof(uint16_t);
    p->left_tile = SER_AMX_SIDE / 2 * p->left_row;
    p->left_block = SER_AMX_SIDE * p->left_row;
    p->left_step = ser_amx_terms(p->kind) * sizeof(uint16_t);
    p->finish.n_rows = n;
    ser_amx_multiply(p);
}

/* Terms first ... of some rows. Where the sum comes in parts, all but the first are added to y. */
static ser_status forward_terms(const ser_nn_linear *l, ser_nn_work *work, const ser_amx_source *x,
                                size_t first, const ser_amx_finish *finish, ser_error *err)
{
    const packed_weights *p = l->weights;
    size_t n_steps = ser_amx_n_steps(p->kind, x->n_terms);
    ser_amx_product product = {.kind = p->kind, .n_steps = n_steps, .finish = *finish};
    product.right = p->blocks + first / ser_amx_terms(p->kind) * ser_amx_step(p->kind);
    product.right_block = p->block;
    size_t n_done = rows_in_place(x, p->kind);
    if (n_done)
        multiply_in_place(&product, x, n_done);
    if (n_done == x->n)
        return SER_OK;
    void *packed = pack_left(work, x, n_done, x->n - n_done, p->kind);
    if (!packed)
        return ser_fail_nomem(err);
    ser_amx_packed_left(&product, packed, n_steps);
    product.finish.y = (unsigned char *)finish->y + n_done * finish->y_row * ser_dtype_size(finish->y_type);
    product.finish.n_rows = x->n - n_done;
    ser_amx_multiply(&product);
    return SER_OK;
}

/* Rows of x that were rounded to bytes. */
static ser_status quantise(ser_amx_source *x, ser_amx_finish *finish, ser_nn_work *work, ser_error *err)
{
    size_t n_row = (x->n_terms + 63) / 64 * 64;
    float *lows = ser_nn_buffer_reserve(&work->engine_slots[OTHER_SLOT], x->n * (2 * sizeof *lows + n_row));
    if (!lows)
        return ser_fail_nomem(err);
    float *steps = lows + x->n;
    uint8_t *bytes = (uint8_t *)(steps + x->n);
    ser_nn_quantise_rows(bytes, n_row, lows, steps, x->data, x->type, x->ld, x->n, x->n_terms, 255);
    finish->lows = lows;
    finish->steps = steps;
    x->data = bytes;
    x->type = SER_U8;
    x->ld = n_row;
    return SER_OK;
}

/* A few rows. In fp32 a long sum comes in parts, which stay in the cache. */
static ser_status forward_rows(const ser_nn_linear *l, ser_nn_work *work, ser_amx_source x,
                               ser_amx_finish finish, ser_error *err)
{
    const packed_weights *p = l->weights;
    size_t n_terms = x.n_terms, n_part = n_terms;
    ser_status status = SER_OK;
    if (p->kind == SER_AMX_BYTES) {
        finish.scales = p->scales;
        finish.weight_sums = p->sums;
        status = quantise(&x, &finish, work, err);
    }
    if (p->kind == SER_AMX_FLOATS && !finish.gelu)
        n_part = MAX_TERMS;
    for (size_t k = 0; k < n_terms && status == SER_OK; k += n_part) {
        ser_amx_source part = x;
        part.n_terms = n_terms - k < n_part ? n_terms - k : n_part;
        part.data = (const unsigned char *)x.data + k * ser_dtype_size(x.type);
        status = forward_terms(l, work, &part, k, &finish, err);
        finish.add = true;
        finish.bias = NULL;
    }
    return status;
}

static ser_status amx_linear_forward(const ser_nn_linear *l, ser_nn_work *work, void *y, ser_dtype y_type,
                                     const void *x, ser_dtype x_type, size_t x_row, size_t n_rows, bool add,
                                     ser_error *err)
{
    const packed_weights *p = l->weights;
    ser_status status = SER_OK;
    bool in_parts = p->kind == SER_AMX_FLOATS && l->act != SER_ACT_GELU;
    size_t n_steps = in_parts && p->n_steps > MAX_TERMS / 32 ? MAX_TERMS / 32 : p->n_steps;
    size_t n_once = rows_at_once(p->kind, n_steps, n_rows);
    for (size_t t = 0; t < n_rows && status == SER_OK; t += n_once) {
        size_t n = n_rows - t < n_once ? n_rows - t : n_once;
        ser_amx_source rows = {.data = (const unsigned char *)x + t * x_row * ser_dtype_size(x_type),
                               .type = x_type,
                               .ld = x_row,
                               .n = n,
                               .n_terms = l->n_in};
        ser_amx_finish finish = {.y = (unsigned char *)y + t * l->n_out * ser_dtype_size(y_type),
                                 .y_type = y_type,
                                 .y_row = l->n_out,
                                 .n_rows = n,
                                 .n_columns = l->n_out,
                                 .bias = l->bias,
                                 .gelu = l->act == SER_ACT_GELU,
                                 .add = add};
        status = forward_rows(l, work, rows, finish, err);
    }
    return status;
}

/* One product's terms k ... k + n_terms - 1. */
static ser_status multiply_terms(ser_nn_work *work, float *c, const unsigned char *a, const unsigned char *b,
                                 const ser_gemm *g, size_t k, size_t n_terms, ser_error *err)
{
    size_t size = ser_dtype_size(g->ab_type);
    ser_amx_kind kind = kind_of(g->ab_type);
    ser_amx_source left = {.data = a + k * (g->a_transposed ? g->lda : 1) * size, .type = g->ab_type};
    left.ld = g->lda, left.n = g->m, left.n_terms = n_terms, left.terms_apart = g->a_transposed;
    ser_amx_source right = {.data = b + k * (g->b_transposed ? 1 : g->ldb) * size, .type = g->ab_type};
    right.ld = g->ldb, right.n = g->n, right.n_terms = n_terms, right.terms_apart = !g->b_transposed;
    ser_amx_product product = {.kind = kind, .n_steps = ser_amx_n_steps(kind, n_terms)};
    product.right_block = product.n_steps * ser_amx_step(kind);
    unsigned char *packed =
        ser_nn_buffer_reserve(&work->engine_slots[OTHER_SLOT], ser_amx_n_blocks(g->n) * product.right_block);
    if (!packed)
        return ser_fail_nomem(err);
    for (size_t o = 0; o < g->n; o += SER_AMX_SIDE)
        ser_amx_pack(packed + o / SER_AMX_SIDE * product.right_block, &right, o, kind, true);
    product.right = packed;
    size_t n_once = rows_at_once(kind, product.n_steps, g->m);
    for (size_t t = 0; t < g->m; t += n_once) {
        size_t n = g->m - t < n_once ? g->m - t : n_once;
        void *rows = pack_left(work, &left, t, n, kind);
        if (!rows)
            return ser_fail_nomem(err);
        ser_amx_packed_left(&product, rows, product.n_steps);
        product.finish = (ser_amx_finish){.y = c + t * g->ldc,
                                          .y_type = SER_F32,
                                          .y_row = g->ldc,
                                          .n_rows = n,
                                          .n_columns = g->n,
                                          .add = g->beta != 0 || k > 0};
        ser_amx_multiply(&product);
    }
    return SER_OK;
}

static ser_status amx_gemm(ser_nn_work *work, float *c, const void *a, const void *b, const ser_gemm *g,
                           ser_error *err)
{
    if (work->engine_data)
        return ser_nn_engine_onednn.gemm(work, c, a, b, g, err);
    size_t size = ser_dtype_size(g->ab_type);
    ser_status status = SER_OK;
    for (size_t i = 0; i < g->n_batch; i++)
        for (size_t k = 0; k < g->k && status == SER_OK; k += MAX_TERMS)
            status =
                multiply_terms(work, c + i * g->stride_c, (const unsigned char *)a + i * g->stride_a * size,
                               (const unsigned char *)b + i * g->stride_b * size, g, k,
                               g->k - k < MAX_TERMS ? g->k - k : MAX_TERMS, err);
    return status;
}

const ser_nn_engine ser_nn_engine_amx = {
    .overlaps = true,
    .ops_init = amx_ops_init,
    .ops_release = amx_ops_release,
    .work_init = amx_work_init,
    .work_release = amx_work_release,
    .work_reserve = amx_work_reserve,
    .linear_init = amx_linear_init,
    .linear_release = amx_linear_release,
    .linear_forward = amx_linear_forward,
    .gemm = amx_gemm,
};
