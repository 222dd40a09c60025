/* The engine of our own kernels (tiles.h, bytes.h), where oneDNN's are slower: processors without AVX-512,
 * and products in 8 bits wherever there is no AMX. */
#include "base/memory.h"
#include "nn/bytes.h"
#include "nn/engine.h"
#include "nn/quantise.h"
#include "nn/tiles.h"

#include <string.h>

enum { GROUP_PANELS = 8, PACKED_SLOT = 0, QUANTISED_SLOT = 1, ALIGNMENT = 16 };
_Static_assert(GROUP_PANELS % 2 == 0, "panels go in pairs");

static ser_status packed_ops_init(ser_nn_ops *ops, ser_precision wanted, ser_error *err)
{
    if (wanted == SER_PRECISION_BF16)
        return ser_fail(err, SER_E_UNSUPPORTED,
                        "this processor cannot compute in bf16: choose --precision auto, fp32 or int8");
    ops->precision = wanted == SER_PRECISION_INT8 ? SER_PRECISION_INT8 : SER_PRECISION_FP32;
    ops->type = SER_F32;
    return SER_OK;
}

static void packed_ops_release(ser_nn_ops *ops)
{
    (void)ops;
}

static ser_status packed_work_init(ser_nn_work *work, ser_error *err)
{
    (void)work;
    (void)err;
    return SER_OK;
}

static void packed_work_release(ser_nn_work *work)
{
    (void)work;
}

static ser_status packed_work_reserve(ser_nn_work *work, size_t n_shapes, ser_error *err)
{
    (void)work;
    (void)n_shapes;
    (void)err;
    return SER_OK;
}

/* Further terms of a panel: ser_byte_split. */
typedef struct rest {
    int8_t *bytes; /* (n / 4, 16, 4) */
    uint32_t *at;  /* (n) */
    size_t n;
} rest;

typedef struct packed_weights {
    float *numbers; /* (n_panels, n_in, 16) */
    int8_t *groups; /* instead, in 8 bits: (n_panels, n_groups, 16, 4 bytes) */
    bool words;     /* for a layer that 8 bits are too few for: each group is two of 16 */
    size_t n_groups;
    float *scales, *sums, *bias; /* (n_panels, 16), with them: see quantise.h */
    rest *rests;                 /* (n_panels), where the kernel needs them */
    size_t n_rest_max;
    ser_byte_range range;
} packed_weights;

/* Column o of a layer: row o of its weights as whole numbers, four bytes of them, then the same of its
 * neighbours. */
static void pack_groups(packed_weights *p, void *whole, const float *row, size_t o, size_t n_in)
{
    int8_t *to = p->groups + o / SER_BYTE_COLUMNS * p->n_groups * SER_BYTE_GROUP +
                 o % SER_BYTE_COLUMNS * SER_BYTE_TERMS;
    size_t n_bytes = p->words ? n_in * sizeof(int16_t) : n_in;
    p->scales[o] = p->words ? ser_nn_quantise_words(whole, &p->sums[o], row, n_in)
                            : ser_nn_quantise_weights(whole, &p->sums[o], row, n_in);
    for (size_t k = 0; k < n_bytes; k += SER_BYTE_TERMS, to += SER_BYTE_GROUP)
        memcpy(to, (int8_t *)whole + k, n_bytes - k < SER_BYTE_TERMS ? n_bytes - k : SER_BYTE_TERMS);
}

