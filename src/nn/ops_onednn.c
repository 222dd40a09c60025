/* oneDNN (https://oneapi-src.github.io/oneDNN/v2.6), by its C interface. Weights are packed once, in the
 * layout that its fastest kernels read; primitives, which are compiled for one shape, are kept in the work.
 */
#include "base/cpu.h"
#include "base/memory.h"
#include "nn/engine.h"
#include "nn/layers.h"
#include "nn/quantise.h"
#include "nn/thrown.h"

#include <oneapi/dnnl/dnnl.h>
#include <string.h>
#include <sys/mman.h>

/* Debian's oneDNN computes with libgomp's threads, as many as this setting of the calling thread says: here
 * always one, because those threads spin while they wait, which is slow where they have to share the cores.
 * omp.h comes with the compiler, and not with every clang. */
int omp_get_max_threads(void);
void omp_set_num_threads(int n_threads);

enum {
    N_PRIMITIVES = 64, /* in one work, unless it asks for more: those of five lengths of recordings */
    N_WAYS = 16,       /* places in which a primitive may be kept */
    MAX_ARGS = 5,
    PIECE_8_BITS = 64, /* rows, so that their sums stay in the cache */
    CONVERTED_SLOT = 0,
    SCRATCHPAD_SLOT = 1
};

typedef struct packed_weights {
    dnnl_memory_desc_t md;
    void *data;
    dnnl_memory_t memory, bias; /* only read, so that threads may share them */
    float *scales, *sums;       /* (n_out), in 8 bits only: see quantise.h */
} packed_weights;

/* What a primitive was made for. */
typedef struct product {
    size_t n_batch, m, n, k;
    size_t lda, ldb, ldc, stride_a, stride_b, stride_c; /* a linear layer's rows are contiguous: 0 */
    size_t flags, a_type, c_type;
} product;

enum { LINEAR = 1, GELU = 2, ADD = 4, A_TRANSPOSED = 8, B_TRANSPOSED = 16 };

typedef struct cached {
    product key;
    uint64_t last_used; /* 0: empty */
    dnnl_primitive_t primitive;
    dnnl_memory_t a, b, c, scratchpad; /* descriptions; the addresses are set at each run */
    size_t n_scratchpad;
    bool has_run; /* some code is compiled only then */
} cached;

typedef struct primitives {
    dnnl_stream_t stream;
    uint64_t clock;
    unsigned gemms; /* bit i: one of kind i has run, see gemm_kind */
    size_t n_items; /* a multiple of N_WAYS */
    cached *items;
} primitives;

static ser_status fail_dnnl(ser_error *err, dnnl_status_t status)
{
    if (status == dnnl_out_of_memory)
        return ser_fail_nomem(err);
    return ser_fail(err, SER_E_UNSUPPORTED,
                    "oneDNN cannot compute this on this processor (status %d): choose --engine ref",
                    (int)status);
}

static dnnl_data_type_t type_of(ser_dtype t)
{
    switch (t) {
    case SER_BF16:
        return dnnl_bf16;
    case SER_I8:
        return dnnl_s8;
    case SER_U8:
        return dnnl_u8;
    case SER_I32:
        return dnnl_s32;
    default:
        return dnnl_f32;
    }
}

/* In 8 bits, linear layers multiply SER_U8 activations with SER_I8 weights; all else is computed in
 * ops->type. */
static bool in_8_bits(const ser_nn_linear *l)
{
    return l->ops->precision == SER_PRECISION_INT8 && !l->exact;
}

static ser_dtype weight_type(const ser_nn_linear *l)
{
    return in_8_bits(l) ? SER_I8 : l->ops->type;
}

/* A description of a matrix (n_rows, n_columns) whose neighbours lie strides apart. */
static dnnl_status_t matrix(dnnl_memory_desc_t *md, size_t n_rows, size_t n_columns, size_t row_stride,
                            size_t column_stride, ser_dtype type)
{
    dnnl_dims_t sizes = {(dnnl_dim_t)n_rows, (dnnl_dim_t)n_columns};
    dnnl_dims_t strides = {(dnnl_dim_t)row_stride, (dnnl_dim_t)column_stride};
    return dnnl_memory_desc_init_by_strides(md, 2, sizes, type_of(type), strides);
}

