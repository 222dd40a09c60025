#include "nn/bytes.h"
#include "nn/rows.h"

#include <string.h>

/* Sums of whole numbers: however they are cut, they are the same. */
static void add_plain(int32_t sums[SER_BYTE_COLUMNS], const ser_byte_sum *s, size_t row, bool words)
{
    const uint8_t *x = s->x + row * s->x_row;
    for (size_t g = 0; g < s->n_groups; g++, x += s->x_group) {
        const int8_t *w = s->w + g * SER_BYTE_GROUP;
        int16_t wide[SER_BYTE_COLUMNS * SER_WORD_TERMS], two[SER_WORD_TERMS];
        if (words) {
            memcpy(wide, w, sizeof wide);
            memcpy(two, x, sizeof two);
            for (size_t o = 0; o < SER_BYTE_COLUMNS; o++)
                sums[o] += two[0] * wide[2 * o] + two[1] * wide[2 * o + 1];
            continue;
        }
        for (size_t o = 0; o < SER_BYTE_COLUMNS; o++)
            for (size_t i = 0; i < SER_BYTE_TERMS; i++)
                sums[o] += x[i] * w[o * SER_BYTE_TERMS + i];
    }
}

static void multiply_plain(const ser_byte_panel *p)
{
    for (size_t t = 0; t < p->n_rows; t++) {
        int32_t sums[SER_BYTE_COLUMNS] = {0};
        float values[SER_BYTE_COLUMNS], *y = p->y + t * p->y_row;
        add_plain(sums, &p->sum, t, p->words);
        if (p->rest.n_groups)
            add_plain(sums, &p->rest, t, p->words);
        for (size_t o = 0; o < SER_BYTE_COLUMNS; o++)
            values[o] =
                (float)sums[o] * (p->scales[o] * p->steps[t]) + (p->weight_sums[o] * p->lows[t] + p->bias[o]);
        ser_lanes v = ser_lanes_load(values);
        if (p->gelu)
            v = ser_lanes_gelu(v);
        if (p->add)
            v += ser_row_load(y, 0, p->n_columns);
        ser_row_store(y, 0, p->n_columns, v);
    }
}

ser_byte_kernel ser_byte_kernel_here(void)
{
    const ser_byte_kernel *better = ser_byte_kernel_x86();
    return better ? *better : (ser_byte_kernel){multiply_plain, 1, false};
}

static size_t place(size_t term, size_t column)
{
    return term / SER_BYTE_TERMS * SER_BYTE_GROUP + column * SER_BYTE_TERMS + term % SER_BYTE_TERMS;
}

/* What is too much in a pair: a number of the same sign. Of two signs, neither is too much. */
static int excess(int a, int b, int most)
{
    int sum = a + b;
    return sum > most ? sum - most : sum < -most ? sum + most : 0;
}

/* Takes what is too much from the second of each pair of terms k and k + 1. Whether there was anything. */
static bool split_pair(int8_t *w, size_t k, int pair, int8_t taken[SER_BYTE_COLUMNS])
{
    bool any = false;
    for (size_t o = 0; o < SER_BYTE_COLUMNS; o++) {
        int8_t *second = w + place(k + 1, o);
        taken[o] = (int8_t)excess(w[place(k, o)], *second, pair);
        *second = (int8_t)(*second - taken[o]);
        any = any || taken[o];
    }
    return any;
}

/* Whether the further term may stand second in its pair. */
static bool fits(const int8_t *rest, size_t n, int pair, const int8_t taken[SER_BYTE_COLUMNS])
{
    for (size_t o = 0; n % 2 && o < SER_BYTE_COLUMNS; o++)
        if (excess(rest[place(n - 1, o)], taken[o], pair))
            return false;
    return true;
}

/* The first of groups first ... n - 1 in which a pair is too large, or n: nearly all are fine, and this is
 * quick to see. A pair is a number of 16 bits, whose halves may come in either order. */