static ser_status allocate_weights(packed_weights *p, const ser_nn_linear *l, ser_error *err)
{
    size_t n_columns = ser_tile_panels(l->n_out) * SER_TILE_COLUMNS, n;
    bool in_words = l->exact && l->n_in <= SER_WORD_N_MAX;
    if (l->ops->precision != SER_PRECISION_INT8 || (l->exact && !in_words)) {
        p->numbers = ser_mul_size(&n, l->n_in, n_columns) ? ser_alloc(n, sizeof *p->numbers) : NULL;
        return p->numbers ? SER_OK : ser_fail_nomem(err);
    }
    p->words = in_words;
    p->range = ser_byte_fine;
    size_t n_terms = in_words ? SER_WORD_TERMS : SER_BYTE_TERMS;
    p->n_groups = (l->n_in + n_terms - 1) / n_terms;
    p->groups = ser_mul_size(&n, p->n_groups, n_columns) ? ser_alloc(n, SER_BYTE_TERMS) : NULL;
    p->scales = ser_alloc(3 * n_columns, sizeof *p->scales);
    if (!p->groups || !p->scales)
        return ser_fail_nomem(err);
    p->sums = p->scales + n_columns;
    p->bias = p->sums + n_columns;
    memcpy(p->bias, l->bias, l->n_out * sizeof *p->bias);
    return SER_OK;
}

static int8_t *panel_of(const packed_weights *p, size_t j)
{
    return p->groups + j * p->n_groups * SER_BYTE_GROUP;
}

/* Panel j, when all its bytes are there; bytes (n_terms, 16) and at (n_terms): to work in, zeros before and
 * after. */
static ser_status split_panel(packed_weights *p, size_t j, int8_t *bytes, uint32_t *at, ser_error *err)
{
    rest *r = &p->rests[j];
    r->n = ser_byte_split(panel_of(p, j), p->n_groups * SER_BYTE_TERMS, p->range.pair, bytes, at);
    if (!r->n)
        return SER_OK;
    r->bytes = ser_alloc(r->n, SER_BYTE_COLUMNS);
    r->at = ser_alloc(r->n, sizeof *r->at);
    if (!r->bytes || !r->at)
        return ser_fail_nomem(err);
    memcpy(r->bytes, bytes, r->n * SER_BYTE_COLUMNS);
    memcpy(r->at, at, r->n * sizeof *at);
    memset(bytes, 0, r->n * SER_BYTE_COLUMNS);
    memset(at, 0, r->n * sizeof *at);
    p->n_rest_max = r->n > p->n_rest_max ? r->n : p->n_rest_max;
    return SER_OK;
}

/* By the first panel: whether more than one term of 16 comes again. */
static ser_byte_range choose_range(const packed_weights *p, int8_t *bytes, uint32_t *at, int8_t *copy)
{
    size_t n_terms = p->n_groups * SER_BYTE_TERMS, n_panel = n_terms * SER_BYTE_COLUMNS;
    memcpy(copy, panel_of(p, 0), n_panel);
    size_t n = ser_byte_split(copy, n_terms, ser_byte_fine.pair, bytes, at);
    memset(bytes, 0, n_panel);
    memset(at, 0, n_terms * sizeof *at);
    return n > n_terms / 16 ? ser_byte_coarse : ser_byte_fine;
}

static ser_status split_panels(packed_weights *p, size_t n_panels, ser_error *err)
{
    size_t n_terms = p->n_groups * SER_BYTE_TERMS;
    uint32_t *at = ser_alloc(n_terms, sizeof *at + (size_t)2 * SER_BYTE_COLUMNS);
    p->rests = ser_alloc(n_panels, sizeof *p->rests);
    ser_status status = at && p->rests ? SER_OK : ser_fail_nomem(err);
    int8_t *bytes = status == SER_OK ? (int8_t *)(at + n_terms) : NULL;
    if (bytes)
        p->range = choose_range(p, bytes, at, bytes + n_terms * SER_BYTE_COLUMNS);
    for (size_t j = 0; j < n_panels && status == SER_OK; j++)
        status = split_panel(p, j, bytes, at, err);
    ser_free(at);
    return status;
}

