#include "nn/ops.h"
#include "base/cpu.h"
#include "base/memory.h"
#include "base/threads.h"
#include "nn/amx.h"
#include "nn/engine.h"
#include "nn/layers.h"
#include "nn/rows.h"

#include <string.h>

/* With AMX, own kernels, which finish one block while they multiply the next. For bytes, and where there is
 * no AVX-512, own kernels: GELU within the product, weights packed once, nothing compiled at run time; but
 * not those for floats that clang makes, for which SER_FAST has plain loops only. */
static const ser_nn_engine *find_engine(ser_engine engine, ser_precision precision)
{
    unsigned cpu = ser_cpu(), enough = SER_CPU_AVX512;
#if defined(__clang__)
    enough |= SER_CPU_AVX2;
#endif
    if (engine == SER_ENGINE_REF)
        return &ser_nn_engine_ref;
    if (cpu & SER_CPU_AMX && ser_amx_ready())
        return &ser_nn_engine_amx;
    return precision == SER_PRECISION_INT8 || !(cpu & enough) ? &ser_nn_engine_packed : &ser_nn_engine_onednn;
}

ser_status ser_nn_ops_new(ser_nn_ops **out, ser_engine engine, ser_precision precision, ser_error *err)
{
    *out = NULL;
    if (ser_cpu_check(err) != SER_OK)
        return SER_E_ARG;
    ser_nn_ops *ops = ser_alloc(1, sizeof *ops);
    if (!ops)
        return ser_fail_nomem(err);
    ops->engine = find_engine(engine, precision);
    ser_status status = ops->engine->ops_init(ops, precision, err);
    if (status == SER_OK)
        *out = ops;
    else
        ser_nn_ops_free(&ops);
    return status;
}

void ser_nn_ops_free(ser_nn_ops **ops)
{
    if (!*ops)
        return;
    (*ops)->engine->ops_release(*ops);
    ser_free(*ops);
    *ops = NULL;
}

ser_precision ser_nn_ops_precision(const ser_nn_ops *ops)
{
    return ops->precision;
}

ser_dtype ser_nn_ops_type(const ser_nn_ops *ops)
{
    return ops->type;
}

bool ser_nn_ops_overlap(const ser_nn_ops *ops)
{
    return ops->engine->overlaps;
}

ser_status ser_nn_work_new(ser_nn_work **out, const ser_nn_ops *ops, int n_threads, ser_error *err)
{
    *out = NULL;
    ser_nn_work *w = ser_alloc(1, sizeof *w);
    if (!w)
        return ser_fail_nomem(err);
    w->ops = ops;
    w->n_threads = n_threads > 0 ? n_threads : ser_n_cores();
    ser_status status = ops->engine->work_init(w, err);
    if (status == SER_OK && w->n_threads > 1)
        status = ser_nn_pool_new(&w->pool, ops, w->n_threads, err);
    if (status == SER_OK)
        *out = w;
    else
        ser_nn_work_free(&w);
    return status;
}

void ser_nn_work_free(ser_nn_work **work)
{
    ser_nn_work *w = *work;
    if (!w)
        return;
    ser_nn_pool_free(&w->pool);
    w->ops->engine->work_release(w);
    for (int i = 0; i < SER_NN_SLOTS; i++)
        ser_free(w->slots[i].data);
    ser_free(w->engine_slots[0].data);
    ser_free(w->engine_slots[1].data);
    ser_free(w);
    *work = NULL;
}

ser_dtype ser_nn_work_type(const ser_nn_work *work)
{
    return work->ops->type;
}

ser_status ser_nn_work_keep_shapes(ser_nn_work *work, size_t n_shapes, ser_error *err)
{
    ser_status status = work->ops->engine->work_reserve(work, n_shapes, err);
    for (int i = 0; work->pool && i < work->n_threads && status == SER_OK; i++)
        status = ser_nn_work_keep_shapes(ser_nn_pool_work(work->pool, i), n_shapes, err);
    return status;
}

int ser_nn_n_threads(const ser_nn_work *work)
{
    return work->n_threads;
}

void *ser_nn_buffer_reserve(ser_nn_buffer *b, size_t n_bytes)
{
    if (n_bytes <= b->n_bytes && b->data)
        return b->data;
    ser_free(b->data);
    b->data = ser_alloc(n_bytes, 1);
    b->n_bytes = b->data ? n_bytes : 0;
    return b->data;
}

