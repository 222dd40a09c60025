#include "nn/ops.h"
#include "base/memory.h"
#include "base/threads.h"
#include "nn/engine.h"

#include <string.h>

ser_status ser_nn_ops_new(ser_nn_ops **out, ser_engine engine, ser_precision precision, ser_error *err)
{
    *out = NULL;
    ser_nn_ops *ops = ser_alloc(1, sizeof *ops);
    if (!ops)
        return ser_fail_nomem(err);
    ops->engine = engine == SER_ENGINE_REF ? &ser_nn_engine_ref : &ser_nn_engine_onednn;
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

static ser_status make_workers(ser_nn_work *w, ser_error *err)
{
    w->workers = ser_alloc((size_t)w->n_threads, sizeof *w->workers);
    if (!w->workers)
        return ser_fail_nomem(err);
    ser_status status = SER_OK;
    for (int i = 0; i < w->n_threads && status == SER_OK; i++)
        status = ser_nn_work_new(&w->workers[i], w->ops, 1, err);
    return status;
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
        status = make_workers(w, err);
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
    for (int i = 0; w->workers && i < w->n_threads; i++)
        ser_nn_work_free(&w->workers[i]);
    ser_free(w->workers);
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

ser_status ser_nn_linear_new(ser_nn_linear **out, const ser_nn_ops *ops, const ser_tensor *w,
                             const float *scales, const float *bias, size_t n_out, size_t n_in,
                             ser_activation act, ser_error *err)
{
    *out = NULL;
    ser_status status = check_weights(w, scales, n_out, n_in, err);
    if (status != SER_OK)
        return status;
    ser_nn_linear *l = ser_alloc(1, sizeof *l);
    if (!l)
        return ser_fail_nomem(err);
    *l = (ser_nn_linear){.ops = ops, .n_out = n_out, .n_in = n_in, .act = act};
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

void ser_nn_linear_free(ser_nn_linear **l)
{
    if (!*l)
        return;
    (*l)->ops->engine->linear_release(*l);
    ser_free((*l)->bias);
    ser_free(*l);
    *l = NULL;
}

ser_status ser_nn_linear_forward(const ser_nn_linear *l, ser_nn_work *work, void *y, ser_dtype y_type,
                                 const void *x, ser_dtype x_type, size_t n_rows, bool add, ser_error *err)
{
    if ((x_type != SER_F32 && x_type != l->ops->type) || (y_type != SER_F32 && y_type != l->ops->type) ||
        (add && (y_type != SER_F32 || l->act != SER_ACT_NONE)))
        return ser_fail(err, SER_E_ARG, "a linear layer cannot read, write or add these types");
    return n_rows ? l->ops->engine->linear_forward(l, work, y, y_type, x, x_type, n_rows, add, err) : SER_OK;
}

ser_status ser_nn_linear_run(const ser_nn_linear *l, ser_nn_work *work, float *y, const float *x,
                             size_t n_rows, bool add, ser_error *err)
{
    return ser_nn_linear_forward(l, work, y, SER_F32, x, SER_F32, n_rows, add, err);
}

typedef struct batch {
    const ser_gemm *g;
    float *c;
    const char *a, *b;
} batch;

static ser_status gemm_item(void *context, size_t item, ser_nn_work *work, ser_error *err)
{
    const batch *j = context;
    size_t size = ser_dtype_size(j->g->ab_type);
    return work->ops->engine->gemm(work, j->c + item * j->g->stride_c, j->a + item * j->g->stride_a * size,
                                   j->b + item * j->g->stride_b * size, j->g, err);
}

ser_status ser_nn_gemm(ser_nn_work *work, float *c, const void *a, const void *b, const ser_gemm *g,
                       ser_error *err)
{
    if (g->ab_type != SER_F32 && g->ab_type != work->ops->type)
        return ser_fail(err, SER_E_ARG, "a product cannot read this type");
    batch j = {.g = g, .c = c, .a = a, .b = b};
    if (!g->n_batch || !g->m || !g->n || !g->k)
        return ser_fail(err, SER_E_ARG, "a product of empty matrices");
    if (g->n_batch >= (size_t)work->n_threads)
        return ser_nn_parallel_for(work, g->n_batch, gemm_item, &j, err);
    ser_status status = SER_OK;
    for (size_t i = 0; i < g->n_batch && status == SER_OK; i++)
        status = gemm_item(&j, i, work, err);
    return status;
}
