/* The engine of oneDNN's products. */
#include "nn/ops_onednn.h"
#include "base/cpu.h"
#include "nn/layers.h"
#include "nn/thrown.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>

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

/* ONEDNN_MAX_CPU_ISA is in it: a text, for which there may be no memory. */
static int ask_isa(void *isa)
{
    limit_processor();
    *(dnnl_cpu_isa_t *)isa = dnnl_get_effective_cpu_isa();
    return dnnl_success;
}

static int make_engine(void *engine)
{
    return (int)dnnl_engine_create(engine, dnnl_cpu, 0);
}

/* 8 bits: with AMX alone, whose products of bytes are none of oneDNN's (ops_amx.c). */
static ser_status onednn_ops_init(ser_nn_ops *ops, ser_precision wanted, ser_error *err)
{
    dnnl_cpu_isa_t isa;
    if (ser_nn_try(ask_isa, &isa, dnnl_out_of_memory) != dnnl_success)
        return ser_onednn_fail(err, dnnl_out_of_memory);
    unsigned cpu = ser_cpu();
    bool has_bf16 =
        cpu & SER_CPU_AVX512BF16 && (isa & dnnl_cpu_isa_avx512_core_bf16) == dnnl_cpu_isa_avx512_core_bf16;
    if (wanted == SER_PRECISION_BF16 && !has_bf16)
        return ser_fail(err, SER_E_UNSUPPORTED,
                        "this processor cannot compute in bf16: choose --precision auto or fp32");
    if (wanted == SER_PRECISION_AUTO)
        wanted = has_bf16 ? SER_PRECISION_BF16 : SER_PRECISION_FP32;
    ops->precision = wanted;
    ops->type =
        wanted == SER_PRECISION_BF16 || (wanted == SER_PRECISION_INT8 && has_bf16) ? SER_BF16 : SER_F32;
    dnnl_engine_t engine = NULL;
    int status = ser_onednn_has_room() ? ser_nn_try(make_engine, &engine, dnnl_out_of_memory)
                                       : (int)dnnl_out_of_memory;
    if (status != dnnl_success)
        return ser_onednn_fail(err, (dnnl_status_t)status);
    ops->engine_data = engine;
    return SER_OK;
}

static void onednn_ops_release(ser_nn_ops *ops)
{
    dnnl_engine_destroy(ops->engine_data);
}

/* x (n_rows, n) in the products' type, one row behind the other. */
static const void *contiguous(ser_nn_work *work, const void *x, ser_dtype x_type, size_t x_row, size_t n_rows,
                              size_t n)
{
    ser_dtype type = work->ops->type;
    size_t x_size = ser_dtype_size(x_type), size = ser_dtype_size(type);
    if (x_type == type && x_row == n)
        return x;
    unsigned char *rows =
        ser_nn_buffer_reserve(&work->engine_slots[SER_ONEDNN_CONVERTED_SLOT], n_rows * n * size);
    for (size_t t = 0; rows && t < n_rows; t++) {
        const unsigned char *from = (const unsigned char *)x + t * x_row * x_size;
        if (x_type == type)
            memcpy(rows + t * n * size, from, n * size);
        else
            ser_nn_to_bf16((uint16_t *)(void *)(rows + t * n * size), (const float *)(const void *)from, n);
    }
    return rows;
}

static ser_status forward_piece(const ser_nn_linear *l, ser_nn_work *work, void *y, ser_dtype y_type,
                                const void *x, ser_dtype x_type, size_t x_row, size_t n_rows, bool add,
                                ser_error *err)
{
    const ser_onednn_weights *p = l->weights;
    ser_onednn_product key = {.n_batch = 1, .m = n_rows, .n = l->n_out, .k = l->n_in};
    key.flags = (size_t)SER_ONEDNN_LINEAR | (l->act == SER_ACT_GELU ? SER_ONEDNN_GELU : 0) |
                (add ? SER_ONEDNN_ADD : 0);
    key.a_type = work->ops->type;
    key.c_type = y_type;
    ser_onednn_item *item;
    ser_status status = ser_onednn_find(&item, work, &key, &p->md, err);
    if (status != SER_OK)
        return status;
    const void *a = contiguous(work, x, x_type, x_row, n_rows, l->n_in);
    return a ? ser_onednn_run(item, work, y, a, p->memory, p->bias, err) : ser_fail_nomem(err);
}

