#include "base/memory.h"
#include "base/random.h"
#include "failures/failing.h"
#include "model/linear.h"
#include "test.h"

enum { N_IN = 37, N_LABELS = 5 };

static void test_logits(void)
{
    ser_linear l;
    ser_error err = {0};
    ser_random r;
    ser_random_init(&r, 2);
    float x[N_IN], logits[N_LABELS], expected[N_LABELS];
    CHECK_OK(ser_linear_init(&l, N_IN, N_LABELS, &err), &err);
    CHECK(l.temperature == 1 && l.scale[N_IN - 1] == 1 && l.mean[0] == 0);
    for (size_t i = 0; i < N_IN; i++) {
        x[i] = 5 + (float)ser_random_normal(&r);
        l.mean[i] = 5;
        l.scale[i] = (float)ser_random_between(&r, 0.1, 2);
    }
    for (size_t i = 0; i < N_IN * N_LABELS; i++)
        l.w[i] = (float)ser_random_normal(&r);
    for (size_t k = 0; k < N_LABELS; k++) {
        double sum = l.bias[k] = (float)k;
        for (size_t i = 0; i < N_IN; i++)
            sum += (double)l.w[k * N_IN + i] * ((double)x[i] - 5) * (double)l.scale[i];
        expected[k] = (float)sum;
    }
    ser_linear_logits(&l, logits, x);
    check_close("logits", logits, expected, N_LABELS, 1e-6, 1e-5);
    ser_linear_release(&l);
    CHECK(!l.w && !l.n_in);
    ser_linear_release(&l);
}

static void test_softmax(void)
{
    float a[] = {1, 2, 3};
    const float at_one[] = {0.09003057f, 0.24472847f, 0.66524096f}; /* scipy.special.softmax */
    ser_softmax(a, 3, 1);
    check_close("softmax", a, at_one, 3, 1e-6, 0);
    float b[] = {1, 2, 3};
    const float at_two[] = {0.18632372f, 0.30719589f, 0.50648039f};
    ser_softmax(b, 3, 2);
    check_close("softmax, temperature 2", b, at_two, 3, 1e-6, 0);
    float huge[] = {3e38f, 0, -3e38f}, alone[] = {-7};
    ser_softmax(huge, 3, 0.05f);
    CHECK(huge[0] == 1 && huge[1] == 0 && huge[2] == 0);
    ser_softmax(alone, 1, 1);
    CHECK(alone[0] == 1);
}

static void test_memory(void)
{
    ser_linear l;
    ser_error err = {0};
    for (long at = 0; at < 4; at++) {
        failing_at(at);
        CHECK_FAILS(ser_linear_init(&l, 3, 2, &err), SER_E_NOMEM, &err, "memory");
        CHECK(!l.mean && !l.scale && !l.w && !l.bias);
    }
    CHECK_FAILS(ser_linear_init(&l, SIZE_MAX / 2, 3, &err), SER_E_NOMEM, &err, "memory");
}

int main(void)
{
    test_logits();
    test_softmax();
    test_memory();
    return test_summary();
}