static ser_status packed_linear_init(ser_nn_linear *l, const ser_tensor *w, const float *scales,
                                     ser_error *err)
{
    /* A little apart: at multiples of 4 KiB, what is read together would fall into the same lines of the
     * cache. */
    size_t ld = l->n_in + ALIGNMENT;
    packed_weights *p = l->weights = ser_alloc(1, sizeof *p);
    float *rows =
        ser_alloc((SER_TILE_COLUMNS + 1) * ld, sizeof *rows); /* the last one: a row of whole ones */
    ser_status status = p && rows ? allocate_weights(p, l, err) : ser_fail_nomem(err);
    for (size_t o = 0; o < l->n_out && status == SER_OK; o += SER_TILE_COLUMNS) {
        size_t n_columns = l->n_out - o < SER_TILE_COLUMNS ? l->n_out - o : SER_TILE_COLUMNS;
        for (size_t i = 0; i < n_columns && status == SER_OK; i++) {
            status = ser_nn_weight_row(rows + i * ld, w, scales, o + i, l->n_in, err);
            if (status == SER_OK && p->groups)
                pack_groups(p, rows + SER_TILE_COLUMNS * ld, rows + i * ld, o + i, l->n_in);
        }
        if (status == SER_OK && p->numbers)
            ser_tile_pack_rows(p->numbers + o * l->n_in, rows, n_columns, l->n_in, ld);
    }
    ser_free(rows);
    if (status == SER_OK && p->groups && !p->words && ser_byte_kernel_here().adds_pairs)
        status = split_panels(p, ser_tile_panels(l->n_out), err);
    return status;
}

static void packed_linear_release(ser_nn_linear *l)
{
    packed_weights *p = l->weights;
    if (!p)
        return;
    for (size_t j = 0; p->rests && j < ser_tile_panels(l->n_out); j++) {
        ser_free(p->rests[j].bytes);
        ser_free(p->rests[j].at);
    }
    ser_free(p->rests);
    ser_free(p->numbers);
    ser_free(p->groups);
    ser_free(p->scales);
    ser_free(p);
}

/* Panels first ... last - 1 of a layer for a block of rows, whose columns then stay in the cache while the
 * sum grows. */
static void multiply_group(const ser_nn_linear *l, const ser_tile_panel *block, size_t first, size_t last)
{
    size_t n_chunk = ser_tile_terms(l->n_in);
    for (size_t k = 0; k < l->n_in; k += n_chunk)
        for (size_t j = first; j < last; j += 2) {
            ser_tile_panel p = *block;
            size_t o = j * SER_TILE_COLUMNS, n_left = l->n_in - k;
            p.y += o;
            p.x += k;
            p.w = ((const packed_weights *)l->weights)->numbers + (j * l->n_in + k) * SER_TILE_COLUMNS;
            p.n_columns = l->n_out - o < 2 * SER_TILE_COLUMNS ? l->n_out - o : 2 * SER_TILE_COLUMNS;
            p.w_panel = l->n_in * SER_TILE_COLUMNS;
            p.n_terms = n_left < n_chunk ? n_left : n_chunk;
            p.add = block->add || k > 0;
            bool is_last = n_left <= n_chunk;
            p.bias = is_last ? l->bias + o : NULL;
            p.gelu = is_last && l->act == SER_ACT_GELU;
            ser_tile_multiply(&p);
        }
}

static void forward_numbers(const ser_nn_linear *l, float *y, const float *x, size_t x_row, size_t n_rows,
                            bool add)
{
    size_t n_panels = ser_tile_panels(l->n_out);
    ser_tile_panel block = {.y = y, .x = x, .n_rows = n_rows, .add = add};
    block.y_row = l->n_out;
    block.x_row = x_row;
    block.x_term = 1;
    block.w_term = SER_TILE_COLUMNS;
    for (size_t j = 0; j < n_panels; j += GROUP_PANELS)
        multiply_group(l, &block, j, n_panels - j < GROUP_PANELS ? n_panels : j + GROUP_PANELS);
}

/* What a block of rows becomes, and the further terms of a panel. */
typedef struct whole_rows {
    float *lows, *steps;
    uint8_t *whole;                 /* (n_rows, n_groups, 4 bytes) */
    uint32_t *regrouped, *gathered; /* where the kernel needs further terms */
} whole_rows;

