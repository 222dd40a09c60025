#include "base/memory.h"
#include "base/random.h"
#include "base/threads.h"
#include "base/vector.h"
#include "report/map_parts.h"

#include <math.h>

/* Exaggeration, momentum and gains as in van der Maaten's programs (https://lvdmaaten.github.io/tsne/); the
 * rate follows Belkina et al. 2019 (https://doi.org/10.1038/s41467-019-13055-y), and the start from principal
 * components Kobak and Berens 2019 (https://doi.org/10.1038/s41467-019-13056-x). */
enum { N_EXAGGERATED = 250, N_STEPS = 1000, PERPLEXITY = 30 };
static const float early_exaggeration = 12, far_away = 1e15f;

/* Rows that a thread takes at a time. Those of the distances share a pass over all others. */
enum { DISTANCE_ROWS = 8, GRADIENT_ROWS = 32 };

static size_t n_blocks(size_t n, size_t size)
{
    return (n + size - 1) / size;
}

/* out[k] = squared distance of a[k] and b. */
SER_FAST_STATIC(void, measure,
                (float out[DISTANCE_ROWS], const float *const a[DISTANCE_ROWS], const float *b, size_t n),
                (out, a, b, n))
{
    ser_lanes sums[DISTANCE_ROWS] = {{0}};
    for (size_t j = 0; j < n; j += SER_N_LANES) {
        ser_lanes other = ser_lanes_load(b + j);
        for (int k = 0; k < DISTANCE_ROWS; k++) {
            ser_lanes d = ser_lanes_load(a[k] + j) - other;
            sums[k] += d * d;
        }
    }
    for (int k = 0; k < DISTANCE_ROWS; k++)
        out[k] = ser_lanes_sum(sums[k]);
}

typedef struct distances {
    ser_tsne *t;
    const ser_map_rows *rows;
} distances;

/* Into t->p: some rows against all that follow, in both halves. */
static ser_status measure_rows(void *context, size_t item, int worker, ser_error *err)
{
    (void)worker;
    (void)err;
    const distances *d = context;
    const ser_map_rows *rows = d->rows;
    size_t first = item * DISTANCE_ROWS, n = rows->n, stride = d->t->stride;
    const float *own[DISTANCE_ROWS];
    float out[DISTANCE_ROWS];
    for (size_t k = 0; k < DISTANCE_ROWS; k++)
        own[k] = rows->x + (first + k < n ? first + k : first) * rows->stride;
    for (size_t j = first; j < n; j++) {
        measure(out, own, rows->x + j * rows->stride, rows->stride);
        for (size_t i = first; i < first + DISTANCE_ROWS && i < n; i++)
            d->t->p[i * stride + j] = d->t->p[j * stride + i] = out[i - first];
    }
    return SER_OK;
}

/* Squared distances of one row, in units of their mean, become its neighbours' probabilities: a Gaussian just
 * wide enough for the perplexity, found by bisection. */
static void find_neighbours(float *p, size_t n, size_t self, double perplexity, double mean_distance)
{
    enum { MAX_STEPS = 60 };
    double nearest = INFINITY, low = 0, high = INFINITY, precision = 1, sum = 0;
    for (size_t j = 0; j < n; j++)
        nearest = j == self ? nearest : fmin(nearest, (double)p[j]);
    for (size_t j = 0; j < n; j++)
        p[j] = (float)(((double)p[j] - nearest) / mean_distance);
    for (int step = 0; step < MAX_STEPS; step++) {
        double weighted = 0;
        sum = 0;
        for (size_t j = 0; j < n; j++) {
            double e = j == self ? 0 : (double)expf(-(float)precision * p[j]);
            sum += e;
            weighted += e * (double)p[j];
        }
        double excess = log(sum) + precision * weighted / sum - log(perplexity);
        if (fabs(excess) < 1e-5)
            break;
        if (excess > 0)
            low = precision;
        else
            high = precision;
        precision = high < INFINITY ? (low + high) / 2 : 2 * precision;
    }
    for (size_t j = 0; j < n; j++)
        p[j] = j == self ? 0 : (float)((double)expf(-(float)precision * p[j]) / sum);
}

typedef struct neighbours {
    ser_tsne *t;
    double perplexity, mean_distance;
} neighbours;

static ser_status find_neighbours_of(void *context, size_t item, int worker, ser_error *err)
{
    (void)worker;
    (void)err;
    const neighbours *a = context;
    find_neighbours(a->t->p + item * a->t->stride, a->t->n, item, a->perplexity, a->mean_distance);
    return SER_OK;
}