/* Of n_batch such matrices, which lie stride apart and have rows ld apart, or columns where turned. */
static dnnl_status_t matrices(dnnl_memory_desc_t *md, size_t n_batch, size_t stride, size_t n_rows,
                              size_t n_columns, size_t ld, bool turned, ser_dtype type)
{
    if (n_batch == 1)
        return matrix(md, n_rows, n_columns, turned ? 1 : ld, turned ? ld : 1, type);
    dnnl_dims_t sizes = {(dnnl_dim_t)n_batch, (dnnl_dim_t)n_rows, (dnnl_dim_t)n_columns};
    dnnl_dims_t strides = {(dnnl_dim_t)stride, (dnnl_dim_t)(turned ? 1 : ld), (dnnl_dim_t)(turned ? ld : 1)};
    return dnnl_memory_desc_init_by_strides(md, 3, sizes, type_of(type), strides);
}

/* oneDNN has a limit of its own, for the whole process, which counts as long as it was not asked for
 * anything. */
static void limit_processor(void)
{
    unsigned cpu = ser_cpu();
    if (!ser_cpu_limit())
        return;
    dnnl_set_max_cpu_isa(cpu & SER_CPU_AMX          ? dnnl_cpu_isa_all
                         : cpu & SER_CPU_AVX512BF16 ? dnnl_cpu_isa_avx512_core_bf16
                         : cpu & SER_CPU_AVX512VNNI ? dnnl_cpu_isa_avx512_core_vnni
                         : cpu & SER_CPU_AVX512     ? dnnl_cpu_isa_avx512_core
                         : cpu & SER_CPU_AVXVNNI    ? dnnl_cpu_isa_avx2_vnni
                         : cpu & SER_CPU_AVX2       ? dnnl_cpu_isa_avx2
                                                    : dnnl_cpu_isa_sse41);
}

/* ---- what may throw: ser_nn_try ---- */

/* Where oneDNN gets no memory for the code that it compiles it goes on without, and crashes. So, before it
 * compiles something: whether there would be as much as it takes for all kernels of a kind. */
