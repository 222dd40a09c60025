#include "failures/failing.h"
#include "model/unlike.h"
#include "test.h"

#include <math.h>

/* Of numpy:
 *   i = np.arange(1000); x = np.sin(i).astype("f4") * 3; m = np.cos(2 * i).astype("f4")
 *   s = np.where(i % 7 == 3, 0, 1 + np.sin(3 * i) ** 2).astype("f4")
 *   np.abs(((x - m) * s).astype("f8"))[s != 0].mean() */
static void test_distance(void)
{
    enum { N = 1000 };
    static const double expected = 2.999722691134375;
    float x[N];
    ser_unlike u;
    CHECK_OK(ser_unlike_init(&u, N, NULL), &(ser_error){0});
    for (int i = 0; i < N; i++) {
        x[i] = (float)sin(i) * 3;
        u.mean[i] = (float)cos(2 * i);
        u.scale[i] = i % 7 == 3 ? 0 : (float)(1 + sin(3 * i) * sin(3 * i));
    }
    CHECK(fabs(ser_unlike_distance(&u, x) - expected) < 1e-6);
    x[3] = 1e30f; /* not read */
    CHECK(fabs(ser_unlike_distance(&u, x) - expected) < 1e-6);
    for (int i = 0; i < N; i++)
        u.scale[i] = 0;
    CHECK(ser_unlike_distance(&u, x) == 0);
    CHECK(ser_unlike_times(&u, x) == 0);
    x[0] = u.mean[0] + 1;
    u.reach = SER_UNLIKE_LEAST_REACH; /* of a hostile file, as is the rest */
    u.scale[0] = 1e30f;
    CHECK(ser_unlike_times(&u, x) == 1e30f && isfinite(ser_unlike_factor(ser_unlike_times(&u, x))));
    ser_unlike_release(&u);
    CHECK(ser_unlike_times(&u, x) == 0); /* it is not measured */
    failing_at(1);
    CHECK(ser_unlike_init(&u, N, NULL) == SER_E_NOMEM && !u.mean && !u.n_in);
    failing_at(-1);
}

static void test_evening_out(void)
{
    static const float before[4] = {0.7f, 0.2f, 0.06f, 0.04f};
    static const double of_1_8[4] = {0.51074951, 0.2546525, 0.1304547,
                                     0.10414328}; /* p ** (1 / 1.8), adding up to 1 */
    float scores[4];
    CHECK(ser_unlike_factor(0) == 1 && ser_unlike_factor(0.99f) == 1 && ser_unlike_factor(1) == 1);
    CHECK(ser_unlike_factor(NAN) == 1); /* not measured */
    CHECK(ser_unlike_factor(1.1f) > 1 && ser_unlike_factor(3) > ser_unlike_factor(2));
    memcpy(scores, before, sizeof scores);
    ser_unlike_even_out(scores, 4, 1);
    CHECK(memcmp(scores, before, sizeof scores) == 0); /* not a bit */
    ser_unlike_even_out(scores, 4, 1.8f);
    for (int i = 0; i < 4; i++)
        CHECK(fabs((double)scores[i] - of_1_8[i]) < 1e-6);
    scores[0] = 1;
    scores[1] = scores[2] = scores[3] = 0; /* so sure that the others rounded to nothing */
    ser_unlike_even_out(scores, 4, 2);
    CHECK(scores[0] > 0.99f && isfinite(scores[1]));
    ser_unlike_even_out(scores, 4, 1e9f);
    for (int i = 0; i < 4; i++)
        CHECK(fabsf(scores[i] - 0.25f) < 1e-3f);
}

int main(void)
{
    test_distance();
    test_evening_out();
    return test_summary();
}
