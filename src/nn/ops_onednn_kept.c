/* Primitives, which are compiled for one shape, and kept in the work; what they are described by. */
#include "base/memory.h"
#include "nn/ops_onednn.h"
#include "nn/thrown.h"

#include <string.h>
#include <sys/mman.h>

enum {
    N_PRIMITIVES = 64, /* in one work, unless it asks for more: those of five lengths of recordings */
    N_WAYS = 16,       /* places in which a primitive may be kept */
    MAX_ARGS = 5
};

ser_status ser_onednn_fail(ser_error *err, dnnl_status_t status)
{
    if (status == dnnl_out_of_memory)
        return ser_fail_nomem(err);
    return ser_fail(err, SER_E_UNSUPPORTED,
                    "oneDNN cannot compute this on this processor (status %d): choose --engine ref",
                    (int)status);
}

static dnnl_data_type_t type_of(ser_dtype t)
{
    return t == SER_BF16 ? dnnl_bf16 : dnnl_f32;
}

dnnl_status_t ser_onednn_matrix(dnnl_memory_desc_t *md, size_t n_rows, size_t n_columns, size_t row_stride,
                                size_t column_stride, ser_dtype type)
{
    dnnl_dims_t sizes = {(dnnl_dim_t)n_rows, (dnnl_dim_t)n_columns};
    dnnl_dims_t strides = {(dnnl_dim_t)row_stride, (dnnl_dim_t)column_stride};
    return dnnl_memory_desc_init_by_strides(md, 2, sizes, type_of(type), strides);
}

dnnl_status_t ser_onednn_matrices(dnnl_memory_desc_t *md, size_t n_batch, size_t stride, size_t n_rows,
                                  size_t n_columns, size_t ld, bool turned, ser_dtype type)
{
    if (n_batch == 1)
        return ser_onednn_matrix(md, n_rows, n_columns, turned ? 1 : ld, turned ? ld : 1, type);
    dnnl_dims_t sizes = {(dnnl_dim_t)n_batch, (dnnl_dim_t)n_rows, (dnnl_dim_t)n_columns};
    dnnl_dims_t strides = {(dnnl_dim_t)stride, (dnnl_dim_t)(turned ? 1 : ld), (dnnl_dim_t)(turned ? ld : 1)};
    return dnnl_memory_desc_init_by_strides(md, 3, sizes, type_of(type), strides);
}

/* ---- what may throw ---- */