static bool has_room(void)
{
    enum { ROOM = 24 << 20 };
    void *p = mmap(NULL, ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p != MAP_FAILED && munmap(p, ROOM) == 0;
}

static int make_engine(void *engine)
{
    return (int)dnnl_engine_create(engine, dnnl_cpu, 0);
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

static dnnl_status_t make_stream(dnnl_stream_t *stream, dnnl_engine_t engine)
{
    stream_order o = {stream, engine};
    return (dnnl_status_t)ser_nn_try(make_stream_now, &o, dnnl_out_of_memory);
}

typedef struct execution {
    dnnl_primitive_t primitive;
    dnnl_stream_t stream;
    int n_args;
    const dnnl_exec_arg_t *args;
} execution;

static int execute_now(void *context)
{
    const execution *e = context;
    dnnl_status_t status = dnnl_primitive_execute(e->primitive, e->stream, e->n_args, e->args);
    return (int)(status == dnnl_success ? dnnl_stream_wait(e->stream) : status);
}

static dnnl_status_t execute(execution e)
{
    return (dnnl_status_t)ser_nn_try(execute_now, &e, dnnl_out_of_memory);
}

/* ---- the processor ---- */

static ser_status onednn_ops_init(ser_nn_ops *ops, ser_precision wanted, ser_error *err)
{
    limit_processor();
    dnnl_cpu_isa_t isa = dnnl_get_effective_cpu_isa(); /* ONEDNN_MAX_CPU_ISA is in it */
    unsigned cpu = ser_cpu();
    bool has_bf16 =
        cpu & SER_CPU_AVX512BF16 && (isa & dnnl_cpu_isa_avx512_core_bf16) == dnnl_cpu_isa_avx512_core_bf16;
    bool has_vnni =
        cpu & SER_CPU_AVX512VNNI && (isa & dnnl_cpu_isa_avx512_core_vnni) == dnnl_cpu_isa_avx512_core_vnni;
    if (wanted == SER_PRECISION_INT8 && !has_vnni)
        return ser_fail(err, SER_E_UNSUPPORTED,
                        "this processor cannot compute in int8: choose --precision auto or fp32");
    if (wanted == SER_PRECISION_BF16 && !has_bf16)
        return ser_fail(err, SER_E_UNSUPPORTED,
                        "this processor cannot compute in bf16: choose --precision auto or fp32");
    if (wanted == SER_PRECISION_AUTO)
        wanted = has_bf16 ? SER_PRECISION_BF16 : SER_PRECISION_FP32;
    ops->precision = wanted;
    ops->type =
        wanted == SER_PRECISION_BF16 || (wanted == SER_PRECISION_INT8 && has_bf16) ? SER_BF16 : SER_F32;
    dnnl_engine_t engine = NULL;
    dnnl_status_t status = (dnnl_status_t)ser_nn_try(make_engine, &engine, dnnl_out_of_memory);
    if (status != dnnl_success)
        return fail_dnnl(err, status);
    ops->engine_data = engine;
    return SER_OK;
}

static void onednn_ops_release(ser_nn_ops *ops)
{
    dnnl_engine_destroy(ops->engine_data);
}

static void cached_release(cached *item)
{
    dnnl_memory_destroy(item->a);
    dnnl_memory_destroy(item->b);
    dnnl_memory_destroy(item->c);
    dnnl_memory_destroy(item->scratchpad);
    dnnl_primitive_destroy(item->primitive);
    *item = (cached){0};
}

static void release_items(primitives *c)
{
    for (size_t i = 0; i < c->n_items; i++)
        cached_release(&c->items[i]);
    ser_free(c->items);
}

static ser_status onednn_work_reserve(ser_nn_work *work, size_t n_shapes, ser_error *err)
{
    primitives *c = work->engine_data;
    size_t n = (n_shapes + N_WAYS - 1) / N_WAYS * N_WAYS;
    cached *items = ser_alloc(n, sizeof *items);
    if (!items)
        return ser_fail_nomem(err);
    release_items(c);
    c->items = items;
    c->n_items = n;
    return SER_OK;
}

static ser_status onednn_work_init(ser_nn_work *work, ser_error *err)
{
    primitives *c = work->engine_data = ser_alloc(1, sizeof *c);
    if (!c)
        return ser_fail_nomem(err);
    dnnl_status_t status = make_stream(&c->stream, work->ops->engine_data);
    return status == dnnl_success ? onednn_work_reserve(work, N_PRIMITIVES, err) : fail_dnnl(err, status);
}

static void onednn_work_release(ser_nn_work *work)
{
    primitives *c = work->engine_data;
    if (!c)
        return;
    release_items(c);
    dnnl_stream_destroy(c->stream);
    ser_free(c);
}

/* What primitives are made of, and released when they are there. */
typedef struct makings {
    dnnl_engine_t engine;
    dnnl_post_ops_t after;
    dnnl_primitive_attr_t attr;
    dnnl_primitive_desc_t pd;
    dnnl_memory_t from, to;
    dnnl_primitive_t primitive;
} makings;

static void makings_release(makings *m)
{
    dnnl_primitive_destroy(m->primitive);
    dnnl_primitive_desc_destroy(m->pd);
    dnnl_primitive_attr_destroy(m->attr);
    dnnl_post_ops_destroy(m->after);
    dnnl_memory_destroy(m->from);
    dnnl_memory_destroy(m->to);
}

static dnnl_status_t make_attributes(makings *m, const product *key)
{
    dnnl_status_t status = dnnl_primitive_attr_create(&m->attr);
    if (status == dnnl_success)
        status = dnnl_primitive_attr_set_scratchpad_mode(m->attr, dnnl_scratchpad_mode_user);
    if (status == dnnl_success)
        status = dnnl_post_ops_create(&m->after);
    if (status == dnnl_success && key->flags & GELU)
        status = dnnl_post_ops_append_eltwise(m->after, 1, dnnl_eltwise_gelu_erf, 0, 0);
    if (status == dnnl_success && key->flags & ADD)
        status = dnnl_post_ops_append_sum(m->after, 1);
    if (status == dnnl_success)
        status = dnnl_primitive_attr_set_post_ops(m->attr, m->after);
    return status;
}

/* m->pd: c (m, n) = a (m, k) b (k, n) and what the flags say. b NULL: packed as the kernels like it best. */
static dnnl_status_t make_product(makings *m, const product *key, const dnnl_memory_desc_t *b)
{
    dnnl_memory_desc_t a, c, any, bias;
    dnnl_matmul_desc_t desc;
    dnnl_dims_t b_sizes = {(dnnl_dim_t)key->k, (dnnl_dim_t)key->n};
    bool turned = key->flags & A_TRANSPOSED;
    size_t lda = key->lda ? key->lda : key->k, ldc = key->ldc ? key->ldc : key->n;
    dnnl_status_t status =
        matrices(&a, key->n_batch, key->stride_a, key->m, key->k, lda, turned, (ser_dtype)key->a_type);
    if (status == dnnl_success)
        status =
            matrices(&c, key->n_batch, key->stride_c, key->m, key->n, ldc, false, (ser_dtype)key->c_type);
    if (status == dnnl_success)
        status = matrix(&bias, 1, key->n, key->n, 1, SER_F32);
    if (status == dnnl_success)
        status = dnnl_memory_desc_init_by_tag(
            &any, 2, b_sizes, type_of(key->a_type == SER_U8 ? SER_I8 : (ser_dtype)key->a_type),
            dnnl_format_tag_any);
    if (status == dnnl_success)
        status = dnnl_matmul_desc_init(&desc, &a, b ? b : &any, key->flags & LINEAR ? &bias : NULL, &c);
    if (status == dnnl_success)
        status = make_attributes(m, key);
    if (status == dnnl_success)
        status = dnnl_primitive_desc_create(&m->pd, &desc, m->attr, m->engine, NULL);
    return status;
}

typedef struct item_order {
    makings made;
    cached *item;
    const product *key;
    const dnnl_memory_desc_t *b;
} item_order;

static int fill_now(void *context)
{
    item_order *o = context;
    cached *item = o->item;
    dnnl_status_t status = make_product(&o->made, o->key, o->b);
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
static dnnl_status_t fill(cached *item, dnnl_engine_t engine, const product *key, const dnnl_memory_desc_t *b)
{
    item_order o = {{.engine = engine}, item, key, b};
    int status = has_room() ? ser_nn_try(fill_now, &o, dnnl_out_of_memory) : (int)dnnl_out_of_memory;
    makings_release(&o.made);
    return (dnnl_status_t)status;
}

/* Where primitives for key may be: the first of N_WAYS places. FNV-1a (Fowler, Noll, Vo), word by word. */
static cached *places(const primitives *c, const product *key)
{
    const size_t *words = (const size_t *)key;
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < sizeof *key / sizeof *words; i++)
        hash = (hash ^ words[i]) * 0x100000001b3u;
    return &c->items[(hash >> 32) % (c->n_items / N_WAYS) * N_WAYS];
}

/* The cached primitive for key, made where it is missing in place of the one that was idle for longest. */
static ser_status find(cached **out, ser_nn_work *work, const product *key, const dnnl_memory_desc_t *b,
                       ser_error *err)
{
    primitives *c = work->engine_data;
    cached *first = places(c, key), *oldest = first;
    for (cached *item = first; item < first + N_WAYS; item++) {
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
        return fail_dnnl(err, status);
    }
    oldest->key = *key;
    oldest->last_used = ++c->clock;
    *out = oldest;
    return SER_OK;
}

/* a stays as it is, whatever oneDNN's types say. */
static ser_status run(cached *item, ser_nn_work *work, void *c, const void *a, dnnl_memory_t b,
                      dnnl_memory_t bias, ser_error *err)
{
    const primitives *kept = work->engine_data;
    void *scratchpad = ser_nn_buffer_reserve(&work->engine_slots[SCRATCHPAD_SLOT], item->n_scratchpad);
    if (!scratchpad)
        return ser_fail_nomem(err);
    dnnl_exec_arg_t args[MAX_ARGS] = {{DNNL_ARG_SRC, item->a},
                                      {DNNL_ARG_WEIGHTS, b},
                                      {DNNL_ARG_DST, item->c},
                                      {DNNL_ARG_SCRATCHPAD, item->scratchpad},
                                      {DNNL_ARG_BIAS, bias}};
    dnnl_status_t status = item->has_run || has_room() ? dnnl_success : dnnl_out_of_memory;
    if (status == dnnl_success)
        status = dnnl_memory_set_data_handle(item->a, (void *)a);
    if (status == dnnl_success)
        status = dnnl_memory_set_data_handle(item->c, c);
    if (status == dnnl_success)
        status = dnnl_memory_set_data_handle(item->scratchpad, scratchpad);
    if (status == dnnl_success)
        status = execute((execution){item->primitive, kept->stream, bias ? MAX_ARGS : MAX_ARGS - 1, args});
    item->has_run = status == dnnl_success;
    return status == dnnl_success ? SER_OK : fail_dnnl(err, status);
}

/* Weights are packed in panels of some output rows, so that what lies between the file and the packed form
 * stays in the cache. In a panel, rows lie a little more than n_in apart: at multiples of 4 KiB, the columns
 * that are read together would fall into the same few lines of the cache. */
typedef struct panel {
    size_t n_rows, ld; /* at most n_rows, ld apart */
    void *rows;        /* in the products' type */
    float *row;        /* one row, before it is rounded */
    dnnl_stream_t stream;
} panel;

/* The layout that the kernels want, which does not depend on the number of rows. */
static dnnl_status_t choose_layout(dnnl_memory_desc_t *md, makings *m, const ser_nn_linear *l)
{
    product key = {.n_batch = 1, .m = SER_NN_PIECE, .n = l->n_out, .k = l->n_in};
    key.flags = in_8_bits(l) ? 0 : LINEAR;
    key.a_type = in_8_bits(l) ? SER_U8 : l->ops->type;
    key.c_type = in_8_bits(l) ? SER_I32 : SER_F32;
    dnnl_status_t status = make_product(m, &key, NULL);
    if (status == dnnl_success)
        *md = *dnnl_primitive_desc_query_md(m->pd, dnnl_query_weights_md, 0);
    return status;
}

/* Output rows that the layout keeps together: 1 in a plain one. */
static size_t rows_in_block(const dnnl_memory_desc_t *md)
{
    const dnnl_blocking_desc_t *b = &md->format_desc.blocking;
    size_t n = 1;
    for (int i = 0; i < b->inner_nblks; i++)
        n *= b->inner_idxs[i] == 1 ? (size_t)b->inner_blks[i] : 1;
    return n;
}

static dnnl_status_t panel_init(panel *p, const ser_nn_linear *l, const dnnl_memory_desc_t *md)
{
    enum { WANTED = 64, GAP = 64 };
    size_t block = rows_in_block(md);
    *p = (panel){.n_rows = (WANTED + block - 1) / block * block, .ld = l->n_in + GAP};
    p->rows = ser_alloc(p->n_rows * p->ld, ser_dtype_size(weight_type(l)));
    p->row = ser_alloc(l->n_in, sizeof *p->row);
    if (!p->rows || !p->row)
        return dnnl_out_of_memory;
    return make_stream(&p->stream, l->ops->engine_data);
}

static void panel_release(panel *p)
{
    dnnl_stream_destroy(p->stream);
    ser_free(p->rows);
    ser_free(p->row);
}

static ser_status read_rows(panel *p, packed_weights *packed, const ser_nn_linear *l, const ser_tensor *w,
                            const float *scales, size_t first, size_t n, ser_error *err)
{
    ser_dtype type = weight_type(l);
    ser_status status = SER_OK;
    for (size_t o = 0; o < n && status == SER_OK; o++) {
        void *to = (unsigned char *)p->rows + o * p->ld * ser_dtype_size(type);
        if (type == SER_BF16)
            status = ser_nn_weight_row_bf16(to, p->row, w, scales, first + o, l->n_in, err);
        else
            status = ser_nn_weight_row(type == SER_F32 ? to : p->row, w, scales, first + o, l->n_in, err);
        if (status == SER_OK && type == SER_I8)
            packed->scales[first + o] =
                ser_nn_quantise_weights(to, &packed->sums[first + o], p->row, l->n_in);
    }
    return status;
}

typedef struct rows_order {
    makings made;
    const panel *p;
    const packed_weights *w;
    const ser_nn_linear *l;
    size_t first, n;
} rows_order;

static int pack_rows_now(void *context)
{
    rows_order *o = context;
    makings *m = &o->made;
    const panel *p = o->p;
    const packed_weights *w = o->w;
    const ser_nn_linear *l = o->l;
    size_t n = o->n;
    dnnl_memory_desc_t from_md, to_md = w->md;
    size_t block = rows_in_block(&w->md), size = ser_dtype_size(weight_type(l));
    size_t at = o->first / block * (size_t)w->md.format_desc.blocking.strides[1] * size;
    to_md.dims[1] = (dnnl_dim_t)n;
    to_md.padded_dims[1] = (dnnl_dim_t)((n + block - 1) / block * block);
    dnnl_status_t status = matrix(&from_md, l->n_in, n, 1, p->ld, weight_type(l));
    if (status == dnnl_success)
        status = dnnl_memory_create(&m->from, &from_md, m->engine, p->rows);
    if (status == dnnl_success)
        status = dnnl_memory_create(&m->to, &to_md, m->engine, (unsigned char *)w->data + at);
    if (status == dnnl_success)
        status = dnnl_reorder_primitive_desc_create(&m->pd, &from_md, m->engine, &to_md, m->engine, NULL);
    if (status == dnnl_success)
        status = dnnl_primitive_create(&m->primitive, m->pd);
    const dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, m->from}, {DNNL_ARG_TO, m->to}};
    return (int)(status == dnnl_success ? execute((execution){m->primitive, p->stream, 2, args}) : status);
}

