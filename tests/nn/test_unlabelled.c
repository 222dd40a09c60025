#include "golden_numbers.h"
#include "nn/unlabelled.h"
#include "test.h"

enum { MAX = 1024 };

/* got is 1 + 2 * expected, to 1e-5 of the largest. */
static void check_gradient(const float *got, const float *expected, size_t n)
{
    double largest = 0;
    for (size_t i = 0; i < n; i++)
        largest = fmax(largest, fabs((double)expected[i]));
    CHECK(largest > 0);
    for (size_t i = 0; i < n; i++)
        CHECK(fabs((double)got[i] - 1 - 2 * (double)expected[i]) < 1e-5 * fmax(largest, 0.1));
}

static void fill_ones(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = 1;
}

static void test_entropies(FILE *f)
{
    static float logits[MAX], scores[MAX], dlogits[MAX], expected[MAX];
    size_t n = (size_t)golden_next(f), n_labels = (size_t)golden_next(f);
    golden_floats(f, logits, n * n_labels);
    golden_floats(f, scores, n * n_labels);
    double (*const losses[])(float *, const float *, size_t, size_t, double) = {ser_mean_entropy,
                                                                                ser_entropy_of_mean};
    for (int k = 0; k < 2; k++) {
        double loss = golden_next(f);
        golden_floats(f, expected, n * n_labels);
        fill_ones(dlogits, n * n_labels);
        CHECK(fabs(losses[k](dlogits, scores, n, n_labels, 2) - loss) < 1e-6);
        check_gradient(dlogits, expected, n * n_labels);
        CHECK(fabs(losses[k](NULL, scores, n, n_labels, 2) - loss) < 1e-6);
        CHECK(losses[k](NULL, scores, 0, n_labels, 2) == 0);
    }
    const float sure[2] = {1, 0};
    float slope[2] = {0};
    CHECK(fabs(ser_mean_entropy(slope, sure, 1, 2, 1)) < 1e-9 && isfinite(slope[0]) && isfinite(slope[1]));
}

int main(void)
{
    FILE *f = golden_open("train/unlabelled.txt");
    test_entropies(f);
    fclose(f);
    return test_summary();
}
