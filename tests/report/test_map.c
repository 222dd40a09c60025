#include "base/memory.h"
#include "base/random.h"
#include "failures/failing.h"
#include "golden_numbers.h"
#include "report/map_parts.h"
#include "test.h"

/* Against numpy's singular value decomposition. */
static void test_components(void)
{
    FILE *f = golden_open("metrics/components.txt");
    for (int example = 0; example < 2; example++) {
        size_t n = (size_t)golden_next(f), dims = (size_t)golden_next(f);
        float *x = ser_alloc(n * dims, sizeof *x), xy[2 * 60], expected[2 * 60];
        ser_error err = {0};
        golden_floats(f, x, n * dims);
        golden_floats(f, expected, 2 * n);
        CHECK_OK(ser_pca_2d(xy, x, n, dims, &err), &err);
        check_close("components", xy, expected, 2 * n, 0, 2e-4); /* they reach about 8 */
        ser_free(x);
    }
    fclose(f);
}

enum { N = 180, N_CLUSTERS = 3, DIMS = 21 };
static float clusters[N * DIMS];

/* Row i belongs to cluster i % N_CLUSTERS. */
static void make_clusters(void)
{
    ser_random r;
    ser_random_init(&r, 46);
    for (size_t i = 0; i < N; i++)
        for (size_t j = 0; j < DIMS; j++)
            clusters[i * DIMS + j] =
                (float)(ser_random_normal(&r) + (j == i % N_CLUSTERS ? 8 : 0) + 100 * (double)(j % 2));
}

static double distance(const float *xy, size_t i, size_t j)
{
    return hypot((double)xy[2 * i] - (double)xy[2 * j], (double)xy[2 * i + 1] - (double)xy[2 * j + 1]);
}

/* How many rows have one of their own cluster as their nearest neighbour. */
static size_t n_next_to_own(const float *xy, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        size_t next = i ? 0 : 1;
        for (size_t j = 0; j < n; j++)
            if (j != i && distance(xy, i, j) < distance(xy, i, next))
                next = j;
        count += next % N_CLUSTERS == i % N_CLUSTERS;
    }
    return count;
}

static double largest_within(const float *xy, size_t n)
{
    double largest = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t j = i % N_CLUSTERS; j < n; j += N_CLUSTERS)
            largest = fmax(largest, distance(xy, i, j));
    return largest;
}

static double smallest_between(const float *xy, size_t n)
{
    double smallest = INFINITY;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            if (i % N_CLUSTERS != j % N_CLUSTERS)
                smallest = fmin(smallest, distance(xy, i, j));
    return smallest;
}

/* Clusters that are apart stay apart, and no thread changes a bit. */
static void test_clusters(void)
{
    static float xy[2 * N], again[2 * N];
    ser_error err = {0};
    CHECK_OK(ser_tsne_2d(xy, clusters, N, DIMS, 1, NULL, &err), &err);
    CHECK(n_next_to_own(xy, N) == N);
    CHECK(smallest_between(xy, N) > 0.2 * largest_within(xy, N));
    double sums[2] = {0};
    for (size_t i = 0; i < 2 * N; i++)
        sums[i % 2] += (double)xy[i];
    CHECK(fabs(sums[0]) < 0.01 && fabs(sums[1]) < 0.01); /* the map's middle is 0 */
    for (int n_threads = 1; n_threads <= 3; n_threads++) {
        memset(again, 0, sizeof again);
        CHECK_OK(ser_tsne_2d(again, clusters, N, DIMS, n_threads, NULL, &err), &err);
        CHECK(memcmp(xy, again, sizeof xy) == 0);
    }
}

/* Every number times a power of two, near the ends of what a float holds: the same map. */
static void test_scales(void)
{
    static float scaled[N * DIMS], xy[2 * N], other[2 * N];
    static const float factors[] = {0x1p100f, 0x1p-100f};
    ser_error err = {0};
    CHECK_OK(ser_tsne_2d(xy, clusters, N, DIMS, 1, NULL, &err), &err);
    for (int k = 0; k < 2; k++) {
        for (size_t i = 0; i < (size_t)N * DIMS; i++)
            scaled[i] = clusters[i] * factors[k];
        CHECK_OK(ser_tsne_2d(other, scaled, N, DIMS, 1, NULL, &err), &err);
        CHECK(memcmp(xy, other, sizeof xy) == 0);
    }
}

/* A map of the first rows somewhere, not yet arranged. */
static void start(ser_tsne *t, size_t n, double perplexity, double spread)
{
    ser_map_rows rows;
    ser_error err = {0};
    ser_random r;
    ser_random_init(&r, 7);
    CHECK_OK(ser_map_rows_init(&rows, clusters, n, DIMS, &err), &err);
    CHECK_OK(ser_tsne_init(t, &rows, perplexity, 1, &err), &err);
    ser_map_rows_release(&rows);
    for (size_t i = 0; i < n; i++)
        for (size_t axis = 0; axis < 2; axis++)
            t->y[axis * t->stride + i] = (float)(spread * ser_random_normal(&r));
}

