/* Weights, packed once in the layout that oneDNN's fastest kernels read. */
#include "base/memory.h"
#include "nn/ops_onednn.h"
#include "nn/thrown.h"

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
static dnnl_status_t choose_layout(dnnl_memory_desc_t *md, ser_onednn_makings *m, const ser_nn_linear *l)
{
    ser_onednn_product key = {.n_batch = 1, .m = SER_NN_PIECE, .n = l->n_out, .k = l->n_in};
    key.flags = SER_ONEDNN_LINEAR;
    key.a_type = l->ops->type;
    key.c_type = SER_F32;
    dnnl_status_t status = ser_onednn_describe_product(m, &key, NULL);
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
    p->rows = ser_alloc(p->n_rows * p->ld, ser_dtype_size(l->ops->type));
    p->row = ser_alloc(l->n_in, sizeof *p->row);
    if (!p->rows || !p->row)
        return dnnl_out_of_memory;
    return ser_onednn_stream(&p->stream, l->ops->engine_data);
}

static void panel_release(panel *p)
{
    dnnl_stream_destroy(p->stream);
    ser_free(p->rows);
    ser_free(p->row);
}

static ser_status read_rows(panel *p, const ser_nn_linear *l, const ser_tensor *w, const float *scales,
                            size_t first, size_t n, ser_error *err)
{
    ser_dtype type = l->ops->type;
    ser_status status = SER_OK;
    for (size_t o = 0; o < n && status == SER_OK; o++) {
        void *to = (unsigned char *)p->rows + o * p->ld * ser_dtype_size(type);
        if (type == SER_BF16)
            status = ser_nn_weight_row_bf16(to, p->row, w, scales, first + o, l->n_in, err);
        else
            status = ser_nn_weight_row(to, w, scales, first + o, l->n_in, err);
    }
    return status;
}

typedef struct rows_order {
    ser_onednn_makings made;
    const panel *p;
    const ser_onednn_weights *w;
    const ser_nn_linear *l;
    size_t first, n;
} rows_order;

static int pack_rows_now(void *context)
{
    rows_order *o = context;
    ser_onednn_makings *m = &o->made;
    const panel *p = o->p;
    const ser_onednn_weights *w = o->w;
    const ser_nn_linear *l = o->l;
    size_t n = o->n;
    dnnl_memory_desc_t from_md, to_md = w->md;
    size_t block = rows_in_block(&w->md), size = ser_dtype_size(l->ops->type);
    size_t at = o->first / block * (size_t)w->md.format_desc.blocking.strides[1] * size;
    to_md.dims[1] = (dnnl_dim_t)n;
    to_md.padded_dims[1] = (dnnl_dim_t)((n + block - 1) / block * block);
    dnnl_status_t status = ser_onednn_matrix(&from_md, l->n_in, n, 1, p->ld, l->ops->type);
    if (status == dnnl_success)
        status = dnnl_memory_create(&m->from, &from_md, m->engine, p->rows);
    if (status == dnnl_success)
        status = dnnl_memory_create(&m->to, &to_md, m->engine, (unsigned char *)w->data + at);
    if (status == dnnl_success)
        status = dnnl_reorder_primitive_desc_create(&m->pd, &from_md, m->engine, &to_md, m->engine, NULL);
    if (status == dnnl_success)
        status = dnnl_primitive_create(&m->primitive, m->pd);
    const dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, m->from}, {DNNL_ARG_TO, m->to}};
    return (int)(status == dnnl_success
                     ? ser_onednn_execute((ser_onednn_execution){m->primitive, p->stream, 2, args})
                     : status);
}

/* The panel's n rows -> rows first ... first + n - 1 of the packed weights, which are whole blocks of them.
 */
static dnnl_status_t pack_rows(const panel *p, const ser_onednn_weights *w, const ser_nn_linear *l,
                               size_t first, size_t n)
{
    rows_order o = {{.engine = l->ops->engine_data}, p, w, l, first, n};
    int status =
        ser_onednn_has_room() ? ser_nn_try(pack_rows_now, &o, dnnl_out_of_memory) : (int)dnnl_out_of_memory;
    ser_onednn_makings_release(&o.made);
    return (dnnl_status_t)status;
}

static ser_status pack(ser_onednn_weights *p, const ser_nn_linear *l, const ser_tensor *w,
                       const float *scales, ser_error *err)
{
    panel rows;
    dnnl_status_t failed = panel_init(&rows, l, &p->md);
    ser_status status = SER_OK;
    for (size_t o = 0; o < l->n_out && status == SER_OK && failed == dnnl_success; o += rows.n_rows) {
        size_t n = l->n_out - o < rows.n_rows ? l->n_out - o : rows.n_rows;
        status = read_rows(&rows, l, w, scales, o, n, err);
        if (status == SER_OK)
            failed = pack_rows(&rows, p, l, o, n);
    }
    panel_release(&rows);
    return failed == dnnl_success ? status : ser_onednn_fail(err, failed);
}

typedef struct weights_order {
    ser_onednn_makings made;
    ser_onednn_weights *p;
    const ser_nn_linear *l;
} weights_order;

static int describe_now(void *context)
{
    weights_order *o = context;
    ser_onednn_weights *p = o->p;
    const ser_nn_linear *l = o->l;
    dnnl_memory_desc_t bias;
    dnnl_status_t status = choose_layout(&p->md, &o->made, l);
    if (status == dnnl_success && p->md.format_kind != dnnl_blocked)
        status = dnnl_unimplemented;
    if (status == dnnl_success)
        p->data = ser_alloc(dnnl_memory_desc_get_size(&p->md), 1);
    if (status == dnnl_success && !p->data)
        status = dnnl_out_of_memory;
    if (status == dnnl_success)
        status = dnnl_memory_create(&p->memory, &p->md, l->ops->engine_data, p->data);
    if (status == dnnl_success)
        status = ser_onednn_matrix(&bias, 1, l->n_out, l->n_out, 1, SER_F32);
    if (status == dnnl_success)
        status = dnnl_memory_create(&p->bias, &bias, l->ops->engine_data, l->bias);
    return (int)status;
}

/* Memory for the weights, and descriptions of them and of the bias. */
static dnnl_status_t describe(ser_onednn_weights *p, const ser_nn_linear *l)
{
    weights_order o = {{.engine = l->ops->engine_data}, p, l};
    int status =
        ser_onednn_has_room() ? ser_nn_try(describe_now, &o, dnnl_out_of_memory) : (int)dnnl_out_of_memory;
    ser_onednn_makings_release(&o.made);
    return (dnnl_status_t)status;
}

ser_status ser_onednn_linear_init(ser_nn_linear *l, const ser_tensor *w, const float *scales, ser_error *err)
{
    ser_onednn_weights *p = l->weights = ser_alloc(1, sizeof *p);
    if (!p)
        return ser_fail_nomem(err);
    int n_threads = omp_get_max_threads();
    omp_set_num_threads(1);
    dnnl_status_t failed = describe(p, l);
    ser_status status = failed == dnnl_success ? pack(p, l, w, scales, err) : ser_onednn_fail(err, failed);
    omp_set_num_threads(n_threads);
    return status;
}

void ser_onednn_linear_release(ser_nn_linear *l)
{
    ser_onednn_weights *p = l->weights;
    if (!p)
        return;
    dnnl_memory_destroy(p->memory);
    dnnl_memory_destroy(p->bias);
    ser_free(p->data);
    ser_free(p);
}
