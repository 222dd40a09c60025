#include "base/memory.h"
#include "base/random.h"
#include "base/vector.h"
#include "report/map_parts.h"

#include <math.h>

/* Block Krylov (Musco and Musco 2015, arXiv:1504.05477), restarted from its best vectors: each pass over the
 * rows multiplies BLOCK directions by the covariance, and the best combination of all N_BLOCKS passes counts.
 * Power iteration alone would need hundreds of passes where components are about equally strong. */
enum { BLOCK = 4, N_BLOCKS = 8, N_BASIS = BLOCK * N_BLOCKS, MAX_RESTARTS = 25 };

static size_t round_up(size_t n)
{
    return (n + SER_N_LANES - 1) / SER_N_LANES * SER_N_LANES;
}

/* false: a value is not finite, in *row. */
static bool find_means(double *mean, const float *x, size_t n, size_t dims, size_t *row)
{
    for (*row = 0; *row < n; ++*row)
        for (size_t j = 0; j < dims; j++) {
            if (!isfinite(x[*row * dims + j]))
                return false;
            mean[j] += (double)x[*row * dims + j];
        }
    for (size_t j = 0; j < dims; j++)
        mean[j] /= (double)n;
    return true;
}

static void centre(ser_map_rows *rows, const float *x, const double *mean)
{
    for (size_t i = 0; i < rows->n; i++)
        for (size_t j = 0; j < rows->dims; j++)
            rows->scale = fmax(rows->scale, fabs((double)x[i * rows->dims + j] - mean[j]));
    if (!(rows->scale > 0))
        return;
    for (size_t i = 0; i < rows->n; i++)
        for (size_t j = 0; j < rows->dims; j++)
            rows->x[i * rows->stride + j] = (float)(((double)x[i * rows->dims + j] - mean[j]) / rows->scale);
}

ser_status ser_map_rows_init(ser_map_rows *rows, const float *x, size_t n, size_t dims, ser_error *err)
{
    *rows = (ser_map_rows){.n = n, .dims = dims, .stride = round_up(dims)};
    size_t bad = 0, size;
    double *mean = ser_alloc(dims, sizeof *mean);
    rows->x = mean && ser_mul_size(&size, n, rows->stride) ? ser_alloc(size, sizeof *rows->x) : NULL;
    ser_status st = SER_OK;
    if (!rows->x)
        st = ser_fail_nomem(err);
    else if (!find_means(mean, x, n, dims, &bad))
        st = ser_fail(err, SER_E_ARG, "row %zu has a value that is not finite: leave it out of the map",
                      bad + 1);
    else
        centre(rows, x, mean);
    ser_free(mean);
    if (st != SER_OK)
        ser_map_rows_release(rows);
    return st;
}

void ser_map_rows_release(ser_map_rows *rows)
{
    ser_free(rows->x);
    *rows = (ser_map_rows){0};
}

/* w (BLOCK, stride) = x^T x v, v (BLOCK, stride): the covariance but for a factor. */
SER_FAST_STATIC(void, multiply,
                (float *restrict w, const float *restrict v, const float *restrict x, size_t n,
                 size_t stride),
                (w, v, x, n, stride))
{
    memset(w, 0, BLOCK * stride * sizeof *w);
    for (size_t i = 0; i < n; i++) {
        const float *row = x + i * stride;
        float t[BLOCK];
        for (size_t k = 0; k < BLOCK; k++)
            t[k] = ser_lanes_dot(row, v + k * stride, stride);
        for (size_t j = 0; j < stride; j += SER_N_LANES) {
            ser_lanes values = ser_lanes_load(row + j);
            for (size_t k = 0; k < BLOCK; k++)
                ser_lanes_store(w + k * stride + j, ser_lanes_load(w + k * stride + j) + t[k] * values);
        }
    }
}

/* Vector k of the basis at right angles to those before it, and of length 1; 0 where it is nothing new.
 * Gram-Schmidt, twice, because once is not enough in floats. */
