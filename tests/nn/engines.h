/* What the tests of products and layers share. */
#ifndef SER_TESTS_NN_ENGINES_H
#define SER_TESTS_NN_ENGINES_H

#include "base/memory.h"
#include "base/random.h"
#include "nn/layers.h"
#include "test.h"

enum { GUARD = 16 };
static const float guard_value = 12345;

/* Where other threads or rows may show: 1e-6 of the magnitudes that are added up, which are 5 or more here. A
 * linear layer's difference is 0 with AVX-512; other kernels order the additions by the size of the product.
 */
static const double same = 5e-6;

static const size_t lengths[] = {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 100, 185, 256, 257, 300};
enum { N_LENGTHS = sizeof lengths / sizeof *lengths };

/* n random floats and a guard behind them. */
static inline float *random_floats(size_t n, double deviation, uint64_t seed)
{
    ser_random r;
    ser_random_init(&r, seed);
    float *x = ser_alloc(n + GUARD, sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(deviation * ser_random_normal(&r));
    for (size_t i = n; i < n + GUARD; i++)
        x[i] = guard_value;
    return x;
}

static inline void check_guard(const float *x, size_t n)
{
    bool whole = true;
    for (size_t i = n; i < n + GUARD; i++)
        whole = whole && x[i] == guard_value;
    CHECK(whole);
}

static inline float from_bf16(uint16_t h)
{
    uint32_t bits = (uint32_t)h << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* As products in bf16 read their input. */
static inline void round_to_bf16(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint16_t h;
        ser_nn_to_bf16(&h, x + i, 1);
        x[i] = from_bf16(h);
    }
}

static inline void widen(float *y, const void *x, ser_dtype type, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint16_t h;
        memcpy(&h, (const unsigned char *)x + 2 * i, 2);
        y[i] = type == SER_BF16 ? from_bf16(h) : ((const float *)x)[i];
    }
}

static inline ser_tensor tensor_of(const float *w, size_t n_out, size_t n_in)
{
    return (ser_tensor){.name = "w",
                        .dtype = SER_F32,
                        .n_dims = 2,
                        .dims = {n_out, n_in},
                        .n_elements = n_out * n_in,
                        .data = w,
                        .n_bytes = n_out * n_in * sizeof *w};
}

typedef struct engine {
    const char *name;
    ser_nn_ops *ops;
    ser_nn_work *work, *work_of_two;
} engine;

static inline bool engine_init(engine *e, const char *name, ser_engine kind, ser_precision precision)
{
    ser_error err = {0};
    *e = (engine){.name = name};
    if (ser_nn_ops_new(&e->ops, kind, precision, &err) == SER_E_UNSUPPORTED)
        return false; /* bf16 on an older processor */
    CHECK_OK(ser_nn_work_new(&e->work, e->ops, 1, &err), &err);
    CHECK_OK(ser_nn_work_new(&e->work_of_two, e->ops, 2, &err), &err);
    return true;
}

static inline void engine_release(engine *e)
{
    ser_nn_work_free(&e->work);
    ser_nn_work_free(&e->work_of_two);
    ser_nn_ops_free(&e->ops);
}

static inline double gelu(double x)
{
    return 0.5 * x * (1 + erf(x * sqrt(0.5)));
}

/* Calls check with each engine and precision that this processor has. */
static inline void with_each_engine(void (*check)(const engine *e))
{
    static const struct {
        const char *name;
        ser_engine kind;
        ser_precision precision;
    } engines[] = {{"ref", SER_ENGINE_REF, SER_PRECISION_FP32},
                   {"onednn fp32", SER_ENGINE_ONEDNN, SER_PRECISION_FP32},
                   {"onednn bf16", SER_ENGINE_ONEDNN, SER_PRECISION_BF16}};
    for (size_t i = 0; i < sizeof engines / sizeof *engines; i++) {
        engine e;
        if (!engine_init(&e, engines[i].name, engines[i].kind, engines[i].precision))
            continue;
        CHECK(ser_nn_ops_precision(e.ops) == engines[i].precision);
        check(&e);
        engine_release(&e);
    }
}

#endif