/* The panel's n rows -> rows first ... first + n - 1 of the packed weights, which are whole blocks of them.
 */
static dnnl_status_t pack_rows(const panel *p, const packed_weights *w, const ser_nn_linear *l, size_t first,
                               size_t n)
{
    rows_order o = {{.engine = l->ops->engine_data}, p, w, l, first, n};
    int status = has_room() ? ser_nn_try(pack_rows_now, &o, dnnl_out_of_memory) : (int)dnnl_out_of_memory;
    makings_release(&o.made);
    return (dnnl_status_t)status;
}

static ser_status pack(packed_weights *p, const ser_nn_linear *l, const ser_tensor *w, const float *scales,
                       ser_error *err)
{
    panel rows;
    dnnl_status_t failed = panel_init(&rows, l, &p->md);
    ser_status status = SER_OK;
    for (size_t o = 0; o < l->n_out && status == SER_OK && failed == dnnl_success; o += rows.n_rows) {
        size_t n = l->n_out - o < rows.n_rows ? l->n_out - o : rows.n_rows;
        status = read_rows(&rows, p, l, w, scales, o, n, err);
        if (status == SER_OK)
            failed = pack_rows(&rows, p, l, o, n);
    }
    panel_release(&rows);
    return failed == dnnl_success ? status : fail_dnnl(err, failed);
}