bool ser_onednn_has_room(void)
{
    enum { ROOM = 24 << 20 };
    void *p = mmap(NULL, ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p != MAP_FAILED && munmap(p, ROOM) == 0;
}

typedef struct stream_order {
    dnnl_stream_t *stream;
    dnnl_engine_t engine;
} stream_order;

static int make_stream_now(void *context)
{
    const stream_order *o = context;
    return (int)dnnl_stream_create(o->stream, o->engine, dnnl_stream_default_flags);
}

dnnl_status_t ser_onednn_stream(dnnl_stream_t *stream, dnnl_engine_t engine)
{
    stream_order o = {stream, engine};
    return (dnnl_status_t)ser_nn_try(make_stream_now, &o, dnnl_out_of_memory);
}

static int execute_now(void *context)
{
    const ser_onednn_execution *e = context;
    dnnl_status_t status = dnnl_primitive_execute(e->primitive, e->stream, e->n_args, e->args);
    return (int)(status == dnnl_success ? dnnl_stream_wait(e->stream) : status);
}

dnnl_status_t ser_onednn_execute(ser_onednn_execution e)
{
    return (dnnl_status_t)ser_nn_try(execute_now, &e, dnnl_out_of_memory);
}

/* ---- kept primitives ---- */

static void cached_release(ser_onednn_item *item)
{
    dnnl_memory_destroy(item->a);
    dnnl_memory_destroy(item->b);
    dnnl_memory_destroy(item->c);
    dnnl_memory_destroy(item->scratchpad);
    dnnl_primitive_destroy(item->primitive);
    *item = (ser_onednn_item){0};
}

static void release_items(ser_onednn_kept *c)
{
    for (size_t i = 0; i < c->n_items; i++)
        cached_release(&c->items[i]);
    ser_free(c->items);
}

ser_status ser_onednn_work_reserve(ser_nn_work *work, size_t n_shapes, ser_error *err)
{
    ser_onednn_kept *c = work->engine_data;
    size_t n = (n_shapes + N_WAYS - 1) / N_WAYS * N_WAYS;
    ser_onednn_item *items = ser_alloc(n, sizeof *items);
    if (!items)
        return ser_fail_nomem(err);
    release_items(c);
    c->items = items;
    c->n_items = n;
    return SER_OK;
}

ser_status ser_onednn_work_init(ser_nn_work *work, ser_error *err)
{
    ser_onednn_kept *c = work->engine_data = ser_alloc(1, sizeof *c);
    if (!c)
        return ser_fail_nomem(err);
    dnnl_status_t status = ser_onednn_stream(&c->stream, work->ops->engine_data);
    return status == dnnl_success ? ser_onednn_work_reserve(work, N_PRIMITIVES, err)
                                  : ser_onednn_fail(err, status);
}

void ser_onednn_work_release(ser_nn_work *work)
{
    ser_onednn_kept *c = work->engine_data;
    if (!c)
        return;
    release_items(c);
    dnnl_stream_destroy(c->stream);
    ser_free(c);
}

void ser_onednn_makings_release(ser_onednn_makings *m)
{
    dnnl_primitive_destroy(m->primitive);
    dnnl_primitive_desc_destroy(m->pd);
    dnnl_primitive_attr_destroy(m->attr);
    dnnl_post_ops_destroy(m->after);
    dnnl_memory_destroy(m->from);
    dnnl_memory_destroy(m->to);
}

static dnnl_status_t make_attributes(ser_onednn_makings *m, const ser_onednn_product *key)
{
    dnnl_status_t status = dnnl_primitive_attr_create(&m->attr);
    if (status == dnnl_success)
        status = dnnl_primitive_attr_set_scratchpad_mode(m->attr, dnnl_scratchpad_mode_user);
    if (status == dnnl_success)
        status = dnnl_post_ops_create(&m->after);
    if (status == dnnl_success && key->flags & SER_ONEDNN_GELU)
        status = dnnl_post_ops_append_eltwise(m->after, 1, dnnl_eltwise_gelu_erf, 0, 0);
    if (status == dnnl_success && key->flags & SER_ONEDNN_ADD)
        status = dnnl_post_ops_append_sum(m->after, 1);
    if (status == dnnl_success)
        status = dnnl_primitive_attr_set_post_ops(m->attr, m->after);
    return status;
}

dnnl_status_t ser_onednn_describe_product(ser_onednn_makings *m, const ser_onednn_product *key,
                                          const dnnl_memory_desc_t *b)
{
    dnnl_memory_desc_t a, c, any, bias;
    dnnl_matmul_desc_t desc;
    dnnl_dims_t b_sizes = {(dnnl_dim_t)key->k, (dnnl_dim_t)key->n};
    bool turned = key->flags & SER_ONEDNN_A_TRANSPOSED;
    size_t lda = key->lda ? key->lda : key->k, ldc = key->ldc ? key->ldc : key->n;
    dnnl_status_t status = ser_onednn_matrices(&a, key->n_batch, key->stride_a, key->m, key->k, lda, turned,
                                               (ser_dtype)key->a_type);
    if (status == dnnl_success)
        status = ser_onednn_matrices(&c, key->n_batch, key->stride_c, key->m, key->n, ldc, false,
                                     (ser_dtype)key->c_type);
    if (status == dnnl_success)
        status = ser_onednn_matrix(&bias, 1, key->n, key->n, 1, SER_F32);
    if (status == dnnl_success)
        status = dnnl_memory_desc_init_by_tag(&any, 2, b_sizes, type_of((ser_dtype)key->a_type),
                                              dnnl_format_tag_any);
    if (status == dnnl_success)
        status =
            dnnl_matmul_desc_init(&desc, &a, b ? b : &any, key->flags & SER_ONEDNN_LINEAR ? &bias : NULL, &c);
    if (status == dnnl_success)
        status = make_attributes(m, key);
    if (status == dnnl_success)
        status = dnnl_primitive_desc_create(&m->pd, &desc, m->attr, m->engine, NULL);
    return status;
}

typedef struct item_order {
    ser_onednn_makings made;
    ser_onednn_item *item;
    const ser_onednn_product *key;
    const dnnl_memory_desc_t *b;
} item_order;

static int fill_now(void *context)
{
    item_order *o = context;
    ser_onednn_item *item = o->item;
    dnnl_status_t status = ser_onednn_describe_product(&o->made, o->key, o->b);
    if (status == dnnl_success)
        status = dnnl_primitive_create(&item->primitive, o->made.pd);
    const struct {
        dnnl_memory_t *memory;
        dnnl_query_t query;
    } args[] = {{&item->a, dnnl_query_src_md},
                {&item->b, dnnl_query_weights_md},
                {&item->c, dnnl_query_dst_md},
                {&item->scratchpad, dnnl_query_scratchpad_md}};
    for (size_t i = 0; i < sizeof args / sizeof *args && status == dnnl_success; i++) {
        const dnnl_memory_desc_t *md = dnnl_primitive_desc_query_md(o->made.pd, args[i].query, 0);
        status = dnnl_memory_create(args[i].memory, md, o->made.engine, DNNL_MEMORY_NONE);
        item->n_scratchpad = dnnl_memory_desc_get_size(md); /* the last one's, in the end */
    }
    return (int)status;
}

/* The primitive and a description of each of its arguments. */
static dnnl_status_t fill(ser_onednn_item *item, dnnl_engine_t engine, const ser_onednn_product *key,
                          const dnnl_memory_desc_t *b)
{
    item_order o = {{.engine = engine}, item, key, b};
    int status =
        ser_onednn_has_room() ? ser_nn_try(fill_now, &o, dnnl_out_of_memory) : (int)dnnl_out_of_memory;
    ser_onednn_makings_release(&o.made);
    return (dnnl_status_t)status;
}

/* Where primitives for key may be: the first of N_WAYS places. FNV-1a (Fowler, Noll, Vo), word by word. */
static ser_onednn_item *places(const ser_onednn_kept *c, const ser_onednn_product *key)
{
    const size_t *words = (const size_t *)key;
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < sizeof *key / sizeof *words; i++)
        hash = (hash ^ words[i]) * 0x100000001b3u;
    return &c->items[(hash >> 32) % (c->n_items / N_WAYS) * N_WAYS];
}