/* p of i seen from j and of j seen from i: half of both, and all together 1. */
static void make_symmetric(ser_tsne *t)
{
    for (size_t i = 0; i < t->n; i++)
        for (size_t j = 0; j < i; j++) {
            float *a = &t->p[i * t->stride + j], *b = &t->p[j * t->stride + i];
            *a = *b = (*a + *b) / (2 * (float)t->n);
        }
}

static double mean_of(const ser_tsne *t)
{
    double sum = 0;
    for (size_t i = 0; i < t->n; i++)
        for (size_t j = 0; j < t->n; j++)
            sum += (double)t->p[i * t->stride + j];
    return sum / ((double)t->n * (double)(t->n - 1));
}

static ser_status allocate(ser_tsne *t, ser_error *err)
{
    size_t size;
    if (!ser_mul_size(&size, t->n, t->stride))
        return ser_fail_nomem(err);
    t->p = ser_alloc(size, sizeof *t->p);
    t->y = ser_alloc(2 * t->stride, sizeof *t->y);
    t->gradient = ser_alloc(2 * t->stride, sizeof *t->gradient);
    t->pushes = ser_alloc(2 * t->stride, sizeof *t->pushes);
    t->closeness = ser_alloc(t->n, sizeof *t->closeness);
    return t->p && t->y && t->gradient && t->pushes && t->closeness ? SER_OK : ser_fail_nomem(err);
}

ser_status ser_tsne_init(ser_tsne *t, const ser_map_rows *rows, double perplexity, int n_threads,
                         ser_error *err)
{
    *t = (ser_tsne){.n = rows->n, .n_threads = n_threads};
    t->stride = n_blocks(t->n, SER_N_LANES) * SER_N_LANES;
    ser_status st = allocate(t, err);
    for (size_t i = t->n; st == SER_OK && i < t->stride; i++)
        t->y[i] = t->y[t->stride + i] = far_away;
    distances d = {t, rows};
    if (st == SER_OK)
        st = ser_parallel_for(n_threads, n_blocks(t->n, DISTANCE_ROWS), measure_rows, &d, err);
    neighbours a = {t, perplexity, st == SER_OK ? mean_of(t) : 0};
    if (st == SER_OK)
        st = ser_parallel_for(n_threads, t->n, find_neighbours_of, &a, err);
    if (st == SER_OK)
        make_symmetric(t);
    else
        ser_tsne_release(t);
    return st;
}

void ser_tsne_release(ser_tsne *t)
{
    ser_free(t->p);
    ser_free(t->y);
    ser_free(t->gradient);
    ser_free(t->pushes);
    ser_free(t->closeness);
    *t = (ser_tsne){0};
}

/* pulls and pushes [2]: the sums over j of p_ij w (y_i - y_j) and of w^2 (y_i - y_j), w being
 * 1 / (1 + |y_i - y_j|^2). Returns the sum of w, of i itself too. */
SER_FAST_STATIC(float, gather_forces,
                (float *pulls, float *pushes, const float *p, const float *y, size_t stride, size_t i),
                (pulls, pushes, p, y, stride, i))
{
    const float *y0 = y, *y1 = y + stride;
    ser_lanes pull0 = {0}, pull1 = {0}, push0 = {0}, push1 = {0}, sum = {0};
    for (size_t j = 0; j < stride; j += SER_N_LANES) {
        ser_lanes d0 = y0[i] - ser_lanes_load(y0 + j), d1 = y1[i] - ser_lanes_load(y1 + j);
        ser_lanes w = 1 / (1 + d0 * d0 + d1 * d1), near = ser_lanes_load(p + j) * w, square = w * w;
        sum += w;
        pull0 += near * d0;
        pull1 += near * d1;
        push0 += square * d0;
        push1 += square * d1;
    }
    pulls[0] = ser_lanes_sum(pull0);
    pulls[1] = ser_lanes_sum(pull1);
    pushes[0] = ser_lanes_sum(push0);
    pushes[1] = ser_lanes_sum(push1);
    return ser_lanes_sum(sum);
}

static ser_status gather_rows(void *context, size_t item, int worker, ser_error *err)
{
    (void)worker;
    (void)err;
    ser_tsne *t = context;
    for (size_t i = item * GRADIENT_ROWS; i < (item + 1) * GRADIENT_ROWS && i < t->n; i++) {
        float pulls[2], pushes[2];
        t->closeness[i] = (double)gather_forces(pulls, pushes, t->p + i * t->stride, t->y, t->stride, i) - 1;
        for (size_t axis = 0; axis < 2; axis++) {
            t->gradient[axis * t->stride + i] = pulls[axis];
            t->pushes[axis * t->stride + i] = pushes[axis];
        }
    }
    return SER_OK;
}