typedef struct weights_order {
    makings made;
    packed_weights *p;
    const ser_nn_linear *l;
} weights_order;

static int describe_now(void *context)
{
    weights_order *o = context;
    packed_weights *p = o->p;
    const ser_nn_linear *l = o->l;
    dnnl_memory_desc_t bias;
    dnnl_status_t status = choose_layout(&p->md, &o->made, l);
    if (status == dnnl_success && p->md.format_kind != dnnl_blocked)
        status = dnnl_unimplemented;
    if (status == dnnl_success)
        p->data = ser_alloc(dnnl_memory_desc_get_size(&p->md), 1);
    if (status == dnnl_success && in_8_bits(l)) {
        p->scales = ser_alloc(2 * l->n_out, sizeof *p->scales);
        p->sums = p->scales ? p->scales + l->n_out : NULL;
    }
    if (status == dnnl_success && (!p->data || (in_8_bits(l) && !p->scales)))
        status = dnnl_out_of_memory;
    if (status == dnnl_success)
        status = dnnl_memory_create(&p->memory, &p->md, l->ops->engine_data, p->data);
    if (status == dnnl_success)
        status = matrix(&bias, 1, l->n_out, l->n_out, 1, SER_F32);
    if (status == dnnl_success)
        status = dnnl_memory_create(&p->bias, &bias, l->ops->engine_data, l->bias);
    return (int)status;
}