void *ser_nn_scratch(ser_nn_work *work, int slot, size_t n_bytes)
{
    return ser_nn_buffer_reserve(&work->slots[slot], n_bytes);
}

ser_status ser_nn_weight_row(float *row, const ser_tensor *w, const float *scales, size_t i, size_t n_in,
                             ser_error *err)
{
    ser_status status = ser_tensor_to_f32(row, w, i * n_in, n_in, err);
    for (size_t k = 0; scales && k < n_in; k++)
        row[k] *= scales[i];
    return status;
}

SER_FAST_STATIC(void, bytes_to_bf16,
                (uint16_t *restrict y, const signed char *restrict x, float scale, size_t n),
                (y, x, scale, n))
{
    for (size_t i = 0; i < n; i++)
        y[i] = ser_bf16_of((float)x[i] * scale);
}

ser_status ser_nn_weight_row_bf16(uint16_t *y, float *row, const ser_tensor *w, const float *scales, size_t i,
                                  size_t n_in, ser_error *err)
{
    if (w->dtype ==
        SER_I8) { /* at once: a model of 8 bits is read while somebody waits for the first answer */
        bytes_to_bf16(y, (const signed char *)w->data + i * n_in, scales[i], n_in);
        return SER_OK;
    }
    ser_status status = ser_nn_weight_row(row, w, scales, i, n_in, err);
    if (status == SER_OK)
        ser_nn_to_bf16(y, row, n_in);
    return status;
}

static ser_status check_weights(const ser_tensor *w, const float *scales, size_t n_out, size_t n_in,
                                ser_error *err)
{
    size_t n;
    if (!n_out || !n_in || !ser_mul_size(&n, n_out, n_in) || n != w->n_elements)
        return ser_fail(err, SER_E_ARG, "tensor '%s' has %zu elements and should have %zu x %zu", w->name,
                        w->n_elements, n_out, n_in);
    if (w->dtype == SER_I8 && !scales)
        return ser_fail(err, SER_E_ARG, "tensor '%s' has 8 bits and no scales", w->name);
    return SER_OK;
}

static ser_status new_linear(ser_nn_linear **out, const ser_nn_ops *ops, const ser_tensor *w,
                             const float *scales, const float *bias, size_t n_out, size_t n_in,
                             ser_activation act, bool exact, ser_error *err)
{
    *out = NULL;
    ser_status status = check_weights(w, scales, n_out, n_in, err);
    if (status != SER_OK)
        return status;
    ser_nn_linear *l = ser_alloc(1, sizeof *l);
    if (!l)
        return ser_fail_nomem(err);
    *l = (ser_nn_linear){.ops = ops, .n_out = n_out, .n_in = n_in, .act = act, .exact = exact};
    l->bias = ser_alloc(n_out, sizeof *l->bias);
    if (!l->bias)
        status = ser_fail_nomem(err);
    else if (bias)
        memcpy(l->bias, bias, n_out * sizeof *bias);
    if (status == SER_OK)
        status = ops->engine->linear_init(l, w, w->dtype == SER_I8 ? scales : NULL, err);
    if (status == SER_OK)
        *out = l;
    else
        ser_nn_linear_free(&l);
    return status;
}

ser_status ser_nn_linear_new(ser_nn_linear **out, const ser_nn_ops *ops, const ser_tensor *w,
                             const float *scales, const float *bias, size_t n_out, size_t n_in,
                             ser_activation act, ser_error *err)
{
    return new_linear(out, ops, w, scales, bias, n_out, n_in, act, false, err);
}

ser_status ser_nn_linear_new_exact(ser_nn_linear **out, const ser_nn_ops *ops, const ser_tensor *w,
                                   const float *scales, const float *bias, size_t n_out, size_t n_in,
                                   ser_activation act, ser_error *err)
{
    return new_linear(out, ops, w, scales, bias, n_out, n_in, act, true, err);
}

void ser_nn_linear_free(ser_nn_linear **l)
{
    if (!*l)
        return;
    (*l)->ops->engine->linear_release(*l);
    ser_free((*l)->bias);
    ser_free(*l);
    *l = NULL;
}

/* Of n rows or columns, what one thread takes: an equal share, unless that is too small to be worth it. */
static size_t part_size(const ser_nn_work *work, size_t n)
{
    enum { SMALLEST = 32 };
    size_t size = ser_nn_round_rows((n + (size_t)work->n_threads - 1) / (size_t)work->n_threads);
    return size < SMALLEST ? SMALLEST : size;
}

