#include "base/memory.h"
#include "failures/failing.h"
#include "nn/adam.h"
#include "test.h"

/* Keras's formula, in double precision; its first step is the rate, whatever the gradient's size. */
static void test_adam(void)
{
    enum { N = 3, N_STEPS = 50 };
    ser_error err = {0};
    ser_adam adam;
    float values[N] = {1, -2, 3}, gradients[N];
    double expected[N] = {1, -2, 3}, mean[N] = {0}, square[N] = {0};
    CHECK_OK(ser_adam_init(&adam, N, 0.93, 0.98, &err), &err);
    for (int t = 1; t <= N_STEPS; t++) {
        double rate = 0.01 * sqrt(1 - pow(0.98, t)) / (1 - pow(0.93, t));
        for (int i = 0; i < N; i++) {
            double g = sin(t + i) * pow(10, -2 * i);
            gradients[i] = (float)g;
            mean[i] = 0.93 * mean[i] + 0.07 * g;
            square[i] = 0.98 * square[i] + 0.02 * g * g;
            expected[i] -= rate * mean[i] / (sqrt(square[i]) + 1e-7);
        }
        ser_adam_step(&adam, values, gradients, 0.01);
        if (t == 1)
            CHECK(fabs((double)values[0] - 0.99) < 1e-5);
        CHECK(gradients[0] == 0 && gradients[N - 1] == 0);
    }
    for (int i = 0; i < N; i++)
        CHECK(fabs((double)values[i] - expected[i]) < 1e-5);
    CHECK(adam.step == N_STEPS);
    ser_adam_release(&adam);
    for (long i = 0; i < 2; i++) {
        failing_at(i);
        CHECK(ser_adam_init(&adam, N, 0.9, 0.99, &err) == SER_E_NOMEM && !adam.mean && !adam.square);
    }
    failing_at(-1);
}

static void test_schedule(void)
{
    ser_schedule s = {.rate = 1, .decay = 0.9, .n_warmup = 4, .n_steps = 104};
    CHECK(ser_schedule_rate(&s, 0) == 0.25 && ser_schedule_rate(&s, 3) == 1 && ser_schedule_rate(&s, 4) == 1);
    CHECK(fabs(ser_schedule_rate(&s, 54) - 0.55) < 1e-12 && fabs(ser_schedule_rate(&s, 104) - 0.1) < 1e-12);
    CHECK(fabs(ser_schedule_rate(&s, 500) - 0.1) < 1e-12);
    s = (ser_schedule){.rate = 3e-4, .n_steps = 10};
    CHECK(ser_schedule_rate(&s, 0) == 3e-4 && ser_schedule_rate(&s, 9) == 3e-4);
    float average[2] = {7, 7}, values[3][2] = {{1, 2}, {3, 4}, {8, 0}};
    for (size_t i = 0; i < 3; i++)
        ser_average_add(average, values[i], 2, i);
    CHECK(average[0] == 4 && average[1] == 2);
}

int main(void)
{
    test_adam();
    test_schedule();
    return test_summary();
}