static void orthonormalise(float *basis, size_t k, size_t stride)
{
    float *v = basis + k * stride, before = sqrtf(ser_dot_f32(v, v, stride));
    for (int pass = 0; pass < 2; pass++) {
        float length = sqrtf(ser_dot_f32(v, v, stride));
        for (size_t j = 0; j < stride; j++)
            v[j] = length > 1e-6f * before ? v[j] / length : 0;
        for (size_t i = 0; i < k; i++)
            ser_add_scaled(v, basis + i * stride, -ser_dot_f32(v, basis + i * stride, stride), stride);
    }
    float length = sqrtf(ser_dot_f32(v, v, stride));
    for (size_t j = 0; j < stride; j++)
        v[j] = length > 0.1f ? v[j] / length : 0;
}

/* One turn of Jacobi's method (Golub and Van Loan, "Matrix Computations", 8.5): a[p][q] becomes 0. */
static void rotate(double a[N_BASIS][N_BASIS], double vectors[N_BASIS][N_BASIS], size_t p, size_t q)
{
    if (a[p][q] == 0)
        return;
    double theta = (a[q][q] - a[p][p]) / (2 * a[p][q]);
    double t = copysign(1, theta) / (fabs(theta) + sqrt(theta * theta + 1));
    double c = 1 / sqrt(t * t + 1), s = t * c;
    for (size_t i = 0; i < N_BASIS; i++) {
        double x = a[i][p], y = a[i][q];
        a[i][p] = c * x - s * y;
        a[i][q] = s * x + c * y;
    }
    for (size_t i = 0; i < N_BASIS; i++) {
        double x = a[p][i], y = a[q][i];
        a[p][i] = c * x - s * y;
        a[q][i] = s * x + c * y;
        x = vectors[i][p], y = vectors[i][q];
        vectors[i][p] = c * x - s * y;
        vectors[i][q] = s * x + c * y;
    }
}

/* The eigenvectors of a symmetric matrix, which is lost: its diagonal becomes the eigenvalues. */
static void find_eigenvectors(double a[N_BASIS][N_BASIS], double vectors[N_BASIS][N_BASIS])
{
    enum { SWEEPS = 12 }; /* they converge quadratically: 6 to 10 reach the precision of a double */
    for (size_t i = 0; i < N_BASIS; i++)
        for (size_t j = 0; j < N_BASIS; j++)
            vectors[i][j] = i == j;
    for (int sweep = 0; sweep < SWEEPS; sweep++)
        for (size_t p = 0; p + 1 < N_BASIS; p++)
            for (size_t q = p + 1; q < N_BASIS; q++)
                rotate(a, vectors, p, q);
}

typedef struct krylov {
    float *basis;                      /* (N_BASIS + BLOCK, stride) */
    float *best;                       /* (BLOCK, stride): the directions of most variance so far */
    double products[N_BASIS][N_BASIS]; /* basis^T covariance basis */
    double vectors[N_BASIS][N_BASIS];  /* its eigenvectors, as columns */
} krylov;

/* From the BLOCK vectors at the beginning of the basis to all of it, and the products. */
static void expand(krylov *k, const ser_map_rows *rows)
{
    size_t stride = rows->stride;
    for (size_t first = 0; first < N_BASIS; first += BLOCK) {
        float *next = k->basis + (first + BLOCK) * stride;
        for (size_t i = first; i < first + BLOCK; i++)
            orthonormalise(k->basis, i, stride);
        multiply(next, k->basis + first * stride, rows->x, rows->n, stride);
        for (size_t i = 0; i < first + BLOCK; i++)
            for (size_t j = 0; j < BLOCK; j++)
                k->products[i][first + j] = k->products[first + j][i] =
                    (double)ser_dot_f32(k->basis + i * stride, next + j * stride, stride);
    }
}