typedef struct linear_job {
    const ser_nn_linear *l;
    unsigned char *y;
    const unsigned char *x;
    ser_dtype y_type, x_type;
    size_t x_row, n_rows, part;
    bool add;
} linear_job;

static ser_status run_linear_part(void *context, size_t item, ser_nn_work *work, ser_error *err)
{
    const linear_job *j = context;
    size_t first = item * j->part, n = j->n_rows - first < j->part ? j->n_rows - first : j->part;
    return j->l->ops->engine->linear_forward(
        j->l, work, j->y + first * j->l->n_out * ser_dtype_size(j->y_type), j->y_type,
        j->x + first * j->x_row * ser_dtype_size(j->x_type), j->x_type, j->x_row, n, j->add, err);
}

ser_status ser_nn_linear_forward_rows(const ser_nn_linear *l, ser_nn_work *work, void *y, ser_dtype y_type,
                                      const void *x, ser_dtype x_type, size_t x_row, size_t n_rows, bool add,
                                      ser_error *err)
{
    if ((x_type != SER_F32 && x_type != l->ops->type) || (y_type != SER_F32 && y_type != l->ops->type) ||
        (add && (y_type != SER_F32 || l->act != SER_ACT_NONE)))
        return ser_fail(err, SER_E_ARG, "a linear layer cannot read, write or add these types");
    linear_job j = {.l = l, .y = y, .x = x, .y_type = y_type, .x_type = x_type, .n_rows = n_rows, .add = add};
    j.x_row = x_row;
    j.part = part_size(work, n_rows);
    return ser_nn_parallel_for(work, (n_rows + j.part - 1) / j.part, run_linear_part, &j, err);
}

ser_status ser_nn_linear_forward(const ser_nn_linear *l, ser_nn_work *work, void *y, ser_dtype y_type,
                                 const void *x, ser_dtype x_type, size_t n_rows, bool add, ser_error *err)
{
    return ser_nn_linear_forward_rows(l, work, y, y_type, x, x_type, l->n_in, n_rows, add, err);
}

ser_status ser_nn_linear_run(const ser_nn_linear *l, ser_nn_work *work, float *y, const float *x,
                             size_t n_rows, bool add, ser_error *err)
{
    return ser_nn_linear_forward(l, work, y, SER_F32, x, SER_F32, n_rows, add, err);
}

/* Each product is cut along its rows or its columns, whichever are more; never along the sum, so that the
 * threads do not show in the result. */
typedef struct gemm_job {
    const ser_gemm *g;
    float *c;
    const unsigned char *a, *b;
    bool by_rows;
    size_t part, n_parts;
} gemm_job;

static ser_status run_gemm_part(void *context, size_t item, ser_nn_work *work, ser_error *err)
{
    const gemm_job *j = context;
    ser_gemm g = *j->g;
    g.n_batch = 1;
    size_t batch = item / j->n_parts, first = item % j->n_parts * j->part, size = ser_dtype_size(g.ab_type);
    size_t *n = j->by_rows ? &g.m : &g.n;
    *n = *n - first < j->part ? *n - first : j->part;
    size_t a = batch * g.stride_a, b = batch * g.stride_b, c = batch * g.stride_c;
    if (j->by_rows) {
        a += g.a_transposed ? first : first * g.lda;
        c += first * g.ldc;
    } else {
        b += g.b_transposed ? first * g.ldb : first;
        c += first;
    }
    return work->ops->engine->gemm(work, j->c + c, j->a + a * size, j->b + b * size, &g, err);
}

ser_status ser_nn_gemm(ser_nn_work *work, float *c, const void *a, const void *b, const ser_gemm *g,
                       ser_error *err)
{
    if (g->ab_type != SER_F32 && g->ab_type != work->ops->type)
        return ser_fail(err, SER_E_ARG, "a product cannot read this type");
    if (!g->n_batch || !g->m || !g->n || !g->k)
        return ser_fail(err, SER_E_ARG, "a product of empty matrices");
    if (work->n_threads == 1)
        return work->ops->engine->gemm(work, c, a, b, g, err);
    gemm_job j = {.g = g, .c = c, .a = a, .b = b, .by_rows = g->m >= g->n};
    size_t n = j.by_rows ? g->m : g->n;
    j.part = g->n_batch < (size_t)work->n_threads ? part_size(work, n) : n;
    j.n_parts = (n + j.part - 1) / j.part;
    return ser_nn_parallel_for(work, g->n_batch * j.n_parts, run_gemm_part, &j, err);
}
