#include "base/spelling.h"

#include <ctype.h>
#include <string.h>

enum { LONGEST = 63 };

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

unsigned ser_spelling_distance(const char *a, const char *b)
{
    /* d[i][j]: the distance of the first i letters of a from the first j of b */
    unsigned char d[LONGEST + 1][LONGEST + 1];
    size_t n_a = strlen(a), n_b = strlen(b);
    if (n_a > LONGEST || n_b > LONGEST)
        return 255;
    for (size_t i = 0; i <= n_a; i++)
        for (size_t j = 0; j <= n_b; j++) {
            if (!i || !j) {
                d[i][j] = (unsigned char)(i + j);
                continue;
            }
            int x = tolower((unsigned char)a[i - 1]), y = tolower((unsigned char)b[j - 1]);
            unsigned best = least(least(d[i - 1][j], d[i][j - 1]) + 1, d[i - 1][j - 1] + (x != y));
            if (i > 1 && j > 1 && x == tolower((unsigned char)b[j - 2]) &&
                y == tolower((unsigned char)a[i - 2]))
                best = least(best, d[i - 2][j - 2] + 1u);
            d[i][j] = (unsigned char)best;
        }
    return d[n_a][n_b];
}

bool ser_spelling_near(const char *word, const char *candidate, unsigned *distance)
{
    size_t n = strlen(word);
    *distance = ser_spelling_distance(word, candidate);
    return *distance <= 1 + n / 4 || (n >= 3 && strncmp(word, candidate, n) == 0);
}