ser_status ser_onednn_find(ser_onednn_item **out, ser_nn_work *work, const ser_onednn_product *key,
                           const dnnl_memory_desc_t *b, ser_error *err)
{
    ser_onednn_kept *c = work->engine_data;
    ser_onednn_item *first = places(c, key), *oldest = first;
    for (ser_onednn_item *item = first; item < first + N_WAYS; item++) {
        if (item->last_used && memcmp(&item->key, key, sizeof *key) == 0) {
            item->last_used = ++c->clock;
            *out = item;
            return SER_OK;
        }
        if (item->last_used < oldest->last_used)
            oldest = item;
    }
    cached_release(oldest);
    dnnl_status_t status = fill(oldest, work->ops->engine_data, key, b);
    if (status != dnnl_success) {
        cached_release(oldest);
        return ser_onednn_fail(err, status);
    }
    oldest->key = *key;
    oldest->last_used = ++c->clock;
    *out = oldest;
    return SER_OK;
}

ser_status ser_onednn_run(ser_onednn_item *item, ser_nn_work *work, void *c, const void *a, dnnl_memory_t b,
                          dnnl_memory_t bias, ser_error *err)
{
    const ser_onednn_kept *kept = work->engine_data;
    void *scratchpad =
        ser_nn_buffer_reserve(&work->engine_slots[SER_ONEDNN_SCRATCHPAD_SLOT], item->n_scratchpad);
    if (!scratchpad)
        return ser_fail_nomem(err);
    dnnl_exec_arg_t args[MAX_ARGS] = {{DNNL_ARG_SRC, item->a},
                                      {DNNL_ARG_WEIGHTS, b},
                                      {DNNL_ARG_DST, item->c},
                                      {DNNL_ARG_SCRATCHPAD, item->scratchpad},
                                      {DNNL_ARG_BIAS, bias}};
    dnnl_status_t status = item->has_run || ser_onednn_has_room() ? dnnl_success : dnnl_out_of_memory;
    if (status == dnnl_success)
        status = dnnl_memory_set_data_handle(item->a, (void *)a);
    if (status == dnnl_success)
        status = dnnl_memory_set_data_handle(item->c, c);
    if (status == dnnl_success)
        status = dnnl_memory_set_data_handle(item->scratchpad, scratchpad);
    if (status == dnnl_success)
        status = ser_onednn_execute(
            (ser_onednn_execution){item->primitive, kept->stream, bias ? MAX_ARGS : MAX_ARGS - 1, args});
    item->has_run = status == dnnl_success;
    return status == dnnl_success ? SER_OK : ser_onednn_fail(err, status);
}
