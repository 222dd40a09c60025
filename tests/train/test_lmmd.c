#include "base/memory.h"
#include "failures/failing.h"
#include "golden_numbers.h"
#include "test.h"
#include "train/lmmd.h"

#include <string.h>

enum { MAX_N = 32, MAX_DIMS = 48, MAX_LABELS = 8 };

/* PyTorch's loss and gradients: to 1e-5 of their size. */
static void test_golden(void)
{
    FILE *f = golden_open("train/lmmd.txt");
    ser_error err = {0};
    ser_lmmd l;
    CHECK_OK(ser_lmmd_init(&l, MAX_N, MAX_LABELS, &err), &err);
    for (int k = 0; k < 3; k++) {
        static float x[MAX_N * MAX_DIMS], membership[MAX_N * MAX_LABELS], expected[MAX_N * MAX_DIMS],
            dx[MAX_N * MAX_DIMS];
        ser_lmmd_batch b = {.x = x, .membership = membership};
        b.n_source = (size_t)golden_next(f);
        b.n_target = (size_t)golden_next(f);
        b.dims = (size_t)golden_next(f);
        b.n_labels = (size_t)golden_next(f);
        size_t n = b.n_source + b.n_target;
        golden_floats(f, x, n * b.dims);
        golden_floats(f, membership, n * b.n_labels);
        double loss = golden_next(f), largest = 0;
        golden_floats(f, expected, n * b.dims);
        for (size_t i = 0; i < n * b.dims; i++) {
            dx[i] = 1; /* added to */
            largest = fmax(largest, fabs((double)expected[i]));
        }
        CHECK(fabs(ser_lmmd_compute(&l, dx, &b, 3) - loss) < 1e-5 * loss);
        for (size_t i = 0; i < n * b.dims; i++)
            CHECK(fabs((double)dx[i] - 1 - 3 * (double)expected[i]) < 1e-5 * fmax(largest, 0.1));
        CHECK(fabs(ser_lmmd_compute(&l, NULL, &b, 3) - loss) < 1e-5 * loss);
    }
    ser_lmmd_release(&l);
    fclose(f);
}

static void test_edges(void)
{
    ser_error err = {0};
    ser_lmmd l;
    const float x[6] = {1, 2, 1, 2, 1, 2}, membership[6] = {1, 0, 0, 1, 0.5f, 0.5f},
                apart[6] = {0, 0, 0, 0, 9, 9};
    float dx[6] = {0};
    ser_lmmd_batch same = {
        .x = x, .membership = membership, .n_source = 2, .n_target = 1, .dims = 2, .n_labels = 2};
    CHECK_OK(ser_lmmd_init(&l, 3, 2, &err), &err);
    CHECK(ser_lmmd_compute(&l, dx, &same, 1) == 0);
    for (int i = 0; i < 6; i++)
        CHECK(dx[i] == 0);
    ser_lmmd_batch far = same;
    far.x = apart;
    CHECK(ser_lmmd_compute(&l, dx, &far, 1) > 0.5);
    CHECK(dx[4] > 0 && dx[0] < 0); /* going down the gradient brings them together */
    far.n_target = 0;
    CHECK(ser_lmmd_compute(&l, dx, &far, 1) == 0);
    ser_lmmd_release(&l);
    for (long i = 0; i < 2; i++) {
        failing_at(i);
        CHECK(ser_lmmd_init(&l, 3, 2, &err) == SER_E_NOMEM && !l.distances && !l.weights);
    }
    failing_at(-1);
    CHECK(ser_lmmd_init(&l, (size_t)-1 / 2, 2, &err) == SER_E_NOMEM);
    CHECK(ser_lmmd_schedule(0, 10) == 0 && fabs(ser_lmmd_schedule(5, 10) - 0.986614) < 1e-6);
}

int main(void)
{
    test_golden();
    test_edges();
    return test_summary();
}