/* Memory for the weights, and descriptions of them and of the bias. */
static dnnl_status_t describe(packed_weights *p, const ser_nn_linear *l)
{
    weights_order o = {{.engine = l->ops->engine_data}, p, l};
    int status = has_room() ? ser_nn_try(describe_now, &o, dnnl_out_of_memory) : (int)dnnl_out_of_memory;
    makings_release(&o.made);
    return (dnnl_status_t)status;
}

static ser_status onednn_linear_init(ser_nn_linear *l, const ser_tensor *w, const float *scales,
                                     ser_error *err)
{
    packed_weights *p = l->weights = ser_alloc(1, sizeof *p);
    if (!p)
        return ser_fail_nomem(err);
    int n_threads = omp_get_max_threads();
    omp_set_num_threads(1);
    dnnl_status_t failed = describe(p, l);
    ser_status status = failed == dnnl_success ? pack(p, l, w, scales, err) : fail_dnnl(err, failed);
    omp_set_num_threads(n_threads);
    return status;
}

static void onednn_linear_release(ser_nn_linear *l)
{
    packed_weights *p = l->weights;
    if (!p)
        return;
    dnnl_memory_destroy(p->memory);
    dnnl_memory_destroy(p->bias);
    ser_free(p->data);
    ser_free(p->scales);
    ser_free(p);
}