static bool reserve_rows(whole_rows *r, ser_nn_work *work, const packed_weights *w, size_t n_rows)
{
    size_t n_row = w->n_groups * SER_BYTE_TERMS, n_rest = w->rests ? n_row + w->n_rest_max : 0;
    r->lows = ser_nn_buffer_reserve(&work->engine_slots[QUANTISED_SLOT],
                                    n_rows * (2 * sizeof *r->lows + n_row + n_rest));
    if (!r->lows)
        return false;
    r->steps = r->lows + n_rows;
    r->whole = (uint8_t *)(r->steps + n_rows);
    r->regrouped = (uint32_t *)(r->whole + n_rows * n_row);
    r->gathered = r->regrouped + n_rows * w->n_groups;
    return true;
}

static void quantise_rows(const whole_rows *r, const packed_weights *w, const float *x, size_t x_row,
                          size_t n_rows, size_t n_in)
{
    size_t n_row = w->n_groups * SER_BYTE_TERMS;
    if (w->words)
        ser_nn_quantise_rows_to_words((uint16_t *)(void *)r->whole, n_row / sizeof(uint16_t), r->lows,
                                      r->steps, x, x_row, n_rows, n_in);
    else
        ser_nn_quantise_rows(r->whole, n_row, r->lows, r->steps, x, SER_F32, x_row, n_rows, n_in,
                             w->range.highest);
    if (w->rests)
        ser_byte_regroup(r->regrouped, r->whole, n_rows, n_row);
}

/* A block of rows, quantised once; then as many panels at once as the kernel takes. */
static ser_status forward_whole(const ser_nn_linear *l, ser_nn_work *work, float *y, const float *x,
                                size_t x_row, size_t n_rows, bool add, ser_error *err)
{
    const packed_weights *w = l->weights;
    ser_byte_kernel kernel = ser_byte_kernel_here();
    whole_rows r;
    if (!reserve_rows(&r, work, w, n_rows))
        return ser_fail_nomem(err);
    quantise_rows(&r, w, x, x_row, n_rows, l->n_in);
    ser_byte_panel p = {.words = w->words, .lows = r.lows, .steps = r.steps, .y_row = l->n_out, .add = add};
    p.n_rows = n_rows;
    p.gelu = l->act == SER_ACT_GELU;
    p.sum.x = r.whole;
    p.sum.x_group = SER_BYTE_TERMS;
    p.sum.x_row = w->n_groups * SER_BYTE_TERMS;
    p.sum.n_groups = w->n_groups;
    p.sum.w_panel = w->n_groups * SER_BYTE_GROUP;
    for (size_t o = 0; o < l->n_out; o += kernel.n_panels * SER_BYTE_COLUMNS) {
        size_t n = kernel.n_panels * SER_BYTE_COLUMNS, j = o / SER_BYTE_COLUMNS;
        p.sum.w = w->groups + j * p.sum.w_panel;
        p.scales = w->scales + o;
        p.weight_sums = w->sums + o;
        p.bias = w->bias + o;
        p.y = y + o;
        p.n_columns = l->n_out - o < n ? l->n_out - o : n;
        if (w->rests && w->rests[j].n)
            ser_byte_gather(r.gathered, r.regrouped, w->rests[j].at, w->rests[j].n, n_rows);
        if (w->rests)
            p.rest = (ser_byte_sum){.x = (const uint8_t *)r.gathered,
                                    .w = w->rests[j].bytes,
                                    .x_row = SER_BYTE_TERMS,
                                    .x_group = n_rows * SER_BYTE_TERMS,
                                    .n_groups = w->rests[j].n / SER_BYTE_TERMS};
        kernel.multiply(&p);
    }
    return SER_OK;
}

