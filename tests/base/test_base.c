#include "base/memory.h"
#include "base/random.h"
#include "base/sha256.h"
#include "base/team.h"
#include "base/text.h"
#include "base/threads.h"
#include "failures/failing.h"
#include "test.h"

#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_memory(void)
{
    size_t product;
    CHECK(ser_mul_size(&product, 6, 7) && product == 42);
    CHECK(!ser_mul_size(&product, SIZE_MAX / 2, 3));
    CHECK(!ser_alloc(SIZE_MAX / 2, 4));
    int *items = NULL;
    size_t capacity = 0;
    for (int i = 0; i < 1000; i++) {
        CHECK(ser_grow(&items, &capacity, (size_t)i + 1, sizeof *items));
        items[i] = i;
    }
    CHECK(items[999] == 999 && items[0] == 0 && (uintptr_t)items % 64 == 0);
    ser_free(items);
    failing_at(1);
    void *first = ser_alloc(1, 1), *second = ser_alloc(1, 1), *third = ser_alloc(1, 1);
    CHECK(first && !second && third);
    ser_free(first);
    ser_free(third);
}

static void test_text(void)
{
    ser_text t = {0};
    ser_text_append(&t, "a");
    ser_text_appendf(&t, "%d-%s", 5, "b");
    CHECK(strcmp(t.s, "a5-b") == 0 && t.n == 4 && !t.failed);
    ser_text_release(&t);
    static const char *const words[][2] = {{"a/b-c_1.wav", "a/b-c_1.wav"},
                                           {"", "''"},
                                           {"my data", "'my data'"},
                                           {"it's", "'it'\\''s'"},
                                           {"'", "''\\'''"},
                                           {"$(x)", "'$(x)'"},
                                           {"Größe", "'Größe'"}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        ser_text_append_word(&t, words[i][0]);
        CHECK(strcmp(t.s, words[i][1]) == 0);
        ser_text_release(&t);
    }
    failing_at(0);
    ser_text_append(&t, "x");
    CHECK(t.failed);
    ser_text_release(&t);
}

static void test_errors(void)
{
    ser_error err = {0};
    CHECK(ser_fail(&err, SER_E_IO, "file %d", 3) == SER_E_IO && err.status == SER_E_IO);
    CHECK(strcmp(err.text, "file 3") == 0);
    CHECK(ser_fail_within(&err, SER_E_FORMAT, "fold %d: ", 2) == SER_E_FORMAT &&
          strcmp(err.text, "fold 2: file 3") == 0);
    CHECK(ser_fail(NULL, SER_E_ARG, "nobody reads this") == SER_E_ARG);
}

static void test_random(void)
{
    ser_random a, b;
    ser_random_init(&a, 46);
    ser_random_init(&b, 46);
    double sum = 0, sum_of_squares = 0;
    for (int i = 0; i < 10000; i++) {
        double x = ser_random_normal(&a);
        CHECK(x == ser_random_normal(&b));
        sum += x;
        sum_of_squares += x * x;
    }
    CHECK(fabs(sum / 10000) < 0.05 && fabs(sum_of_squares / 10000 - 1) < 0.05);
    CHECK(ser_random_derive(46, "a") != ser_random_derive(46, "b") &&
          ser_random_derive(46, "a") != ser_random_derive(47, "a"));
    size_t items[100], seen[100] = {0};
    for (size_t i = 0; i < 100; i++)
        items[i] = i;
    ser_random_shuffle(&a, items, 100);
    for (size_t i = 0; i < 100; i++)
        seen[items[i]]++;
    for (size_t i = 0; i < 100; i++)
        CHECK(seen[i] == 1);
}