/* x in the products' type. */
static const void *converted(ser_nn_work *work, const void *x, ser_dtype x_type, size_t n)
{
    if (x_type == work->ops->type)
        return x;
    uint16_t *half = ser_nn_buffer_reserve(&work->engine_slots[CONVERTED_SLOT], n * sizeof *half);
    if (half)
        ser_nn_to_bf16(half, x, n);
    return half;
}

static ser_status forward_piece(const ser_nn_linear *l, ser_nn_work *work, void *y, ser_dtype y_type,
                                const void *x, ser_dtype x_type, size_t n_rows, bool add, ser_error *err)
{
    const packed_weights *p = l->weights;
    product key = {.n_batch = 1, .m = n_rows, .n = l->n_out, .k = l->n_in};
    key.flags = (size_t)LINEAR | (l->act == SER_ACT_GELU ? GELU : 0) | (add ? ADD : 0);
    key.a_type = work->ops->type;
    key.c_type = y_type;
    cached *item;
    ser_status status = find(&item, work, &key, &p->md, err);
    if (status != SER_OK)
        return status;
    const void *a = converted(work, x, x_type, n_rows * l->n_in);
    return a ? run(item, work, y, a, p->memory, p->bias, err) : ser_fail_nomem(err);
}

/* Between the row's quantisation and what the sums are worth stands one product of bytes. */
static ser_status forward_8_bits(const ser_nn_linear *l, ser_nn_work *work, void *y, ser_dtype y_type,
                                 const void *x, ser_dtype x_type, size_t n_rows, bool add, ser_error *err)
{
    const packed_weights *p = l->weights;
    product key = {
        .n_batch = 1, .m = n_rows, .n = l->n_out, .k = l->n_in, .a_type = SER_U8, .c_type = SER_I32};
    size_t n_sums = n_rows * l->n_out * sizeof(int32_t), n_row_floats = 2 * n_rows * sizeof(float);
    int32_t *sums =
        ser_nn_buffer_reserve(&work->engine_slots[CONVERTED_SLOT], n_sums + n_row_floats + n_rows * l->n_in);
    cached *item;
    if (!sums)
        return ser_fail_nomem(err);
    float *lows = (float *)(sums + n_rows * l->n_out), *steps = lows + n_rows;
    uint8_t *bytes = (uint8_t *)(steps + n_rows);
    ser_nn_quantise_rows(bytes, l->n_in, lows, steps, x, x_type, n_rows, l->n_in);
    ser_status status = find(&item, work, &key, &p->md, err);
    if (status == SER_OK)
        status = run(item, work, sums, bytes, p->memory, NULL, err);
    ser_nn_quantised q = {p->scales, p->sums,  l->bias,  lows,     steps,
                          n_rows,    l->n_out, l->n_out, l->n_out, l->act};
    if (status == SER_OK)
        ser_nn_dequantise(y, y_type, sums, &q, add);
    return status;
}

static ser_status onednn_linear_forward(const ser_nn_linear *l, ser_nn_work *work, void *y, ser_dtype y_type,
                                        const void *x, ser_dtype x_type, size_t n_rows, bool add,
                                        ser_error *err)
{
    ser_status status = SER_OK;
    size_t x_row = l->n_in * ser_dtype_size(x_type), y_row = l->n_out * ser_dtype_size(y_type);
    int n_threads = omp_get_max_threads();
    omp_set_num_threads(1);
    bool bytes = in_8_bits(l);
    size_t piece = bytes ? PIECE_8_BITS : SER_NN_PIECE;
    for (size_t t = 0; t < n_rows && status == SER_OK; t += piece) {
        size_t n = n_rows - t < piece ? n_rows - t : piece;
        status = (bytes ? forward_8_bits : forward_piece)(l, work, (unsigned char *)y + t * y_row, y_type,
                                                          (const unsigned char *)x + t * x_row, x_type, n,
                                                          add, err);
    }
    omp_set_num_threads(n_threads);
    return status;
}

