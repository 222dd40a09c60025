#include "base/memory.h"
#include "base/random.h"
#include "failures/failing.h"
#include "model/moments.h"
#include "test.h"

enum { N = 41, N_IN = 37 };

static float values[N][N_IN];
static const float *rows[N];

static void fill(void)
{
    ser_random r;
    ser_random_init(&r, 3);
    for (size_t i = 0; i < N; i++) {
        rows[i] = values[i];
        for (size_t j = 0; j < N_IN; j++)
            values[i][j] = (float)(10.0 * (double)j + ser_random_normal(&r) * pow(10, (double)(j % 7) - 3));
    }
}

static void test_values(void)
{
    float mean[N_IN], scale[N_IN], expected_mean[N_IN], expected_scale[N_IN];
    ser_error err = {0};
    for (size_t j = 0; j < N_IN; j++) {
        double sum = 0, squares = 0;
        for (size_t i = 0; i < N; i++)
            sum += (double)values[i][j] / N;
        for (size_t i = 0; i < N; i++)
            squares += pow((double)values[i][j] - sum, 2) / N;
        expected_mean[j] = (float)sum;
        expected_scale[j] = (float)(1 / sqrt(squares));
    }
    CHECK_OK(ser_standardise(mean, scale, rows, N, N_IN, &err), &err);
    check_close("mean", mean, expected_mean, N_IN, 1e-6, 1e-6);
    check_close("scale", scale, expected_scale, N_IN, 1e-5, 0);
}

/* A feature that is constant, or differs in the last bit only, is left out; tiny ones that do vary are not.
 */
static void test_constant(void)
{
    float mean[N_IN], scale[N_IN];
    ser_error err = {0};
    for (size_t i = 0; i < N; i++) {
        values[i][1] = 0.1f;
        values[i][2] = i % 2 ? 1000 : nextafterf(1000, 2000);
        values[i][3] = 1e-20f * (float)i;
        values[i][4] = 0;
    }
    CHECK_OK(ser_standardise(mean, scale, rows, N, N_IN, &err), &err);
    CHECK(scale[1] == 0 && scale[2] == 0 && scale[4] == 0);
    CHECK(scale[3] > 1e18f && isfinite(scale[3]) && scale[5] > 0);
    CHECK_OK(ser_standardise(mean, scale, rows, 1, N_IN, &err), &err);
    for (size_t j = 0; j < N_IN; j++)
        CHECK(scale[j] == 0 && mean[j] == values[0][j]);
}

static void test_bad_input(void)
{
    float mean[N_IN], scale[N_IN];
    ser_error err = {0};
    CHECK_FAILS(ser_standardise(mean, scale, rows, 0, N_IN, &err), SER_E_ARG, &err, "no recordings");
    const float bad[] = {NAN, INFINITY, -INFINITY};
    for (size_t k = 0; k < 3; k++) {
        float kept = values[17][9];
        values[17][9] = bad[k];
        CHECK_FAILS(ser_standardise(mean, scale, rows, N, N_IN, &err), SER_E_FORMAT, &err,
                    "feature 9 of row 17");
        values[17][9] = kept;
    }
    failing_at(0);
    CHECK_FAILS(ser_standardise(mean, scale, rows, N, N_IN, &err), SER_E_NOMEM, &err, "memory");
    CHECK_OK(ser_standardise(mean, scale, rows, N, N_IN, &err), &err);
}

int main(void)
{
    fill();
    test_values();
    test_constant();
    test_bad_input();
    return test_summary();
}