/* p is symmetric and sums to 1, and each row has about as many neighbours as the perplexity says; a few more,
 * because those who count it as theirs are added. */
static void test_neighbours(void)
{
    ser_tsne t;
    start(&t, 50, 10, 1);
    double sum = 0, largest = 0, entropy = 0;
    for (size_t i = 0; i < 50; i++)
        for (size_t j = 0; j < 50; j++) {
            double p = (double)t.p[i * t.stride + j];
            sum += p;
            entropy -= p > 0 ? p * log(p) : 0;
            largest = fmax(largest, fabs((double)t.p[i * t.stride + j] - (double)t.p[j * t.stride + i]));
        }
    CHECK(fabs(sum - 1) < 1e-5 && largest == 0 && t.p[0] == 0);
    CHECK(exp(entropy) / 50 > 9.9 && exp(entropy) / 50 < 12.5);
    for (size_t i = 0; i < 50; i++)
        for (size_t j = 50; j < t.stride; j++)
            CHECK(t.p[i * t.stride + j] == 0);
    ser_tsne_release(&t);
}

/* The Kullback-Leibler divergence of p from the map's own neighbours (equation 2 of the paper), in nats. */
static double cost_of(const ser_tsne *t)
{
    double closeness = 0, cost = 0;
    for (size_t i = 0; i < t->n; i++)
        for (size_t j = 0; j < t->n; j++) {
            double d0 = (double)t->y[i] - (double)t->y[j];
            double d1 = (double)t->y[t->stride + i] - (double)t->y[t->stride + j];
            double w = 1 / (1 + d0 * d0 + d1 * d1), p = (double)t->p[i * t->stride + j];
            closeness += i == j ? 0 : w;
            cost += p > 0 ? p * log(p / w) : 0;
        }
    return cost + log(closeness); /* p sums to 1 */
}

/* Against central differences of the cost, which is computed on its own and in doubles. */
static void test_gradient(void)
{
    static const double spreads[] = {1e-2, 1, 20};
    static const size_t sizes[] = {4, 16, 33};
    for (size_t k = 0; k < 9; k++) {
        size_t n = sizes[k % 3];
        ser_tsne t;
        ser_error err = {0};
        start(&t, n, fmin(8, (double)(n - 1) / 3), spreads[k / 3]);
        CHECK_OK(ser_tsne_gradient(&t, 1, &err), &err);
        float expected[2 * 33], actual[2 * 33];
        for (size_t i = 0; i < 2 * n; i++) {
            float *y = &t.y[(i % 2) * t.stride + i / 2], middle = *y;
            float low = middle - (float)(1e-3 * spreads[k / 3]),
                  high = middle + (float)(1e-3 * spreads[k / 3]);
            actual[i] = t.gradient[(i % 2) * t.stride + i / 2];
            *y = high;
            double above = cost_of(&t);
            *y = low;
            expected[i] = (float)((above - cost_of(&t)) / ((double)high - (double)low));
            *y = middle;
        }
        double length = 0;
        for (size_t i = 0; i < 2 * n; i++)
            length = fmax(length, fabs((double)expected[i]));
        check_close("gradient", actual, expected, 2 * n, 1e-4, 1e-4 * length);
        ser_tsne_release(&t);
    }
}

/* The exaggerated gradient is the gradient plus the pulls as often as p is multiplied. */
static void test_exaggeration(void)
{
    ser_tsne t;
    ser_error err = {0};
    float single[2 * 20], twice[2 * 20], thrice[2 * 20];
    start(&t, 20, 5, 1);
    float *const into[] = {single, twice, thrice};
    for (int k = 0; k < 3; k++) {
        CHECK_OK(ser_tsne_gradient(&t, (float)(k + 1), &err), &err);
        for (size_t i = 0; i < 40; i++)
            into[k][i] = t.gradient[(i % 2) * t.stride + i / 2];
    }
    double pulled = 0;
    for (size_t i = 0; i < 40; i++) {
        pulled = fmax(pulled, fabs((double)(twice[i] - single[i])));
        twice[i] = 2 * twice[i] - single[i];
    }
    CHECK(pulled > 1e-3);
    check_close("exaggerated", thrice, twice, 40, 1e-4, 1e-5);
    ser_tsne_release(&t);
}

