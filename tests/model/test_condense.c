#include "model/condense.h"
#include "test.h"

#include <string.h>

enum { N = 20, DIMS = 2 };

static float x[N * DIMS], y[N * DIMS];
static unsigned char active[N];
static const ser_frames all = {.x = x, .active = active, .n = N};

static void fill(size_t first_active, size_t end_active)
{
    for (size_t t = 0; t < N; t++) {
        x[t * DIMS] = (float)t;
        x[t * DIMS + 1] = -(float)(t * t);
        active[t] = t >= first_active && t < end_active;
    }
}

static void test_nothing_to_do(void)
{
    fill(5, 6);
    CHECK(ser_condense_frames(y, &(ser_condense){0}, &all, DIMS) == N && memcmp(x, y, sizeof x) == 0);
    CHECK(ser_condense_frames(y, &(ser_condense){.n_averaged = 1}, &all, DIMS) == N &&
          memcmp(x, y, sizeof x) == 0);
}

static void test_averages(void)
{
    fill(0, N);
    CHECK(ser_condense_frames(y, &(ser_condense){.n_averaged = 8}, &all, DIMS) == 3);
    CHECK(y[0] == 3.5f && y[2] == 11.5f && y[4] == 17.5f); /* the last of four frames alone */
    CHECK(y[1] == -(1 + 4 + 9 + 16 + 25 + 36 + 49) / 8.0f);
    CHECK(ser_condense_frames(y, &(ser_condense){.n_averaged = 64}, &all, DIMS) == 1 && y[0] == 9.5f);
    memcpy(y, x, sizeof x); /* in place */
    const ser_frames own = {.x = y, .active = active, .n = N};
    CHECK(ser_condense_frames(y, &(ser_condense){.n_averaged = 8}, &own, DIMS) == 3 && y[4] == 17.5f);
}

static void test_trims(void)
{
    const ser_condense trim = {.trim = true};
    fill(7, 10);
    CHECK(ser_condense_frames(y, &trim, &all, DIMS) == 11 && y[0] == 3 && y[10 * DIMS] == 13);
    fill(2, 19);
    CHECK(ser_condense_frames(y, &trim, &all, DIMS) == N && y[0] == 0);
    fill(0, 0); /* nothing is active */
    CHECK(ser_condense_frames(y, &trim, &all, DIMS) == N);
    fill(7, 10);
    CHECK(ser_condense_frames(y, &(ser_condense){.n_averaged = 4, .trim = true}, &all, DIMS) == 3 &&
          y[0] == 4.5f && y[4] == 12);
}

int main(void)
{
    test_nothing_to_do();
    test_averages();
    test_trims();
    return test_summary();
}
