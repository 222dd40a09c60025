/* The products of voice_products.c for vectors of BYTES bytes, compiled once for each size that processors
 * have: vectors that are wider than the processor's go through memory, which is thirty times slower.
 * MANY_ROWS: rows that are computed together, where there are so many. TARGET: the attribute that lets the
 * compiler use them. NAME(x): x with a suffix of its own. */

typedef float NAME(floats) __attribute__((vector_size(BYTES)));
typedef float NAME(half_floats) __attribute__((vector_size(BYTES / 2)));
typedef double NAME(doubles) __attribute__((vector_size(BYTES)));

enum { NAME(N_FLOATS) = BYTES / sizeof(float), NAME(N_DOUBLES) = BYTES / sizeof(double) };

TARGET SER_INLINE NAME(floats) NAME(load)(const float *x)
{
    NAME(floats) v;
    memcpy(&v, x, sizeof v);
    return v;
}

TARGET SER_INLINE NAME(doubles) NAME(load_exact)(const float *x)
{
#if BYTES == 64
    return (NAME(doubles))_mm512_cvtps_pd(
        _mm256_loadu_ps(x)); /* gcc 12 makes four instructions of what follows */
#else
    NAME(half_floats) v;
    memcpy(&v, x, sizeof v);
    return __builtin_convertvector(v, NAME(doubles));
#endif
}

/* n_rows by n_vectors of sums, from that output on; constants, so that the sums stay in registers. Each sum
 * goes over the inputs in one order, whatever the tile: results do not depend on it. */
TARGET SER_INLINE void NAME(tile)(const ser_voice_affine *a, float *const *y, const float *const *x,
                                  size_t output, size_t n_rows, size_t n_vectors)
{
    enum { N = NAME(N_FLOATS) };
    NAME(floats) sums[MANY_ROWS][ROW_VECTORS];
    for (size_t v = 0; v < n_vectors; v++)
        for (size_t r = 0; r < n_rows; r++)
            sums[r][v] = NAME(load)(a->bias + output + v * N);
    for (size_t i = 0; i < a->n_in; i++)
        for (size_t v = 0; v < n_vectors; v++) {
            NAME(floats) column = NAME(load)(weights_at(a, output + v * N, i));
            for (size_t r = 0; r < n_rows; r++)
                sums[r][v] += column * x[r][i];
        }
    for (size_t v = 0; v < n_vectors; v++)
        for (size_t r = 0; r < n_rows; r++)
            memcpy(y[r] + output + v * N, &sums[r][v], sizeof sums[r][v]);
}

TARGET SER_INLINE void NAME(exact_tile)(const ser_voice_affine *a, double *const *y, const double *const *x,
                                        size_t output, size_t n_rows, size_t n_vectors)
{
    enum { N = NAME(N_DOUBLES) };
    NAME(doubles) sums[MANY_ROWS][ROW_VECTORS];
    for (size_t v = 0; v < n_vectors; v++)
        for (size_t r = 0; r < n_rows; r++)
            sums[r][v] = NAME(load_exact)(a->bias + output + v * N);
    for (size_t i = 0; i < a->n_in; i++)
        for (size_t v = 0; v < n_vectors; v++) {
            NAME(doubles) column = NAME(load_exact)(weights_at(a, output + v * N, i));
            for (size_t r = 0; r < n_rows; r++)
                sums[r][v] += column * x[r][i];
        }
    for (size_t v = 0; v < n_vectors; v++)
        for (size_t r = 0; r < n_rows; r++) {
            NAME(doubles)
            rounded = __builtin_convertvector(__builtin_convertvector(sums[r][v], NAME(half_floats)),
                                              NAME(doubles));
            memcpy(y[r] + output + v * N, &rounded, sizeof rounded);
        }
}

TARGET static void NAME(rows)(const ser_voice_affine *a, float *const *y, const float *const *x,
                              size_t n_rows)
{
    size_t r = 0;
    for (; r + MANY_ROWS <= n_rows; r += MANY_ROWS)
        for (size_t o = 0; o < a->n_out; o += TILE_VECTORS * NAME(N_FLOATS))
            NAME(tile)(a, y + r, x + r, o, MANY_ROWS, TILE_VECTORS);
    for (; r + FEW_ROWS <= n_rows; r += FEW_ROWS)
        for (size_t o = 0; o < a->n_out; o += TILE_VECTORS * NAME(N_FLOATS))
            NAME(tile)(a, y + r, x + r, o, FEW_ROWS, TILE_VECTORS);
    for (; r < n_rows; r++)
        for (size_t o = 0; o < a->n_out; o += ROW_VECTORS * NAME(N_FLOATS))
            NAME(tile)(a, y + r, x + r, o, 1, ROW_VECTORS);
}

TARGET static void NAME(exact_rows)(const ser_voice_affine *a, double *const *y, const double *const *x,
                                    size_t n_rows)
{
    size_t r = 0;
    for (; r + MANY_ROWS <= n_rows; r += MANY_ROWS)
        for (size_t o = 0; o < a->n_out; o += TILE_VECTORS * NAME(N_DOUBLES))
            NAME(exact_tile)(a, y + r, x + r, o, MANY_ROWS, TILE_VECTORS);
    for (; r + FEW_ROWS <= n_rows; r += FEW_ROWS)
        for (size_t o = 0; o < a->n_out; o += TILE_VECTORS * NAME(N_DOUBLES))
            NAME(exact_tile)(a, y + r, x + r, o, FEW_ROWS, TILE_VECTORS);
    for (; r < n_rows; r++)
        for (size_t o = 0; o < a->n_out; o += ROW_VECTORS * NAME(N_DOUBLES))
            NAME(exact_tile)(a, y + r, x + r, o, 1, ROW_VECTORS);
}