typedef struct gemm_order {
    float *c;
    const float *a, *b;
    const ser_gemm *g;
} gemm_order;

static int gemm_f32_now(void *context)
{
    const gemm_order *o = context;
    const ser_gemm *g = o->g;
    dnnl_status_t status = dnnl_success;
    for (size_t i = 0; i < g->n_batch && status == dnnl_success; i++)
        status = dnnl_sgemm(g->a_transposed ? 'T' : 'N', g->b_transposed ? 'T' : 'N', (dnnl_dim_t)g->m,
                            (dnnl_dim_t)g->n, (dnnl_dim_t)g->k, 1, o->a + i * g->stride_a, (dnnl_dim_t)g->lda,
                            o->b + i * g->stride_b, (dnnl_dim_t)g->ldb, g->beta, o->c + i * g->stride_c,
                            (dnnl_dim_t)g->ldc);
    return (int)status;
}

/* Products of one kind run the same compiled code. */
static unsigned gemm_kind(const ser_gemm *g)
{
    return 1u << ((g->a_transposed ? 1 : 0) + (g->b_transposed ? 2 : 0) + (g->beta != 0 ? 4 : 0) +
                  (g->m == 1 || g->n == 1 ? 8 : 0));
}

static ser_status gemm_f32(ser_nn_work *work, float *c, const float *a, const float *b, const ser_gemm *g,
                           ser_error *err)
{
    gemm_order o = {c, a, b, g};
    primitives *kept = work->engine_data;
    if (!(kept->gemms & gemm_kind(g)) && !has_room())
        return ser_fail_nomem(err);
    int status = ser_nn_try(gemm_f32_now, &o, dnnl_out_of_memory);
    if (status == dnnl_success)
        kept->gemms |= gemm_kind(g);
    return status == dnnl_success ? SER_OK : fail_dnnl(err, (dnnl_status_t)status);
}

/* Only fp32 has a product without a primitive. */
static ser_status gemm_bf16(ser_nn_work *work, float *c, const void *a, const void *b, const ser_gemm *g,
                            ser_error *err)
{
    product key = {.n_batch = g->n_batch, .m = g->m, .n = g->n, .k = g->k};
    key.lda = g->lda, key.ldb = g->ldb, key.ldc = g->ldc;
    if (g->n_batch > 1)
        key.stride_a = g->stride_a, key.stride_b = g->stride_b, key.stride_c = g->stride_c;
    key.flags = (size_t)(g->a_transposed ? A_TRANSPOSED : 0) | (g->b_transposed ? B_TRANSPOSED : 0) |
                (g->beta != 0 ? ADD : 0);
    key.a_type = SER_BF16;
    key.c_type = SER_F32;
    dnnl_memory_desc_t b_md;
    dnnl_status_t status =
        matrices(&b_md, g->n_batch, g->stride_b, g->k, g->n, g->ldb, g->b_transposed, SER_BF16);
    if (status != dnnl_success)
        return fail_dnnl(err, status);
    cached *item;
    ser_status found = find(&item, work, &key, &b_md, err);
    if (found != SER_OK)
        return found;
    status = dnnl_memory_set_data_handle(item->b, (void *)b);
    return status == dnnl_success ? run(item, work, c, a, item->b, NULL, err) : fail_dnnl(err, status);
}

static ser_status onednn_gemm(ser_nn_work *work, float *c, const void *a, const void *b, const ser_gemm *g,
                              ser_error *err)
{
    int n_threads = omp_get_max_threads();
    omp_set_num_threads(1);
    ser_status status =
        g->ab_type == SER_BF16 ? gemm_bf16(work, c, a, b, g, err) : gemm_f32(work, c, a, b, g, err);
    omp_set_num_threads(n_threads);
    return status;
}

const ser_nn_engine ser_nn_engine_onednn = {
    .ops_init = onednn_ops_init,
    .ops_release = onednn_ops_release,
    .work_init = onednn_work_init,
    .work_release = onednn_work_release,
    .work_reserve = onednn_work_reserve,
    .linear_init = onednn_linear_init,
    .linear_release = onednn_linear_release,
    .linear_forward = onednn_linear_forward,
    .gemm = onednn_gemm,
};
