/* What ops.c shares with the engines behind the seam; nobody else includes this. */
#ifndef SER_NN_ENGINE_H
#define SER_NN_ENGINE_H

#include "nn/ops.h"

/* An engine. _init may leave things half-built when it fails: the matching _release is called in any case. */
typedef struct ser_nn_engine {
    bool overlaps; /* reads rows that overlap where they lie */
    /* Sets precision and type. */
    ser_status (*ops_init)(ser_nn_ops *ops, ser_precision wanted, ser_error *err);
    void (*ops_release)(ser_nn_ops *ops);
    ser_status (*work_init)(ser_nn_work *work, ser_error *err);
    void (*work_release)(ser_nn_work *work);
    /* Sizes, activation and bias are there already. */
    ser_status (*linear_init)(ser_nn_linear *l, const ser_tensor *w, const float *scales, ser_error *err);
    void (*linear_release)(ser_nn_linear *l);
    /* Memory for what is compiled for n_shapes shapes; what was there is lost. */
    ser_status (*work_reserve)(ser_nn_work *work, size_t n_shapes, ser_error *err);
    /* Both use one thread. Rows of x are x_row elements apart, and may overlap. */
    ser_status (*linear_forward)(const ser_nn_linear *l, ser_nn_work *work, void *y, ser_dtype y_type,
                                 const void *x, ser_dtype x_type, size_t x_row, size_t n_rows, bool add,
                                 ser_error *err);
    ser_status (*gemm)(ser_nn_work *work, float *c, const void *a, const void *b, const ser_gemm *g,
                       ser_error *err);
} ser_nn_engine;

/* That of ser_nn_engine_packed, for floats; it takes work's first engine slot. */
ser_status ser_packed_gemm(ser_nn_work *work, float *c, const void *a, const void *b, const ser_gemm *g,
                           ser_error *err);

extern const ser_nn_engine ser_nn_engine_ref, ser_nn_engine_onednn, ser_nn_engine_packed, ser_nn_engine_amx;

struct ser_nn_ops {
    const ser_nn_engine *engine;
    ser_precision precision;
    ser_dtype type;
    void *engine_data;
};

struct ser_nn_linear {
    const ser_nn_ops *ops;
    size_t n_out, n_in;
    ser_activation act;
    bool exact;    /* never in 8 bits */
    float *bias;   /* n_out; zeros where there is none */
    void *weights; /* in the engine's form */
};

typedef struct ser_nn_buffer {
    void *data;
    size_t n_bytes;
} ser_nn_buffer;

typedef struct ser_nn_pool ser_nn_pool; /* the threads of a work, and a work of one thread for each */

struct ser_nn_work {
    const ser_nn_ops *ops;
    int n_threads;
    ser_nn_pool *pool; /* NULL with one thread */
    ser_nn_buffer slots[SER_NN_SLOTS];
    ser_nn_buffer engine_slots[2]; /* the engine's own */
    void *engine_data;
};

ser_status ser_nn_pool_new(ser_nn_pool **out, const ser_nn_ops *ops, int n_threads, ser_error *err);
void ser_nn_pool_free(ser_nn_pool **pool);
ser_nn_work *ser_nn_pool_work(const ser_nn_pool *pool, int thread);

/* At least n_bytes; what was there is lost. NULL: out of memory. */
void *ser_nn_buffer_reserve(ser_nn_buffer *b, size_t n_bytes);

/* Row i of the weights w (n_out, n_in) as floats, times its scale. */
ser_status ser_nn_weight_row(float *row, const ser_tensor *w, const float *scales, size_t i, size_t n_in,
                             ser_error *err);
/* The same in bf16: y (n_in). row (n_in): to work in. */
ser_status ser_nn_weight_row_bf16(uint16_t *y, float *row, const ser_tensor *w, const float *scales, size_t i,
                                  size_t n_in, ser_error *err);

#endif