SER_FAST_STATIC(size_t, find_large, (const int8_t *w, size_t first, size_t n, int pair), (w, first, n, pair))
{
    for (size_t g = first; g < n; g++) {
        int16_t pairs[SER_BYTE_GROUP / 2], largest = 0;
        memcpy(pairs, w + g * SER_BYTE_GROUP, sizeof pairs);
        for (size_t i = 0; i < SER_BYTE_GROUP / 2; i++) {
            int16_t sum = (int16_t)((int8_t)pairs[i] + (pairs[i] >> 8));
            sum = sum < 0 ? (int16_t)-sum : sum;
            largest = sum > largest ? sum : largest;
        }
        if (largest > pair)
            return g;
    }
    return n;
}

size_t ser_byte_split(int8_t *w, size_t n_terms, int pair, int8_t *rest, uint32_t *at)
{
    size_t n = 0, n_groups = n_terms / SER_BYTE_TERMS;
    int8_t taken[SER_BYTE_COLUMNS];
    for (size_t g = find_large(w, 0, n_groups, pair); g < n_groups; g = find_large(w, g + 1, n_groups, pair))
        for (size_t k = g * SER_BYTE_TERMS; k < (g + 1) * SER_BYTE_TERMS; k += 2) {
            if (!split_pair(w, k, pair, taken))
                continue;
            n += !fits(rest, n, pair, taken);
            for (size_t o = 0; o < SER_BYTE_COLUMNS; o++)
                rest[place(n, o)] = taken[o];
            at[n++] = (uint32_t)(k + 1);
        }
    return (n + SER_BYTE_TERMS - 1) / SER_BYTE_TERMS * SER_BYTE_TERMS;
}

/* Few groups of all rows at a time, or what is written would leave the cache before a line of it is whole. */
void ser_byte_regroup(uint32_t *groups, const uint8_t *x, size_t n_rows, size_t ld)
{
    enum { FEW = 16 };
    size_t n_groups = ld / SER_BYTE_TERMS;
    for (size_t first = 0; first < n_groups; first += FEW) {
        size_t n = n_groups - first < FEW ? n_groups - first : FEW;
        for (size_t t = 0; t < n_rows; t++)
            for (size_t g = first; g < first + n; g++)
                memcpy(groups + g * n_rows + t, x + t * ld + g * SER_BYTE_TERMS, SER_BYTE_TERMS);
    }
}

/* One group of all rows: its bytes, which shifts bring to the lowest place. */
SER_FAST_STATIC(void, gather_group,
                (uint32_t *restrict gathered, const uint32_t *a, const uint32_t *b, const uint32_t *c,
                 const uint32_t *d, const uint32_t shifts[4], size_t n_rows),
                (gathered, a, b, c, d, shifts, n_rows))
{
    uint32_t s0 = shifts[0], s1 = shifts[1], s2 = shifts[2], s3 = shifts[3];
    for (size_t t = 0; t < n_rows; t++)
        gathered[t] =
            (a[t] >> s0 & 255) | (b[t] >> s1 & 255) << 8 | (c[t] >> s2 & 255) << 16 | (d[t] >> s3) << 24;
}

void ser_byte_gather(uint32_t *gathered, const uint32_t *groups, const uint32_t *at, size_t n, size_t n_rows)
{
    for (size_t k = 0; k < n; k += SER_BYTE_TERMS) {
        const uint32_t *from[SER_BYTE_TERMS];
        uint32_t shifts[SER_BYTE_TERMS];
        for (size_t i = 0; i < SER_BYTE_TERMS; i++) {
            from[i] = groups + at[k + i] / SER_BYTE_TERMS * n_rows;
            shifts[i] = at[k + i] % SER_BYTE_TERMS * 8;
        }
        gather_group(gathered + k / SER_BYTE_TERMS * n_rows, from[0], from[1], from[2], from[3], shifts,
                     n_rows);
    }
}
