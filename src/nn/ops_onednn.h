/* What the parts of the oneDNN engine share; nobody else includes this. oneDNN
 * (https://oneapi-src.github.io/oneDNN/v2.6), by its C interface. */
#ifndef SER_NN_OPS_ONEDNN_H
#define SER_NN_OPS_ONEDNN_H

#include "nn/engine.h"

#include <oneapi/dnnl/dnnl.h>

/* Debian's oneDNN computes with libgomp's threads, as many as this setting of the calling thread says: here
 * always one, because those threads spin while they wait, which is slow where they have to share the cores.
 * omp.h comes with the compiler, and not with every clang. */
int omp_get_max_threads(void);
void omp_set_num_threads(int n_threads);

enum { SER_ONEDNN_CONVERTED_SLOT = 0, SER_ONEDNN_SCRATCHPAD_SLOT = 1 };

typedef struct ser_onednn_weights {
    dnnl_memory_desc_t md;
    void *data;
    dnnl_memory_t memory, bias; /* only read, so that threads may share them */
} ser_onednn_weights;

/* What a primitive was made for. */
typedef struct ser_onednn_product {
    size_t n_batch, m, n, k;
    size_t lda, ldb, ldc, stride_a, stride_b, stride_c; /* a linear layer's rows are contiguous: 0 */
    size_t flags, a_type, c_type;
} ser_onednn_product;

enum {
    SER_ONEDNN_LINEAR = 1,
    SER_ONEDNN_GELU = 2,
    SER_ONEDNN_ADD = 4,
    SER_ONEDNN_A_TRANSPOSED = 8,
    SER_ONEDNN_B_TRANSPOSED = 16
};

typedef struct ser_onednn_item {
    ser_onednn_product key;
    uint64_t last_used; /* 0: empty */
    dnnl_primitive_t primitive;
    dnnl_memory_t a, b, c, scratchpad; /* descriptions; the addresses are set at each run */
    size_t n_scratchpad;
    bool has_run; /* some code is compiled only then */
} ser_onednn_item;

typedef struct ser_onednn_kept {
    dnnl_stream_t stream;
    uint64_t clock;
    unsigned gemms; /* bit i: one of kind i has run, see gemm_kind */
    size_t n_items; /* a multiple of N_WAYS */
    ser_onednn_item *items;
} ser_onednn_kept;

ser_status ser_onednn_fail(ser_error *err, dnnl_status_t status);

/* ---- calls that may throw: ser_nn_try ---- */

/* Where oneDNN gets no memory for the code that it compiles it goes on without, and crashes. So, before it
 * compiles something: whether there would be as much as it takes for all kernels of a kind. */
bool ser_onednn_has_room(void);
dnnl_status_t ser_onednn_stream(dnnl_stream_t *stream, dnnl_engine_t engine);

typedef struct ser_onednn_execution {
    dnnl_primitive_t primitive;
    dnnl_stream_t stream;
    int n_args;
    const dnnl_exec_arg_t *args;
} ser_onednn_execution;
dnnl_status_t ser_onednn_execute(ser_onednn_execution e);

/* ---- descriptions ---- */

/* A description of a matrix (n_rows, n_columns) whose neighbours lie strides apart. */
dnnl_status_t ser_onednn_matrix(dnnl_memory_desc_t *md, size_t n_rows, size_t n_columns, size_t row_stride,
                                size_t column_stride, ser_dtype type);
/* Of n_batch such matrices, which lie stride apart and have rows ld apart, or columns where turned. */
dnnl_status_t ser_onednn_matrices(dnnl_memory_desc_t *md, size_t n_batch, size_t stride, size_t n_rows,
                                  size_t n_columns, size_t ld, bool turned, ser_dtype type);

/* What primitives are made of, and released when they are there. */
typedef struct ser_onednn_makings {
    dnnl_engine_t engine;
    dnnl_post_ops_t after;
    dnnl_primitive_attr_t attr;
    dnnl_primitive_desc_t pd;
    dnnl_memory_t from, to;
    dnnl_primitive_t primitive;
} ser_onednn_makings;
void ser_onednn_makings_release(ser_onednn_makings *m);
/* m->pd: c (m, n) = a (m, k) b (k, n) and what the flags say. b NULL: packed as the kernels like it best. */
dnnl_status_t ser_onednn_describe_product(ser_onednn_makings *m, const ser_onednn_product *key,
                                          const dnnl_memory_desc_t *b);

/* ---- primitives, kept in the work ---- */

ser_status ser_onednn_work_init(ser_nn_work *work, ser_error *err);
void ser_onednn_work_release(ser_nn_work *work);
ser_status ser_onednn_work_reserve(ser_nn_work *work, size_t n_shapes, ser_error *err);

/* The cached primitive for key, made where it is missing in place of the one that was idle for longest. */
ser_status ser_onednn_find(ser_onednn_item **out, ser_nn_work *work, const ser_onednn_product *key,
                           const dnnl_memory_desc_t *b, ser_error *err);
/* a stays as it is, whatever oneDNN's types say. */
ser_status ser_onednn_run(ser_onednn_item *item, ser_nn_work *work, void *c, const void *a, dnnl_memory_t b,
                          dnnl_memory_t bias, ser_error *err);

/* ---- weights ---- */

ser_status ser_onednn_linear_init(ser_nn_linear *l, const ser_tensor *w, const float *scales, ser_error *err);
void ser_onednn_linear_release(ser_nn_linear *l);

#endif