/* The BLOCK best combinations of the basis become its beginning. Returns how much of the first two was not
 * there before: the squared sine of the angle. */
static double keep_best(krylov *k, size_t stride)
{
    double changed = 0;
    bool taken[N_BASIS] = {false};
    for (size_t b = 0; b < BLOCK; b++) {
        size_t best = N_BASIS;
        for (size_t i = 0; i < N_BASIS; i++)
            if (!taken[i] && (best == N_BASIS || k->products[i][i] > k->products[best][best]))
                best = i;
        taken[best] = true;
        memset(k->best + b * stride, 0, stride * sizeof *k->best);
        for (size_t i = 0; i < N_BASIS; i++)
            ser_add_scaled(k->best + b * stride, k->basis + i * stride, (float)k->vectors[i][best], stride);
        if (b < 2)
            changed = fmax(changed, 1 - k->vectors[b][best] * k->vectors[b][best]);
    }
    memcpy(k->basis, k->best, BLOCK * stride * sizeof *k->best);
    return changed;
}

static ser_status find_directions(krylov *k, const ser_map_rows *rows, ser_error *err)
{
    size_t size;
    if (!ser_mul_size(&size, N_BASIS + BLOCK, rows->stride))
        return ser_fail_nomem(err);
    k->basis = ser_alloc(size, sizeof *k->basis);
    k->best = ser_alloc(BLOCK * rows->stride, sizeof *k->best);
    if (!k->basis || !k->best)
        return ser_fail_nomem(err);
    ser_random r;
    ser_random_init(&r, 1);
    for (size_t i = 0; i < BLOCK; i++)
        for (size_t j = 0; j < rows->dims; j++)
            k->basis[i * rows->stride + j] = (float)ser_random_normal(&r);
    double changed = 1;
    for (int i = 0; i < MAX_RESTARTS && changed > 1e-9; i++) {
        expand(k, rows);
        find_eigenvectors(k->products, k->vectors);
        changed = keep_best(k, rows->stride);
    }
    return SER_OK;
}

static void project(float *xy, const float *directions, const ser_map_rows *rows)
{
    double squares[2] = {0};
    for (size_t axis = 0; axis < 2; axis++) {
        double extreme = 0;
        for (size_t i = 0; i < rows->n; i++) {
            float x = ser_dot_f32(rows->x + i * rows->stride, directions + axis * rows->stride, rows->stride);
            xy[2 * i + axis] = x;
            squares[axis] += (double)x * (double)x;
            extreme = fabs((double)x) > fabs(extreme) ? (double)x : extreme;
        }
        bool nothing = !(squares[axis] > 1e-12 * squares[0]); /* no more than rounding left */
        for (size_t i = 0; i < rows->n; i++)
            xy[2 * i + axis] *= nothing ? 0 : extreme < 0 ? -1 : 1;
    }
}

ser_status ser_map_components(float *xy, const ser_map_rows *rows, ser_error *err)
{
    memset(xy, 0, 2 * rows->n * sizeof *xy);
    if (!(rows->scale > 0))
        return SER_OK;
    krylov *k = ser_alloc(1, sizeof *k);
    if (!k)
        return ser_fail_nomem(err);
    ser_status st = find_directions(k, rows, err);
    if (st == SER_OK)
        project(xy, k->best, rows);
    ser_free(k->basis);
    ser_free(k->best);
    ser_free(k);
    return st;
}

ser_status ser_pca_2d(float *xy, const float *x, size_t n, size_t dims, ser_error *err)
{
    ser_map_rows rows;
    ser_status st = ser_map_rows_init(&rows, x, n, dims, err);
    if (st != SER_OK)
        return st;
    st = ser_map_components(xy, &rows, err);
    for (size_t i = 0; st == SER_OK && i < 2 * n; i++)
        xy[i] = (float)((double)xy[i] * rows.scale);
    ser_map_rows_release(&rows);
    return st;
}
