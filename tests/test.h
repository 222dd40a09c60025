/* What tests share: checks that count, and a summary. A test program ends with: return test_summary(); */
#ifndef SER_TESTS_TEST_H
#define SER_TESTS_TEST_H

#include "base/status.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int test_n_passed, test_n_failed;

#define CHECK(condition)                                                                                     \
    ((condition) ? (void)test_n_passed++                                                                     \
                 : (void)(test_n_failed++,                                                                   \
                          fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition)))

#define CHECK_OK(call, err)                                                                                  \
    do {                                                                                                     \
        ser_status status_ = (call);                                                                         \
        if (status_ == SER_OK) {                                                                             \
            test_n_passed++;                                                                                 \
        } else {                                                                                             \
            test_n_failed++;                                                                                 \
            fprintf(stderr, "%s:%d: %s: status %d: %s\n", __FILE__, __LINE__, #call, (int)status_,           \
                    (err)->text);                                                                            \
        }                                                                                                    \
    } while (0)

/* The call must fail with this status and a text that contains these words. */
#define CHECK_FAILS(call, expected, err, words)                                                              \
    do {                                                                                                     \
        ser_status status_ = (call);                                                                         \
        if (status_ == (expected) && strstr((err)->text, words)) {                                           \
            test_n_passed++;                                                                                 \
        } else {                                                                                             \
            test_n_failed++;                                                                                 \
            fprintf(stderr, "%s:%d: %s: status %d, text '%s', expected %d and '%s'\n", __FILE__, __LINE__,   \
                    #call, (int)status_, (err)->text, (int)(expected), words);                               \
        }                                                                                                    \
    } while (0)

/* |a - b| <= absolute + relative * |b| for every element; counts as one check. */
static inline void check_close(const char *what, const float *a, const float *b, size_t n, double relative,
                               double absolute)
{
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)a[i] - (double)b[i]) <= absolute + relative * fabs((double)b[i]))) {
            fprintf(stderr, "%s: element %zu is %.9g, expected %.9g\n", what, i, (double)a[i], (double)b[i]);
            test_n_failed++;
            return;
        }
    test_n_passed++;
}

static inline int test_summary(void)
{
    printf("%d passed, %d failed\n", test_n_passed, test_n_failed);
    return test_n_failed || !test_n_passed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
