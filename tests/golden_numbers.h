/* Reading numbers from the text files in tests/golden. */
#ifndef SER_TESTS_GOLDEN_NUMBERS_H
#define SER_TESTS_GOLDEN_NUMBERS_H

#include <stdio.h>
#include <stdlib.h>

static inline FILE *golden_open(const char *name)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/golden/%s", getenv("SER_TEST_DIR"), name);
    FILE *f = fopen(path, "r");
    if (!f) {
        perror(path);
        exit(EXIT_FAILURE);
    }
    return f;
}

static inline double golden_next(FILE *f)
{
    double x;
    if (fscanf(f, "%lf", &x) != 1) {
        fprintf(stderr, "a golden file ends early\n");
        exit(EXIT_FAILURE);
    }
    return x;
}

static inline void golden_floats(FILE *f, float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = (float)golden_next(f);
}

#endif