static ser_status packed_linear_forward(const ser_nn_linear *l, ser_nn_work *work, void *y, ser_dtype y_type,
                                        const void *x, ser_dtype x_type, size_t x_row, size_t n_rows,
                                        bool add, ser_error *err)
{
    (void)y_type; /* there is but one */
    (void)x_type;
    ser_status status = SER_OK;
    size_t n_blocks = (n_rows + SER_TILE_BLOCK_ROWS - 1) / SER_TILE_BLOCK_ROWS;
    for (size_t i = 0, t = 0, n; i < n_blocks && status == SER_OK; i++, t += n) {
        n = (n_rows - t + n_blocks - i - 1) / (n_blocks - i); /* nearly equal shares */
        float *to = (float *)y + t * l->n_out;
        const float *from = (const float *)x + t * x_row;
        if (((const packed_weights *)l->weights)->groups)
            status = forward_whole(l, work, to, from, x_row, n, add, err);
        else
            forward_numbers(l, to, from, x_row, n, add);
    }
    return status;
}

/* Terms k ... k + n_terms - 1 of b, packed: (n_panels, n_terms, 16). */
static void pack_b(float *packed, const float *b, const ser_gemm *g, size_t k, size_t n_terms)
{
    for (size_t o = 0; o < g->n; o += SER_TILE_COLUMNS, packed += n_terms * SER_TILE_COLUMNS) {
        size_t n = g->n - o < SER_TILE_COLUMNS ? g->n - o : SER_TILE_COLUMNS;
        if (g->b_transposed)
            ser_tile_pack_rows(packed, b + o * g->ldb + k, n, n_terms, g->ldb);
        else
            ser_tile_pack_columns(packed, b + k * g->ldb + o, n, n_terms, g->ldb);
    }
}

static void multiply_terms(float *c, const float *a, const float *packed, const ser_gemm *g, size_t n_terms,
                           bool add)
{
    ser_tile_panel p = {.y_row = g->ldc, .w_term = SER_TILE_COLUMNS, .n_terms = n_terms, .add = add};
    p.x_row = g->a_transposed ? 1 : g->lda;
    p.x_term = g->a_transposed ? g->lda : 1;
    for (size_t t = 0; t < g->m; t += SER_TILE_BLOCK_ROWS)
        for (size_t o = 0; o < g->n; o += 2 * SER_TILE_COLUMNS) {
            p.n_rows = g->m - t < SER_TILE_BLOCK_ROWS ? g->m - t : SER_TILE_BLOCK_ROWS;
            p.n_columns = g->n - o < 2 * SER_TILE_COLUMNS ? g->n - o : 2 * SER_TILE_COLUMNS;
            p.w_panel = n_terms * SER_TILE_COLUMNS;
            p.y = c + t * g->ldc + o;
            p.x = a + t * p.x_row;
            p.w = packed + o * n_terms;
            ser_tile_multiply(&p);
        }
}

ser_status ser_packed_gemm(ser_nn_work *work, float *c, const void *a, const void *b, const ser_gemm *g,
                           ser_error *err)
{
    size_t n_chunk = ser_tile_terms(g->k), n_bytes;
    float *packed = ser_mul_size(&n_bytes, ser_tile_panels(g->n), n_chunk * SER_TILE_COLUMNS * sizeof *packed)
                        ? ser_nn_buffer_reserve(&work->engine_slots[PACKED_SLOT], n_bytes)
                        : NULL;
    if (!packed)
        return ser_fail_nomem(err);
    for (size_t i = 0; i < g->n_batch; i++)
        for (size_t k = 0; k < g->k; k += n_chunk) {
            size_t n_terms = g->k - k < n_chunk ? g->k - k : n_chunk;
            const float *from = (const float *)a + i * g->stride_a + k * (g->a_transposed ? g->lda : 1);
            pack_b(packed, (const float *)b + i * g->stride_b, g, k, n_terms);
            multiply_terms(c + i * g->stride_c, from, packed, g, n_terms, g->beta != 0 || k > 0);
        }
    return SER_OK;
}

const ser_nn_engine ser_nn_engine_packed = {
    .overlaps = true,
    .ops_init = packed_ops_init,
    .ops_release = packed_ops_release,
    .work_init = packed_work_init,
    .work_release = packed_work_release,
    .work_reserve = packed_work_reserve,
    .linear_init = packed_linear_init,
    .linear_release = packed_linear_release,
    .linear_forward = packed_linear_forward,
    .gemm = ser_packed_gemm,
};