static void test_sha256(void)
{
    char hex[65];
    ser_sha256 h;
    ser_sha256_init(&h);
    ser_sha256_add(&h, "abc", 3);
    ser_sha256_finish(&h, hex);
    CHECK(strcmp(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad") ==
          0); /* FIPS 180-2, B.1 */
}

static ser_status square(void *context, size_t item, int worker, ser_error *err)
{
    (void)worker;
    size_t *results = context;
    if (item == 700 || item == 701)
        return ser_fail(err, SER_E_ARG, "item %zu", item);
    results[item] = item * item;
    return SER_OK;
}

/* Before anything asks for it: in a child that begins with one core and gets the others. */
static void test_cores(void)
{
    cpu_set_t all, one;
    CHECK(sched_getaffinity(0, sizeof all, &all) == 0);
    pid_t child = fork();
    if (child == 0) {
        CPU_ZERO(&one);
        for (int i = 0; !CPU_COUNT(&one) && i < CPU_SETSIZE; i++)
            if (CPU_ISSET(i, &all))
                CPU_SET(i, &one);
        bool good = sched_setaffinity(0, sizeof one, &one) == 0 && ser_n_cores() == 1;
        good = sched_setaffinity(0, sizeof all, &all) == 0 && ser_n_cores() == 1 && good;
        _exit(good ? EXIT_SUCCESS : EXIT_FAILURE);
    }
    int status = -1;
    CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    CHECK(ser_n_cores() == CPU_COUNT(&all));
}

static void test_threads(void)
{
    static size_t results[1000];
    ser_error err = {0};
    CHECK_OK(ser_parallel_for(4, 700, square, results, &err), &err);
    for (size_t i = 0; i < 700; i++)
        CHECK(results[i] == i * i);
    CHECK_FAILS(ser_parallel_for(4, 1000, square, results, &err), SER_E_ARG, &err, "item 700");
    CHECK_OK(ser_parallel_for(0, 0, square, results, &err), &err);
}

/* Each goes to one rank, several at a time while there are many, and nobody gets so much that the others
 * wait. */
static void test_deal_some(void)
{
    enum { N = 5000, N_RANKS = 7 };
    static size_t sizes[N];
    const ser_deal deal = {.n_items = N, .sizes = sizes};
    uint64_t left = 0;
    size_t n_times = 0, at, some;
    for (size_t i = 0; i < N; i++)
        left += sizes[i] = i < 4990 ? 3 * (N - i) : 0; /* the last ones cannot be looked at */
    for (at = 0; at < N; at += some, n_times++) {
        uint64_t before = left, sum = 0;
        some = ser_deal_some(&deal, at, &left, N_RANKS);
        for (size_t i = at; i < at + some; i++)
            sum += sizes[i];
        CHECK(some >= 1 && at + some <= N && before - left == sum);
        CHECK(some == 1 || sum < before / N_RANKS / 2);
    }
    CHECK(left == 0 && n_times < N / 10);
    CHECK(ser_deal_some(&deal, 0, &left, 0) == 1 &&
          ser_deal_some(&(ser_deal){.n_items = N}, 0, &left, N_RANKS) == 1);
}

/* The leaves of rank 0 ... n-1 of n ranks, added up by each, and then all of them. */
static void add_over_ranks(float *out, float (*leaves)[3], size_t n_leaves, int n)
{
    ser_error err = {0};
    ser_sum all = {.n_values = 3};
    for (int rank = 0; rank < n; rank++) {
        ser_sum own = {.n_values = 3};
        float *x;
        size_t first, end;
        ser_team_leaves(&first, &end, n_leaves, rank, n);
        for (size_t i = first; i < end; i++) {
            CHECK_OK(ser_sum_vector(&own, &x, &err), &err);
            memcpy(x, leaves[i], sizeof leaves[i]);
            ser_sum_push(&own, x, i, 1);
        }
        for (size_t i = 0; i < own.n; i++) {
            CHECK_OK(ser_sum_vector(&all, &x, &err), &err);
            memcpy(x, own.nodes[i].x, sizeof leaves[i]);
            ser_sum_push(&all, x, own.nodes[i].first, own.nodes[i].n_leaves);
        }
        ser_sum_release(&own);
    }
    ser_sum_total(&all, out);
    ser_sum_release(&all);
}

static void test_sum(void)
{
    float leaves[40][3], one[3], other[3];
    bool differs = false;
    ser_random random;
    ser_random_init(&random, 5);
    for (size_t i = 0; i < 40; i++)
        for (size_t k = 0; k < 3; k++)
            leaves[i][k] = (float)exp(8 * ser_random_normal(&random));
    for (size_t n_leaves = 1; n_leaves <= 40; n_leaves++) {
        float in_order[3] = {0};
        for (size_t i = 0; i < n_leaves; i++)
            in_order[0] += leaves[i][0];
        add_over_ranks(one, leaves, n_leaves, 1);
        check_close("sum", one, in_order, 1, 1e-5, 0);
        differs = differs || one[0] != in_order[0];
        for (int n = 2; n <= 9; n++) {
            add_over_ranks(other, leaves, n_leaves, n);
            CHECK(memcmp(one, other, sizeof one) == 0);
        }
    }
    CHECK(differs); /* else the test could not fail */
}

int main(void)
{
    test_cores();
    test_memory();
    test_text();
    test_errors();
    test_random();
    test_sha256();
    test_threads();
    test_deal_some();
    test_sum();
    return test_summary();
}
