/* The seam between the numerics and the rest: matrix products, by plain C (ops_ref.c), by oneDNN
 * (ops_onednn.c) or, where that is asked for, by own kernels: on processors with AMX (ops_amx.c) and on those
 * without AVX-512 (ops_packed.c).
 * Layers include this header and no engine's. Results depend neither on the number of threads nor on how many
 * rows are computed together (fp32: to 1e-6 of the magnitudes that are added up). */
#ifndef SER_NN_OPS_H
#define SER_NN_OPS_H

#include "base/status.h"
#include "io/safetensors.h"
#include <stdbool.h>

typedef struct ser_nn_ops ser_nn_ops;       /* an engine: read-only, shared */
typedef struct ser_nn_linear ser_nn_linear; /* packed weights of one linear layer: read-only, shared */
typedef struct ser_nn_work ser_nn_work;     /* scratch memory and cached primitives: belongs to one thread */

typedef enum ser_activation { SER_ACT_NONE, SER_ACT_GELU /* with erf; in 8 bits, near it */ } ser_activation;

/* SER_E_UNSUPPORTED: the engine or this processor cannot compute in this precision; SER_E_ARG: SER_MAX_ISA is
 * no word that base/cpu.h knows. */
ser_status ser_nn_ops_new(ser_nn_ops **out, ser_engine engine, ser_precision precision, ser_error *err);
void ser_nn_ops_free(ser_nn_ops **ops);
/* What AUTO became on this processor. */
ser_precision ser_nn_ops_precision(const ser_nn_ops *ops);
/* What products read fastest, so what layers should hand from one to the next: SER_BF16 in that precision,
 * else SER_F32. Below, "activations" are of this type or SER_F32. */
ser_dtype ser_nn_ops_type(const ser_nn_ops *ops);

/* n_threads: how many threads each call may use (1 where many recordings run side by side; 0: all cores).
 * They live as long as the work, asleep while there is nothing to do. ops must outlive *out. */
ser_status ser_nn_work_new(ser_nn_work **out, const ser_nn_ops *ops, int n_threads, ser_error *err);
void ser_nn_work_free(ser_nn_work **work);
ser_dtype ser_nn_work_type(const ser_nn_work *work); /* ser_nn_ops_type of its engine */
/* For callers whose products have many shapes and come again: what is compiled for each is kept for so many,
 * or 64; with AMX, nothing is compiled for anybody else. */
ser_status ser_nn_work_keep_shapes(ser_nn_work *work, size_t n_shapes, ser_error *err);

/* Weights of y = act(x w^T + bias): w (n_out, n_in) as in the checkpoint (F32, F16, BF16, or I8 with one
 * scale per row in scales, else NULL); bias (n_out) floats or NULL. Copies what it needs. */
ser_status ser_nn_linear_new(ser_nn_linear **out, const ser_nn_ops *ops, const ser_tensor *w,
                             const float *scales, const float *bias, size_t n_out, size_t n_in,
                             ser_activation act, ser_error *err);
/* The same, but never in 8 bits: for layers that suffer most from it. */
ser_status ser_nn_linear_new_exact(ser_nn_linear **out, const ser_nn_ops *ops, const ser_tensor *w,
                                   const float *scales, const float *bias, size_t n_out, size_t n_in,
                                   ser_activation act, ser_error *err);
void ser_nn_linear_free(ser_nn_linear **l);

/* x (n_rows, n_in) -> y (n_rows, n_out), activations of the types x_type and y_type, contiguous; add: y +=
 * instead of y = (act NONE and an fp32 y only). With oneDNN, the first call with a new n_rows (up to
 * SER_NN_PIECE, longer inputs go in pieces) costs half a millisecond and 0.1 MB, so callers with any number
 * of rows do well to round it up. */
ser_status ser_nn_linear_forward(const ser_nn_linear *l, ser_nn_work *work, void *y, ser_dtype y_type,
                                 const void *x, ser_dtype x_type, size_t n_rows, bool add, ser_error *err);
/* The same where rows of x lie x_row elements apart, which may be fewer than they have. */
ser_status ser_nn_linear_forward_rows(const ser_nn_linear *l, ser_nn_work *work, void *y, ser_dtype y_type,
                                      const void *x, ser_dtype x_type, size_t x_row, size_t n_rows, bool add,
                                      ser_error *err);
/* Whether rows that overlap cost no more than others: a few rows of long sums, such as those of convolutions,
 * are then as cheap as what they are made of. */
bool ser_nn_ops_overlap(const ser_nn_ops *ops);
/* ser_nn_linear_forward with fp32 on both sides. */
ser_status ser_nn_linear_run(const ser_nn_linear *l, ser_nn_work *work, float *y, const float *x,
                             size_t n_rows, bool add, ser_error *err);

enum { SER_NN_PIECE = 256 };

static inline size_t ser_nn_round_rows(size_t n_rows)
{
    return (n_rows + 3) / 4 * 4;
}

/* n_batch products C = A B (or A B^T): A (m, k) with row stride lda, and so on, counted in elements; stride_x
 * from one product to the next. A and B are activations of ab_type, C is fp32. */
typedef struct ser_gemm {
    size_t n_batch, m, n, k;
    size_t lda, ldb, ldc;
    size_t stride_a, stride_b, stride_c;
    bool a_transposed; /* A is stored (k, m) */
    bool b_transposed; /* B is stored (n, k) */
    float beta;        /* 0 or 1: C = A B + beta C */
    ser_dtype ab_type; /* a zeroed struct says SER_F32 */
} ser_gemm;
ser_status ser_nn_gemm(ser_nn_work *work, float *c, const void *a, const void *b, const ser_gemm *g,
                       ser_error *err);

/* n_bytes of memory that stay until the next call with this slot; NULL: out of memory. Layers use the slots
 * below SER_NN_FREE_SLOT, their callers the others. */
enum { SER_NN_FREE_SLOT = 2, SER_NN_SLOTS = 3 };
void *ser_nn_scratch(ser_nn_work *work, int slot, size_t n_bytes);

int ser_nn_n_threads(const ser_nn_work *work);

/* Calls task for items 0 ... n_items-1 on the work's threads, each with a work of its own for one thread;
 * with one thread or item, with work itself. After a failure no further item is started; that of the lowest
 * item is returned. Waits for nobody who has no item, so that a busy machine does no more harm than it must.
 */
typedef ser_status (*ser_nn_task)(void *context, size_t item, ser_nn_work *work, ser_error *err);
ser_status ser_nn_parallel_for(ser_nn_work *work, size_t n_items, ser_nn_task task, void *context,
                               ser_error *err);

#endif