/* No rows, few rows, no dimensions, one dimension, equal rows. */
static void test_degenerate(void)
{
    float xy[2 * 64], x[64 * 3];
    ser_error err = {0};
    for (size_t n = 0; n <= 8; n++) {
        CHECK_OK(ser_pca_2d(xy, clusters, n, DIMS, &err), &err);
        CHECK_OK(ser_tsne_2d(xy, clusters, n, DIMS, 2, NULL, &err), &err);
        for (size_t i = 0; i < n; i++) {
            CHECK(isfinite(xy[2 * i]) && isfinite(xy[2 * i + 1]) && fabsf(xy[2 * i]) < 1e4f);
            for (size_t j = 0; j < i; j++)
                CHECK(distance(xy, i, j) > 0);
        }
    }
    const float two[] = {1, 2, 3, 4, 6, 3};
    CHECK_OK(ser_tsne_2d(xy, two, 2, 3, 1, NULL, &err), &err); /* 5 apart, one to each side */
    CHECK(fabsf(fabsf(xy[0]) - 2.5f) < 1e-5f && fabsf(xy[0] + xy[2]) < 1e-5f && xy[1] == 0 && xy[3] == 0);
    for (size_t i = 0; i < 64 * 3; i++)
        x[i] = i % 3 == 1 ? 0.1f : -7e20f;
    for (int dims = 0; dims <= 3; dims += 3) {
        memset(xy, 1, sizeof xy);
        CHECK_OK(ser_pca_2d(xy, x, 64, (size_t)dims, &err), &err);
        CHECK(xy[0] == 0 && xy[127] == 0);
        CHECK_OK(ser_tsne_2d(xy, x, 64, (size_t)dims, 1, NULL, &err), &err);
        CHECK(xy[0] == 0 && xy[127] == 0);
    }
    for (size_t i = 0; i < 64; i++)
        x[i] = (float)(i / 2); /* pairs on a line */
    CHECK_OK(ser_pca_2d(xy, x, 64, 1, &err), &err);
    for (size_t i = 0; i < 64; i++)
        CHECK(fabsf(fabsf(xy[2 * i]) - fabsf(x[i] - 15.5f)) < 1e-4f && xy[2 * i + 1] == 0);
    CHECK_OK(ser_tsne_2d(xy, x, 64, 1, 1, NULL, &err), &err);
    double height = 0;
    for (size_t i = 0; i < 64; i += 2) {
        CHECK(distance(xy, i, i + 1) < distance(xy, i, (i + 32) % 64));
        height = fmax(height, fabs((double)xy[2 * i + 1]));
    }
    CHECK(height > 1); /* the line may bend */
}

static bool stop_late(void *context, const char *what, size_t done, size_t total)
{
    size_t *calls = context;
    CHECK(strcmp(what, "t-SNE") == 0 && done < total);
    return ++*calls < 5;
}

static void test_failures(void)
{
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    static float xy[2 * N];
    ser_error err = {0};
    float kept = clusters[7 * DIMS + 3];
    for (int k = 0; k < 3; k++) {
        clusters[7 * DIMS + 3] = bad[k];
        CHECK_FAILS(ser_pca_2d(xy, clusters, N, DIMS, &err), SER_E_ARG, &err, "row 8");
        CHECK_FAILS(ser_tsne_2d(xy, clusters, N, DIMS, 1, NULL, &err), SER_E_ARG, &err, "row 8");
    }
    clusters[7 * DIMS + 3] = kept;
    size_t calls = 0;
    ser_progress progress = {stop_late, &calls};
    CHECK_FAILS(ser_tsne_2d(xy, clusters, N, DIMS, 1, &progress, &err), SER_E_CANCELLED, &err, "interrupted");
    CHECK(calls == 5);
    CHECK_FAILS(ser_pca_2d(xy, clusters, SIZE_MAX / 4, SIZE_MAX / 4, &err), SER_E_NOMEM, &err, "memory");
    ser_status st = SER_E_NOMEM;
    long n;
    for (n = 0; st != SER_OK && n < 40; n++) {
        failing_at(n);
        st = ser_tsne_2d(xy, clusters, 5, DIMS, 1, NULL, &err);
        CHECK(st == SER_OK || st == SER_E_NOMEM);
    }
    CHECK(n > 12 && st == SER_E_NOMEM); /* each step asks for a little */
    for (n = 0; st != SER_OK && n < 40; n++) {
        failing_at(n);
        st = ser_pca_2d(xy, clusters, 5, DIMS, &err);
        CHECK(st == SER_OK || st == SER_E_NOMEM);
    }
    failing_at(-1);
    CHECK(n == 6 && st == SER_OK);
}

int main(void)
{
    make_clusters();
    test_components();
    test_clusters();
    test_scales();
    test_neighbours();
    test_gradient();
    test_exaggeration();
    test_degenerate();
    test_failures();
    return test_summary();
}
