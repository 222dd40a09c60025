#include "base/memory.h"
#include "golden_numbers.h"
#include "test.h"
#include "train/softmax_regression.h"

static void test_golden(void)
{
    FILE *f = golden_open("train/temperature.txt");
    size_t n = (size_t)golden_next(f), n_labels = (size_t)golden_next(f);
    float *logits = ser_alloc(n * n_labels, sizeof *logits);
    int *label = ser_alloc(n, sizeof *label);
    for (size_t i = 0; i < n; i++) {
        label[i] = (int)golden_next(f);
        golden_floats(f, logits + i * n_labels, n_labels);
    }
    float t = ser_temperature_fit(logits, label, n, n_labels), expected = (float)golden_next(f);
    check_close("temperature", &t, &expected, 1, 1e-5, 0);
    ser_free(logits);
    ser_free(label);
    fclose(f);
}

/* Answers that are all right, all wrong, or say nothing end at a bound, not beyond. */
static void test_bounds(void)
{
    const float logits[] = {2, 0, 0, 2};
    const int right[] = {0, 1}, wrong[] = {1, 0};
    CHECK(fabsf(ser_temperature_fit(logits, right, 2, 2) - 0.05f) < 1e-4f);
    CHECK(fabsf(ser_temperature_fit(logits, wrong, 2, 2) - 20) < 1e-3f);
    const float flat[] = {1, 1, 1, 1};
    float t = ser_temperature_fit(flat, right, 2, 2);
    CHECK(t >= 0.049f && t <= 20.01f);
    CHECK(ser_temperature_fit(logits, right, 0, 2) == 1);
    const float one_label[] = {3, 5};
    t = ser_temperature_fit(one_label, (const int[]){0, 0}, 2, 1);
    CHECK(t >= 0.049f && t <= 20.01f);
}

/* Half of the answers right with odds of e^4: their best odds are those of a coin where they are all alike.
 */
static void test_known(void)
{
    float logits[8];
    int label[4];
    for (int i = 0; i < 4; i++) {
        logits[2 * i] = 4;
        logits[2 * i + 1] = 0;
        label[i] = i == 0; /* 3 of 4 right: the best odds are 3 */
    }
    float t = ser_temperature_fit(logits, label, 4, 2), expected = 4 / logf(3);
    check_close("odds", &t, &expected, 1, 1e-5, 0);
}

int main(void)
{
    test_golden();
    test_bounds();
    test_known();
    return test_summary();
}
