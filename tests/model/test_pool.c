#include "base/memory.h"
#include "base/random.h"
#include "failures/failing.h"
#include "model/pool.h"
#include "test.h"

enum { N = 1500, DIMS = 21, STRIDE = 25 };

static float frames[N * STRIDE];

static void fill(void)
{
    ser_random r;
    ser_random_init(&r, 46);
    for (size_t t = 0; t < N; t++)
        for (size_t i = 0; i < STRIDE; i++)
            frames[t * STRIDE + i] =
                i >= DIMS ? 1e30f /* beyond the row: must not be read */
                : i == 2  ? 0.925f
                          : (float)(50.0 * (double)i + ser_random_normal(&r) * (double)(i + 1) / 9);
}

static void naive(float *pooled, size_t first, size_t n)
{
    for (size_t i = 0; i < DIMS; i++) {
        double mean = 0, squares = 0;
        for (size_t t = first; t < first + n; t++)
            mean += (double)frames[t * STRIDE + i] / (double)n;
        for (size_t t = first; t < first + n; t++)
            squares += pow((double)frames[t * STRIDE + i] - mean, 2) / (double)n;
        pooled[i] = (float)mean;
        pooled[DIMS + i] = i == 2 ? 0 : (float)sqrt(squares);
    }
}

/* Against two passes in double; blocks of any size give the same, and a constant has deviation 0, not its
 * rounding. */
static void test_values(void)
{
    ser_pool p;
    ser_error err = {0};
    float pooled[2 * DIMS], expected[2 * DIMS];
    CHECK_OK(ser_pool_init(&p, DIMS, &err), &err);
    for (size_t block = 1; block <= N; block = block * 3 + 1) {
        ser_pool_clear(&p);
        for (size_t t = 0; t < N; t += block)
            ser_pool_add(&p, frames + t * STRIDE, N - t < block ? N - t : block, STRIDE);
        ser_pool_finish(&p, pooled);
        naive(expected, 0, N);
        check_close("pooled", pooled, expected, 2 * DIMS, 1e-6, 0);
        CHECK(p.n_frames == N && pooled[DIMS + 2] == 0);
    }
    ser_pool_clear(&p);
    ser_pool_add(&p, frames, 1, STRIDE);
    ser_pool_finish(&p, pooled);
    naive(expected, 0, 1);
    check_close("one frame", pooled, expected, 2 * DIMS, 1e-6, 0);
    ser_pool_release(&p);
    ser_pool_release(&p);
}

static void test_merge(void)
{
    ser_pool a, b;
    ser_error err = {0};
    float pooled[2 * DIMS], expected[2 * DIMS];
    CHECK_OK(ser_pool_init(&a, DIMS, &err), &err);
    CHECK_OK(ser_pool_init(&b, DIMS, &err), &err);
    ser_pool_add(&a, frames, 1000, STRIDE);
    ser_pool_add(&b, frames + 1000 * STRIDE, 500, STRIDE);
    ser_pool_merge(&a, &b);
    ser_pool_finish(&a, pooled);
    naive(expected, 0, N);
    check_close("merged", pooled, expected, 2 * DIMS, 1e-6, 0);
    ser_pool_release(&a);
    ser_pool_release(&b);
    for (long at = 0; at < 2; at++) {
        failing_at(at);
        CHECK_FAILS(ser_pool_init(&a, DIMS, &err), SER_E_NOMEM, &err, "memory");
        CHECK(!a.sum && !a.sum_of_squares);
    }
}

int main(void)
{
    fill();
    test_values();
    test_merge();
    return test_summary();
}