ser_status ser_tsne_gradient(ser_tsne *t, float exaggeration, ser_error *err)
{
    ser_status st = ser_parallel_for(t->n_threads, n_blocks(t->n, GRADIENT_ROWS), gather_rows, t, err);
    double closeness = 0; /* in the order of rows, whoever summed them */
    for (size_t i = 0; i < t->n; i++)
        closeness += t->closeness[i];
    float share = (float)(1 / fmax(closeness, 1e-30));
    for (size_t i = 0; i < 2 * t->stride; i++)
        t->gradient[i] = 4 * (exaggeration * t->gradient[i] - share * t->pushes[i]);
    return st;
}

/* The principal components, so small that all points can still pass each other. A little noise parts equal
 * rows, and lets rows on a line use the second dimension. */
static ser_status place(ser_tsne *t, float *xy, const ser_map_rows *rows, ser_error *err)
{
    static const double spread = 1e-4;
    ser_status st = ser_map_components(xy, rows, err);
    double squares = 0;
    for (size_t i = 0; i < t->n; i++)
        squares += (double)xy[2 * i] * (double)xy[2 * i];
    double factor = spread / fmax(sqrt(squares / (double)t->n), 1e-30);
    ser_random r;
    ser_random_init(&r, 1);
    for (size_t i = 0; i < t->n; i++)
        for (size_t axis = 0; axis < 2; axis++)
            t->y[axis * t->stride + i] =
                (float)(factor * (double)xy[2 * i + axis] + 0.01 * spread * ser_random_normal(&r));
    return st;
}

/* velocity, gains (2, stride). */
static void move(ser_tsne *t, float *velocity, float *gains, float momentum, float rate)
{
    for (size_t axis = 0; axis < 2; axis++) {
        double sum = 0;
        for (size_t i = axis * t->stride; i < axis * t->stride + t->n; i++) {
            bool onwards = (t->gradient[i] > 0) != (velocity[i] > 0);
            gains[i] = fmaxf(onwards ? gains[i] + 0.2f : gains[i] * 0.8f, 0.01f);
            velocity[i] = momentum * velocity[i] - rate * gains[i] * t->gradient[i];
            t->y[i] += velocity[i];
            sum += (double)t->y[i];
        }
        float middle = (float)(sum / (double)t->n);
        for (size_t i = axis * t->stride; i < axis * t->stride + t->n; i++)
            t->y[i] -= middle;
    }
}

static ser_status arrange(ser_tsne *t, const ser_progress *progress, ser_error *err)
{
    float rate = fmaxf((float)t->n / (4 * early_exaggeration), 50);
    float *velocity = ser_alloc(2 * t->stride, sizeof *velocity);
    float *gains = ser_alloc(2 * t->stride, sizeof *gains);
    ser_status st = velocity && gains ? SER_OK : ser_fail_nomem(err);
    for (size_t i = 0; st == SER_OK && i < 2 * t->stride; i++)
        gains[i] = 1;
    for (size_t step = 0; st == SER_OK && step < N_STEPS; step++) {
        bool early = step < N_EXAGGERATED;
        if (step % 20 == 0 && !ser_progress_report(progress, "t-SNE", step, N_STEPS))
            st = ser_fail(err, SER_E_CANCELLED, "interrupted");
        else
            st = ser_tsne_gradient(t, early ? early_exaggeration : 1, err);
        if (st == SER_OK)
            move(t, velocity, gains, early ? 0.5f : 0.8f, rate);
    }
    ser_free(velocity);
    ser_free(gains);
    return st;
}

ser_status ser_tsne_2d(float *xy, const float *x, size_t n, size_t dims, int n_threads,
                       const ser_progress *progress, ser_error *err)
{
    enum { N_LEAST = 4 };
    if (n < N_LEAST)
        return ser_pca_2d(xy, x, n, dims, err);
    ser_tsne t = {0};
    ser_map_rows rows;
    ser_status st = ser_map_rows_init(&rows, x, n, dims, err);
    if (st != SER_OK)
        return st;
    memset(xy, 0, 2 * n * sizeof *xy);
    if (!(rows.scale > 0)) /* all rows are equal */
        goto done;
    st = ser_tsne_init(&t, &rows, fmin(PERPLEXITY, (double)(n - 1) / 3), n_threads, err);
    if (st == SER_OK)
        st = place(&t, xy, &rows, err);
    if (st == SER_OK)
        st = arrange(&t, progress, err);
    for (size_t i = 0; st == SER_OK && i < n; i++)
        for (size_t axis = 0; axis < 2; axis++)
            xy[2 * i + axis] = t.y[axis * t.stride + i];
    if (st == SER_OK)
        ser_progress_report(progress, "t-SNE", N_STEPS, N_STEPS);
done:
    ser_tsne_release(&t);
    ser_map_rows_release(&rows);
    return st;
}