static ser_status onednn_linear_forward(const ser_nn_linear *l, ser_nn_work *work, void *y, ser_dtype y_type,
                                        const void *x, ser_dtype x_type, size_t x_row, size_t n_rows,
                                        bool add, ser_error *err)
{
    ser_status status = SER_OK;
    size_t x_bytes = x_row * ser_dtype_size(x_type), y_row = l->n_out * ser_dtype_size(y_type);
    int n_threads = omp_get_max_threads();
    omp_set_num_threads(1);
    for (size_t t = 0; t < n_rows && status == SER_OK; t += SER_NN_PIECE) {
        size_t n = n_rows - t < SER_NN_PIECE ? n_rows - t : SER_NN_PIECE;
        status = forward_piece(l, work, (unsigned char *)y + t * y_row, y_type,
                               (const unsigned char *)x + t * x_bytes, x_type, x_row, n, add, err);
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

/* The AVX-512 code of this product keeps data below the end of the stack, where the kernel writes what a
 * signal's handler needs (oneDNN 2.6; ser's own handlers are not all: Python has one, as other hosts have).
 * What comes of the processor itself cannot wait. */
static void hold_signals(sigset_t *before)
{
    static const int own[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGABRT};
    sigset_t held;
    sigfillset(&held);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        sigdelset(&held, own[i]);
    pthread_sigmask(SIG_BLOCK, &held, before);
}

static ser_status gemm_f32(ser_nn_work *work, float *c, const float *a, const float *b, const ser_gemm *g,
                           ser_error *err)
{
    gemm_order o = {c, a, b, g};
    ser_onednn_kept *kept = work->engine_data;
    if (!(kept->gemms & gemm_kind(g)) && !ser_onednn_has_room())
        return ser_fail_nomem(err);
    sigset_t before;
    bool held = ser_cpu() & SER_CPU_AVX512;
    if (held)
        hold_signals(&before);
    int status = ser_nn_try(gemm_f32_now, &o, dnnl_out_of_memory);
    if (held)
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (status == dnnl_success)
        kept->gemms |= gemm_kind(g);
    return status == dnnl_success ? SER_OK : ser_onednn_fail(err, (dnnl_status_t)status);
}

/* Only fp32 has a product without a primitive. */
static ser_status gemm_bf16(ser_nn_work *work, float *c, const void *a, const void *b, const ser_gemm *g,
                            ser_error *err)
{
    ser_onednn_product key = {.n_batch = g->n_batch, .m = g->m, .n = g->n, .k = g->k};
    key.lda = g->lda, key.ldb = g->ldb, key.ldc = g->ldc;
    if (g->n_batch > 1)
        key.stride_a = g->stride_a, key.stride_b = g->stride_b, key.stride_c = g->stride_c;
    key.flags = (size_t)(g->a_transposed ? SER_ONEDNN_A_TRANSPOSED : 0) |
                (g->b_transposed ? SER_ONEDNN_B_TRANSPOSED : 0) | (g->beta != 0 ? SER_ONEDNN_ADD : 0);
    key.a_type = SER_BF16;
    key.c_type = SER_F32;
    dnnl_memory_desc_t b_md;
    dnnl_status_t status =
        ser_onednn_matrices(&b_md, g->n_batch, g->stride_b, g->k, g->n, g->ldb, g->b_transposed, SER_BF16);
    if (status != dnnl_success)
        return ser_onednn_fail(err, status);
    ser_onednn_item *item;
    ser_status found = ser_onednn_find(&item, work, &key, &b_md, err);
    if (found != SER_OK)
        return found;
    status = dnnl_memory_set_data_handle(item->b, (void *)b);
    return status == dnnl_success ? ser_onednn_run(item, work, c, a, item->b, NULL, err)
                                  : ser_onednn_fail(err, status);
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
    .work_init = ser_onednn_work_init,
    .work_release = ser_onednn_work_release,
    .work_reserve = ser_onednn_work_reserve,
    .linear_init = ser_onednn_linear_init,
    .linear_release = ser_onednn_linear_release,
    .linear_forward = onednn_linear_forward,
    .gemm = onednn_gemm,
};
